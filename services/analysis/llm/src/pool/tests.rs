//! The pool over scripted providers: the order, what moves on to the next provider, and what does not.

use tidemill_kernel::{ManualClock, Timestamp};

use super::*;
use crate::router::SET_ASIDE;
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
    let pool = Pool::new(providers, SET_ASIDE, Arc::clone(&clock) as Arc<dyn Clock>);
    Bench { pool, members, clock }
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
async fn a_bad_key_is_not_tried_again_soon_and_a_rest_is_kept() {
    let wait = Duration::from_secs(2);
    let first = vec![Line::fail(refused(Reason::BadKey, None))];
    let second = vec![Line::fail(refused(Reason::RateLimited, Some(wait))), Line::answer("a")];
    let bench = bench([first, second]);
    assert_eq!(bench.answer().await, Err(refused(Reason::RateLimited, Some(wait))));
    let Err(Error::NoneAvailable { retry_after, because: Some(because) }) = bench.answer().await else {
        panic!("somebody was asked");
    };
    assert_eq!(retry_after, Some(wait));
    assert!(because.contains("BadKey"), "{because}");
    bench.clock.advance(wait);
    assert_eq!(bench.answer().await.unwrap(), "second");
    assert_eq!(bench.asked(), [1, 2]);
}

#[tokio::test]
async fn a_key_that_was_mended_is_found_after_the_time_aside() {
    let bench = bench([vec![Line::fail(refused(Reason::BadKey, None)), Line::answer("a")]]);
    assert!(bench.answer().await.is_err());
    for _ in 0..3 {
        let error = bench.answer().await.unwrap_err();
        assert_eq!(error.retry_after(), Some(SET_ASIDE));
    }
    bench.clock.advance(SET_ASIDE);
    assert_eq!(bench.answer().await.unwrap(), "first");
    assert_eq!(bench.asked(), [2]);
}

#[tokio::test]
async fn a_provider_whose_limit_is_used_up_rests_and_the_next_one_answers() {
    let wait = Duration::from_secs(9);
    for streamed in [false, true] {
        let first = vec![Line::answer("a").rest(wait), Line::answer("b")];
        let bench = bench([first, vec![Line::answer("c")]]);
        if streamed {
            bench.streamed().await.unwrap();
        } else {
            bench.answer().await.unwrap();
        }
        assert_eq!(bench.answer().await.unwrap(), "second");
        bench.clock.advance(wait);
        assert_eq!(bench.answer().await.unwrap(), "first");
    }
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
    assert_eq!(bench.answer().await, Err(Error::NoneAvailable { retry_after: None, because: None }));
}
