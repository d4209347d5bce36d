//! One request, one trace: from HTTP over services and SQL through the queue to the worker.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use tidemill_tests::harness::collector::{Seen, Span};
use tidemill_tests::harness::mesh::Wiring;

use crate::stage::Stage;

#[tokio::test]
async fn a_request_that_queues_an_analysis_is_one_trace_in_one_process() -> Result<()> {
    one_trace(Wiring::OneProcess, &["tidemill"]).await
}

#[tokio::test]
async fn a_request_that_queues_an_analysis_is_one_trace_in_many_processes() -> Result<()> {
    let services = ["tidemill-gateway", "tidemill-ingestion", "tidemill-storage", "tidemill-analysis"];
    one_trace(Wiring::ManyProcesses, &services).await
}

async fn one_trace(wiring: Wiring, services: &[&str]) -> Result<()> {
    let Some(stage) = Stage::new(wiring, &[]).await? else { return Ok(()) };
    let trace = stage.push(1).await?;
    let spans = stage.told("the whole trace", |seen| whole(seen, &trace)).await?;
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    ensure!(roots.len() == 1, "{roots:#?}");
    ensure!(roots[0].kind == "SERVER" && roots[0].attributes["http.request.method"] == "POST", "{roots:#?}");

    let attempt = spans.iter().find(|span| span.name == "process analyze").context("no attempt")?;
    ensure!(attempt.kind == "CONSUMER", "{attempt:#?}");
    let above = ancestors(&spans, attempt);
    ensure!(above.last() == Some(&roots[0]), "{above:#?}");
    ensure!(above.iter().any(|span| is_call(span, "PushDocument")), "{above:#?}");

    let of =
        |parents: &[&Span], span: &Span| ancestors(&spans, span).iter().any(|above| parents.contains(above));
    let is_sql = |span: &&Span| span.attributes.contains_key("db.system.name");
    let appends: Vec<&Span> = spans.iter().filter(|span| is_call(span, "AppendDocuments")).collect();
    ensure!(
        wiring == Wiring::ManyProcesses || spans.iter().filter(is_sql).any(|span| of(&appends, span)),
        "no statement below {appends:#?}"
    );
    let fetch =
        spans.iter().find(|span| is_call(span, "GetDocuments")).context("the attempt read nothing")?;
    ensure!(of(&[attempt], fetch), "{fetch:#?} is not below {attempt:#?}");

    let seen: BTreeSet<&str> = spans.iter().map(|span| span.service.as_str()).collect();
    ensure!(services.iter().all(|name| seen.contains(name)), "{seen:?}");
    Ok(())
}

/// The spans of a trace, once its attempt has ended and every parent is there.
fn whole(seen: &Seen, trace: &str) -> Option<Vec<Span>> {
    let spans: Vec<Span> = seen.trace(trace).into_iter().cloned().collect();
    let has = |id: &str| spans.iter().any(|span| span.id == id);
    let is_whole = spans.iter().any(|span| span.name == "process analyze")
        && spans.iter().all(|span| span.parent.is_empty() || has(&span.parent));
    is_whole.then_some(spans)
}

/// The spans above one, the nearest first.
fn ancestors<'a>(spans: &'a [Span], span: &Span) -> Vec<&'a Span> {
    let above = |below: &Span| spans.iter().find(|span| span.id == below.parent);
    std::iter::successors(above(span), |below| above(below)).collect()
}

/// Whether this is the span of a service's method of that name.
fn is_call(span: &Span, method: &str) -> bool {
    span.kind == "SERVER" && span.name.ends_with(&format!("/{method}"))
}
