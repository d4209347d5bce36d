//! Reads on streaming replicas: what a session wrote is seen, what lags, dies, is promoted or is something else is left
//! out and comes back, and a read never fails because a replica did.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tidemill_postgres::{PostgresConfig, PostgresStore};
use tidemill_store::Freshness;
use tidemill_store::conformance::fixture::{Shared, create, page, query};
use tidemill_tests::harness::{poll, postgres::Server};

const LIMIT: Duration = Duration::from_secs(30);

/// A primary with replicas and a store that uses them. What a server answers is told apart by how much it has.
struct Stage {
    primary: Server,
    replicas: Vec<Server>,
    database: String,
    store: Shared,
}

async fn stage(replicas: usize, more: impl Fn(&mut PostgresConfig)) -> Option<Stage> {
    let primary = Server::start("fsync = off").unwrap()?;
    let url = primary.database().unwrap();
    let database = url.rsplit('/').next().unwrap().to_owned();
    let replicas: Vec<Server> = (0..replicas).map(|_| primary.replica().unwrap()).collect();
    let mut config = PostgresConfig {
        url,
        replicas: replicas.iter().map(|replica| replica.url(&database)).collect(),
        replica_check_ms: 20,
        max_connections: 6,
        ..PostgresConfig::default()
    };
    more(&mut config);
    let store: Shared = Arc::new(PostgresStore::connect(config).await.unwrap());
    create(&store, "acme").await;
    Some(Stage { primary, replicas, database, store })
}

impl Stage {
    /// When a page of queries was last asked of a server; nothing from one that is away.
    fn last_read(&self, server: &Server) -> Option<String> {
        let asked = "SELECT max(query_start) FROM pg_stat_activity
                     WHERE application_name = 'tidemill' AND query LIKE '%WHERE n.name = $1 AND q.name > $2%'";
        server.psql_in(&self.database, asked).ok()
    }

    /// Which of the servers answer reads that may lag: the primary, then the replicas.
    async fn answering(&self) -> Vec<bool> {
        let servers = || [&self.primary].into_iter().chain(&self.replicas);
        let before: Vec<_> = servers().map(|server| self.last_read(server)).collect();
        for _ in 0..20 {
            self.shows(Freshness::Recent).await;
        }
        servers().zip(before).map(|(server, before)| self.last_read(server) != before).collect()
    }

    /// Waits until some of these servers answer and no other does. Which of several answers is for their latencies to say.
    async fn until_answering(&self, allowed: &[bool]) {
        let right = |answering: Vec<bool>| {
            let is_stranger = answering.iter().zip(allowed).any(|(answers, allowed)| *answers && !allowed);
            answering.contains(&true) && !is_stranger
        };
        let answer = || async { right(self.answering().await).then_some(()) };
        poll::until("the right servers answer", LIMIT, answer).await.unwrap();
    }

    /// How many queries a read of this freshness shows.
    async fn shows(&self, freshness: Freshness) -> usize {
        let view = self.store.clone().reading(freshness);
        view.page_queries(&"acme".parse().unwrap(), page(1_000)).await.unwrap().items.len()
    }

    async fn put(&self, number: u128) {
        self.store.put_query(&"acme".parse().unwrap(), query(number)).await.unwrap();
    }

