//! Settings of tenants' queues, and of all of them together.

use async_trait::async_trait;
use sqlx::{query, query_as};
use tidemill_kernel::{Shard, TenantName, Timestamp};
use tidemill_store::setting::{Setting, SettingSort, SettingStore};
use tidemill_store::{Error, Result};

use crate::PostgresStore;
use crate::tenant::tenant_name;
use crate::writer::{Outcome, Step, Write};

/// Sort, name, value, moment.
type Row = (i32, String, Vec<u8>, i64);

#[async_trait]
impl SettingStore for PostgresStore {
    async fn put_setting(&self, tenant: Option<&TenantName>, setting: Setting) -> Result<()> {
        self.database.write(PutSetting { tenant: tenant.cloned(), setting }).await
    }

    async fn drop_setting(&self, tenant: Option<&TenantName>, sort: SettingSort, name: &str) -> Result<bool> {
        let (tenant, name) = (tenant.cloned(), name.to_owned());
        self.database.write(DropSetting { tenant, sort, name }).await
    }

    async fn settings(&self, tenant: Option<&TenantName>) -> Result<Vec<Setting>> {
        let rows = || {
            match tenant {
            Some(tenant) => query_as::<_, Row>(
                "SELECT s.sort, s.name, s.value, s.updated_at
                 FROM settings s JOIN tenants t ON t.id = s.tenant_id WHERE t.name = $1 ORDER BY s.sort, s.name",
            )
            .bind(tenant.as_str()),
            None => query_as::<_, Row>(
                "SELECT sort, name, value, updated_at FROM shared_settings ORDER BY sort, name",
            ),
        }
        };
        let rows = self.database.primary.rows(rows).await?;
        rows.into_iter().map(decode).collect()
    }

    async fn shard_settings(&self, shards: &[Shard]) -> Result<Vec<(TenantName, Setting)>> {
        // There are few, and the shard of a tenant is not stored.
        let rows = || {
            query_as::<_, (String, i32, String, Vec<u8>, i64)>(
                "SELECT t.name, s.sort, s.name, s.value, s.updated_at
                 FROM settings s JOIN tenants t ON t.id = s.tenant_id
                 ORDER BY t.name COLLATE \"C\", s.sort, s.name",
            )
        };
        let rows = self.database.primary.rows(rows).await?;
        let setting = |(tenant, sort, name, value, updated_at)| {
            Ok((tenant_name(tenant)?, decode((sort, name, value, updated_at))?))
        };
        let all = rows.into_iter().map(setting).collect::<Result<Vec<_>>>()?;
        Ok(all.into_iter().filter(|(tenant, _)| shards.contains(&Shard::of_tenant(tenant))).collect())
    }
}

fn decode((sort, name, value, updated_at): Row) -> Result<Setting> {
    let sort = SettingSort::from_number(sort)
        .ok_or_else(|| Error::Internal(format!("the setting `{name}` has sort {sort}")))?;
    let updated_at = Timestamp::from_micros(updated_at);
    Ok(Setting { sort, name, value, updated_at })
}

struct PutSetting {
    tenant: Option<TenantName>,
    setting: Setting,
}

#[async_trait]
impl Write for PutSetting {
    type Output = ();

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<()>> {
        for Self { tenant, setting } in calls {
            let put = match tenant {
                Some(tenant) => query(
                    "INSERT INTO settings (tenant_id, sort, name, value, updated_at) VALUES ($1, $2, $3, $4, $5)
                     ON CONFLICT (tenant_id, sort, name)
                     DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
                )
                .bind(step.tenant(tenant).await?),
                None => query(
                    "INSERT INTO shared_settings (sort, name, value, updated_at) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (sort, name)
                     DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
                ),
            };
            let put = put.bind(setting.sort.number()).bind(setting.name.as_str());
            step.execute(put.bind(&setting.value).bind(setting.updated_at.as_micros())).await?;
        }
        Ok(vec![(); calls.len()])
    }
}

struct DropSetting {
    tenant: Option<TenantName>,
    sort: SettingSort,
    name: String,
}

#[async_trait]
impl Write for DropSetting {
    type Output = bool;

    async fn run(calls: &[Self], step: &mut Step<'_>) -> Outcome<Vec<bool>> {
        let mut dropped = Vec::with_capacity(calls.len());
        for Self { tenant, sort, name } in calls {
            let drop = match tenant {
                Some(tenant) => query(
                    "DELETE FROM settings WHERE tenant_id = (SELECT id FROM tenants WHERE name = $1)
                     AND sort = $2 AND name = $3",
                )
                .bind(tenant.as_str()),
                None => query("DELETE FROM shared_settings WHERE sort = $1 AND name = $2"),
            };
            dropped.push(step.execute(drop.bind(sort.number()).bind(name.as_str())).await? == 1);
        }
        Ok(dropped)
    }
}
