//! Tenants and their keys.

use async_trait::async_trait;
use serde::Deserialize;
use tidemill_kernel::{Page, PageRequest, TenantName, Tier, Timestamp};
use tidemill_store::tenant::{Key, Tenant, TenantStore};
use tidemill_store::{Error, Result, token};

use crate::SqliteStore;
use crate::statement::query;
use crate::writer::{Step, Write, encode};

#[async_trait]
impl TenantStore for SqliteStore {
    async fn store_id(&self) -> Result<String> {
        let id = self.readers.row(query("SELECT json_quote(id) FROM store")).await?;
        id.ok_or_else(|| Error::Internal("the store has no id".to_owned()))
    }

    async fn create_tenant(&self, tenant: Tenant, key: Option<Key>) -> Result<bool> {
        self.writer.call(CreateTenant { tenant, key }).await
    }

    async fn tenants(&self, names: &[TenantName]) -> Result<Vec<Tenant>> {
        let rows = query(
            "SELECT json_array(name, tier, created_at) FROM tenants
             WHERE name IN (SELECT value FROM json_each(?1)) ORDER BY name",
        );
        let rows: Vec<TenantRow> = self.readers.rows(rows.bind(encode(names)?)).await?;
        rows.into_iter().map(TenantRow::decode).collect()
    }

    async fn page_tenants(&self, page: PageRequest) -> Result<Page<Tenant>> {
        let after: Option<String> = token::decode(&["tenants"], &page.token)?;
        let rows = query(
            "SELECT json_array(name, tier, created_at) FROM tenants WHERE name > ?1 ORDER BY name LIMIT ?2",
        );
        let rows = rows.bind(after.unwrap_or_default()).bind(i64::from(page.size) + 1);
        let rows: Vec<TenantRow> = self.readers.rows(rows).await?;
        let rows = rows.into_iter().map(TenantRow::decode).collect::<Result<Vec<Tenant>>>()?;
        Ok(Page::cut(rows, page.size, |last| token::encode(&["tenants"], &last.name)))
    }

    async fn add_key(&self, key: Key) -> Result<()> {
        self.writer.call(AddKey { key }).await
    }

    async fn find_key(&self, hash: [u8; 32]) -> Result<Option<(Key, Tenant)>> {
        let row = query(
            "SELECT json_array(k.operator, k.created_at, json_array(t.name, t.tier, t.created_at))
             FROM keys k JOIN tenants t ON t.id = k.tenant_id WHERE k.hash = ?1",
        );
        let row: Option<(i64, Timestamp, TenantRow)> = self.readers.row(row.bind(hash.to_vec())).await?;
        let Some((operator, created_at, tenant)) = row else { return Ok(None) };
        let tenant = tenant.decode()?;
        Ok(Some((Key { hash, tenant: tenant.name.clone(), operator: operator != 0, created_at }, tenant)))
    }
}

#[derive(Deserialize)]
struct TenantRow(TenantName, i32, Timestamp);

impl TenantRow {
    fn decode(self) -> Result<Tenant> {
        let tier = Tier::from_number(self.1);
        let tier = tier.ok_or_else(|| Error::Internal(format!("tenant {} has tier {}", self.0, self.1)))?;
        Ok(Tenant { name: self.0, tier, created_at: self.2 })
    }
}

struct CreateTenant {
    tenant: Tenant,
    key: Option<Key>,
}

impl Write for CreateTenant {
    type Output = bool;

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<bool>> {
        let mut new = Vec::with_capacity(calls.len());
        for Self { tenant, key } in calls {
            let insert = query(
                "INSERT INTO tenants (name, tier, created_at) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING",
            );
            let insert = insert.bind(tenant.name.as_str()).bind(tenant.tier.number());
            let made = step.execute(insert.bind(tenant.created_at.as_micros()))? == 1;
            if made {
                if let Some(key) = key {
                    add_key(key, step)?;
                }
            } else {
                let tier =
                    query("SELECT json_quote(tier) FROM tenants WHERE name = ?1").bind(tenant.name.as_str());
                if step.row(tier)? != Some(tenant.tier.number()) {
                    return Err(Error::Exists { what: "tenant", name: tenant.name.to_string() });
                }
            }
            new.push(made);
        }
        Ok(new)
    }
}

struct AddKey {
    key: Key,
}

impl Write for AddKey {
    type Output = ();

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<()>> {
        for call in calls {
            add_key(&call.key, step)?;
        }
        Ok(vec![(); calls.len()])
    }
}

fn add_key(key: &Key, step: &mut Step<'_>) -> Result<()> {
    let tenant = step.tenant(&key.tenant)?;
    let insert = query(
        "INSERT INTO keys (hash, tenant_id, operator, created_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (hash) DO NOTHING",
    );
    let insert = insert.bind(key.hash.to_vec()).bind(tenant).bind(key.operator);
    step.execute(insert.bind(key.created_at.as_micros()))?;
    let present = query("SELECT json_array(tenant_id, operator) FROM keys WHERE hash = ?1");
    if step.row(present.bind(key.hash.to_vec()))? != Some((tenant, i64::from(key.operator))) {
        return Err(Error::Exists { what: "key", name: key.label() });
    }
    Ok(())
}
