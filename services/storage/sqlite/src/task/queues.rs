//! Queues: a tenant's tasks of one priority and kind, known by a number, with the counts of their states. Each step
//! changes the counts for its whole batch at once.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, params};
use tidemill_kernel::shard::SHARDS;
use tidemill_kernel::{Priority, Shard, TenantName};
use tidemill_store::task::{QueueDepth, Queues, TaskCount, TaskState};
use tidemill_store::{Error, Result};

use super::groups::GroupChanges;
use super::row::priority;
use crate::error::failed;
use crate::reader::Readers;
use crate::statement::query;
use crate::writer::Step;

/// How many queues the writer remembers before it forgets them all.
const REMEMBERED: usize = 50_000;

/// What the writer remembers of the queue's log. It alone writes, so what was true at the last commit is still true.
#[derive(Debug, Default)]
pub(crate) struct TaskMemo {
    /// Shards and numbers, by tenant and priority, then kind.
    queues: HashMap<(i64, i32), HashMap<String, (Shard, i64)>>,
    remembered: usize,
    shards: [ShardMemo; SHARDS as usize],
}

#[derive(Debug, Default, Clone, Copy)]
struct ShardMemo {
    last_place: i64,
    epoch: i64,
    /// Whether the last place has to be written.
    is_ahead: bool,
}

impl TaskMemo {
    /// The place that the next task of the shard gets.
    pub(crate) fn next_place(&self, shard: Shard) -> i64 {
        self.shards[usize::from(shard.number())].last_place + 1
    }

    /// It was given.
    pub(crate) fn take_place(&mut self, shard: Shard) {
        let memo = &mut self.shards[usize::from(shard.number())];
        memo.last_place += 1;
        memo.is_ahead = true;
    }

    /// How often the shard has changed hands.
    pub(super) fn epoch(&self, shard: Shard) -> i64 {
        self.shards[usize::from(shard.number())].epoch
    }

    pub(super) fn set_epoch(&mut self, shard: Shard, epoch: i64) {
        self.shards[usize::from(shard.number())].epoch = epoch;
    }

    /// Reads how the shards stand; forgets the rest.
    pub(crate) fn load(connection: &rusqlite::Connection) -> Result<Self> {
        let mut memo = Self::default();
        let rows = query("SELECT json_array(shard, last_place, epoch) FROM shards");
        for (shard, last_place, epoch) in rows.rows::<(usize, i64, i64)>(connection)? {
            if let Some(there) = memo.shards.get_mut(shard) {
                *there = ShardMemo { last_place, epoch, is_ahead: false };
            }
        }
        Ok(memo)
    }
}

impl Step<'_> {
    /// The shard and number of a queue, which is made where needed.
    pub(super) fn queue(&mut self, tenant: i64, priority: Priority, kind: &str) -> Result<(Shard, i64)> {
        let key = (tenant, priority.number());
        if let Some(known) = self.memo.tasks.queues.get(&key).and_then(|kinds| kinds.get(kind)) {
            return Ok(*known);
        }
        let shard = Shard::of_tenant(&self.tenant_name(tenant)?);
        let mut find =
            self.prepare("SELECT id FROM task_queues WHERE tenant_id = ?1 AND priority = ?2 AND kind = ?3")?;
        let found = find.query_row(params![tenant, key.1, kind], |row| row.get(0)).optional();
        let number = match found.map_err(failed)? {
            Some(number) => number,
            None => self
                .prepare(
                    "INSERT INTO task_queues (shard, tenant_id, priority, kind) VALUES (?1, ?2, ?3, ?4)",
                )?
                .insert(params![shard.number(), tenant, key.1, kind])
                .map_err(failed)?,
        };
        let memo = &mut self.memo.tasks;
        if memo.remembered >= REMEMBERED {
            memo.queues.clear();
            memo.remembered = 0;
        }
        memo.queues.entry(key).or_default().insert(kind.to_owned(), (shard, number));
        memo.remembered += 1;
        Ok((shard, number))
    }

    /// Writes the last places that were given.
    pub(super) fn save_places(&mut self) -> Result<()> {
        let mut save = self.prepare("UPDATE shards SET last_place = ?2 WHERE shard = ?1")?;
        let shards = (0_i64..).zip(&mut self.memo.tasks.shards);
        for (shard, memo) in shards.filter(|(_, memo)| memo.is_ahead) {
            save.execute(params![shard, memo.last_place]).map_err(failed)?;
            memo.is_ahead = false;
        }
        Ok(())
    }

    /// The tenant of a queue.
    pub(super) fn tenant_of_queue(&self, number: i64) -> Result<i64> {
        let mut find = self.prepare("SELECT tenant_id FROM task_queues WHERE id = ?1")?;
        find.query_row([number], |row| row.get(0)).map_err(failed)
    }
}

