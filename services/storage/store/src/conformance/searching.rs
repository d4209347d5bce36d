//! Full-text search.

use tidemill_kernel::TenantName;

use super::fixture::{Shared, at, create, document, id, next, page, unmatched};
use crate::Error;
use crate::content::{Document, Hit};

/// Stores documents by title and body, in this order; the first is number 0.
async fn fill(store: &Shared, tenant: &TenantName, from: u128, texts: &[(&str, &str)]) {
    let rows = (from..).zip(texts).map(|(number, (title, body))| {
        let (title, body) = ((*title).to_owned(), (*body).to_owned());
        unmatched(Document { title, body, ..document(number) })
    });
    store.append_documents(tenant, rows.collect(), 0, at(5)).await.unwrap();
}

fn number(hit: &Hit) -> u128 {
    (0..10_000).find(|number| id(10_000 + number) == hit.document.id).unwrap()
}

async fn find(store: &Shared, tenant: &TenantName, text: &str) -> Vec<u128> {
    store.search_documents(tenant, text, page(100)).await.unwrap().items.iter().map(number).collect()
}

/// In title or body, in any order; a hit has everything but the body.
pub async fn all_words_must_occur(store: Shared) {
    let acme = create(&store, "acme").await;
    let texts = [("Solar power", "grows in the north"), ("Wind", "solar and wind power"), ("Coal", "")];
    fill(&store, &acme, 0, &texts).await;
    assert_eq!(find(&store, &acme, "north solar").await, [0]);
    assert_eq!(find(&store, &acme, "power").await, [0, 1]);
    assert_eq!(find(&store, &acme, "solar coal").await, [] as [u128; 0]);
    assert_eq!(find(&store, &acme, "pow").await, [] as [u128; 0]);
    let hit = store.search_documents(&acme, "coal", page(1)).await.unwrap().items.remove(0);
    assert_eq!(hit.document, Document { title: "Coal".to_owned(), body: String::new(), ..document(2) });
}

/// Phrases want their words side by side, a star the beginning of one.
pub async fn phrases_and_prefixes_narrow_and_widen(store: Shared) {
    let acme = create(&store, "acme").await;
    fill(&store, &acme, 0, &[("a", "new york state"), ("b", "york is not new"), ("c", "a new yorker")]).await;
    assert_eq!(find(&store, &acme, "new york").await, [1, 0]);
    assert_eq!(find(&store, &acme, r#""new york""#).await, [0]);
    assert_eq!(find(&store, &acme, "york*").await, [2, 1, 0]);
    assert_eq!(find(&store, &acme, r#""new york" state"#).await, [0]);
    assert_eq!(find(&store, &acme, "yorker").await, [2]);
}

/// Written either way, found either way.
pub async fn case_and_accents_do_not_count(store: Shared) {
    let acme = create(&store, "acme").await;
    fill(&store, &acme, 0, &[("Café", "x"), ("CAFE", "x"), ("cafe\u{301}", "x"), ("北京", "x")]).await;
    for text in ["cafe", "CAFÉ", "Cafe\u{301}", "caf*"] {
        assert_eq!(find(&store, &acme, text).await, [2, 1, 0], "{text}");
    }
    assert_eq!(find(&store, &acme, "北京").await, [3]);
}

/// Operators and syntax of any search engine are plain words or nothing.
pub async fn hostile_text_is_words_or_refused(store: Shared) {
    let acme = create(&store, "acme").await;
    fill(&store, &acme, 0, &[("or near", "not and"), ("title", "nothing else"), ("x", "drop table or near")])
        .await;
    assert_eq!(find(&store, &acme, r#"" OR * ) NEAR("#).await, [0, 2]);
    assert_eq!(find(&store, &acme, "NOT -and").await, [0]);
    assert_eq!(find(&store, &acme, "title:nothing").await, [1]);
    assert_eq!(find(&store, &acme, "'; DROP TABLE--").await, [2]);
    let long = "or near ".repeat(2_000) + &(0..2_000).map(|word| format!(" w{word}")).collect::<String>();
    let odd =
        ["a AND", "^x + y", "{title body} : (", "NEAR(a b, 5)", "\"a\" \"", "a\0b", "* a", long.as_str()];
    for text in odd {
        let found = store.search_documents(&acme, text, page(10)).await;
        assert!(found.is_ok(), "{text:.20}: {found:?}");
    }
    for text in ["", "  ", "\"\"", "* ) (", "🎉", "%_"] {
        let refused = store.search_documents(&acme, text, page(10)).await;
        assert!(matches!(refused, Err(Error::Search { .. })), "{text}: {refused:?}");
    }
}

/// Those with all words in the title, then the others, each group newest first.
pub async fn titles_come_first_and_then_the_newest(store: Shared) {
    let acme = create(&store, "acme").await;
    let texts = [
        ("wind power", "x"),
        ("x", "power of wind, wind power, wind"),
        ("wind", "power"),
        ("power and wind", "x"),
        ("x", "wind power"),
    ];
    fill(&store, &acme, 0, &texts).await;
    assert_eq!(find(&store, &acme, "wind power").await, [3, 0, 4, 2, 1]);
}

/// Each hit of before comes once, whatever is added between two pages.
pub async fn hits_page_by_key_while_others_are_added(store: Shared) {
    let acme = create(&store, "acme").await;
    fill(&store, &acme, 0, &[("wind", "x"), ("a", "wind"), ("wind", "y"), ("b", "wind"), ("c", "wind")])
        .await;
    let first = store.search_documents(&acme, "wind", page(1)).await.unwrap();
    assert_eq!(first.items.iter().map(number).collect::<Vec<_>>(), [2]);
    fill(&store, &acme, 10, &[("wind", "wind wind"), ("d", "wind wind")]).await;
    let second = store.search_documents(&acme, "wind", next(2, &first.next_token)).await.unwrap();
    assert_eq!(second.items.iter().map(number).collect::<Vec<_>>(), [0, 11]);
    fill(&store, &acme, 20, &[("e", "wind")]).await;
    let third = store.search_documents(&acme, "wind", next(3, &second.next_token)).await.unwrap();
    assert_eq!(third.items.iter().map(number).collect::<Vec<_>>(), [4, 3, 1]);
    assert_eq!(third.next_token, "");
    let refused = store.search_documents(&acme, "windy", next(3, &second.next_token)).await;
    assert!(matches!(refused, Err(Error::PageToken(_))), "{refused:?}");
}

/// Out of a long body, the piece around the word.
pub async fn a_snippet_shows_the_word_found(store: Shared) {
    let acme = create(&store, "acme").await;
    let body = "filler ".repeat(500) + "the turbine spins " + &"tail ".repeat(500);
    fill(&store, &acme, 0, &[("x", body.as_str())]).await;
    let hit = store.search_documents(&acme, "turbine", page(1)).await.unwrap().items.remove(0);
    assert!(hit.snippet.contains("turbine") && hit.snippet.len() < 500, "{}", hit.snippet);
    assert_eq!(hit.document.body, "");
}
