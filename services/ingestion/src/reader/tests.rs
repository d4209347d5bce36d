//! NDJSON and CSV: good files, every fault, and resuming.

mod csv;
mod ndjson;
mod quotes;

use std::io::{BufReader, Cursor};

use proptest::prelude::*;

use super::*;

type Item = Result<Record, ReadFault>;

fn all(input: &[u8], format: Format, options: &Options) -> Vec<Item> {
    // A small buffer makes records cross its ends.
    open(BufReader::with_capacity(16, input), format, options.clone()).collect()
}

fn records(items: &[Item]) -> Vec<&Record> {
    items.iter().filter_map(|item| item.as_ref().ok()).collect()
}

fn faults(items: &[Item]) -> Vec<&ReadFault> {
    items.iter().filter_map(|item| item.as_ref().err()).collect()
}

#[test]
fn a_format_is_known_by_its_extension() {
    assert_eq!(Format::of(Path::new("a/b.JSONL")), Some(Format::Ndjson));
    assert_eq!(Format::of(Path::new("b.csv")), Some(Format::Csv));
    assert_eq!(Format::of(Path::new("csv")), None);
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let ndjson = "[a-z\n\"\\\\]{0,9}".prop_map(|body| {
        serde_json::to_vec(&serde_json::json!({ "id": body.len(), "body": body, "extra": [1] })).unwrap()
    });
    let csv = "[a-c]{0,3},(\"[a-c,\r\n]{0,4}\"|[a-c]{0,4})".prop_map(String::into_bytes);
    prop_oneof![4 => ndjson, 4 => csv, 1 => proptest::collection::vec(any::<u8>(), 0..40)]
}

fn file() -> impl Strategy<Value = Vec<u8>> {
    let end = prop::sample::select(vec![&b"\n"[..], b"\r\n", b"\n\n", b"\r"]);
    let lines = proptest::collection::vec((line(), end), 0..12);
    let start = prop_oneof![Just(&b""[..]), Just(&b"\xef\xbb\xbf"[..]), Just(&b"id,body\n"[..])];
    (start, lines).prop_map(|(start, lines)| {
        let lines = lines.into_iter().flat_map(|(line, end)| [line, end.to_vec()].concat());
        start.iter().copied().chain(lines).collect()
    })
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic_or_lose_its_place(input in file(), csv: bool, max in 0..60_usize) {
        let format = if csv { Format::Csv } else { Format::Ndjson };
        let items = all(&input, format, &Options { max_record: max, ..Options::default() });
        let mut offset = 0;
        for next in items.iter().map(|item| item.as_ref().map_or_else(|fault| fault.next, |record| record.next)) {
            prop_assert!(next.offset >= offset && next.offset <= u64::try_from(input.len()).unwrap());
            offset = next.offset;
        }
    }

    #[test]
    fn resuming_after_any_record_yields_the_same_rest(input in file(), csv: bool) {
        let format = if csv { Format::Csv } else { Format::Ndjson };
        let items = all(&input, format, &Options::default());
        for (i, item) in items.iter().enumerate() {
            let Ok(record) = item else { continue };
            let input = BufReader::with_capacity(16, Cursor::new(&input));
            let rest: Vec<Item> = resume(input, format, record.next, Options::default()).unwrap().collect();
            prop_assert_eq!(records(&rest), records(&items[i + 1..]));
            let lost = |items: &[Item]| {
                let lost = faults(items).into_iter().filter(|fault| fault.severity != Severity::Warning);
                lost.cloned().collect::<Vec<_>>()
            };
            prop_assert_eq!(lost(&rest), lost(&items[i + 1..]));
        }
    }
}
