//! Settings of tenants' queues.

use async_trait::async_trait;
use tidemill_kernel::{Shard, TenantName, Timestamp};
use tidemill_store::setting::{Setting, SettingSort, SettingStore};
use tidemill_store::{Error, Result};

use crate::SqliteStore;
use crate::statement::query;
use crate::writer::{Step, Write};

/// Tenant, sort, name, value in hexadecimal digits, moment.
type Row = (TenantName, i32, String, String, Timestamp);

#[async_trait]
impl SettingStore for SqliteStore {
    async fn put_setting(&self, tenant: &TenantName, setting: Setting) -> Result<()> {
        self.writer.call(PutSetting { tenant: tenant.clone(), setting }).await
    }

    async fn drop_setting(&self, tenant: &TenantName, sort: SettingSort, name: &str) -> Result<bool> {
        let (tenant, name) = (tenant.clone(), name.to_owned());
        self.writer.call(DropSetting { tenant, sort, name }).await
    }

    async fn settings(&self, tenant: &TenantName) -> Result<Vec<Setting>> {
        let rows = query(
            "SELECT json_array(t.name, s.sort, s.name, hex(s.value), s.updated_at)
             FROM settings s JOIN tenants t ON t.id = s.tenant_id WHERE t.name = ?1 ORDER BY s.sort, s.name",
        );
        let rows: Vec<Row> = self.readers.rows(rows.bind(tenant.as_str())).await?;
        Ok(decode(rows)?.into_iter().map(|(_, setting)| setting).collect())
    }

    async fn shard_settings(&self, shard: Shard) -> Result<Vec<(TenantName, Setting)>> {
        // There are few, and the shard of a tenant is not stored.
        let rows = query(
            "SELECT json_array(t.name, s.sort, s.name, hex(s.value), s.updated_at)
             FROM settings s JOIN tenants t ON t.id = s.tenant_id ORDER BY t.name, s.sort, s.name",
        );
        let rows: Vec<Row> = self.readers.rows(rows).await?;
        decode(rows.into_iter().filter(|row| Shard::of_tenant(&row.0) == shard).collect())
    }
}

fn decode(rows: Vec<Row>) -> Result<Vec<(TenantName, Setting)>> {
    let damaged = || Error::Internal("a setting cannot be read".to_owned());
    let row = |(tenant, sort, name, value, updated_at): Row| {
        let sort = SettingSort::from_number(sort).ok_or_else(damaged)?;
        let value = bytes(&value).ok_or_else(damaged)?;
        Ok((tenant, Setting { sort, name, value, updated_at }))
    };
    rows.into_iter().map(row).collect()
}

/// The bytes of hexadecimal digits.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pair = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}

struct PutSetting {
    tenant: TenantName,
    setting: Setting,
}

impl Write for PutSetting {
    type Output = ();

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<()>> {
        for Self { tenant, setting } in calls {
            let tenant = step.tenant(tenant)?;
            let put = query(
                "INSERT INTO settings (tenant_id, sort, name, value, updated_at) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (tenant_id, sort, name)
                 DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at",
            );
            let put = put.bind(tenant).bind(setting.sort.number()).bind(setting.name.as_str());
            step.execute(put.bind(setting.value.clone()).bind(setting.updated_at.as_micros()))?;
        }
        Ok(vec![(); calls.len()])
    }
}

struct DropSetting {
    tenant: TenantName,
    sort: SettingSort,
    name: String,
}

impl Write for DropSetting {
    type Output = bool;

    fn run(calls: &[Self], step: &mut Step<'_>) -> Result<Vec<bool>> {
        let mut dropped = Vec::with_capacity(calls.len());
        for Self { tenant, sort, name } in calls {
            let drop = query(
                "DELETE FROM settings WHERE tenant_id = (SELECT id FROM tenants WHERE name = ?1)
                 AND sort = ?2 AND name = ?3",
            );
            let drop = drop.bind(tenant.as_str()).bind(sort.number()).bind(name.as_str());
            dropped.push(step.execute(drop)? == 1);
        }
        Ok(dropped)
    }
}
