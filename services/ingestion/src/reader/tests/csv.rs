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

fn told(items: &[Item]) -> Vec<(u64, Option<u64>, Severity)> {
    faults(items).iter().map(|fault| (fault.line, fault.column, fault.severity)).collect()
}

#[test]
fn a_quote_left_open_is_a_fault_where_the_field_begins() {
    let items = read("title,body\nOne,a\nTwo,\"unclosed\nThree,b\nFour,c\n");
    assert_eq!(records(&items).len(), 1);
    assert_eq!(told(&items), [(3, Some(2), Severity::Fatal)]);
    let text = faults(&items)[0].to_string();
    assert!(text.contains("never closed") && text.contains("close the quote"), "{text}");
    let later = read("title,body\n\"a\nb\",\"unclosed\n");
    assert_eq!(told(&later), [(3, Some(2), Severity::Fatal)]);
    assert_eq!(told(&read("id,\"body\n1,a\n2,b\n")), [(1, Some(2), Severity::Fatal)]);
    for end in ["1,\"", "1,\"a\"\"", "\"", "1,\"a\r"] {
        assert_eq!(told(&read(&format!("id,body\n{end}")))[0].2, Severity::Fatal, "{end:?}");
    }
}

#[test]
fn a_quote_that_closes_at_a_later_one_is_a_fault_and_the_rows_behind_are_read() {
    let items = read("title,body\nTwo,\"unclosed\nThree,\"b\"\nFour,c\nFive,\"d\" e\n\"f\"\"\",g\n");
    assert_eq!(told(&items), [(2, Some(2), Severity::Rejected), (5, Some(2), Severity::Rejected)]);
    let titles: Vec<_> = records(&items).iter().map(|record| record.document.title.clone()).collect();
    assert_eq!(titles, ["Four", "f\""]);
    assert!(faults(&items)[0].to_string().contains("twice (\"\")"), "{}", faults(&items)[0]);
}

#[test]
fn a_quote_left_open_is_told_rather_than_the_length_that_comes_of_it() {
    let options = Options { max_record: 64, ..Options::default() };
    let text = format!("id,body\n1,a\n2,\"{}", "x,\n".repeat(5_000));
    let items = all(text.as_bytes(), Format::Csv, &options);
    assert_eq!(told(&items), [(3, Some(2), Severity::Fatal)]);
    assert!(faults(&items)[0].message.contains("never closed"), "{}", faults(&items)[0]);
}

#[test]
fn a_quote_within_a_field_is_text() {
    let items = read("id,body\n1,a 5\" pipe\n2, \"b\"\n");
    let bodies: Vec<_> = records(&items).iter().map(|record| record.document.body.clone()).collect();
    assert_eq!((bodies, faults(&items).len()), (vec!["a 5\" pipe".to_owned(), " \"b\"".to_owned()], 0));
}

#[test]
fn bare_carriage_returns_end_lines_and_are_counted() {
    let items = read("id,body\r1,a\r\r2,\r\"3\",c\r4,\"d\rd\"\r5,e");
    let lines: Vec<_> = records(&items).iter().map(|record| record.line).collect();
    assert_eq!((lines, told(&items)), (vec![2, 5, 6, 7], vec![(4, None, Severity::Rejected)]));
}

#[test]
fn a_mark_before_a_quoted_header_and_a_last_line_without_an_end_are_read() {
    let items = read("\u{feff}\"id\",\"body\"\n1,a\n2,\"b\"");
    assert_eq!((records(&items).len(), faults(&items).len()), (2, 0));
}

#[test]
fn a_nul_swallows_nothing() {
    let items = read("id,body\n1,a\0b\n\0,\0\n3,c\n");
    assert_eq!(records(&items).len() + faults(&items).len(), 3);
}

#[test]
fn a_column_without_a_name_is_told_by_its_number() {
    let items = read(",body,\n0,a,\n1,b,\n");
    assert_eq!((records(&items).len(), told(&items)), (2, vec![(1, Some(1), Severity::Warning)]));
    assert_eq!(faults(&items)[0].field, None);
}

#[test]
fn two_columns_of_one_name_are_a_fault_and_two_names_of_one_field_have_an_order() {
    let items = read("id,body,Body\n1,a,b\n");
    assert_eq!(told(&items), [(1, Some(3), Severity::Fatal)]);
    assert!(records(&items).is_empty() && faults(&items)[0].mend.contains("rename"));
    assert_eq!(records(&read("content,body\na,b\n"))[0].document.body, "b");
}