/// By how much the counts change, by queue. Tasks of one queue come in runs, so that of the last one is looked at first.
#[derive(Debug, Default)]
pub(super) struct Changes {
    counts: HashMap<i64, [i64; TaskState::ALL.len()]>,
    last: (i64, [i64; TaskState::ALL.len()]),
    /// Those of groups.
    pub(super) groups: GroupChanges,
}

impl Changes {
    /// Tasks came into this state, or went from it.
    pub(super) fn add(&mut self, queue: i64, state: TaskState, count: i64) {
        if self.last.0 != queue {
            self.put();
            self.last.0 = queue;
        }
        // States are numbered from 1.
        self.last.1[state as usize - 1] += count;
    }

    /// A task went from one state to another.
    pub(super) fn shift(&mut self, queue: i64, from: TaskState, to: TaskState) {
        self.add(queue, from, -1);
        self.add(queue, to, 1);
    }

    fn put(&mut self) {
        let (queue, counts) = std::mem::take(&mut self.last);
        if counts.iter().any(|count| *count != 0) {
            let there = self.counts.entry(queue).or_default();
            there.iter_mut().zip(counts).for_each(|(there, count)| *there += count);
        }
    }

    /// Writes them down.
    pub(super) fn save(mut self, step: &Step<'_>) -> Result<()> {
        self.put();
        let mut change = step.prepare(
            "UPDATE task_queues SET waiting = waiting + ?2, running = running + ?3, succeeded = succeeded + ?4,
                    dead = dead + ?5, cancelled = cancelled + ?6
             WHERE id = ?1",
        )?;
        for (queue, [waiting, running, succeeded, dead, cancelled]) in self.counts {
            let changed = change.execute([queue, waiting, running, succeeded, dead, cancelled]);
            if changed.map_err(failed)? != 1 {
                return Err(Error::Internal(format!("queue {queue} is gone")));
            }
        }
        self.groups.save(step)
    }
}

/// Tenant, priority, kind, how many wait.
type DepthRow = (TenantName, i32, String, i64);

/// The queues of a shard that have waiting tasks, and the last place that was given.
pub(super) async fn queues(readers: &Readers, shard: Shard) -> Result<Queues> {
    let statement = query(
        "SELECT json_array(
             (SELECT json_group_array(json_array(n.name, q.priority, q.kind, q.waiting))
              FROM task_queues q JOIN tenants n ON n.id = q.tenant_id WHERE q.shard = ?1 AND q.waiting > 0),
             last_place) FROM shards WHERE shard = ?1",
    );
    let row: Option<(Vec<DepthRow>, i64)> = readers.row(statement.bind(i64::from(shard.number()))).await?;
    let (depths, last_place) = row.unwrap_or_default();
    Ok(Queues { depths: depths.into_iter().map(depth).collect::<Result<_>>()?, last_place })
}

/// The queues of these shards that have waiting tasks.
pub(super) async fn depths(readers: &Readers, shards: &[Shard]) -> Result<Vec<QueueDepth>> {
    let numbers: Vec<String> = shards.iter().map(|shard| shard.number().to_string()).collect();
    let statement = query(
        "SELECT json_array(n.name, q.priority, q.kind, q.waiting)
         FROM task_queues q JOIN tenants n ON n.id = q.tenant_id
         WHERE q.shard IN (SELECT value FROM json_each(?1)) AND q.waiting > 0",
    );
    let rows: Vec<DepthRow> = readers.rows(statement.bind(format!("[{}]", numbers.join(",")))).await?;
    rows.into_iter().map(depth).collect()
}

fn depth((tenant, number, kind, waiting): DepthRow) -> Result<QueueDepth> {
    Ok(QueueDepth { tenant, priority: priority(number)?, kind, waiting })
}

/// A tenant's tasks by priority and state.
pub(super) async fn of(readers: &Readers, tenant: &TenantName) -> Result<Vec<TaskCount>> {
    let statement = query(
        "SELECT json_array(q.priority, json_array(sum(q.waiting), sum(q.running), sum(q.succeeded), sum(q.dead),
                                                  sum(q.cancelled)))
         FROM task_queues q JOIN tenants n ON n.id = q.tenant_id WHERE n.name = ?1
         GROUP BY q.priority ORDER BY q.priority",
    );
    let rows: Vec<(i32, [i64; 5])> = readers.rows(statement.bind(tenant.as_str())).await?;
    let mut counts = Vec::new();
    for (number, of) in rows {
        let priority: Priority = priority(number)?;
        let there = TaskState::ALL.into_iter().zip(of).filter(|(_, count)| *count != 0);
        counts.extend(there.map(|(state, count)| TaskCount { priority, state, count }));
    }
    Ok(counts)
}
