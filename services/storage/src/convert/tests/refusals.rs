//! What is refused, by which field name.

use pbjson_types::value::Kind;
use pbjson_types::{Struct, Timestamp, Value};
use tidemill_proto::storage::v1 as api;
use tidemill_proto::types::v1 as types;

use super::{ARRIVAL, NOW, fixed, rows};
use crate::convert::{content, lease, rule, task, tenant, time};
use crate::{Error, Result};

/// The fields that the refusal names.
fn fields<T: std::fmt::Debug>(refused: Result<T>) -> Vec<String> {
    match refused {
        Err(Error::Invalid(fault)) => fault.violations.into_iter().map(|violation| violation.field).collect(),
        other => panic!("not refused as invalid: {other:?}"),
    }
}

fn new_task() -> types::NewTask {
    types::NewTask { kind: "demo".into(), ..types::NewTask::default() }
}

fn decode(message: types::NewTask) -> Result<tidemill_store::task::NewTask> {
    task::decode_new_task(message, &ARRIVAL)
}

#[test]
fn a_task_that_says_little_gets_the_defaults() {
    let read = decode(new_task()).unwrap();
    assert_eq!((read.priority, read.max_attempts, read.run_at), (Default::default(), 5, NOW));
    assert_eq!(tenant::decode_tier("tier", 0).unwrap(), tidemill_kernel::Tier::Free);
}

#[test]
fn each_field_of_a_task_is_refused_by_its_name() {
    type Break = fn(&mut types::NewTask);
    let break_it: [(&str, Break); 8] = [
        ("kind", |task| task.kind = String::new()),
        ("kind", |task| task.kind = "Demo".into()),
        ("kind", |task| task.kind = "x".repeat(64)),
        ("payload", |task| task.payload = "x".repeat((256 << 10) + 1)),
        ("key", |task| task.key = "x".repeat(257)),
        ("max_attempts", |task| task.max_attempts = 101),
        ("priority", |task| task.priority = 4),
        ("run_at", |task| task.run_at = Some(Timestamp { seconds: i64::MAX, nanos: 0 })),
    ];
    for (field, change) in break_it {
        let mut message = new_task();
        change(&mut message);
        assert_eq!(fields(decode(message)), [field]);
    }
    // The limits themselves are allowed.
    let edge = types::NewTask {
        kind: "x".repeat(63),
        payload: "x".repeat(256 << 10),
        key: "x".repeat(256),
        max_attempts: 100,
        ..new_task()
    };
    assert!(decode(edge).is_ok());
}

#[test]
fn the_path_leads_to_the_field_in_the_batch() {
    let document = types::Document { id: rows::absent().to_string(), ..types::Document::default() };
    let bad = api::NewMatch {
        query_id: rows::absent().to_string(),
        score: 1.0,
        task: Some(types::NewTask::default()),
    };
    let message = api::MatchedDocument { document: Some(document), matches: vec![bad] };
    let refused = content::decode_matched_documents(vec![message], &ARRIVAL);
    assert_eq!(fields(refused), ["documents[0].matches[0].task.kind"]);
}

#[test]
fn batches_have_bounds() {
    let none = content::decode_matched_documents(Vec::new(), &ARRIVAL);
    assert_eq!(fields(none), ["documents"]);
    assert!(rule::batch("tasks", 1_000).is_ok());
    assert_eq!(fields(rule::batch("tasks", 1_001)), ["tasks"]);
    let many = vec![api::SettledCompletion::default(); 10_001];
    assert_eq!(fields(lease::decode_completions(many, &ARRIVAL)), ["completions"]);
    for limit in [0, -1, 10_001] {
        assert_eq!(fields(rule::limit("limit", limit)), ["limit"]);
    }
}

#[test]
fn each_field_of_a_query_is_refused_by_its_name() {
    let good = types::Query {
        name: "rust".into(),
        expression: "rust".into(),
        recipe: "brief@1".into(),
        ..types::Query::default()
    };
    let number = |number| Value { kind: Some(Kind::NumberValue(number)) };
    let parameters = |value| Some(Struct { fields: [("x".to_owned(), value)].into() });
    let bad = [
        ("id", types::Query { id: "12".into(), ..good.clone() }),
        ("name", types::Query { name: "rust news".into(), ..good.clone() }),
        ("expression", types::Query { expression: String::new(), ..good.clone() }),
        ("recipe", types::Query { recipe: String::new(), ..good.clone() }),
        ("parameters", types::Query { parameters: parameters(number(f64::NAN)), ..good.clone() }),
        ("parameters", types::Query { parameters: parameters(number(f64::INFINITY)), ..good.clone() }),
    ];
    for (field, message) in bad {
        assert_eq!(fields(content::decode_query(message, NOW, &fixed(rows::absent()))), [field]);
    }
    let made = content::decode_query(good, NOW, &fixed(rows::absent())).unwrap();
    assert_eq!((made.id, made.created_at, made.parameters.as_str()), (rows::absent(), NOW, "{}"));
}

#[test]
fn a_source_must_say_what_it_reads() {
    let message = types::Source { name: "news".into(), location: "/tmp".into(), ..types::Source::default() };
    assert_eq!(fields(content::decode_source(message, NOW, &fixed(rows::absent()))), ["kind"]);
}

#[test]
fn times_out_of_range_are_refused() {
    for (seconds, nanos) in [(253_402_300_800, 0), (-62_135_596_801, 0), (0, 1_000_000_000), (0, -1)] {
        assert_eq!(fields(time::decode("at", &Timestamp { seconds, nanos })), ["at"]);
    }
    assert_eq!(fields(time::decode_required("at", None)), ["at"]);
}

#[test]
fn ids_hashes_and_tenants_are_named() {
    assert_eq!(fields(rule::ids("ids", &[rows::absent().to_string(), "x".into()], 2)), ["ids[1]"]);
    assert_eq!(fields(rule::hash("key_hash", &[1; 31])), ["key_hash"]);
    assert_eq!(fields(rule::tenant("tenant", "No")), ["tenant"]);
    assert_eq!(fields(rule::page(-1, String::new())), ["page_size"]);
    assert_eq!(fields(task::decode_state("state", 9)), ["state"]);
}
