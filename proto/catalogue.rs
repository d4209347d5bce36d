//! Writes the names of all services, and the paths of the unary methods that may be called twice with the effect of
//! once (their `idempotency_level` option says so), so that nobody keeps such lists by hand.

use std::error::Error;
use std::fs;
use std::path::Path;

use prost_reflect::{DescriptorPool, MethodDescriptor};
use prost_types::method_options::IdempotencyLevel;

/// Writes `SERVICES` and `IDEMPOTENT`, both in order.
pub fn write(descriptors: &[u8], to: &Path) -> Result<(), Box<dyn Error>> {
    let pool = DescriptorPool::decode(descriptors)?;
    let mut services: Vec<String> = pool.services().map(|service| service.full_name().to_owned()).collect();
    let mut paths: Vec<String> = pool
        .services()
        .flat_map(|service| service.methods().filter(is_idempotent).collect::<Vec<_>>())
        .map(|method| format!("/{}/{}", method.parent_service().full_name(), method.name()))
        .collect();
    services.sort();
    paths.sort();
    let mut code = String::new();
    code += &list("SERVICES", "The full names of all services", &services);
    code += &list("IDEMPOTENT", "The gRPC paths of the unary methods that may be called twice", &paths);
    fs::write(to, code)?;
    Ok(())
}

fn is_idempotent(method: &MethodDescriptor) -> bool {
    let proto = method.method_descriptor_proto();
    let level = proto.options.as_ref().map(|options| options.idempotency_level());
    let is_unary = !method.is_client_streaming() && !method.is_server_streaming();
    is_unary && level.is_some_and(|level| level != IdempotencyLevel::IdempotencyUnknown)
}

fn list(name: &str, meaning: &str, items: &[String]) -> String {
    format!("/// {meaning}, in order.\npub static {name}: &[&str] = &{items:#?};\n")
}
