//! Charts of the two kinds that the report has: lines over two logarithmic axes, and bars.

use crate::harness::plan::Failure;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::ops::Range;

/// Colours that stand for others: the style of the picture says which, by the reader's preference for light or dark.
const INK: RGBColor = RGBColor(0x11, 0x11, 0x11);
const FAINT: RGBColor = RGBColor(0x77, 0x77, 0x77);
const GRID: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);

/// What makes a picture readable on light and on dark paper.
const STYLE: &str = r##"<style>
svg{--ink:#1f2328;--faint:#59636e;--grid:#d8dee4;font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
@media (prefers-color-scheme:dark){svg{--ink:#e6edf3;--faint:#9198a1;--grid:#343b44}}
[fill="#111111"]{fill:var(--ink)}[fill="#777777"]{fill:var(--faint)}
[stroke="#111111"]{stroke:var(--ink)}[stroke="#777777"]{stroke:var(--faint)}[stroke="#DDDDDD"]{stroke:var(--grid)}
text{font-family:inherit}
</style>"##;

/// The colour of a contestant, the same in every chart.
fn colour(contestant: &str) -> RGBColor {
    match contestant {
        name if name.starts_with("slipring") => RGBColor(0xE8, 0x59, 0x0C),
        "limit" => FAINT,
        "pipe" => RGBColor(0x42, 0x63, 0xEB),
        "pipe-enlarged" => RGBColor(0x74, 0x8F, 0xFC),
        "unix-stream" => RGBColor(0x0C, 0x85, 0x99),
        "unix-seqpacket" => RGBColor(0x22, 0xB8, 0xCF),
        "tcp" => RGBColor(0x86, 0x8E, 0x96),
        "posix-mq" => RGBColor(0x70, 0x48, 0xE8),
        "iceoryx2" => RGBColor(0x2F, 0x9E, 0x44),
        "shmem-ipc" => RGBColor(0x94, 0xB4, 0x47),
        "ipc-channel" => RGBColor(0xD6, 0x33, 0x6C),
        "hand-made" => RGBColor(0xA6, 0x6A, 0x2C),
        "futex" => RGBColor(0xAE, 0x3E, 0xC9),
        "eventfd" => RGBColor(0xE5, 0x94, 0x0B),
        "rtrb-threads" => RGBColor(0x5C, 0x94, 0x0D),
        "crossbeam-threads" => RGBColor(0x36, 0x4F, 0xC7),
        "kanal-threads" => RGBColor(0x99, 0x66, 0xCC),
        _ => RGBColor(0xB0, 0x8A, 0x2E),
    }
}

/// How wide a contestant's line is.
fn width(contestant: &str) -> u32 {
    if contestant.starts_with("slipring") { 3 } else { 2 }
}

/// What is said of one contestant: its name, and points.
pub(super) type Series = (String, Vec<(f64, f64)>);

/// What an axis shows, and how its values are written.
pub(super) struct Axis {
    /// Beside it.
    pub(super) name: &'static str,
    /// Where it has marks; if there are none, at the powers of ten.
    pub(super) marks: Vec<f64>,
    /// How a mark is written.
    pub(super) show: fn(f64) -> String,
}

/// Lines over two logarithmic axes, with the names at the right, in the order in which the lines end.
pub(super) fn lines(title: &str, x: Axis, y: Axis, series: &[Series]) -> Result<String, Failure> {
    let points = || series.iter().flat_map(|(_, points)| points);
    let spread = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (left, right) = spread(&mut points().map(|point| point.0));
    let (low, high) = spread(&mut points().map(|point| point.1));
    let (names, shown) = (176, (left * 0.9)..(right * 1.1));
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (860, 440)).into_drawing_area();
        let root = root.titled(title, font(16, INK))?;
        let (plot, legend) = root.split_horizontally(860 - names);
        let mut chart = ChartBuilder::on(&plot)
            .margin(8)
            .x_label_area_size(44)
            .y_label_area_size(78)
            .build_cartesian_2d(Log::new(shown, &x), Log::new((low * 0.8)..(high * 1.25), &y))?;
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(FAINT)
            .label_style(font(13, FAINT))
            .axis_desc_style(font(13, FAINT))
            .x_desc(x.name)
            .y_desc(y.name)
            .draw()?;
        for (name, points) in series {
            let style = colour(name).stroke_width(width(name));
            if name == "limit" {
                chart.draw_series(DashedLineSeries::new(points.iter().copied(), 6, 4, style))?;
            } else {
                chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
            }
            chart.draw_series(points.iter().map(|&point| Circle::new(point, 3, colour(name).filled())))?;
        }
        draw_names(&legend, series)?;
        root.present()?;
    }
    Ok(styled(svg))
}

/// The names of the series, in the order of their last points from above.
fn draw_names(area: &DrawingArea<SVGBackend, plotters::coord::Shift>, series: &[Series]) -> Result<(), Failure> {
    let mut ends: Vec<_> = series.iter().filter_map(|(name, points)| Some((name, points.last()?.1))).collect();
    ends.sort_by(|one, other| other.1.total_cmp(&one.1));
    for (line, (name, _)) in ends.into_iter().enumerate() {
        let y = 24 + 20 * line as i32;
        area.draw(&Circle::new((12, y), 5, colour(name).filled()))?;
        let weight = if name.starts_with("slipring") { INK } else { FAINT };
        area.draw(&Text::new(name.clone(), (24, y), font(13, weight).pos(Pos::new(HPos::Left, VPos::Center))))?;
    }
    Ok(())
}

/// One bar.
pub(super) struct Bar {
    /// What stands beside it.
    pub(super) label: String,
    /// Whose colour it has.
    pub(super) contestant: String,
    /// How long it is.
    pub(super) value: f64,
    /// What stands behind it.
    pub(super) text: String,
}

/// Groups of bars below each other, each group with a heading, on a scale of its own: logarithmic if its values differ by
/// more than a factor of thirty.
pub(super) fn bars(title: &str, groups: &[(String, Vec<Bar>)]) -> Result<String, Failure> {
    let lines: usize = groups.iter().map(|(_, bars)| bars.len()).sum();
    let height = 44 + 34 * groups.len() + 24 * lines;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (860, height as u32)).into_drawing_area();
        let left = |size, colour| font(size, colour).pos(Pos::new(HPos::Left, VPos::Center));
        root.draw(&Text::new(title.to_string(), (8, 20), left(17, INK)))?;
        let mut y = 50;
        for (heading, bars) in groups {
            root.draw(&Text::new(heading.clone(), (8, y), left(13, FAINT)))?;
            y += 22;
            for bar in bars {
                let own = font(13, if bar.contestant.starts_with("slipring") { INK } else { FAINT });
                let label = own.clone().pos(Pos::new(HPos::Right, VPos::Center));
                root.draw(&Text::new(bar.label.clone(), (200, y), label))?;
                let end = 210 + (480.0 * length(bar.value, bars)) as i32;
                root.draw(&Rectangle::new([(210, y - 8), (end.max(212), y + 8)], colour(&bar.contestant).filled()))?;
                let text = own.pos(Pos::new(HPos::Left, VPos::Center));
                root.draw(&Text::new(bar.text.clone(), (end.max(212) + 8, y), text))?;
                y += 24;
            }
            y += 12;
        }
        root.present()?;
    }
    Ok(styled(svg))
}

