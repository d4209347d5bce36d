//! The `tidemill` binary: reads the command line, composes the parts, starts them, or calls a mesh that runs elsewhere.
//!
//! Invariants: no logic of the product is here; output goes to stdout, everything about the work to stderr; exit codes
//! are 0 (done), 1 (failed), 2 (a part of the input was refused, or the command line is wrong).

mod cli;
mod client;
mod cmd;
mod compose;
mod config;
mod exit;
mod output;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // Fails only when a provider is installed already, and then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => return exit::report(&anyhow::Error::new(fault).context("cannot start the runtime")),
    };
    match runtime.block_on(Box::pin(cmd::run(cli))) {
        Ok(exit) => exit.code(),
        Err(fault) => exit::report(&fault),
    }
}
