//! New tasks as arrays.
//!
//! What neighbouring rows have in common (tenant, kind, priority, times) is sent once for the whole run of them, and what
//! each has of its own as a slice of long arrays: the server looks at no more than it stores.

use tidemill_kernel::Timestamp;

use super::insert::{NewRow, Shares};
use super::row::{bytes, text};
use crate::writer::Statement;

/// The rows of [`Columns`], `$1` to `$17`, put into the queue, at places counted from the `bases` that are `taken`.
macro_rules! inserted {
    () => {
        "stored AS (
             INSERT INTO queue (place, tenant_id, created_at, run_at, max_attempts, attempt, priority, kind, keep, key_until,
                                trace_parent, group_name, payload, options, key)
             SELECT generate_series(t.bases[r.shard] + r.start, t.bases[r.shard] + r.start + r.last - r.first),
                    r.tenant_id, r.created_at, r.run_at, r.max_attempts, 0, r.priority, r.kind, r.keep, r.key_until,
                    r.trace_parent, r.group_name, unnest(($14::text[])[r.first:r.last]), unnest(($15::bytea[])[r.first:r.last]),
                    unnest(($16::text[])[r.first:r.last])
             FROM taken t, unnest($1::integer[], $2::bigint[], $3::integer[], $4::integer[], $5::bigint[], $6::bigint[],
                                  $7::bigint[], $8::bigint[], $9::integer[], $10::text[], $11::bigint[], $12::bigint[],
                                  $13::text[], $17::text[])
                 AS r (shard, start, first, last, tenant_id, created_at, run_at, max_attempts, priority, kind, keep,
                       key_until, trace_parent, group_name)
         )"
    };
}
pub(super) use inserted;

/// New tasks, in their order.
#[derive(Default)]
pub(super) struct Columns<'a> {
    runs: Runs<'a>,
    payloads: Vec<&'a str>,
    /// None where no row has any.
    options: Option<Vec<Option<&'a [u8]>>>,
    keys: Option<Vec<Option<&'a str>>>,
}

/// Neighbours at places that follow each other, with what they have in common.
#[derive(Default)]
struct Runs<'a> {
    /// Counted from 1, as are first and last.
    shards: Vec<i32>,
    starts: Vec<i64>,
    firsts: Vec<i32>,
    lasts: Vec<i32>,
    tenants: Vec<i64>,
    created: Vec<i64>,
    run_at: Vec<i64>,
    max_attempts: Vec<i64>,
    priorities: Vec<i32>,
    kinds: Vec<&'a str>,
    keeps: Vec<Option<i64>>,
    keys_until: Vec<Option<i64>>,
    trace_parents: Vec<Option<&'a str>>,
    groups: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    /// Of these of the rows.
    pub(super) fn of(
        rows: &[NewRow<'a>],
        shares: &Shares,
        indices: impl Iterator<Item = usize> + Clone,
    ) -> Self {
        let tasks = || indices.clone().map(|index| rows[index].task);
        let mut columns = Self {
            runs: Runs::default(),
            payloads: tasks().map(|task| task.payload.as_str()).collect(),
            options: tasks()
                .any(|task| !task.options.is_empty())
                .then(|| tasks().map(|task| bytes(&task.options)).collect()),
            keys: tasks()
                .any(|task| !task.key.is_empty())
                .then(|| tasks().map(|task| text(&task.key)).collect()),
        };
        let mut before: Option<usize> = None;
        for index in indices {
            let goes_on = |before: usize| {
                let ((shard, place), (of_shard, last)) = (shares.of_rows[index], shares.of_rows[before]);
                shard == of_shard && place == last + 1 && runs_on(&rows[before], &rows[index])
            };
            if before.is_some_and(goes_on) {
                columns.runs.lengthen();
            } else {
                columns.runs.begin(&rows[index], shares.of_rows[index]);
            }
            before = Some(index);
        }
        columns
    }

    pub(super) fn bind_to(self, statement: Statement<'a>) -> Statement<'a> {
        let Self { runs, payloads, options, keys } = self;
        let statement = statement.bind(runs.shards).bind(runs.starts).bind(runs.firsts).bind(runs.lasts);
        let statement =
            statement.bind(runs.tenants).bind(runs.created).bind(runs.run_at).bind(runs.max_attempts);
        let statement =
            statement.bind(runs.priorities).bind(runs.kinds).bind(runs.keeps).bind(runs.keys_until);
        statement.bind(runs.trace_parents).bind(payloads).bind(options).bind(keys).bind(runs.groups)
    }
}

impl<'a> Runs<'a> {
    fn begin(&mut self, row: &NewRow<'a>, (shard, start): (usize, i64)) {
        let (task, next) = (row.task, self.lasts.last().map_or(1, |last| last + 1));
        self.shards.push(i32::try_from(shard + 1).unwrap_or(i32::MAX));
        self.starts.push(start);
        self.firsts.push(next);
        self.lasts.push(next);
        self.tenants.push(row.tenant);
        self.created.push(created_at(row.now));
        self.run_at.push(task.run_at.as_micros());
        self.max_attempts.push(task.max_attempts.into());
        self.priorities.push(task.priority.number());
        self.kinds.push(&task.kind);
        self.keeps.push(task.keep.map(|keep| i64::try_from(keep.as_micros()).unwrap_or(i64::MAX)));
        self.keys_until.push(Some(task.key_until.as_micros()).filter(|until| *until != 0));
        self.trace_parents.push(text(&task.trace_parent));
        self.groups.push(text(&task.group));
    }

    fn lengthen(&mut self) {
        if let Some(last) = self.lasts.last_mut() {
            *last += 1;
        }
    }
}

/// The moment that a task's id tells: none before 1970.
fn created_at(now: Timestamp) -> i64 {
    now.as_micros().max(0)
}

/// Whether two rows differ in nothing that a run has in common.
fn runs_on(one: &NewRow<'_>, other: &NewRow<'_>) -> bool {
    let (task, next) = (one.task, other.task);
    one.tenant == other.tenant
        && one.now == other.now
        && task.kind == next.kind
        && task.priority == next.priority
        && task.run_at == next.run_at
        && task.max_attempts == next.max_attempts
        && task.keep == next.keep
        && task.key_until == next.key_until
        && task.trace_parent == next.trace_parent
        && task.group == next.group
}
