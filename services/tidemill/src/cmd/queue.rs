//! `tidemill queue`: pauses of a tenant's queue.

use anyhow::Result;
use clap::Subcommand;
use tidemill_proto::scheduling::v1 as api;

use super::label::Priority;
use super::limit::scope_words;
use crate::client::Client;
use crate::exit::Exit;
use crate::output;

/// What to do with it.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Start no more tasks until `resume`; what runs goes on, what is submitted waits
    #[command(
        after_help = "Examples:\n  tidemill queue pause\n  tidemill queue pause --kind analyze --priority background"
    )]
    Pause(Of),
    /// Start tasks again
    #[command(after_help = "Example:\n  tidemill queue resume --kind analyze")]
    Resume(Of),
}

/// Which part of the queue; all of it when nothing is named.
#[derive(Debug, clap::Args)]
pub(crate) struct Of {
    /// Tasks of this kind
    #[arg(long, default_value = "", hide_default_value = true)]
    kind: String,
    /// Tasks with this limit key
    #[arg(long, default_value = "", hide_default_value = true, conflicts_with = "kind", value_name = "KEY")]
    limit_key: String,
    /// Tasks of this kind and priority
    #[arg(long, value_enum, requires = "kind")]
    priority: Option<Priority>,
}

/// Pauses, resumes.
pub(crate) async fn run(action: Action, client: &Client) -> Result<Exit> {
    let scope = |of: Of| api::Scope {
        kind: of.kind,
        key: of.limit_key,
        priority: of.priority.map_or(0, i32::from),
        all_tenants: false,
    };
    match action {
        Action::Pause(of) => {
            let scope = scope(of);
            let words = scope_words(&scope);
            client.steering().pause_queue(api::PauseQueueRequest { scope: Some(scope) }).await?;
            output::line(&format!("paused {words}"))?;
        }
        Action::Resume(of) => {
            let scope = scope(of);
            let words = scope_words(&scope);
            client.steering().resume_queue(api::ResumeQueueRequest { scope: Some(scope) }).await?;
            output::line(&format!("resumed {words}"))?;
        }
    }
    Ok(Exit::Done)
}
