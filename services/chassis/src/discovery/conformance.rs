//! The suite that defines the port: whatever passes it is a discovery.
//!
//! Each case is an async function of a fresh [`Stage`]; [`discovery_suite!`](crate::discovery_suite) makes a test of
//! each. What a set that becomes empty means is each adapter's own and not part of it.

use std::sync::Arc;
use std::time::Duration;

use super::{Address, Discovery, Follow, Instance};

/// How long a change may take to be told.
const SOON: Duration = Duration::from_secs(10);

/// A discovery under test, and the hand that changes what it finds.
pub trait Stage: Send {
    /// The discovery.
    fn discovery(&self) -> Arc<dyn Discovery>;

    /// Makes these the instances of a service.
    fn publish(&mut self, service: &'static str, instances: &[Instance]) -> impl Future<Output = ()> + Send;
}

/// Makes one `#[tokio::test]` of each case. The expression is a future of `Some((stage, guard))`, or of `None` when
/// the test is skipped, which has then been said.
#[macro_export]
macro_rules! discovery_suite {
    ($make:expr) => {
        $crate::discovery_suite!(@cases $make, [
            an_instance_is_told_with_its_zone_its_weight_and_what_it_tells
            who_joins_and_who_leaves_is_told
            a_late_follower_begins_with_what_is_known
            every_follower_sees_the_same
            services_are_kept_apart
            a_set_is_sorted_and_has_each_address_once
            after_many_changes_the_last_one_counts
            an_instance_that_changes_is_told_anew
        ]);
    };
    (@cases $make:expr, [$($case:ident)*]) => {$(
        #[tokio::test]
        async fn $case() {
            let Some((mut stage, _guard)) = $make.await else { return };
            $crate::discovery::conformance::$case(&mut stage).await;
        }
    )*};
}

/// An instance on this port, with a zone.
fn instance(port: u16, zone: &str) -> Instance {
    let meta = [("zone".to_owned(), zone.to_owned()), ("version".to_owned(), "1.2".to_owned())];
    let address = Address::of("127.0.0.1", port).unwrap();
    Instance { address, zone: Some(zone.to_owned()), weight: u32::from(port), meta: meta.into() }
}

/// Waits until these are the instances.
async fn until(follow: &mut Follow, wanted: &[Instance]) {
    let told = async {
        while follow.current().as_deref() != Some(wanted) {
            assert!(follow.changed().await, "the discovery has ended");
        }
    };
    if tokio::time::timeout(SOON, told).await.is_err() {
        panic!("waited {SOON:?} for {wanted:?}, told is {:?}", follow.current());
    }
}

/// Everything that is known of an instance arrives.
pub async fn an_instance_is_told_with_its_zone_its_weight_and_what_it_tells(stage: &mut impl Stage) {
    let one = instance(7, "a");
    stage.publish("echo", std::slice::from_ref(&one)).await;
    let mut follow = stage.discovery().follow("echo");
    until(&mut follow, &[one]).await;
}

/// Joining and leaving, while somebody is left.
pub async fn who_joins_and_who_leaves_is_told(stage: &mut impl Stage) {
    let (one, two, three) = (instance(1, "a"), instance(2, "a"), instance(3, "b"));
    let mut follow = stage.discovery().follow("echo");
    for set in
        [vec![one.clone()], vec![one.clone(), two.clone()], vec![two.clone(), three.clone()], vec![three]]
    {
        stage.publish("echo", &set).await;
        until(&mut follow, &set).await;
    }
}

/// A follower of a service that somebody else follows already.
pub async fn a_late_follower_begins_with_what_is_known(stage: &mut impl Stage) {
    let set = [instance(1, "a"), instance(2, "b")];
    let discovery = stage.discovery();
    let mut early = discovery.follow("echo");
    stage.publish("echo", &set).await;
    until(&mut early, &set).await;
    let mut clone = early.clone();
    until(&mut clone, &set).await;
    let mut late = discovery.follow("echo");
    assert!(late.known().await);
    until(&mut late, &set).await;
}

/// Two followers.
pub async fn every_follower_sees_the_same(stage: &mut impl Stage) {
    let discovery = stage.discovery();
    let (mut one, mut other) = (discovery.follow("echo"), discovery.follow("echo"));
    for port in 1..4 {
        let set = [instance(port, "a")];
        stage.publish("echo", &set).await;
        until(&mut one, &set).await;
        until(&mut other, &set).await;
    }
}

/// Two services.
pub async fn services_are_kept_apart(stage: &mut impl Stage) {
    let discovery = stage.discovery();
    let (mut echo, mut other) = (discovery.follow("echo"), discovery.follow("other"));
    stage.publish("echo", &[instance(1, "a")]).await;
    stage.publish("other", &[instance(2, "a")]).await;
    until(&mut echo, &[instance(1, "a")]).await;
    until(&mut other, &[instance(2, "a")]).await;
    assert!(discovery.follow("nobody").current().is_none_or(|all| all.is_empty()));
}

/// Published in any order, and one address twice.
pub async fn a_set_is_sorted_and_has_each_address_once(stage: &mut impl Stage) {
    let (one, two, three) = (instance(1, "a"), instance(2, "b"), instance(3, "a"));
    let mut follow = stage.discovery().follow("echo");
    stage.publish("echo", &[three.clone(), one.clone(), two.clone(), one.clone()]).await;
    until(&mut follow, &[one, two, three]).await;
}

/// A flapping service.
pub async fn after_many_changes_the_last_one_counts(stage: &mut impl Stage) {
    let stays = instance(100, "a");
    let mut follow = stage.discovery().follow("echo");
    for turn in 0..20 {
        stage.publish("echo", &[instance(1 + turn % 3, "a"), stays.clone()]).await;
    }
    stage.publish("echo", &[instance(9, "b"), stays.clone()]).await;
    until(&mut follow, &[stays, instance(9, "b")]).await;
}

/// The same address with another weight and zone.
pub async fn an_instance_that_changes_is_told_anew(stage: &mut impl Stage) {
    let mut follow = stage.discovery().follow("echo");
    let mut changing = instance(1, "a");
    for (zone, weight) in [("a", 1), ("b", 5)] {
        changing.weight = weight;
        changing.zone = Some(zone.to_owned());
        changing.meta.insert("zone".to_owned(), zone.to_owned());
        stage.publish("echo", std::slice::from_ref(&changing)).await;
        until(&mut follow, std::slice::from_ref(&changing)).await;
    }
}
