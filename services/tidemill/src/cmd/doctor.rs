//! `tidemill doctor`: looks at everything that the configuration names and says what is wrong and how to mend it.
//!
//! Looking and judging are apart: the files below look, each for a bounded time and without changing anything that stays,
//! and hand what they saw to functions that judge. To add a check: a look in the file of its noun, a line in [`checks`].

mod consul;
mod finding;
mod folder;
mod network;
mod postgres;
mod provider;
mod tls;

use std::time::Duration;

use anyhow::Result;
use futures::future::{BoxFuture, FutureExt, join_all};
use tokio::time::timeout;

use crate::config::{self, Config, Flags};
use crate::exit::{self, Exit};
use crate::output;
use finding::{Finding, Level};

/// How long one check may take.
const PATIENCE: Duration = Duration::from_secs(8);

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "One line a check: ok, warn or fail. The exit code is 1 when any fails. Takes the configuration that `up` and \
    `serve` take, and may run beside them.\n\nExample:\n  tidemill doctor\n  tidemill doctor --config tidemill.toml --json"
)]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

/// Looks at everything, and prints it.
pub(crate) async fn run(args: &Args) -> Result<Exit> {
    let findings = match config::load(&args.flags) {
        Ok(config) => examine(&config).await,
        Err(fault) => vec![Finding::fail("configuration", exit::chain(&fault), "correct it, then ask again")],
    };
    if args.json {
        output::json_lines(&findings)?;
    } else {
        findings.iter().try_for_each(|finding| output::line(&finding.to_string()))?;
    }
    let failed = findings.iter().any(|finding| finding.level == Level::Fail);
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

async fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![Finding::ok("configuration", "can be used")];
    let looks = checks(config).into_iter().map(|(name, look)| async move {
        match timeout(PATIENCE, look).await {
            Ok(findings) => findings,
            Err(_) => {
                let says = format!("no answer within {} s", PATIENCE.as_secs());
                vec![Finding::fail(name, says, "see that it runs and that this machine can reach it")]
            }
        }
    });
    findings.extend(join_all(looks).await.into_iter().flatten());
    findings
}

/// What the configuration calls for, in the order in which it is shown.
fn checks(config: &Config) -> Vec<(&'static str, BoxFuture<'_, Vec<Finding>>)> {
    let mut checks: Vec<(&'static str, BoxFuture<'_, Vec<Finding>>)> = Vec::new();
    match &config.postgres {
        None => checks.push(("data folder", folder::look(&config.store).boxed())),
        Some(postgres) => {
            checks.push(("postgres", postgres::look(postgres).boxed()));
            if !postgres.replicas.is_empty() {
                checks.push(("replicas", postgres::look_at_replicas(postgres).boxed()));
            }
        }
    }
    if let Some(consul) = &config.discovery.consul {
        checks.push(("consul", consul::look(consul).boxed()));
    }
    checks.push(("collector", network::look_at_collector(&config.telemetry).boxed()));
    checks.push(("tls", tls::look(config).boxed()));
    checks.push(("ports", network::look_at_ports(config).boxed()));
    checks.push(("providers", provider::look(config).boxed()));
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_configured_dependency_is_looked_at() {
        let names = |config: &Config| checks(config).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(&Config::default()), ["data folder", "collector", "tls", "ports", "providers"]);
        let mut whole = Config::whole();
        if let Some(postgres) = &mut whole.postgres {
            postgres.replicas.push("postgres://replica/tidemill".to_owned());
        }
        assert_eq!(
            names(&whole),
            ["postgres", "replicas", "consul", "collector", "tls", "ports", "providers"]
        );
    }
}
