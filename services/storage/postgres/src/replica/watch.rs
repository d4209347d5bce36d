//! Asking, in a rhythm and over connections of its own, how far the primary and each replica are.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, FromRow};
use tokio::sync::watch::Sender;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Shared;
use super::board::{Log, Seen};
use crate::error::Server;
use crate::reader::{Row, ask_one};

/// How often is asked, and how long an answer may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rhythm {
    pub(super) every: Duration,
    pub(super) patience: Duration,
}

/// How far the log is on the disk, which is what replicas are sent.
const PRIMARY: &str = "SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint AS place,
        (SELECT system_identifier FROM pg_control_system()) AS system,
        ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::integer AS timeline";

/// Only those who may read all statistics see which timeline is received.
const REPLICA: &str = "SELECT pg_is_in_recovery() AS follows,
        CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END AS paused,
        coalesce((pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint, 0) AS replayed,
        (SELECT system_identifier FROM pg_control_system()) AS system,
        (SELECT received_tli FROM pg_stat_wal_receiver) AS timeline";

#[derive(FromRow)]
struct PrimaryRow {
    place: i64,
    system: i64,
    timeline: i32,
}

#[derive(FromRow)]
struct ReplicaRow {
    follows: bool,
    paused: bool,
    replayed: i64,
    system: i64,
    timeline: Option<i32>,
}

impl ReplicaRow {
    fn decode(self) -> Seen {
        let Self { follows, paused, replayed, system, timeline } = self;
        Seen { follows, paused, replayed: replayed.cast_unsigned(), system, timeline }
    }
}

/// Asks the primary for ever.
pub(super) async fn primary(shared: Arc<Shared>, options: PgConnectOptions, rhythm: Rhythm) {
    let mut asker = Asker::new(options, rhythm);
    loop {
        asker.ticks.tick().await;
        let asked_at = shared.now();
        match asker.ask::<PrimaryRow>(PRIMARY).await {
            Ok(PrimaryRow { place, system, timeline }) => {
                shared.board().primary(asked_at, Log { system, timeline }, place.cast_unsigned());
            }
            // Without its word no replica is known to be fresh; reads go to it, and say what is wrong.
            Err(reason) => tracing::debug!(%reason, "the primary does not say how far it is"),
        }
    }
}

/// Asks a replica for ever; tells when it does not answer, and logs when it is left out and when it is back.
pub(super) async fn replica(
    shared: Arc<Shared>,
    index: usize,
    options: PgConnectOptions,
    server: Server,
    gone: Sender<u64>,
    rhythm: Rhythm,
) {
    let mut asker = Asker::new(options, rhythm);
    loop {
        asker.ticks.tick().await;
        let seen = asker.ask::<ReplicaRow>(REPLICA).await.map(ReplicaRow::decode);
        if seen.is_err() {
            gone.send_modify(|times| *times += 1);
        }
        match shared.board().answered(index, seen, shared.now()) {
            Some(Ok(())) => tracing::info!(replica = %server, "a replica answers reads"),
            Some(Err(reason)) => tracing::warn!(replica = %server, %reason, "a replica gets no reads"),
            None => {}
        }
    }
}

struct Asker {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    patience: Duration,
    ticks: tokio::time::Interval,
}

impl Asker {
    fn new(options: PgConnectOptions, Rhythm { every, patience }: Rhythm) -> Self {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { options, connection: None, patience, ticks }
    }

    /// The answer, in time, or why there is none. After a failure the next question takes a new connection.
    async fn ask<T: Row>(&mut self, question: &'static str) -> Result<T, String> {
        let mut connection = self.connection.take();
        let answer = async {
            let mut open = match connection.take() {
                Some(open) => open,
                None => self.options.connect().await?,
            };
            let answer = ask_one::<T>(&mut open, question).await?;
            Ok::<_, sqlx::Error>((answer, open))
        };
        let (answer, open) = timeout(self.patience, answer)
            .await
            .map_err(|_| "no answer in time".to_owned())?
            .map_err(|error| error.to_string())?;
        self.connection = Some(open);
        Ok(answer)
    }
}

type Guarded<'a> = Pin<Box<dyn Future<Output = sqlx::Result<()>> + Send + 'a>>;

/// Looks at each new connection to a replica before a read uses it: after a restart the replica may have to apply again
/// what it had shown already.
pub(super) fn guard(
    shared: Arc<Shared>,
    index: usize,
) -> impl Fn(&mut PgConnection) -> Guarded<'_> + Send + Sync + 'static {
    move |connection| {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            let seen = ask_one::<ReplicaRow>(connection, REPLICA).await?;
            match shared.board().still_shows(index, &seen.decode()) {
                true => Ok(()),
                false => Err(sqlx::Error::Protocol("it shows less than it did".to_owned())),
            }
        })
    }
}
