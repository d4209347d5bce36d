//! A mesh that tells a collector, and what the tests ask of both.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tempfile::TempDir;
use tidemill_tests::harness::collector::{Collector, Seen};
use tidemill_tests::harness::mesh::{Ground, Mesh, Wiring};
use tidemill_tests::harness::poll;

/// How long the collector may take to be told.
const TOLD: Duration = Duration::from_secs(30);

/// The world of one test.
pub(crate) struct Stage {
    pub(crate) collector: Collector,
    pub(crate) mesh: Mesh,
    client: reqwest::Client,
    _home: TempDir,
}

impl Stage {
    /// A collector and a mesh that tells it, with a standing query for `tide`; `None` when there is no collector to be
    /// had, which has then been said.
    pub(crate) async fn new(wiring: Wiring, settings: &[(&str, &str)]) -> Result<Option<Self>> {
        let home = tempfile::tempdir()?;
        let Some(collector) = Collector::start(home.path()).await? else { return Ok(None) };
        let mut environment = collector.environment();
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut ground = Ground::of(wiring, home.path()).await?;
        ground.environment = environment;
        let mesh = Mesh::on(ground, wiring).await?;
        let stage = Self { collector, mesh, client: client(), _home: home };
        stage.post("/v1/queries", &json!({"name": "tides", "expression": "tide"})).await?;
        Ok(Some(stage))
    }

    /// Pushes a document that the query selects, so that an analysis is queued; the trace that it belongs to.
    pub(crate) async fn push(&self, number: usize) -> Result<String> {
        let document = json!({"title": format!("Number {number}"), "body": format!("tide number {number}")});
        self.post("/v1/documents", &document).await
    }

    /// A request that needs no success; the trace that it belongs to.
    pub(crate) async fn get(&self, path: &str) -> Result<String> {
        get(&self.client, &format!("{}{path}", self.mesh.url())).await
    }

    /// Posts, which must succeed; the trace that it belongs to.
    pub(crate) async fn post(&self, path: &str, body: &serde_json::Value) -> Result<String> {
        post(&self.client, &format!("{}{path}", self.mesh.url()), body).await
    }

    /// Waits until what the collector was told makes `ask` answer.
    pub(crate) async fn told<T>(&self, what: &str, ask: impl Fn(&Seen) -> Option<T>) -> Result<T> {
        let answer = poll::until(what, TOLD, || std::future::ready(ask(&self.collector.seen()))).await;
        answer.with_context(|| {
            format!("{:#?}", self.collector.seen().spans.iter().rev().take(30).collect::<Vec<_>>())
        })
    }
}

/// Posts, which must succeed within a time that nobody would call slow; the trace that it belongs to.
pub(crate) async fn post(client: &reqwest::Client, url: &str, body: &serde_json::Value) -> Result<String> {
    let answer = client.post(url).json(body).send().await.context("no answer in time")?;
    let (status, trace) = (answer.status(), trace_of(&answer)?);
    ensure!(status.is_success(), "{status}: {}", answer.text().await?);
    Ok(trace)
}

/// Gets something that need not be there; the trace that it belongs to.
pub(crate) async fn get(client: &reqwest::Client, url: &str) -> Result<String> {
    trace_of(&client.get(url).send().await?)
}

/// The trace that an answer names.
fn trace_of(answer: &reqwest::Response) -> Result<String> {
    let parent = answer.headers().get("traceparent").context("no traceparent")?.to_str()?;
    Ok(parent.split('-').nth(1).context("no trace in it")?.to_owned())
}

/// A client whose patience bounds what counts as not slow: twenty times what a loaded machine takes.
pub(crate) fn client() -> reqwest::Client {
    // Fails only when one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(10)).build().unwrap_or_default()
}
