//! The advice for KEDA, by its protocol for external scalers: the figure is the number of workers, with one for each replica,
//! so that KEDA's own rule (figure by target) gives that number.
//!
//! Source: keda.sh, "External Scalers"; `proto/keda/externalscaler.proto`.

use std::pin::Pin;

use futures::Stream;
use tidemill_chassis::FaultExt;
use tidemill_kernel::Fault;
use tidemill_proto::keda as api;
use tidemill_proto::keda::external_scaler_server::ExternalScaler;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{Advice, Advices};

/// What names the component in a trigger.
const COMPONENT: &str = "component";

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Keda(pub(crate) Advices);

impl Keda {
    /// The component that is scaled, and its advice.
    fn advice(&self, of: &api::ScaledObjectRef) -> Result<(String, Advice), Status> {
        let advices = self.0.borrow().clone();
        let name = of.scaler_metadata.get(COMPONENT).map_or("", String::as_str);
        let known = advices.keys().cloned().collect::<Vec<_>>().join(", ");
        let advice = advices.get(name).cloned().ok_or_else(|| {
            let rule = format!(
                "`{name}` is no component: say `{COMPONENT}` in the trigger's metadata, one of {known}"
            );
            Fault::invalid("scalerMetadata.component", rule).into_status()
        })?;
        Ok((name.to_owned(), advice))
    }
}

#[tonic::async_trait]
impl ExternalScaler for Keda {
    type StreamIsActiveStream = Pin<Box<dyn Stream<Item = Result<api::IsActiveResponse, Status>> + Send>>;

    async fn is_active(
        &self,
        request: Request<api::ScaledObjectRef>,
    ) -> Result<Response<api::IsActiveResponse>, Status> {
        let (_, advice) = self.advice(request.get_ref())?;
        Ok(Response::new(api::IsActiveResponse { result: advice.workers > 0 }))
    }

    async fn stream_is_active(
        &self,
        request: Request<api::ScaledObjectRef>,
    ) -> Result<Response<Self::StreamIsActiveStream>, Status> {
        let of = request.into_inner();
        let (_, advice) = self.advice(&of)?;
        let mut is_active = advice.workers > 0;
        let (to, items) = mpsc::channel(1);
        let mut keda = self.clone();
        tokio::spawn(async move {
            loop {
                if to.send(Ok(api::IsActiveResponse { result: is_active })).await.is_err() {
                    return;
                }
                let before = is_active;
                while is_active == before {
                    tokio::select! {
                        changed = keda.0.changed() => if changed.is_err() { return },
                        () = to.closed() => return,
                    }
                    is_active = keda.advice(&of).is_ok_and(|(_, advice)| advice.workers > 0);
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(items))))
    }

    async fn get_metric_spec(
        &self,
        request: Request<api::ScaledObjectRef>,
    ) -> Result<Response<api::GetMetricSpecResponse>, Status> {
        let (name, _) = self.advice(request.get_ref())?;
        let spec = api::MetricSpec { metric_name: figure(&name), target_size: 1, target_size_float: 1.0 };
        Ok(Response::new(api::GetMetricSpecResponse { metric_specs: vec![spec] }))
    }

    async fn get_metrics(
        &self,
        request: Request<api::GetMetricsRequest>,
    ) -> Result<Response<api::GetMetricsResponse>, Status> {
        let of = request.into_inner().scaled_object_ref.unwrap_or_default();
        let (name, advice) = self.advice(&of)?;
        let value = api::MetricValue {
            metric_name: figure(&name),
            metric_value: i64::from(advice.workers),
            metric_value_float: f64::from(advice.workers),
        };
        Ok(Response::new(api::GetMetricsResponse { metric_values: vec![value] }))
    }
}

fn figure(component: &str) -> String {
    format!("tidemill-{component}")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};
    use std::sync::Arc;

    use futures::StreamExt;
    use tokio::sync::watch;
    use tonic::Code;

    use super::*;
    use crate::scaling::Component;

    fn advised(workers: u32) -> Arc<BTreeMap<String, Advice>> {
        let advice = Advice {
            component: Component::default(),
            load: Default::default(),
            workers,
            reason: Default::default(),
            effect: Default::default(),
        };
        Arc::new(BTreeMap::from([("analysers".to_owned(), advice)]))
    }

    fn of(component: &str) -> api::ScaledObjectRef {
        let scaler_metadata = HashMap::from([(COMPONENT.to_owned(), component.to_owned())]);
        api::ScaledObjectRef { scaler_metadata, ..api::ScaledObjectRef::default() }
    }

    #[tokio::test]
    async fn keda_is_told_the_number_of_workers_with_one_for_each_replica() {
        let (_tell, told) = watch::channel(advised(7));
        let keda = Keda(told);
        let spec = keda.get_metric_spec(Request::new(of("analysers"))).await.unwrap().into_inner();
        assert_eq!(
            (spec.metric_specs[0].metric_name.as_str(), spec.metric_specs[0].target_size),
            ("tidemill-analysers", 1)
        );
        let request =
            api::GetMetricsRequest { scaled_object_ref: Some(of("analysers")), metric_name: String::new() };
        let values = keda.get_metrics(Request::new(request)).await.unwrap().into_inner().metric_values;
        assert_eq!((values[0].metric_value, values[0].metric_value_float), (7, 7.0));
        let fault = keda.is_active(Request::new(of("analyzers"))).await.unwrap_err();
        assert_eq!(fault.code(), Code::InvalidArgument);
        assert!(fault.message().contains("analysers"), "{fault}");
    }

    #[tokio::test]
    async fn a_stream_tells_at_once_and_when_the_first_worker_is_needed_or_the_last_is_not() {
        let (tell, told) = watch::channel(advised(0));
        let mut stream =
            Keda(told).stream_is_active(Request::new(of("analysers"))).await.unwrap().into_inner();
        assert!(!stream.next().await.unwrap().unwrap().result);
        tell.send_replace(advised(0));
        tell.send_replace(advised(3));
        assert!(stream.next().await.unwrap().unwrap().result);
        tell.send_replace(advised(9));
        tell.send_replace(advised(0));
        assert!(!stream.next().await.unwrap().unwrap().result);
    }
}
