//! `tidemill demo`: the whole mesh at work on a folder, in a data folder that vanishes afterwards.

mod report;
mod script;

use std::iter;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use tidemill_chassis::{server, telemetry};
use tidemill_proto::scheduling::v1::{QueueState, WatchQueueRequest};
use tokio::net::TcpListener;

use super::push::{self, Tally, Voice};
use crate::cli::Connection;
use crate::client::Client;
use crate::compose::{self, Ports};
use crate::config::{self, Config, Flags};
use crate::exit::Exit;
use crate::output;
use script::{TENANTS, Tenant};

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  tidemill demo --dir ~/notes")]
pub(crate) struct Args {
    /// The folder whose text, Markdown and HTML files are read
    #[arg(long, value_name = "PATH", default_value = ".")]
    dir: PathBuf,
    /// What to log, for example `info`
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

/// The most faults of the folder that are said.
const FAULTS: usize = 20;

/// What was seen of one tenant.
pub(crate) struct Seen {
    pub(crate) tenant: &'static Tenant,
    pub(crate) client: Client,
    pub(crate) tally: Tally,
    pub(crate) queue: QueueState,
}

/// How long the two halves of the work took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) push: Duration,
    pub(crate) whole: Duration,
}

/// Shows the work, then serves until Ctrl-C.
pub(crate) async fn run(args: Args) -> Result<Exit> {
    let flags = Flags { log: args.log.clone(), ..Flags::default() };
    let mut config = Config { log: config::load(&flags)?.log, ..Config::default() };
    let telemetry = telemetry::init(&config.log, "tidemill-demo", &config.telemetry);
    let telemetry = telemetry.map_err(|fault| anyhow!(fault))?;
    // Said before anything is started: a folder that cannot be read is the likeliest mistake.
    tidemill_ingestion::folder::walk(&args.dir, tidemill_ingestion::folder::Options::default())?;
    let data = tempfile::Builder::new().prefix("tidemill-demo-").tempdir().context("no temporary folder")?;
    config.store.path = data.path().to_owned();
    let listener = listen(config.listen).await?;
    let address = listener.local_addr().context("the port has no address")?;
    let url = format!("http://{address}");
    let ports = Ports { gateway: Some(listener), parts: None };
    let mut mesh = compose::start(config, &compose::NAMES, ports).await?;
    mesh.on_signals().context("no signal can be heard")?;

    let stop = mesh.shutdown.soft();
    let exit = tokio::select! {
        shown = Box::pin(show(&args, &url)) => shown,
        () = stop.cancelled() => Ok(Exit::Failed),
    };
    if exit.is_ok() && !stop.is_cancelled() {
        report::addresses(address)?;
    } else {
        mesh.shutdown.begin();
    }
    let drained = mesh.until_stopped().await;
    telemetry.flush().await;
    if !drained {
        output::note("stopped before everything had finished");
    }
    exit
}

/// The usual port, or a free one when it is taken.
async fn listen(usual: SocketAddr) -> Result<TcpListener> {
    match server::bind(usual).await {
        Err(fault) if fault.is_in_use() => Ok(server::bind(SocketAddr::new(usual.ip(), 0)).await?),
        other => Ok(other?),
    }
}

/// Makes tenants and queries, pushes, waits, prints.
async fn show(args: &Args, url: &str) -> Result<Exit> {
    let mut clients = Vec::new();
    for tenant in &TENANTS {
        let connection =
            Connection { server: url.to_owned(), ca: None, key: None, tenant: Some(tenant.name.to_owned()) };
        let client = Client::connect(&connection).await?;
        script::prepare(tenant, &client).await?;
        clients.push((tenant, client));
    }
    let begin = Instant::now();
    let bar = push::counter("documents pushed");
    // All read the same folder: one says what is wrong in it.
    let voices =
        iter::once(Voice::new(bar.clone(), FAULTS)).chain(iter::repeat_with(|| Voice::mute(bar.clone())));
    let pushes = clients.iter().zip(voices).map(|((_, client), voice)| push_folder(args, client, voice));
    let tallies = futures::future::try_join_all(pushes).await?;
    bar.finish_and_clear();
    let push = begin.elapsed();

    let tasks = tallies.iter().map(|tally| tally.matches).sum();
    let bar = ProgressBar::new(tasks);
    let style = ProgressStyle::with_template("analyses {bar:30} {pos}/{len} {per_sec} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(120));
    let waits = clients.iter().map(|(_, client)| analysed(client, &bar));
    let queues = futures::future::try_join_all(waits).await?;
    bar.finish_and_clear();

    let times = Times { push, whole: begin.elapsed() };
    let seen = clients.into_iter().zip(tallies).zip(queues);
    let seen = seen.map(|(((tenant, client), tally), queue)| Seen { tenant, client, tally, queue });
    let seen: Vec<Seen> = seen.collect();
    report::print(&seen, times).await?;
    Ok(if seen.iter().any(|seen| seen.tally.refused > 0) { Exit::Refused } else { Exit::Done })
}

async fn push_folder(args: &Args, client: &Client, voice: Voice) -> Result<Tally> {
    let tally = push::send(client, voice.clone(), push::folder(&args.dir, "demo")?, |_| {}).await?;
    if let Some(rest) = voice.rest() {
        voice.bar().suspend(|| output::note(&format!("and {rest} more")));
    }
    Ok(tally)
}

/// The tenant's queue, once nothing waits or runs any more.
async fn analysed(client: &Client, bar: &ProgressBar) -> Result<QueueState> {
    let interval = Some(tidemill_proto::time::duration(Duration::from_millis(200)));
    let mut states = client.scheduling().watch_queue(WatchQueueRequest { interval }).await?.into_inner();
    let mut before = 0;
    while let Some(state) = states.message().await? {
        let queue = state.queue.unwrap_or_default();
        let ended: i64 = queue.priorities.iter().map(|row| row.succeeded + row.dead + row.cancelled).sum();
        let open: i64 = queue.priorities.iter().map(|row| row.waiting + row.running).sum();
        bar.inc(u64::try_from(ended - before).unwrap_or(0));
        before = ended;
        if open == 0 {
            return Ok(queue);
        }
    }
    Err(anyhow!("the mesh ended the watch of the queue before its work was done"))
}
