//! Settings of queues.

use async_trait::async_trait;
use tidemill_kernel::{Shard, TenantName, Timestamp};
use tidemill_proto::storage::v1 as api;
use tidemill_storage::convert::setting::{decode_setting, encode_setting};
use tidemill_store::setting::{Setting, SettingSort};
use tidemill_store::{Result, SettingStore};

use super::{GrpcStore, call, read_all};

impl GrpcStore {
    async fn load(&self, request: api::LoadSettingsRequest) -> Result<Vec<(Option<TenantName>, Setting)>> {
        let answer = call(self.setting_client().load_settings(request)).await?;
        read_all(answer.settings, |message| decode_setting(message, Timestamp::default()))
    }
}

#[async_trait]
impl SettingStore for GrpcStore {
    async fn put_setting(&self, tenant: Option<&TenantName>, setting: Setting) -> Result<()> {
        let request = api::PutSettingRequest { setting: Some(encode_setting(tenant, setting)) };
        call(self.setting_client().put_setting(request)).await.map(|_| ())
    }

    async fn drop_setting(&self, tenant: Option<&TenantName>, sort: SettingSort, name: &str) -> Result<bool> {
        let (tenant, sort, name) = (named(tenant), sort.number(), name.to_owned());
        let request = api::DropSettingRequest { tenant, sort, name };
        Ok(call(self.setting_client().drop_setting(request)).await?.dropped)
    }

    async fn settings(&self, tenant: Option<&TenantName>) -> Result<Vec<Setting>> {
        let request = api::LoadSettingsRequest {
            tenant: named(tenant),
            shards: Vec::new(),
            of_all_tenants: tenant.is_none(),
        };
        Ok(self.load(request).await?.into_iter().map(|(_, setting)| setting).collect())
    }

    async fn shard_settings(&self, shards: &[Shard]) -> Result<Vec<(TenantName, Setting)>> {
        let shards = shards.iter().map(|shard| shard.number().into()).collect();
        let found = self.load(api::LoadSettingsRequest { shards, ..Default::default() }).await?;
        Ok(found.into_iter().filter_map(|(tenant, setting)| Some((tenant?, setting))).collect())
    }
}

fn named(tenant: Option<&TenantName>) -> String {
    tenant.map(ToString::to_string).unwrap_or_default()
}
