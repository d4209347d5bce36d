//! `SettingStoreService`: what tenants set for their queues, and the operator for all of them, for the scheduling service. Tenants
//! are named in the messages.

use tidemill_proto::storage::v1::setting_store_service_server::SettingStoreService;
use tidemill_proto::storage::v1::{
    DropSettingRequest, DropSettingResponse, LoadSettingsRequest, LoadSettingsResponse, PutSettingRequest,
    PutSettingResponse,
};
use tonic::{Request, Response, Status};

use crate::convert::rule;
use crate::convert::setting::{decode_owner, decode_setting, decode_sort, encode_setting};
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
        self.0.store.put_setting(tenant.as_ref(), setting).await.map_err(Error::Store)?;
        Ok(Response::new(PutSettingResponse {}))
    }

    async fn drop_setting(
        &self,
        request: Request<DropSettingRequest>,
    ) -> Result<Response<DropSettingResponse>, Status> {
        let request = request.into_inner();
        let (tenant, sort) = (decode_owner("tenant", &request.tenant)?, decode_sort("sort", request.sort)?);
        let dropped = self.0.store.drop_setting(tenant.as_ref(), sort, &request.name).await;
        Ok(Response::new(DropSettingResponse { dropped: dropped.map_err(Error::Store)? }))
    }

    async fn load_settings(
        &self,
        request: Request<LoadSettingsRequest>,
    ) -> Result<Response<LoadSettingsResponse>, Status> {
        let request = request.into_inner();
        let (mut settings, store) = (Vec::new(), &self.0.store);
        if request.of_all_tenants {
            let shared = store.settings(None).await.map_err(Error::Store)?;
            settings.extend(shared.into_iter().map(|setting| encode_setting(None, setting)));
        }
        if let Some(tenant) = decode_owner("tenant", &request.tenant)? {
            let own = store.settings(Some(&tenant)).await.map_err(Error::Store)?;
            settings.extend(own.into_iter().map(|setting| encode_setting(Some(&tenant), setting)));
        }
        let shards: Vec<_> = request
            .shards
            .into_iter()
            .map(|shard| decode_shard("shards", shard))
            .collect::<Result<_, _>>()?;
        if !shards.is_empty() {
            let of_shards = store.shard_settings(&shards).await.map_err(Error::Store)?;
            settings.extend(
                of_shards.into_iter().map(|(tenant, setting)| encode_setting(Some(&tenant), setting)),
            );
        }
        Ok(Response::new(LoadSettingsResponse { settings }))
    }
}
