//! `collect` tasks over folders and feeds.

use std::path::Path;

use serde_json::json;
use tidemill_proto::ingestion::v1::CreateSourceRequest;
use tidemill_proto::storage::v1::GetSourceRequest;
use tidemill_proto::types::v1::SourceKind;

use super::fixture::{Fixture, asked};
use crate::Config;

async fn source(fixture: &Fixture, kind: SourceKind, path: &Path) {
    let location = path.to_str().unwrap().to_owned();
    let request = CreateSourceRequest { name: "notes".into(), kind: kind.into(), location };
    fixture.client.clone().create_source(asked(request)).await.unwrap();
}

#[tokio::test]
async fn a_folder_is_stored_matched_and_reported() {
    let fixture = Fixture::new().await;
    fixture.query("sea", "tide AND source:notes").await;
    let folder = tempfile::tempdir().unwrap();
    for n in 0..40 {
        std::fs::write(folder.path().join(format!("{n}.txt")), format!("tide number {n}")).unwrap();
    }
    std::fs::write(folder.path().join("copy.md"), "tide number 7").unwrap();
    std::fs::write(folder.path().join("empty.txt"), "  \n").unwrap();
    source(&fixture, SourceKind::Folder, folder.path()).await;
    let report = fixture.collect("notes").await.unwrap();
    assert_eq!(report["matches"], json!(40));
    assert_eq!((&report["stored"], &report["duplicates"]), (&json!(40), &json!(1)));
    assert_eq!((&report["skipped_total"], &report["not_modified"]), (&json!(1), &json!(false)));
    assert!(report["skipped"][0]["what"].as_str().unwrap().ends_with("empty.txt"), "{report}");
    let again = fixture.collect("notes").await.unwrap();
    assert_eq!(
        (&again["stored"], &again["duplicates"], &again["matches"]),
        (&json!(0), &json!(41), &json!(0))
    );
    let kept =
        fixture.content.clone().get_source(asked(GetSourceRequest { name: "notes".into() })).await.unwrap();
    assert!(kept.into_inner().source.unwrap().collected_at.is_some());
}

#[tokio::test]
async fn a_feed_that_did_not_change_is_not_read_again() {
    let fixture = Fixture::new().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feed.xml");
    let feed = "<rss version=\"2.0\"><channel><title>Sea</title>\
        <item><guid>1</guid><title>High</title><description>The tide is high.</description></item>\
        <item><guid>2</guid><title>Low</title><description>The tide is low.</description></item></channel></rss>";
    std::fs::write(&path, feed).unwrap();
    source(&fixture, SourceKind::Feed, &path).await;
    let report = fixture.collect("notes").await.unwrap();
    assert_eq!((&report["stored"], &report["not_modified"]), (&json!(2), &json!(false)), "{report}");
    let again = fixture.collect("notes").await.unwrap();
    assert_eq!((&again["stored"], &again["duplicates"]), (&json!(0), &json!(0)));
    assert_eq!(again["not_modified"], json!(true));
}

#[tokio::test]
async fn a_folder_that_is_gone_fails_for_good_and_says_so() {
    let fixture = Fixture::new().await;
    source(&fixture, SourceKind::Folder, Path::new("/no/such/folder")).await;
    let failed = fixture.collect("notes").await.unwrap_err();
    assert!(!failed.retryable && failed.error.contains("/no/such/folder"), "{failed}");
    let failed = fixture.collect("other").await.unwrap_err();
    assert!(!failed.retryable, "{failed}");
}

#[tokio::test]
async fn a_folder_source_made_earlier_is_not_read_once_local_sources_are_off() {
    let fixture = Fixture::new().await;
    let folder = tempfile::tempdir().unwrap();
    source(&fixture, SourceKind::Folder, folder.path()).await;
    let strict = Fixture { config: Config { local_sources: false, ..Config::default() }, ..fixture };
    let failed = strict.collect("notes").await.unwrap_err();
    assert!(!failed.retryable && failed.error.contains("`ingestion.local_sources`"), "{failed}");
}
