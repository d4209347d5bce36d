//! The wire: every shape and fault, over real sockets.

use super::server::{Act, Last, Server};
use super::*;
use crate::{ApiKey, Delta, Finish, Message, Reason};

const KEY: &str = "sk-very-secret";
const HELLO: &str = concat!(
    "data: {\"model\":\"m-1\",\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}],\"usage\":null}\r\n\r\n",
    ": keep-alive\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"Grüß\"}}],\"usage\":null}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\" dich\"}}],\"usage\":null}\n\n",
);
const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":3}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn provider(server: &Server) -> OpenAi {
    OpenAi::new(OpenAiConfig {
        name: "main".into(),
        base_url: server.base_url.clone(),
        api_key: ApiKey::new(KEY),
        model: "m".into(),
        ..OpenAiConfig::default()
    })
    .unwrap()
}

async fn streamed(provider: &OpenAi) -> Vec<Result<Delta, Error>> {
    match provider.stream(&Request::of("hello")).await {
        Ok(stream) => stream.collect().await,
        Err(error) => vec![Err(error)],
    }
}

fn text(items: &[Result<Delta, Error>]) -> String {
    items
        .iter()
        .filter_map(|item| if let Ok(Delta::Text(text)) = item { Some(text.as_str()) } else { None })
        .collect()
}

