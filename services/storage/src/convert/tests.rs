//! Rows survive the messages, and each rule refuses what breaks it by the name of its field.

mod refusals;
mod rows;

use proptest::prelude::*;
use tidemill_kernel::{Id, Timestamp};

use super::task::Arrival;
use super::{content, found, json, lease, shard, task, tenant, time};

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// Tasks that arrive now; their keys are remembered for an hour.
const ARRIVAL: Arrival = Arrival { now: NOW, keep_keys: std::time::Duration::from_secs(3_600) };

fn fixed(id: Id) -> impl Fn() -> Id {
    move || id
}

proptest! {
    #[test]
    fn documents_survive(row in rows::document()) {
        let read = content::decode_document(content::encode_document(row.clone()), NOW);
        prop_assert_eq!(read.unwrap(), row);
    }

    #[test]
    fn queries_survive(row in rows::query()) {
        let message = content::encode_query(row.clone()).unwrap();
        prop_assert_eq!(content::decode_query(message, NOW, &fixed(rows::absent())).unwrap(), row);
    }

    #[test]
    fn sources_survive(row in rows::source()) {
        let (message, cursor) = content::encode_source(row.clone());
        let mut read = content::decode_source(message, NOW, &fixed(rows::absent())).unwrap();
        prop_assert_eq!(&read.cursor, "");
        read.cursor = cursor;
        prop_assert_eq!(read, row);
    }

    #[test]
    fn matched_documents_survive(
        document in rows::document(), new in rows::new_task(), query_id in rows::id(), score in -1e9..1e9_f64,
    ) {
        let new = tidemill_store::content::NewMatch { query_id, score, task: new };
        let row = tidemill_store::content::MatchedDocument { document, matches: vec![new] };
        let message = content::encode_matched_document(row.clone(), NOW);
        prop_assert_eq!(content::decode_matched_documents(vec![message], &ARRIVAL).unwrap(), vec![row]);
    }

    #[test]
    fn tasks_survive_but_for_how_long_their_keys_are_remembered(row in rows::task()) {
        let mut read = task::decode_task(task::encode_task(row.clone())).unwrap();
        read.new.key_until = row.new.key_until;
        prop_assert_eq!(read, row);
    }

    #[test]
    fn recorded_leases_survive(row in rows::recorded_lease()) {
        let read = lease::decode_recorded_leases(vec![lease::encode_recorded_lease(row.clone())]).unwrap();
        prop_assert_eq!(read, vec![row]);
    }

    #[test]
    fn progress_survives(row in rows::progress()) {
        let read = lease::decode_progress(vec![lease::encode_progress(row.clone())]).unwrap();
        prop_assert_eq!(read, vec![row]);
    }

    #[test]
    fn completions_survive(row in rows::completion()) {
        let message = lease::encode_completion(row.clone(), NOW).unwrap();
        prop_assert_eq!(lease::decode_completions(vec![message], &ARRIVAL).unwrap(), vec![row]);
    }

    #[test]
    fn failures_survive(row in rows::failure()) {
        let read = lease::decode_failures(vec![lease::encode_failure(row.clone())]).unwrap();
        prop_assert_eq!(read, vec![row]);
    }

    #[test]
    fn claims_and_boards_survive(claim in rows::claim(), board in rows::board()) {
        let read = shard::decode_claim(shard::encode_claim(claim.clone(), NOW), NOW).unwrap();
        prop_assert_eq!(read, claim);
        let read = shard::decode_board(shard::encode_board(board.clone(), NOW), NOW).unwrap();
        prop_assert_eq!(read, board);
    }

    #[test]
    fn tenants_survive(row in rows::tenant()) {
        prop_assert_eq!(tenant::decode_tenant(tenant::encode_tenant(row.clone())).unwrap(), row);
    }

    #[test]
    fn results_survive_with_what_they_show_of_the_document(row in rows::found()) {
        let read = found::decode_found(found::encode_found(row.clone()).unwrap()).unwrap();
        let mut shown = row;
        shown.document = read.document.clone();
        prop_assert_eq!(read, shown);
    }

    #[test]
    fn canonical_json_is_stable_and_means_the_same(value in rows::object()) {
        let message = json::encode(&value.to_string()).unwrap();
        let text = json::decode("output", Some(message), usize::MAX).unwrap();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert!(same(&read, &value), "{} is not {}", read, value);
        let again = json::decode("output", Some(json::encode(&text).unwrap()), usize::MAX).unwrap();
        prop_assert_eq!(again, text);
    }

    #[test]
    fn times_in_range_survive_to_the_microsecond(moment in rows::moment()) {
        prop_assert_eq!(time::decode("t", &time::encode(moment)).unwrap(), moment);
    }
}

/// Equal as JSON, where `1` and `1.0` are one number.
fn same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (a, b) {
        (Number(a), Number(b)) => a.as_f64() == b.as_f64(),
        (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Object(a), Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

#[test]
fn json_text_is_in_the_order_of_its_keys_and_whole_numbers_stay_whole() {
    let message = json::encode(r#"{ "b": [1, 2.5, null, true], "a": {"z": -3, "y": "x"} }"#).unwrap();
    let text = json::decode("output", Some(message), 1_024).unwrap();
    assert_eq!(text, r#"{"a":{"y":"x","z":-3},"b":[1,2.5,null,true]}"#);
    assert_eq!(json::decode("output", None, 2).unwrap(), "{}");
    assert!(json::encode("[1]").is_err());
}
