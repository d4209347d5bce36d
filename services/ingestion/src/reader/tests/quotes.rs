//! The quotes of rows against a naive reading of RFC 4180, field by field.

use super::*;
use crate::reader::quotes::Place;
use crate::reader::rows::{Row, Rows};

/// How the quotes of one row end, by cutting it into fields.
fn naive(row: &str) -> &'static str {
    let (mut rest, mut torn) = (row, false);
    loop {
        if let Some(quoted) = rest.strip_prefix('"') {
            // A doubled quote becomes two bytes that are none.
            let plain = quoted.replace("\"\"", "xx");
            let Some(end) = plain.find('"') else { return "open" };
            rest = &quoted[end + 1..];
            torn |= !rest.is_empty() && !rest.starts_with(',');
        }
        match rest.split_once(',') {
            Some((_, behind)) => rest = behind,
            None => return if torn { "torn" } else { "whole" },
        }
    }
}

fn rows(text: &[u8], chunk: usize) -> Vec<(Row, Position)> {
    let mut rows = Rows::new(BufReader::with_capacity(chunk, text), Position::START, usize::MAX);
    std::iter::from_fn(|| rows.next().unwrap().map(|(_, row)| (row, rows.position()))).collect()
}

/// Rows of two fields, the second one in quotes, and the line end behind each.
fn table() -> impl Strategy<Value = Vec<(String, String, &'static str)>> {
    let end = prop::sample::select(vec!["\n", "\r\n", "\r", "\n\n"]);
    proptest::collection::vec(("[a-c\"\n,]{0,6}", "[a-cé\"\n,]{0,6}", end), 1..8)
}

fn written(table: &[(String, String, &str)]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    table.iter().map(|(one, two, end)| format!("{},{}{end}", quoted(one), quoted(two))).collect()
}

proptest! {
    #[test]
    fn quotes_are_judged_as_a_naive_reading_does(text in "[a,\"\n]{0,24}", chunk in 1..9_usize) {
        let mut start = 0;
        for (row, next) in rows(text.as_bytes(), chunk) {
            let end = usize::try_from(next.offset).unwrap();
            let told = match row {
                Row::Whole => "whole",
                Row::TooLong(_) => "too long",
                Row::Open(_) => "open",
                Row::Torn(_) => "torn",
            };
            // The blank lines before it and its line end are no part of a row.
            let row = text[start..end].trim_start_matches('\n');
            let row = if told == "open" { row } else { row.trim_end_matches('\n') };
            prop_assert_eq!(told, naive(row), "{:?}", row);
            start = end;
        }
    }

    #[test]
    fn what_is_quoted_well_is_read_back(table in table(), chunk in 1..9_usize) {
        let text = written(&table);
        let mut rows = Rows::new(BufReader::with_capacity(chunk, text.as_bytes()), Position::START, usize::MAX);
        for (one, two, _) in &table {
            let (_, row) = rows.next().unwrap().unwrap();
            prop_assert_eq!(row, Row::Whole);
            let fields: Vec<_> = rows.fields().map(<[u8]>::to_vec).collect();
            prop_assert_eq!(fields, [one.as_bytes().to_vec(), two.as_bytes().to_vec()]);
        }
        prop_assert_eq!(rows.next().unwrap(), None);
        let lines: usize =
            table.iter().map(|(one, two, end)| [one, two, *end].map(|text| text.matches('\n').count()).iter().sum::<usize>() + usize::from(*end == "\r")).sum();
        prop_assert_eq!(rows.position().line, u64::try_from(lines + 1).unwrap());
    }

    #[test]
    fn a_file_cut_within_quotes_is_open_where_they_begin(table in table(), chunk in 1..9_usize) {
        let text = written(&table);
        let (_, last, _) = table.last().unwrap();
        // Up to the text of the last field, which then holds no closing quote.
        let head = text.trim_end_matches(['\n', '\r']).len() - last.replace('"', "\"\"").len() - 1;
        let begins = text[..head].replace("\r\n", "\n").replace('\r', "\n").matches('\n').count() + 1;
        let cut = format!("{}{}", &text[..head], last.replace('"', ""));
        let (row, next) = *rows(cut.as_bytes(), chunk).last().unwrap();
        prop_assert_eq!(row, Row::Open(Place { line: u64::try_from(begins).unwrap(), field: 2 }));
        prop_assert_eq!(next.offset, u64::try_from(cut.len()).unwrap());
    }
}
