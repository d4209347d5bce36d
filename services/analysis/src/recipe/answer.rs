//! A model's answer as JSON that follows a schema: found in whatever stands around it, and checked.

use jsonschema::Validator;
use serde_json::{Deserializer, Map, Value};

use super::{Prompt, Recipe, RecipeError};

/// Faults that are named in one reason.
const MAX_FAULTS: usize = 5;
/// Characters of one fault: it may quote the whole answer.
const FAULT_CHARS: usize = 300;
/// Places of an answer where JSON is looked for.
const MAX_STARTS: usize = 64;
/// Rules that some providers refuse in a schema; they are checked here instead.
const REFUSED: [&str; 6] = ["minLength", "maxLength", "pattern", "format", "uniqueItems", "default"];

/// The output schema for these parameters.
pub(super) fn schema(
    recipe: &Recipe,
    prompt: &Prompt,
    parameters: &Map<String, Value>,
) -> Result<Value, RecipeError> {
    let mut schema = recipe.output_schema.clone();
    let Some(choices) = &prompt.choices else { return Ok(schema) };
    let fault = |reason| RecipeError::Definition { recipe: recipe.reference(), reason };
    let allowed = parameters.get(&choices.parameter).filter(|value| value.is_array()).ok_or_else(|| {
        fault(format!("its choices name the parameter `{}`, which is not a list", choices.parameter))
    })?;
    let place = schema.pointer_mut(&choices.pointer).and_then(Value::as_object_mut).ok_or_else(|| {
        fault(format!("its choices point to `{}`, which is not in the output schema", choices.pointer))
    })?;
    place.insert("enum".to_owned(), allowed.clone());
    Ok(schema)
}

/// The schema without the rules that some providers refuse.
pub(super) fn for_provider(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(rule, _)| !REFUSED.contains(&rule.as_str()));
            Value::Object(fields.map(|(rule, value)| (rule.clone(), without_rules(rule, value))).collect())
        }
        other => other.clone(),
    }
}

/// The value of one rule: below `properties` stand names, below `enum` and the like plain values, else schemas.
fn without_rules(rule: &str, value: &Value) -> Value {
    match (rule, value) {
        ("properties" | "$defs", Value::Object(named)) => {
            Value::Object(named.iter().map(|(name, schema)| (name.clone(), for_provider(schema))).collect())
        }
        ("enum" | "const" | "required" | "examples", _) => value.clone(),
        (_, Value::Array(schemas)) => Value::Array(schemas.iter().map(for_provider).collect()),
        _ => for_provider(value),
    }
}

/// The validator of a schema.
pub(super) fn compile(recipe: &Recipe, schema: &Value) -> Result<Validator, RecipeError> {
    jsonschema::validator_for(schema).map_err(|error| RecipeError::Definition {
        recipe: recipe.reference(),
        reason: format!("its schema does not hold: {error}"),
    })
}

/// Whether a value follows the schema; if not, where and why.
pub(super) fn check(validator: &Validator, value: &Value) -> Result<(), String> {
    let faults: Vec<String> = validator
        .iter_errors(value)
        .take(MAX_FAULTS)
        .map(|error| {
            let place = error.instance_path().to_string();
            let place = if place.is_empty() { "the whole".to_owned() } else { format!("`{place}`") };
            let fault: String = error.to_string().chars().take(FAULT_CHARS).collect();
            format!("{place}: {fault}")
        })
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}

/// The first JSON in an answer that follows the schema: the answer itself, or what stands in a fence or in prose.
pub(super) fn read(answer: &str, validator: &Validator) -> Result<Value, String> {
    // What a reasoning model thinks aloud is not its answer.
    let answer = answer.rsplit_once("</think>").map_or(answer, |(_, rest)| rest);
    let mut reason = None;
    for value in values(answer) {
        match check(validator, &value) {
            Ok(()) => return Ok(value),
            Err(fault) => reason = reason.or(Some(fault)),
        }
    }
    Err(reason.unwrap_or_else(|| "it contains no whole JSON object".to_owned()))
}

