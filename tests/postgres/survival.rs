//! PostgreSQL is restarted under load, in order and by a crash: nothing acknowledged is lost, and the mesh goes on by
//! itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidemill_tests::harness::mesh::{Ground, Mesh, Wiring};
use tidemill_tests::harness::{poll, postgres::Server};

const WRITERS: usize = 4;
/// How many documents are acknowledged between two restarts.
const BETWEEN: usize = 40;

/// What the writers share.
#[derive(Default)]
struct Load {
    acknowledged: AtomicUsize,
    refused: AtomicUsize,
    stop: AtomicBool,
}

/// Pushes one document after another, each until it is acknowledged; their ids.
async fn write(client: reqwest::Client, url: String, writer: usize, load: Arc<Load>) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for number in 0.. {
        let document =
            json!({"title": format!("{writer}/{number}"), "body": format!("tide {writer} {number}")});
        while !load.stop.load(Ordering::SeqCst) {
            match client.post(format!("{url}/v1/documents")).json(&document).send().await {
                Ok(answer) if answer.status().is_success() => {
                    let id = answer.json::<Value>().await?["documentId"].as_str().map(str::to_owned);
                    ids.push(id.context("no id")?);
                    load.acknowledged.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                // Told that it may not have happened: the same again is right, whatever did.
                Ok(answer) => {
                    ensure!(answer.status().is_server_error(), "{}", answer.text().await?);
                    load.refused.fetch_add(1, Ordering::SeqCst);
                }
                Err(fault) => return Err(fault).context("the mesh itself went away"),
            }
        }
        if load.stop.load(Ordering::SeqCst) {
            break;
        }
    }
    Ok(ids)
}

async fn until_acknowledged(load: &Load, count: usize) -> Result<()> {
    let enough = || std::future::ready((load.acknowledged.load(Ordering::SeqCst) >= count).then_some(()));
    poll::until("documents are acknowledged", Duration::from_secs(90), enough).await
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_of_the_database_under_load_lose_nothing_and_need_no_restart_of_the_mesh() -> Result<()> {
    // With the flushes to the disk that its defaults ask for.
    let Some(server) = Server::start("")? else { return Ok(()) };
    let home = tempfile::tempdir()?;
    let url = server.database()?;
    let ground = Ground { database: Some((server, url)), ..Ground::bare_folder(home.path()) };
    let mesh = Mesh::on(ground, Wiring::OneProcess).await?;
    let server = mesh.ground.database.as_ref().map(|(server, _)| server).context("no server")?;
    mesh.tidemill(&["query", "add", "tides", "tide"])?;

    let (client, load) = (crate::http(), Arc::new(Load::default()));
    let spawn = |writer| tokio::spawn(write(client.clone(), mesh.url(), writer, Arc::clone(&load)));
    let writers: Vec<_> = (0..WRITERS).map(spawn).collect();
    for (round, how) in ["in order", "crash", "in order", "crash"].into_iter().enumerate() {
        until_acknowledged(&load, (round + 1) * BETWEEN).await?;
        if how == "crash" {
            server.stop()?
        } else {
            server.shut_down()?
        }
        server.restart()?;
        let (back, before) = (Instant::now(), load.acknowledged.load(Ordering::SeqCst));
        until_acknowledged(&load, before + 1).await?;
        println!("{how}: a document is acknowledged {:?} after the database is back", back.elapsed());
    }
    load.stop.store(true, Ordering::SeqCst);
    let mut ids = Vec::new();
    for writer in writers {
        ids.extend(writer.await??);
    }
    let counts = mesh.until_analysed().await?;
    let acknowledged = u64::try_from(ids.len())?;
    ensure!(counts.documents >= acknowledged, "{counts:?}, {acknowledged} acknowledged");
    ensure!(counts.matches == counts.documents && counts.analyses == counts.matches, "{counts:?}");
    for id in &ids {
        let found = client.get(format!("{}/v1/documents/{id}", mesh.url())).send().await?;
        ensure!(found.status().is_success(), "{id} was lost");
    }
    let refused = load.refused.load(Ordering::SeqCst);
    println!(
        "{acknowledged} acknowledged, {refused} refused meanwhile, all of the former found and analysed"
    );
    // It is the process that was started first, and it ends well.
    mesh.stop().map(drop)
}
