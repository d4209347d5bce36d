//! The fetcher against a small server on the loopback.

use axum::Router;
use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use tidemill_kernel::ErrorKind;

use super::*;

const FEED: &str = "<rss version=\"2.0\"><channel><title>R</title><item><title>T</title><link>a</link></item></channel></rss>";

async fn feed(headers: HeaderMap) -> impl IntoResponse {
    if headers.get(IF_NONE_MATCH).is_some_and(|tag| tag == "\"v1\"") {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    if headers.get("user-agent").is_none_or(|agent| !agent.to_str().unwrap().starts_with("tidemill/")) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    ([("etag", "\"v1\""), ("last-modified", "Wed, 31 Jan 2024 00:00:00 GMT")], FEED).into_response()
}

async fn hop(Query(to): Query<Vec<(String, String)>>) -> Redirect {
    Redirect::temporary(&to[0].1)
}

/// A server with one path for each case; answers with its address, such as `http://127.0.0.1:4711`.
async fn server() -> String {
    let chunks = || {
        let chunk = bytes::Bytes::from_static(&[b'x'; 1000]);
        axum::body::Body::from_stream(futures::stream::repeat_with(move || {
            Ok::<_, std::io::Error>(chunk.clone())
        }))
    };
    let app = Router::new()
        .route("/feed", get(feed))
        .route("/hop", get(hop))
        .route("/loop", get(|| async { Redirect::temporary("/loop") }))
        .route("/endless", get(move || async move { chunks() }))
        .route("/large", get(|| async { "x".repeat(5000) }))
        .route("/silent", get(std::future::pending::<()>))
        .route("/busy", get(|| async { (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "30")], "") }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

fn fetcher(allow_private: bool) -> Fetcher {
    // Another test of this process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Fetcher::new(FetchOptions { max_bytes: 4000, allow_private, ..FetchOptions::default() }).unwrap()
}

async fn failure(url: &str) -> FetchError {
    fetcher(true).fetch(url, &FeedCursor::default()).await.unwrap_err()
}

#[tokio::test]
async fn a_feed_is_fetched_once_and_then_not_modified() {
    let server = server().await;
    let fetcher = fetcher(true);
    let url = format!("{server}/feed");
    let Fetched::Modified { bytes, url: base, cursor } =
        fetcher.fetch(&url, &FeedCursor::default()).await.unwrap()
    else {
        panic!("the first fetch brings the feed");
    };
    let feed = crate::feed::parse(&bytes, &base, tidemill_kernel::Timestamp::from_micros(0)).unwrap();
    assert_eq!(feed.entries[0].as_ref().unwrap().url, format!("{server}/a"));
    assert_eq!(cursor.etag.as_deref(), Some("\"v1\""));
    let stored = serde_json::to_string(&cursor).unwrap();
    let cursor: FeedCursor = serde_json::from_str(&stored).unwrap();
    assert_eq!(fetcher.fetch(&url, &cursor).await.unwrap(), Fetched::NotModified);
}

#[tokio::test]
async fn redirects_are_followed_and_counted_and_stay_with_http() {
    let server = server().await;
    let hop = format!("{server}/hop?to=/feed");
    let Fetched::Modified { url, .. } = fetcher(true).fetch(&hop, &FeedCursor::default()).await.unwrap()
    else {
        panic!("the redirect leads to the feed");
    };
    assert_eq!(url, format!("{server}/feed"));
    let error = failure(&format!("{server}/loop")).await;
    assert!(error.to_string().contains("more than 5 redirects"), "{error}");
    let error = failure(&format!("{server}/hop?to=file:///etc/passwd")).await;
    assert!(matches!(error, FetchError::Redirect { .. }), "{error}");
}

#[tokio::test]
async fn an_answer_over_the_limit_is_not_read_to_its_end() {
    let server = server().await;
    for path in ["large", "endless"] {
        let error = failure(&format!("{server}/{path}")).await;
        assert!(matches!(error, FetchError::TooLarge { limit: 4000, .. }), "{error}");
    }
}

#[tokio::test]
async fn failures_say_what_happened() {
    let server = server().await;
    let error = failure(&format!("{server}/none?key=secret")).await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("status 404") && !error.to_string().contains("secret"), "{error}");
    let error = failure(&format!("{server}/busy")).await;
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Exhausted, Some(Duration::from_secs(30))));
    let error = failure(&server.replace("http:", "https:")).await;
    assert!(matches!(error, FetchError::Tls { .. }), "{error}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = failure(&format!("http://{closed}/")).await;
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
    assert!(error.to_string().to_lowercase().contains("refused"), "{error}");
    for url in ["ftp://example.org/", "feed.xml", "file:///etc/passwd"] {
        assert!(matches!(failure(url).await, FetchError::Url { .. }), "{url}");
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let _ = fetcher(true);
    let options =
        FetchOptions { timeout: Duration::from_millis(50), allow_private: true, ..FetchOptions::default() };
    let url = format!("{}/silent", server().await);
    let error = Fetcher::new(options).unwrap().fetch(&url, &FeedCursor::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn hosts_inside_are_refused_by_address_and_by_name() {
    let server = server().await;
    let port = server.rsplit(':').next().unwrap();
    for host in ["127.0.0.1", "localhost", "[::1]", "2130706433"] {
        let url = format!("http://{host}:{port}/feed");
        let error = fetcher(false).fetch(&url, &FeedCursor::default()).await.unwrap_err();
        assert!(matches!(error, FetchError::Private { .. }), "{host}: {error}");
        assert!(error.to_string().contains("`ingestion.private_feeds`"), "{error}");
        assert_eq!(error.kind(), ErrorKind::Denied);
    }
}

#[tokio::test]
async fn a_file_is_read_and_not_again_until_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("feed.xml");
    std::fs::write(&path, FEED).unwrap();
    let Fetched::Modified { url, cursor, .. } =
        fetch_file(&path, 4000, &FeedCursor::default()).await.unwrap()
    else {
        panic!("the first reading brings the feed");
    };
    assert!(url.starts_with("file:///"));
    assert_eq!(fetch_file(&path, 4000, &cursor).await.unwrap(), Fetched::NotModified);
    std::fs::write(&path, format!("{FEED} ")).unwrap();
    assert!(matches!(fetch_file(&path, 4000, &cursor).await, Ok(Fetched::Modified { .. })));
    assert!(matches!(fetch_file(&path, 10, &cursor).await, Err(FetchError::TooLarge { .. })));
    let error = fetch_file(&folder.path().join("none"), 10, &cursor).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
