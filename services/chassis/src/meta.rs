//! What every gRPC server offers besides its services: health (`grpc.health.v1`), and reflection in v1 and v1alpha,
//! because older tools speak only the latter.

use tonic::service::Routes;
use tonic_health::ServingStatus;

use crate::Wire;

/// The full names of the services that [`wire`] answers.
pub const SERVICES: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// The wire to health and reflection, reporting these services as serving. `descriptors` is an encoded
/// `FileDescriptorSet`.
pub async fn wire(services: &[&'static str], descriptors: &'static [u8]) -> Result<Wire, String> {
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
    Ok(Wire::new(Routes::new(health).add_service(v1).add_service(v1alpha).prepare()))
}
