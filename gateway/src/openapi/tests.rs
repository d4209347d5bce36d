//! The document over the real contracts.

use serde_json::json;
use tidemill_proto::ROUTES;

use super::*;

fn document() -> Value {
    let pool = DescriptorPool::decode(tidemill_proto::DESCRIPTORS).unwrap();
    serde_json::from_slice(&text(ROUTES, &pool).unwrap()).unwrap()
}

/// Every object in a document.
fn objects<'d>(value: &'d Value, all: &mut Vec<&'d Map<String, Value>>) {
    match value {
        Value::Object(object) => {
            all.push(object);
            object.values().for_each(|value| objects(value, all));
        }
        Value::Array(items) => items.iter().for_each(|value| objects(value, all)),
        _ => {}
    }
}

#[test]
fn every_route_is_described_with_all_its_path_variables() {
    let document = document();
    for route in ROUTES {
        let operation = &document["paths"][route.template][route.verb.to_lowercase()];
        assert!(operation["description"].as_str().is_some_and(|text| !text.is_empty()), "{}", route.template);
        assert_eq!(operation["requestBody"].is_null(), route.body == Body::None, "{}", route.template);
        let in_path = operation["parameters"].as_array().unwrap().iter().filter(|one| one["in"] == "path");
        assert_eq!(in_path.count(), route.template.matches('{').count(), "{}", route.template);
    }
}

#[test]
fn every_reference_leads_to_a_schema_and_every_operation_has_its_own_id() {
    let document = document();
    let mut all = Vec::new();
    objects(&document, &mut all);
    let references: Vec<_> = all.iter().filter_map(|object| object.get("$ref")?.as_str()).collect();
    assert!(references.len() > 20);
    for reference in references {
        let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
        assert_eq!(schema["type"], "object", "{reference}");
    }
    let mut ids: Vec<_> = all.iter().filter_map(|object| object.get("operationId")?.as_str()).collect();
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!((ids.len(), count), (ROUTES.len(), ROUTES.len()));
}

#[test]
fn schemas_follow_the_json_mapping() {
    let document = document();
    let field = |message: &str, field: &str| {
        let mut schema = document["components"]["schemas"][message]["properties"][field].clone();
        assert!(schema.as_object_mut().unwrap().remove("description").is_some(), "{message} {field}");
        schema
    };
    for (message, name, expected) in [
        ("tidemill.storage.v1.GetCountsResponse", "documents", json!({"type": "string", "format": "int64"})),
        ("tidemill.types.v1.NewTask", "runAt", json!({"type": "string", "format": "date-time"})),
        ("tidemill.types.v1.NewTask", "maxAttempts", json!({"type": "integer", "format": "int32"})),
        ("tidemill.types.v1.Query", "parameters", json!({"type": "object"})),
        ("tidemill.types.v1.Result", "score", json!({"type": "number", "format": "double"})),
        (
            "tidemill.storage.v1.ListResultsResponse",
            "results",
            json!({"type": "array", "items": {"$ref": "#/components/schemas/tidemill.types.v1.Result"}}),
        ),
    ] {
        assert_eq!(field(message, name), expected, "{message} {name}");
    }
    let priorities = &field("tidemill.types.v1.Query", "priority")["enum"];
    assert_eq!(priorities[1], "PRIORITY_INTERACTIVE");
    let list = &document["paths"]["/v1/tasks"]["get"]["parameters"];
    assert!(list.as_array().unwrap().iter().any(|one| one["name"] == "pageSize" && one["in"] == "query"));
    let push = &document["paths"]["/v1/documents:stream"]["post"];
    let line = &push["requestBody"]["content"]["application/x-ndjson"]["schema"]["$ref"];
    assert_eq!(line, "#/components/schemas/tidemill.ingestion.v1.NewDocument");
    assert!(!push["responses"]["200"]["content"]["text/event-stream"].is_null());
}
