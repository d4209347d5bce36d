//! What the other tests stand on: a replica follows its primary, falls behind when told, and comes back when killed.

use std::time::Duration;

use tidemill_tests::harness::{poll, postgres::Server};

async fn until_it_has(replica: &Server, rows: &str) {
    let has = || async { (replica.psql("SELECT count(*) FROM seen").ok()? == rows).then_some(()) };
    poll::until("the replica has caught up", Duration::from_secs(20), has).await.unwrap();
}

#[tokio::test]
async fn a_replica_follows_falls_behind_when_told_survives_a_kill_and_can_be_promoted() {
    let Some(primary) = Server::start("fsync = off").unwrap() else { return };
    primary.psql("CREATE TABLE seen AS SELECT 1 AS number").unwrap();
    let replica = primary.replica().unwrap();
    until_it_has(&replica, "1").await;
    let refused = replica.psql("INSERT INTO seen VALUES (9)").unwrap_err();
    assert!(refused.to_string().contains("read-only"), "{refused}");
    replica.pause_replay().unwrap();
    primary.psql("INSERT INTO seen VALUES (2)").unwrap();
    assert_eq!(replica.psql("SELECT count(*) FROM seen").unwrap(), "1");
    replica.resume_replay().unwrap();
    until_it_has(&replica, "2").await;
    replica.stop().unwrap();
    primary.psql("INSERT INTO seen VALUES (3)").unwrap();
    replica.restart().unwrap();
    until_it_has(&replica, "3").await;
    replica.promote().unwrap();
    replica.psql("INSERT INTO seen VALUES (4)").unwrap();
    assert_eq!(primary.psql("SELECT count(*) FROM seen").unwrap(), "3");
}
