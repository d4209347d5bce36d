//! Feeds of every kind, sound and broken.

use super::*;
use crate::document::{Limits, prepare};

const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const BASE: &str = "https://example.org/feed/index.xml";

fn read(text: &str) -> Feed {
    parse(text.as_bytes(), BASE, NOW).unwrap()
}

fn good(feed: &Feed) -> Vec<&NewDocument> {
    feed.entries.iter().filter_map(|entry| entry.as_ref().ok()).collect()
}

fn bad(feed: &Feed) -> Vec<&EntryFault> {
    feed.entries.iter().filter_map(|entry| entry.as_ref().err()).collect()
}

fn atom(entries: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><feed xmlns=\"http://www.w3.org/2005/Atom\"><title>F</title><id>f</id>\
         <updated>2024-01-01T00:00:00Z</updated>{entries}</feed>"
    )
}

#[test]
fn an_atom_entry_becomes_a_document() {
    let feed = read(&atom(
        "<entry><id>urn:1</id><title type=\"html\">A &amp;amp; B</title><link href=\"../a\"/>\
         <summary>short</summary><content type=\"html\">&lt;p&gt;Long &lt;b&gt;text&lt;/b&gt;&lt;/p&gt;</content>\
         <updated>2024-02-01T00:00:00Z</updated><published>2024-01-31T00:00:00Z</published></entry>\
         <entry><id>urn:2</id><title>Future</title><summary>s</summary><updated>2999-01-01T00:00:00Z</updated></entry>\
         <entry><id>urn:3</id><title>Inline</title><content type=\"xhtml\"><div xmlns=\"http://www.w3.org/1999/xhtml\">\
         <p>x</p><p>y</p></div></content></entry>",
    ));
    let documents = good(&feed);
    assert_eq!((feed.title.as_str(), documents.len()), ("F", 3));
    let first = documents[0];
    assert_eq!((first.external_id.as_str(), first.url.as_str()), ("urn:1", "https://example.org/a"));
    assert_eq!((first.title.as_str(), first.body.as_str()), ("A & B", "Long text"));
    assert_eq!(first.published_at, Some("2024-01-31T00:00:00Z".parse().unwrap()));
    assert_eq!((documents[1].body.as_str(), documents[1].published_at), ("s", Some(NOW)));
    assert_eq!(documents[2].body, "x\n\ny");
}

#[test]
fn links_are_resolved_against_xml_base_first() {
    let feed = read(&atom("").replace("<title>F", "<link href=\"x\"/><title>F").replace(
        "</feed>",
        "<entry xml:base=\"https://other.org/b/\"><id>1</id><title>T</title><link href=\"c\"/></entry></feed>",
    ));
    assert_eq!(good(&feed)[0].url, "https://other.org/b/c");
}

#[test]
fn links_in_a_file_are_resolved_against_the_address_that_the_feed_gives_for_itself() {
    let url = |text: &str| {
        let feed = parse(text.as_bytes(), "file:///home/me/feed.xml", NOW).unwrap();
        good(&feed).first().map(|document| document.url.clone()).unwrap()
    };
    let rss = |head: &str, more: &str| {
        format!(
            "<rss version=\"2.0\" xmlns:a=\"http://www.w3.org/2005/Atom\"><channel><title>R</title>{head}\
             <item><guid>1</guid><title>T</title><link>/one</link></item>{more}</channel></rss>"
        )
    };
    let own = "<a:link rel=\"self\" href=\"https://feeds.example.org/x.xml\"/>";
    let site = "<link>https://example.org/blog/</link>";
    assert_eq!(url(&rss(&[own, site].concat(), "")), "https://example.org/one");
    assert_eq!(url(&rss(own, "")), "https://feeds.example.org/one");
    // Also of a feed that is read entry by entry, as its end is missing.
    assert_eq!(url(rss(site, "").trim_end_matches("</channel></rss>")), "https://example.org/one");
    let atom = atom("<entry><id>1</id><title>T</title><link href=\"high\"/></entry>");
    assert_eq!(
        url(&atom.replace("<id>f", "<link href=\"https://example.org/sea/\"/><id>f")),
        "https://example.org/sea/high"
    );
    let json = "{\"version\":\"https://jsonfeed.org/version/1\",\"title\":\"J\",\"home_page_url\":\"https://example.org/\",\
        \"items\":[{\"id\":\"1\",\"url\":\"/j\",\"content_text\":\"c\"}]}";
    assert_eq!(url(json), "https://example.org/j");
    // Without an address of its own, what it names lies beside it.
    assert_eq!(url(&rss("", "").replace("/one", "one.html")), "file:///home/me/one.html");
}

