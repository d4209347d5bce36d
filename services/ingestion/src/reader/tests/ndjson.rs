//! NDJSON line by line.

use super::*;

fn read(text: &str) -> Vec<Item> {
    all(text.as_bytes(), Format::Ndjson, &Options::default())
}

#[test]
fn every_field_is_read_under_each_of_its_names() {
    let items = read(
        "\u{feff}{\"id\": 7, \"title\": \"T\", \"text\": \"B\", \"url\": \"http://a/\", \"date\": \"2026-05-01\",\r\n\
         {\"external_id\": \"x\", \"id\": \"y\", \"Body\": \"B\", \"content\": \"no\", \"published_at\": \"2026-05-01T02:00:00+02:00\",\
         \"source\": \"s\", \"content_type\": \"text/html\", \"title\": null}\r\n\r\n   \n\
         {\"id\": 7, \"title\": \"T\", \"text\": \"B\", \"url\": \"http://a/\", \"date\": \"2026-05-01\"}",
    );
    let records = records(&items);
    let midnight: tidemill_kernel::Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();
    let html = NewDocument {
        source: "s".into(),
        external_id: "x".into(),
        body: "B".into(),
        content_type: ContentType::Html,
        published_at: Some(midnight),
        ..NewDocument::default()
    };
    assert_eq!((&records[0].document, records[0].line), (&html, 2));
    assert_eq!(records[1].document.external_id, "7");
    assert_eq!((records[1].document.published_at, records[1].line), (Some(midnight), 5));
    assert_eq!(faults(&items)[0].line, 1);
}

#[test]
fn malformed_json_is_reported_by_line_and_column_and_the_rest_is_read() {
    let items =
        read("{\"body\": \"a\"}\n{\"body\": \"b\" \"c\"}\n[{\"body\": 1}]\n{\"body\": \"d\"}\n{\"body\":");
    let faults = faults(&items);
    assert_eq!(records(&items).len(), 2);
    assert_eq!(
        faults.iter().map(|fault| (fault.line, fault.column)).collect::<Vec<_>>(),
        [(2, Some(14)), (3, Some(1)), (5, Some(8))]
    );
    assert!(
        faults[0].to_string().starts_with("line 2, column 14: not a document in JSON: expected `,` or `}`")
    );
    assert!(faults[1].mend.contains("not an array"));
    assert!(faults.iter().all(|fault| fault.severity == Severity::Rejected));
}

#[test]
fn a_wrong_value_names_its_field_and_what_is_expected() {
    let items = read(
        "{\"body\": [1, {\"a\": 2}]}\n{\"title\": \"no body\"}\n{\"body\": \"b\", \"date\": \"yesterday\"}\n\
         {\"body\": \"b\", \"content_type\": \"pdf\"}\n{\"body\": {}, \"title\": true}\n",
    );
    let told: Vec<_> =
        faults(&items).iter().map(|fault| (fault.field.clone().unwrap(), fault.message.clone())).collect();
    let expected = [
        ("body", "is an array"),
        ("body", "is missing or blank"),
        ("date", "`yesterday` is not a time"),
        ("content_type", "is `pdf`"),
        ("body", "is an object"),
    ];
    assert_eq!(told, expected.map(|(field, message)| (field.to_owned(), message.to_owned())));
}

#[test]
fn an_unknown_field_is_a_warning_once_and_a_fault_when_strict() {
    let text =
        "{\"body\": \"a\", \"label\": 3}\n{\"body\": \"b\", \"label\": {\"x\": []}, \"authors\": []}\n";
    let items = read(text);
    let told: Vec<_> =
        faults(&items).iter().map(|fault| (fault.line, fault.field.clone().unwrap())).collect();
    assert_eq!(told, [(1, "label".to_owned()), (2, "authors".to_owned())]);
    assert!(faults(&items).iter().all(|fault| fault.severity == Severity::Warning));
    assert_eq!(records(&items).len(), 2);
    let strict = all(text.as_bytes(), Format::Ndjson, &Options { strict: true, ..Options::default() });
    assert_eq!((records(&strict).len(), faults(&strict).len()), (0, 2));
}

#[test]
fn unknown_names_are_bounded() {
    let text: String = (0..1000).map(|i| format!("{{\"body\": \"b\", \"n{i}\": 0}}\n")).collect();
    let items = read(&text);
    assert_eq!((records(&items).len(), faults(&items).len()), (1000, 65));
    assert!(faults(&items)[64].message.contains("more than 64"));
}

