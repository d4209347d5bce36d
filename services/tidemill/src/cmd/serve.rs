//! `tidemill serve NAME...`: some parts of the mesh in this process, the others elsewhere. `up` is all of them here.

use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow, bail};
use clap::builder::PossibleValuesParser;
use tidemill_chassis::{server, telemetry};
use tidemill_gateway::Auth;

use crate::compose::{self, GATEWAY, Mesh, NAMES, Ports};
use crate::config::{self, Config, Flags};
use crate::exit::Exit;
use crate::output;

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The parts that are not in this process are named with --peer (or discovery.fixed in the configuration), or \
    found by Consul with --consul (or discovery.consul), where those of this process are then registered. Processes may \
    start in any order.\n\n\
    Example:\n  \
    tidemill serve storage --listen 127.0.0.1:7401\n  \
    tidemill serve scheduling --listen 127.0.0.1:7402 --peer storage=127.0.0.1:7401\n  \
    tidemill serve analysis ingestion gateway --peer storage=127.0.0.1:7401 --peer scheduling=127.0.0.1:7402"
)]
pub(crate) struct Args {
    /// The parts of this process
    #[arg(required = true, value_name = "NAME", value_parser = PossibleValuesParser::new(NAMES))]
    names: Vec<String>,
    /// Where a part of another process answers; several addresses are balanced over
    #[arg(long, value_name = "NAME=HOST:PORT,...", help_heading = "Configuration")]
    peer: Vec<String>,
    /// Where the other parts answer other processes, when `--listen` is the gateway's
    #[arg(long, value_name = "ADDRESS", help_heading = "Configuration")]
    parts_listen: Option<SocketAddr>,
    #[command(flatten)]
    flags: Flags,
}

/// Serves until Ctrl-C or SIGTERM, then drains.
pub(crate) async fn run(args: Args) -> Result<Exit> {
    let mut config = config::load(&args.flags)?;
    for peer in &args.peer {
        config.discovery.fixed.set(peer)?;
    }
    config.parts_listen = args.parts_listen.or(config.parts_listen);
    let names: Vec<&str> =
        NAMES.into_iter().filter(|name| args.names.iter().any(|asked| asked == name)).collect();
    Box::pin(serve(config, &names)).await
}

/// Serves the parts of these names until a signal.
pub(super) async fn serve(config: Config, names: &[&str]) -> Result<Exit> {
    let service =
        if names == NAMES { "tidemill".to_owned() } else { format!("tidemill-{}", names.join("-")) };
    let telemetry =
        telemetry::init(&config.log, &service, &config.telemetry).map_err(|fault| anyhow!(fault))?;
    let data = names.contains(&"storage").then(|| format!(", data in {}", compose::place(&config)));
    let ports = take_ports(&config, names).await?;
    let mut mesh = compose::start(config, names, ports).await?;
    mesh.on_signals().context("no signal can be heard")?;
    announce(&mesh, names, &data.unwrap_or_default())?;
    let drained = mesh.until_stopped().await;
    telemetry.flush().await;
    if drained {
        return Ok(Exit::Done);
    }
    output::note("stopped before everything had finished; what was acknowledged is stored");
    Ok(Exit::Failed)
}

/// `listen` is the gateway's where there is one, else the parts'.
async fn take_ports(config: &Config, names: &[&str]) -> Result<Ports> {
    if !names.contains(&GATEWAY) {
        if config.parts_listen.is_some() {
            bail!(
                "there is no gateway in this process, so its parts answer at --listen: leave out --parts-listen"
            );
        }
        return Ok(Ports { gateway: None, parts: Some(server::bind(config.listen).await?) });
    }
    let gateway = Some(server::bind(config.listen).await?);
    let parts = match config.parts_listen {
        Some(_) if names == [GATEWAY] => {
            bail!("a gateway alone has no other parts: leave out --parts-listen")
        }
        Some(address) => Some(server::bind(address).await?),
        None => None,
    };
    Ok(Ports { gateway, parts })
}

/// Says where it answers, and the key that is shown once.
fn announce(mesh: &Mesh, names: &[&str], data: &str) -> Result<()> {
    let who = match mesh.auth {
        Auth::Open => "open to this machine",
        Auth::Key => "for holders of a key",
    };
    if let Some(key) = &mesh.first_key {
        output::line(&format!("operator's key of the tenant `default`, shown only now: {key}"))?;
    }
    if let Some(address) = mesh.parts {
        let parts: Vec<&str> = names.iter().copied().filter(|name| *name != GATEWAY).collect();
        output::line(&format!(
            "tidemill serves {} at {address} to other processes{data}; Ctrl-C stops it",
            parts.join(", ")
        ))?;
    }
    match mesh.gateway {
        Some(address) => {
            let scheme = if mesh.is_tls { "https" } else { "http" };
            output::line(&format!("tidemill serves {scheme}://{address} ({who}){data}; Ctrl-C stops it"))
        }
        None => Ok(()),
    }
}
