//! Read replicas: connections of their own, asked all the time how far they are, and reads that may be answered by them.
//!
//! A read that may is run on the replica that [`Board`] picks. One that fails there for the replica's own reasons is run
//! again, whole, on another one and in the end on the primary; so is one that does not find what it names, because that
//! may only not have come there yet. Reads under way on a replica that stops answering are not waited for.

mod board;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use sqlx::PgPool;
use tidemill_kernel::Timestamp;
use tidemill_kernel::breaker::Outcome;
use tidemill_store::{Connections, Error, Freshness, Result};
use tokio::task::JoinSet;

use crate::config::PostgresConfig;
use crate::connect;
use crate::database::{Database, Settings};
use crate::error::{Error as OpenError, Server};
use crate::examine::ReplicaExamination;
use crate::reader::{Attempt, Source};
use board::{Board, Left, Pick};

/// How much longer than the lag that is allowed a look at the replicas takes at most.
const SETTLING: Duration = Duration::from_millis(500);

/// The replicas of a primary.
pub(crate) struct Replicas {
    shared: Arc<Shared>,
    members: Vec<Member>,
    /// Those who ask; they end when this is dropped.
    askers: Mutex<JoinSet<()>>,
}

struct Shared {
    board: Mutex<Board>,
    rng: Mutex<StdRng>,
    started: Instant,
}

struct Member {
    pool: PgPool,
    settings: Arc<Settings>,
    /// Rises whenever it is found not to answer.
    gone: tokio::sync::watch::Receiver<u64>,
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds since it was started: only differences count.
    fn now(&self) -> Timestamp {
        Timestamp::default() + self.started.elapsed()
    }
}

impl Replicas {
    /// Begins to ask the replicas of the configuration; none if it names none.
    pub(crate) fn start(config: &PostgresConfig, seed: u64) -> Result<Option<Self>, OpenError> {
        if config.replicas.is_empty() {
            return Ok(None);
        }
        let max_lag = Duration::from_millis(config.max_replica_lag_ms.max(1));
        let board = Board::new(config.replicas.len(), max_lag, Timestamp::default());
        let rng = Mutex::new(StdRng::seed_from_u64(seed));
        let shared = Arc::new(Shared { board: Mutex::new(board), rng, started: Instant::now() });
        // Seldom enough to cost nothing, often enough that a replica that follows is never out of bounds between two.
        let every =
            Duration::from_millis(config.replica_check_ms).min(max_lag / 3).max(Duration::from_millis(5));
        let rhythm = watch::Rhythm { every, patience: max_lag };
        let mut askers = JoinSet::new();
        askers.spawn(watch::primary(Arc::clone(&shared), connect::options(config, &config.url)?, rhythm));
        let mut members = Vec::with_capacity(config.replicas.len());
        for (index, url) in config.replicas.iter().enumerate() {
            let options = connect::options(config, url)?;
            let server = Server::of(&options);
            let (gone, told) = tokio::sync::watch::channel(0);
            let pool =
                connect::replica_pool(config, options.clone(), watch::guard(Arc::clone(&shared), index));
            askers.spawn(watch::replica(Arc::clone(&shared), index, options, server.clone(), gone, rhythm));
            members.push(Member { pool, settings: Arc::new(Settings::of(config, &server)), gone: told });
        }
        Ok(Some(Self { shared, members, askers: Mutex::new(askers) }))
    }

    /// A replica for a read that must show everything up to `place`, but for those that were tried.
    fn pick(&self, place: u64, tried: &[usize]) -> Option<Use<'_>> {
        let now = self.shared.now();
        let mut rng = self.shared.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let pick = self.shared.board().pick(place, tried, now, &mut *rng)?;
        Some(Use { replicas: self, pick, outcome: Outcome::Neutral })
    }

    /// The connections to all of them.
    pub(crate) fn connections(&self) -> Connections {
        let sum = |count: fn(&PgPool) -> usize| {
            self.members.iter().map(|member| count(&member.pool)).sum::<usize>()
        };
        let (open, idle) = (sum(|pool| pool.size() as usize), sum(PgPool::num_idle));
        Connections { pool: "replicas", idle, used: open.saturating_sub(idle) }
    }

    pub(crate) async fn close(&self) {
        self.askers.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        futures::future::join_all(self.members.iter().map(|member| member.pool.close())).await;
    }
}

