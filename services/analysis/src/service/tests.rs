//! The service through its part's wire, as the gateway and other parts call it.

use serde_json::{Value, json};
use tidemill_chassis::Wire;
use tidemill_chassis::fault::from_status;
use tidemill_chassis::layers::ServerLimits;
use tidemill_llm::scripted::Line;
use tidemill_llm::{Provider, Scripted, Usage};
use tidemill_proto::analysis::v1::analysis_service_client::AnalysisServiceClient;
use tidemill_proto::types::v1::Analysis;

use super::*;
use crate::tests::{NOW, deps};
use crate::{Config, assemble};

fn client(provider: Option<Arc<dyn Provider>>) -> AnalysisServiceClient<Wire> {
    let part = assemble(&Config::default(), deps(Wire::absent("storage")), provider);
    AnalysisServiceClient::new(part.wire(ServerLimits::default()))
}

fn text(recipe: &str) -> AnalyzeRequest {
    let body = "A storm hit the coast. Thousands of homes lost power. It was terrible.".to_owned();
    AnalyzeRequest { recipe: recipe.into(), title: "Storm".into(), body, parameters: None }
}

fn parameters(value: Value) -> Option<pbjson_types::Struct> {
    serde_json::from_value(value).ok().map(convert::structure)
}

async fn analyze(request: AnalyzeRequest, provider: Option<Arc<dyn Provider>>) -> Result<Analysis, Status> {
    let answer = client(provider).analyze(request).await?;
    Ok(answer.into_inner().analysis.unwrap())
}

#[tokio::test]
async fn a_text_is_analysed_on_the_spot() {
    for recipe in ["", "brief", "brief@1"] {
        let analysis = analyze(text(recipe), None).await.unwrap();
        assert_eq!((analysis.recipe.as_str(), analysis.provider.as_str()), ("brief@1", "local"));
        assert_eq!((analysis.model.as_str(), analysis.input_tokens, analysis.output_tokens), ("", 0, 0));
        assert_eq!(analysis.created_at, Some(from_micros(NOW.as_micros())));
        let output = convert::object("output", analysis.output).unwrap();
        assert_eq!((&output["word_count"], &output["sentence_count"]), (&json!(13), &json!(3)));
        assert_eq!(output["sentiment"]["label"], "negative");
    }
}

#[tokio::test]
async fn an_unknown_recipe_is_answered_with_the_known_ones() {
    let status = analyze(text("sumarize"), None).await.unwrap_err();
    let fault = from_status(&status);
    assert_eq!((fault.kind, fault.violations[0].field.as_str()), (ErrorKind::NotFound, "recipe"));
    for word in ["sumarize", "brief@1", "classify@1", "summarize@1"] {
        assert!(fault.message.contains(word), "{}", fault.message);
    }
}

#[tokio::test]
async fn a_recipe_and_its_parameters_are_checked_without_running_it() {
    let check = |recipe: &str, value: Value| {
        let request = CheckRecipeRequest { recipe: recipe.into(), parameters: parameters(value) };
        async move { client(None).check_recipe(request).await }
    };
    for (recipe, value, reference) in [
        ("", json!({}), "brief@1"),
        ("brief@1", json!({}), "brief@1"),
        ("classify", json!({ "labels": ["a", "b"] }), "classify@1"),
        ("summarize", json!({ "sentences": 2 }), "summarize@1"),
    ] {
        let answer = check(recipe, value).await.unwrap().into_inner();
        assert_eq!(answer.recipe.unwrap().name, reference);
    }
    for (recipe, value, field, words) in [
        ("sumarize", json!({}), "recipe", "known are brief@1, classify@1, summarize@1"),
        ("brief@9", json!({}), "recipe", "known are brief@1"),
        ("brief", json!({ "x": 1 }), "parameters", "`x` is not known"),
        ("classify", json!({}), "parameters", "labels"),
        ("classify", json!({ "labels": ["a"] }), "parameters", "/labels"),
        ("summarize", json!({ "sentences": 2.5 }), "parameters", "/sentences"),
    ] {
        let fault = from_status(&check(recipe, value).await.unwrap_err());
        assert_eq!((fault.kind, fault.violations[0].field.as_str()), (ErrorKind::Invalid, field), "{recipe}");
        assert!(fault.message.contains(words), "{}", fault.message);
    }
}

#[tokio::test]
async fn a_model_is_asked_with_the_parameters() {
    let answer = r#"{"label":"news","confidence":0.9,"reason":"It reports."}"#;
    let counted = Usage { input: 50, output: 10, ..Usage::default() };
    let provider = Arc::new(Scripted::new("script", [Line::answer(answer).usage(counted)]));
    let labels = parameters(json!({ "labels": ["news", "opinion"] }));
    let request = AnalyzeRequest { parameters: labels, ..text("classify") };
    let analysis = analyze(request, Some(Arc::clone(&provider) as _)).await.unwrap();
    assert_eq!((analysis.recipe.as_str(), analysis.provider.as_str()), ("classify@1", "script"));
    assert_eq!(
        (analysis.model.as_str(), analysis.input_tokens, analysis.output_tokens),
        ("scripted", 50, 10)
    );
    assert_eq!(convert::object("output", analysis.output).unwrap()["label"], "news");
    assert!(provider.seen()[0].messages[0].content.contains("- opinion"));
}

#[tokio::test]
async fn what_is_wrong_is_named_with_its_field() {
    let long = |bytes: usize| "x ".repeat(bytes / 2 + 1);
    let table = [
        (AnalyzeRequest { body: long(MAX_BODY), ..text("brief") }, "body", "at most 1048576"),
        (AnalyzeRequest { title: long(MAX_TITLE), ..text("brief") }, "title", "at most 16384"),
        (
            AnalyzeRequest { parameters: parameters(json!({ "labels": 1 })), ..text("classify") },
            "parameters",
            "/labels",
        ),
    ];
    for (request, field, words) in table {
        let fault = from_status(&analyze(request, None).await.unwrap_err());
        assert_eq!((fault.kind, fault.violations[0].field.as_str()), (ErrorKind::Invalid, field));
        assert!(fault.message.contains(words), "{}", fault.message);
    }
    let whole = AnalyzeRequest { body: "x".repeat(MAX_BODY), ..text("brief") };
    assert!(analyze(whole, None).await.is_ok());
}

#[tokio::test]
async fn a_recipe_without_its_model_says_what_to_set() {
    let fault = from_status(&analyze(text("summarize"), None).await.unwrap_err());
    assert_eq!(fault.kind, ErrorKind::Unsupported);
    assert!(fault.message.contains("[analysis.openai]"), "{}", fault.message);
}

#[tokio::test]
async fn the_recipes_are_listed_with_their_schemas() {
    let recipes = client(None).list_recipes(ListRecipesRequest {}).await.unwrap().into_inner().recipes;
    let listed: Vec<_> = recipes.iter().map(|recipe| (recipe.name.as_str(), recipe.local)).collect();
    assert_eq!(listed, [("brief@1", true), ("classify@1", false), ("summarize@1", false)]);
    for recipe in recipes {
        assert!(recipe.description.ends_with('.'), "{}", recipe.description);
        let schema = convert::object("schema", recipe.output_schema).unwrap();
        assert_eq!(schema["type"], "object");
    }
}
