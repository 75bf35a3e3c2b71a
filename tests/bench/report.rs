//! The table, and the same as JSON.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

/// One line of the report.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// What was measured, with its unit.
    pub(crate) figure: String,
    /// What it is held against.
    pub(crate) beside: String,
    /// The number that the target speaks of.
    pub(crate) value: f64,
    /// The spread of the rounds.
    pub(crate) spread: Option<(f64, f64)>,
    pub(crate) target: Option<Target>,
}

/// What `value` should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
            Self::AtMost(bound) => write!(f, "<= {bound}"),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn add(&mut self, row: Row) {
        eprintln!("  {}", row.name); // so that a person sees it move
        self.rows.push(row);
    }

    /// A figure of one kind: `value` in `unit`, nothing beside it.
    pub(crate) fn single(&mut self, name: &str, value: f64, unit: &str, target: Option<Target>) {
        let figure = format!("{} {unit}", short(value));
        self.add(Row { name: name.to_owned(), figure, beside: String::new(), value, spread: None, target });
    }

    pub(crate) fn print(&self) {
        let cells: Vec<[String; 5]> = self.rows.iter().map(cells).collect();
        let head = ["what", "figure", "beside", "ratio or value [rounds]", "target"].map(str::to_owned);
        let width = |column: usize| {
            let all = cells.iter().chain([&head]).map(|row| row[column].chars().count());
            all.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..5).map(width).collect();
        for row in [&head].into_iter().chain(&cells) {
            let line: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
            println!("{}", line.join("  ").trim_end());
        }
    }

    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let rows: Vec<Value> = self.rows.iter().map(to_json).collect();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        std::fs::write(path, serde_json::to_vec_pretty(&json!({ "cores": cores, "rows": rows }))?)
    }
}

fn cells(row: &Row) -> [String; 5] {
    let spread = row.spread.map_or(String::new(), |(low, high)| format!(" [{low:.2}-{high:.2}]"));
    let target = row
        .target
        .map_or(String::new(), |target| format!("{target} {}", if target.holds(row.value) { "ok" } else { "MISSED" }));
    [row.name.clone(), row.figure.clone(), row.beside.clone(), format!("{}{spread}", short(row.value)), target]
}

/// Two decimals where they mean something.
fn short(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn to_json(row: &Row) -> Value {
    json!({
        "name": row.name, "figure": row.figure, "beside": row.beside, "value": row.value,
        "low": row.spread.map(|(low, _)| low), "high": row.spread.map(|(_, high)| high),
        "target": row.target.map(|target| target.to_string()),
        "met": row.target.map(|target| target.holds(row.value)),
    })
}

/// The middle of `values`.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The value below which a share of `values` lies; 0 when there are none.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of a length
    let index = ((sorted.len().saturating_sub(1)) as f64 * share).round() as usize;
    sorted.get(index).copied().unwrap_or(0.0)
}

/// The smallest and the largest.
pub(crate) fn spread(values: &[f64]) -> (f64, f64) {
    (values.iter().copied().fold(f64::INFINITY, f64::min), values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}
