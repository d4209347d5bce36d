//! Tasks per second through submit, lease and complete on SQLite, through all layers of scheduling and storage, beside
//! bare SQLite doing the least that such a queue must do: insert, claim, delete, each a transaction of the same size.
//!
//! Every commit is durable (`synchronous=FULL`), on both sides. The services are wired within the process, then each
//! behind a socket of its own.

mod bare;
#[path = "../folder.rs"]
mod folder;
#[path = "../loopback.rs"]
mod loopback;
mod queue;
#[path = "../report.rs"]
mod report;

use std::time::Duration;

use anyhow::Result;

use queue::{Queue, Wiring};
use report::{Size, Table, ratio};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many tasks one submission has where they come in batches.
const BATCH: usize = 1_000;
/// How many callers submit one task at a time.
const CALLERS: usize = 16;

fn main() -> Result<()> {
    let Some(size) = report::begin("tasks") else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(size))
}

/// What is measured, as times over the rounds.
#[derive(Debug, Default)]
struct Times {
    submit: Vec<Duration>,
    drain: Vec<Duration>,
    together: Vec<Duration>,
    callers: Vec<Duration>,
    pickup: Vec<Duration>,
    commits: u64,
}

async fn measure(size: Size) -> Result<()> {
    let (rounds, many, few) = (size.of(1, 4), size.of(2_000, 20_000), size.of(320, 3_200));
    let (mut inside, mut across, mut limit) = (Times::default(), Times::default(), bare::Times::default());
    for _ in 0..rounds {
        bare::round(many, BATCH, few, CALLERS, &mut limit).await?;
        round(Wiring::Process, many, few, &mut inside).await?;
        round(Wiring::Loopback, many, few, &mut across).await?;
    }
    let (insert, claim, delete) = (best(&limit.insert), best(&limit.claim), best(&limit.delete));
    let whole = insert + claim + delete;
    let mut table = Table::new(["phase", "bare SQLite", "in process", "to bare", "loopback", "to bare"]);
    let mut row = |name: String, count, limit: Option<Duration>, inside: &[Duration], across: &[Duration]| {
        let [inside, across] = [inside, across].map(|times| rate(count, best(times)));
        let limit = limit.map(|time| rate(count, time));
        let share = |rate| limit.map_or_else(|| "-".to_owned(), |limit| ratio(rate, limit));
        let limit = limit.map_or_else(|| "-".to_owned(), |limit| format!("{limit:.0}"));
        table.row([name, limit, whole_number(inside), share(inside), whole_number(across), share(across)]);
    };
    row(format!("submit, {BATCH} a call"), many, Some(insert), &inside.submit, &across.submit);
    row("lease and complete a backlog".into(), many, Some(claim + delete), &inside.drain, &across.drain);
    row("submit, lease, complete at once".into(), many, Some(whole), &inside.together, &across.together);
    let callers = format!("submit, {CALLERS} callers, one task a call");
    row(callers, few, Some(best(&limit.callers)), &inside.callers, &across.callers);
    let one = Some(best(&limit.one) * 10);
    row("  the same, bare commits of one".into(), few, one, &inside.callers, &across.callers);
    table.print(&format!("tasks per second, {many} tasks of 200 bytes (best of {rounds} rounds)"));
    report::say(format!(
        "\n  commits of the round in process: {} for {} tasks submitted, leased and completed",
        inside.commits,
        2 * many + few
    ));
    report::say(format!(
        "  a lone task, from submit called to its handler started: {:.0} us in process, {:.0} us over loopback (best median)",
        best(&inside.pickup).as_secs_f64() * 1e6,
        best(&across.pickup).as_secs_f64() * 1e6
    ));
    Ok(())
}

fn whole_number(rate: f64) -> String {
    format!("{rate:.0}")
}

/// One fresh queue, every phase.
async fn round(wiring: Wiring, many: usize, few: usize, times: &mut Times) -> Result<()> {
    let mut queue = Queue::start(wiring).await?;
    times.submit.push(queue.submit(many, BATCH).await?);
    queue.work();
    times.drain.push(queue.until_done(many).await?);
    times.together.push(queue.submit_and_wait(many, BATCH).await?);
    times.pickup.push(queue.pickup(50).await?);
    times.callers.push(queue.submit_one_by_one(few, CALLERS).await?);
    times.commits = queue.commits();
    queue.stop().await
}

/// How many a second.
fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// The shortest of the times.
fn best(times: &[Duration]) -> Duration {
    times.iter().copied().min().unwrap_or_default()
}
