//! `tidemill tenant`: tenants, for operators.

use anyhow::{Context, Result};
use clap::Subcommand;
use tidemill_proto::storage::v1::{CreateKeyRequest, CreateTenantRequest, ListTenantsRequest};

use super::label::{self, Tier};
use crate::client::Client;
use crate::exit::{Exit, Hint};
use crate::output::{self, Table};

/// Said beside every new key.
const ONCE: &str = "the key is shown only now; only its hash is stored";

/// What to do with them.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Add a tenant and print its first key
    #[command(after_help = "Example:\n  tidemill tenant add acme --tier pro")]
    Add {
        /// Its name: 1 to 63 of a-z, 0-9 and dash
        name: String,
        /// Its class, which sets its weight
        #[arg(long, value_enum, default_value = "free")]
        tier: Tier,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make one more key for a tenant and print it
    #[command(
        after_help = "Example:\n  tidemill tenant key acme\n\nWhere the operator's key is lost: start the mesh on a loopback address without gateway.auth = \"key\", make one by\n  tidemill tenant key default --operator"
    )]
    Key {
        /// The tenant's name
        name: String,
        /// A key that may also do what operators do
        #[arg(long)]
        operator: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the tenants
    #[command(after_help = "Example:\n  tidemill tenant list --json")]
    List {
        /// Print JSON, one tenant a line
        #[arg(long)]
        json: bool,
    },
}

/// Adds, lists.
pub(crate) async fn run(action: Action, client: &Client) -> Result<Exit> {
    match action {
        Action::Add { name, tier, json } => add(name, tier, json, client).await?,
        Action::Key { name, operator, json } => key(name, operator, json, client).await?,
        Action::List { json } => list(json, client).await?,
    }
    Ok(Exit::Done)
}

async fn add(name: String, tier: Tier, json: bool, client: &Client) -> Result<()> {
    let request = CreateTenantRequest { name, tier: tier.into() };
    let answer = client.tenants().create_tenant(request).await?.into_inner();
    if json {
        return output::json_lines(&[answer]);
    }
    let tenant = answer.tenant.unwrap_or_default();
    if answer.key.is_empty() {
        let (name, tier) = (tenant.name, label::tier(tenant.tier));
        return output::line(&format!(
            "{name} exists already ({tier}); `tidemill tenant key {name}` makes another key"
        ));
    }
    output::note(ONCE);
    output::line(&format!("{} ({}): {}", tenant.name, label::tier(tenant.tier), answer.key))
}

async fn key(name: String, operator: bool, json: bool, client: &Client) -> Result<()> {
    let request = CreateKeyRequest { tenant: name.clone(), operator };
    let answer = client.tenants().create_key(request).await.with_context(which)?.into_inner();
    if json {
        return output::json_lines(&[answer]);
    }
    output::note(ONCE);
    output::line(&format!("{name}: {}", answer.key))
}

/// What to do when there is no such tenant.
fn which() -> Hint {
    Hint("`tidemill tenant list` shows the tenants".to_owned())
}

async fn list(json: bool, client: &Client) -> Result<()> {
    let (mut tenants, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListTenantsRequest { page_size: 500, page_token };
        let page = client.tenants().list_tenants(request).await?.into_inner();
        tenants.extend(page.tenants);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if json {
        return output::json_lines(&tenants);
    }
    let mut table = Table::new(["NAME", "TIER", "CREATED"]);
    for tenant in tenants {
        table.row([tenant.name, label::tier(tenant.tier), label::time(tenant.created_at.as_ref())]);
    }
    table.print()
}