#[test]
fn rss_of_every_version_is_read() {
    let two = read(
        "<rss version=\"2.0\" xmlns:content=\"http://purl.org/rss/1.0/modules/content/\"><channel><title>R</title>\
         <item><title>Fish &amp;amp; chips</title><link>/one</link><description>&lt;i&gt;short&lt;/i&gt;</description>\
         <content:encoded><![CDATA[<p>Full</p>]]></content:encoded><pubDate>Wed, 31 Jan 2024 00:00:00 GMT</pubDate></item>\
         <item><guid>https://example.org/two</guid><description>Only <![CDATA[<b>this</b>]]></description></item>\
         <item><title>Link only</title><link>https://example.org/three</link></item></channel></rss>",
    );
    let documents = good(&two);
    assert_eq!((documents[0].title.as_str(), documents[0].body.as_str()), ("Fish & chips", "Full"));
    assert_eq!(documents[0].url, "https://example.org/one");
    assert_eq!(documents[0].published_at, Some("2024-01-31T00:00:00Z".parse().unwrap()));
    assert_eq!(
        (documents[1].url.as_str(), documents[1].body.as_str()),
        ("https://example.org/two", "Only this")
    );
    assert_eq!(documents[2].body, "Link only");
    let old = read(
        "<rss version=\"0.91\"><channel><title>O</title><item><title>T</title><link>http://a/</link>\
         <description>d</description></item></channel></rss>",
    );
    assert_eq!(good(&old)[0].body, "d");
    let rdf = read(
        "<rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\" xmlns=\"http://purl.org/rss/1.0/\">\
         <channel><title>O</title></channel><item><title>T</title><link>http://a/</link><description>d</description>\
         </item></rdf:RDF>",
    );
    assert_eq!(good(&rdf)[0].url, "http://a/");
}

#[test]
fn a_json_feed_is_read_and_a_bad_item_costs_only_itself() {
    let feed = read(
        r#"{"version": "https://jsonfeed.org/version/1.1", "title": "J", "items": [
            {"id": "1", "url": "/a", "title": "T", "content_html": "<p>x</p>", "date_published": "2024-01-31T00:00:00Z"},
            {"url": 7}, {"id": "3", "content_text": "plain <text>"}]}"#,
    );
    let documents = good(&feed);
    assert_eq!((documents[0].url.as_str(), documents[0].body.as_str()), ("https://example.org/a", "x"));
    assert_eq!(documents[1].body, "plain <text>");
    assert_eq!(bad(&feed)[0].place, 2);
}

#[test]
fn entries_that_cannot_be_used_are_reported_and_the_others_kept() {
    let feed = read(&atom(
        "<entry><title>No id</title></entry><entry><id>2</id></entry><entry><id>3</id><title>Good</title></entry>",
    ));
    let told: Vec<_> = bad(&feed).iter().map(|fault| (fault.place, fault.message.as_str())).collect();
    assert_eq!(told, [(1, "has neither an id nor a link"), (2, "has no text")]);
    assert_eq!(good(&feed).len(), 1);
}

