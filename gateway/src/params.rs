//! Path variables and query parameters as the JSON of the request's fields. Pure but for the descriptors.
//!
//! A parameter is a field's path, in either spelling: `page_size`, `pageSize`, `task.id`. A repeated field's parameter
//! may come again; any other may come once. Source: the transcoding rules in `google/api/http.proto`.

use prost_reflect::{Kind, MessageDescriptor};
use serde_json::{Map, Value};
use tidemill_proto::Body;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::fields;
use crate::template;

/// No field of ours lies deeper; a hostile query's may not.
const DEPTH: usize = 16;

/// The fields that path and query give, as the JSON of the request.
pub(crate) fn read(
    endpoint: &Endpoint,
    values: &[String],
    query: Option<&str>,
) -> Result<Map<String, Value>, Error> {
    let mut object = Map::new();
    for (field, raw) in endpoint.variables.iter().zip(values) {
        let text = template::decode(raw).ok_or_else(|| fault(field, NOT_UTF_8))?;
        insert(&mut object, &endpoint.input, field, &text)?;
    }
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name).ok_or_else(|| fault("the query", NOT_UTF_8))?;
        let text = decode(text).ok_or_else(|| fault(&name, NOT_UTF_8))?;
        let first = fields::named(&endpoint.input, name.split('.').next().unwrap_or_default());
        let in_body = match endpoint.route.body {
            Body::None => false,
            Body::Whole => true,
            Body::Field(field) => first.is_some_and(|first| first.name() == field),
        };
        if in_body {
            return Err(fault(&name, "belongs into the body, not into the query"));
        }
        insert(&mut object, &endpoint.input, &name, &text)?;
    }
    Ok(object)
}

const NOT_UTF_8: &str = "is not UTF-8 when its percent-encoding is undone";

fn fault(field: &str, rule: impl Into<String>) -> Error {
    Error::Parameter { field: field.to_owned(), rule: rule.into() }
}

/// Undoes the encoding of a query, where a plus sign is a space.
fn decode(raw: &str) -> Option<String> {
    template::decode(&raw.replace('+', "%20"))
}

/// Puts one parameter at its place.
fn insert(
    object: &mut Map<String, Value>,
    message: &MessageDescriptor,
    path: &str,
    text: &str,
) -> Result<(), Error> {
    let mut names = path.split('.');
    let (mut object, mut message) = (object, message.clone());
    for _ in 0..DEPTH {
        let name = names.next().unwrap_or_default();
        let field = fields::named(&message, name).ok_or_else(|| fault(path, unknown(&message)))?;
        let key = field.json_name().to_owned();
        let is_last = names.clone().next().is_none();
        match field.kind() {
            Kind::Message(inner) if !is_last && !field.is_list() && !field.is_map() => {
                let next = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
                object = next.as_object_mut().ok_or_else(|| fault(path, "is given twice"))?;
                message = inner;
            }
            _ if !is_last => return Err(fault(path, format!("`{name}` has no fields of its own"))),
            kind => {
                let value = fields::from_text(&kind, text).filter(|_| !field.is_map());
                let value = value.ok_or_else(|| {
                    fault(
                        path,
                        match kind {
                            Kind::Message(_) => "can be given in a body only".to_owned(),
                            kind => format!("`{}` is not {}", shorten(text), fields::takes(&kind)),
                        },
                    )
                })?;
                return put(object, key, value, field.is_list()).ok_or_else(|| fault(path, "is given twice"));
            }
        }
    }
    Err(fault(path, "names no field: it is too deep"))
}

fn put(object: &mut Map<String, Value>, key: String, value: Value, is_list: bool) -> Option<()> {
    if is_list {
        object.entry(key).or_insert_with(|| Value::Array(Vec::new())).as_array_mut()?.push(value);
        return Some(());
    }
    object.insert(key, value).is_none().then_some(())
}

fn unknown(message: &MessageDescriptor) -> String {
    let names: Vec<_> = message.fields().map(|field| field.name().to_owned()).collect();
    if names.is_empty() {
        return "is not a parameter: this call takes none".to_owned();
    }
    format!("is not a parameter: there are {}", names.join(", "))
}

fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