/// How the replicas of a configuration stand, as soon as that is known.
pub(crate) async fn examine(config: &PostgresConfig) -> Result<Vec<ReplicaExamination>, OpenError> {
    let quick = PostgresConfig { replica_check_ms: 20, ..config.clone() };
    let Some(replicas) = Replicas::start(&quick, 0)? else { return Ok(Vec::new()) };
    let standing = |index: usize| {
        let shared = &replicas.shared;
        async move {
            let bound = Duration::from_millis(config.max_replica_lag_ms.max(1)) + SETTLING;
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            loop {
                ticks.tick().await;
                let (standing, waited) =
                    (shared.board().standing(index, shared.now()), shared.started.elapsed());
                match standing {
                    Ok(()) => return Ok(waited),
                    Err(Left::Unasked | Left::Behind) if waited < bound => {}
                    Err(reason) => return Err(reason.to_string()),
                }
            }
        }
    };
    let lags = futures::future::join_all((0..replicas.members.len()).map(standing)).await;
    let members = replicas.members.iter().zip(lags);
    let examined = members
        .map(|(member, lag)| ReplicaExamination { server: member.settings.server.to_string(), lag })
        .collect();
    replicas.close().await;
    Ok(examined)
}

/// One read on a replica. A read that is given up says nothing about it.
struct Use<'a> {
    replicas: &'a Replicas,
    pick: Pick,
    outcome: Outcome,
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        let now = self.replicas.shared.now();
        self.replicas.shared.board().ended(&self.pick, self.outcome, now);
    }
}

/// What became of a read on a replica.
enum Ended<T> {
    Answered(Result<T>),
    /// It does not have what the read names.
    Unknown,
    /// It failed for reasons of its own.
    Failed,
}

impl Use<'_> {
    async fn run<T, F>(mut self, run: impl FnOnce(Source) -> F) -> Ended<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let member = &self.replicas.members[self.pick.index];
        let attempt = Arc::new(Attempt::default());
        let source = Source::replica(&member.pool, &member.settings, &attempt);
        let mut gone = member.gone.clone();
        gone.mark_unchanged();
        let answer = tokio::select! {
            answer = run(source) => answer,
            // Its end is the end of the askers: nobody would say any more that it is gone.
            _ = gone.changed() => {
                self.outcome = Outcome::Failure;
                return Ended::Failed;
            }
        };
        let failed = attempt.failed();
        self.outcome = failed.unwrap_or(Outcome::Success);
        match answer {
            Err(_) if failed.is_some() => Ended::Failed,
            Err(Error::NotFound { .. }) => Ended::Unknown,
            answer => Ended::Answered(answer),
        }
    }
}

impl Database {
    /// Runs a read on a replica that is fresh enough, or on the primary.
    pub(crate) async fn read<T, F>(&self, freshness: Freshness, run: impl Fn(Source) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let place = match freshness {
            Freshness::Latest => return run(self.primary.clone()).await,
            Freshness::Recent => 0,
            Freshness::After(position) => position.place(),
        };
        if let Some(replicas) = &self.replicas {
            let mut tried = Vec::new();
            while let Some(chosen) = replicas.pick(place, &tried) {
                tried.push(chosen.pick.index);
                match chosen.run(&run).await {
                    Ended::Answered(answer) => return answer,
                    Ended::Unknown => break,
                    Ended::Failed => {}
                }
            }
        }
        run(self.primary.clone()).await
    }
}
