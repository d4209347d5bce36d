//! The limit: a queue of one table and nothing around it, on the same SQLite library with the same durability.
//!
//! A batch is one statement over a JSON array in a transaction of its own: the quickest way through this library, and
//! the one that the store takes too.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sqlx::{Row, SqliteConnection, query, raw_sql};

use crate::folder;

/// What the phases took, over the rounds.
#[derive(Debug, Default)]
pub(crate) struct Times {
    pub(crate) insert: Vec<Duration>,
    pub(crate) claim: Vec<Duration>,
    pub(crate) delete: Vec<Duration>,
    /// Inserts of as many rows as there are callers.
    pub(crate) callers: Vec<Duration>,
    /// Inserts of one row each, a tenth as many.
    pub(crate) one: Vec<Duration>,
}

/// One fresh file, every phase.
pub(crate) async fn round(
    many: usize,
    batch: usize,
    few: usize,
    callers: usize,
    times: &mut Times,
) -> Result<()> {
    let folder = folder::fresh()?;
    let mut file = folder::bare(folder.path()).await?;
    raw_sql(
        "CREATE TABLE tasks (id INTEGER PRIMARY KEY, state INTEGER NOT NULL, payload TEXT NOT NULL) STRICT;
         CREATE INDEX waiting ON tasks (id) WHERE state = 1",
    )
    .execute(&mut file)
    .await?;
    times.insert.push(insert(&mut file, many, batch).await?);
    times.claim.push(claim(&mut file, many, batch).await?);
    times.delete.push(delete(&mut file, many, batch).await?);
    times.callers.push(insert(&mut file, few, callers).await?);
    times.one.push(insert(&mut file, few / 10, 1).await?);
    Ok(())
}

async fn insert(file: &mut SqliteConnection, count: usize, batch: usize) -> Result<Duration> {
    let payload = "x".repeat(200);
    let begun = Instant::now();
    for _ in 0..count / batch {
        let rows = serde_json::to_string(&vec![&payload; batch])?;
        let insert =
            query("INSERT INTO tasks (state, payload) SELECT 1, value FROM json_each(?1)").bind(rows);
        insert.execute(&mut *file).await?;
    }
    Ok(begun.elapsed())
}

async fn claim(file: &mut SqliteConnection, count: usize, batch: usize) -> Result<Duration> {
    let begun = Instant::now();
    let mut claimed = 0;
    while claimed < count {
        let claim = query(
            "UPDATE tasks SET state = 2 WHERE id IN (SELECT id FROM tasks WHERE state = 1 ORDER BY id LIMIT ?1)
             RETURNING payload",
        );
        let rows = claim.bind(i64::try_from(batch)?).fetch_all(&mut *file).await?;
        ensure!(!rows.is_empty(), "nothing is left to be claimed");
        ensure!(rows.iter().all(|row| row.get::<&str, _>(0).len() == 200), "a payload was cut");
        claimed += rows.len();
    }
    Ok(begun.elapsed())
}

async fn delete(file: &mut SqliteConnection, count: usize, batch: usize) -> Result<Duration> {
    let begun = Instant::now();
    for first in (1..=count).step_by(batch) {
        let ids = serde_json::to_string(&(first..first + batch).collect::<Vec<_>>())?;
        let delete = query("DELETE FROM tasks WHERE id IN (SELECT value FROM json_each(?1))").bind(ids);
        delete.execute(&mut *file).await?;
    }
    Ok(begun.elapsed())
}
