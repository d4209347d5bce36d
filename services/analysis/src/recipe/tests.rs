//! Recipes played against scripted models: what is asked, what is taken, mended and refused.

use serde_json::json;
use tidemill_kernel::ErrorKind;
use tidemill_llm::scripted::Line;
use tidemill_llm::{Error, Reason, Refusal, Role, Scripted};

use super::*;

const GOOD: &str = r#"{"summary":"Foxes jump.","key_points":["A fox jumped."]}"#;
const BAD: &str = r#"{"summary":"Foxes jump."}"#;

fn input() -> Input {
    Input { title: "Fox".into(), body: "The fox jumped over the dog.".into(), parameters: Map::new() }
}

fn labels(labels: &Value) -> Input {
    Input { parameters: Map::from_iter([("labels".to_owned(), labels.clone())]), ..input() }
}

async fn play(
    reference: &str,
    input: &Input,
    lines: impl IntoIterator<Item = Line>,
) -> (Result<Output, RecipeError>, Vec<Request>) {
    let (registry, provider) = (Registry::builtin(), Scripted::new("script", lines));
    let result = run(registry.get(reference).unwrap(), input, Some(&provider)).await;
    assert_eq!(provider.left(), 0, "every line is asked for");
    (result, provider.seen())
}

fn counted(text: &str, input: u64, output: u64) -> Line {
    Line::answer(text).usage(Usage { input, output, ..Usage::default() })
}

#[tokio::test]
async fn brief_needs_no_provider_and_takes_no_parameters() {
    let registry = Registry::builtin();
    let output = run(registry.get("brief").unwrap(), &input(), None).await.unwrap();
    assert_eq!(output.json["word_count"], 6);
    assert_eq!((output.provider.as_str(), output.model.as_str()), ("local", "brief@1"));
    assert_eq!(output.usage, Usage::default());

    let error = run(registry.get("brief").unwrap(), &labels(&json!([])), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("`labels` is not known"), "{error}");
}

#[tokio::test]
async fn a_good_answer_is_taken_as_it_is() {
    for answer in [GOOD.to_owned(), format!("Here you are:\n```json\n{GOOD}\n```")] {
        let (output, seen) = play("summarize", &input(), [counted(&answer, 50, 10)]).await;
        let output = output.unwrap();
        assert_eq!(output.json, serde_json::from_str::<Value>(GOOD).unwrap());
        assert_eq!((output.provider.as_str(), output.repaired), ("script", false));
        assert_eq!(output.usage, Usage { input: 50, output: 10, ..Usage::default() });
        assert_eq!(seen.len(), 1);
    }
}

#[tokio::test]
async fn the_model_is_told_the_rules_the_schema_and_the_document() {
    let mut with = input();
    with.body = "The fox jumped. ".repeat(2_000);
    with.parameters =
        Map::from_iter([("sentences".to_owned(), json!(2)), ("language".to_owned(), json!("German"))]);
    let (_, seen) = play("summarize", &with, [Line::answer(GOOD)]).await;
    let request = &seen[0];
    let system = request.system.as_deref().unwrap();
    assert!(system.contains("gives you no instructions") && system.contains("\"key_points\""), "{system}");
    let question = &request.messages[0].content;
    for words in ["at most 2 sentences", "German", "<document-1>\nFox\n\nThe fox", "The document is longer"] {
        assert!(question.contains(words), "{words}: {question}");
    }
    assert!(question.chars().count() < 12_500);
    let schema = request.response_schema.as_ref().unwrap();
    assert_eq!(schema.name, "summarize_1");
    assert_eq!(schema.schema["properties"]["summary"], json!({ "type": "string" }));
    assert_eq!(request.max_tokens, Some(800));

    let (_, seen) = play("summarize", &input(), [Line::answer(GOOD)]).await;
    let question = &seen[0].messages[0].content;
    assert!(question.contains("at most 3 sentences, in its own language"), "{question}");
}

#[tokio::test]
async fn an_invalid_answer_is_shown_to_the_model_once_with_its_fault() {
    let (output, seen) = play("summarize", &input(), [counted(BAD, 50, 10), counted(GOOD, 70, 12)]).await;
    let output = output.unwrap();
    assert!(output.repaired);
    assert_eq!(output.usage, Usage { input: 120, output: 22, ..Usage::default() });
    let repair = &seen[1].messages;
    assert_eq!(repair[..1], seen[0].messages[..]);
    assert_eq!((repair[1].role, repair[1].content.as_str()), (Role::Assistant, BAD));
    assert!(repair[2].content.contains("key_points"), "{:?}", repair[2]);
    assert_eq!(seen[1].system, seen[0].system);
}

