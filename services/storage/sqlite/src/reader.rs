//! Reads, on connections of their own, each on a thread that may wait for the disk.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Row};
use serde::de::DeserializeOwned;
use tidemill_kernel::Page;
use tidemill_store::page::{self, PAGE_BYTES};
use tidemill_store::{Connections, Error, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::config::SqliteConfig;
use crate::error::{closed, failed};
use crate::open::open_reader;
use crate::statement::{Statement, text};

/// The readers' connections: as many as are used at once, at most what is configured.
pub(crate) struct Readers {
    pool: Arc<Pool>,
    permits: Arc<Semaphore>,
    most: u32,
}

struct Pool {
    config: SqliteConfig,
    file: PathBuf,
    /// The one used last is on top: what it read is still at hand.
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    /// Readers of this file, the first of which is open.
    pub(crate) fn new(config: SqliteConfig, file: PathBuf, first: Connection) -> Self {
        let most = config.readers.max(1);
        let permits = Arc::new(Semaphore::new(most as usize));
        Self { pool: Arc::new(Pool { config, file, idle: Mutex::new(vec![first]) }), permits, most }
    }

    /// Reads on a connection that is free, as soon as there is one.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let pool = Arc::clone(&self.pool);
        let done = spawn_blocking(move || read(Used::take(pool, permit)?.connection()?)).await;
        done.unwrap_or_else(|fault| Err(Error::Internal(format!("a read did not end: {fault}"))))
    }

    /// All rows of a statement.
    pub(crate) async fn rows<T: DeserializeOwned + Send + 'static>(
        &self,
        statement: Statement,
    ) -> Result<Vec<T>> {
        self.with(move |connection| statement.rows(connection)).await
    }

    /// The first row of a statement.
    pub(crate) async fn row<T: DeserializeOwned + Send + 'static>(
        &self,
        statement: Statement,
    ) -> Result<Option<T>> {
        self.with(move |connection| statement.row(connection)).await
    }

    pub(crate) fn connections(&self) -> Connections {
        let used = (self.most as usize).saturating_sub(self.permits.available_permits());
        Connections { pool: "readers", idle: self.pool.idle().len(), used }
    }

    /// Waits for the reads that run and closes their connections.
    pub(crate) async fn close(&self) {
        let running = self.permits.acquire_many(self.most).await;
        self.permits.close();
        drop(running);
        self.pool.idle().clear();
    }
}

impl Pool {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection in use, which goes back however its read ends.
struct Used {
    connection: Option<Connection>,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Used {
    fn take(pool: Arc<Pool>, permit: OwnedSemaphorePermit) -> Result<Self> {
        let idle = pool.idle().pop();
        let connection = match idle {
            Some(idle) => idle,
            None => open_reader(&pool.config, &pool.file).map_err(failed)?,
        };
        Ok(Self { connection: Some(connection), pool, _permit: permit })
    }

    fn connection(&self) -> Result<&Connection> {
        self.connection.as_ref().ok_or_else(closed)
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        let connection = self.connection.take();
        self.pool.idle().extend(connection);
    }
}

/// The rows of a page as they are read: one more than it shows. No more are read than fit, however large they are.
pub(crate) struct PageRows<T> {
    /// Each with its bytes.
    rows: Vec<(T, usize)>,
    bytes: usize,
    size: u32,
}

impl<T: Send + 'static> PageRows<T> {
    /// None yet, of a page of this size.
    pub(crate) fn new(size: u32) -> Self {
        Self { rows: Vec::new(), bytes: 0, size }
    }

    /// How many are to be read yet.
    pub(crate) fn missing(&self) -> i64 {
        let full = self.bytes > PAGE_BYTES && self.rows.len() > 1;
        let read = i64::try_from(self.rows.len()).unwrap_or(i64::MAX);
        if full { 0 } else { i64::from(self.size) + 1 - read }
    }

    /// Reads rows of this statement, which should be limited to those that are missing and need no sorting.
    pub(crate) async fn read(
        &mut self,
        readers: &Readers,
        statement: Statement,
        row: fn(&Row<'_>) -> Result<T>,
    ) -> Result<()> {
        let mut read = Self { rows: std::mem::take(&mut self.rows), bytes: self.bytes, size: self.size };
        let found = move |connection: &Connection| {
            statement.read(connection, |found| {
                let bytes = text(found)?.len();
                read.bytes += bytes;
                read.rows.push((row(found)?, bytes));
                Ok(read.missing() > 0)
            })?;
            Ok(read)
        };
        *self = readers.with(found).await?;
        Ok(())
    }

    /// The page; `token` makes the token from the last row that is shown.
    pub(crate) fn cut(self, token: impl Fn(&T) -> String) -> Page<T> {
        page::cut(self.rows, self.size, |(_, bytes)| *bytes, |(row, _)| token(row)).map(|(row, _)| row)
    }
}
