//! Fairness under fire: how long a tenant's lone tasks wait, from the call that submits them to their start at the worker, while
//! another tenant floods the queue, beside the same on the idle mesh.
//!
//! The lone tasks come by the clock, whatever became of those before (an open loop), so a stall is seen in all that it delays.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use tidemill_chassis::sleep;
use tidemill_worker::{Attempt, Done, Failed, Handler};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::client::{Client, connect_as};
use crate::work;

/// How many tasks the flood has, unless the command says otherwise.
pub(crate) const FLOOD: u64 = 200_000;
/// How many of them are submitted in one call.
const BATCH: u64 = 1_000;
/// The numbers of the lone tasks begin here.
const LONE: u64 = 1 << 40;
/// How long after each other they come.
const EVERY: Duration = Duration::from_millis(100);
/// How many are measured on the idle mesh, after some that warm it up.
const IDLE: u64 = 300;
const WARM: u64 = 20;
/// What a task takes, and how many run at once: 6,400 a second.
const SERVICE: Duration = Duration::from_millis(5);
const SLOTS: u32 = 32;

/// Takes its time, and notes when lone tasks began.
#[derive(Default)]
struct Busy {
    flood: AtomicU64,
    lone: Mutex<Vec<(u64, Instant)>>,
}

#[async_trait]
impl Handler for Busy {
    async fn run(&self, attempt: Attempt) -> Result<Done, Failed> {
        let (number, now) = (work::number(&attempt.task.payload), Instant::now());
        if number < LONE {
            self.flood.fetch_add(1, Ordering::Relaxed);
        } else {
            self.lone.lock().unwrap_or_else(PoisonError::into_inner).push((number, now));
        }
        sleep(SERVICE).await;
        Ok(Done::default())
    }
}

/// Lone tasks as they come.
struct Lone {
    client: Client,
    next: u64,
    calls: JoinSet<Result<(u64, Instant)>>,
}

impl Lone {
    /// One every while, as long as this is so; when each was submitted.
    async fn come_while(&mut self, mut goes_on: impl FnMut(u64) -> bool) -> Result<Vec<(u64, Instant)>> {
        let (first, began) = (self.next, Instant::now());
        while goes_on(self.next - first) {
            sleep_until(began + EVERY * u32::try_from(self.next - first)?).await;
            let (mut client, number) = (self.client.clone(), self.next);
            self.next += 1;
            self.calls.spawn(async move {
                let called = Instant::now();
                client.submit(number).await?;
                Ok((number, called))
            });
        }
        let mut called = Vec::new();
        while let Some(call) = self.calls.join_next().await {
            called.push(call??);
        }
        Ok(called)
    }
}

/// Measures, and prints the ratio.
pub(crate) async fn fire(flood: u64) -> Result<()> {
    let busy = Arc::new(Busy::default());
    let client = connect_as("lone").await?;
    let mut lone = Lone { client, next: LONE, calls: JoinSet::new() };
    let flooding = connect_as("flood").await?;
    ensure!(
        lone.client.left().await? + flooding.left().await? == 0,
        "the queue is not empty: use fresh data"
    );
    let (stop, working) = work::start(busy.clone(), SLOTS)?;

    lone.come_while(|count| count < WARM).await?;
    let called = lone.come_while(|count| count < IDLE).await?;
    let idle = waits(&busy, called).await;
    say("idle", &idle);

    let began = Instant::now();
    let submitting = tokio::spawn(submit(flooding, flood));
    let called = lone.come_while(|_| !submitting.is_finished()).await?;
    submitting.await??;
    let came = began.elapsed();
    let mut fire = waits(&busy, called).await;
    say("while the flood comes in", &fire);
    let called = lone.come_while(|_| busy.flood.load(Ordering::Relaxed) < flood).await?;
    let drained = waits(&busy, called).await;
    say("while it is worked off", &drained);
    fire.extend(drained);
    fire.sort_unstable();
    say("both", &fire);

    let (calm, p99) = (at(&idle, 99), at(&fire, 99));
    let bar = 2 * calm + SERVICE;
    println!(
        "{{\"flood\":{flood},\"came_s\":{:.2},\"all_s\":{:.2},\"p50_ratio\":{:.2},\"p99_ratio\":{:.2},\"bar_ms\":{:.2},\"holds\":{}}}",
        came.as_secs_f64(),
        began.elapsed().as_secs_f64(),
        at(&fire, 50).as_secs_f64() / at(&idle, 50).as_secs_f64(),
        p99.as_secs_f64() / calm.as_secs_f64(),
        millis(bar),
        p99 <= bar,
    );
    stop.cancel();
    Ok(working.await?)
}

async fn submit(mut client: Client, flood: u64) -> Result<()> {
    for first in (0..flood).step_by(usize::try_from(BATCH)?) {
        client.submit_batch(first..(first + BATCH).min(flood)).await?;
    }
    Ok(())
}

/// How long each lone task waited, the shortest first, once all have begun.
async fn waits(busy: &Busy, called: Vec<(u64, Instant)>) -> Vec<Duration> {
    let mut begun = Vec::new();
    while begun.len() < called.len() {
        sleep(Duration::from_millis(5)).await;
        let lone = busy.lone.lock().unwrap_or_else(PoisonError::into_inner);
        let meant = |number: &u64| called.iter().any(|(called, _)| called == number);
        begun = lone.iter().filter(|(number, _)| meant(number)).copied().collect();
    }
    begun.sort_unstable();
    // Of a task that was started twice the first start counts.
    begun.dedup_by_key(|(number, _)| *number);
    let begun_at = |number: u64| begun.iter().find(|(begun, _)| *begun == number).map(|(_, at)| *at);
    let wait =
        |(number, called): &(u64, Instant)| Some(begun_at(*number)?.saturating_duration_since(*called));
    let mut waits: Vec<Duration> = called.iter().filter_map(wait).collect();
    waits.sort_unstable();
    waits
}

/// The value below which so many percent of the sorted ones are.
fn at(sorted: &[Duration], percent: usize) -> Duration {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn say(phase: &str, waits: &[Duration]) {
    println!(
        "{{\"phase\":\"{phase}\",\"n\":{},\"p50_ms\":{:.2},\"p99_ms\":{:.2},\"max_ms\":{:.2}}}",
        waits.len(),
        millis(at(waits, 50)),
        millis(at(waits, 99)),
        millis(at(waits, 100)),
    );
}
