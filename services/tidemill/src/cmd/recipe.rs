//! `tidemill recipe`: the named analyses that a query can ask for.

use anyhow::Result;
use clap::Subcommand;
use tidemill_proto::analysis::v1::ListRecipesRequest;

use crate::client::Client;
use crate::exit::Exit;
use crate::output::{self, Table};

/// What to do with them.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List the recipes
    #[command(after_help = "Example:\n  tidemill recipe list")]
    List {
        /// Print JSON, one recipe a line, with the schema of its output
        #[arg(long)]
        json: bool,
    },
}

/// Lists.
pub(crate) async fn run(action: Action, client: &Client) -> Result<Exit> {
    let Action::List { json } = action;
    let recipes = client.analysis().list_recipes(ListRecipesRequest {}).await?.into_inner().recipes;
    if json {
        output::json_lines(&recipes)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["NAME", "RUNS", "MAKES"]);
    for recipe in recipes {
        let place = if recipe.local { "here" } else { "on a provider" };
        table.row([recipe.name, place.to_owned(), recipe.description]);
    }
    table.print()?;
    Ok(Exit::Done)
}
