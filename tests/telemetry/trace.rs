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
    let root = is_one_request(&spans)?;

    let attempt = spans.iter().find(|span| span.name == "process analyze").context("no attempt")?;
    has(attempt, "CONSUMER", &[("messaging.system", "tidemill"), ("messaging.destination.name", "analyze")])?;
    has(attempt, "CONSUMER", &[("messaging.operation.type", "process"), ("tidemill.tenant", "default")])?;
    let above = ancestors(&spans, attempt);
    ensure!(above.last() == Some(&root), "{above:#?}");
    let push =
        above.iter().find(|span| is_call(span, "PushDocument")).context("no call above the attempt")?;
    ensure!(attempt.links == [(trace.clone(), push.id.clone())], "{attempt:#?} is not linked to {push:#?}");

    let of =
        |parents: &[&Span], span: &Span| ancestors(&spans, span).iter().any(|above| parents.contains(above));
    let append =
        spans.iter().find(|span| is_call(span, "AppendDocuments")).context("nothing was appended")?;
    let statement = spans.iter().find(|span| span.name == "append_documents").context("no statement")?;
    let system = if stage.mesh.ground.database.is_some() { "postgresql" } else { "sqlite" };
    has(statement, "CLIENT", &[("db.system.name", system), ("db.operation.name", "append_documents")])?;
    ensure!(of(&[append], statement), "{statement:#?} is not below {append:#?}");
    let fetch =
        spans.iter().find(|span| is_call(span, "GetDocuments")).context("the attempt read nothing")?;
    ensure!(of(&[attempt], fetch), "{fetch:#?} is not below {attempt:#?}");
    // A call to another process is told by both of its ends.
    let calls = spans.iter().filter(|span| span.kind == "CLIENT" && span.name.ends_with("/GetDocuments"));
    let is_parent = |call: &&Span| call.id == fetch.parent;
    ensure!(calls.filter(is_parent).count() == usize::from(wiring == Wiring::ManyProcesses), "{spans:#?}");

    let seen: BTreeSet<&str> = spans.iter().map(|span| span.service.as_str()).collect();
    ensure!(services.iter().all(|name| seen.contains(name)), "{seen:?}");
    Ok(())
}

/// The one span that all others are below: that of the request, by HTTP's conventions.
fn is_one_request(spans: &[Span]) -> Result<&Span> {
    let roots: Vec<&Span> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    let [root] = roots[..] else { anyhow::bail!("{roots:#?}") };
    ensure!(root.name == "POST /v1/documents" && root.status == "UNSET", "{root:#?}");
    has(root, "SERVER", &[("http.request.method", "POST"), ("http.route", "/v1/documents")])?;
    has(root, "SERVER", &[("http.response.status_code", "200"), ("url.path", "/v1/documents")])?;
    has(root, "SERVER", &[("url.scheme", "http"), ("tidemill.tenant", "default")])?;
    Ok(root)
}

/// Whether a span has this kind and these attributes.
fn has(span: &Span, kind: &str, attributes: &[(&str, &str)]) -> Result<()> {
    let all = attributes.iter().all(|(name, value)| span.attributes.get(*name).is_some_and(|v| v == value));
    ensure!(span.kind == kind && all, "{span:#?} is not {kind} with {attributes:?}");
    Ok(())
}

/// The spans of a trace, once its attempt has ended, every parent is there and every call to another
/// process has been told by the one who answered it: each process sends its spans in its own time.
fn whole(seen: &Seen, trace: &str) -> Option<Vec<Span>> {
    let spans: Vec<Span> = seen.trace(trace).into_iter().cloned().collect();
    let has = |id: &str| spans.iter().any(|span| span.id == id);
    let is_asked = |span: &Span| {
        span.kind == "CLIENT" && span.attributes.get("rpc.system").is_some_and(|it| it == "grpc")
    };
    let is_answered = |call: &Span| spans.iter().any(|span| span.kind == "SERVER" && span.parent == call.id);
    let is_whole = spans.iter().any(|span| span.name == "process analyze")
        && spans.iter().all(|span| span.parent.is_empty() || has(&span.parent))
        && spans.iter().all(|span| !is_asked(span) || is_answered(span));
    is_whole.then_some(spans)
}

/// The spans above one, the nearest first.
fn ancestors<'a>(spans: &'a [Span], span: &Span) -> Vec<&'a Span> {
    let above = |below: &Span| spans.iter().find(|span| span.id == below.parent);
    std::iter::successors(above(span), |below| above(below)).collect()
}

/// Whether this is the span of a service's method of that name, told with rpc's conventions.
fn is_call(span: &Span, method: &str) -> bool {
    let is = |name: &str, value: &str| span.attributes.get(name).is_some_and(|given| given == value);
    span.kind == "SERVER"
        && is("rpc.system", "grpc")
        && is("rpc.method", method)
        && is("rpc.grpc.status_code", "0")
        && span
            .attributes
            .get("rpc.service")
            .is_some_and(|service| span.name == format!("{service}/{method}"))
}
