//! `tidemill completion`: the shell's completion script, from the same definition as the help.

use std::io::{self, Write};

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Exit;

/// What it takes.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  tidemill completion bash > ~/.local/share/bash-completion/completions/tidemill"
)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tidemill", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(Exit::Done)
}
