//! The store on SQLite: native SQL, one writer with group commit, parallel readers.
//!
//! Invariants:
//! - One process has a data folder open; inside it one connection writes, so a write never waits for another's lock.
//! - Writes that wait together commit together, and nobody is answered before that commit (`writer`). A step that
//!   fails is undone alone; a commit that fails is answered to all, and nothing of it stays.
//! - SQLite runs where it is asked: a step is ordinary code on the writer's thread, a read one on a thread of its own.
//!   Statements are literals, prepared once for each connection. Content travels as one JSON text for a whole batch.
//! - Readers are other connections on the write-ahead log: they see whole commits and block nobody.
//! - Counts are kept by the steps that change them; no count reads a table through.
//!
//! To add a step: a type with `writer::Write` in the file of its noun, one line in the trait's method. To change the
//! schema: a new file in `migrations/`, never a change of an old one.
//!
//! Sources: `https://sqlite.org/wal.html`, `https://sqlite.org/json1.html`, `https://sqlite.org/fts5.html`.

mod checkpoint;
pub mod config;
mod content;
pub mod error;
mod migrate;
mod open;
mod reader;
mod setting;
mod statement;
mod task;
mod tenant;
mod writer;

use std::fmt;
use std::sync::Arc;

use tidemill_store::{Connections, Freshness, Store};

use checkpoint::Checkpointer;
pub use config::{SqliteConfig, Synchronous};
pub use error::Error;
use open::Opened;
use reader::Readers;
use writer::Writer;

/// The store in a data folder. Cheap calls may come from any number of tasks.
pub struct SqliteStore {
    writer: Writer,
    readers: Readers,
}

impl SqliteStore {
    /// Opens the data folder: makes it if it is missing, brings its database up to date, keeps others out.
    pub async fn open(config: SqliteConfig) -> Result<Self, Error> {
        let Opened { lock, writer, copier, reader, file } =
            migrate::off_the_loop(&config, open::open).await?;
        let failed = |error| Error::file(&config.path, &error);
        let checkpointer = Checkpointer::start(copier).map_err(failed)?;
        let writer = Writer::start(&config.path, writer, checkpointer, lock).map_err(failed)?;
        Ok(Self { writer, readers: Readers::new(config, file, reader) })
    }

    /// Finishes the writes that wait and closes the folder. Calls that come later are answered
    /// [`tidemill_store::Error::Unavailable`]. Without it, the same happens in the background on drop.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// How many transactions were committed since it was opened: less than the calls that wrote, when calls met.
    pub fn commits(&self) -> u64 {
        self.writer.commits()
    }

    /// Changes the largest size of the database file, in bytes; none for what the disk has. What is stored stays, also
    /// when it is more.
    pub async fn set_max_bytes(&self, bytes: Option<u64>) -> tidemill_store::Result<()> {
        self.writer.call(writer::Limit { bytes }).await
    }
}

impl Store for SqliteStore {
    fn system(&self) -> &'static str {
        "sqlite"
    }

    fn connections(&self) -> Vec<Connections> {
        vec![self.readers.connections(), self.writer.connections()]
    }

    fn reading(self: Arc<Self>, _: Freshness) -> Arc<dyn Store> {
        // Every read sees everything.
        self
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("commits", &self.commits()).finish_non_exhaustive()
    }
}