#[test]
fn an_entry_that_the_parser_refuses_costs_only_itself() {
    let entry = |i: usize| match i {
        3 => format!("<entry><id>{i}</id><title></title></entry>"),
        9 => format!("<entry><id>{i}</id><content type=\"no such\">x</content></entry>"),
        _ => format!("<entry><id>{i}</id><title>Entry <![CDATA[</entry>]]></title></entry>"),
    };
    let text = atom(&(1..=20).map(entry).collect::<String>());
    let feed = read(&text);
    assert_eq!((feed.title.as_str(), good(&feed).len(), feed.entries.len()), ("F", 18, 20));
    assert_eq!(bad(&feed).iter().map(|fault| fault.place).collect::<Vec<_>>(), [3, 9]);
    let cut = read(&text[..text.len() - 20]);
    assert_eq!(good(&cut).len(), 17);
}

#[test]
fn markup_nested_very_deeply_does_not_exhaust_the_stack() {
    let deep = format!("{}x{}", "<div>".repeat(30_000), "</div>".repeat(30_000));
    for content in [
        format!("<content type=\"xhtml\">{deep}</content>"),
        format!("<other>{deep}</other><title>T</title>"),
        format!("<title>{deep}</title>"),
        "<entry>".repeat(30_000),
    ] {
        let text = atom(&format!("<entry><id>1</id>{content}</entry>"));
        let _ = parse(text.as_bytes(), BASE, NOW);
    }
    let _ = parse(atom(&deep).as_bytes(), BASE, NOW);
    let _ = parse("{\"version\":".repeat(30_000).as_bytes(), BASE, NOW);
}

#[test]
fn what_is_not_a_feed_is_told_by_what_it_is() {
    for (text, found) in [
        ("", "empty"),
        ("<!DOCTYPE html><html><body>x</body></html>", "a web page"),
        ("<config/>", "some other XML"),
        ("{\"a\": 1}", "some other JSON"),
        ("hello", "neither XML nor JSON"),
    ] {
        assert_eq!(parse(text.as_bytes(), BASE, NOW), Err(FeedError::NotAFeed { found }), "{text}");
    }
    let broken = parse(b"<rss version=\"2.0\"><channel><item><title>x", BASE, NOW).unwrap_err();
    assert!(matches!(broken, FeedError::Broken { .. }), "{broken}");
}

#[test]
fn every_entry_of_the_shared_feeds_is_a_document() {
    let root = std::env::var("TIDEMILL_SHARED").unwrap_or_else(|_| "../../../shared".to_owned());
    let Ok(files) = std::fs::read_dir(std::path::Path::new(&root).join("data/feeds")) else {
        println!("skipped: the shared feeds are not there");
        return;
    };
    let mut count = 0;
    for file in files {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for entry in parse(&bytes, BASE, NOW).unwrap().entries {
            let document = prepare(entry.unwrap(), &Limits::default()).unwrap();
            assert!(document.published_at.is_some() && !document.url.is_empty());
            count += 1;
        }
    }
    assert_eq!(count, 750);
}

const PIECES: &[&str] = &[
    "<",
    ">",
    "</",
    "/>",
    "&",
    "&amp;",
    "{",
    "}",
    "[",
    "]",
    ":",
    "\"",
    "<entry>",
    "</entry>",
    "<item>",
    "</item>",
    "<rss>",
    "<feed>",
    "</feed>",
    "<id>",
    "</id>",
    "<title>",
    "</title>",
    "<content type=\"html\">",
    "</content>",
    "<link href=\"a\"/>",
    "<![CDATA[",
    "]]>",
    "<?xml?>",
    "<!--",
    "-->",
    "x",
    "é",
    "\u{0}",
    "<media:group>",
    "<updated>",
    "2024",
];

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(pieces in proptest::collection::vec(proptest::sample::select(PIECES), 0..40), wrap: bool) {
        let text = if wrap { atom(&pieces.concat()) } else { pieces.concat() };
        let _ = parse(text.as_bytes(), BASE, NOW);
    }
}
