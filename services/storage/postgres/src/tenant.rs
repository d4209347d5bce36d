//! Tenants and their keys.

use async_trait::async_trait;
use sqlx::{query, query_as};
use tidemill_kernel::{Page, PageRequest, Shard, TenantName, Tier, Timestamp};
use tidemill_store::tenant::{Key, Tenant, TenantStore};
use tidemill_store::{Error, Result, token};

use crate::PostgresStore;
use crate::reader::Source;
use crate::writer::{Outcome, Step, Write};

type TenantRow = (String, i32, i64);

#[async_trait]
impl TenantStore for PostgresStore {
    async fn store_id(&self) -> Result<String> {
        let id = self.database.primary.row(|| query_as::<_, (String,)>("SELECT id FROM store")).await?;
        id.map(|(id,)| id).ok_or_else(|| Error::Internal("the store has no id".to_owned()))
    }

    async fn create_tenant(&self, tenant: Tenant, key: Option<Key>) -> Result<bool> {
        self.database.write(CreateTenant { tenant, key }).await
    }

    async fn tenants(&self, names: &[TenantName]) -> Result<Vec<Tenant>> {
        let names: Vec<&str> = names.iter().map(TenantName::as_str).collect();
        let rows = || {
            query_as("SELECT name, tier, created_at FROM tenants WHERE name = ANY($1) ORDER BY name")
                .bind(&names)
        };
        self.database.primary.rows(rows).await?.into_iter().map(decode).collect()
    }

    async fn page_tenants(&self, page: PageRequest) -> Result<Page<Tenant>> {
        self.read(|source| read_page(source, page.clone())).await
    }

    async fn add_key(&self, key: Key) -> Result<()> {
        self.database.write(AddKey { key }).await
    }

    async fn find_key(&self, hash: [u8; 32]) -> Result<Option<(Key, Tenant)>> {
        let row = || {
            query_as::<_, (bool, i64, String, i32, i64)>(
                "SELECT k.operator, k.created_at, t.name, t.tier, t.created_at
                 FROM keys k JOIN tenants t ON t.id = k.tenant_id WHERE k.hash = $1",
            )
            .bind(hash.to_vec())
        };
        let Some((operator, created_at, name, tier, tenant_at)) = self.database.primary.row(row).await?
        else {
            return Ok(None);
        };
        let tenant = decode((name, tier, tenant_at))?;
        let created_at = Timestamp::from_micros(created_at);
        Ok(Some((Key { hash, tenant: tenant.name.clone(), operator, created_at }, tenant)))
    }
}

async fn read_page(source: Source, page: PageRequest) -> Result<Page<Tenant>> {
    let after: Option<String> = token::decode(&["tenants"], &page.token)?;
    let after = after.unwrap_or_default();
    let rows = || {
        query_as("SELECT name, tier, created_at FROM tenants WHERE name > $1 ORDER BY name LIMIT $2")
            .bind(&after)
            .bind(i64::from(page.size) + 1)
    };
    let rows = source.rows(rows).await?.into_iter().map(decode).collect::<Result<Vec<Tenant>>>()?;
    Ok(Page::cut(rows, page.size, |last| token::encode(&["tenants"], &last.name)))
}

fn decode((name, tier, created_at): TenantRow) -> Result<Tenant> {
    let name = tenant_name(name)?;
    let tier =
        Tier::from_number(tier).ok_or_else(|| Error::Internal(format!("tenant {name} has tier {tier}")))?;
    Ok(Tenant { name, tier, created_at: Timestamp::from_micros(created_at) })
}

/// A tenant's name as it was stored.
pub(crate) fn tenant_name(text: String) -> Result<TenantName> {
    text.parse().map_err(|_| Error::Internal(format!("`{text}` is no tenant's name")))
}

struct CreateTenant {
    tenant: Tenant,
    key: Option<Key>,
}

#[async_trait]
impl Write for CreateTenant {
    type Output = bool;

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<bool>> {
        let mut new = Vec::with_capacity(calls.len());
        for Self { tenant, key } in calls {
            let insert = query_as::<_, (i64,)>(
                "INSERT INTO tenants (name, tier, created_at, shard) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (name) DO NOTHING RETURNING id",
            );
            let insert = insert.bind(tenant.name.as_str()).bind(tenant.tier.number());
            let shard = i32::from(Shard::of_tenant(&tenant.name).number());
            let made = step.row(insert.bind(tenant.created_at.as_micros()).bind(shard)).await?;
            match (made, key) {
                (Some((id,)), Some(key)) if key.tenant == tenant.name => add_key(key, id, step).await?,
                (Some(_), Some(key)) => {
                    let id = step.tenant(&key.tenant).await?;
                    add_key(key, id, step).await?;
                }
                (Some(_), None) => {}
                (None, _) => same_tier(tenant, step).await?,
            }
            new.push(made.is_some());
        }
        Ok(new)
    }
}

async fn same_tier(tenant: &Tenant, step: &mut Step<'_>) -> Outcome<()> {
    let tier = query_as::<_, (i32,)>("SELECT tier FROM tenants WHERE name = $1").bind(tenant.name.as_str());
    if step.row(tier).await? != Some((tenant.tier.number(),)) {
        return Err(Error::Exists { what: "tenant", name: tenant.name.to_string() }.into());
    }
    Ok(())
}

struct AddKey {
    key: Key,
}

#[async_trait]
impl Write for AddKey {
    type Output = ();

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<()>> {
        for Self { key } in calls {
            let tenant = step.tenant(&key.tenant).await?;
            add_key(key, tenant, step).await?;
        }
        Ok(vec![(); calls.len()])
    }
}

async fn add_key(key: &Key, tenant: i64, step: &mut Step<'_>) -> Outcome<()> {
    let insert = query(
        "INSERT INTO keys (hash, tenant_id, operator, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (hash) DO NOTHING",
    );
    let insert = insert.bind(key.hash.to_vec()).bind(tenant).bind(key.operator);
    step.execute(insert.bind(key.created_at.as_micros())).await?;
    let present = query_as("SELECT tenant_id, operator FROM keys WHERE hash = $1").bind(key.hash.to_vec());
    if step.row(present).await? != Some((tenant, key.operator)) {
        return Err(Error::Exists { what: "key", name: key.label() }.into());
    }
    Ok(())
}
