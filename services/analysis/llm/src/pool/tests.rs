//! The pool over scripted providers: the order, what moves on to the next provider, and what does not.

use tidemill_kernel::{ManualClock, Timestamp};

use super::*;
use crate::scripted::Line;
use crate::{Reason, Refusal, Scripted, Usage};

fn refused(reason: Reason, retry_after: Option<Duration>) -> Error {
    let refusal = Refusal { reason, message: "no".into(), retry_after, retryable: true };
    Error::Refused { provider: "p".into(), refusal }
}

fn cut() -> Error {
    Error::Cut { provider: "p".into(), message: "snap".into(), usage: Usage::default() }
}

struct Bench {
    pool: Pool,
    members: Vec<Arc<Scripted>>,
    clock: Arc<ManualClock>,
}

fn bench(scripts: impl IntoIterator<Item = Vec<Line>>) -> Bench {
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(0)));
    let names = ["first", "second", "third"];
    let members: Vec<_> =
        names.into_iter().zip(scripts).map(|(name, lines)| Arc::new(Scripted::new(name, lines))).collect();
    let providers = members.iter().map(|member| Arc::clone(member) as Arc<dyn Provider>).collect();
    Bench { pool: Pool::new(providers, Arc::clone(&clock) as Arc<dyn Clock>), members, clock }
}

impl Bench {
    async fn answer(&self) -> Result<String, Error> {
        self.pool.complete(&Request::of("x")).await.map(|answer| answer.provider)
    }

    async fn streamed(&self) -> Result<Vec<Result<Delta, Error>>, Error> {
        Ok(self.pool.stream(&Request::of("x")).await?.collect().await)
    }

    fn asked(&self) -> Vec<usize> {
        self.members.iter().map(|member| member.seen().len()).collect()
    }
}

#[tokio::test]
async fn the_next_provider_answers_when_the_first_cannot() {
    for reason in
        [Reason::Overloaded, Reason::RateLimited, Reason::BadKey, Reason::QuotaSpent, Reason::NoSuchModel]
    {
        let bench = bench([vec![Line::fail(refused(reason, None))], vec![Line::answer("a")]]);
        assert_eq!(bench.answer().await.unwrap(), "second", "{reason:?}");
    }
}

#[tokio::test]
async fn a_fault_of_the_request_goes_nowhere_else() {
    for reason in [Reason::Invalid, Reason::ContextTooLong, Reason::ContentFiltered] {
        let bench = bench([vec![Line::fail(refused(reason, None))], vec![Line::answer("a")]]);
        assert_eq!(bench.answer().await, Err(refused(reason, None)));
        assert_eq!(bench.asked(), [1, 0]);
    }
}

#[tokio::test]
async fn a_bad_key_is_not_tried_twice_and_a_rest_is_kept() {
    let wait = Duration::from_secs(2);
    let first = vec![Line::fail(refused(Reason::BadKey, None))];
    let second = vec![Line::fail(refused(Reason::RateLimited, Some(wait))), Line::answer("a")];
    let bench = bench([first, second]);
    assert_eq!(bench.answer().await, Err(refused(Reason::RateLimited, Some(wait))));
    assert_eq!(bench.answer().await, Err(Error::NoneAvailable { retry_after: Some(wait) }));
    bench.clock.advance(wait);
    assert_eq!(bench.answer().await.unwrap(), "second");
    assert_eq!(bench.asked(), [1, 2]);
}

#[tokio::test]
async fn a_stream_that_fails_before_its_first_text_is_taken_elsewhere_and_not_after() {
    let early = bench([vec![Line::cut([""; 0], cut())], vec![Line::answer("a")]]);
    assert_eq!(early.streamed().await.unwrap()[0], Ok(Delta::Text("a".into())));
    assert_eq!(early.asked(), [1, 1]);

    let late = bench([vec![Line::cut(["half"], cut())], vec![Line::answer("a")]]);
    assert_eq!(late.streamed().await.unwrap(), [Ok(Delta::Text("half".into())), Err(cut())]);
    assert_eq!(late.asked(), [1, 0]);
}

#[tokio::test]
async fn broken_streams_open_the_breaker_and_abandoned_ones_do_not() {
    let bench = bench([(0..20).map(|_| Line::cut(["half"], cut())).collect(), vec![Line::answer("a")]]);
    for _ in 0..10 {
        drop(bench.pool.stream(&Request::of("x")).await.unwrap());
    }
    for _ in 0..5 {
        assert!(bench.streamed().await.unwrap().last().unwrap().is_err());
    }
    assert_eq!(bench.answer().await.unwrap(), "second");
    assert_eq!(bench.asked(), [15, 1]);
}

#[tokio::test]
async fn an_empty_pool_says_so() {
    let bench = bench([]);
    assert_eq!(bench.answer().await, Err(Error::NoneAvailable { retry_after: None }));
}
