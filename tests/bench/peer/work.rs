//! A worker of tasks that do nothing but note when they began.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use async_trait::async_trait;
use tidemill_chassis::{Wire, sleep};
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_worker::{Attempt, Config, Done, Failed, Handler, Worker};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::{self, KIND, wall};

/// How many tasks the worker takes at once, unless `TIDEMILL_SLOTS` says otherwise.
const SLOTS: u32 = 4_096;

/// When each task began.
#[derive(Debug, Default)]
struct Begun {
    count: AtomicU64,
    at: Mutex<Vec<(u64, f64)>>,
}

#[async_trait]
impl Handler for Begun {
    async fn run(&self, attempt: Attempt) -> Result<Done, Failed> {
        let at = wall();
        let number = number(&attempt.task.payload);
        self.at.lock().unwrap_or_else(PoisonError::into_inner).push((number, at));
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(Done::default())
    }
}

/// Which task it is, by its payload.
pub(crate) fn number(payload: &str) -> u64 {
    let number = payload.strip_prefix("{\"id\":").and_then(|rest| rest.split(',').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(u64::MAX)
}

/// Runs whatever an earlier command left.
pub(crate) async fn empty() -> Result<()> {
    let client = client::connect()?;
    if client.left().await? == 0 {
        return Ok(());
    }
    let (stop, working) = start(Arc::new(Begun::default()), slots())?;
    while client.left().await? > 0 {
        sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    Ok(working.await?)
}

/// What `TIDEMILL_SLOTS` says.
pub(crate) fn slots() -> u32 {
    std::env::var("TIDEMILL_SLOTS").ok().and_then(|slots| slots.parse().ok()).unwrap_or(SLOTS)
}

/// A worker that has begun.
pub(crate) fn start(handler: Arc<dyn Handler>, slots: u32) -> Result<(CancellationToken, JoinHandle<()>)> {
    let handlers = HashMap::from([(KIND.to_owned(), handler)]);
    let config = Config { slots, ..Config::default() };
    let worker = Worker { name: format!("peer-{}", std::process::id()), config, handlers };
    let scheduler = WorkerServiceClient::new(Wire::new(client::channel()?))
        .max_decoding_message_size(64 << 20)
        .max_encoding_message_size(64 << 20);
    let stop = CancellationToken::new();
    Ok((stop.clone(), tokio::spawn(worker.run(scheduler, stop))))
}

/// Works until so many tasks have begun and nothing is left in the queue.
pub(crate) async fn drain(count: u64, file: Option<&String>) -> Result<()> {
    let begun = Arc::new(Begun::default());
    let (stop, working) = start(begun.clone(), slots())?;
    println!("READY");
    let client = client::connect()?;
    while begun.count.load(Ordering::Relaxed) < count {
        sleep(Duration::from_millis(2)).await;
    }
    while client.left().await? > 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let ended = wall();
    let at = std::mem::take(&mut *begun.at.lock().unwrap_or_else(PoisonError::into_inner));
    if let Some(file) = file {
        let mut out = std::fs::File::create(file)?;
        for (number, began) in &at {
            writeln!(out, "{number} {began:.6}")?;
        }
    }
    let first = at.iter().map(|(_, began)| *began).fold(f64::MAX, f64::min);
    println!("{{\"n\":{count},\"t0\":{first:.6},\"t1\":{ended:.6}}}");
    stop.cancel();
    working.await?;
    Ok(())
}
