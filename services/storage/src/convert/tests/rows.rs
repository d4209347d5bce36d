//! Rows as a database may hold them.

use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidemill_kernel::{Id, Priority, TenantName, Tier, Timestamp};
use tidemill_store::content::{Analysis, Document, Found, Query, Source, SourceKind};
use tidemill_store::task::{
    Completion, Failure, Grant, LeaseRef, NewTask, Running, Task, TaskState, Waiting,
};
use tidemill_store::tenant::Tenant;

/// An id that no row has: where it shows up, an id was made that should have been kept.
pub(super) fn absent() -> Id {
    Id::from_bytes([0; 16])
}

pub(super) fn id() -> impl Strategy<Value = Id> {
    any::<[u8; 16]>().prop_map(Id::from_bytes)
}

pub(super) fn moment() -> impl Strategy<Value = Timestamp> {
    (-62_135_596_800_000_000..=253_402_300_799_999_999_i64).prop_map(Timestamp::from_micros)
}

pub(super) fn name() -> impl Strategy<Value = String> {
    "[a-z0-9_.-]{1,63}"
}

fn tenant_name() -> impl Strategy<Value = TenantName> {
    "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?".prop_map(|name| name.parse().unwrap())
}

fn priority() -> impl Strategy<Value = Priority> {
    proptest::sample::select(&Priority::ALL[..])
}

/// A JSON object that doubles can hold.
pub(super) fn object() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53)..=1 << 53).prop_map(Value::from),
        (-1e300..1e300_f64).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    });
    proptest::collection::btree_map(".{0,4}", value, 0..4).prop_map(|map| json!(map))
}

/// The canonical text of a JSON object.
fn object_text() -> impl Strategy<Value = String> {
    object().prop_map(|value| {
        let message = super::json::encode(&value.to_string()).unwrap();
        super::json::decode("x", Some(message), usize::MAX).unwrap()
    })
}

prop_compose! {
    pub(super) fn document()(
        id in id(), source in ".{0,9}", external_id in ".{0,9}", url in ".{0,9}", title in ".{0,9}",
        body in ".{0,40}", published_at in option::of(moment()), ingested_at in moment(),
    ) -> Document {
        Document { id, source, external_id, url, title, body, published_at, ingested_at }
    }
}

prop_compose! {
    pub(super) fn query()(
        id in id(), name in name(), expression in ".{1,20}", recipe in "[a-z]{1,9}@[0-9]",
        parameters in object_text(), priority in priority(), created_at in moment(),
    ) -> Query {
        Query { id, name, expression, recipe, parameters, priority, created_at }
    }
}

prop_compose! {
    pub(super) fn source()(
        id in id(), name in name(), folder: bool, location in ".{1,20}", created_at in moment(),
        collected_at in option::of(moment()), cursor in ".{0,9}",
    ) -> Source {
        let kind = if folder { SourceKind::Folder } else { SourceKind::Feed };
        Source { id, name, kind, location, created_at, collected_at, cursor }
    }
}

prop_compose! {
    fn analysis()(
        recipe in "[a-z]{1,9}@[0-9]", output in object_text(), provider in ".{0,9}", model in ".{0,9}",
        input_tokens in 0_i64.., output_tokens in 0_i64.., created_at in moment(),
    ) -> Analysis {
        Analysis { recipe, output, provider, model, input_tokens, output_tokens, created_at }
    }
}

prop_compose! {
    pub(super) fn found()(
        query in name(), document in document(), score in -1e9..1e9_f64, matched_at in moment(),
        analysis in option::of(analysis()),
    ) -> Found {
        Found { query, document, score, matched_at, analysis }
    }
}

prop_compose! {
    pub(super) fn new_task()(
        id in id(), kind in name(), priority in priority(), payload in ".{0,40}", key in ".{0,20}",
        run_at in moment(), max_attempts in 1_u32..=100, trace_parent in "[0-9a-f-]{0,55}",
    ) -> NewTask {
        NewTask { id, kind, priority, payload, key, run_at, max_attempts, trace_parent }
    }
}

prop_compose! {
    pub(super) fn task()(
        new in new_task(), tenant in tenant_name(), state in proptest::sample::select(&TaskState::ALL[..]),
        attempt in 0_u32..100, created_at in moment(), started_at in option::of(moment()),
        finished_at in option::of(moment()), worker in ".{0,9}", error in ".{0,9}", result in ".{0,9}",
    ) -> Task {
        Task { new, tenant, state, attempt, created_at, started_at, finished_at, worker, error, result }
    }
}

prop_compose! {
    fn waiting()(
        id in id(), tenant in tenant_name(), kind in name(), priority in priority(), sequence in 1_i64..,
        run_at in moment(),
    ) -> Waiting {
        Waiting { id, tenant, kind, priority, sequence, run_at }
    }
}

prop_compose! {
    pub(super) fn running()(
        waiting in waiting(), worker in ".{1,9}", token in id(), expires_at in moment(), attempt in 0_u32..100,
        max_attempts in 1_u32..=100,
    ) -> Running {
        Running { waiting, worker, token, expires_at, attempt, max_attempts }
    }
}

fn lease_ref() -> impl Strategy<Value = LeaseRef> {
    (id(), id()).prop_map(|(task, token)| LeaseRef { task, token })
}

prop_compose! {
    pub(super) fn grant()(lease in lease_ref(), worker in ".{1,9}") -> Grant {
        Grant { task: lease.task, worker, token: lease.token }
    }
}

prop_compose! {
    pub(super) fn completion()(
        lease in lease_ref(), result in ".{0,40}", analysis in option::of((id(), id(), analysis())),
        follow_ups in proptest::collection::vec(new_task(), 0..=1),
    ) -> Completion {
        Completion { lease, result, analysis, follow_ups }
    }
}

prop_compose! {
    pub(super) fn failure()(
        lease in lease_ref(), error in ".{0,40}", retry_at in option::of(moment()), only_if_expired: bool,
    ) -> Failure {
        Failure { lease, error, retry_at, only_if_expired }
    }
}

prop_compose! {
    pub(super) fn tenant()(
        name in tenant_name(), tier in proptest::sample::select(&Tier::ALL[..]), created_at in moment(),
    ) -> Tenant {
        Tenant { name, tier, created_at }
    }
}
