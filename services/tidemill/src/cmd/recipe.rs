//! `tidemill recipe`: the named analyses that a query can ask for.

use anyhow::Result;
use clap::Subcommand;
use tidemill_proto::analysis::v1::{ListRecipesRequest, Recipe};

use crate::client::Client;
use crate::exit::{Exit, Failure};
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
    let recipes = all(client).await?;
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

async fn all(client: &Client) -> Result<Vec<Recipe>> {
    Ok(client.analysis().list_recipes(ListRecipesRequest {}).await?.into_inner().recipes)
}

/// Refuses a recipe that the mesh does not know: every match of its query would end as a dead task.
pub(super) async fn check(name: &str, client: &Client) -> Result<()> {
    let recipes = all(client).await?;
    if recipes.iter().any(|recipe| is(recipe, name)) {
        return Ok(());
    }
    let names: Vec<String> = recipes.into_iter().map(|recipe| recipe.name).collect();
    Err(Failure::refused(format!("there is no recipe `{name}`; choose one of {}", names.join(", "))).into())
}

/// Whether this is its name, with or without its version.
fn is(recipe: &Recipe, name: &str) -> bool {
    recipe.name == name || recipe.name.split('@').next() == Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_named_with_or_without_its_version() {
        let recipe = Recipe { name: "brief@1".to_owned(), ..Recipe::default() };
        assert!(is(&recipe, "brief") && is(&recipe, "brief@1"));
        assert!(!is(&recipe, "brief@2") && !is(&recipe, "bri") && !is(&recipe, ""));
    }
}
