//! Settings in memory.

use async_trait::async_trait;
use tidemill_kernel::{Shard, TenantName};

use super::MemoryStore;
use crate::Result;
use crate::setting::{Setting, SettingSort, SettingStore};

#[async_trait]
impl SettingStore for MemoryStore {
    async fn put_setting(&self, tenant: Option<&TenantName>, setting: Setting) -> Result<()> {
        let mut state = self.state();
        if let Some(tenant) = tenant {
            state.has_tenant(tenant)?;
        }
        state.settings.insert((tenant.cloned(), setting.sort, setting.name.clone()), setting);
        Ok(())
    }

    async fn drop_setting(&self, tenant: Option<&TenantName>, sort: SettingSort, name: &str) -> Result<bool> {
        Ok(self.state().settings.remove(&(tenant.cloned(), sort, name.to_owned())).is_some())
    }

    async fn settings(&self, tenant: Option<&TenantName>) -> Result<Vec<Setting>> {
        let state = self.state();
        let rows = state.settings.iter().filter(|((of, _, _), _)| of.as_ref() == tenant);
        Ok(rows.map(|(_, setting)| setting.clone()).collect())
    }

    async fn shard_settings(&self, shards: &[Shard]) -> Result<Vec<(TenantName, Setting)>> {
        let state = self.state();
        let rows = state.settings.iter().filter_map(|((of, _, _), setting)| {
            let tenant = of.as_ref().filter(|of| shards.contains(&Shard::of_tenant(of)))?;
            Some((tenant.clone(), setting.clone()))
        });
        Ok(rows.collect())
    }
}
