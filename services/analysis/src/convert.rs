//! JSON between `serde_json` and `google.protobuf.Struct`, and recipes and their outputs as messages.
//!
//! `Struct` has doubles only: whole numbers up to 2^53 come back as integers, so that a schema's `integer` holds.

use pbjson_types::value::Kind as Of;
use pbjson_types::{ListValue, Struct};
use serde_json::{Map, Number, Value};
use tidemill_kernel::Fault;
use tidemill_proto::analysis::v1 as api;
use tidemill_proto::types::v1::Analysis;

use crate::Result;
use crate::recipe::{Kind, Output, Recipe, RecipeError};

/// Up to here every whole number is a double.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The message of what a recipe said; `created_at` is left to whoever stores or sends it.
///
/// # Errors
/// [`RecipeError::Definition`] for an output that is not an object.
pub fn analysis(recipe: &Recipe, output: Output) -> Result<Analysis> {
    let Value::Object(fields) = output.json else {
        let reason = "its output is not a JSON object".to_owned();
        return Err(RecipeError::Definition { recipe: recipe.reference(), reason }.into());
    };
    Ok(Analysis {
        recipe: recipe.reference(),
        output: Some(structure(fields)),
        provider: output.provider,
        model: if recipe.kind == Kind::Local { String::new() } else { output.model },
        input_tokens: tokens(output.usage.input),
        output_tokens: tokens(output.usage.output),
        created_at: None,
    })
}

fn tokens(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The message that describes a recipe.
pub fn recipe(recipe: &Recipe) -> api::Recipe {
    let schema = recipe.output_schema.as_object().cloned();
    api::Recipe {
        name: recipe.reference(),
        description: recipe.description.clone(),
        local: recipe.kind == Kind::Local,
        output_schema: schema.map(structure),
    }
}

/// The message of a JSON object.
pub fn structure(fields: Map<String, Value>) -> Struct {
    fields.into_iter().map(|(name, value)| (name, message(value))).collect()
}

fn message(value: Value) -> pbjson_types::Value {
    let kind = match value {
        Value::Null => Of::NullValue(0),
        Value::Bool(truth) => Of::BoolValue(truth),
        // JSON text has no number that is not a double, save for rounding.
        Value::Number(number) => Of::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Of::StringValue(text),
        Value::Array(items) => Of::ListValue(ListValue { values: items.into_iter().map(message).collect() }),
        Value::Object(fields) => Of::StructValue(structure(fields)),
    };
    pbjson_types::Value { kind: Some(kind) }
}

/// The JSON object of the message in this field; empty when it is not set.
///
/// # Errors
/// A [`Fault`] that names the field, for a number that JSON has no word for.
pub fn object(field: &str, message: Option<Struct>) -> Result<Map<String, Value>, Fault> {
    let fields = message.unwrap_or_default().fields;
    fields.into_iter().map(|(name, item)| Ok((name, value(field, item)?))).collect()
}

fn value(field: &str, message: pbjson_types::Value) -> Result<Value, Fault> {
    Ok(match message.kind {
        // The generated JSON reader leaves the kind out for null.
        Some(Of::NullValue(_)) | None => Value::Null,
        Some(Of::BoolValue(truth)) => truth.into(),
        Some(Of::StringValue(text)) => text.into(),
        Some(Of::NumberValue(number)) => self::number(field, number)?.into(),
        Some(Of::ListValue(list)) => {
            list.values.into_iter().map(|item| value(field, item)).collect::<Result<Vec<_>, Fault>>()?.into()
        }
        Some(Of::StructValue(inner)) => object(field, Some(inner))?.into(),
    })
}

fn number(field: &str, number: f64) -> Result<Number, Fault> {
    whole(number).or_else(|| Number::from_f64(number)).ok_or_else(|| {
        Fault::invalid(field, "has a number that JSON has no word for: send finite numbers only")
    })
}

/// A whole number in range as an integer.
fn whole(number: f64) -> Option<Number> {
    #[expect(clippy::cast_possible_truncation, reason = "a whole number in range, checked here")]
    (number.fract() == 0.0 && number.abs() <= EXACT).then(|| Number::from(number as i64))
}

/// JSON that was written from a message, as it was before: the message's JSON says `2.0` for 2, and a prompt would too.
pub fn with_whole_numbers(value: Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().and_then(whole).unwrap_or(number).into(),
        Value::Array(items) => items.into_iter().map(with_whole_numbers).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, with_whole_numbers(value))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-(1_i64 << 53)..=1 << 53).prop_map(Value::from),
            any::<f64>()
                .prop_filter("has a fraction", |x| x.is_finite() && x.fract() != 0.0)
                .prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_survives_the_message(fields in prop::collection::btree_map(".{0,4}", any_value(), 0..5)) {
            let fields: Map<String, Value> = fields.into_iter().collect();
            prop_assert_eq!(object("f", Some(structure(fields.clone()))), Ok(fields));
        }
    }

    #[test]
    fn numbers_without_a_word_in_json_are_refused_where_they_stand() {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let inner = pbjson_types::Value { kind: Some(Of::NumberValue(number)) };
            let list = Of::ListValue(ListValue { values: vec![inner] });
            let message =
                Struct { fields: [("x".to_owned(), pbjson_types::Value { kind: Some(list) })].into() };
            assert_eq!(object("parameters", Some(message)).unwrap_err().violations[0].field, "parameters");
        }
    }

    #[test]
    fn whole_numbers_are_integers_again_wherever_they_stand() {
        let parameters = json!({ "a": 2, "b": [0.5, { "c": 1e300 }] }).as_object().unwrap().clone();
        let written = serde_json::to_value(structure(parameters.clone())).unwrap();
        assert_eq!(with_whole_numbers(written), Value::Object(parameters));
    }

    #[test]
    fn an_output_must_be_an_object() {
        let recipe = crate::recipe::Registry::builtin().get("brief").unwrap().clone();
        let (usage, provider, model) = Default::default();
        let output = Output { json: json!([1]), usage, provider, model, repaired: false };
        assert!(analysis(&recipe, output).unwrap_err().to_string().contains("brief@1 is broken"));
    }
}
