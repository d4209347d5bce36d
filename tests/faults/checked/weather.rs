//! The faults: drawn one after the other, done to the mesh, noted for the judge.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use tidemill_scheduling::checker::Who;
use tidemill_tests::harness::mesh::Mesh;
use tidemill_tests::harness::poll;

use super::log::Log;
use super::worker::Crew;

/// Where the mesh has its schedulers; its storages are at 0 and 1.
const SCHEDULERS: usize = 2;
/// Before this time after a fault, those who had it may still be at sorting it out.
const REST: Duration = Duration::from_secs(1);

/// What strikes, and for how long.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// A scheduler is killed, and started again.
    KillScheduler(usize, Duration),
    /// A scheduler stands still for longer than its lease of the shards.
    PauseScheduler(usize, Duration),
    /// The same while a worker's streams break and the other scheduler dies.
    PauseAndKill(usize, usize, Duration),
    /// A storage is killed, and started again.
    KillStorage(usize, Duration),
    /// The database crashes and comes back.
    Database(Duration),
    /// A worker's streams break, or the one to a scheduler.
    Cut(usize, Option<usize>),
}

/// The faults of one run.
pub(crate) struct Weather {
    rng: StdRng,
    log: Arc<Log>,
    struck: Vec<(Duration, Fault)>,
}

impl Weather {
    pub(crate) fn new(rng: StdRng, log: &Arc<Log>) -> Self {
        Self { rng, log: Arc::clone(log), struck: Vec::new() }
    }

    /// One fault after the other, with pauses.
    pub(crate) async fn strike_for(&mut self, time: Duration, mesh: &mut Mesh, crew: &Crew) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < time {
            poll::pass(Duration::from_millis(self.rng.random_range(300..1_500))).await;
            let fault = self.draw();
            self.struck.push((self.log.now(), fault));
            self.strike(fault, mesh, crew).await.with_context(|| format!("{fault:?}"))?;
        }
        Ok(())
    }

    /// What struck when.
    pub(crate) fn told(&self) -> String {
        self.struck.iter().map(|(at, fault)| format!("{at:.2?} {fault:?}\n")).collect()
    }

    fn draw(&mut self) -> Fault {
        let rng = &mut self.rng;
        let (which, worker) = (rng.random_range(0..2), rng.random_range(0..3));
        let short = Duration::from_millis(rng.random_range(0..2_500));
        let long = Duration::from_millis(rng.random_range(2_500..5_000));
        match rng.random_range(0..12) {
            0..3 => Fault::KillScheduler(which, short),
            3..5 => Fault::PauseScheduler(which, long),
            5 => Fault::PauseAndKill(which, worker, long),
            6..8 => Fault::KillStorage(which, short),
            8 => Fault::Database(short),
            _ => Fault::Cut(worker, rng.random_bool(0.5).then_some(which)),
        }
    }

    async fn strike(&self, fault: Fault, mesh: &mut Mesh, crew: &Crew) -> Result<()> {
        let from = self.log.now();
        match fault {
            Fault::KillScheduler(which, away) => self.kill_scheduler(which, away, mesh).await?,
            Fault::PauseScheduler(which, still) => {
                mesh.at(SCHEDULERS + which).signal("STOP")?;
                poll::pass(still).await;
                mesh.at(SCHEDULERS + which).signal("CONT")?;
                self.log.disturbed(scheduler(mesh, which), from, REST);
            }
            Fault::PauseAndKill(which, worker, still) => {
                mesh.at(SCHEDULERS + which).signal("STOP")?;
                poll::pass(still / 2).await;
                self.cut(crew, worker, None);
                self.kill_scheduler(1 - which, still / 2, mesh).await?;
                mesh.at(SCHEDULERS + which).signal("CONT")?;
                self.log.disturbed(scheduler(mesh, which), from, REST);
            }
            Fault::KillStorage(which, away) => {
                mesh.kill_at(which)?;
                poll::pass(away).await;
                mesh.start_again(which)?;
                // Leases may be recorded late, and acknowledgements come late.
                self.log.disturbed(Who::Everybody, from, REST);
            }
            Fault::Database(away) => {
                let (server, _) = mesh.ground.database.as_ref().context("no database")?;
                server.stop()?;
                poll::pass(away).await;
                server.restart()?;
                self.log.disturbed(Who::Everybody, from, 2 * REST);
            }
            Fault::Cut(worker, only) => self.cut(crew, worker, only),
        }
        Ok(())
    }

    async fn kill_scheduler(&self, which: usize, away: Duration, mesh: &mut Mesh) -> Result<()> {
        let from = self.log.now();
        mesh.kill_at(SCHEDULERS + which)?;
        poll::pass(away).await;
        mesh.start_again(SCHEDULERS + which)?;
        self.log.disturbed(scheduler(mesh, which), from, Duration::ZERO);
        Ok(())
    }

    fn cut(&self, crew: &Crew, worker: usize, only: Option<usize>) {
        let (hand, from) = (crew.hand(worker), self.log.now());
        hand.cut(only);
        self.log.disturbed(Who::Worker(hand.name.clone()), from, Duration::ZERO);
    }
}

/// A scheduler is known by where it listens, however often it is started.
fn scheduler(mesh: &Mesh, which: usize) -> Who {
    Who::Scheduler(mesh.at(SCHEDULERS + which).address.clone())
}

impl fmt::Debug for Weather {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.told())
    }
}