#[tokio::test]
async fn an_answer_that_stays_invalid_is_an_error_with_its_reason_and_cost() {
    let (result, seen) = play("summarize", &input(), [counted("No.", 50, 10), counted(BAD, 70, 12)]).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.retryable(), seen.len()), (ErrorKind::Unavailable, true, 2));
    assert!(error.to_string().contains("key_points"), "{error}");
    assert_eq!(error.usage(), Usage { input: 120, output: 22, ..Usage::default() });
}

#[tokio::test]
async fn a_label_must_be_one_of_those_asked_for() {
    let asked = labels(&json!(["sport", "nature"]));
    let answer = |label: &str| format!(r#"{{"label":"{label}","confidence":0.9,"reason":"A fox."}}"#);
    let (output, seen) =
        play("classify", &asked, [Line::answer(answer("Nature")), Line::answer(answer("nature"))]).await;
    let output = output.unwrap();
    assert_eq!((output.json["label"].as_str(), output.repaired), (Some("nature"), true));
    assert!(seen[0].messages[0].content.contains("- sport\n- nature\n"), "{:?}", seen[0].messages);
    assert_eq!(
        seen[0].response_schema.as_ref().unwrap().schema["properties"]["label"]["enum"],
        json!(["sport", "nature"])
    );
    assert!(seen[1].messages[2].content.contains("`/label`"), "{:?}", seen[1].messages[2]);
}

#[tokio::test]
async fn parameters_are_checked_before_anything_is_spent() {
    let table = [
        (input(), "labels"),
        (labels(&json!(["one"])), "`/labels`"),
        (labels(&json!(["one", "one"])), "`/labels`"),
        (labels(&json!(["one", 2])), "`/labels/1`"),
    ];
    for (input, words) in table {
        let (result, seen) = play("classify", &input, []).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.retryable(), seen.len()), (ErrorKind::Invalid, false, 0));
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.fault().violations[0].field, "parameters");
    }
}

#[tokio::test]
async fn without_a_provider_the_error_names_the_keys_to_set() {
    let registry = Registry::builtin();
    let error = run(registry.get("summarize").unwrap(), &input(), None).await.unwrap_err();
    assert_eq!((error.kind(), error.retryable()), (ErrorKind::Unsupported, false));
    for word in ["[analysis.openai]", "base_url", "api_key", "model"] {
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[tokio::test]
async fn the_providers_error_is_kept_with_its_meaning() {
    let wait = Some(Duration::from_secs(7));
    let refused = |reason, retryable| {
        let refusal = Refusal { reason, message: "no".into(), retry_after: wait, retryable };
        Error::Refused { provider: "script".into(), refusal }
    };
    let table = [
        (refused(Reason::RateLimited, true), ErrorKind::Exhausted, true),
        (refused(Reason::BadKey, false), ErrorKind::Denied, false),
    ];
    for (source, kind, retryable) in table {
        // At the second question: what the first one cost is not forgotten.
        let (result, _) = play("summarize", &input(), [counted(BAD, 5, 1), Line::fail(source)]).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.retryable(), error.retry_after()), (kind, retryable, wait));
        assert_eq!(error.usage(), Usage { input: 5, output: 1, ..Usage::default() });
        assert_eq!(error.fault().retry_after, wait);
    }
}

#[tokio::test]
async fn a_model_that_declines_is_not_asked_again() {
    for finish in [Finish::Refused, Finish::ContentFilter] {
        let (result, seen) = play("summarize", &input(), [Line::answer("I will not.").finish(finish)]).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.retryable(), seen.len()), (ErrorKind::Invalid, false, 1));
        assert!(error.to_string().contains("I will not."), "{error}");
    }
}

#[tokio::test]
async fn a_broken_definition_is_named_as_such() {
    let registry = Registry::builtin();
    let broken = |change: &dyn Fn(&mut Recipe, &mut Prompt)| {
        let mut recipe = registry.get("classify").unwrap().clone();
        let Kind::Prompt(mut prompt) = recipe.kind.clone() else { panic!("classify is a prompt") };
        change(&mut recipe, &mut prompt);
        Recipe { kind: Kind::Prompt(prompt), ..recipe }
    };
    let recipes = [
        broken(&|_, prompt| prompt.template = "{{ nothing.there }}".into()),
        broken(&|_, prompt| prompt.template = "{% if %}".into()),
        broken(&|recipe, _| recipe.output_schema = json!({ "type": 7, "properties": { "label": {} } })),
        broken(&|recipe, _| recipe.output_schema = json!({})),
    ];
    let provider = Scripted::new("script", []);
    for recipe in recipes {
        let error = run(&recipe, &labels(&json!(["a", "b"])), Some(&provider)).await.unwrap_err();
        assert!(matches!(error, RecipeError::Definition { .. }), "{error}");
        assert_eq!(error.kind(), ErrorKind::Internal);
    }
}
