//! Writes the names of all services, and the paths of the methods that have streams, of the unary ones that may be called
//! twice with the effect of once, and of those among them that change nothing (their `idempotency_level` option says so),
//! so that nobody keeps such lists by hand.

use std::error::Error;
use std::fs;
use std::path::Path;

use prost_reflect::{DescriptorPool, MethodDescriptor};
use prost_types::method_options::IdempotencyLevel;

/// Writes `SERVICES`, `IDEMPOTENT`, `SAFE` and `STREAMING`, each in order.
pub fn write(descriptors: &[u8], to: &Path) -> Result<(), Box<dyn Error>> {
    let pool = DescriptorPool::decode(descriptors)?;
    let mut services: Vec<String> = pool.services().map(|service| service.full_name().to_owned()).collect();
    let paths = |chosen: fn(&MethodDescriptor) -> bool| {
        let methods =
            pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()).filter(chosen);
        let path =
            |method: MethodDescriptor| format!("/{}/{}", method.parent_service().full_name(), method.name());
        let mut paths: Vec<String> = methods.map(path).collect();
        paths.sort();
        paths
    };
    services.sort();
    let mut code = String::new();
    code += &list("SERVICES", "The full names of all services", &services);
    code += &list(
        "IDEMPOTENT",
        "The gRPC paths of the unary methods that may be called twice",
        &paths(is_idempotent),
    );
    code += &list("SAFE", "The gRPC paths of the unary methods that change nothing", &paths(is_safe));
    code += &list("STREAMING", "The gRPC paths of the methods that have a stream", &paths(is_streaming));
    fs::write(to, code)?;
    Ok(())
}

fn is_idempotent(method: &MethodDescriptor) -> bool {
    !is_streaming(method) && level(method) != IdempotencyLevel::IdempotencyUnknown
}

fn is_safe(method: &MethodDescriptor) -> bool {
    !is_streaming(method) && level(method) == IdempotencyLevel::NoSideEffects
}

fn is_streaming(method: &MethodDescriptor) -> bool {
    method.is_client_streaming() || method.is_server_streaming()
}

fn level(method: &MethodDescriptor) -> IdempotencyLevel {
    let proto = method.method_descriptor_proto();
    proto.options.as_ref().map_or(IdempotencyLevel::IdempotencyUnknown, |options| options.idempotency_level())
}

fn list(name: &str, meaning: &str, items: &[String]) -> String {
    format!("/// {meaning}, in order.\npub static {name}: &[&str] = &{items:#?};\n")
}
