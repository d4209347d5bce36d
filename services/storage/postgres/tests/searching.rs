//! The full-text search means what the store in memory means, whatever the texts, and however long.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use proptest::prelude::*;
use tidemill_postgres::{PostgresConfig, PostgresStore};
use tidemill_store::conformance::fixture::{Shared, at, create, document, name, page, unmatched};
use tidemill_store::content::Document;
use tidemill_store::{Error, MemoryStore};
use tidemill_tests::harness::postgres::Server;

async fn open(server: &Server) -> Shared {
    let config =
        PostgresConfig { url: server.database().unwrap(), max_connections: 4, ..PostgresConfig::default() };
    Arc::new(PostgresStore::connect(config).await.unwrap())
}

async fn fill(store: &Shared, texts: &[(String, String)]) {
    let acme = create(store, "acme").await;
    let rows = (0..).zip(texts).map(|(number, (title, body))| {
        unmatched(Document { title: title.clone(), body: body.clone(), ..document(number) })
    });
    store.append_documents(&acme, rows.collect(), 0, at(5)).await.unwrap();
}

/// Every hit as text, over pages of two.
async fn find(store: &Shared, text: &str) -> Result<Vec<String>, Error> {
    let (mut hits, mut next) = (Vec::new(), page(2));
    loop {
        let page = store.search_documents(&name("acme"), text, next).await?;
        hits.extend(page.items.iter().map(|hit| format!("{} {:?}", hit.document.id, hit.snippet)));
        if page.next_token.is_empty() {
            return Ok(hits);
        }
        next = tidemill_store::conformance::fixture::next(2, &page.next_token);
    }
}

/// Few words, so that they meet: with accents, of other alphabets, one the beginning of another, syntax of searches.
fn text() -> impl Strategy<Value = String> {
    let words = [
        "solar",
        "Solár",
        "sol",
        "wind",
        "WIND'S",
        "北京",
        "北",
        "a:b",
        "x&y",
        "<->",
        "'",
        "\\",
        "!",
        "wi*",
        "ﬁn",
        "İ",
        "re\u{301}sume\u{301}",
        "1/2",
        "naïve-solar",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..8).prop_map(|words| words.join(" "))
}

fn search() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => text(),
        1 => text().prop_map(|words| format!("\"{words}\"")),
        1 => (text(), text()).prop_map(|(words, more)| format!("{words}* \"{more}\"")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_search_finds_what_it_finds_in_memory(
        texts in prop::collection::vec((text(), text()), 1..12),
        searches in prop::collection::vec(search(), 1..12),
    ) {
        let Some(server) = Server::shared().unwrap() else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (store, model): (_, Shared) = (open(&server).await, Arc::new(MemoryStore::new("model")));
            fill(&store, &texts).await;
            fill(&model, &texts).await;
            for search in &searches {
                assert_eq!(find(&store, search).await, find(&model, search).await, "{search}");
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_too_large_for_an_index_are_found_all_the_same() {
    let Some(server) = Server::shared().unwrap() else { return };
    let (store, model): (_, Shared) = (open(&server).await, Arc::new(MemoryStore::new("model")));
    // More different words than PostgreSQL takes in one index entry, and words longer than it takes.
    let many: String = (0..50_000).map(|number| format!("{number:x} ")).collect();
    let (long, longer) = ("x".repeat(1_500), "x".repeat(3_000));
    let texts = [
        ("many".to_owned(), format!("{many} turbine")),
        ("few".to_owned(), "turbine c34f".to_owned()),
        (long.clone(), format!("a {longer} b")),
        ("turbine".to_owned(), format!("{long}y")),
    ];
    fill(&store, &texts).await;
    fill(&model, &texts).await;
    let searches = ["c34f turbine", "\"c34e c34f\"", &long, &format!("{longer}*")];
    for search in searches {
        let found = find(&store, search).await.unwrap();
        assert_eq!(found, find(&model, search).await.unwrap(), "{search:.20}");
        assert!(!found.is_empty(), "{search:.20}");
    }
}
