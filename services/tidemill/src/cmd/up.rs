//! `tidemill up`: the whole mesh in this process, until a signal.

use anyhow::{Result, anyhow};
use tidemill_chassis::{server, telemetry};
use tidemill_gateway::Auth;

use crate::compose::{self, Mesh};
use crate::config::{self, Flags};
use crate::exit::Exit;
use crate::output;

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  tidemill up --data ./tidemill-data --listen 127.0.0.1:7400")]
pub(crate) struct Args {
    #[command(flatten)]
    flags: Flags,
}

/// Serves until Ctrl-C or SIGTERM, then drains.
pub(crate) async fn run(args: Args) -> Result<Exit> {
    let config = config::load(&args.flags)?;
    telemetry::init(&config.log).map_err(|fault| anyhow!(fault))?;
    let data = config.store.path.display().to_string();
    let listener = server::bind(config.listen).await?;
    let mesh = compose::start(config, listener).await?;
    tokio::spawn(mesh.shutdown.clone().on_signal());
    announce(&mesh, &data)?;
    if mesh.until_stopped().await {
        return Ok(Exit::Done);
    }
    output::note("stopped before everything had finished; what was acknowledged is stored");
    Ok(Exit::Failed)
}

/// Says where it answers, and the key that is shown once.
fn announce(mesh: &Mesh, data: &str) -> Result<()> {
    let who = match mesh.auth {
        Auth::Open => "open to this machine",
        Auth::Key => "for holders of a key",
    };
    if let Some(key) = &mesh.first_key {
        output::line(&format!("operator's key of the tenant `default`, shown only now: {key}"))?;
    }
    output::line(&format!("tidemill serves {} ({who}), data in {data}; Ctrl-C stops it", mesh.url()))
}
