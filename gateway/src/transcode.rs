//! A request's parameters and body into the wire bytes of its message.
//!
//! Where no parameter meets the body, the body goes straight into the generated code; only a request that has both is
//! put together as a JSON value first. Source: the transcoding rules in `google/api/http.proto`.

use bytes::Bytes;
use prost_reflect::{Kind, MessageDescriptor};
use serde_json::{Map, Value};
use tidemill_proto::Body;

use crate::endpoint::Endpoint;
use crate::fields;
use crate::json::{self, JsonError, Source};

/// The message of these parameters and this body.
pub(crate) fn message(
    endpoint: &Endpoint,
    params: &Map<String, Value>,
    body: &[u8],
    source: Source,
) -> Result<Bytes, JsonError> {
    let encode = |text: &[u8], source| {
        if endpoint.free_form {
            json::check_depth(text)?;
        }
        json::encode(endpoint.route.encode, text, &endpoint.input, source)
    };
    let made =
        |object: Map<String, Value>| encode(Value::Object(object).to_string().as_bytes(), Source::Made);
    match (endpoint.route.body, params.is_empty()) {
        (Body::None, true) => Ok(Bytes::new()),
        (Body::None, false) => made(params.clone()),
        (Body::Whole, true) => {
            json::not_empty(body)?;
            encode(body, source)
        }
        (Body::Whole, false) => made(merged(&endpoint.input, params, body, source)?),
        (Body::Field(field), true) => {
            json::check(body, source).map_err(|fault| fault.within(field))?;
            let (text, ours) = wrap(field, body);
            let source = match source {
                Source::Body(_) => Source::Body(ours),
                Source::Line(_) => Source::Line(ours),
                Source::Made => Source::Made,
            };
            encode(&text, source)
        }
        (Body::Field(field), false) => {
            let mut object = params.clone();
            let value = json::value(body, source).map_err(|fault| fault.within(field))?;
            object.insert(field.to_owned(), value);
            made(object)
        }
    }
}

/// The body as the one member of an object, and how many bytes come before it.
fn wrap(field: &str, body: &[u8]) -> (Vec<u8>, usize) {
    let head = format!("{{\"{field}\":");
    let ours = head.len();
    let mut text = head.into_bytes();
    text.reserve(body.len() + 1);
    text.extend_from_slice(body);
    text.push(b'}');
    (text, ours)
}

/// Body and parameters in one object. An empty body stands for an object without members: the path says it all.
fn merged(
    input: &MessageDescriptor,
    params: &Map<String, Value>,
    body: &[u8],
    source: Source,
) -> Result<Map<String, Value>, JsonError> {
    if json::not_empty(body).is_err() {
        return Ok(params.clone());
    }
    let Value::Object(mut object) = json::value(body, source)? else {
        return Err(JsonError::at("", "the body must be a JSON object"));
    };
    merge(&mut object, params, input)?;
    Ok(object)
}

