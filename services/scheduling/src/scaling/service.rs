//! The advice by gRPC: decode, look, encode.

use tidemill_proto::scheduling::v1 as api;
use tidemill_proto::scheduling::v1::scaling_service_server::ScalingService;
use tidemill_proto::time::duration;
use tonic::{Request, Response, Status};

use super::demand::Reason;
use super::steady::Effect;
use super::{Advice, Advices};

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Scaling(pub(crate) Advices);

#[tonic::async_trait]
impl ScalingService for Scaling {
    async fn get_scaling(
        &self,
        _: Request<api::GetScalingRequest>,
    ) -> Result<Response<api::GetScalingResponse>, Status> {
        let advices = self.0.borrow().clone();
        let components = advices.iter().map(|(name, advice)| component(name, advice)).collect();
        Ok(Response::new(api::GetScalingResponse { components }))
    }
}

fn component(name: &str, advice: &Advice) -> api::ComponentScaling {
    let Advice { component, load, workers, reason, effect } = advice;
    let reason = match reason {
        Reason::Idle => api::ScalingReason::Idle,
        Reason::Arrivals => api::ScalingReason::Arrivals,
        Reason::Backlog => api::ScalingReason::Backlog,
        Reason::Depth => api::ScalingReason::Depth,
        Reason::Processors => api::ScalingReason::Processors,
        Reason::Bound => api::ScalingReason::Bound,
    };
    let effect = match effect {
        Effect::Unknown => api::ScalingEffect::Unspecified,
        Effect::Seen => api::ScalingEffect::Seen,
        Effect::NoWorkers => api::ScalingEffect::NoWorkers,
        Effect::None => api::ScalingEffect::None,
    };
    api::ComponentScaling {
        name: name.to_owned(),
        kinds: component.kinds.clone(),
        workers: load.workers,
        slots: load.slots,
        wanted_workers: *workers,
        min_workers: component.min,
        max_workers: component.max,
        reason: reason.into(),
        arrivals_per_second: load.arrivals,
        service_time: load.service.map(duration),
        waiting: load.waiting,
        running: load.running,
        load_factor: load.factor(),
        failed_share: load.failed,
        effect: effect.into(),
    }
}
