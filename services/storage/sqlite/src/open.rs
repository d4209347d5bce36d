//! Opening a data folder: the lock, the writer's connection, the schema, the readers.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::vtab::array::load_module;
use rusqlite::{Connection, OpenFlags};

use crate::checkpoint::LOG_BYTES;
use crate::config::SqliteConfig;
use crate::error::Error;
use crate::migrate;
use crate::statement::PREPARED;

/// SQLite's page size; fixed when the file is made. Twice the usual: a batch of tasks is a third cheaper to store.
const PAGE_BYTES: u32 = 8_192;

/// A data folder that is open.
pub(crate) struct Opened {
    /// Held as long as the store is open.
    pub(crate) lock: File,
    pub(crate) writer: Connection,
    /// For what copies the log.
    pub(crate) copier: Connection,
    /// The first of the readers.
    pub(crate) reader: Connection,
    pub(crate) file: PathBuf,
}

/// Opens a data folder; makes it and brings it up to date where needed.
pub(crate) fn open(config: &SqliteConfig) -> Result<Opened, Error> {
    let (lock, mut writer, file) = begin(config)?;
    if config.migrate {
        migrate::migrate(&mut writer, &file)?;
    } else if let Some(missing) = migrate::schema(&writer, &file)?.outstanding.first() {
        return Err(Error::Outdated { file, migration: missing.version });
    }
    let reader = open_reader(config, &file).map_err(|error| Error::database(&file, &error))?;
    let copier = open_copier(config, &file).map_err(|error| Error::database(&file, &error))?;
    Ok(Opened { lock, writer, copier, reader, file })
}

/// The lock of a data folder, which is made where needed, and a connection that may write its database.
pub(crate) fn begin(config: &SqliteConfig) -> Result<(File, Connection, PathBuf), Error> {
    let folder = &config.path;
    make(folder)?;
    let lock = lock(folder)?;
    let file = database(folder);
    if file.exists() {
        is_ours(&file)?;
    }
    let writer = open_writer(config, &file).map_err(|error| Error::database(&file, &error))?;
    Ok((lock, writer, file))
}

/// The database of a data folder.
pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join("tidemill.db")
}

/// A connection that only reads, also while another process has the folder open.
pub(crate) fn look(file: &Path) -> Result<Connection, Error> {
    is_ours(file)?;
    connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(|error| Error::database(file, &error))
}

fn make(folder: &Path) -> Result<(), Error> {
    match std::fs::create_dir(folder) {
        Ok(()) => Ok(()),
        Err(_) if folder.is_dir() => Ok(()),
        Err(_) if folder.exists() => Err(Error::NotAFolder(folder.to_owned())),
        Err(error) => {
            let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty() && !parent.exists());
            Err(match parent {
                Some(parent) => Error::NoParent { folder: folder.to_owned(), parent: parent.to_owned() },
                None => Error::file(folder, &error),
            })
        }
    }
}

/// The lock is the system's, on the open file: it goes when the process ends, however it ends.
fn lock(folder: &Path) -> Result<File, Error> {
    let path: PathBuf = folder.join("lock");
    let options = File::options().write(true).create(true).truncate(false).open(&path);
    let lock = options.map_err(|error| Error::file(&path, &error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(Error::file(&path, &error)),
    }
}

/// Refuses a database of something else before anything of it is changed: it has tables, but not ours.
fn is_ours(file: &Path) -> Result<(), Error> {
    let count = "SELECT count(*) = 0 OR sum(name = '_sqlx_migrations') = 1 FROM sqlite_schema";
    let ours = connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|connection| connection.query_row(count, [], |row| row.get(0)))
        .map_err(|error| Error::database(file, &error))?;
    if ours { Ok(()) } else { Err(Error::NotADatabase(file.to_owned())) }
}

fn open_writer(config: &SqliteConfig, file: &Path) -> rusqlite::Result<Connection> {
    let writer = connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    writer.pragma_update(None, "page_size", PAGE_BYTES)?;
    writer.pragma_update(None, "journal_mode", "wal")?;
    writer.pragma_update(None, "synchronous", config.synchronous.word())?;
    writer.pragma_update(None, "cache_size", cache_pages(config.cache_bytes.saturating_mul(4)))?;
    // What a savepoint needs to undo its pages stays in memory, not in a file beside the log.
    writer.pragma_update(None, "temp_store", "memory")?;
    // The rest of the log is copied then; it is cut back to that after a long read kept it longer.
    let page: i64 = writer.pragma_query_value(None, "page_size", |row| row.get(0))?;
    writer.pragma_update(None, "wal_autocheckpoint", LOG_BYTES / page.max(512))?;
    writer.pragma_update(None, "journal_size_limit", LOG_BYTES)?;
    if let Some(bytes) = config.max_bytes {
        limit(&writer, Some(bytes))?;
    }
    Ok(writer)
}

/// Changes the largest size of the file.
pub(crate) fn limit(connection: &Connection, bytes: Option<u64>) -> rusqlite::Result<()> {
    let page: u32 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    // SQLite's own largest number when there is no limit.
    let pages = bytes.map_or(4_294_967_294, |bytes| (bytes / u64::from(page)).max(1));
    connection.pragma_update(None, "max_page_count", pages.cast_signed())
}

/// A connection that copies the log. It waits for nobody.
fn open_copier(config: &SqliteConfig, file: &Path) -> rusqlite::Result<Connection> {
    let copier = connect(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    copier.busy_timeout(Duration::ZERO)?;
    copier.pragma_update(None, "wal_autocheckpoint", 0)?;
    copier.pragma_update(None, "synchronous", config.synchronous.word())?;
    Ok(copier)
}

/// A connection for reads.
pub(crate) fn open_reader(config: &SqliteConfig, file: &Path) -> rusqlite::Result<Connection> {
    let reader = connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    reader.pragma_update(None, "query_only", "on")?;
    reader.pragma_update(None, "cache_size", cache_pages(config.cache_bytes))?;
    reader.pragma_update(None, "mmap_size", config.map_bytes.cast_signed())?;
    Ok(reader)
}

/// A connection is used by one thread at a time, so SQLite need not see to that again.
fn connect(file: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "foreign_keys", "on")?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    load_module(&connection)?;
    Ok(connection)
}

/// As SQLite wants it: negative is a size in KiB.
fn cache_pages(bytes: u32) -> i64 {
    -i64::from((bytes / 1_024).max(1))
}