/// Adds the parameters to the body's members; a field that is in both must be the same in both.
fn merge(
    object: &mut Map<String, Value>,
    params: &Map<String, Value>,
    message: &MessageDescriptor,
) -> Result<(), JsonError> {
    for (key, value) in params {
        let field = fields::named(message, key);
        let other_name = field.as_ref().map_or(key.as_str(), |field| field.name());
        let known = object.remove(key).or_else(|| object.remove(other_name));
        let inner = field.as_ref().and_then(|field| match field.kind() {
            Kind::Message(inner) => Some(inner),
            _ => None,
        });
        let value = match (known, value, inner) {
            (None, value, _) => value.clone(),
            (Some(Value::Object(mut known)), Value::Object(value), Some(inner)) => {
                merge(&mut known, value, &inner)?;
                Value::Object(known)
            }
            (Some(known), value, _) if known == *value => known,
            (Some(_), value, _) => {
                let rule =
                    format!("is {value} in the path and something else in the body: leave it out there");
                return Err(JsonError::at(other_name, rule));
            }
        };
        object.insert(key.clone(), value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use serde_json::json;
    use tidemill_proto::ingestion::v1::PushDocumentsRequest;
    use tidemill_proto::scheduling::v1::{CancelTaskRequest, ListTasksRequest};

    use super::*;
    use crate::access::Catalogue;
    use crate::router::Found;

    /// The wire bytes for a request, or what is said about it.
    fn transcoded(method: &str, path: &str, query: &str, body: &str) -> Result<Bytes, String> {
        let pool = prost_reflect::DescriptorPool::decode(tidemill_proto::DESCRIPTORS).unwrap();
        let router = crate::endpoint::router(tidemill_proto::ROUTES, &pool, &Catalogue::new(&pool)).unwrap();
        let Found::Route(endpoint, values) = router.find(method, path) else { panic!("no route {path}") };
        let values: Vec<_> = values.into_iter().map(str::to_owned).collect();
        let params =
            crate::params::read(endpoint, &values, Some(query)).map_err(|fault| fault.to_string())?;
        message(endpoint, &params, body.as_bytes(), Source::Body(0)).map_err(|fault| fault.to_string())
    }

    #[test]
    fn parameters_alone_make_the_message() {
        let wire = transcoded("GET", "/v1/tasks", "state=TASK_STATE_DEAD&pageSize=7", "").unwrap();
        let expected = ListTasksRequest { state: 4, page_size: 7, ..ListTasksRequest::default() };
        assert_eq!(ListTasksRequest::decode(wire), Ok(expected));
        assert_eq!(transcoded("GET", "/v1/tasks", "", ""), Ok(Bytes::new()));
    }

    #[test]
    fn the_path_s_field_joins_the_body_s() {
        let expected = Ok(CancelTaskRequest { id: "a/b".into() });
        for body in ["", " ", "{}", r#"{"id":"a/b"}"#] {
            let wire = transcoded("POST", "/v1/tasks/a%2Fb:cancel", "", body).unwrap();
            assert_eq!(CancelTaskRequest::decode(wire), expected, "{body}");
        }
        let said = transcoded("POST", "/v1/tasks/a:cancel", "", r#"{"id":"b"}"#).unwrap_err();
        assert!(said.contains("id: is \"a\" in the path"), "{said}");
        let said = transcoded("POST", "/v1/tasks/a:cancel", "", "[]").unwrap_err();
        assert!(said.contains("must be a JSON object"), "{said}");
        let said = transcoded("POST", "/v1/tasks/a:cancel", "id=a", "").unwrap_err();
        assert!(said.contains("belongs into the body"), "{said}");
    }

    #[test]
    fn a_body_that_is_one_field_is_put_there_and_places_stay_its_own() {
        let path = "/v1/documents:stream";
        let wire = transcoded("POST", path, "sequence=3", r#"{"title":"t"}"#).unwrap();
        let request = PushDocumentsRequest::decode(wire).unwrap();
        assert_eq!((request.sequence, request.document.unwrap().title.as_str()), (3, "t"));
        let wire = transcoded("POST", path, "", r#"{"title":"t"}"#).unwrap();
        assert_eq!(PushDocumentsRequest::decode(wire).unwrap().document.unwrap().title, "t");
        let said = transcoded("POST", path, "", r#"{"titel":"t"}"#).unwrap_err();
        assert!(said.starts_with("line 1, column 8: document.titel: unknown field"), "{said}");
        let said = transcoded("POST", path, "", r#"{}, "sequence": 5"#).unwrap_err();
        assert!(said.contains("trailing characters"), "{said}");
        let said = transcoded("POST", path, "document.title=x", "{}").unwrap_err();
        assert!(said.contains("belongs into the body"), "{said}");
    }

    #[test]
    fn the_deepest_json_that_is_taken_makes_a_message_that_services_can_read() {
        use tidemill_proto::ingestion::v1::CreateQueryRequest;
        let body = |depth: usize| {
            let (open, close) = ("{\"a\":".repeat(depth), "}".repeat(depth));
            format!("{{\"parameters\":{open}1{close}}}")
        };
        let wire = transcoded("POST", "/v1/queries", "", &body(31)).unwrap();
        // Services hand it on within messages of their own.
        let query = CreateQueryRequest::decode(wire).unwrap().parameters;
        let query = tidemill_proto::types::v1::Query { parameters: query, ..Default::default() };
        let answer =
            tidemill_proto::ingestion::v1::ListQueriesResponse { queries: vec![query], ..Default::default() };
        assert!(tidemill_proto::ingestion::v1::ListQueriesResponse::decode(&*answer.encode_to_vec()).is_ok());
        let said = transcoded("POST", "/v1/queries", "", &body(32)).unwrap_err();
        assert_eq!(said, "parameters: nests more than 32 deep: flatten it");
    }

    #[test]
    fn nested_parameters_join_nested_bodies() {
        let pool = prost_reflect::DescriptorPool::decode(tidemill_proto::DESCRIPTORS).unwrap();
        let lease = pool.get_message_by_name("tidemill.types.v1.Lease").unwrap();
        let params = json!({"task": {"id": "x", "runAt": "now"}});
        let body = br#"{"task": {"id": "x", "kind": "k", "run_at": "now"}, "token": "t"}"#;
        let seen = merged(&lease, params.as_object().unwrap(), body, Source::Body(0)).unwrap();
        assert_eq!(
            Value::Object(seen),
            json!({"task": {"id": "x", "kind": "k", "runAt": "now"}, "token": "t"})
        );
    }
}
