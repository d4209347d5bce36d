//! The loop around the pool: streams to schedulers, runners for attempts. The pool decides; nothing is decided here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rand::rngs::StdRng;
use tidemill_chassis::clock::seeded_rng;
use tidemill_chassis::{Wire, sleep};
use tidemill_kernel::backoff::Backoff;
use tidemill_proto::scheduling::v1::work_request::Message as Say;
use tidemill_proto::scheduling::v1::work_response::Message as Hear;
use tidemill_proto::scheduling::v1::worker_service_client::WorkerServiceClient;
use tidemill_proto::scheduling::v1::{Hello, WorkRequest};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{debug, info, warn};

use crate::attempt::Workshop;
use crate::metrics::{Figures, Levels};
use crate::pool::{Effect, Job, LinkId, Pool, TICK};
use crate::report::Report;
use crate::runners::Runners;
use crate::schedulers::{Change, Roll};
use crate::vitals::Gauge;
use crate::{Schedulers, Worker};

/// Before a scheduler that is away is tried again. When it is back, its queue must not wait long.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(200),
    cap: Duration::from_secs(15),
    jitter: tidemill_kernel::backoff::Jitter::Equal,
};

/// How long the outcomes of the last results are waited for.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long closed streams may take to end.
const GOODBYE: Duration = Duration::from_millis(250);

/// How old news of attempts may become under load, for the sake of the size of messages.
const GATHER: Duration = Duration::from_micros(500);

/// What the loop hears of streams.
#[derive(Debug)]
enum Told {
    /// A message, over the stream of this number.
    Heard(LinkId, u64, Hear),
    /// The stream of this number ended.
    Over(LinkId, u64, Option<Status>),
    /// A pause is over.
    Due(LinkId),
}

/// An open stream.
#[derive(Debug)]
struct Stream {
    number: u64,
    say: mpsc::UnboundedSender<WorkRequest>,
    reader: JoinHandle<()>,
}

/// Works until it is told to stop and what runs then has ended.
pub(crate) async fn work(
    worker: Worker,
    schedulers: Schedulers,
    mut slots: watch::Receiver<u32>,
    stop: CancellationToken,
) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let (reports, mut reported) = mpsc::unbounded_channel();
    let mut shell = Shell::new(worker, schedulers, *slots.borrow_and_update(), tell, reports);
    let changes = shell.roll.first();
    shell.changed(changes);
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut gathering, mut last_words) = (None, None);
    while !shell.is_over(&mut last_words) {
        tokio::select! {
            Some(first) = told.recv() => {
                shell.take(first);
                // Whatever came with it.
                while let Ok(next) = told.try_recv() {
                    shell.take(next);
                }
            }
            () = shell.runners.first(), if gathering.is_none() => gathering = Some(Instant::now() + GATHER),
            () = shell.runners.ready() => shell.ran(&mut gathering),
            () = until(gathering), if gathering.is_some() => shell.ran(&mut gathering),
            Some(report) = reported.recv() => shell.pool.reported(report),
            _ = ticks.tick() => shell.tick(),
            changes = shell.roll.changed() => shell.changed(changes),
            Ok(()) = slots.changed() => {
                let slots = *slots.borrow_and_update();
                shell.pool.resize(slots);
            }
            () = stop.cancelled(), if !shell.pool.is_draining() => {
                info!(worker = shell.worker.name, running = shell.pool.busy(), "draining");
                shell.pool.drain();
            }
            () = until(last_words), if last_words.is_some() => {
                warn!(
                    worker = shell.worker.name, results = shell.pool.unanswered(),
                    "the last results were not confirmed; unless a scheduler has them, their tasks are run again"
                );
                break;
            }
        }
        shell.perform();
    }
    shell.close().await;
}

/// Waits until this moment; for ever without one.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep(moment.saturating_duration_since(Instant::now())).await,
        None => std::future::pending().await,
    }
}

struct Shell {
    worker: Worker,
    pool: Pool,
    roll: Roll,
    runners: Runners,
    workshop: Workshop,
    levels: Levels,
    gauge: Gauge,
    streams: BTreeMap<LinkId, Stream>,
    failures: BTreeMap<LinkId, u32>,
    numbers: u64,
    rng: StdRng,
    tell: mpsc::UnboundedSender<Told>,
}

impl Shell {
    fn new(
        worker: Worker,
        schedulers: Schedulers,
        slots: u32,
        tell: mpsc::UnboundedSender<Told>,
        reports: mpsc::UnboundedSender<Report>,
    ) -> Self {
        let config = &worker.config;
        let hello = Hello {
            worker: worker.name.clone(),
            kinds: worker.handlers.keys().cloned().collect(),
            slots,
            memory_bytes: config.memory_mib.map_or(0, |mib| mib.saturating_mul(1 << 20)),
            labels: config.labels.clone().into_iter().collect(),
            zone: config.zone.clone().unwrap_or_default(),
            running: Vec::new(),
        };
        let figures = Figures::of(worker.handlers.keys());
        Self {
            pool: Pool::new(hello),
            roll: Roll::of(schedulers),
            runners: Runners::start(),
            levels: Levels::of(Arc::clone(&figures)),
            workshop: Workshop { figures, reports },
            gauge: Gauge::start(),
            streams: BTreeMap::new(),
            failures: BTreeMap::new(),
            numbers: 0,
            rng: seeded_rng(),
            tell,
            worker,
        }
    }

    /// Whether a drained worker may end; when nothing runs, the last results have a while to be answered.
    fn is_over(&self, last_words: &mut Option<Instant>) -> bool {
        if !self.pool.is_draining() || self.pool.busy() > 0 {
            return false;
        }
        last_words.get_or_insert_with(|| Instant::now() + LAST_WORDS);
        self.pool.unanswered() == 0
    }

