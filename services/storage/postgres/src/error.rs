//! Why a database cannot be used, and what a database error means to a caller of the port.

use std::fmt;
use std::path::PathBuf;

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgConnectOptions;
use tidemill_kernel::ErrorKind;
use tidemill_store::Error as StoreError;

/// A server and a database on it, as messages name them: never with a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    address: String,
    user: String,
    database: String,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)
    }
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL cannot be read.
    #[error("`url` is not the address of a database ({0}); write postgres://USER@HOST:PORT/DATABASE")]
    Url(String),
    /// The password cannot be read.
    #[error("the password file {} cannot be read: {reason}; give this user read access to it, or correct `password_file`", path.display())]
    PasswordFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Nobody answers there.
    #[error("cannot reach PostgreSQL at {server}: {reason}; start it, or correct `url`")]
    Away {
        /// Where it should be.
        server: Server,
        /// What happened instead.
        reason: String,
    },
    /// The server does not let this user in.
    #[error("PostgreSQL at {server} does not let user `{}` in: {reason}; correct the user in `url` and its password (`password_file`, PGPASSWORD), or allow this host in the server's pg_hba.conf", server.user)]
    NotLetIn {
        /// The server.
        server: Server,
        /// What it says.
        reason: String,
    },
    /// There is no such database.
    #[error("there is no database `{}` on PostgreSQL at {server}; create it (createdb -E UTF8 -T template0 -O {} {}), or correct `url`", server.database, server.user, server.database)]
    NoDatabase {
        /// The server.
        server: Server,
    },
    /// The user may not do what is needed.
    #[error("user `{}` may not use the database `{}` at {server}: {reason}; make it the owner: ALTER DATABASE {} OWNER TO {}", server.user, server.database, server.database, server.user)]
    NoAccess {
        /// The server.
        server: Server,
        /// What it says.
        reason: String,
    },
    /// It is a replica, or set to read only.
    #[error(
        "PostgreSQL at {0} takes no writes (a replica, or set to read only); give the address of the primary in `url`"
    )]
    ReadOnly(Server),
    /// The server's disk is full.
    #[error("PostgreSQL at {server} has no room left: {reason}; free space on its disk and start again")]
    Full {
        /// The server.
        server: Server,
        /// What it says.
        reason: String,
    },
    /// The server takes no more connections.
    #[error(
        "PostgreSQL at {server} takes no more connections: {reason}; raise its max_connections, lower `max_connections` of each instance, or put PgBouncer in front (`shared_pooler = true`)"
    )]
    TooMany {
        /// The server.
        server: Server,
        /// What it says.
        reason: String,
    },
    /// A pooler stands in front that shares connections, and was not expected.
    #[error(
        "what answers at {server} is a pooler that refuses settings of a connection ({reason}); set `shared_pooler = true`, as PgBouncer in transaction mode needs"
    )]
    Pooler {
        /// The pooler.
        server: Server,
        /// What it says.
        reason: String,
    },
    /// No encrypted connection that is as safe as was asked for.
    #[error(
        "PostgreSQL at {server} is not reached over TLS: {reason}; correct `sslrootcert` (who signed its certificate), the host name that the certificate is for, or `sslmode` in `url`"
    )]
    Tls {
        /// The server.
        server: Server,
        /// What is wrong.
        reason: String,
    },
    /// The server is too old.
    #[error("PostgreSQL at {server} is version {version}; version {oldest} or later is needed: upgrade it")]
    TooOld {
        /// The server.
        server: Server,
        /// Its major version.
        version: i32,
        /// The oldest that will do.
        oldest: i32,
    },
    /// The database cannot hold every text.
    #[error("the database `{}` at {server} is encoded in {encoding}; make one that holds every text: createdb -E UTF8 -T template0 -O {} {}", server.database, server.user, server.database)]
    Encoding {
        /// The server.
        server: Server,
        /// The database's encoding.
        encoding: String,
    },
    /// A later version of the program wrote it.
    #[error("the database `{}` at {server} was written by a newer version (migration {migration} is unknown); use that version, or another database", server.database)]
    Newer {
        /// The server.
        server: Server,
        /// The first unknown migration.
        migration: i64,
    },
    /// It is to be brought up to date by hand, and was not.
    #[error("the database `{}` at {server} is not up to date (migration {migration} is outstanding): run `tidemill migrate`, or set `migrate = true`", server.database)]
    Outdated {
        /// The server.
        server: Server,
        /// The first migration that is missing.
        migration: i64,
    },
    /// It holds something else.
    #[error("the database `{}` at {server} holds something else ({reason}); give Tidemill a database of its own", server.database)]
    NotOurs {
        /// The server.
        server: Server,
        /// What is in the way.
        reason: String,
    },
    /// Anything else.
    #[error("cannot use PostgreSQL at {server}: {reason}")]
    Other {
        /// The server.
        server: Server,
        /// What went wrong.
        reason: String,
    },
}

