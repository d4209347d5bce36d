//! `tidemill query`: standing queries.

use anyhow::{Context, Result};
use clap::Subcommand;
use pbjson_types::Struct;
use tidemill_proto::ingestion::v1::{CreateQueryRequest, DeleteQueryRequest, ListQueriesRequest};
use tidemill_proto::types::v1::Query;

use super::label::{self, Priority};
use crate::client::Client;
use crate::exit::{Exit, Failure, Hint};
use crate::output::{self, Table};

/// What to do with them.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Add a standing query; documents that come in from now on are matched against it
    #[command(
        after_help = "Examples:\n  tidemill query add rust 'rust AND (async OR \"web server\") -title:game*'\n  tidemill query add mood 'weather' --recipe classify --parameters '{\"labels\": [\"news\", \"opinion\"]}'"
    )]
    Add(Add),
    /// List the standing queries
    #[command(after_help = "Example:\n  tidemill query list --json")]
    List {
        /// Print JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Remove a standing query with its matches and analyses
    #[command(after_help = "Example:\n  tidemill query remove rust")]
    Remove {
        /// Its name
        name: String,
    },
}

/// A new query.
#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    /// Its name: 1 to 63 of a-z, 0-9, dot, dash and underscore
    name: String,
    /// Words, "phrases", prefix*, title: and source:, AND OR NOT, parentheses
    #[arg(allow_hyphen_values = true)]
    expression: String,
    /// The recipe that analyses every match; `tidemill recipe list` tells which there are
    #[arg(long, default_value = "brief", value_name = "NAME")]
    recipe: String,
    /// The priority of those analyses
    #[arg(long, value_enum, default_value = "normal", value_name = "PRIORITY")]
    priority: Priority,
    /// What the recipe takes besides, as a JSON object
    #[arg(long, value_name = "JSON")]
    parameters: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Adds, lists, removes.
pub(crate) async fn run(action: Action, client: &Client) -> Result<Exit> {
    match action {
        Action::Add(new) => add(new, client).await?,
        Action::List { json: true } => output::json_lines(&all(client).await?)?,
        Action::List { json: false } => table(all(client).await?).print()?,
        Action::Remove { name } => {
            let request = DeleteQueryRequest { name: name.clone() };
            client.ingestion().delete_query(request).await.with_context(which)?;
            output::line(&format!("removed {name}"))?;
        }
    }
    Ok(Exit::Done)
}

/// What to do when there is no such query.
pub(crate) fn which() -> Hint {
    Hint("`tidemill query list` shows the queries of this tenant".to_owned())
}

async fn add(new: Add, client: &Client) -> Result<()> {
    let parameters = new.parameters.as_deref().map(parameters).transpose()?;
    let request = CreateQueryRequest {
        name: new.name,
        expression: new.expression,
        recipe: new.recipe,
        priority: new.priority.into(),
        parameters,
    };
    let query = client.ingestion().create_query(request).await?.into_inner().query.unwrap_or_default();
    if new.json {
        return output::json_lines(&[query]);
    }
    output::line(&format!("{}: {} → {}", query.name, query.expression, query.recipe))
}

fn parameters(text: &str) -> Result<Struct, Failure> {
    serde_json::from_str(text).map_err(|fault| {
        Failure::refused(format!(
            "--parameters is not a JSON object: {fault}; write it as '{{\"labels\": [\"news\", \"opinion\"]}}'"
        ))
    })
}

/// All queries, page by page.
async fn all(client: &Client) -> Result<Vec<Query>> {
    let (mut queries, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListQueriesRequest { page_size: 500, page_token };
        let page = client.ingestion().list_queries(request).await?.into_inner();
        queries.extend(page.queries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(queries);
        }
    }
}

fn table(queries: Vec<Query>) -> Table<4> {
    let mut table = Table::new(["NAME", "RECIPE", "PRIORITY", "EXPRESSION"]);
    for query in queries {
        table.row([query.name, query.recipe, label::priority(query.priority), query.expression]);
    }
    table
}