/// Every JSON object or array of the text that does not stand in another.
fn values(text: &str) -> Vec<Value> {
    let mut values = Vec::new();
    let mut rest = text;
    for _ in 0..MAX_STARTS {
        let Some(start) = rest.find(['{', '[']) else { break };
        rest = &rest[start..];
        let mut found = Deserializer::from_str(rest).into_iter::<Value>();
        match found.next() {
            Some(Ok(value)) => {
                rest = &rest[found.byte_offset()..];
                values.push(value);
            }
            _ => rest = &rest[1..],
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::builtin;
    use super::*;

    fn validator() -> Validator {
        compile(&builtin::summarize(), &builtin::summarize().output_schema).unwrap()
    }

    #[test]
    fn json_is_found_in_what_stands_around_it() {
        let json = r#"{"summary":"S {x} [y]","key_points":["a"]}"#;
        let value: Value = serde_json::from_str(json).unwrap();
        let table = [
            json.to_owned(),
            format!("\n```json\n{json}\n```\n"),
            format!("```\n{json}```"),
            format!("Sure! Here it is [1]: {json} Anything else {{?}}"),
            format!("<think>maybe {{\"summary\":\"no\",\"key_points\":[]}}</think>{json}"),
            format!("{{\"draft\":1}} then {json}"),
            format!("{{ broken {json}"),
        ];
        for answer in table {
            assert_eq!(read(&answer, &validator()).as_ref(), Ok(&value), "{answer}");
        }
    }

    #[test]
    fn faults_name_their_place() {
        let table = [
            ("", "no whole JSON"),
            ("I cannot do that.", "no whole JSON"),
            (r#"{"summary":"cut off in the mid"#, "no whole JSON"),
            (r#"{"summary":"S"}"#, "key_points"),
            (r#"{"summary":"","key_points":[]}"#, "`/summary`"),
            (r#"{"summary":"S","key_points":[1]}"#, "`/key_points/0`"),
            (r#"{"summary":"S","key_points":[],"more":1}"#, "more"),
        ];
        for (answer, words) in table {
            let reason = read(answer, &validator()).unwrap_err();
            assert!(reason.contains(words), "{answer}: {reason}");
        }
        let endless = format!(r#"{{"summary":{},"key_points":[]}}"#, json!(vec!["x"; 5_000]));
        assert!(read(&endless, &validator()).unwrap_err().len() < 2 * FAULT_CHARS);
    }

    #[test]
    fn rules_go_from_the_providers_schema_and_names_stay() {
        let schema = json!({
            "type": "object", "required": ["pattern"],
            "properties": {
                "pattern": { "type": "string", "pattern": "^a", "minLength": 1 },
                "list": { "type": "array", "uniqueItems": true, "items": { "type": "string", "format": "date" } },
                "either": { "anyOf": [{ "type": "string", "maxLength": 2 }, { "enum": ["default"] }] },
            },
        });
        let expected = json!({
            "type": "object", "required": ["pattern"],
            "properties": {
                "pattern": { "type": "string" },
                "list": { "type": "array", "items": { "type": "string" } },
                "either": { "anyOf": [{ "type": "string" }, { "enum": ["default"] }] },
            },
        });
        assert_eq!(for_provider(&schema), expected);
    }

    proptest! {
        #[test]
        fn a_valid_answer_is_found_whatever_prose_surrounds_it(
            before in "[^\\[\\]{}\"]{0,40}", after in "\\PC{0,40}", summary in "\\PC{1,40}",
            points in prop::collection::vec("\\PC{1,10}", 0..4),
        ) {
            let value = json!({ "summary": summary, "key_points": points });
            prop_assert_eq!(read(&format!("{before}{value}{after}"), &validator()), Ok(value));
        }

        #[test]
        fn no_answer_breaks_the_reader(answer in "([{}\\[\\]\",:`a]|\\PC){0,200}") {
            let _ = read(&answer, &validator()).is_ok();
        }
    }
}
