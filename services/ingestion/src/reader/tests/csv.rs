//! CSV row by row.

use super::*;

fn read(text: &str) -> Vec<Item> {
    all(text.as_bytes(), Format::Csv, &Options::default())
}

#[test]
fn quotes_line_breaks_marks_and_line_ends_are_understood() {
    let items = read("\u{feff}ID, Title ,TEXT\r\n\r\n1,\"a \"\"b\"\", c\",\"line\r\nbreak\"\r\n2,,plain\r\n");
    let records = records(&items);
    assert_eq!(records[0].document.title, "a \"b\", c");
    assert_eq!((records[0].document.body.as_str(), records[0].line), ("line\r\nbreak", 3));
    assert_eq!((records[1].document.external_id.as_str(), records[1].line), ("2", 5));
    assert!(faults(&items).is_empty());
}

#[test]
fn a_missing_column_is_one_fault_with_the_columns_found_and_expected() {
    let items = read("TIMESTAMP,ContextTokens\n1,2\n3,4\n");
    let fault = faults(&items)[0];
    assert_eq!((items.len(), fault.severity, fault.field.as_deref()), (1, Severity::Fatal, Some("body")));
    assert!(
        fault.message.contains("`TIMESTAMP`, `ContextTokens`") && fault.mend.contains("body (or text"),
        "{fault}"
    );
}

#[test]
fn ragged_and_wrong_rows_are_reported_by_line_and_the_rest_is_read() {
    let items = read("id,body,date\n1,a\n2,b,2026-05-01\n3,c,,\n4,,\n5,e,soon\n6,f,\n");
    let told: Vec<_> = faults(&items).iter().map(|fault| (fault.line, fault.message.clone())).collect();
    let expected = [
        (2, "the row has 2 fields; the header has 3"),
        (4, "the row has 4 fields; the header has 3"),
        (5, "is missing or blank"),
        (6, "`soon` is not a time"),
    ];
    assert_eq!(told, expected.map(|(line, message)| (line, message.to_owned())));
    assert_eq!(records(&items).iter().map(|record| record.line).collect::<Vec<_>>(), [3, 7]);
}

#[test]
fn an_unknown_column_is_a_warning_and_fatal_when_strict() {
    let items = read("label,body\n1,a\n2,b\n");
    assert_eq!((records(&items).len(), faults(&items)[0].severity), (2, Severity::Warning));
    let strict = all(b"label,body\n1,a\n", Format::Csv, &Options { strict: true, ..Options::default() });
    assert_eq!((strict.len(), faults(&strict)[0].severity), (1, Severity::Fatal));
}

#[test]
fn a_row_over_the_limit_is_skipped_even_with_a_quote_left_open() {
    let options = Options { max_record: 64, ..Options::default() };
    let text = format!("id,body\n1,{}\n2,b\n", "x".repeat(5000));
    let items = all(text.as_bytes(), Format::Csv, &options);
    assert_eq!(records(&items)[0].document.external_id, "2");
    assert!(faults(&items)[0].message.contains("5003 bytes; at most 64"), "{}", faults(&items)[0]);
    let open = all(format!("id,body\n1,\"{}", "x,\n".repeat(5000)).as_bytes(), Format::Csv, &options);
    assert_eq!((open.len(), faults(&open)[0].line), (1, 2));
}

#[test]
fn bytes_that_are_not_utf_8_name_the_field() {
    let items = all(b"id,body\n1,\xff\n2,b\n", Format::Csv, &Options::default());
    assert_eq!((records(&items).len(), faults(&items)[0].column), (1, Some(2)));
}

#[test]
fn an_empty_file_or_a_bare_header_holds_nothing() {
    assert!(read("").is_empty() && read("id,body\n").is_empty() && read("\n\n").is_empty());
}
