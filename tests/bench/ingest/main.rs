//! Documents per second through the real binary: pushed by `tidemill push`, matched by `tidemill up` against 30 standing
//! queries, stored durably; with the server's memory while it does so, for a file and for one 20 times as long.
//!
//! The limit of the same run: the same documents put into a bare SQLite file with the same full-text index, in batches of
//! the same size, each commit durable, and nothing else done.

mod bare;
mod corpus;
#[path = "../folder.rs"]
mod folder;
mod mesh;
#[path = "../report.rs"]
mod report;
mod stages;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use corpus::Corpus;
use mesh::{Mesh, Pushed};
use report::{Size, Table, ratio};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many times as long the long file is.
const LONGER: usize = 20;

fn main() -> Result<()> {
    let Some(size) = report::begin("ingest") else { return Ok(()) };
    mesh::build()?;
    let corpus = Corpus::load(size)?;
    report::say(format!("{}, {} documents, {} KiB", corpus.origin, corpus.len(), corpus.bytes() >> 10));
    stages::measure(&corpus)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&corpus, size))
}

async fn measure(corpus: &Corpus, size: Size) -> Result<()> {
    let folder = folder::fresh()?;
    let (short, long) = (folder.path().join("short.jsonl"), folder.path().join("long.jsonl"));
    corpus.write(&short, 1)?;
    corpus.write(&long, LONGER)?;
    let rounds = size.of(1, 3);
    let (mut limit, mut plain, mut full) = (Duration::MAX, None, None);
    for _ in 0..rounds {
        limit = limit.min(bare::store(corpus, 1).await?);
        better(&mut plain, push(&short, corpus.len(), 0).await?);
        better(&mut full, push(&short, corpus.len(), corpus::QUERIES.len()).await?);
    }
    let limit_long = bare::store(corpus, LONGER).await?;
    let full_long = push(&long, corpus.len() * LONGER, corpus::QUERIES.len()).await?;
    let (limit, limit_long) = (rate(corpus.len(), limit), rate(corpus.len() * LONGER, limit_long));

    let mut table = Table::new(["what", "documents", "documents/s", "to bare SQLite"]);
    let mut row = |what: &str, documents: usize, rate: f64, limit: f64| {
        table.row([what.to_owned(), documents.to_string(), format!("{rate:.0}"), ratio(rate, limit)]);
    };
    row("bare SQLite, text index, batches of 256", corpus.len(), limit, limit);
    for (what, pushed) in [("no query", &plain), ("30 queries", &full)] {
        let Some(pushed) = pushed else { continue };
        row(&format!("pushed and stored, {what}"), pushed.documents, pushed.rate(), limit);
        row("  until every match is analysed", pushed.documents, pushed.rate_analysed(), limit);
    }
    row("bare SQLite, the long file", corpus.len() * LONGER, limit_long, limit_long);
    row("pushed and stored, 30 queries", full_long.documents, full_long.rate(), limit_long);
    row("  until every match is analysed", full_long.documents, full_long.rate_analysed(), limit_long);
    table.print(&format!("documents per second, durable (best of {rounds} rounds; the long file once)"));
    memory(full.iter().chain([&full_long]));
    Ok(())
}

fn memory<'a>(runs: impl Iterator<Item = &'a Pushed>) {
    let mut table =
        Table::new(["documents", "before", "at 25 %", "50 %", "75 %", "at the end", "peak", "matches"]);
    for run in runs {
        let mib = |kib: u64| format!("{:.0}", kib as f64 / 1024.0);
        let at = |share: usize| {
            let index = (run.resident.len() * share / 100).min(run.resident.len().saturating_sub(1));
            mib(run.resident.get(index).copied().unwrap_or(0))
        };
        let [quarter, half, most, end] = [25, 50, 75, 100].map(at);
        let (documents, matches) = (run.documents.to_string(), run.matches.to_string());
        table.row([documents, mib(run.before), quarter, half, most, end, mib(run.peak()), matches]);
    }
    table.print(
        "resident memory of the server in MiB, over the time from the first document to the last analysis",
    );
}

/// Pushes a file through a fresh mesh.
async fn push(file: &Path, documents: usize, queries: usize) -> Result<Pushed> {
    let mesh = Mesh::start().await?;
    for (name, expression) in corpus::QUERIES.into_iter().take(queries) {
        mesh.run(&["query", "add", name, expression])?;
    }
    mesh.push(file, documents).await
}

fn better(best: &mut Option<Pushed>, run: Pushed) {
    if best.as_ref().is_none_or(|best| run.stored < best.stored) {
        *best = Some(run);
    }
}

/// How many a second.
fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
