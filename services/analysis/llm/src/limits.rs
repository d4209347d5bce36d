//! What a provider's rate-limit headers ask for: rest until the limit that is used up is reset.
//!
//! Source: `x-ratelimit-remaining-{requests,tokens}` and `x-ratelimit-reset-{requests,tokens}` of OpenAI's and Groq's
//! documents; a reset is a length of time, such as `6m0s` or `12ms`, or seconds.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::header::HeaderMap;

use crate::refusal::LONGEST_WAIT;

/// What is limited.
const LIMITED: [&str; 2] = ["requests", "tokens"];

/// How long the provider is to be left alone: until every limit that is used up has been reset; none if none is.
pub fn rest(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: String| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let rests = LIMITED.iter().filter_map(|limited| {
        let remaining = text(format!("x-ratelimit-remaining-{limited}"))?.parse::<f64>().ok()?;
        let reset = || length(text(format!("x-ratelimit-reset-{limited}"))?);
        if remaining <= 0.0 { reset() } else { None }
    });
    rests.max().filter(|rest| !rest.is_zero() && *rest <= LONGEST_WAIT)
}

fn length(text: &str) -> Option<Duration> {
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => Duration::try_from(text.parse::<SignedDuration>().ok()?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &'static str)| {
            let name = HeaderName::try_from(format!("x-ratelimit-{name}")).unwrap();
            (name, HeaderValue::from_static(value))
        };
        pairs.iter().map(header).collect()
    }

    #[test]
    fn a_limit_that_is_used_up_asks_for_rest_until_its_reset() {
        let left = [("remaining-requests", "7"), ("reset-requests", "6m0s")];
        let requests = |reset| [("remaining-requests", "0"), ("reset-requests", reset)];
        let table: [(&[_], Option<u64>); 11] = [
            (&left, None),
            (&requests("6m0s"), Some(360_000)),
            (&requests("12ms"), Some(12)),
            (&requests("1h2m3.5s"), Some(3_723_500)),
            (&requests("59.56"), Some(59_560)),
            (&requests("0s"), None),
            (&requests("soon"), None),
            (&requests("-3s"), None),
            (&requests("9000h"), None),
            (&[("remaining-requests", "0")], None),
            (
                &[
                    ("remaining-requests", "0"),
                    ("reset-requests", "1s"),
                    ("remaining-tokens", "0"),
                    ("reset-tokens", "2s"),
                ],
                Some(2_000),
            ),
        ];
        for (pairs, wait) in table {
            assert_eq!(rest(&headers(pairs)), wait.map(Duration::from_millis), "{pairs:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_breaks_the_reader(remaining: String, reset: String) {
            let mut headers = HeaderMap::new();
            for (name, value) in [("x-ratelimit-remaining-tokens", remaining), ("x-ratelimit-reset-tokens", reset)] {
                if let Ok(value) = value.parse() {
                    headers.insert(name, value);
                }
            }
            proptest::prop_assert!(rest(&headers).is_none_or(|wait| wait <= LONGEST_WAIT));
        }
    }
}
