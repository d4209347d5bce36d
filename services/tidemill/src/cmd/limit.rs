//! `tidemill limit`: how much of a tenant's work may run at once, and how fast.

use anyhow::Result;
use clap::{Subcommand, ValueEnum};
use tidemill_proto::scheduling::v1 as api;

use crate::client::Client;
use crate::exit::Exit;
use crate::output::{self, Table};

/// What to do with them.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Set a limit, or change the one of the same scope
    #[command(
        after_help = "Examples:\n  tidemill limit set --kind analyze --concurrency 8\n  tidemill limit set --limit-key model:small --per-second 50000 --burst 200000\n  tidemill limit set --all-tenants --kind analyze --concurrency 40"
    )]
    Set(Set),
    /// List the limits and what they hold back
    #[command(after_help = "Example:\n  tidemill limit list")]
    List {
        /// Print JSON, one limit a line
        #[arg(long)]
        json: bool,
    },
    /// Remove a limit
    #[command(after_help = "Example:\n  tidemill limit remove --kind analyze")]
    Remove(Of),
}

/// What a limit applies to; all tasks of the tenant when nothing is named.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Of {
    /// Tasks of this kind
    #[arg(long, default_value = "", hide_default_value = true)]
    kind: String,
    /// Tasks with this limit key
    #[arg(long, default_value = "", hide_default_value = true, conflicts_with = "kind", value_name = "KEY")]
    limit_key: String,
    /// Of all tenants together; with a kind or a limit key, and only with an operator's key
    #[arg(long)]
    all_tenants: bool,
}

impl From<Of> for api::Scope {
    fn from(of: Of) -> Self {
        Self { kind: of.kind, key: of.limit_key, priority: 0, all_tenants: of.all_tenants }
    }
}

/// A limit.
#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    #[command(flatten)]
    of: Of,
    /// How many may run at once
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// What may start in a second, in cost; a task costs 1 unless it says more
    #[arg(long, value_name = "COST")]
    per_second: Option<u64>,
    /// What may gather and start at once, in cost; a second's worth when not said
    #[arg(long, value_name = "COST", requires = "per_second")]
    burst: Option<u64>,
    /// What becomes of a task that finds the key full
    #[arg(long, value_enum, default_value = "queue", value_name = "WHAT")]
    on_full: OnFull,
}

/// What becomes of a task that finds the key full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnFull {
    /// It waits
    Queue,
    /// It is refused
    Reject,
    /// It takes the place of the oldest
    ReplaceOldest,
}

/// Sets, lists, removes.
pub(crate) async fn run(action: Action, client: &Client) -> Result<Exit> {
    let mut queue = client.steering();
    match action {
        Action::Set(Set { of, concurrency, per_second, burst, on_full }) => {
            let on_full = match on_full {
                OnFull::Queue => api::OnFull::Queue,
                OnFull::Reject => api::OnFull::Reject,
                OnFull::ReplaceOldest => api::OnFull::ReplaceOldest,
            };
            let scope = api::Scope::from(of);
            let words = scope_words(&scope);
            let on_full = on_full.into();
            let limit = api::Limit { scope: Some(scope), concurrency, per_second, burst, on_full };
            queue.put_limit(api::PutLimitRequest { limit: Some(limit) }).await?;
            output::line(&format!("limited {words}"))?;
        }
        Action::List { json } => {
            let limits = queue.list_limits(api::ListLimitsRequest {}).await?.into_inner().limits;
            if json { output::json_lines(&limits)? } else { table(limits).print()? }
        }
        Action::Remove(of) => {
            let scope = api::Scope::from(of);
            let words = scope_words(&scope);
            queue.remove_limit(api::RemoveLimitRequest { scope: Some(scope) }).await?;
            output::line(&format!("no limit of {words} any more"))?;
        }
    }
    Ok(Exit::Done)
}

/// A scope for people.
pub(super) fn scope_words(scope: &api::Scope) -> String {
    let words = own_words(scope);
    if scope.all_tenants { format!("{words}, of all tenants") } else { words }
}

fn own_words(scope: &api::Scope) -> String {
    match (scope.kind.as_str(), scope.key.as_str(), scope.priority) {
        ("", "", _) => "all tasks".to_owned(),
        ("", key, _) => format!("tasks with key {key}"),
        (kind, _, 0) => format!("tasks of kind {kind}"),
        (kind, _, priority) => format!("{} tasks of kind {kind}", super::label::priority(priority)),
    }
}

fn table(limits: Vec<api::LimitState>) -> Table<6> {
    let mut table = Table::new(["OF", "AT ONCE", "PER SECOND", "WAITING", "RUNNING", "HELD BACK"]);
    for state in limits {
        let limit = state.limit.unwrap_or_default();
        let number = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
        let held = match state.held_back {
            0 => "-".to_owned(),
            count => format!("{count}: {}", state.verdict),
        };
        table.row([
            scope_words(&limit.scope.unwrap_or_default()),
            number(limit.concurrency.map(|count| count.to_string())),
            number(limit.per_second.map(|cost| cost.to_string())),
            state.waiting.to_string(),
            state.running.to_string(),
            held,
        ]);
    }
    table
}
