//! `SettingStoreService`: what tenants set for their queues, for the scheduling service. Tenants are named in the messages.

use tidemill_proto::storage::v1::setting_store_service_server::SettingStoreService;
use tidemill_proto::storage::v1::{
    DropSettingRequest, DropSettingResponse, LoadSettingsRequest, LoadSettingsResponse, PutSettingRequest,
    PutSettingResponse,
};
use tonic::{Request, Response, Status};

use crate::convert::rule;
use crate::convert::setting::{decode_setting, decode_sort, encode_setting};
use crate::convert::shard::decode_shard;
use crate::error::Within;
use crate::{Deps, Error};

/// The service.
pub(crate) struct Settings(pub(crate) Deps);

#[tonic::async_trait]
impl SettingStoreService for Settings {
    async fn put_setting(
        &self,
        request: Request<PutSettingRequest>,
    ) -> Result<Response<PutSettingResponse>, Status> {
        let setting = rule::present("setting", request.into_inner().setting)?;
        let (tenant, setting) = decode_setting(setting, self.0.now()).within("setting")?;
        self.0.store.put_setting(&tenant, setting).await.map_err(Error::Store)?;
        Ok(Response::new(PutSettingResponse {}))
    }

    async fn drop_setting(
        &self,
        request: Request<DropSettingRequest>,
    ) -> Result<Response<DropSettingResponse>, Status> {
        let request = request.into_inner();
        let (tenant, sort) = (rule::tenant("tenant", &request.tenant)?, decode_sort("sort", request.sort)?);
        let dropped = self.0.store.drop_setting(&tenant, sort, &request.name).await;
        Ok(Response::new(DropSettingResponse { dropped: dropped.map_err(Error::Store)? }))
    }

    async fn load_settings(
        &self,
        request: Request<LoadSettingsRequest>,
    ) -> Result<Response<LoadSettingsResponse>, Status> {
        let request = request.into_inner();
        let settings = if request.tenant.is_empty() {
            let shard = decode_shard("shard", request.shard)?;
            self.0.store.shard_settings(shard).await.map_err(Error::Store)?
        } else {
            let tenant = rule::tenant("tenant", &request.tenant)?;
            let settings = self.0.store.settings(&tenant).await.map_err(Error::Store)?;
            settings.into_iter().map(|setting| (tenant.clone(), setting)).collect()
        };
        let settings = settings.into_iter().map(|(tenant, setting)| encode_setting(&tenant, setting));
        Ok(Response::new(LoadSettingsResponse { settings: settings.collect() }))
    }
}
