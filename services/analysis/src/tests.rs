//! The part as it is composed: its services, its loop, what it refuses to start with; and a fixture for its modules.

use std::sync::Arc;

use serde_json::json;
use tidemill_kernel::{ErrorKind, ManualClock, Timestamp};
use tidemill_llm::OpenAiConfig;
use tokio_util::sync::CancellationToken;

use super::*;

/// When tests take place.
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// Dependencies over this content store, without a scheduler.
pub(crate) fn deps(content: Wire) -> Deps {
    Deps {
        content: ContentStoreServiceClient::new(content),
        schedulers: Wire::absent("scheduling").into(),
        slots: None,
        clock: Arc::new(ManualClock::at(NOW)),
    }
}

#[test]
fn the_part_names_its_service_and_its_loop() {
    let part = build(Config::default(), deps(Wire::absent("storage"))).unwrap();
    assert_eq!((part.name, part.services), ("analysis", vec!["tidemill.analysis.v1.AnalysisService"]));
    let loops: Vec<_> = part.background.iter().map(|background| background.name).collect();
    assert_eq!(loops, ["analyser"]);
}

#[tokio::test]
async fn the_loop_ends_when_it_is_told_to_though_the_scheduler_is_away() {
    let part = build(Config::default(), deps(Wire::absent("storage"))).unwrap();
    let stop = CancellationToken::new();
    let running: Vec<_> = part.background.into_iter().map(|one| (one.start)(stop.clone())).collect();
    stop.cancel();
    assert_eq!(futures::future::join_all(running).await.len(), 1);
}

#[test]
fn a_provider_that_cannot_work_is_named_with_its_field() {
    let openai =
        OpenAiConfig { base_url: "ftp://models".into(), model: "m".into(), ..OpenAiConfig::default() };
    let config = Config { openai: Some(openai), ..Config::default() };
    let error = build(config, deps(Wire::absent("storage"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    for word in ["[analysis]", "openai", "base_url", "http or https"] {
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn a_provider_that_can_work_is_taken() {
    // Another test of the process may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let openai = OpenAiConfig { model: "m".into(), ..OpenAiConfig::default() };
    let config = Config { openai: Some(openai), ..Config::default() };
    assert_eq!(providers(&config).unwrap().iter().map(|one| one.name()).collect::<Vec<_>>(), ["openai"]);
    assert!(build(config, deps(Wire::absent("storage"))).is_ok());
}

#[test]
fn settings_that_cannot_work_are_named_all_at_once() {
    let worker = tidemill_worker::Config::with_slots(0);
    let config = Config { set_aside_ms: 0, worker, openai: Some(OpenAiConfig::default()) };
    let error = build(config, deps(Wire::absent("storage"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    for words in [
        "[analysis.worker] `slots` is 0",
        "[analysis] `set_aside_ms` is 0",
        "[analysis.openai] `model` is empty",
        "set 1 or more",
    ] {
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn the_configuration_is_read_and_typing_errors_are_named() {
    let config: Config =
        serde_json::from_value(json!({ "worker": { "slots": 3 }, "openai": { "model": "m" } })).unwrap();
    assert_eq!((config.worker.slots, config.openai.unwrap().model.as_str()), (3, "m"));
    assert_eq!(serde_json::from_value::<Config>(json!({})).unwrap(), Config::default());
    let error = serde_json::from_value::<Config>(json!({ "opnai": {} })).unwrap_err();
    assert!(error.to_string().contains("opnai"), "{error}");
}
