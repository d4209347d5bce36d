//! The recipes that every installation has.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Choices, Kind, Prompt, Recipe};

/// About 3,000 tokens: fits small models, and holds an article whole.
const DOCUMENT_CHARS: usize = 12_000;

/// Local text analysis: no model, no cost.
pub(super) fn brief() -> Recipe {
    Recipe {
        name: "brief".to_owned(),
        version: 1,
        description:
            "Language, keywords, extractive summary, tone and readability, computed without a model."
                .to_owned(),
        parameters_schema: None,
        output_schema: brief_schema(),
        kind: Kind::Local,
    }
}

fn brief_schema() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    let share = json!({ "type": "number", "minimum": 0, "maximum": 1 });
    let optional = |properties: Value| {
        let names: Vec<&String> =
            properties.as_object().into_iter().flatten().map(|(name, _)| name).collect();
        json!({ "type": ["object", "null"], "required": names, "properties": properties, "additionalProperties": false })
    };
    let mut keyword = optional(json!({ "text": { "type": "string" }, "score": share }));
    keyword["type"] = json!("object");
    let mut schema = optional(json!({
        "language": optional(json!({ "code": { "type": "string" }, "confidence": share })),
        "keywords": { "type": "array", "maxItems": 10, "items": keyword },
        "summary": { "type": "string" },
        "sentiment": optional(json!({
            "label": { "enum": ["positive", "neutral", "negative"] },
            "score": { "type": "number", "minimum": -1, "maximum": 1 },
        })),
        "readability": optional(json!({
            "flesch_reading_ease": { "type": "number" }, "grade": { "type": "number" },
        })),
        "word_count": count, "sentence_count": count, "reading_time_seconds": count,
    }));
    schema["type"] = json!("object");
    schema
}

/// An abstractive summary with its key points.
pub(super) fn summarize() -> Recipe {
    Recipe {
        name: "summarize".to_owned(),
        version: 1,
        description: "A summary in the document's own language and its key points, written by a model."
            .to_owned(),
        parameters_schema: Some(json!({
            "type": "object",
            "properties": {
                "sentences": { "type": "integer", "minimum": 1, "maximum": 10 },
                "language": { "type": "string", "minLength": 1, "maxLength": 40 },
            },
            "additionalProperties": false,
        })),
        output_schema: json!({
            "type": "object",
            "properties": {
                "summary": { "type": "string", "minLength": 1 },
                "key_points": { "type": "array", "items": { "type": "string", "minLength": 1 } },
            },
            "required": ["summary", "key_points"],
            "additionalProperties": false,
        }),
        kind: Kind::Prompt(Prompt {
            system: "You summarize documents accurately and add nothing of your own.".to_owned(),
            template: "Summarize the document in at most {{ parameters.sentences or 3 }} sentences\
                {% if parameters.language %}, in this language: {{ parameters.language }}\
                {% else %}, in its own language{% endif %}. \
                Then list up to five key points, each in one short sentence.\n\n{{ document }}"
                .to_owned(),
            choices: None,
            document_chars: DOCUMENT_CHARS,
            max_tokens: 800,
            temperature: None,
            timeout: Duration::from_secs(60),
        }),
    }
}

/// One label out of a given list.
pub(super) fn classify() -> Recipe {
    Recipe {
        name: "classify".to_owned(),
        version: 1,
        description: "The one label of a given list that fits the document best, chosen by a model.".to_owned(),
        parameters_schema: Some(json!({
            "type": "object",
            "properties": {
                "labels": {
                    "type": "array", "minItems": 2, "maxItems": 100, "uniqueItems": true,
                    "items": { "type": "string", "minLength": 1, "maxLength": 100 },
                },
            },
            "required": ["labels"],
            "additionalProperties": false,
        })),
        output_schema: json!({
            "type": "object",
            "properties": {
                "label": { "type": "string" },
                "confidence": { "type": "number", "minimum": 0, "maximum": 1 },
                "reason": { "type": "string" },
            },
            "required": ["label", "confidence", "reason"],
            "additionalProperties": false,
        }),
        kind: Kind::Prompt(Prompt {
            system: "You classify documents.".to_owned(),
            template: "Choose the one label that fits the document best:\n\
                {% for label in parameters.labels %}- {{ label }}\n{% endfor %}\
                Say how confident you are, from 0 to 1, and give your reason in one short sentence.\n\n{{ document }}"
                .to_owned(),
            choices: Some(Choices { pointer: "/properties/label".to_owned(), parameter: "labels".to_owned() }),
            document_chars: DOCUMENT_CHARS,
            max_tokens: 300,
            temperature: None,
            timeout: Duration::from_secs(60),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Registry, answer};
    use crate::text;

    #[test]
    fn every_schema_compiles_and_requires_all_it_names() {
        for recipe in Registry::builtin().iter() {
            let schemas = recipe.parameters_schema.iter().chain([&recipe.output_schema]);
            for schema in schemas {
                answer::compile(recipe, schema).unwrap();
            }
            // What strict structured outputs ask for.
            let names = recipe.output_schema["properties"].as_object().unwrap().len();
            assert_eq!(recipe.output_schema["required"].as_array().unwrap().len(), names, "{}", recipe.name);
            assert_eq!(recipe.output_schema["additionalProperties"], false);
        }
    }

    #[test]
    fn the_local_analyser_follows_its_schema() {
        let recipe = super::brief();
        let validator = answer::compile(&recipe, &recipe.output_schema).unwrap();
        for (title, body) in
            [("", ""), ("Storm", "A storm hit the coast. It was terrible."), ("", "狐狸跳过了懒狗。")]
        {
            let json = serde_json::to_value(text::analyze(title, body)).unwrap();
            assert_eq!(answer::check(&validator, &json), Ok(()), "{json}");
        }
    }
}
