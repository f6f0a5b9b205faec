//! Times as they are written in attributes: `"2s"`.

/// The nanoseconds that a text such as `"500ms"` stands for. `None` if it stands for none.
pub(crate) fn parse(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ns: u64 = match unit.trim_start() {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "min" => 60_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_ns).filter(|&ns| ns != 0)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn times_have_a_number_and_a_unit() {
        assert_eq!(parse("2s"), Some(2_000_000_000));
        assert_eq!(parse("500 ms"), Some(500_000_000));
        assert_eq!(parse("1min"), Some(60_000_000_000));
        for wrong in ["", "2", "s", "-1s", "1.5s", "0s", "2 h", "99999999999999999999s", "18446744073709551615s"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
