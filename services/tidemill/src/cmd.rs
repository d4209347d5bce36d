//! The commands, one file each: arguments, what they call, what they print.

pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod label;
pub(crate) mod push;
pub(crate) mod query;
pub(crate) mod recipe;
pub(crate) mod reference;
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
use crate::exit::{self, Exit, Hint};

/// Does what the command line says.
pub(crate) async fn run(cli: Cli) -> Result<Exit> {
    let Cli { connection, command } = cli;
    let connect = || Client::connect(&connection);
    let done = match command {
        Command::Up(args) => Box::pin(up::run(args)).await,
        Command::Serve(args) => Box::pin(serve::run(args)).await,
        Command::Demo(args) => Box::pin(demo::run(args)).await,
        Command::Push(args) => Box::pin(push::run(args, &connect().await?)).await,
        Command::Query(action) => query::run(action, &connect().await?).await,
        Command::Source(action) => Box::pin(source::run(action, &connect().await?)).await,
        Command::Recipe(action) => recipe::run(action, &connect().await?).await,
        Command::Results(args) => results::run(args, &connect().await?).await,
        Command::Task(action) => task::run(action, &connect().await?).await,
        Command::Tenant(action) => tenant::run(action, &connect().await?).await,
        Command::Status(args) => status::run(&args, &connect().await?).await,
        Command::Config(action) => config::run(action),
        Command::Completion(args) => completion::run(&args),
        Command::Reference(action) => reference::run(&action),
    };
    done.map_err(|fault| match connection.key {
        None if exit::wants_key(&fault) => {
            fault.context(Hint("give the key by --key or TIDEMILL_KEY".to_owned()))
        }
        _ => fault,
    })
}
