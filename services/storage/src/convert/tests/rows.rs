//! Rows as a database may hold them.

use std::time::Duration;

use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidemill_kernel::shard::SHARDS;
use tidemill_kernel::{Id, Priority, Shard, TenantName, Tier, Timestamp};
use tidemill_proto::types::v1 as types;
use tidemill_store::content::{Analysis, Document, Found, Query, Source, SourceKind};
use tidemill_store::task::{
    Attempt, Board, Claim, Completion, Failure, NewTask, Progress, RecordedLease, Scheduler, ShardLease,
    Task, TaskState,
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

fn length() -> impl Strategy<Value = Duration> {
    (0_u64..1 << 50).prop_map(Duration::from_micros)
}

/// What a submitter may say, as it is stored.
fn options() -> impl Strategy<Value = Vec<u8>> {
    (".{0,9}", 0_u32..1_000, option::of(moment())).prop_map(|(affinity, cost, deadline)| {
        let deadline = deadline.map(crate::convert::time::encode);
        let message = types::TaskOptions { affinity, cost, deadline, ..types::TaskOptions::default() };
        crate::convert::options::decode(message).unwrap()
    })
}

prop_compose! {
    pub(super) fn new_task()(
        kind in name(), priority in priority(), payload in ".{0,40}", key in ".{0,20}", key_for in length(),
        run_at in moment(), max_attempts in 1_u32..=100, trace_parent in "[0-9a-f-]{0,55}",
        keep in option::of(length()), options in options(), wants_unique: bool, group in "[^\\p{Cc}]{0,20}",
    ) -> NewTask {
        let key_until = if key.is_empty() { Timestamp::default() } else { super::NOW + key_for };
        let unique = wants_unique && !key.is_empty();
        NewTask {
            kind, priority, payload, key, key_until, unique, run_at, max_attempts, trace_parent, keep, options, group,
        }
    }
}

prop_compose! {
    pub(super) fn task()(
        id in id(), new in new_task(), tenant in tenant_name(),
        state in proptest::sample::select(&TaskState::ALL[..]), attempt in 0_u32..100,
        started_at in option::of(moment()), finished_at in option::of(moment()),
        texts in (".{0,9}", ".{0,9}", ".{0,9}", ".{0,9}"), checkpoint in any::<Vec<u8>>(),
    ) -> Task {
        let (worker, error, result, progress) = texts;
        let new = NewTask { unique: false, ..new };
        Task {
            id, new, tenant, state, attempt, started_at, finished_at, worker, error, result, progress, checkpoint,
        }
    }
}

prop_compose! {
    fn attempt()(
        task in id(), number in any::<u32>(), worker in ".{1,9}", started_at in moment(), recorded: bool,
    ) -> Attempt {
        Attempt { task, number, worker, started_at, recorded }
    }
}

prop_compose! {
    pub(super) fn recorded_lease()(attempt in attempt(), token in id()) -> RecordedLease {
        RecordedLease { attempt, token }
    }
}

prop_compose! {
    pub(super) fn progress()(
        task in id(), progress in ".{0,20}", checkpoint in option::of(any::<Vec<u8>>()),
    ) -> Progress {
        Progress { task, progress, checkpoint }
    }
}

prop_compose! {
    pub(super) fn completion()(
        attempt in attempt(), result in ".{0,40}", analysis in option::of((id(), id(), analysis())),
        follow_ups in proptest::collection::vec(new_task(), 0..=1),
    ) -> Completion {
        Completion { attempt, result, analysis, follow_ups }
    }
}

prop_compose! {
    pub(super) fn failure()(
        attempt in attempt(), error in ".{0,40}", retry_at in option::of(moment()),
    ) -> Failure {
        Failure { attempt, error, retry_at }
    }
}

fn epochs() -> impl Strategy<Value = Vec<(Shard, i64)>> {
    let one = (0..SHARDS, any::<i64>()).prop_map(|(shard, epoch)| (Shard::new(shard).unwrap(), epoch));
    proptest::collection::vec(one, 0..4)
}

prop_compose! {
    pub(super) fn claim()(
        owner in ".{1,9}", address in ".{0,9}", lease in length(), renew in epochs(), take in epochs(),
        leave in epochs(), force: bool,
    ) -> Claim {
        Claim { owner, address, until: super::NOW + lease, renew, take, leave, force }
    }
}

prop_compose! {
    pub(super) fn board()(
        leases in proptest::collection::vec(
            (0..SHARDS, ".{0,9}", ".{0,9}", any::<i64>(), option::of(1_u64..1 << 50), any::<bool>()), 0..4,
        ),
        schedulers in proptest::collection::vec((".{1,9}", ".{0,9}"), 0..3),
    ) -> Board {
        let lease = |(shard, owner, address, epoch, rest, left): (u16, String, String, i64, Option<u64>, bool)| {
            let until = rest.map_or_else(Timestamp::default, |rest| super::NOW + Duration::from_micros(rest));
            ShardLease { shard: Shard::new(shard).unwrap(), owner, address, epoch, until, left }
        };
        let scheduler = |(owner, address)| Scheduler { owner, address };
        Board {
            shards: leases.into_iter().map(lease).collect(),
            schedulers: schedulers.into_iter().map(scheduler).collect(),
        }
    }
}

prop_compose! {
    pub(super) fn tenant()(
        name in tenant_name(), tier in proptest::sample::select(&Tier::ALL[..]), created_at in moment(),
    ) -> Tenant {
        Tenant { name, tier, created_at }
    }
}