    /// Waits until reads that may lag show so many.
    async fn until_recent_shows(&self, count: usize) {
        let shows = || async { (self.shows(Freshness::Recent).await == count).then_some(()) };
        poll::until("reads show what was asked for", LIMIT, shows).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_reads_what_it_wrote_whatever_the_replicas_do() {
    let Some(stage) = stage(2, |_| ()).await else { return };
    for number in 1..=100_u128 {
        stage.put(number).await;
        let position = stage.store.position().await.unwrap();
        assert_eq!(stage.shows(Freshness::After(position)).await as u128, number);
        assert_eq!(stage.shows(Freshness::Latest).await as u128, number);
        if number == 30 {
            stage.replicas[0].pause_replay().unwrap();
        }
        if number == 60 {
            stage.replicas[0].resume_replay().unwrap();
            stage.replicas[1].stop().unwrap();
        }
    }
    stage.until_recent_shows(100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_a_killed_and_a_promoted_replica_are_left_out_and_the_first_two_come_back() {
    let Some(stage) = stage(2, |_| ()).await else { return };
    stage.put(1).await;
    stage.until_answering(&[false, true, true]).await;

    stage.replicas[0].pause_replay().unwrap();
    stage.put(2).await;
    stage.until_answering(&[false, false, true]).await;
    for _ in 0..20 {
        assert_eq!(stage.shows(Freshness::Recent).await, 2, "the paused one is asked no more");
    }
    stage.replicas[0].resume_replay().unwrap();

    stage.replicas[1].stop().unwrap();
    stage.until_answering(&[false, true, false]).await;
    stage.replicas[1].restart().unwrap();

    stage.replicas[0].promote().unwrap();
    stage.put(3).await;
    stage.until_answering(&[false, false, true]).await;
    stage.until_recent_shows(3).await;

    stage.replicas[1].stop().unwrap();
    stage.until_answering(&[true, false, false]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_under_way_do_not_notice_that_a_replica_is_killed() {
    let Some(stage) = stage(2, |_| ()).await else { return };
    stage.put(1).await;
    stage.until_answering(&[false, true, true]).await;
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let (view, done) = (stage.store.clone().reading(Freshness::Recent), Arc::clone(&done));
            tokio::spawn(async move {
                let mut reads = 0_u32;
                while !done.load(std::sync::atomic::Ordering::SeqCst) {
                    let found = view.page_queries(&"acme".parse().unwrap(), page(10)).await.unwrap();
                    assert_eq!(found.items.len(), 1);
                    reads += 1;
                }
                reads
            })
        })
        .collect();
    for _ in 0..2 {
        for replica in &stage.replicas {
            replica.stop().unwrap();
            replica.restart().unwrap();
        }
    }
    stage.until_answering(&[false, true, true]).await;
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    let reads: u32 = join_all(readers).await.into_iter().map(Result::unwrap).sum();
    assert!(reads > 100, "{reads} reads");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_hangs_does_not_keep_the_reads_that_are_under_way() {
    let Some(stage) = stage(1, |config| config.max_replica_lag_ms = 300).await else { return };
    stage.put(1).await;
    stage.until_answering(&[false, true]).await;
    // Stopped as it stands: its connections stay open and nobody answers on them.
    let halted = stage.replicas[0].halt().unwrap();
    let read = tokio::time::timeout(LIMIT, stage.shows(Freshness::Recent)).await;
    assert_eq!(read.expect("the read waits for ever"), 1);
    drop(halted);
    stage.until_answering(&[false, true]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_or_another_cluster_listed_as_a_replica_gets_no_reads() {
    let Some(other) = Server::start("fsync = off").unwrap() else { return };
    let replica_of_other = other.replica().unwrap();
    let stage = stage(0, |config| {
        let itself = config.url.clone();
        config.replicas =
            vec![itself, replica_of_other.url("postgres"), "postgres://127.0.0.1:1/x".to_owned()];
    });
    let stage = stage.await.unwrap();
    for number in 1..=20 {
        stage.put(number).await;
        assert_eq!(stage.shows(Freshness::Recent).await as u128, number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_user_may_do_all_that_replicas_need() {
    let Some(stage) = stage(1, |_| ()).await else { return };
    stage.primary.psql("CREATE USER ann").unwrap();
    stage.primary.psql("CREATE DATABASE hers OWNER ann").unwrap();
    let url = |server: &Server| server.url("hers").replace("postgres@", "ann@");
    let config = PostgresConfig {
        url: url(&stage.primary),
        replicas: vec![url(&stage.replicas[0])],
        replica_check_ms: 20,
        ..PostgresConfig::default()
    };
    let store: Shared = Arc::new(PostgresStore::connect(config).await.unwrap());
    let stage = Stage { database: "hers".to_owned(), store, ..stage };
    create(&stage.store, "acme").await;
    stage.put(1).await;
    stage.until_answering(&[false, true]).await;
}
