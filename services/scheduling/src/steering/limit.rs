//! Limits: as tenants write them and as the policy knows them.

use tidemill_kernel::Fault;
use tidemill_policy::{Limit, LimitStatus, OnFull, Rate, Scope, Verdict};
use tidemill_proto::scheduling::v1 as api;

/// The limit of a message, for this scope.
///
/// # Errors
/// [`Fault::invalid`] names the field and what would be right.
pub(crate) fn decode(message: &api::Limit, scope: &Scope) -> Result<Limit, Fault> {
    if matches!(scope, Scope::Queue(_)) {
        let rule = "is of a queue, which can be paused but not limited; leave out the priority";
        return Err(Fault::invalid("limit.scope", rule));
    }
    if message.concurrency == Some(0) {
        let rule = "is 0, so that nothing would ever run; pause the queue, or give 1 or more";
        return Err(Fault::invalid("limit.concurrency", rule));
    }
    let rate = match (message.per_second, message.burst) {
        (None, None) => None,
        (None, Some(_)) => {
            return Err(Fault::invalid("limit.burst", "goes only with `per_second`; give that too"));
        }
        (Some(0), _) => {
            return Err(Fault::invalid("limit.per_second", "is 0; give 1 or more, or pause the queue"));
        }
        (Some(_), Some(0)) => return Err(Fault::invalid("limit.burst", "is 0; give 1 or more")),
        (Some(per_second), burst) => Some(Rate { per_second, burst: burst.unwrap_or(per_second) }),
    };
    let on_full = match message.on_full() {
        api::OnFull::Unspecified | api::OnFull::Queue => OnFull::Queue,
        api::OnFull::Reject => OnFull::Reject,
        api::OnFull::ReplaceOldest => OnFull::ReplaceOldest,
    };
    let is_key = matches!(scope, Scope::TenantKey(..));
    if on_full != OnFull::Queue && !(is_key && message.concurrency.is_some()) {
        let rule = "goes only with a key and a concurrency; leave it out, or give both";
        return Err(Fault::invalid("limit.on_full", rule));
    }
    if message.concurrency.is_none() && rate.is_none() {
        let rule = "limits nothing; give a concurrency, or a rate, or remove the limit";
        return Err(Fault::invalid("limit", rule));
    }
    Ok(Limit { concurrency: message.concurrency, rate, on_full })
}

/// How a stored limit stands; `status` where its owner knows.
pub(crate) fn state(limit: api::Limit, status: Option<&LimitStatus>, configured: bool) -> api::LimitState {
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    api::LimitState {
        limit: Some(limit),
        waiting: status.map_or(0, |status| count(status.queued)),
        running: status.map_or(0, |status| status.running.into()),
        held_back: status.map_or(0, |status| count(status.held_back)),
        configured,
        verdict: status.and_then(|status| status.verdict).map_or_else(String::new, |verdict| words(&verdict)),
    }
}

/// A limit of all tenants together as a message; none for another one.
pub(crate) fn encode_shared(scope: &Scope, limit: Limit) -> Option<api::Limit> {
    let Limit { concurrency, rate, .. } = limit;
    Some(api::Limit {
        scope: Some(super::scope::encode_shared(scope)?),
        concurrency,
        per_second: rate.map(|rate| rate.per_second),
        burst: rate.map(|rate| rate.burst),
        on_full: api::OnFull::Queue.into(),
    })
}

/// Why a limit lets nothing start, in words.
pub(crate) fn words(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Paused => "paused until it is resumed".to_owned(),
        Verdict::Closed { until } => format!("closed until {until}: a worker met a limit there"),
        Verdict::Concurrency { running, cap } => format!("{running} run, of at most {cap} at once"),
        Verdict::Part { running, part, whole } => format!(
            "this scheduler's part of the limit is used up: {running} run here, of at most {part} here and {whole} in all"
        ),
        Verdict::PartOfRate { until: None, whole, .. } => {
            format!("this scheduler has no part of the rate of {whole} a second yet; others use it")
        }
        Verdict::PartOfRate { until: Some(until), part, whole } => format!(
            "this scheduler's part of the rate is used up, {part} of {whole} a second; there is enough again at {until}"
        ),
        Verdict::Rate { until } => format!("its rate is used up; there is enough again at {until}"),
    }
}
