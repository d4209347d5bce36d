//! What every benchmark prints: the machine, then tables of figures with their ratio to a limit of the same run.
//!
//! A figure is the best of several rounds: other work on the machine only ever makes a round slower.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its figures")]

use std::fmt::Display;
use std::fs;

/// How much is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// Enough to see that it works; its figures mean little.
    Quick,
    /// What the README's figures were measured with.
    Full,
}

impl Size {
    /// One of two numbers.
    pub(crate) fn of(self, quick: usize, full: usize) -> usize {
        match self {
            Self::Quick => quick,
            Self::Full => full,
        }
    }
}

/// Prints what runs and where. None when it was not `cargo bench` that asked: test runners start every target.
pub(crate) fn begin(name: &str) -> Option<Size> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        eprintln!("run it as: cargo bench -p tidemill-tests --bench {name} [-- --quick]");
        return None;
    }
    let size = if arguments.iter().any(|argument| argument == "--quick") { Size::Quick } else { Size::Full };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    println!("{name}: {cores} cores ({}), load {load} at the start, {size:?} size", processor());
    Some(size)
}

fn processor() -> String {
    let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| "model unknown".to_owned(), |(_, name)| name.to_owned())
}

/// A line of its own.
pub(crate) fn say(text: impl Display) {
    println!("{text}");
}

/// Rows under a head; the first column is text, the others are figures.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with these columns.
    pub(crate) fn new(head: [&str; N]) -> Self {
        Self { rows: vec![head.map(str::to_owned)] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells);
    }

    /// Prints it under a title.
    pub(crate) fn print(&self, title: &str) {
        println!("\n{title}");
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width);
        for row in &self.rows {
            let cells = row.iter().zip(widths).enumerate();
            let cells = cells.map(|(column, (cell, width))| match column {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            println!("  {}", cells.collect::<Vec<_>>().join("   ").trim_end());
        }
    }
}

/// `one` as a share of `other`.
pub(crate) fn ratio(one: f64, other: f64) -> String {
    format!("{:.2}", one / other)
}
