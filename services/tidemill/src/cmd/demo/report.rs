//! What a person wants to see of the demo: best matches, counts and rates, waits, where to call.

use std::io::{self, Write};
use std::net::SocketAddr;

use anyhow::Result;
use tidemill_proto::storage::v1::GetCountsRequest;

use super::script::TENANTS;
use super::{Seen, Times};
use crate::cmd::{label, results, status};
use crate::output::{self, Table};

/// How many matches of each query are shown.
const BEST: i32 = 2;

/// Prints it all.
pub(crate) async fn print(seen: &[Seen], times: Times) -> Result<()> {
    for one in seen {
        output::line(&format!("\n== {} ({}) ==", one.tenant.name, label::tier(one.tenant.tier.into())))?;
        for query in &one.tenant.queries {
            output::line(&format!("\n{}: {}", query.name, query.expression))?;
            let best = results::best(&one.client, query.name.to_owned(), BEST).await?;
            let mut out = io::stdout().lock();
            best.iter().try_for_each(|result| results::write(&mut out, result))?;
            if best.is_empty() {
                writeln!(out, "      no document matches")?;
            }
        }
    }
    counts(seen, times).await?;
    waits(seen)
}

async fn counts(seen: &[Seen], times: Times) -> Result<()> {
    let heading = ["TENANT", "DOCUMENTS", "KNOWN ALREADY", "REFUSED", "MATCHES", "ANALYSES"];
    let mut table = Table::new(heading);
    let (mut documents, mut analyses) = (0, 0);
    for one in seen {
        let counts = one.client.results().get_counts(GetCountsRequest {}).await?.into_inner();
        documents += one.tally.stored + one.tally.duplicates;
        analyses += counts.analyses;
        table.row([
            one.tenant.name.to_owned(),
            counts.documents.to_string(),
            one.tally.duplicates.to_string(),
            one.tally.refused.to_string(),
            counts.matches.to_string(),
            counts.analyses.to_string(),
        ]);
    }
    output::line("\n== counts ==\n")?;
    table.print()?;
    let (push, whole) = (times.push.as_secs_f64(), times.whole.as_secs_f64());
    output::line(&format!(
        "{documents} documents pushed in {push:.2} s ({:.0}/s); {analyses} analyses after {whole:.2} s ({:.0}/s)",
        rate(documents, push),
        rate(u64::try_from(analyses).unwrap_or(0), whole),
    ))
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds.max(1e-3)
}

/// How long tasks waited, by tenant and priority.
fn waits(seen: &[Seen]) -> Result<()> {
    for one in seen {
        output::line(&format!("\n== queue of {} ==\n", one.tenant.name))?;
        status::table(&one.queue).print()?;
    }
    Ok(())
}

/// Where it answers, and how to call it.
pub(crate) fn addresses(address: SocketAddr) -> Result<()> {
    let tenant = TENANTS[0].name;
    let query = TENANTS[0].queries[0].name;
    output::line(&format!(
        "\nServing gRPC, HTTP and JSON at http://{address} until Ctrl-C. In another terminal:\n\n  \
         grpcurl -plaintext -H 'tidemill-tenant: {tenant}' {address} tidemill.storage.v1.ResultService/GetCounts\n  \
         curl -H 'tidemill-tenant: {tenant}' 'http://{address}/v1/results?query={query}&page_size=3'\n"
    ))
}