#[tokio::test]
async fn a_plain_answer_is_read_and_the_request_is_spelled_right() {
    let body = r#"{"id":"1","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},
        "finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6},"timings":{}}"#;
    let server = Server::plain(200, "", body).await;
    let answer = provider(&server).complete(&Request::of("hello")).await.unwrap();
    let usage = Usage { input: 5, output: 1, ..Usage::default() };
    let expected = Completion {
        text: "Hi".into(),
        provider: "main".into(),
        model: "m-1".into(),
        finish: Finish::Stop,
        usage,
        rest: None,
    };
    assert_eq!(answer, expected);

    let request = server.requests().remove(0);
    assert!(request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Bearer sk-very-secret\r\n"), "{request}");
    assert!(
        request.ends_with(r#"{"model":"m","messages":[{"role":"user","content":"hello"}],"stream":false}"#)
    );
}

#[tokio::test]
async fn an_answer_without_usage_is_estimated_and_one_without_an_ending_is_refused() {
    let whole = r#"{"choices":[{"message":{"content":"12345678"},"finish_reason":"length"}]}"#;
    let answer =
        provider(&Server::plain(200, "", whole).await).complete(&Request::of("hello")).await.unwrap();
    assert_eq!((answer.finish, answer.usage), (Finish::Length, Usage::estimate(6, "12345678")));
    assert_eq!(answer.model, "m");

    for body in ["", "<html>", "{}", r#"{"choices":[{"message":{"content":"x"}}]}"#] {
        let answer = provider(&Server::plain(200, "", body).await).complete(&Request::of("hello")).await;
        assert!(matches!(answer, Err(Error::Malformed { .. })), "{body}: {answer:?}");
    }
}

#[tokio::test]
async fn refusals_are_classified_plain_and_streamed_and_never_show_the_key() {
    let body = format!(r#"{{"error":{{"message":"key {KEY} is slow","type":"x"}}}}"#);
    for (status, reason) in [(401, Reason::BadKey), (429, Reason::RateLimited), (503, Reason::Overloaded)] {
        let server = Server::plain(status, "retry-after-ms: 1500\r\n", &body).await;
        let provider = provider(&server);
        let plain = provider.complete(&Request::of("hello")).await.unwrap_err();
        let streamed = streamed(&provider).await.remove(0).unwrap_err();
        for error in [plain, streamed] {
            assert!(
                matches!(&error, Error::Refused { refusal, .. } if refusal.reason == reason),
                "{error:?}"
            );
            assert_eq!(error.retry_after(), Some(Duration::from_millis(1500)));
            assert!(!format!("{error} {error:?} {provider:?}").contains(KEY), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_limit_that_is_used_up_is_told_with_the_answer_and_with_the_refusal() {
    let limits = "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 1m3s\r\n";
    let rest = Some(Duration::from_secs(63));
    let whole = r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"#;
    let answer = provider(&Server::plain(200, limits, whole).await).complete(&Request::of("hello")).await;
    assert_eq!(answer.unwrap().rest, rest);
    let streamed = streamed(&provider(&Server::plain(200, limits, &[HELLO, STOP].concat()).await)).await;
    assert!(
        matches!(streamed.last(), Some(Ok(Delta::Done { rest: told, .. })) if *told == rest),
        "{streamed:?}"
    );
    let refused = provider(&Server::plain(429, limits, "").await).complete(&Request::of("hello")).await;
    assert_eq!(refused.unwrap_err().retry_after(), rest);
}

#[tokio::test]
async fn a_stream_in_odd_chunks_gives_the_same_answer() {
    for chunk in [1, 2, 3, 7, 64, 100_000] {
        let server = Server::events(&[HELLO, STOP, USAGE, DONE].concat(), chunk, Last::End).await;
        let items = streamed(&provider(&server)).await;
        assert_eq!(text(&items), "Grüß dich", "{chunk}");
        let usage = Usage { input: 11, output: 3, ..Usage::default() };
        let done = Delta::Done { model: "m-1".into(), finish: Finish::Stop, usage, rest: None };
        assert_eq!(items.last(), Some(&Ok(done)));
        assert!(server.requests()[0].contains(r#""stream":true,"stream_options":{"include_usage":true}"#));
    }
}

#[tokio::test]
async fn a_missing_done_is_forgiven_only_after_a_finish_reason() {
    for (last, whole) in [(Last::End, true), (Last::Cut, true), (Last::End, false), (Last::Cut, false)] {
        let body = if whole { [HELLO, STOP].concat() } else { HELLO.to_owned() };
        let items = streamed(&provider(&Server::events(&body, 50, last).await)).await;
        assert_eq!(text(&items), "Grüß dich");
        match items.last() {
            Some(Ok(Delta::Done { usage, .. })) => assert!(whole && usage.estimated),
            Some(Err(error @ Error::Cut { .. })) => {
                assert!(!whole && error.usage().is_some_and(|usage| usage.estimated && usage.output > 0));
            }
            other => panic!("{last:?} {whole}: {other:?}"),
        }
    }
    let items = streamed(&provider(&Server::events(&[HELLO, DONE].concat(), 50, Last::End).await)).await;
    assert!(matches!(items.last(), Some(Err(Error::Cut { .. }))), "[DONE] alone is no ending");
}

#[tokio::test]
async fn a_malformed_event_is_skipped() {
    let body = [HELLO, "data: {\"choices\":[{\n\n", STOP, USAGE, DONE].concat();
    let items = streamed(&provider(&Server::events(&body, 9, Last::End).await)).await;
    assert_eq!(text(&items), "Grüß dich");
    assert!(matches!(items.last(), Some(Ok(Delta::Done { .. }))));
}

#[tokio::test]
async fn an_error_event_is_a_refusal_at_first_and_a_cut_later() {
    let error = format!("data: {{\"error\":{{\"message\":\"{KEY} overloaded\"}}}}\n\n");
    let first = streamed(&provider(&Server::events(&error, 9, Last::End).await)).await;
    assert!(matches!(&first[..], [Err(Error::Refused { .. })]), "{first:?}");
    let later =
        streamed(&provider(&Server::events(&[HELLO, &error, STOP, DONE].concat(), 9, Last::End).await)).await;
    assert!(matches!(later.last(), Some(Err(Error::Cut { .. }))), "{later:?}");
    assert!(!format!("{first:?}{later:?}").contains(KEY));
}

#[tokio::test]
async fn every_silence_has_its_limit() {
    let role = HELLO.split_inclusive("\n\n").next().unwrap();
    let table = [("", Phase::FirstToken), (role, Phase::FirstToken), (HELLO, Phase::NextChunk)];
    for (body, phase) in table {
        let server = Server::events(body, 10, Last::Hang).await;
        let mut provider = provider(&server);
        provider.config.first_token_timeout_ms = if body == HELLO { 10_000 } else { 50 };
        provider.config.stall_timeout_ms = 50;
        let items = streamed(&provider).await;
        assert!(
            matches!(items.last(), Some(Err(Error::Timeout { phase: seen, .. })) if *seen == phase),
            "{phase:?}: {items:?}"
        );
    }
    let silent = Server::start(vec![Act::Hang]).await;
    let request = Request { timeout: Duration::from_millis(50), ..Request::of("hello") };
    let plain = provider(&silent).complete(&request).await;
    assert!(matches!(plain, Err(Error::Timeout { phase: Phase::Whole, .. })), "{plain:?}");
    let opened = provider(&silent).stream(&request).await;
    assert!(matches!(opened.err(), Some(Error::Timeout { phase: Phase::Whole, .. })));
}

#[tokio::test]
async fn a_stall_after_the_finish_reason_still_ends_well() {
    let server = Server::events(&[HELLO, STOP].concat(), 10, Last::Hang).await;
    let mut provider = provider(&server);
    provider.config.stall_timeout_ms = 50;
    assert!(matches!(streamed(&provider).await.last(), Some(Ok(Delta::Done { .. }))));
}

#[tokio::test]
async fn connections_that_fail_are_told_from_answers_that_break() {
    let closed = provider(&Server::start(vec![]).await).complete(&Request::of("hello")).await;
    assert!(matches!(closed, Err(Error::Unreachable { .. })), "{closed:?}");

    let half = Act::Send(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{\"choices\"".to_vec());
    let broken = provider(&Server::start(vec![half]).await).complete(&Request::of("hello")).await;
    assert!(matches!(broken, Err(Error::Cut { .. })), "{broken:?}");
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_by_field() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let field = |config: OpenAiConfig| match OpenAi::new(config) {
        Err(Error::Config { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    for base_url in ["", "api.openai.com", "ftp://x/v1"] {
        assert_eq!(field(OpenAiConfig { base_url: base_url.into(), ..OpenAiConfig::default() }), "base_url");
    }
    assert_eq!(
        field(OpenAiConfig { api_key: ApiKey::new("two\nlines"), ..OpenAiConfig::default() }),
        "api_key"
    );

    let zeros = [
        OpenAiConfig { connect_timeout_ms: 0, ..OpenAiConfig::default() },
        OpenAiConfig { first_token_timeout_ms: 0, ..OpenAiConfig::default() },
        OpenAiConfig { stall_timeout_ms: 0, ..OpenAiConfig::default() },
    ];
    let named = ["connect_timeout_ms", "first_token_timeout_ms", "stall_timeout_ms"];
    assert_eq!(zeros.map(field), named);
    assert_eq!(field(OpenAiConfig { name: String::new(), ..OpenAiConfig::default() }), "name");

    let nameless = OpenAi::new(OpenAiConfig::default()).unwrap();
    let request = Request { messages: vec![Message::user("x")], ..Request::of("") };
    assert!(matches!(nameless.complete(&request).await, Err(Error::Config { field: "model", .. })));
}
