//! What every gRPC server offers besides its services: health (`grpc.health.v1`), and reflection in v1 and v1alpha,
//! because older tools speak only the latter.

use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::Wire;

/// The full names of the services that [`wire`] answers.
pub const SERVICES: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// The hand on the health of a process. Clones are the same hand.
#[derive(Debug, Clone)]
pub struct Serving {
    reporter: HealthReporter,
    services: Vec<&'static str>,
}

impl Serving {
    /// From now on every service, and the server as a whole, answers NOT_SERVING; who watches is told at once. For a
    /// process that drains: it still answers, but nobody new should come.
    pub async fn stop(&self) {
        for service in self.services.iter().copied().chain([""]) {
            self.reporter.set_service_status(service, ServingStatus::NotServing).await;
        }
    }
}

/// The wire to health and reflection, reporting these services as serving until the hand that comes with it says
/// otherwise. `descriptors` is an encoded `FileDescriptorSet`.
pub async fn wire(services: &[&'static str], descriptors: &'static [u8]) -> Result<(Wire, Serving), String> {
    let (reporter, health) = tonic_health::server::health_reporter();
    for service in services {
        reporter.set_service_status(*service, ServingStatus::Serving).await;
    }
    let reflection = || {
        let builder = tonic_reflection::server::Builder::configure();
        // The descriptors hold every contract; only what is served here is listed.
        let served = services.iter().chain(&SERVICES);
        served
            .fold(builder, |builder, name| builder.with_service_name(*name))
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = reflection().build_v1().map_err(|fault| fault.to_string())?;
    let v1alpha = reflection().build_v1alpha().map_err(|fault| fault.to_string())?;
    let wire = Wire::new(Routes::new(health).add_service(v1).add_service(v1alpha).prepare());
    Ok((wire, Serving { reporter, services: services.to_vec() }))
}

#[cfg(test)]
mod tests {
    use tonic::Request;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_check_response::ServingStatus as Told;
    use tonic_health::pb::health_client::HealthClient;

    use super::*;

    #[tokio::test]
    async fn a_process_that_drains_is_not_serving_and_tells_who_watches() {
        let (wire, serving) = wire(&["a.B"], tonic_health::pb::FILE_DESCRIPTOR_SET).await.unwrap();
        let mut client = HealthClient::new(wire);
        let about = |service: &str| Request::new(HealthCheckRequest { service: service.to_owned() });
        let mut watch = client.watch(about("a.B")).await.unwrap().into_inner();
        assert_eq!(watch.message().await.unwrap().unwrap().status(), Told::Serving);
        serving.clone().stop().await;
        assert_eq!(watch.message().await.unwrap().unwrap().status(), Told::NotServing);
        for service in ["", "a.B"] {
            let answer = client.check(about(service)).await.unwrap().into_inner();
            assert_eq!(answer.status(), Told::NotServing, "`{service}`");
        }
    }
}
