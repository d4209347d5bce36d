//! `collect` tasks over feeds that are fetched by HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use tidemill_chassis::SystemClock;
use tidemill_kernel::Clock;
use tidemill_proto::ingestion::v1::CreateSourceRequest;
use tidemill_proto::types::v1::SourceKind;
use tidemill_worker::Failed;

use super::fixture::{Fixture, asked};
use super::site::{Page, Site};
use crate::feed::fetch::FetchOptions;

/// A fixture with the source `news` at this path of a site.
async fn news(path: &str) -> (Fixture, Site) {
    let (fixture, site) = (Fixture::new().await, Site::open().await);
    let (name, kind, location) = ("news".to_owned(), SourceKind::Feed.into(), site.url(path));
    let request = CreateSourceRequest { name, kind, location };
    fixture.client.clone().create_source(asked(request)).await.unwrap();
    (fixture, site)
}

fn rss(items: &str) -> String {
    format!("<rss version=\"2.0\"><channel><title>Sea</title>{items}</channel></rss>")
}

fn item(number: u32, words: &str) -> String {
    format!(
        "<item><guid>{number}</guid><link>tide/{number}</link><title>T{number}</title><description>{words}</description></item>"
    )
}

fn counts(report: &Value) -> [&Value; 4] {
    ["stored", "duplicates", "skipped_total", "not_modified"].map(|field| &report[field])
}

async fn refused(fixture: &Fixture) -> Failed {
    fixture.collect("news").await.unwrap_err()
}

#[tokio::test]
async fn a_feed_is_read_once_then_only_when_it_changed() {
    let (fixture, site) = news("/feed").await;
    fixture.query("sea", "tide AND source:news").await;
    site.put("/feed", Page::Tagged(rss(&item(1, "the tide comes")), "\"v1\""));
    let report = fixture.collect("news").await.unwrap();
    assert_eq!(counts(&report), [&json!(1), &json!(0), &json!(0), &json!(false)]);
    assert_eq!((report["matches"].clone(), site.last_tag()), (json!(1), None));

    let report = fixture.collect("news").await.unwrap();
    assert_eq!(counts(&report), [&json!(0), &json!(0), &json!(0), &json!(true)]);
    assert_eq!(site.last_tag().as_deref(), Some("\"v1\""));

    let both = [item(1, "the tide comes"), item(2, "the tide goes")].concat();
    site.put("/feed", Page::Tagged(rss(&both), "\"v2\""));
    let report = fixture.collect("news").await.unwrap();
    assert_eq!(counts(&report), [&json!(1), &json!(1), &json!(0), &json!(false)]);
    fixture.collect("news").await.unwrap();
    assert_eq!(site.last_tag().as_deref(), Some("\"v2\""));
}

#[tokio::test]
async fn relative_links_are_those_of_the_place_that_a_redirect_leads_to() {
    let (fixture, site) = news("/old").await;
    site.put("/old", Page::Status(301, vec![("location", "/new/feed.xml")]));
    site.put("/new/feed.xml", Page::Tagged(rss(&item(1, "the tide comes")), "\"v1\""));
    fixture.collect("news").await.unwrap();
    assert_eq!(site.asked(), ["/old", "/new/feed.xml"]);
    assert_eq!(fixture.urls("tide").await, [site.url("/new/tide/1")]);
    let again = fixture.collect("news").await.unwrap();
    assert_eq!(again["not_modified"], json!(true), "the tag goes with the redirect");
}

#[tokio::test]
async fn bad_entries_are_left_out_and_named_and_the_others_stored() {
    let (fixture, site) = news("/feed").await;
    let bad = "<item><guid>2</guid></item><item><title>No name</title></item><item></item>";
    let items = [item(1, "the tide comes"), bad.to_owned(), item(3, "the tide goes")].concat();
    site.put("/feed", Page::Tagged(rss(&items), "\"v1\""));
    let report = fixture.collect("news").await.unwrap();
    assert_eq!(counts(&report), [&json!(2), &json!(0), &json!(3), &json!(false)], "{report}");
    let what: Vec<_> =
        report["skipped"].as_array().unwrap().iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["entry 2 (`2`)", "entry 3 (`No name`)", "entry 4"]);
    assert!(report["skipped"][0]["why"].as_str().unwrap().contains("publisher"), "{report}");
}

#[tokio::test]
async fn a_server_that_fails_is_tried_again_and_nothing_is_forgotten_meanwhile() {
    let (fixture, site) = news("/feed").await;
    site.put("/feed", Page::Tagged(rss(&item(1, "the tide comes")), "\"v1\""));
    fixture.collect("news").await.unwrap();
    site.put("/feed", Page::Status(500, vec![]));
    let failed = refused(&fixture).await;
    assert!(
        failed.retryable && failed.not_before.is_none() && failed.error.contains("status 500"),
        "{failed}"
    );
    site.put("/feed", Page::Tagged(rss(&item(1, "the tide comes")), "\"v1\""));
    assert_eq!(fixture.collect("news").await.unwrap()["not_modified"], json!(true));
}

#[tokio::test]
async fn a_server_that_wants_a_pause_gets_it_unless_it_is_beyond_reason() {
    let (fixture, site) = news("/feed").await;
    let before = SystemClock.now() + Duration::from_secs(90);
    for status in [429, 503] {
        site.put("/feed", Page::Status(status, vec![("retry-after", "90")]));
        let failed = refused(&fixture).await;
        assert!(failed.retryable && failed.not_before.is_some_and(|moment| moment >= before), "{failed:?}");
    }
    site.put("/feed", Page::Status(429, vec![("retry-after", "999999999999")]));
    let failed = refused(&fixture).await;
    assert!(failed.retryable && failed.not_before.is_none(), "{failed:?}");
}

#[tokio::test]
async fn what_no_retry_mends_says_what_does() {
    let (fixture, site) = news("/feed").await;
    for (page, words) in [
        (Page::Status(404, vec![]), "remove the source"),
        (Page::Status(403, vec![]), "open to everybody"),
        (Page::Status(302, vec![("location", "ftp://elsewhere/feed")]), "ftp"),
        (Page::Tagged("<!doctype html><html></html>".into(), "\"v1\""), "not a feed"),
        (Page::Tagged("<rss version=\"2.0\"><channel>".into(), "\"v1\""), "the feed is broken"),
    ] {
        site.put("/feed", page.clone());
        let failed = refused(&fixture).await;
        assert!(!failed.retryable && failed.error.contains(words), "{page:?}: {failed}");
    }
}

#[tokio::test]
async fn a_feed_over_the_limit_is_refused_with_the_limit() {
    let (fixture, site) = news("/feed").await;
    site.put("/feed", Page::Tagged(rss(&item(1, &"tide ".repeat(500))), "\"v1\""));
    let fetch = FetchOptions { max_bytes: 1_000, allow_private: true, ..FetchOptions::default() };
    let failed = fixture.collect_with("news", fetch).await.unwrap_err();
    assert!(!failed.retryable && failed.error.contains("1000"), "{failed}");
    assert!(fixture.urls("tide").await.is_empty());
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up_and_tried_again() {
    let (fixture, site) = news("/feed").await;
    site.put("/feed", Page::Silence);
    let timeout = Duration::from_millis(100);
    let fetch = FetchOptions { timeout, allow_private: true, ..FetchOptions::default() };
    let failed = fixture.collect_with("news", fetch).await.unwrap_err();
    assert!(failed.retryable, "{failed}");
    assert_eq!(site.asked(), ["/feed"]);
}