impl Error {
    /// The kind that crosses service boundaries.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Pooler { .. } | Self::Tls { .. } => ErrorKind::Invalid,
            Self::Url(_) | Self::NoDatabase { .. } | Self::Encoding { .. } | Self::NotOurs { .. } => {
                ErrorKind::Invalid
            }
            Self::Outdated { .. } => ErrorKind::Conflict,
            Self::PasswordFile { .. } | Self::NotLetIn { .. } | Self::NoAccess { .. } => ErrorKind::Denied,
            Self::Away { .. } | Self::TooMany { .. } | Self::ReadOnly(_) => ErrorKind::Unavailable,
            Self::Full { .. } => ErrorKind::Exhausted,
            Self::TooOld { .. } | Self::Newer { .. } => ErrorKind::Unsupported,
            Self::Other { .. } => ErrorKind::Internal,
        }
    }
}

impl Server {
    pub(crate) fn of(options: &PgConnectOptions) -> Self {
        let address = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let user = options.get_username().to_owned();
        let database = options.get_database().unwrap_or(&user).to_owned();
        Self { address, user, database }
    }

    pub(crate) fn away(&self, reason: &str) -> Error {
        Error::Away { server: self.clone(), reason: reason.to_owned() }
    }

    /// What a failed connection or first statement means.
    pub(crate) fn fault(&self, error: &sqlx::Error) -> Error {
        let (server, reason) = (self.clone(), said(error));
        if is_tls(error) {
            return Error::Tls { server, reason };
        }
        match code(error).as_deref() {
            Some("28P01" | "28000") => Error::NotLetIn { server, reason },
            Some("3D000") => Error::NoDatabase { server },
            Some("42501") => Error::NoAccess { server, reason },
            Some("25006") => Error::ReadOnly(server),
            Some("08P01") if reason.contains("startup parameter") => Error::Pooler { server, reason },
            Some("53100") => Error::Full { server, reason },
            Some("53300") => Error::TooMany { server, reason },
            Some("42P07" | "42710" | "42723" | "42701") => Error::NotOurs { server, reason },
            Some("57P03") => Error::Away { server, reason },
            _ if is_lost(error) => Error::Away { server, reason },
            _ => Error::Other { server, reason },
        }
    }

    /// What a failed migration means.
    pub(crate) fn migration_fault(&self, error: &MigrateError) -> Error {
        match error {
            MigrateError::VersionMissing(migration) | MigrateError::VersionTooNew(migration, _) => {
                Error::Newer { server: self.clone(), migration: *migration }
            }
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => self.fault(error),
            other => Error::Other { server: self.clone(), reason: other.to_string() },
        }
    }

    /// What a failed statement means to a caller of the port.
    pub(crate) fn failed(&self, error: &sqlx::Error) -> StoreError {
        let reason = said(error);
        match (error, code(error).as_deref()) {
            (sqlx::Error::PoolClosed, _) => StoreError::Unavailable("it was closed".to_owned()),
            (sqlx::Error::PoolTimedOut, _) => StoreError::Unavailable(format!(
                "no connection to PostgreSQL at {self} in time: it is away, or every connection is busy"
            )),
            (_, Some("53100")) => StoreError::Full(format!("PostgreSQL at {self}: {reason}")),
            (_, Some("53300")) => {
                StoreError::Unavailable(format!("PostgreSQL at {self} takes no more connections: {reason}"))
            }
            (_, Some("25006")) => {
                StoreError::Unavailable(format!("PostgreSQL at {self} takes no writes: {reason}"))
            }
            (_, Some("57014")) => {
                StoreError::Unavailable(format!("PostgreSQL at {self} took too long: {reason}"))
            }
            (_, Some(code)) if is_passing(code) => {
                StoreError::Unavailable(format!("PostgreSQL at {self}: {reason}"))
            }
            _ if is_lost(error) => {
                StoreError::Unavailable(format!("the connection to PostgreSQL at {self} was lost: {reason}"))
            }
            _ => StoreError::Internal(format!("PostgreSQL at {self}: {reason}")),
        }
    }
}

/// Whether the transaction lost against another and would succeed alone: serialisation, deadlock, a lock not had in
/// time (`https://www.postgresql.org/docs/current/errcodes-appendix.html`).
pub(crate) fn is_contended(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("40001" | "40P01" | "55P03"))
}

/// Whether the two sides did not come to trust each other.
fn is_tls(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        // What a handshake fails with comes as data that cannot be read.
        sqlx::Error::Io(fault) => {
            fault.kind() == std::io::ErrorKind::InvalidData && fault.to_string().contains("certificate")
        }
        _ => false,
    }
}

/// Whether a statement was ended because it took too long.
pub(crate) fn is_slow(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("57014")
}

/// Whether the connection is gone, not the statement wrong.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => true,
        // It was told to go, or the server behind the connection has become a replica.
        _ => code(error).is_some_and(|code| {
            code.starts_with("08") || matches!(code.as_str(), "57P01" | "57P02" | "57P03" | "25006" | "25P03")
        }),
    }
}

/// Errors that pass by themselves: out of resources, told to go, contended.
fn is_passing(code: &str) -> bool {
    ["08", "40", "53", "55", "57"].iter().any(|class| code.starts_with(class))
}

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// What the server said, without the words that every error begins with.
fn said(error: &sqlx::Error) -> String {
    match error.as_database_error() {
        Some(fault) => fault.message().to_owned(),
        None => error.to_string(),
    }
}
