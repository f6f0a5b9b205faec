//! The figures, for people and for programs.

mod charts;
mod draw;
mod html;
mod row;
mod table;

pub(crate) use row::Row;
pub(crate) use table::tables;

use crate::harness::plan::Failure;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// One JSON object per line for every figure; `-` is standard output.
pub(crate) fn write_json(path: &Path, rows: &[Row]) -> Result<(), Failure> {
    let mut out: Box<dyn Write> =
        if path.as_os_str() == "-" { Box::new(io::stdout()) } else { Box::new(File::create(path)?) };
    for row in rows {
        writeln!(out, "{}", serde_json::to_string(row)?)?;
    }
    Ok(())
}

/// The figures of earlier runs. Of one that is in several files, the last one counts.
pub(crate) fn read_json(paths: &[impl AsRef<Path>]) -> Result<Vec<Row>, Failure> {
    let mut rows: Vec<Row> = Vec::new();
    let mut known = HashMap::new();
    for path in paths {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let row: Row = serde_json::from_str(line).map_err(|error| format!("{}: {error}", path.display()))?;
            let at = *known.entry(row.key()).or_insert(rows.len());
            if at == rows.len() { rows.push(row) } else { rows[at] = row }
        }
    }
    Ok(rows)
}

/// Writes the page and its charts: `report.html`, the charts as files of their own, and the figures. A path that ends in
/// `.html` names the page, and the rest is put beside it.
pub(crate) fn write(path: &Path, rows: &[Row]) -> Result<(), Failure> {
    let is_page = path.extension().is_some_and(|extension| extension == "html");
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let (folder, page) = if is_page { (parent, path.to_path_buf()) } else { (path, path.join("report.html")) };
    fs::create_dir_all(folder)?;
    let charts = charts::all(rows)?;
    for chart in &charts {
        fs::write(folder.join(format!("{}.svg", chart.name)), &chart.svg)?;
    }
    write_json(&folder.join("figures.json"), rows)?;
    fs::write(page, html::page(rows, &charts)?)?;
    Ok(())
}
