//! `tidemill scale`: how many workers there should be, and why.

use std::io;

use anyhow::Result;
use tidemill_proto::scheduling::v1::{ComponentScaling, GetScalingRequest, ScalingEffect, ScalingReason};

use super::label;
use crate::client::Client;
use crate::exit::Exit;
use crate::output::{self, Table};

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  tidemill scale")]
pub(crate) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the advice.
pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let components = client.scaling().get_scaling(GetScalingRequest {}).await?.into_inner().components;
    let mut out = io::stdout().lock();
    if args.json {
        output::json(&mut out, &serde_json::json!({"components": components}))?;
        return Ok(Exit::Done);
    }
    let heading =
        ["COMPONENT", "WORKERS", "WANTED", "WHY", "ARRIVE/S", "EACH TAKES", "WAITING", "RUNNING", "LOAD"];
    let mut table = Table::new(heading);
    for component in &components {
        table.row([
            component.name.clone(),
            component.workers.to_string(),
            component.wanted_workers.to_string(),
            why(component),
            format!("{:.1}", component.arrivals_per_second),
            label::wait(component.service_time.as_ref()),
            component.waiting.to_string(),
            component.running.to_string(),
            format!("{:.2}", component.load_factor),
        ]);
    }
    table.write(&mut out, 0)?;
    Ok(Exit::Done)
}

fn why(component: &ComponentScaling) -> String {
    let reason = match component.reason() {
        ScalingReason::Unspecified => "not known yet",
        ScalingReason::Idle => "little to do",
        ScalingReason::Arrivals => "what comes in",
        ScalingReason::Backlog => "what waits",
        ScalingReason::Depth => "too many wait",
        ScalingReason::Processors => "busy processors",
        ScalingReason::Bound => "the most allowed",
    };
    let effect = match component.effect() {
        ScalingEffect::Unspecified => "",
        ScalingEffect::Seen => "; the last change helped",
        ScalingEffect::NoWorkers => "; asked-for workers did not come",
        ScalingEffect::None => "; more workers did not help",
    };
    format!("{reason}{effect}")
}
