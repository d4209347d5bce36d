//! What a prepared document holds.

use proptest::prelude::*;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::*;

fn new(title: &str, body: &str, content_type: ContentType) -> NewDocument {
    NewDocument { title: title.into(), body: body.into(), content_type, ..NewDocument::default() }
}

fn prepared(title: &str, body: &str, content_type: ContentType) -> Document {
    prepare(new(title, body, content_type), &Limits::default()).unwrap()
}

#[test]
fn text_is_made_regular_and_its_indentation_kept() {
    let document =
        prepared(" A\n title\0 ", "\r\n \nfirst \t\r\n\r\n\n\n    code\x07\rlast\0\n\n", ContentType::Text);
    assert_eq!((document.title.as_str(), document.body.as_str()), ("A title", "first\n\n    code\nlast"));
}

#[test]
fn the_same_content_is_the_same_document_whatever_its_source() {
    let one = prepared("T", "body\r\n", ContentType::Text);
    let other = NewDocument {
        source: "elsewhere".into(),
        external_id: "7".into(),
        url: "https://example.org/a".into(),
        ..new("<T>", "<title>T</title><p>body</p>", ContentType::Html)
    };
    let other = prepare(NewDocument { title: String::new(), ..other }, &Limits::default()).unwrap();
    assert_eq!((one.id, one.content_hash), (other.id, other.content_hash));
    assert_eq!(one.id.as_bytes(), &one.content_hash[..16]);
    assert_ne!(one.id, prepared("T2", "body", ContentType::Text).id);
}

#[test]
fn the_hash_is_sha_256_of_title_nul_body() {
    let expected: [u8; 32] = Sha256::digest(b"T\0body").into();
    assert_eq!(prepared("T", "body", ContentType::Text).content_hash, expected);
}

#[test]
fn the_same_text_is_the_same_document_however_its_accents_are_spelled() {
    let text = "Ångström trank Kaffee im Café, 한글 auch. ";
    for (title, body) in [("Café", text.repeat(3)), ("", text.repeat(9)), (&"é".repeat(900)[..], text.into())]
    {
        let spelled = |form: fn(&str) -> String| prepared(&form(title), &form(&body), ContentType::Text);
        let composed = spelled(|text| text.nfc().collect());
        let decomposed = spelled(|text| text.nfd().collect());
        assert_eq!(composed, decomposed);
        assert!(is_nfc(&composed.title) && is_nfc(&composed.body));
    }
    let torn = prepared("e\u{0}\u{301}", "e\u{feff}\u{301}", ContentType::Text);
    assert_eq!((torn.title.as_str(), torn.body.as_str()), ("é", "é"));
    let html = prepared("", "<p>e&#x301;</p>", ContentType::Html);
    assert_eq!((html.title.as_str(), html.body.as_str()), ("é", "é"));
}

#[test]
fn a_missing_title_comes_from_the_text() {
    let long = format!("\n\n{}", "word ".repeat(40));
    let cases = [
        ("\n  First line \nsecond", ContentType::Text, "First line"),
        (&long, ContentType::Text, &format!("{}…", "word ".repeat(16).trim_end())),
        ("intro\n\n## A *fine* `day` ##\n", ContentType::Markdown, "A fine day"),
        ("```\n# no\n```\n\nSetext\n===\n", ContentType::Markdown, "Setext"),
        ("---\nlayout: post\n---\n\n# Head\n", ContentType::Markdown, "Head"),
        ("---\ntitle: \"Named\"\n---\n\n# Head\n", ContentType::Markdown, "Named"),
        ("+++\ntitle = 'Toml'\n+++\nText\n", ContentType::Markdown, "Toml"),
        ("Only [a](https://b.c) paragraph\n", ContentType::Markdown, "Only a paragraph"),
        ("<h1>Head</h1><p>text", ContentType::Html, "Head"),
        ("<p>No head at all</p>", ContentType::Html, "No head at all"),
    ];
    for (body, content_type, title) in cases {
        assert_eq!(prepared("", body, content_type).title, title, "{body}");
    }
}

#[test]
fn a_title_is_cut_at_a_character() {
    assert_eq!(prepared(&"ö".repeat(1000), "b", ContentType::Text).title, "ö".repeat(512));
}

#[test]
fn a_body_without_text_is_refused() {
    for (body, content_type) in [
        ("", ContentType::Text),
        (" \n\0\u{feff}\t", ContentType::Markdown),
        ("<script>x</script><img src=a>", ContentType::Html),
    ] {
        let error = prepare(new("T", body, content_type), &Limits::default()).unwrap_err();
        assert_eq!((error.field(), &error), ("body", &DocumentError::Empty));
    }
}

