//! Settings in memory.

use async_trait::async_trait;
use tidemill_kernel::{Shard, TenantName};

use super::MemoryStore;
use crate::Result;
use crate::setting::{Setting, SettingSort, SettingStore};

#[async_trait]
impl SettingStore for MemoryStore {
    async fn put_setting(&self, tenant: &TenantName, setting: Setting) -> Result<()> {
        let mut state = self.state();
        state.has_tenant(tenant)?;
        state.settings.insert((tenant.clone(), setting.sort, setting.name.clone()), setting);
        Ok(())
    }

    async fn drop_setting(&self, tenant: &TenantName, sort: SettingSort, name: &str) -> Result<bool> {
        Ok(self.state().settings.remove(&(tenant.clone(), sort, name.to_owned())).is_some())
    }

    async fn settings(&self, tenant: &TenantName) -> Result<Vec<Setting>> {
        let state = self.state();
        let rows = state.settings.iter().filter(|((of, _, _), _)| of == tenant);
        Ok(rows.map(|(_, setting)| setting.clone()).collect())
    }

    async fn shard_settings(&self, shard: Shard) -> Result<Vec<(TenantName, Setting)>> {
        let state = self.state();
        let rows = state.settings.iter().filter(|((of, _, _), _)| Shard::of_tenant(of) == shard);
        Ok(rows.map(|((of, _, _), setting)| (of.clone(), setting.clone())).collect())
    }
}