#[test]
fn invalid_utf_8_is_reported_with_its_byte() {
    let items = all(
        b"{\"body\": \"a\"}\n{\"body\": \"\xff\"}\n{\"body\": \"c\"}\n",
        Format::Ndjson,
        &Options::default(),
    );
    let fault = faults(&items)[0];
    assert_eq!((records(&items).len(), fault.line, fault.column), (2, 2, Some(11)));
    assert!(fault.message.contains("byte 24 of the file"), "{fault}");
}

#[test]
fn a_file_in_utf_16_is_one_clear_fault() {
    let items = all(b"\xff\xfe{\0\n\0{\0\n\0", Format::Ndjson, &Options::default());
    assert_eq!((items.len(), faults(&items)[0].severity), (1, Severity::Fatal));
}

#[test]
fn a_line_over_the_limit_is_skipped_with_its_size() {
    let just = "{\"body\": \"1234567\"}";
    let text = format!("{just}\r\n{{\"body\": \"12345678\"}}\n{just}");
    let items =
        all(text.as_bytes(), Format::Ndjson, &Options { max_record: just.len(), ..Options::default() });
    let fault = faults(&items)[0];
    assert_eq!((records(&items).len(), fault.line), (2, 2));
    assert!(
        fault.message.contains("is 20 bytes; at most 19") && fault.mend.contains("--max-record"),
        "{fault}"
    );
}

#[test]
fn a_hundred_megabytes_without_a_line_end_are_never_held() {
    let input = BufReader::new(std::io::Read::take(std::io::repeat(b'x'), 100 << 20));
    let mut lines = crate::reader::lines::Lines::new(input, Position::START, 1 << 10);
    assert_eq!(lines.next().unwrap(), Some(crate::reader::lines::Line::TooLong(100 << 20)));
    assert!(lines.capacity() < 8 << 10);
}

#[test]
fn every_line_of_the_shared_files_is_a_document() {
    let root = std::env::var("TIDEMILL_SHARED").unwrap_or_else(|_| "../../../shared".to_owned());
    for (name, expected) in [("dbpedia-abstracts.jsonl", 14_000), ("rust-blog.jsonl", 750)] {
        let Ok(file) = std::fs::File::open(Path::new(&root).join("data").join(name)) else {
            println!("skipped: {name} is not there");
            continue;
        };
        let items: Vec<Item> = open(BufReader::new(file), Format::Ndjson, Options::default()).collect();
        assert_eq!((records(&items).len(), faults(&items).len()), (expected, 1), "{name}");
        for record in records(&items) {
            crate::document::prepare(record.document.clone(), &crate::document::Limits::default()).unwrap();
        }
    }
}

#[test]
fn what_follows_an_object_on_its_line_is_a_fault_and_nothing_of_the_line_is_read() {
    let items = read(
        "{\"body\": \"a\"}{\"body\": \"b\"}\n{\"body\": \"c\"} x\n{\"body\": \"d\"} \t\r\n{\"body\": \"e\"},\n\u{feff}{\"body\": \"f\"}\n",
    );
    assert_eq!((records(&items).len(), records(&items)[0].line), (1, 3));
    let told: Vec<_> = faults(&items).iter().map(|fault| (fault.line, fault.column)).collect();
    assert_eq!(told, [(1, Some(14)), (2, Some(15)), (4, Some(14)), (5, Some(1))]);
}

#[test]
fn bare_carriage_returns_and_nuls_swallow_nothing_unsaid() {
    let items = read("{\"body\": \"a\"}\r{\"body\": \"b\"}\r\n\0\n{\"body\": \"c\0\"}\n{\"body\": \"d\"}");
    assert_eq!(records(&items).len(), 1);
    assert_eq!(faults(&items).iter().map(|fault| fault.line).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn characters_split_over_reads_are_whole() {
    let text = "\u{feff}{\"body\": \"Gezeitenmühle 🌊 潮\"}\r\n{\"body\": \"é\"}";
    for size in 1..9 {
        let input = BufReader::with_capacity(size, text.as_bytes());
        let items: Vec<Item> = open(input, Format::Ndjson, Options::default()).collect();
        let bodies: Vec<_> = records(&items).iter().map(|record| record.document.body.clone()).collect();
        assert_eq!(bodies, ["Gezeitenmühle 🌊 潮", "é"]);
    }
}
