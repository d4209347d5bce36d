//! Writes the table of HTTP routes from the `google.api.http` options of the descriptors, so that no rpc is ever
//! named by hand in the gateway.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, Value};

/// Writes `pub static ROUTES: &[Route]`.
pub fn write(descriptors: &[u8], to: &Path) -> Result<(), Box<dyn Error>> {
    let pool = DescriptorPool::decode(descriptors)?;
    let http = pool.get_extension_by_name("google.api.http").ok_or("google.api.http is not compiled in")?;
    let mut code = String::from(
        "/// One entry for each HTTP binding of each public rpc.\npub static ROUTES: &[Route] = &[\n",
    );
    for service in pool.services() {
        for method in service.methods() {
            let options = method.options();
            if !options.has_extension(&http) {
                continue;
            }
            if let Value::Message(rule) = options.get_extension(&http).as_ref() {
                write_route(&mut code, &method, rule)?;
            }
        }
    }
    code.push_str("];\n");
    fs::write(to, code)?;
    Ok(())
}

fn write_route(
    code: &mut String,
    method: &MethodDescriptor,
    rule: &DynamicMessage,
) -> Result<(), Box<dyn Error>> {
    let (verb, template) = ["get", "put", "post", "delete", "patch"]
        .into_iter()
        .find_map(|verb| {
            Some((verb, rule.get_field_by_name(verb)?.as_str()?.to_owned())).filter(|(_, t)| !t.is_empty())
        })
        .ok_or_else(|| format!("{}: its google.api.http option has no pattern", method.full_name()))?;
    let body =
        rule.get_field_by_name("body").and_then(|body| body.as_str().map(str::to_owned)).unwrap_or_default();
    let body = match body.as_str() {
        "" => "Body::None".to_owned(),
        "*" => "Body::Whole".to_owned(),
        field => format!("Body::Field({field:?})"),
    };
    writeln!(
        code,
        "    Route::new::<{}, {}>(\"{}\", {template:?}, \"/{}/{}\", {body}, {:?}, {}, {}),",
        rust_type(method.input().full_name()),
        rust_type(method.output().full_name()),
        verb.to_uppercase(),
        method.parent_service().full_name(),
        method.name(),
        method.input().full_name(),
        method.is_client_streaming(),
        method.is_server_streaming(),
    )?;
    Ok(())
}

/// `tidemill.storage.v1.GetCountsRequest` is `crate::storage::v1::GetCountsRequest`.
fn rust_type(full_name: &str) -> String {
    full_name.replacen("tidemill.", "crate::", 1).replace('.', "::")
}
