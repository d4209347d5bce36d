//! Consul: whether its agent answers, has a leader, and lets this token do what parts do.

use tidemill_chassis::discovery::consul::ConsulConfig;
use tidemill_consul::{Client, Error, Registration};

use super::finding::Finding;

const NAME: &str = "consul";

/// Asks the agent, and registers a service that it takes away again at once.
pub(super) async fn look(config: &ConsulConfig) -> Vec<Finding> {
    let client = match Client::new(&config.client()) {
        Ok(client) => client,
        Err(fault) => return vec![Finding::told(NAME, &fault)],
    };
    let mut findings = vec![judge_leader(client.address(), client.status().leader().await)];
    if findings[0].level == super::Level::Ok {
        let name = format!("{}doctor", config.service_prefix);
        findings.push(judge_rights(&name, rights(&client, &name).await));
    }
    findings
}

/// What every part does: it registers itself, looks others up, and leaves.
async fn rights(client: &Client, name: &str) -> Result<(), Error> {
    client.catalog().services(None).await?;
    let id = format!("{name}-{}", std::process::id());
    client.agent().register(&Registration::new(&id, name, "127.0.0.1", 1)).await?;
    client.agent().deregister(&id).await
}

fn judge_leader(address: &str, leader: Result<Option<String>, Error>) -> Finding {
    match leader {
        Ok(Some(leader)) => Finding::ok(NAME, format!("{address} answers, its leader is {leader}")),
        Ok(None) => {
            let mend = "see why its servers do not agree (consul operator raft list-peers)";
            Finding::fail(NAME, format!("{address} answers, but the cluster has no leader"), mend)
        }
        Err(fault) => Finding::told(NAME, &fault),
    }
}

fn judge_rights(name: &str, rights: Result<(), Error>) -> Finding {
    const NAME: &str = "consul rights";
    match rights {
        Ok(()) => Finding::ok(NAME, format!("`{name}` could be registered and removed")),
        Err(fault) => {
            let mend =
                "give the token a policy with service:write for the prefix and service:read, node:read";
            Finding::fail(NAME, format!("`{name}` could not be registered: {fault}"), mend)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_cluster_without_a_leader_fails() {
        assert_eq!(judge_leader("a", Ok(None)).level, Level::Fail);
        assert_eq!(judge_leader("a", Ok(Some("b".to_owned()))).level, Level::Ok);
        assert_eq!(judge_rights("tidemill-doctor", Ok(())).level, Level::Ok);
    }

    #[tokio::test]
    async fn an_agent_that_is_away_fails() {
        let config = ConsulConfig { address: "http://127.0.0.1:1".to_owned(), ..ConsulConfig::default() };
        let findings = look(&config).await;
        assert!(findings.len() == 1 && findings[0].level == Level::Fail, "{findings:?}");
    }
}
