//! Draws an expression with a caret under its fault, for terminals and log lines in a fixed-width face.

use unicode_width::UnicodeWidthChar;

use super::QueryError;

/// Columns kept on either side of the fault; what is further away is clipped to an ellipsis.
const REACH: usize = 36;

impl QueryError {
    /// Two lines: the `expression` (the one that was refused) around the fault, and `^` under it. Wide characters count
    /// two columns, combining ones none (UAX #11); line breaks, tabs and other controls are drawn as one space.
    pub fn caret(&self, expression: &str) -> String {
        let offset = expression.floor_char_boundary(self.offset);
        let (before, after) = expression.split_at(offset);
        let start = offset - reach(before.chars().rev());
        let end = offset + reach(after.chars());

        let mut line = String::from(if start > 0 { "…" } else { "" });
        line.extend(expression[start..offset].chars().map(shown));
        let column: usize = line.chars().map(width).sum();
        line.extend(expression[offset..end].chars().map(shown));
        if end < expression.len() {
            line.push('…');
        }
        format!("{line}\n{:column$}^", "")
    }
}

/// How many bytes of these characters fit into [`REACH`] columns.
fn reach(chars: impl Iterator<Item = char>) -> usize {
    let mut columns = 0;
    chars
        .take_while(|&c| {
            columns += width(shown(c));
            columns <= REACH
        })
        .map(char::len_utf8)
        .sum()
}

fn shown(c: char) -> char {
    if c.is_control() || c.is_whitespace() { ' ' } else { c }
}

fn width(c: char) -> usize {
    c.width().unwrap_or(0)
}
