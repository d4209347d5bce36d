//! `tidemill tenant`: tenants, for operators.

use anyhow::Result;
use clap::Subcommand;
use tidemill_proto::storage::v1::{CreateTenantRequest, ListTenantsRequest};

use super::label::{self, Tier};
use crate::client::Client;
use crate::exit::Exit;
use crate::output::{self, Table};

/// What to do with them.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Add a tenant and print its first key
    #[command(after_help = "Example:\n  tidemill tenant add acme --tier pro")]
    Add {
        /// Its name: 1 to 63 of a-z 0-9 -
        name: String,
        /// Its class, which sets its weight
        #[arg(long, value_enum, default_value = "free")]
        tier: Tier,
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
        return output::line(&format!("{} exists already ({})", tenant.name, label::tier(tenant.tier)));
    }
    output::note("the key is shown only now; only its hash is stored");
    output::line(&format!("{} ({}): {}", tenant.name, label::tier(tenant.tier), answer.key))
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
