//! `tidemill config`: is the configuration right, and what is in effect.

use anyhow::Result;
use clap::Subcommand;

use crate::config::{self, Flags};
use crate::exit::Exit;
use crate::output;

/// What to do with it.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Say whether the configuration can be used
    #[command(after_help = "Example:\n  tidemill config check --config tidemill.toml")]
    Check(Flags),
    /// Print the configuration in effect, as TOML
    #[command(after_help = "Example:\n  tidemill config dump > tidemill.toml")]
    Dump(Flags),
}

/// Checks or prints.
pub(crate) fn run(action: Action) -> Result<Exit> {
    match action {
        Action::Check(flags) => {
            config::load(&flags)?;
            output::line("the configuration is right")?;
        }
        Action::Dump(flags) => output::line(toml::to_string_pretty(&config::load(&flags)?)?.trim_end())?,
    }
    Ok(Exit::Done)
}
