//! The commands, one file each: arguments, what they call, what they print.

pub(crate) mod completion;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod group;
pub(crate) mod health;
pub(crate) mod label;
pub(crate) mod limit;
pub(crate) mod migrate;
pub(crate) mod push;
pub(crate) mod query;
pub(crate) mod queue;
pub(crate) mod recipe;
pub(crate) mod reference;
pub(crate) mod results;
pub(crate) mod scale;
pub(crate) mod schedule;
pub(crate) mod serve;
pub(crate) mod source;
pub(crate) mod status;
pub(crate) mod task;
pub(crate) mod tenant;
pub(crate) mod up;

use anyhow::Result;
use tonic::Code;

use crate::cli::{Cli, Command, Connection};
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
        Command::Group(action) => group::run(action, &connect().await?).await,
        Command::Queue(action) => queue::run(action, &connect().await?).await,
        Command::Limit(action) => limit::run(action, &connect().await?).await,
        Command::Schedule(action) => schedule::run(action, &connect().await?).await,
        Command::Tenant(action) => tenant::run(action, &connect().await?).await,
        Command::Status(args) => status::run(&args, &connect().await?).await,
        Command::Scale(args) => scale::run(&args, &connect().await?).await,
        Command::Health(args) => Box::pin(health::run(args, &connection)).await,
        Command::Doctor(args) => Box::pin(doctor::run(&args)).await,
        Command::Migrate(args) => Box::pin(migrate::run(&args)).await,
        Command::Config(action) => config::run(action),
        Command::Completion(args) => completion::run(&args),
        Command::Reference(action) => reference::run(&action),
    };
    done.map_err(|fault| match hint(&fault, &connection) {
        Some(hint) => fault.context(Hint(hint)),
        None => fault,
    })
}

/// What helps a caller that the mesh does not know.
fn hint(fault: &anyhow::Error, connection: &Connection) -> Option<String> {
    let status = exit::status(fault)?;
    match (status.code(), &connection.key, &connection.tenant) {
        (Code::Unauthenticated, None, _) => Some("give the key by --key or TIDEMILL_KEY".to_owned()),
        (Code::NotFound, None, Some(name)) if status.message().contains(&format!("tenant `{name}`")) => {
            Some(format!("`tidemill tenant add {name}` makes it"))
        }
        _ => None,
    }
}