/// How long a bar is, from 0 to 1.
fn length(value: f64, bars: &[Bar]) -> f64 {
    let values = || bars.iter().map(|bar| bar.value).filter(|value| *value > 0.0);
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    if high > 30.0 * low { (value / low * 3.0).ln().max(0.0) / (high / low * 3.0).ln() } else { value / high }
}

/// Text of so many pixels. (The library counts the height of a font's box, and writes that divided by 1.24.)
fn font(size: u32, colour: RGBColor) -> TextStyle<'static> {
    ("sans-serif", f64::from(size) * 1.24).into_font().color(&colour)
}

/// The picture, with a style of its own, and as large as there is room for it.
fn styled(svg: String) -> String {
    let svg = svg.replacen('>', &format!(">{STYLE}"), 1);
    svg.replace("font-family=\"sans-serif\"", "")
}

/// A logarithmic axis with marks of its own.
struct Log {
    range: Range<f64>,
    marks: Vec<f64>,
    show: fn(f64) -> String,
}

impl Log {
    fn new(range: Range<f64>, axis: &Axis) -> Self {
        let powers = || (-3..13).map(|power| 10f64.powi(power));
        let marks = if axis.marks.is_empty() { powers().collect() } else { axis.marks.clone() };
        Log { marks: marks.into_iter().filter(|mark| range.contains(mark)).collect(), range, show: axis.show }
    }
}

impl Ranged for Log {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let part = (value / self.range.start).ln() / (self.range.end / self.range.start).ln();
        from + (f64::from(to - from) * part.clamp(0.0, 1.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.marks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Log {
    fn format_ext(&self, value: &f64) -> String {
        (self.show)(*value)
    }
}
