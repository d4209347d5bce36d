//! `tidemill results`: what the queries selected, with the analyses.

use std::io::{self, Write};

use anyhow::{Context, Result};
use tidemill_proto::storage::v1::{ExportResultsRequest, ListResultsRequest};
use tidemill_proto::types::v1;

use super::query;
use crate::client::Client;
use crate::exit::Exit;
use crate::output;

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tidemill results --query rust --limit 5\n  tidemill results --json > results.jsonl"
)]
pub(crate) struct Args {
    /// Only of this query, best first; of all queries, newest first, when not said
    #[arg(long, value_name = "NAME")]
    query: Option<String>,
    /// At most this many; with --json, all when not said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=1000))]
    limit: Option<i32>,
    /// Print JSON, one result a line
    #[arg(long)]
    json: bool,
}

/// Prints them.
pub(crate) async fn run(args: Args, client: &Client) -> Result<Exit> {
    let query = args.query.unwrap_or_default();
    if args.json && args.limit.is_none() {
        export(query, client).await?;
        return Ok(Exit::Done);
    }
    let results = best(client, query, args.limit.unwrap_or(20)).await?;
    if args.json {
        output::json_lines(&results)?;
    } else {
        let mut out = io::stdout().lock();
        results.iter().try_for_each(|result| write(&mut out, result))?;
        if results.is_empty() {
            output::note("no results yet; add queries first, then push documents");
        } else if results.iter().any(|result| result.analysis.is_none()) {
            output::note("an analysis that is not there yet waits or failed: `tidemill task list` tells");
        }
    }
    Ok(Exit::Done)
}

/// The first results of a query.
pub(crate) async fn best(client: &Client, query: String, limit: i32) -> Result<Vec<v1::Result>> {
    let request = ListResultsRequest { query, page_size: limit, page_token: String::new() };
    Ok(client.results().list_results(request).await.with_context(query::which)?.into_inner().results)
}

async fn export(query: String, client: &Client) -> Result<()> {
    let mut stream = client
        .results()
        .export_results(ExportResultsRequest { query })
        .await
        .with_context(query::which)?
        .into_inner();
    while let Some(item) = stream.message().await? {
        output::json(&mut io::stdout().lock(), &item.result.unwrap_or_default())?;
    }
    Ok(())
}

/// One result as a person reads it.
pub(crate) fn write(out: &mut impl Write, result: &v1::Result) -> Result<()> {
    let title = if result.title.is_empty() { &result.document_id } else { &result.title };
    writeln!(out, "{:.2}  {}  [{}]", result.score, output::short(title, 90), result.query)?;
    let place = if result.url.is_empty() { &result.source } else { &result.url };
    if !place.is_empty() {
        writeln!(out, "      {}", output::one_line(place))?;
    }
    let Some(analysis) = &result.analysis else {
        writeln!(out, "      (no analysis yet)")?;
        return Ok(());
    };
    let fields = serde_json::to_value(&analysis.output)?;
    for name in ["summary", "keywords", "label"] {
        let text = output::short(&output::field(&fields, name), 240);
        if !text.is_empty() {
            writeln!(out, "      {name}: {text}")?;
        }
    }
    Ok(())
}
