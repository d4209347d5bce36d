//! `GET /openapi.json`: the HTTP side of the contracts as OpenAPI 3.1, written from their descriptors and comments.
//!
//! Schemas follow protobuf's JSON mapping as the gateway speaks it: 64-bit numbers are strings, enums are names, bytes
//! are base64, times RFC 3339. A stream is described by one of its lines. Source: OpenAPI 3.1.0; "ProtoJSON Format".

use std::collections::BTreeMap;

use bytes::Bytes;
use prost_reflect::prost_types::FileDescriptorProto;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};
use serde_json::{Map, Value, json};
use tidemill_proto::{Body, Route};

use crate::BuildError;
use crate::template::Template;

/// The schema of every error, made here: its message is not among the contracts.
const STATUS: &str = "google.rpc.Status";

/// The document.
pub(crate) fn text(routes: &[Route], pool: &DescriptorPool) -> Result<Bytes, BuildError> {
    let (mut paths, mut schemas) = (BTreeMap::<&str, Map<String, Value>>::new(), BTreeMap::new());
    for route in routes {
        let operation = operation(route, pool, &mut schemas)?;
        paths.entry(route.template).or_default().insert(route.verb.to_lowercase(), operation);
    }
    schemas.insert(
        STATUS.to_owned(),
        json!({
            "type": "object",
            "properties": {
                "code": { "type": "integer", "description": "The gRPC code." },
                "message": { "type": "string", "description": "What is wrong, and the mend." },
                "details": { "type": "array", "items": { "type": "object" } },
            },
        }),
    );
    let document = json!({
        "openapi": "3.1.0",
        "info": { "title": "Tidemill", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "security": [{ "bearer": [] }, { "key": [] }, {}],
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer" },
                "key": { "type": "apiKey", "in": "header", "name": crate::auth::API_KEY },
            },
        },
    });
    Ok(document.to_string().into())
}

type Schemas = BTreeMap<String, Value>;

fn operation(route: &Route, pool: &DescriptorPool, schemas: &mut Schemas) -> Result<Value, BuildError> {
    let missing = || BuildError::Descriptor(format!("{} is not described", route.grpc_path));
    let (service, method) = route.grpc_path.trim_start_matches('/').split_once('/').ok_or_else(missing)?;
    let service = pool.get_service_by_name(service).ok_or_else(missing)?;
    let method = service.methods().find(|found| found.name() == method).ok_or_else(missing)?;
    let template = Template::parse(route.template)?;
    let bound: Vec<&str> = template.fields().collect();
    let input = method.input();
    let mut operation = json!({
        "operationId": format!("{}_{}", service.name(), method.name()),
        "tags": [service.name()],
        "description": comment(method.parent_file().file_descriptor_proto(), method.path()),
        "parameters": parameters(route, &input, &bound, schemas),
        "responses": {
            "200": answer(&method, schemas),
            "default": {
                "description": "It was refused or failed.",
                "content": { "application/json": { "schema": reference(STATUS) } },
            },
        },
    });
    let body = match route.body {
        Body::None => None,
        Body::Whole => Some(message(&input, schemas)),
        Body::Field(name) => input.get_field_by_name(name).map(|field| schema(&field, schemas)),
    };
    if let Some(schema) = body {
        let media_type = if route.client_streaming { "application/x-ndjson" } else { "application/json" };
        operation["requestBody"] =
            json!({ "required": bound.is_empty(), "content": { media_type: { "schema": schema } } });
    }
    Ok(operation)
}

/// The fields in the path, then those that a query may give.
fn parameters(route: &Route, input: &MessageDescriptor, bound: &[&str], schemas: &mut Schemas) -> Vec<Value> {
    let in_query = |field: &FieldDescriptor| match route.body {
        Body::Whole => false,
        Body::None => true,
        Body::Field(name) => field.name() != name,
    };
    let fields = input.fields().filter_map(|field| {
        let in_path = bound.contains(&field.name());
        let name = if in_path { field.name() } else { field.json_name() };
        (in_path || in_query(&field)).then(|| {
            json!({
                "name": name,
                "in": if in_path { "path" } else { "query" },
                "required": in_path,
                "description": described(&field),
                "schema": schema(&field, schemas),
            })
        })
    });
    fields.collect()
}

