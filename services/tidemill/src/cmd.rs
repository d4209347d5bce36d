//! The commands, one file each: arguments, what they call, what they print.

pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod label;
pub(crate) mod push;
pub(crate) mod query;
pub(crate) mod results;
pub(crate) mod serve;
pub(crate) mod source;
pub(crate) mod status;
pub(crate) mod task;
pub(crate) mod tenant;
pub(crate) mod up;

use anyhow::Result;

use crate::cli::{Cli, Command};
use crate::client::Client;
use crate::exit::Exit;

/// Does what the command line says.
pub(crate) async fn run(cli: Cli) -> Result<Exit> {
    match cli.command {
        Command::Up(args) => return Box::pin(up::run(args)).await,
        Command::Serve(args) => return Box::pin(serve::run(args)).await,
        Command::Demo(args) => return Box::pin(demo::run(args)).await,
        Command::Config(action) => return config::run(action),
        Command::Completion(args) => return completion::run(&args),
        _ => {}
    }
    let client = Client::connect(&cli.connection).await?;
    match cli.command {
        Command::Push(args) => Box::pin(push::run(args, &client)).await,
        Command::Query(action) => query::run(action, &client).await,
        Command::Source(action) => Box::pin(source::run(action, &client)).await,
        Command::Results(args) => results::run(args, &client).await,
        Command::Task(action) => task::run(action, &client).await,
        Command::Tenant(action) => tenant::run(action, &client).await,
        Command::Status(args) => status::run(&args, &client).await,
        Command::Up(_)
        | Command::Serve(_)
        | Command::Demo(_)
        | Command::Config(_)
        | Command::Completion(_) => Ok(Exit::Done),
    }
}
