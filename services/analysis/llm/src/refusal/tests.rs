//! Tables of refusals as providers send them, and what each of them means.

use super::*;

type Pairs = [(&'static str, &'static str)];

fn headers(pairs: &Pairs) -> HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| {
            (reqwest::header::HeaderName::from_static(name), reqwest::header::HeaderValue::from_static(value))
        })
        .collect()
}

#[test]
fn statuses_and_bodies_mean_what_the_table_says() {
    let table: [(u16, &str, Reason, bool); 21] = [
        (401, r#"{"error":{"message":"Incorrect API key","code":"invalid_api_key"}}"#, Reason::BadKey, false),
        (401, "", Reason::BadKey, false),
        (402, "", Reason::QuotaSpent, false),
        (403, "<html>forbidden</html>", Reason::Forbidden, false),
        (404, r#"{"error":{"message":"no model x","code":"model_not_found"}}"#, Reason::NoSuchModel, false),
        (301, "", Reason::NoSuchModel, false),
        (400, r#"{"error":{"message":"temperature is too high"}}"#, Reason::Invalid, false),
        (400, r#"{"error":{"code":"context_length_exceeded"}}"#, Reason::ContextTooLong, false),
        (400, r#"{"error":{"type":"exceed_context_size_error"}}"#, Reason::ContextTooLong, false),
        (400, r#"{"error":"prompt exceeds the Context Window"}"#, Reason::ContextTooLong, false),
        (413, "", Reason::ContextTooLong, false),
        (400, r#"{"error":{"code":"content_filter","message":"stopped"}}"#, Reason::ContentFiltered, false),
        (429, r#"{"error":{"message":"slow"}}"#, Reason::RateLimited, true),
        (429, r#"{"error":{"code":"insufficient_quota"}}"#, Reason::QuotaSpent, false),
        (429, r#"{"error":{"code":"credit_balance_exhausted"}}"#, Reason::QuotaSpent, false),
        (408, "", Reason::Overloaded, true),
        (409, "", Reason::Overloaded, true),
        (500, "oops", Reason::Overloaded, true),
        (503, r#"{"error":{"code":"server_is_overloaded"}}"#, Reason::Overloaded, true),
        (503, r#"{"error":{"code":"slow_down"}}"#, Reason::RateLimited, true),
        (529, r#"{"detail":"busy"}"#, Reason::Overloaded, true),
    ];
    for (status, body, reason, retryable) in table {
        let refusal = classify(status, &HeaderMap::new(), body);
        assert_eq!((refusal.reason, refusal.retryable), (reason, retryable), "{status} {body}");
        assert!(!refusal.message.is_empty());
    }
}

#[test]
fn the_servers_own_word_on_retries_wins() {
    let yes = classify(400, &headers(&[("x-should-retry", "true")]), "");
    let no = classify(503, &headers(&[("x-should-retry", "false")]), "");
    assert_eq!((yes.retryable, no.retryable), (true, false));
}

#[test]
fn waits_are_read_in_all_their_spellings() {
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    let table: [(&Pairs, Option<u64>); 11] = [
        (&[("retry-after", "2")], Some(2_000)),
        (&[("retry-after", "0.25")], Some(250)),
        (&[("retry-after-ms", "120"), ("retry-after", "9")], Some(120)),
        (&[("retry-after-ms", "soon"), ("retry-after", "9")], Some(9_000)),
        (&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT"), date], Some(10_000)),
        (&[("retry-after", "Sun, 06 Nov 1994 08:49:07 GMT"), date], None),
        (&[("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT")], None),
        (&[("retry-after", "-3")], None),
        (&[("retry-after", "1e99")], None),
        (&[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "7s")], Some(7_000)),
        (
            &[
                ("retry-after", "2"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "7s"),
            ],
            Some(2_000),
        ),
    ];
    for (pairs, wait) in table {
        assert_eq!(
            classify(429, &headers(pairs), "").retry_after,
            wait.map(Duration::from_millis),
            "{pairs:?}"
        );
    }
}

#[test]
fn an_error_inside_a_stream_is_the_providers_fault_unless_its_code_says_more() {
    let table = [
        (serde_json::json!({"error": {"message": "broke"}}), Reason::Overloaded),
        (serde_json::json!({"error": {"message": "slow", "code": 429}}), Reason::RateLimited),
        (serde_json::json!({"error": {"message": "odd", "code": 7}}), Reason::Overloaded),
        (
            serde_json::json!({"error": {"message": "spent", "type": "insufficient_quota"}}),
            Reason::QuotaSpent,
        ),
    ];
    for (object, reason) in table {
        assert_eq!(classify_event(&object).reason, reason, "{object}");
    }
}

#[test]
fn long_messages_are_cut_between_characters() {
    let refusal = classify(500, &HeaderMap::new(), &"é".repeat(5_000));
    assert_eq!(refusal.message.chars().count(), MESSAGE_CHARS + 3);
}

proptest::proptest! {
    #[test]
    fn no_answer_breaks_the_classifier(status: u16, body: String, wait: String) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = wait.parse() {
            headers.insert(RETRY_AFTER, value);
        }
        let refusal = classify(status, &headers, &body);
        proptest::prop_assert!(refusal.message.chars().count() <= MESSAGE_CHARS + 3);
        proptest::prop_assert!(refusal.retry_after.is_none_or(|wait| wait <= LONGEST_WAIT));
    }
}
