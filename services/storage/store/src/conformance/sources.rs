//! Sources.

use super::fixture::{Shared, at, create, document, id, next, page, source, unmatched};
use crate::Error;
use crate::content::{Source, SourceKind};

/// The same content is returned as it stands; another under the name is refused.
pub async fn a_source_is_put_once(store: Shared) {
    let acme = create(&store, "acme").await;
    assert_eq!(store.put_source(&acme, source(1)).await.unwrap(), source(1));
    let again = Source { id: id(7), created_at: at(50), ..source(1) };
    assert_eq!(store.put_source(&acme, again).await.unwrap(), source(1));
    let different = [
        Source { kind: SourceKind::Folder, ..source(1) },
        Source { location: "/elsewhere".to_owned(), ..source(1) },
        Source { name: "other".to_owned(), ..source(1) },
    ];
    for other in different {
        let refused = store.put_source(&acme, other).await;
        assert!(matches!(refused, Err(Error::Exists { what: "source", .. })), "{refused:?}");
    }
    assert_eq!(store.source(&acme, "s1").await.unwrap(), Some(source(1)));
    assert_eq!(store.source(&acme, "other").await.unwrap(), None);
    assert_eq!(store.counts(&acme).await.unwrap().sources, 1);
}

/// What a collector remembers survives the source being put again.
pub async fn a_cursor_is_kept(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_source(&acme, source(1)).await.unwrap();
    store.save_cursor(&acme, "s1", r#"{"etag":"\"é\""}"#, at(30)).await.unwrap();
    let expected =
        Source { cursor: r#"{"etag":"\"é\""}"#.to_owned(), collected_at: Some(at(30)), ..source(1) };
    assert_eq!(store.source(&acme, "s1").await.unwrap(), Some(expected.clone()));
    assert_eq!(store.put_source(&acme, source(1)).await.unwrap(), expected);
    let refused = store.save_cursor(&acme, "s2", "x", at(31)).await;
    assert!(matches!(refused, Err(Error::NotFound { what: "source", .. })), "{refused:?}");
}

/// Pages are in the order of names.
pub async fn sources_page_by_name_while_others_are_added(store: Shared) {
    let acme = create(&store, "acme").await;
    for number in [5, 1, 3] {
        store.put_source(&acme, source(number)).await.unwrap();
    }
    let first = store.page_sources(&acme, page(2)).await.unwrap();
    assert_eq!(first.items, [source(1), source(3)]);
    store.put_source(&acme, source(2)).await.unwrap();
    store.put_source(&acme, source(4)).await.unwrap();
    let second = store.page_sources(&acme, next(2, &first.next_token)).await.unwrap();
    assert_eq!((second.items, second.next_token), (vec![source(4), source(5)], String::new()));
}

/// Only the source goes.
pub async fn a_removed_source_is_gone_and_its_documents_stay(store: Shared) {
    let acme = create(&store, "acme").await;
    store.put_source(&acme, source(1)).await.unwrap();
    store.append_documents(&acme, vec![unmatched(document(1))], 0, at(5)).await.unwrap();
    store.remove_source(&acme, "s1").await.unwrap();
    assert_eq!(store.source(&acme, "s1").await.unwrap(), None);
    let counts = store.counts(&acme).await.unwrap();
    assert_eq!((counts.sources, counts.documents), (0, 1));
    let refused = store.remove_source(&acme, "s1").await;
    assert!(matches!(refused, Err(Error::NotFound { what: "source", .. })), "{refused:?}");
}
