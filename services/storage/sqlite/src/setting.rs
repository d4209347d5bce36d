//! Settings of tenants' queues, and of all of them together.

use async_trait::async_trait;
use tidemill_kernel::{Shard, TenantName, Timestamp};
use tidemill_store::setting::{Setting, SettingSort, SettingStore};
use tidemill_store::{Error, Result};

use crate::SqliteStore;
use crate::statement::query;
use crate::writer::{Step, Write};

/// Sort, name, value in hexadecimal digits, moment.
type Row = (i32, String, String, Timestamp);

#[async_trait]
impl SettingStore for SqliteStore {
    async fn put_setting(&self, tenant: Option<&TenantName>, setting: Setting) -> Result<()> {
        self.writer.call(PutSetting { tenant: tenant.cloned(), setting }).await
    }

    async fn drop_setting(&self, tenant: Option<&TenantName>, sort: SettingSort, name: &str) -> Result<bool> {
        let (tenant, name) = (tenant.cloned(), name.to_owned());
        self.writer.call(DropSetting { tenant, sort, name }).await
    }

    async fn settings(&self, tenant: Option<&TenantName>) -> Result<Vec<Setting>> {
        let rows = match tenant {
            Some(tenant) => query(
                "SELECT json_array(s.sort, s.name, hex(s.value), s.updated_at)
                 FROM settings s JOIN tenants t ON t.id = s.tenant_id WHERE t.name = ?1 ORDER BY s.sort, s.name",
            )
            .bind(tenant.as_str()),
            None => query(
                "SELECT json_array(sort, name, hex(value), updated_at) FROM shared_settings ORDER BY sort, name",
            ),
        };
        let rows: Vec<Row> = self.readers.rows(rows).await?;
        rows.into_iter().map(decode).collect()
    }

    async fn shard_settings(&self, shards: &[Shard]) -> Result<Vec<(TenantName, Setting)>> {
        // There are few, and the shard of a tenant is not stored.
        let rows = query(
            "SELECT json_array(t.name, s.sort, s.name, hex(s.value), s.updated_at)
             FROM settings s JOIN tenants t ON t.id = s.tenant_id ORDER BY t.name, s.sort, s.name",
        );
        let rows: Vec<(TenantName, i32, String, String, Timestamp)> = self.readers.rows(rows).await?;
        let rows = rows.into_iter().filter(|row| shards.contains(&Shard::of_tenant(&row.0)));
        let setting =
            |(tenant, sort, name, value, updated_at)| Ok((tenant, decode((sort, name, value, updated_at))?));
        rows.map(setting).collect()
    }
}

fn decode((sort, name, value, updated_at): Row) -> Result<Setting> {
    let damaged = || Error::Internal("a setting cannot be read".to_owned());
    let sort = SettingSort::from_number(sort).ok_or_else(damaged)?;
    let value = bytes(&value).ok_or_else(damaged)?;
    Ok(Setting { sort, name, value, updated_at })
}

/// The bytes of hexadecimal digits.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}

struct PutSetting {
    tenant: Option<TenantName>,
    setting: Setting,
}

impl Write for PutSetting {
    type Output = ();

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<()>> {
        for Self { tenant, setting } in calls {
            let put = match tenant {
                Some(tenant) => query(
                    "INSERT INTO settings (tenant_id, sort, name, value, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (tenant_id, sort, name)
                     DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
                )
                .bind(step.tenant(tenant)?),
                None => query(
                    "INSERT INTO shared_settings (sort, name, value, updated_at) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (sort, name)
                     DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
                ),
            };
            let put = put.bind(setting.sort.number()).bind(setting.name.as_str());
            step.execute(put.bind(setting.value.clone()).bind(setting.updated_at.as_micros()))?;
        }
        Ok(vec![(); calls.len()])
    }
}

struct DropSetting {
    tenant: Option<TenantName>,
    sort: SettingSort,
    name: String,
}

impl Write for DropSetting {
    type Output = bool;

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<bool>> {
        let mut dropped = Vec::with_capacity(calls.len());
        for Self { tenant, sort, name } in calls {
            let drop = match tenant {
                Some(tenant) => query(
                    "DELETE FROM settings WHERE tenant_id = (SELECT id FROM tenants WHERE name = ?1)
                     AND sort = ?2 AND name = ?3",
                )
                .bind(tenant.as_str()),
                None => query("DELETE FROM shared_settings WHERE sort = ?1 AND name = ?2"),
            };
            dropped.push(step.execute(drop.bind(sort.number()).bind(name.as_str()))? == 1);
        }
        Ok(dropped)
    }
}
