//! A deadline from hop to hop: each service has less time than who called it.

use std::sync::{Arc, Mutex};

use http::HeaderMap;
use tidemill_kernel::Clock;
use tidemill_kernel::deadline::parse_grpc_timeout;

use super::connections::serving;
use super::*;
use crate::SystemClock;
use crate::context::TIMEOUT;

/// The time that a call says it has left.
fn left(headers: &HeaderMap) -> Duration {
    parse_grpc_timeout(headers.get(TIMEOUT).unwrap().to_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_deadline_shrinks_at_each_hop() {
    let told = Arc::new(Mutex::new(Vec::new()));
    // The last one says what time it was given; each one before calls the next with the context of its own call.
    let heard = Arc::clone(&told);
    let (mut next, _last) = serving(move |request| {
        heard.lock().unwrap().push(left(request.headers()));
        std::future::ready(Status::not_found("the end").into_http())
    })
    .await;
    let mut guards = Vec::new();
    for _ in 0..3 {
        let (wire, heard) = (wire("next", &[next], retrying()).unwrap(), Arc::clone(&told));
        let (address, guard) = serving(move |request| {
            heard.lock().unwrap().push(left(request.headers()));
            let (wire, context) =
                (wire.clone(), Context::read(request.headers(), SystemClock.now()).unwrap());
            async move { check(&wire, &context).await.unwrap_err().into_http() }
        })
        .await;
        next = address;
        guards.push(guard);
    }
    let given = Duration::from_secs(3_600);
    let context = Context { deadline: Some(SystemClock.now() + given), ..Context::default() };
    let wire = wire("next", &[next], retrying()).unwrap();
    let status = check(&wire, &context).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "the end"));
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 4);
    assert!(told[0] <= given && told.windows(2).all(|hops| hops[1] < hops[0]), "{told:?}");
}

#[tokio::test]
async fn the_last_of_several_hops_ends_with_the_first_ones_deadline() {
    let (silent, _last) = serving(|_| std::future::pending()).await;
    let to_silent = wire("silent", &[silent], retrying()).unwrap();
    let (between, _guard) = serving(move |request| {
        let (wire, context) =
            (to_silent.clone(), Context::read(request.headers(), SystemClock.now()).unwrap());
        async move { check(&wire, &context).await.unwrap_err().into_http() }
    })
    .await;
    let deadline = Some(SystemClock.now() + Duration::from_millis(100));
    let context = Context { deadline, ..Context::default() };
    let status = check(&wire("between", &[between], retrying()).unwrap(), &context).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}
