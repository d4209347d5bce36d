//! What commands print: lines, JSON (one object a line), and tables with aligned columns.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;
use serde_json::Value;

/// Prints one object as JSON on one line.
pub(crate) fn json(out: &mut impl Write, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value)?;
    Ok(writeln!(out, "{text}")?)
}

/// Prints each object as JSON on a line of its own.
pub(crate) fn json_lines<T: Serialize>(values: &[T]) -> Result<()> {
    let mut out = io::stdout().lock();
    values.iter().try_for_each(|value| json(&mut out, value))
}

/// Prints one line to stdout.
pub(crate) fn line(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout().lock(), "{text}")?)
}

/// Prints one line to stderr; where stderr is closed there is nobody to tell.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says on stderr that a list is not all there is.
pub(crate) fn note_more(next_page_token: &str) {
    if !next_page_token.is_empty() {
        note("there are more: --limit N shows up to 1000");
    }
}

/// Rows under a heading, each column as wide as its widest cell.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table of these columns.
    pub(crate) fn new(heading: [&str; N]) -> Self {
        Self { rows: vec![heading.map(str::to_owned)] }
    }

    /// One more row.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| one_line(&cell)));
    }

    /// Prints it, with `indent` spaces before each row.
    pub(crate) fn write(&self, out: &mut impl Write, indent: usize) -> io::Result<()> {
        let widths: [usize; N] = std::array::from_fn(|column| {
            self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)
        });
        for row in &self.rows {
            let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(out, "{:indent$}{}", "", line.trim_end())?;
        }
        Ok(())
    }

    /// Prints it to stdout.
    pub(crate) fn print(&self) -> Result<()> {
        Ok(self.write(&mut io::stdout().lock(), 0)?)
    }
}

/// The text without line breaks and control characters: what others wrote must not steer a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let plain: String = plain.collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most `most` characters of the text, the last one an ellipsis where something is missing.
pub(crate) fn short(text: &str, most: usize) -> String {
    let text = one_line(text);
    if text.chars().count() <= most {
        return text;
    }
    let head: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", head.trim_end())
}

/// A field of an analysis as text: lists joined by commas, nothing when it is absent.
pub(crate) fn field(output: &Value, name: &str) -> String {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match output.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::Array(items)) => {
            let words = items.iter().map(|item| {
                ["term", "word", "text"].iter().find_map(|k| item.get(k)).map_or_else(|| plain(item), plain)
            });
            words.collect::<Vec<_>>().join(", ")
        }
        Some(value) => plain(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["NAME", "N"]);
        table.row(["longer\u{1b}[2J".into(), "1".into()]);
        let mut out = Vec::new();
        table.write(&mut out, 1).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), " NAME        N\n longer [2J  1\n");
    }

    #[test]
    fn lists_are_joined_and_long_texts_cut() {
        let output = serde_json::json!({"keywords": ["a", {"term": "b"}], "n": 3});
        assert_eq!(
            (field(&output, "keywords"), field(&output, "n"), field(&output, "x")),
            ("a, b".into(), "3".into(), String::new())
        );
        assert_eq!(short("one two three", 8), "one two…");
    }
}
