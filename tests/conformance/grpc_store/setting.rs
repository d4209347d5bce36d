//! Settings of queues.

use async_trait::async_trait;
use tidemill_kernel::{Shard, TenantName, Timestamp};
use tidemill_proto::storage::v1 as api;
use tidemill_storage::convert::setting::{decode_setting, encode_setting};
use tidemill_store::setting::{Setting, SettingSort};
use tidemill_store::{Result, SettingStore};

use super::{GrpcStore, call, read_all};

impl GrpcStore {
    async fn load(&self, request: api::LoadSettingsRequest) -> Result<Vec<(TenantName, Setting)>> {
        let answer = call(self.setting_client().load_settings(request)).await?;
        read_all(answer.settings, |message| decode_setting(message, Timestamp::default()))
    }
}

#[async_trait]
impl SettingStore for GrpcStore {
    async fn put_setting(&self, tenant: &TenantName, setting: Setting) -> Result<()> {
        let request = api::PutSettingRequest { setting: Some(encode_setting(tenant, setting)) };
        call(self.setting_client().put_setting(request)).await.map(|_| ())
    }

    async fn drop_setting(&self, tenant: &TenantName, sort: SettingSort, name: &str) -> Result<bool> {
        let (tenant, sort, name) = (tenant.to_string(), sort.number(), name.to_owned());
        let request = api::DropSettingRequest { tenant, sort, name };
        Ok(call(self.setting_client().drop_setting(request)).await?.dropped)
    }

    async fn settings(&self, tenant: &TenantName) -> Result<Vec<Setting>> {
        let request = api::LoadSettingsRequest { tenant: tenant.to_string(), shard: 0 };
        Ok(self.load(request).await?.into_iter().map(|(_, setting)| setting).collect())
    }

    async fn shard_settings(&self, shard: Shard) -> Result<Vec<(TenantName, Setting)>> {
        self.load(api::LoadSettingsRequest { tenant: String::new(), shard: shard.number().into() }).await
    }
}
