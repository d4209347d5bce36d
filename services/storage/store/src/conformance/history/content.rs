//! Steps that are not the queue's.

use tidemill_kernel::Timestamp;

use super::Step;
use super::world::tenant as name_of;
use crate::conformance::fixture::{Shared, matched, query, source, tenant};
use crate::content::{Query, Source, SourceKind};

/// What a step answers, as text.
pub(super) async fn take(store: &Shared, step: &Step, now: Timestamp) -> String {
    match step {
        Step::Create { tenant: number } => {
            format!("{:?}", store.create_tenant(tenant(&format!("t{number}")), None).await)
        }
        Step::PutQuery { tenant, query: number, other } => {
            let expression = if *other { "other" } else { "solar" }.to_owned();
            let row = Query { expression, ..query(u128::from(*number)) };
            format!("{:?}", store.put_query(&name_of(*tenant), row).await)
        }
        Step::RemoveQuery { tenant, query } => {
            format!("{:?}", store.remove_query(&name_of(*tenant), &format!("q{query}"), now).await)
        }
        Step::PutSource { tenant, source: number, other } => {
            let kind = if *other { SourceKind::Folder } else { SourceKind::Feed };
            let row = Source { kind, ..source(u128::from(*number)) };
            format!("{:?}", store.put_source(&name_of(*tenant), row).await)
        }
        Step::SaveCursor { tenant, source } => {
            let cursor = now.to_string();
            let saved = store.save_cursor(&name_of(*tenant), &format!("s{source}"), &cursor, now).await;
            format!("{saved:?}")
        }
        Step::RemoveSource { tenant, source } => {
            format!("{:?}", store.remove_source(&name_of(*tenant), &format!("s{source}")).await)
        }
        Step::AppendDocuments { tenant, rows, stale } => {
            let tenant = name_of(*tenant);
            let version = store.load_queries(&tenant, None).await.unwrap().version - i64::from(*stale);
            let rows = rows.iter().map(|(number, queries)| {
                let queries: Vec<(u128, f64)> =
                    queries.iter().map(|query| (u128::from(*query), f64::from(*number) / 4.0)).collect();
                matched(u128::from(*number), &queries)
            });
            format!("{:?}", store.append_documents(&tenant, rows.collect(), version, now).await)
        }
        other => unreachable!("{other:?} is a task step"),
    }
}
