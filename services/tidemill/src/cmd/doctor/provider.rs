//! The language model: whether what is needed to ask it is there. It is not asked: that may cost money.

use super::finding::Finding;
use crate::config::Config;

const NAME: &str = "provider";

/// Looks at the provider's section.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let Some(provider) = &config.analysis.openai else {
        return vec![Finding::ok(NAME, "none is configured: analyses are local")];
    };
    let host = url::Url::parse(&provider.base_url).ok().and_then(|url| url.host_str().map(str::to_owned));
    let says = format!("`{}` at {}, model {}", provider.name, provider.base_url, provider.model);
    vec![judge(&says, host.as_deref(), provider.api_key.is_empty())]
}

fn judge(says: &str, host: Option<&str>, keyless: bool) -> Finding {
    let is_near = |host: &str| {
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    match host {
        None => Finding::fail(NAME, format!("{says}: not a URL"), "write base_url as https://HOST/v1"),
        Some(host) if keyless && !is_near(host) => Finding::warn(
            NAME,
            format!("{says}: no key is set"),
            "set TIDEMILL_ANALYSIS__OPENAI__API_KEY unless that server wants none",
        ),
        Some(_) => Finding::ok(NAME, says),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_key_is_missed_where_the_server_is_not_this_machine() {
        assert_eq!(judge("x", Some("api.example"), true).level, Level::Warn);
        assert_eq!(judge("x", Some("api.example"), false).level, Level::Ok);
        assert_eq!(judge("x", Some("127.0.0.1"), true).level, Level::Ok);
        assert_eq!(judge("x", None, false).level, Level::Fail);
    }
}