fn answer(method: &MethodDescriptor, schemas: &mut Schemas) -> Value {
    let schema = json!({ "schema": message(&method.output(), schemas) });
    let content = if method.is_server_streaming() {
        json!({ "application/x-ndjson": schema, "text/event-stream": schema })
    } else {
        json!({ "application/json": schema })
    };
    let output = method.output();
    let file = output.parent_file();
    json!({ "description": comment(file.file_descriptor_proto(), output.path()), "content": content })
}

/// The schema of what a field holds.
fn schema(field: &FieldDescriptor, schemas: &mut Schemas) -> Value {
    if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
        return json!({ "type": "object", "additionalProperties": value(&entry.map_entry_value_field().kind(), schemas) });
    }
    let one = value(&field.kind(), schemas);
    if field.is_list() { json!({ "type": "array", "items": one }) } else { one }
}

fn value(kind: &Kind, schemas: &mut Schemas) -> Value {
    match kind {
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => json!({ "type": "integer", "format": "int32" }),
        Kind::Uint32 | Kind::Fixed32 => json!({ "type": "integer", "format": "int64", "minimum": 0 }),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({ "type": "string", "format": "int64" }),
        Kind::Uint64 | Kind::Fixed64 => json!({ "type": "string", "format": "uint64" }),
        Kind::Float => json!({ "type": "number", "format": "float" }),
        Kind::Double => json!({ "type": "number", "format": "double" }),
        Kind::String => json!({ "type": "string" }),
        Kind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
        Kind::Enum(names) => {
            json!({ "type": "string", "enum": names.values().map(|value| value.name().to_owned()).collect::<Vec<_>>() })
        }
        Kind::Message(inner) => message(inner, schemas),
    }
}

/// A reference to the schema of a message, which is written once; what has a JSON of its own is written in place.
fn message(message: &MessageDescriptor, schemas: &mut Schemas) -> Value {
    let name = message.full_name();
    match name {
        "google.protobuf.Timestamp" => return json!({ "type": "string", "format": "date-time" }),
        "google.protobuf.Duration" => return json!({ "type": "string", "pattern": r"^-?\d+(\.\d{1,9})?s$" }),
        "google.protobuf.Struct" => return json!({ "type": "object" }),
        "google.protobuf.ListValue" => return json!({ "type": "array" }),
        "google.protobuf.Value" => return json!({}),
        _ => {}
    }
    if !schemas.contains_key(name) {
        // It stands before its fields are looked at, so that a message within itself ends.
        schemas.insert(name.to_owned(), Value::Null);
        let properties: Map<String, Value> = message
            .fields()
            .map(|field| {
                let mut schema = schema(&field, schemas);
                // A sibling of `$ref` is allowed since 3.1.
                schema["description"] = described(&field).into();
                (field.json_name().to_owned(), schema)
            })
            .collect();
        let file = message.parent_file();
        let description = comment(file.file_descriptor_proto(), message.path());
        schemas.insert(
            name.to_owned(),
            json!({ "type": "object", "description": description, "properties": properties }),
        );
    }
    reference(name)
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn described(field: &FieldDescriptor) -> String {
    comment(field.parent_message().parent_file().file_descriptor_proto(), field.path())
}

/// The leading comment of what stands at this path of a file, as one paragraph.
fn comment(file: &FileDescriptorProto, path: &[i32]) -> String {
    let mut locations = file.source_code_info.iter().flat_map(|info| &info.location);
    let location = locations.find(|location| location.path == path);
    let words = location.map_or("", |location| location.leading_comments()).split_whitespace();
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
