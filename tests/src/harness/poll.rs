//! Waiting for a condition that nobody signals, such as another process getting ready.
//!
//! The only place of the tests where real time passes on purpose: everything else waits for a signal, or for this.

use std::time::Duration;

use anyhow::Context;

/// How often the condition is asked for.
const PERIOD: Duration = Duration::from_millis(10);

/// Asks until the answer is `Some`, for at most `limit`; `what` names the condition in the error.
///
/// # Errors
/// When `limit` has passed without an answer.
pub async fn until<T, F>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Option<T>>,
{
    let answered = async {
        let mut ticks = tokio::time::interval(PERIOD);
        loop {
            ticks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(limit, answered).await.with_context(|| format!("waited {limit:?} for {what}"))
}

/// Lets an outage of this length pass: what is waited for is that nothing happens in it.
pub async fn pass(outage: Duration) {
    let _ = tokio::time::timeout(outage, std::future::pending::<()>()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_ends_the_wait() {
        let mut asked = 0;
        let answer = until("the third question", Duration::from_secs(1), || {
            asked += 1;
            std::future::ready((asked == 3).then_some(asked))
        });
        assert_eq!(answer.await.ok(), Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_condition_that_never_comes_is_named_in_the_error() {
        let never = until("the moon", Duration::from_secs(1), || std::future::ready(None::<()>)).await;
        assert!(never.is_err_and(|e| e.to_string() == "waited 1s for the moon"));
    }
}
