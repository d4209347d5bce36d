//! JSON objects between rows, which hold them as text, and `google.protobuf.Struct`.
//!
//! The text is canonical: keys in order, no spaces, whole numbers without a fraction. So the same content is the same
//! text, whoever sent it. Numbers are doubles, as `Struct` has no others.

use pbjson_types::value::Kind;
use pbjson_types::{ListValue, Struct, Value};
use serde_json::{Map, Number};

use crate::{Error, Result};

/// Up to here every whole number is a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The canonical text of an object of at most `max` bytes; `{}` when it is not set.
pub fn decode(field: &str, message: Option<Struct>, max: usize) -> Result<String> {
    let text = serde_json::Value::Object(object(field, message.unwrap_or_default())?).to_string();
    super::rule::text(field, text, max)
}

/// The message of an object's text; of the empty text, an empty object.
pub fn encode(text: &str) -> Result<Struct> {
    if text.is_empty() {
        return Ok(Struct::default());
    }
    let fields: Map<String, serde_json::Value> = serde_json::from_str(text)
        .map_err(|fault| Error::corrupt(format!("a stored JSON object cannot be read: {fault}")))?;
    Ok(structure(fields))
}

fn structure(fields: Map<String, serde_json::Value>) -> Struct {
    fields.into_iter().map(|(key, item)| (key, message(item))).collect()
}

fn message(value: serde_json::Value) -> Value {
    let kind = match value {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(truth) => Kind::BoolValue(truth),
        // JSON text has no number that is not a double, save for rounding.
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => Kind::StringValue(text),
        serde_json::Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(message).collect() })
        }
        serde_json::Value::Object(fields) => Kind::StructValue(structure(fields)),
    };
    Value { kind: Some(kind) }
}

fn object(field: &str, message: Struct) -> Result<Map<String, serde_json::Value>> {
    let mut fields: Vec<_> = message.fields.into_iter().collect();
    fields.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    fields.into_iter().map(|(key, item)| Ok((key, value(field, item)?))).collect()
}

fn value(field: &str, message: Value) -> Result<serde_json::Value> {
    Ok(match message.kind {
        // The generated JSON reader leaves the kind out for null.
        Some(Kind::NullValue(_)) | None => serde_json::Value::Null,
        Some(Kind::BoolValue(truth)) => truth.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::NumberValue(number)) => self::number(field, number)?.into(),
        Some(Kind::ListValue(list)) => {
            list.values.into_iter().map(|item| value(field, item)).collect::<Result<Vec<_>>>()?.into()
        }
        Some(Kind::StructValue(inner)) => object(field, inner)?.into(),
    })
}

fn number(field: &str, number: f64) -> Result<Number> {
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number in range, checked above")]
        return Ok(Number::from(number as i64));
    }
    Number::from_f64(number).ok_or_else(|| {
        Error::field(field, "has a number that JSON has no word for (infinite, or not a number)")
    })
}
