//! Clients that push without a pause and remember what was acknowledged.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidemill_tests::harness::mesh::{Counts, Mesh};
use tidemill_tests::harness::poll;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How many push at the same time.
const CALLERS: u64 = 4;
/// How long a client waits for an answer before it asks another gateway.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client goes on trying.
const LIMIT: Duration = Duration::from_secs(60);

static ROUND: AtomicU64 = AtomicU64::new(0);

/// Clients at work. Each pushes a document, tries it again until it is acknowledged, then the next.
pub(crate) struct Load {
    callers: JoinSet<Result<()>>,
    stop: CancellationToken,
    shared: Arc<Shared>,
    /// What was stored before.
    before: Counts,
}

struct Shared {
    /// Tells the documents of one load from those of another.
    round: u64,
    client: reqwest::Client,
    gateways: Vec<String>,
    /// Acknowledgements so far.
    count: AtomicU64,
    seen: Mutex<Seen>,
}

/// What the clients saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The documents that were acknowledged.
    ids: BTreeSet<String>,
    /// Requests that no gateway took: all of them failed, one after the other.
    pub(crate) failed: Vec<String>,
    /// The longest that a document took from its first try to its acknowledgement.
    pub(crate) longest: Duration,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, failed) = (self.ids.len(), self.failed.len());
        write!(f, "{count} acknowledged, {failed} tried again, the longest wait {:.2?}", self.longest)
    }
}

impl Load {
    /// Sets clients to work, and waits until something is acknowledged.
    pub(crate) async fn start(mesh: &Mesh) -> Result<Self> {
        // Fails only when one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let (gateways, count, before) = (mesh.urls(), AtomicU64::new(0), mesh.until_analysed().await?);
        let round = ROUND.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared { round, client, gateways, count, seen: Mutex::default() });
        let (mut callers, stop) = (JoinSet::new(), CancellationToken::new());
        for caller in 0..CALLERS {
            callers.spawn(push(Arc::clone(&shared), stop.clone(), caller));
        }
        let load = Self { callers, stop, shared, before };
        load.goes_on().await?;
        Ok(load)
    }

    /// Waits for a hundred more acknowledgements.
    pub(crate) async fn goes_on(&self) -> Result<()> {
        let goal = self.shared.count.load(Ordering::Relaxed) + 100;
        let reached = || async { (self.shared.count.load(Ordering::Relaxed) >= goal).then_some(()) };
        poll::until("the clients go on", LIMIT, reached).await
    }

    /// Ends the clients, and makes sure that everything acknowledged is there and analysed, once.
    pub(crate) async fn end(mut self, mesh: &Mesh) -> Result<Seen> {
        self.stop.cancel();
        while let Some(ended) = self.callers.join_next().await {
            ended??;
        }
        let seen = std::mem::take(&mut *self.shared.lock());
        let counts = mesh.until_analysed().await?;
        let (before, new) = (self.before, u64::try_from(seen.ids.len())?);
        let each = |count: u64, before: u64| count == before + new;
        let is_whole = each(counts.documents, before.documents)
            && each(counts.matches, before.matches)
            && each(counts.analyses, before.analyses);
        ensure!(is_whole, "{new} were acknowledged, each has one match: {before:?} then {counts:?}");
        // Counts may lie; a sample is read.
        for id in seen.ids.iter().step_by(seen.ids.len().div_ceil(50)) {
            let answer = self.shared.client.get(format!("{}/v1/documents/{id}", mesh.url())).send().await?;
            ensure!(answer.status().is_success(), "{id}: {}", answer.status());
        }
        Ok(seen)
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One try: the gateways in turn, as behind a balancer that passes over those that fail. The document's id.
    async fn attempt(&self, first: usize, document: &Value) -> Result<String, String> {
        let mut faults = Vec::new();
        for turn in 0..self.gateways.len() {
            let gateway = &self.gateways[(first + turn) % self.gateways.len()];
            match self.ask(gateway, document).await {
                Ok(id) => return Ok(id),
                Err(fault) => faults.push(format!("{fault:#}")),
            }
        }
        Err(faults.join("; "))
    }

    async fn ask(&self, gateway: &str, document: &Value) -> Result<String> {
        let answer = self.client.post(format!("{gateway}/v1/documents")).json(document).send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{status}: {text}");
        let answer: Value = serde_json::from_str(&text)?;
        Ok(answer["documentId"].as_str().context("no id")?.to_owned())
    }
}

async fn push(shared: Arc<Shared>, stop: CancellationToken, caller: u64) -> Result<()> {
    for number in (caller..).step_by(usize::try_from(CALLERS)?) {
        if stop.is_cancelled() {
            return Ok(());
        }
        let body = format!("tide number {number} of load {}", shared.round);
        let document = json!({"title": format!("Number {number}"), "body": body});
        let begun = Instant::now();
        let first = usize::try_from(caller)?;
        let once = || async {
            let tried = shared.attempt(first, &document).await;
            tried.map_err(|fault| shared.lock().failed.push(fault)).ok()
        };
        let id = poll::until("the document is taken", LIMIT, once).await;
        let id = id.with_context(|| format!("{:?}", shared.lock().failed.last()))?;
        let mut seen = shared.lock();
        seen.longest = seen.longest.max(begun.elapsed());
        seen.ids.insert(id);
        shared.count.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
