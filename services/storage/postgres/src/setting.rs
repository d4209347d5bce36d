//! Settings of tenants' queues.

use async_trait::async_trait;
use sqlx::{query, query_as};
use tidemill_kernel::{Shard, TenantName, Timestamp};
use tidemill_store::setting::{Setting, SettingSort, SettingStore};
use tidemill_store::{Error, Result};

use crate::PostgresStore;
use crate::tenant::tenant_name;
use crate::writer::{Outcome, Step, Write};

/// Tenant, sort, name, value, moment.
type Row = (String, i32, String, Vec<u8>, i64);

#[async_trait]
impl SettingStore for PostgresStore {
    async fn put_setting(&self, tenant: &TenantName, setting: Setting) -> Result<()> {
        self.database.write(PutSetting { tenant: tenant.clone(), setting }).await
    }

    async fn drop_setting(&self, tenant: &TenantName, sort: SettingSort, name: &str) -> Result<bool> {
        let (tenant, name) = (tenant.clone(), name.to_owned());
        self.database.write(DropSetting { tenant, sort, name }).await
    }

    async fn settings(&self, tenant: &TenantName) -> Result<Vec<Setting>> {
        let rows = || {
            query_as::<_, Row>(
                "SELECT t.name, s.sort, s.name, s.value, s.updated_at
                 FROM settings s JOIN tenants t ON t.id = s.tenant_id WHERE t.name = $1 ORDER BY s.sort, s.name",
            )
            .bind(tenant.as_str())
        };
        let rows = self.database.primary.rows(rows).await?;
        rows.into_iter().map(|row| Ok(decode(row)?.1)).collect()
    }

    async fn shard_settings(&self, shard: Shard) -> Result<Vec<(TenantName, Setting)>> {
        // There are few, and the shard of a tenant is not stored.
        let rows = || {
            query_as::<_, Row>(
                "SELECT t.name, s.sort, s.name, s.value, s.updated_at
                 FROM settings s JOIN tenants t ON t.id = s.tenant_id
                 ORDER BY t.name COLLATE \"C\", s.sort, s.name",
            )
        };
        let rows = self.database.primary.rows(rows).await?;
        let all = rows.into_iter().map(decode).collect::<Result<Vec<_>>>()?;
        Ok(all.into_iter().filter(|(tenant, _)| Shard::of_tenant(tenant) == shard).collect())
    }
}

fn decode((tenant, sort, name, value, updated_at): Row) -> Result<(TenantName, Setting)> {
    let sort = SettingSort::from_number(sort)
        .ok_or_else(|| Error::Internal(format!("a setting of tenant {tenant} has sort {sort}")))?;
    let updated_at = Timestamp::from_micros(updated_at);
    Ok((tenant_name(tenant)?, Setting { sort, name, value, updated_at }))
}

struct PutSetting {
    tenant: TenantName,
    setting: Setting,
}

#[async_trait]
impl Write for PutSetting {
    type Output = ();

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<()>> {
        for Self { tenant, setting } in calls {
            let tenant = step.tenant(tenant).await?;
            let put = query(
                "INSERT INTO settings (tenant_id, sort, name, value, updated_at) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (tenant_id, sort, name)
                 DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
            );
            let put = put.bind(tenant).bind(setting.sort.number()).bind(setting.name.as_str());
            step.execute(put.bind(&setting.value).bind(setting.updated_at.as_micros())).await?;
        }
        Ok(vec![(); calls.len()])
    }
}

struct DropSetting {
    tenant: TenantName,
    sort: SettingSort,
    name: String,
}

#[async_trait]
impl Write for DropSetting {
    type Output = bool;

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<bool>> {
        let mut dropped = Vec::with_capacity(calls.len());
        for Self { tenant, sort, name } in calls {
            let drop = query(
                "DELETE FROM settings WHERE tenant_id = (SELECT id FROM tenants WHERE name = $1)
                 AND sort = $2 AND name = $3",
            );
            let drop = drop.bind(tenant.as_str()).bind(sort.number()).bind(name.as_str());
            dropped.push(step.execute(drop).await? == 1);
        }
        Ok(dropped)
    }
}
