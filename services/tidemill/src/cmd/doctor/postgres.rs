//! PostgreSQL and its replicas.

use std::time::Duration;

use tidemill_chassis::SystemClock;
use tidemill_kernel::{Clock, Timestamp};
use tidemill_postgres::{Examination, PostgresConfig, PostgresStore, ReplicaExamination};

use super::finding::Finding;
use super::folder::judge_schema;

const NAME: &str = "postgres";

/// Clocks that differ by more than this make leases end early or late.
const SKEW: Duration = Duration::from_secs(1);

/// Looks at the server and the database.
pub(super) async fn look(config: &PostgresConfig) -> Vec<Finding> {
    let begun = SystemClock.now();
    match PostgresStore::examine(config).await {
        Ok(seen) => judge(config, &seen, begun, SystemClock.now()),
        Err(fault) => vec![Finding::told(NAME, &fault)],
    }
}

/// Looks at the replicas.
pub(super) async fn look_at_replicas(config: &PostgresConfig) -> Vec<Finding> {
    match PostgresStore::examine_replicas(config).await {
        Ok(seen) => seen.iter().map(judge_replica).collect(),
        Err(fault) => vec![Finding::told("replica", &fault)],
    }
}

/// What is right and wrong with a server that was asked between these two moments.
fn judge(config: &PostgresConfig, seen: &Examination, begun: Timestamp, ended: Timestamp) -> Vec<Finding> {
    let Examination { server, release, .. } = seen;
    let mut findings =
        vec![Finding::ok(NAME, format!("version {release} at {server}, login and database right"))];
    findings.extend(judge_schema("schema", &seen.schema, config.migrate));
    findings.push(judge_connections(config, seen));
    if !seen.waits_for_commits {
        findings.push(Finding::warn(
            "commits",
            "synchronous_commit is off: a crash of the server loses what was acknowledged last",
            "set it to on for this database: ALTER DATABASE ... SET synchronous_commit = on",
        ));
    }
    if !seen.survives_power_loss {
        findings.push(Finding::warn(
            "disk",
            "fsync or full_page_writes is off: a loss of power can destroy the database",
            "set both to on in postgresql.conf",
        ));
    }
    findings.push(judge_clock(seen.clock, begun, ended));
    findings
}

/// Whether the server takes the connections of this instance and of a few more.
fn judge_connections(config: &PostgresConfig, seen: &Examination) -> Finding {
    const NAME: &str = "connections";
    if config.shared_pooler {
        return Finding::ok(NAME, "shared by a pooler");
    }
    // One more asks how far the log is.
    let each = i64::from(config.max_connections) + i64::from(!config.replicas.is_empty());
    let instances = seen.max_connections / each.max(1);
    let says = format!(
        "the server allows {}, {} are open; an instance takes up to {each}, so {instances} can run",
        seen.max_connections, seen.connections
    );
    let mend = "raise max_connections of the server, lower `max_connections` of each instance, or put PgBouncer in \
                transaction mode in front (`shared_pooler = true`)";
    match instances {
        0 => Finding::fail(NAME, says, mend),
        1 => Finding::warn(NAME, says, mend),
        _ => Finding::ok(NAME, says),
    }
}

/// Whether the server's clock shows a time between these two, more or less.
fn judge_clock(server: Timestamp, begun: Timestamp, ended: Timestamp) -> Finding {
    let skew = server.since(ended).max(begun.since(server));
    let says = format!("this machine's differs from the server's by {:.1} s", skew.as_secs_f64());
    if skew <= SKEW {
        return Finding::ok("clock", "this machine's and the server's agree");
    }
    Finding::warn("clock", says, "let both follow a time server (NTP)")
}

fn judge_replica(seen: &ReplicaExamination) -> Finding {
    match &seen.lag {
        Ok(lag) => {
            let says = format!("{} follows, up to date within {} ms", seen.server, lag.as_millis());
            Finding::ok("replica", says)
        }
        Err(reason) => {
            let says = format!("{} gets no reads: {reason}", seen.server);
            Finding::warn(
                "replica",
                says,
                "see that it streams from the primary, or take it out of `replicas`",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use tidemill_store::schema::Schema;

    use super::super::finding::Level;
    use super::*;

    fn seen() -> Examination {
        Examination {
            server: "db:5432".to_owned(),
            release: "15.4".to_owned(),
            schema: Schema::default(),
            max_connections: 97,
            connections: 3,
            waits_for_commits: true,
            survives_power_loss: true,
            clock: Timestamp::from_micros(10_000_000),
        }
    }

    fn worst(config: &PostgresConfig, seen: &Examination) -> Vec<(&'static str, Level)> {
        let at = Timestamp::from_micros(10_000_000);
        let findings = judge(config, seen, at, at).into_iter();
        findings
            .filter(|finding| finding.level != Level::Ok)
            .map(|finding| (finding.check, finding.level))
            .collect()
    }

    #[test]
    fn a_server_as_it_should_be_is_all_right_and_each_fault_is_named() {
        let config = PostgresConfig::default();
        assert_eq!(worst(&config, &seen()), []);
        let few = Examination { max_connections: 20, ..seen() };
        assert_eq!(worst(&config, &few), [("connections", Level::Warn)]);
        let none = Examination { max_connections: 10, ..seen() };
        assert_eq!(worst(&config, &none), [("connections", Level::Fail)]);
        let pooled = PostgresConfig { shared_pooler: true, ..config.clone() };
        assert_eq!(worst(&pooled, &none), []);
        let careless = Examination { waits_for_commits: false, survives_power_loss: false, ..seen() };
        assert_eq!(worst(&config, &careless), [("commits", Level::Warn), ("disk", Level::Warn)]);
        for clock in [7_000_000, 13_000_000] {
            let late = Examination { clock: Timestamp::from_micros(clock), ..seen() };
            assert_eq!(worst(&config, &late), [("clock", Level::Warn)]);
        }
    }

    #[test]
    fn a_replica_that_gets_no_reads_is_a_warning_with_its_reason() {
        let of = |lag| judge_replica(&ReplicaExamination { server: "r:1".to_owned(), lag });
        assert_eq!(of(Ok(Duration::from_millis(7))).level, Level::Ok);
        let left = of(Err("its replay is paused".to_owned()));
        assert!(left.level == Level::Warn && left.to_string().contains("paused"), "{left}");
    }
}
