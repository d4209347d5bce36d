//! Tidemill behind the command line of a comparison of queues: each command does one thing to a mesh that runs on
//! `127.0.0.1:$TIDEMILL_PORT`, from outside, through its gateway, and prints one line of JSON.
//!
//! ```text
//! setup | count | enqueue-one N | enqueue-conc N CALLERS | enqueue-batch N BATCH
//! drain N | lat-work N FILE | lat-produce N RATE FILE
//! fire [N] | limits [N]
//! ```
//! `fire` and `limits` have no counterpart in the comparison: they print Tidemill beside itself.
//!
//! Times are seconds since the epoch, by the wall clock, because producer and worker are two processes.

#![expect(clippy::print_stdout, reason = "what it prints is read by the program that compares")]
#![expect(
    clippy::disallowed_methods,
    reason = "producer and worker are two processes: times are of the wall clock"
)]

mod client;
mod fire;
mod limits;
mod work;

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use client::{Client, wall};
use tokio::time::{Instant, sleep_until};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| -> Result<u64> {
        let word = words.get(place).with_context(|| format!("argument {place} is missing"))?;
        word.parse().with_context(|| format!("`{word}` is no number"))
    };
    let file = |place: usize| words.get(place).context("name a file");
    match words.first().map_or("", String::as_str) {
        "setup" => work::empty().await,
        "count" => {
            println!("{{\"left\":{}}}", client::connect()?.left().await?);
            Ok(())
        }
        "enqueue-one" => enqueue(number(1)?, 1).await,
        "enqueue-conc" => enqueue(number(1)?, number(2)?.max(1)).await,
        "enqueue-batch" => enqueue_batches(number(1)?, number(2)?.max(1)).await,
        "drain" => work::drain(number(1)?, None).await,
        "lat-work" => work::drain(number(1)?, Some(file(2)?)).await,
        "lat-produce" => produce(number(1)?, number(2)?.max(1), file(3)?).await,
        "fire" => fire::fire(if words.len() > 1 { number(1)? } else { fire::FLOOD }).await,
        "limits" => limits::cost(if words.len() > 1 { number(1)? } else { limits::TASKS }).await,
        other => bail!("`{other}` is no command; the first lines of this program's source list them"),
    }
}

/// Callers that each submit one task at a time and wait for it.
async fn enqueue(count: u64, callers: u64) -> Result<()> {
    let (client, began) = (client::connect()?, wall());
    let call = |caller: u64| {
        let mut client = client.clone();
        async move {
            for number in 0..count / callers {
                client.submit(caller * count + number).await?;
            }
            Ok::<_, anyhow::Error>(())
        }
    };
    let callers: Vec<_> = (0..callers).map(|caller| tokio::spawn(call(caller))).collect();
    for caller in callers {
        caller.await??;
    }
    say(count, began);
    Ok(())
}

/// One caller that submits many tasks at a time.
async fn enqueue_batches(count: u64, batch: u64) -> Result<()> {
    let (mut client, began) = (client::connect()?, wall());
    let mut first = 0;
    while first < count {
        let next = (first + batch).min(count);
        client.submit_batch(first..next).await?;
        first = next;
    }
    say(count, began);
    Ok(())
}

/// Submits at a fixed rate, whatever the answers take, and writes when each call was made and answered.
async fn produce(count: u64, rate: u64, file: &str) -> Result<()> {
    let client = client::connect()?;
    // The connection is made before the clock runs.
    client.left().await?;
    let rows = Arc::new(Mutex::new(Vec::new()));
    let began = Instant::now();
    let mut calls = Vec::new();
    for number in 0..count {
        sleep_until(began + Duration::from_secs_f64(number as f64 / rate as f64)).await;
        let (mut client, rows): (Client, _) = (client.clone(), Arc::clone(&rows));
        calls.push(tokio::spawn(async move {
            let called = wall();
            client.submit(number).await?;
            rows.lock().unwrap_or_else(PoisonError::into_inner).push((number, called, wall()));
            Ok::<_, anyhow::Error>(())
        }));
    }
    for call in calls {
        call.await??;
    }
    let mut out = std::fs::File::create(file)?;
    for (number, called, answered) in rows.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        writeln!(out, "{number} {called:.6} {answered:.6}")?;
    }
    Ok(())
}

/// The line that ends a command.
fn say(count: u64, began: f64) {
    println!("{{\"n\":{count},\"t0\":{began:.6},\"t1\":{:.6}}}", wall());
}
