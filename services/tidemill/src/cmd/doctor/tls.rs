//! The certificates that ports and calls are configured with.

use tidemill_chassis::tls::{Certificates, TlsConfig};

use super::finding::Finding;
use crate::config::Config;

/// Reads the files of every table.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let tables = [("tls.mesh", config.tls.mesh.as_ref()), ("tls.gateway", config.tls.gateway.as_ref())];
    tables.into_iter().filter_map(|(table, tls)| Some(judge(table, tls?))).collect()
}

fn judge(table: &'static str, tls: &TlsConfig) -> Finding {
    match Certificates::load(tls.clone()) {
        Ok(_) => Finding::ok(table, format!("{} and its key belong together", tls.cert_file.display())),
        Err(fault) => {
            let mend = "name PEM files that this user can read: a certificate with its chain, its own key, its authority";
            Finding::fail(table, fault.to_string(), mend)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[tokio::test]
    async fn files_that_cannot_be_used_fail_their_table() {
        assert!(look(&Config::default()).await.is_empty());
        let findings = look(&Config::whole()).await;
        let seen: Vec<_> = findings.iter().map(|finding| (finding.check, finding.level)).collect();
        assert_eq!(seen, [("tls.mesh", Level::Fail), ("tls.gateway", Level::Fail)]);
        assert!(findings[0].says.contains("ca.pem"), "{findings:?}");
    }
}