    fn take(&mut self, told: Told) {
        let now = Instant::now();
        match told {
            Told::Heard(link, number, message) if self.is_current(link, number) => {
                self.pool.heard(link, message, now);
                if self.pool.is_open(link) {
                    self.failures.remove(&link);
                }
            }
            Told::Over(link, number, fault) if self.is_current(link, number) => {
                self.streams.remove(&link);
                let worker = &self.worker.name;
                match fault {
                    None => debug!(worker, "a scheduler ended the stream"),
                    Some(fault) if !self.failures.contains_key(&link) => {
                        warn!(worker, %fault, "lost a scheduler")
                    }
                    Some(fault) => debug!(worker, %fault, "a scheduler is still away"),
                }
                self.pool.lost(link, now);
            }
            Told::Heard(..) | Told::Over(..) => {}
            Told::Due(link) => self.pool.due(link),
        }
        self.perform();
    }

    fn is_current(&self, link: LinkId, number: u64) -> bool {
        self.streams.get(&link).is_some_and(|stream| stream.number == number)
    }

    fn ran(&mut self, gathering: &mut Option<Instant>) {
        *gathering = None;
        self.pool.ran(self.runners.news());
    }

    fn tick(&mut self) {
        let gauge = &mut self.gauge;
        self.pool.tick(Instant::now(), || gauge.read());
    }

    fn changed(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Found(link) => self.pool.found(link),
                Change::Gone(link) => self.pool.gone(link),
            }
        }
        self.perform();
    }

    /// Does what the pool wants done.
    fn perform(&mut self) {
        for effect in self.pool.effects() {
            match effect {
                Effect::Open(link, hello) => self.open(link, hello),
                Effect::Retry(link) => self.retry(link),
                Effect::Say(link, message) => self.say(link, message),
                // Dropped, its sender ends the worker's side of the stream in order.
                Effect::Close(link) => {
                    if let Some(stream) = self.streams.get_mut(&link) {
                        stream.say = mpsc::unbounded_channel().0;
                    }
                }
                Effect::Run(jobs, batches) => self.run(jobs, &batches),
                Effect::Stop(_, Some(handle)) => handle.abort(),
                Effect::Stop(ticket, None) => self.runners.take_out(ticket),
            }
        }
        self.levels.tell(self.pool.busy(), self.pool.open_slots());
    }

    fn open(&mut self, link: LinkId, hello: Hello) {
        let Some(client) = self.roll.client(link) else { return };
        let (say, said) = mpsc::unbounded_channel();
        self.numbers += 1;
        let reader = tokio::spawn(converse(client, said, link, self.numbers, self.tell.clone()));
        self.streams.insert(link, Stream { number: self.numbers, say, reader });
        self.say(link, Say::Hello(hello));
    }

    fn say(&self, link: LinkId, message: Say) {
        if let Some(stream) = self.streams.get(&link) {
            // One that has just ended is about to be reported.
            let _ = stream.say.send(WorkRequest { message: Some(message) });
        }
    }

    fn retry(&mut self, link: LinkId) {
        let failures = self.failures.entry(link).or_default();
        *failures += 1;
        let (pause, tell) = (BACKOFF.delay(*failures, &mut self.rng), self.tell.clone());
        tokio::spawn(async move {
            sleep(pause).await;
            let _ = tell.send(Told::Due(link));
        });
    }

    /// Queues attempts: those of a batch as one, where the handler takes batches.
    fn run(&mut self, jobs: Vec<Job>, batches: &[u32]) {
        let mut work = Vec::with_capacity(jobs.len());
        let mut jobs = jobs.into_iter().peekable();
        let mut sizes = batches.iter().map(|size| usize::try_from(*size).unwrap_or(1));
        while let Some(first) = jobs.next() {
            let handler = self.worker.handlers.get(&first.task.kind).cloned();
            let size = sizes.next().unwrap_or(1);
            match handler {
                Some(handler) if size > 1 && handler.takes_batches() => {
                    let batch = std::iter::once(first).chain(jobs.by_ref().take(size - 1)).collect();
                    work.push(self.workshop.batch(batch, handler));
                }
                handler => {
                    work.push(self.workshop.single(first, handler));
                    for job in jobs.by_ref().take(size.saturating_sub(1)) {
                        let handler = self.worker.handlers.get(&job.task.kind).cloned();
                        work.push(self.workshop.single(job, handler));
                    }
                }
            }
        }
        self.runners.run(work.into_iter());
    }

    /// Ends all streams in order.
    async fn close(self) {
        let mut closing: Vec<_> = self.streams.into_values().map(|stream| stream.reader).collect();
        if tokio::time::timeout(GOODBYE, join_all(&mut closing)).await.is_err() {
            closing.iter().for_each(JoinHandle::abort);
        }
        info!(worker = self.worker.name, "drained");
    }
}

/// One stream from its first message to its end.
async fn converse(
    mut client: WorkerServiceClient<Wire>,
    said: mpsc::UnboundedReceiver<WorkRequest>,
    link: LinkId,
    number: u64,
    tell: mpsc::UnboundedSender<Told>,
) {
    let fault = match client.work(UnboundedReceiverStream::new(said)).await {
        Err(fault) => Some(fault),
        Ok(opened) => {
            let mut hear = opened.into_inner();
            loop {
                match hear.message().await {
                    Ok(Some(response)) => {
                        // A message of a kind that is not known yet has no content here.
                        if let Some(message) = response.message {
                            let _ = tell.send(Told::Heard(link, number, message));
                        }
                    }
                    Ok(None) => break None,
                    Err(fault) => break Some(fault),
                }
            }
        }
    };
    let _ = tell.send(Told::Over(link, number, fault));
}
