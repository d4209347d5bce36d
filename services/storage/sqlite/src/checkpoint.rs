//! Copies the write-ahead log into the file on a thread of its own, so that commits do not stand still for it.
//!
//! The writer does that itself only when the log has grown to [`LOG_BYTES`]: then nearly all of it is copied already, and the
//! log begins anew. A copy that fails (no room, a failing disk) is the writer's to tell of: it tries again there.
//!
//! Source: `https://sqlite.org/wal.html`, section 3.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

/// How long the write-ahead log grows before it begins anew.
pub(crate) const LOG_BYTES: i64 = 32 << 20;
/// So much that is not copied is worth a pass: pages that are written again and again are copied once.
const PASS_BYTES: i64 = LOG_BYTES / 4;
/// Shortly before the end of the log smaller passes are, so that little is left for the writer.
const LAST_BYTES: i64 = LOG_BYTES / 64;
/// At most so often is the log looked at.
const EVERY: Duration = Duration::from_millis(10);

/// The thread that copies. It ends when this is dropped.
pub(crate) struct Checkpointer {
    commits: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpointer {
    /// Starts it with a connection of its own, which may write.
    pub(crate) fn start(connection: Connection) -> std::io::Result<Self> {
        let (commits, committed) = sync_channel(1);
        let thread = std::thread::Builder::new().name("sqlite-log".to_owned());
        let thread = thread.spawn(move || run(&connection, &committed))?;
        Ok(Self { commits: Some(commits), thread: Some(thread) })
    }

    /// Something was committed.
    pub(crate) fn committed(&self) {
        if let Some(commits) = &self.commits {
            // It looks already.
            let _ = commits.try_send(());
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        drop(self.commits.take());
        if let Some(thread) = self.thread.take() {
            // Its connection is closed then, whatever became of it.
            let _ = thread.join();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a thread of its own, which rests between two looks")]
fn run(connection: &Connection, committed: &Receiver<()>) {
    while committed.recv().is_ok() {
        if let Err(error) = look(connection) {
            tracing::debug!(%error, "copying the log is left to the writer");
        }
        std::thread::sleep(EVERY);
    }
}

/// Copies what is worth it; what a reader still needs, or is written meanwhile, stays for the next look.
fn look(connection: &Connection) -> rusqlite::Result<()> {
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let (log, copied) = checkpoint(connection, "noop")?;
    if is_due(log * page, copied * page) {
        checkpoint(connection, "passive")?;
    }
    Ok(())
}

/// Whether it is worth a pass, by the bytes of the log and of what of it is copied.
fn is_due(log: i64, copied: i64) -> bool {
    let left = log - copied;
    left >= PASS_BYTES || (left >= LAST_BYTES && log >= LOG_BYTES - PASS_BYTES)
}

/// How many pages the log has, and how many of them are copied, after this.
fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<(i64, i64)> {
    let mut pages = (0, 0);
    connection.pragma(None, "wal_checkpoint", mode, |row| {
        pages = (row.get(1)?, row.get(2)?);
        Ok(())
    })?;
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_is_due_when_much_is_left_and_more_often_at_the_end_of_the_log() {
        assert!(!is_due(0, 0));
        assert!(!is_due(PASS_BYTES - 1, 0));
        assert!(is_due(PASS_BYTES, 0));
        assert!(!is_due(2 * PASS_BYTES, PASS_BYTES + 1));
        assert!(is_due(LOG_BYTES - PASS_BYTES, LOG_BYTES - PASS_BYTES - LAST_BYTES));
        assert!(!is_due(LOG_BYTES, LOG_BYTES - LAST_BYTES + 1));
    }

    #[test]
    fn the_log_is_copied_without_the_writer() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let connection = Connection::open(folder.path().join("test.db")).unwrap();
            connection.pragma_update(None, "journal_mode", "wal").unwrap();
            connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
            connection
        };
        let writer = open();
        writer.execute_batch("CREATE TABLE t (x BLOB)").unwrap();
        let checkpointer = Checkpointer::start(open()).unwrap();
        let copied = || checkpoint(&writer, "noop").unwrap().1;
        for _ in 0..2_000 {
            writer.execute("INSERT INTO t VALUES (zeroblob(100000))", ()).unwrap();
            checkpointer.committed();
            if copied() > 0 {
                break;
            }
        }
        drop(checkpointer);
        assert!(copied() > 0, "nothing was copied");
    }
}
