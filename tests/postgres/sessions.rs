//! Sessions over HTTP and gRPC, by a mesh on PostgreSQL with a replica that lags: what was written is read, by what the
//! write's answer told or by asking for the latest.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tidemill_tests::harness::mesh::{Ground, Mesh, Wiring};
use tidemill_tests::harness::postgres::Server;

const WRITTEN: &str = "tidemill-written";
const READ_AFTER: &str = "tidemill-read-after";
const CONSISTENCY: &str = "tidemill-consistency";

/// A mesh on a primary with a replica that is asked seldom, so that reads are behind by a good while.
async fn stage(home: &Path) -> Result<Option<(Mesh, Server)>> {
    let Some(primary) = Server::start("fsync = off")? else { return Ok(None) };
    let replica = primary.replica()?;
    let url = primary.database()?;
    let name = url.rsplit('/').next().context("no name")?;
    let replicas = format!("[\"{}\"]", replica.url(name));
    let environment = vec![
        ("TIDEMILL_POSTGRES__REPLICAS".to_owned(), replicas),
        ("TIDEMILL_POSTGRES__MAX_REPLICA_LAG_MS".to_owned(), "60000".to_owned()),
    ];
    let ground = Ground { database: Some((primary, url)), environment, ..Ground::bare_folder(home) };
    Ok(Some((Mesh::on(ground, Wiring::OneProcess).await?, replica)))
}

fn told(answer: &Response) -> Result<String> {
    let text = answer.headers().get(WRITTEN).with_context(|| format!("no {WRITTEN} in {answer:?}"))?;
    Ok(text.to_str()?.to_owned())
}

#[tokio::test]
async fn a_session_over_http_reads_what_it_wrote_while_others_may_be_behind() -> Result<()> {
    let home = tempfile::tempdir()?;
    let Some((mesh, replica)) = stage(home.path()).await? else { return Ok(()) };
    let (client, url) = (crate::http(), mesh.url());
    let names = async |header: Option<(&str, &str)>| -> Result<usize> {
        let mut request = client.get(format!("{url}/v1/queries?page_size=100"));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let answer: Value = request.send().await?.error_for_status()?.json().await?;
        Ok(answer["queries"].as_array().map_or(0, Vec::len))
    };
    let mut behind = 0;
    for number in 1..=30 {
        // Applied later than it comes, so that what was just written is not there yet.
        if number % 2 == 0 {
            replica.delay_replay("300ms")?;
        }
        let query = json!({"name": format!("q{number}"), "expression": "tide"});
        let made = client.post(format!("{url}/v1/queries")).json(&query).send().await?.error_for_status()?;
        let written = told(&made)?;
        behind += usize::from(names(None).await? < number);
        ensure!(
            names(Some((READ_AFTER, &written))).await? == number,
            "the session misses its query {number}"
        );
        ensure!(names(Some((CONSISTENCY, "latest"))).await? == number, "the latest misses query {number}");
    }
    ensure!(behind > 0, "no read was behind: the replica was not asked");

    let document = json!({"title": "Tides", "body": "the tide comes in"});
    let pushed =
        client.post(format!("{url}/v1/documents")).json(&document).send().await?.error_for_status()?;
    let written = told(&pushed)?;
    let id = pushed.json::<Value>().await?["documentId"].as_str().context("no id")?.to_owned();
    let found = client.get(format!("{url}/v1/documents:search?text=tide")).header(READ_AFTER, &written);
    let found = found.send().await?.error_for_status()?.text().await?;
    ensure!(found.contains(&id), "{found}");

    for (header, value) in [(READ_AFTER, "yesterday"), (CONSISTENCY, "strong")] {
        let refused = client.get(format!("{url}/v1/queries")).header(header, value).send().await?;
        let status = refused.status();
        let text = refused.text().await?;
        ensure!(status == StatusCode::BAD_REQUEST && text.contains(header), "{status} {text}");
    }
    // The command line always sees what the one before it did.
    ensure!(mesh.json(&["query", "list"])?.len() == 30);
    Ok(())
}
