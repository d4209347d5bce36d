//! Why a data folder cannot be opened, and what a database error means to a caller of the port.

use std::path::{Path, PathBuf};

use tidemill_kernel::ErrorKind;
use tidemill_store::Error as StoreError;

/// Why a data folder cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it open.
    #[error("the data folder {} is in use by another process; stop that one, or choose another folder", .0.display())]
    InUse(PathBuf),
    /// Its parent is not there.
    #[error("the data folder {} cannot be made: {} does not exist; create it, or choose another folder", folder.display(), parent.display())]
    NoParent {
        /// The data folder.
        folder: PathBuf,
        /// What is missing.
        parent: PathBuf,
    },
    /// There is a file in its place.
    #[error("the data folder {} is not a folder; choose another", .0.display())]
    NotAFolder(PathBuf),
    /// The process may not write there.
    #[error("{} cannot be opened for writing: {reason}; give this user read and write access to it, or choose another data folder", path.display())]
    NoAccess {
        /// The folder or file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file is something else.
    #[error("{} is not a database of Tidemill; choose another data folder, or move this file away", .0.display())]
    NotADatabase(PathBuf),
    /// The file is damaged.
    #[error("the database {} is damaged ({reason}); restore it from a backup, or save what `sqlite3 {} .recover` can read", file.display(), file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// A later version of the program wrote it.
    #[error("the database {} was written by a newer version (migration {migration} is unknown); use that version, or another data folder", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// The first unknown migration.
        migration: i64,
    },
    /// It is to be brought up to date by hand, and was not.
    #[error("the database {} is not up to date (migration {migration} is outstanding): run `tidemill migrate`, or set `migrate = true`", file.display())]
    Outdated {
        /// The file.
        file: PathBuf,
        /// The first migration that is missing.
        migration: i64,
    },
    /// There is no room to open it.
    #[error("there is no room to open {}; free some space and start again", .0.display())]
    Full(PathBuf),
    /// Anything else.
    #[error("cannot open {}: {reason}", path.display())]
    Open {
        /// The folder or file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

impl Error {
    /// The kind that crosses service boundaries.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InUse(_) | Self::Outdated { .. } => ErrorKind::Conflict,
            Self::NoParent { .. } | Self::NotAFolder(_) | Self::NotADatabase(_) => ErrorKind::Invalid,
            Self::NoAccess { .. } => ErrorKind::Denied,
            Self::Newer { .. } => ErrorKind::Unsupported,
            Self::Full(_) => ErrorKind::Exhausted,
            Self::Damaged { .. } | Self::Open { .. } => ErrorKind::Internal,
        }
    }

    /// What a failed file operation on `path` means.
    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let (path, reason) = (path.to_owned(), error.to_string());
        match error.kind() {
            Io::PermissionDenied | Io::ReadOnlyFilesystem => Self::NoAccess { path, reason },
            Io::NotADirectory => Self::NotAFolder(path),
            Io::StorageFull | Io::QuotaExceeded => Self::Full(path),
            _ => Self::Open { path, reason },
        }
    }

    /// What a failed connection or first statement means.
    pub(crate) fn database(file: &Path, error: &rusqlite::Error) -> Self {
        let (path, reason) = (file.to_owned(), error.to_string());
        match primary_code(error) {
            Some(NOTADB) => Self::NotADatabase(path),
            Some(CORRUPT) => Self::Damaged { file: path, reason },
            Some(PERM | READONLY | CANTOPEN) => Self::NoAccess { path, reason },
            Some(FULL) => Self::Full(path),
            _ => Self::Open { path, reason },
        }
    }
}

const PERM: i32 = 3;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;

/// SQLite's result code without its extension (`https://sqlite.org/rescode.html`).
fn primary_code(error: &rusqlite::Error) -> Option<i32> {
    Some(error.sqlite_error()?.extended_code & 0xff)
}

/// What a failed statement means to a caller of the port.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err takes")]
pub(crate) fn failed(error: rusqlite::Error) -> StoreError {
    match primary_code(&error) {
        Some(FULL) => StoreError::Full(error.to_string()),
        Some(BUSY | LOCKED) => StoreError::Unavailable(error.to_string()),
        _ => StoreError::Internal(error.to_string()),
    }
}

/// The store was closed.
pub(crate) fn closed() -> StoreError {
    StoreError::Unavailable("it was closed".to_owned())
}
