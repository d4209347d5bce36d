//! Keys, values, sessions and locks, with the real agent.

use std::time::Duration;

use anyhow::{Context, Result};
use tidemill_consul::{Behavior, Error, SessionSpec, Wait};

use crate::agent::real;

#[tokio::test]
async fn a_value_of_any_bytes_reads_back_under_a_key_of_any_characters() -> Result<()> {
    let (client, _agent, _home) = real!();
    let kv = client.kv();
    let (key, value) = ("a b/ü?#%2F&=+/c", vec![0_u8, 255, 10, 13, 34]);
    assert_eq!(kv.get(key, None).await?.value, None);
    kv.put(key, value.clone()).await?;
    let entry = kv.get(key, None).await?.value.context("no value")?;
    assert_eq!((entry.key.as_str(), entry.value), (key, value));
    kv.put(key, "").await?;
    assert_eq!(kv.get(key, None).await?.value.map(|entry| entry.value), Some(Vec::new()));
    kv.delete(key).await?;
    kv.delete(key).await?;
    assert_eq!(kv.get(key, None).await?.value, None);
    assert!(matches!(kv.put("/a", "1").await, Err(Error::Argument { .. })));
    Ok(())
}

#[tokio::test]
async fn check_and_set_writes_only_over_the_version_that_was_read() -> Result<()> {
    let (client, _agent, _home) = real!();
    let kv = client.kv();
    assert!(kv.cas("plan", "1", 0).await?);
    assert!(!kv.cas("plan", "2", 0).await?);
    let read = kv.get("plan", None).await?.value.context("no value")?.modify_index;
    assert!(kv.cas("plan", "2", read).await?);
    assert!(!kv.cas("plan", "3", read).await?);
    assert!(!kv.delete_cas("plan", read).await?);
    let read = kv.get("plan", None).await?.value.context("no value")?;
    assert_eq!(read.value, b"2");
    assert!(kv.delete_cas("plan", read.modify_index).await?);
    Ok(())
}

#[tokio::test]
async fn keys_below_a_prefix_are_listed_and_deleted_together() -> Result<()> {
    let (client, _agent, _home) = real!();
    let kv = client.kv();
    assert!(kv.list("plans/", None).await?.value.is_empty());
    for key in ["plans/b", "plans/a", "planet"] {
        kv.put(key, key).await?;
    }
    let keys: Vec<_> = kv.list("plans/", None).await?.value.into_iter().map(|entry| entry.key).collect();
    assert_eq!(keys, ["plans/a", "plans/b"]);
    kv.delete_all("plans/").await?;
    assert!(kv.list("plans/", None).await?.value.is_empty());
    assert!(kv.get("planet", None).await?.value.is_some());
    Ok(())
}

#[tokio::test]
async fn a_blocking_read_wakes_when_the_key_changes() -> Result<()> {
    let (client, _agent, _home) = real!();
    client.kv().put("plan", "1").await?;
    let index = client.kv().get("plan", None).await?.index;
    let waiting = client.clone();
    let reader = tokio::spawn(async move {
        let wait = Some(Wait { index, at_most: Duration::from_secs(60) });
        waiting.kv().get("plan", wait).await
    });
    client.kv().put("plan", "2").await?;
    let read = tokio::time::timeout(Duration::from_secs(5), reader).await???;
    assert!(read.index > index);
    assert_eq!(read.value.map(|entry| entry.value), Some(b"2".to_vec()));
    Ok(())
}

#[tokio::test]
async fn one_session_at_a_time_has_the_lock() -> Result<()> {
    let (client, _agent, _home) = real!();
    let (kv, sessions) = (client.kv(), client.session());
    let spec = SessionSpec {
        name: "shard".into(),
        ttl: Some(Duration::from_secs(10)),
        lock_delay: Duration::from_millis(1),
        behavior: Behavior::Delete,
    };
    let (one, other) = (sessions.create(&spec).await?, sessions.create(&spec).await?);
    assert!(kv.acquire("lock", "one", &one).await?);
    assert!(!kv.acquire("lock", "other", &other).await?);
    assert_eq!(kv.get("lock", None).await?.value.and_then(|entry| entry.session), Some(one.clone()));
    assert!(!kv.release("lock", "", &other).await?);
    assert!(kv.release("lock", "", &one).await?);
    assert!(kv.acquire("lock", "other", &other).await?);
    let renewed = sessions.renew(&other).await?.context("over already")?;
    assert_eq!((renewed.name.as_str(), renewed.ttl.as_str()), ("shard", "10000ms"));
    assert_eq!(sessions.info(&other).await?.map(|session| session.behavior), Some(Behavior::Delete));
    sessions.destroy(&other).await?;
    assert_eq!(kv.get("lock", None).await?.value, None, "its session deletes it");
    assert_eq!((sessions.renew(&other).await?, sessions.info(&other).await?), (None, None));
    assert!(kv.acquire("lock", "", "no-session").await.is_err());
    Ok(())
}
