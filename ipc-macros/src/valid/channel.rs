//! What no channel can be.

use syn::LitStr;

use crate::attr::channel::{Channel, Given, Kind, Value};
use crate::duration;
use crate::errors::Errors;

/// The most messages that a channel holds.
const MAX_CAPACITY: u64 = 1 << 31;

/// The most characters in a channel's name.
const MAX_CHANNEL_NAME: usize = 128;

/// Reports everything that keeps a declaration from being a channel.
pub(super) fn check(channel: &Channel, errors: &mut Errors) {
    check_name(&channel.name, errors);
    for given in &channel.options {
        if !given.option.kinds.contains(&channel.kind) {
            let kinds: Vec<_> = given.option.kinds.iter().map(|kind| format!("`{}`", kind.key())).collect();
            let (name, kind, kinds) = (given.option.name, channel.kind.key(), kinds.join(" or "));
            errors.at(&given.path, format!("`{kind}` has no `{name}`, which is for {kinds}: remove it"));
        } else {
            check_value(given, errors);
        }
    }
    if channel.kind == Kind::Service && channel.option("reply").is_none() {
        errors.at(&channel.name, "a service replies: add `reply = R` with the type of its replies");
    }
    for (one, other, why) in [
        ("lossy", "lossless", "a broadcast is either of them"),
        ("lossy", "evict_after", "a lossy broadcast waits for nobody, so it evicts nobody"),
        ("spsc", "redeliver", "an exclusive queue always delivers again what its receiver died with"),
    ] {
        if let (Some(_), Some(other)) = (channel.option(one), channel.option(other)) {
            errors.at(&other.path, format!("{why}: remove this, or `{one}`"));
        }
    }
}

fn check_value(given: &Given, errors: &mut Errors) {
    match (given.option.name, &given.value) {
        ("capacity", Value::Int(capacity)) if !is_between(capacity, 1) => {
            errors.at(capacity, "a channel holds 1 to 2,147,483,648 messages");
        }
        ("history", Value::Int(history)) if !is_between(history, 0) => {
            errors.at(history, "a broadcast keeps 0 to 2,147,483,648 messages for late subscribers");
        }
        ("mode", Value::Int(mode)) if !is_mode(mode) => {
            errors.at(
                mode,
                "a mode says who may read and write, its owner among them: 0o600, 0o660, 0o640 or 0o666, say",
            );
        }
        ("group", Value::Text(text)) if text.value().is_empty() => {
            errors.at(text, "a group has a name, or a number");
        }
        ("lifetime", Value::Text(text)) if !matches!(&*text.value(), "drained" | "attached" | "persistent") => {
            errors.at(text, "a channel's lifetime is \"drained\", \"attached\" or \"persistent\"");
        }
        ("evict_after", Value::Text(text)) if duration::parse(&text.value()).is_none() => {
            errors.at(text, "a time is a positive whole number and a unit: \"2s\", \"500ms\", \"10us\" or \"1min\"");
        }
        _ => {}
    }
}

/// Whether nothing but bits for reading and writing are set, and those of the owner are.
fn is_mode(mode: &syn::LitInt) -> bool {
    mode.base10_parse::<u32>().is_ok_and(|mode| mode & !0o666 == 0 && mode & 0o600 == 0o600)
}

fn is_between(number: &syn::LitInt, least: u64) -> bool {
    number.base10_parse::<u64>().is_ok_and(|number| (least..=MAX_CAPACITY).contains(&number))
}

fn check_name(name: &LitStr, errors: &mut Errors) {
    let text = name.value();
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if text.is_empty() || text.len() > MAX_CHANNEL_NAME {
        errors.at(name, format!("a channel's name has 1 to {MAX_CHANNEL_NAME} characters"));
    } else if !text.bytes().all(is_allowed) {
        errors.at(name, "a channel's name consists of ASCII letters, digits, `_`, `.` and `-`");
    } else if text.starts_with('.') || text.contains("..") {
        errors.at(name, "a channel's name neither starts with `.` nor contains `..`");
    }
}
