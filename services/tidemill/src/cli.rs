//! The command line. Each command's own arguments stand beside its code in `cmd/`.
//!
//! To add a command: a file in `cmd/` with its `Args` (an example in `after_help`), a variant here, a line in `cmd.rs`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::cmd::{
    completion, config, demo, doctor, group, health, limit, migrate, push, query, queue, recipe, reference,
    results, scale, schedule, serve, source, status, task, tenant, up,
};
use crate::exit::CODES;

/// Documents in, matched against standing queries, analysed fairly for many tenants.
#[derive(Debug, Parser)]
#[command(
    name = "tidemill",
    version,
    after_help = format!(
        "Examples:\n  tidemill demo --dir ~/notes\n  tidemill up\n  tidemill query add rust 'rust AND (async OR \"web server\")'\n  tidemill push articles.jsonl\n  tidemill results --query rust\n\nExit codes:\n{CODES}"
    )
)]
pub(crate) struct Cli {
    /// How a mesh is reached.
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How a mesh is reached, and as whom.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// The address of a mesh
    #[arg(
        long,
        global = true,
        env = "TIDEMILL_SERVER",
        default_value = "http://127.0.0.1:7400",
        value_name = "URL"
    )]
    pub(crate) server: String,
    /// Who signed the mesh's certificate (PEM); the machine's own authorities when not said
    #[arg(long, global = true, env = "TIDEMILL_CA", value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// The API key; it says the tenant too; not needed in open mode
    #[arg(long, global = true, env = "TIDEMILL_KEY", hide_env_values = true, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// The tenant, in open mode; `default` when not said
    #[arg(long, global = true, env = "TIDEMILL_TENANT", value_name = "NAME")]
    pub(crate) tenant: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the whole mesh in this process
    Up(up::Args),
    /// Start some parts of the mesh in this process
    Serve(serve::Args),
    /// Show the whole mesh at work on a folder of texts
    Demo(demo::Args),
    /// Push documents from NDJSON and CSV files, from stdin and from folders
    Push(push::Args),
    /// Standing queries
    #[command(subcommand)]
    Query(query::Action),
    /// Sources of documents: folders and feeds
    #[command(subcommand)]
    Source(source::Action),
    /// The named analyses that a query can ask for
    #[command(subcommand)]
    Recipe(recipe::Action),
    /// What the queries selected, with the analyses
    Results(results::Args),
    /// Tasks of the queue
    #[command(subcommand)]
    Task(task::Action),
    /// Groups of tasks: how far they are
    #[command(subcommand)]
    Group(group::Action),
    /// Pause and resume the queue
    #[command(subcommand)]
    Queue(queue::Action),
    /// How much may run at once, and how fast
    #[command(subcommand)]
    Limit(limit::Action),
    /// Tasks at times
    #[command(subcommand)]
    Schedule(schedule::Action),
    /// Tenants, for operators
    #[command(subcommand)]
    Tenant(tenant::Action),
    /// Counts and the state of the queue
    Status(status::Args),
    /// How many workers there should be, and why, for operators
    Scale(scale::Args),
    /// Whether a port serves, for probes
    Health(health::Args),
    /// Look at everything that is configured, and say what is wrong and how to mend it
    Doctor(doctor::Args),
    /// Bring the database up to date, or say whether it is
    Migrate(migrate::Args),
    /// The configuration of `up`
    #[command(subcommand)]
    Config(config::Action),
    /// Print the completion script for a shell
    Completion(completion::Args),
    /// Print the reference pages in Markdown
    #[command(subcommand, hide = true)]
    Reference(reference::Action),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// One of the same name would be taken for the global one, in silence.
    #[test]
    fn no_option_has_the_name_of_a_global_one() {
        fn check(command: &clap::Command, globals: &[&str], path: &str) {
            let path = format!("{path} {}", command.get_name());
            for own in command.get_arguments().filter(|own| !own.is_global_set()) {
                assert!(!globals.contains(&own.get_id().as_str()), "{path} has another {}", own.get_id());
            }
            command.get_subcommands().for_each(|sub| check(sub, globals, &path));
        }
        let command = Cli::command();
        let globals: Vec<&str> = command
            .get_arguments()
            .filter(|own| own.is_global_set())
            .map(|own| own.get_id().as_str())
            .collect();
        assert!(globals.contains(&"key"));
        check(&command, &globals, "");
    }

    #[test]
    fn every_command_that_does_something_shows_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let mut below = command.get_subcommands().filter(|sub| sub.get_name() != "help").peekable();
            if below.peek().is_none() {
                let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(help.contains("Example") && help.contains("tidemill "), "{path} shows no example");
            }
            below.for_each(|sub| check(sub, &path));
        }
        check(&Cli::command(), "");
    }
}
