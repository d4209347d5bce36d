//! Where the primary's log is: what a session is told after its write, to read behind it.
//!
//! Callers that ask at the same time share a question: each takes the answer to one that was sent after it asked.

use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::query_as;
use tidemill_store::Position;
use tokio::sync::Mutex;

use crate::reader::Source;

/// Behind the commit of every step that was acknowledged, also where commits are not waited for to be on the disk.
const QUESTION: &str = "SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint";

/// The questions that were asked.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    sent: AtomicU64,
    /// The number of the last question that was answered, and the answer.
    last: Mutex<(u64, Option<Position>)>,
}

impl Positions {
    /// A place behind every step that was acknowledged before. Where it cannot be had, the newest: the step is done all
    /// the same, and who reads behind it then reads from the primary.
    pub(crate) async fn now(&self, primary: &Source) -> Position {
        let before = self.sent.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        let (number, answer) = *last;
        if let Some(position) = answer.filter(|_| number > before) {
            return position;
        }
        let number = self.sent.fetch_add(1, Ordering::SeqCst) + 1;
        let answer = primary.row(|| query_as::<_, (i64,)>(QUESTION)).await.ok().flatten();
        let position = answer.map(|(place,)| Position::new(place.cast_unsigned()));
        *last = (number, position);
        position.unwrap_or(Position::NEWEST)
    }
}
