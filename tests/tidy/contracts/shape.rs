//! Rule: the shape of the contracts. Every rpc has a request and a response of its own; a public rpc is mapped to HTTP
//! (unless the client streams) and never asks for the tenant, which comes from the credential; enums begin with
//! `_UNSPECIFIED = 0`.
//!
//! A service whose comment says `Internal:` is not public; one that says `Operator:` is, but may name tenants.

use std::collections::BTreeMap;

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FileDescriptor, MessageDescriptor, MethodDescriptor, ServiceDescriptor,
};

use super::{Positions, own_files, workspace_path};
use crate::violation::Violation;

fn check(pool: &DescriptorPool) -> Vec<Violation> {
    let mut violations = shared_messages(pool);
    for file in own_files(pool) {
        let positions = Positions::of(&file);
        for service in file.services() {
            violations.extend(service_faults(&file, &positions, &service));
        }
    }
    let enums = pool.all_enums().filter(|e| own_files(pool).any(|file| file == e.parent_file()));
    violations.extend(enums.filter_map(|e| first_value(&e)));
    violations
}

/// Messages that more than one rpc sends or receives, or that are not Tidemill's own.
fn shared_messages(pool: &DescriptorPool) -> Vec<Violation> {
    let mut users: BTreeMap<String, Vec<MethodDescriptor>> = BTreeMap::new();
    let services = own_files(pool).flat_map(|file| file.services().collect::<Vec<_>>());
    for method in services.flat_map(|service| service.methods().collect::<Vec<_>>()) {
        for message in [method.input(), method.output()] {
            users.entry(message.full_name().to_owned()).or_default().push(method.clone());
        }
    }
    let mut violations = Vec::new();
    for (message, methods) in users {
        let first_is_fine = usize::from(message.starts_with("tidemill."));
        violations.extend(methods.iter().skip(first_is_fine).map(|method| {
            let fault = format!("rpc `{}` uses `{message}`, which is not its own", method.name());
            at(method, fault, "give it a request and a response that no other rpc uses")
        }));
    }
    violations
}

fn service_faults(
    file: &FileDescriptor,
    positions: &Positions,
    service: &ServiceDescriptor,
) -> Vec<Violation> {
    let comment = positions.comment(service.path());
    let (internal, operator) = (comment.contains("Internal:"), comment.contains("Operator:"));
    let mut violations = Vec::new();
    for method in service.methods() {
        if !internal && !method.is_client_streaming() && !has_http(&method) {
            let fault = format!("public rpc `{}` has no HTTP mapping", method.name());
            let mend = "add `option (google.api.http)`, or say `Internal:` in the service's comment";
            violations.push(Violation::new(
                &workspace_path(file),
                positions.line(method.path()),
                fault,
                mend,
            ));
        }
        if !internal && !operator {
            violations.extend(tenant_field(&method.input()));
        }
    }
    violations
}

fn has_http(method: &MethodDescriptor) -> bool {
    let http = method.parent_pool().get_extension_by_name("google.api.http");
    http.is_some_and(|http| method.options().has_extension(&http))
}

fn tenant_field(request: &MessageDescriptor) -> Option<Violation> {
    let field = request.get_field_by_name("tenant")?;
    let file = request.parent_file();
    let line = Positions::of(&file).line(field.path());
    let fault = format!("public request `{}` names the tenant", request.name());
    Some(Violation::new(&workspace_path(&file), line, fault, "take it from the credential"))
}

fn first_value(enumeration: &EnumDescriptor) -> Option<Violation> {
    let zero = enumeration.values().find(|value| value.number() == 0);
    if zero.is_some_and(|value| value.name().ends_with("_UNSPECIFIED")) {
        return None;
    }
    let file = enumeration.parent_file();
    let line = Positions::of(&file).line(enumeration.path());
    let fault = format!("enum `{}` has no `_UNSPECIFIED = 0`", enumeration.name());
    Some(Violation::new(&workspace_path(&file), line, fault, "make that its first value"))
}

fn at(method: &MethodDescriptor, fault: String, mend: &str) -> Violation {
    let file = method.parent_service().parent_file();
    let line = Positions::of(&file).line(method.path());
    Violation::new(&workspace_path(&file), line, fault, mend)
}

#[cfg(test)]
mod tests {
    use super::super::compile;
    use super::*;
    use crate::tree::{self, SourceFile};
    use crate::violation;

    /// The least of Google's annotation that a mapping needs.
    const HTTP: &str = r#"syntax = "proto3";
package google.api;
import "google/protobuf/descriptor.proto";
message HttpRule { string get = 2; }
extend google.protobuf.MethodOptions { HttpRule http = 72295728; }
"#;
    const HEAD: &str = r#"syntax = "proto3"; package tidemill.x.v1; import "google/api/annotations.proto";
import "google/protobuf/empty.proto";
"#;

    fn faults(body: &str) -> Vec<usize> {
        let files = [
            SourceFile::new("proto/google/api/annotations.proto", HTTP),
            SourceFile::new("proto/tidemill/x/v1/x.proto", format!("{HEAD}{body}")),
        ];
        let violations = compile(&files).map_or_else(|failure| vec![failure], |pool| check(&pool));
        let mut lines: Vec<usize> =
            violation::places(&violations).into_iter().map(|(_, line)| line).collect();
        lines.sort_unstable();
        lines
    }

    #[test]
    fn the_contracts_have_the_shape_of_the_house() -> anyhow::Result<()> {
        let violations = compile(&tree::files()?).map_or_else(|failure| vec![failure], |pool| check(&pool));
        violation::expect_none("shape of contracts", &violations)
    }

    #[test]
    fn public_internal_and_operator_services_in_good_shape_pass() {
        let body = r#"// Public.
service AService {
  rpc Get(GetRequest) returns (GetResponse) { option (google.api.http) = { get: "/v1/a" }; }
  rpc Push(stream PushRequest) returns (stream PushResponse);
}
// Internal: for the house.
service BService { rpc Claim(ClaimRequest) returns (ClaimResponse); }
// Operator: makes tenants.
service CService { rpc Add(AddRequest) returns (AddResponse) { option (google.api.http) = { get: "/v1/c" }; } }
message GetRequest {} message GetResponse {} message PushRequest {} message PushResponse {}
message ClaimRequest { string tenant = 1; } message ClaimResponse {}
message AddRequest { string tenant = 1; } message AddResponse {}
enum State { STATE_UNSPECIFIED = 0; STATE_DONE = 1; }
"#;
        assert_eq!(faults(body), [0usize; 0]);
    }

    #[test]
    fn every_departure_from_the_shape_is_reported() {
        let body = r#"// Public.
service AService {
  rpc Get(GetRequest) returns (GetResponse);
  rpc See(SeeRequest) returns (GetResponse) { option (google.api.http) = { get: "/v1/see" }; }
  rpc Go(GoRequest) returns (google.protobuf.Empty) { option (google.api.http) = { get: "/v1/go" }; }
}
message GetRequest {} message GetResponse {} message SeeRequest {}
message GoRequest {
  string tenant = 1;
}
enum State { STATE_NEW = 0; }
"#;
        assert_eq!(faults(body), [5, 6, 7, 11, 13]);
    }
}
