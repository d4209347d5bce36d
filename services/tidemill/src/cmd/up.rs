//! `tidemill up`: the whole mesh in this process, until a signal.

use anyhow::Result;

use super::serve;
use crate::compose::NAMES;
use crate::config::{self, Flags};
use crate::exit::Exit;

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  tidemill up --data ./tidemill-data --listen 127.0.0.1:7400")]
pub(crate) struct Args {
    #[command(flatten)]
    flags: Flags,
}

/// Serves until Ctrl-C or SIGTERM, then drains.
pub(crate) async fn run(args: Args) -> Result<Exit> {
    Box::pin(serve::serve(config::load(&args.flags)?, &NAMES)).await
}