#[test]
fn an_oversized_body_names_both_sizes() {
    let limits = Limits { max_body: 10, max_markup: 40, ..Limits::default() };
    let error = prepare(new("T", "12345678901", ContentType::Text), &limits).unwrap_err();
    assert_eq!(
        error,
        DocumentError::Oversized { actual: 11, limit: 10, setting: "ingestion.document.max_body" }
    );
    let violation = error.violation();
    assert_eq!(violation.field, "body");
    assert!(violation.description.contains("11 bytes") && violation.description.contains("10"));
    assert!(prepare(new("T", "<b title='quite long'>short</b>", ContentType::Html), &limits).is_ok());
    let error = prepare(new("T", &"<b>".repeat(14), ContentType::Html), &limits).unwrap_err();
    assert_eq!(
        error,
        DocumentError::Oversized { actual: 42, limit: 40, setting: "ingestion.document.max_markup" }
    );
}

#[test]
fn only_urls_that_a_reader_can_open_are_taken() {
    let with = |url: &str| {
        prepare(NewDocument { url: url.into(), ..new("T", "b", ContentType::Text) }, &Limits::default())
    };
    for (url, kept) in [
        ("", ""),
        (" https://Example.org ", "https://example.org/"),
        ("http://a/b?c", "http://a/b?c"),
        ("file:///tmp/a", "file:///tmp/a"),
    ] {
        assert_eq!(with(url).unwrap().url, kept);
    }
    for url in ["javascript:alert(1)", "/relative", "http://", "ftp://a/b"] {
        assert_eq!(with(url).unwrap_err().field(), "url", "{url}");
    }
    assert!(matches!(
        with(&format!("http://a/{}", "b".repeat(3000))),
        Err(DocumentError::LongName { field: "url", .. })
    ));
}

#[test]
fn a_time_that_no_store_can_hold_is_refused() {
    let with = |micros| {
        let published_at = Some(Timestamp::from_micros(micros));
        prepare(NewDocument { published_at, ..new("T", "b", ContentType::Text) }, &Limits::default())
    };
    for micros in [*PUBLISHED.start(), 0, *PUBLISHED.end()] {
        assert!(with(micros).is_ok());
    }
    for micros in [i64::MIN, PUBLISHED.start() - 1, PUBLISHED.end() + 1, i64::MAX] {
        assert_eq!(with(micros).unwrap_err().field(), "published_at", "{micros}");
    }
}

#[test]
fn content_types_read_names_and_media_types() {
    assert_eq!("Text/HTML; charset=utf-8".parse(), Ok(ContentType::Html));
    assert_eq!("md".parse(), Ok(ContentType::Markdown));
    assert!("application/pdf".parse::<ContentType>().is_err());
}

proptest! {
    #[test]
    fn the_spelling_of_accents_does_not_matter(
        title in "(\\PC|[a-z][\u{300}-\u{345}]{0,3}){0,30}",
        body in "(\\PC|[ \na-z\u{1100}-\u{1112}\u{1161}-\u{1175}\u{300}-\u{345}]){1,120}",
        kind in 0..2_usize, max_title in 5..45_usize,
    ) {
        let content_type = [ContentType::Text, ContentType::Markdown][kind];
        let limits = Limits { max_title, ..Limits::default() };
        let spelled = |form: fn(&str) -> String| prepare(new(&form(&title), &form(&body), content_type), &limits);
        let composed = spelled(|text| text.nfc().collect());
        prop_assert_eq!(&composed, &spelled(|text| text.nfd().collect()));
        prop_assert_eq!(&composed, &spelled(str::to_owned));
    }

    #[test]
    fn preparing_again_changes_nothing(
        title in "\\PC{0,30}|[ \t\u{0}\u{feff}\u{301}ae\n]{0,12}",
        body in "(\\PC|[e\r\n\t \u{85}\u{2028}\u{0}\u{301}<>&;#-]){0,120}",
        kind in 0..3_usize,
    ) {
        let content_type = [ContentType::Text, ContentType::Markdown, ContentType::Html][kind];
        let limits = Limits { max_title: 16, ..Limits::default() };
        if let Ok(once) = prepare(new(&title, &body, content_type), &limits) {
            prop_assert!(!once.title.is_empty() && once.title.len() <= 16);
            prop_assert!(once.body.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'));
            prop_assert!(!once.body.contains("\n\n\n") && !once.body.contains(" \n"));
            prop_assert_ne!(once.content_type, ContentType::Html);
            let twice = prepare(once.clone().into(), &limits).unwrap();
            prop_assert_eq!(once, twice);
        }
    }
}
