//! Who takes part in the demo: two tenants and their standing queries over words that technical texts have.

use anyhow::Result;
use tidemill_proto::ingestion::v1::CreateQueryRequest;
use tidemill_proto::storage::v1::CreateTenantRequest;

use crate::client::Client;
use crate::cmd::label::{Priority, Tier};

/// A tenant of the demo.
pub(crate) struct Tenant {
    pub(crate) name: &'static str,
    pub(crate) tier: Tier,
    pub(crate) queries: [Query; 4],
}

/// A standing query of the demo.
pub(crate) struct Query {
    pub(crate) name: &'static str,
    pub(crate) expression: &'static str,
    pub(crate) priority: Priority,
}

/// The tenants.
pub(crate) const TENANTS: [Tenant; 2] = [
    Tenant {
        name: "harbor",
        tier: Tier::Pro,
        queries: [
            query(
                "databases",
                "database* OR sql OR sqlite OR postgres* OR transaction*",
                Priority::Interactive,
            ),
            query("networks", "network* OR http* OR grpc OR server* OR socket*", Priority::Normal),
            query(
                "speed",
                "(performance OR latency OR throughput OR fast*) AND NOT title:license",
                Priority::Normal,
            ),
            query("faults", "error* OR failure* OR bug* OR crash*", Priority::Background),
        ],
    },
    Tenant {
        name: "lantern",
        tier: Tier::Free,
        queries: [
            query(
                "getting-started",
                "install* OR \"getting started\" OR tutorial* OR usage",
                Priority::Interactive,
            ),
            query("security", "security OR password* OR credential* OR encrypt* OR token*", Priority::Normal),
            query("testing", "test* AND (run* OR suite* OR check*)", Priority::Normal),
            query("languages", "rust OR python OR java* OR typescript OR compiler*", Priority::Background),
        ],
    },
];

const fn query(name: &'static str, expression: &'static str, priority: Priority) -> Query {
    Query { name, expression, priority }
}

/// Makes the tenant and its queries.
pub(crate) async fn prepare(tenant: &Tenant, client: &Client) -> Result<()> {
    let request = CreateTenantRequest { name: tenant.name.to_owned(), tier: tenant.tier.into() };
    client.tenants().create_tenant(request).await?;
    for query in &tenant.queries {
        let request = CreateQueryRequest {
            name: query.name.to_owned(),
            expression: query.expression.to_owned(),
            recipe: "brief".to_owned(),
            priority: query.priority.into(),
            parameters: None,
        };
        client.ingestion().create_query(request).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_of_the_demo_parses() {
        for query in TENANTS.iter().flat_map(|tenant| &tenant.queries) {
            let parsed = tidemill_ingestion::query::Query::parse(query.expression);
            assert!(parsed.is_ok(), "{}", query.name);
        }
    }
}
