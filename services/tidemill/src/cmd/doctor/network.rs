//! The ports that a mesh would take, and the collector that its telemetry goes to.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tidemill_chassis::telemetry::TelemetryConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tonic::transport::Endpoint;

use super::finding::Finding;
use crate::config::Config;

/// How long somebody on the other side may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Variables that name a collector (OpenTelemetry specification, "OpenTelemetry Protocol Exporter").
const VARIABLES: [&str; 3] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
];

/// Connects to the collector, if one is named.
pub(super) async fn look_at_collector(config: &TelemetryConfig) -> Vec<Finding> {
    let named = config.otlp_endpoint.clone();
    let named = named.or_else(|| VARIABLES.iter().find_map(|name| std::env::var(name).ok()));
    let Some(address) = named else {
        return vec![Finding::ok("collector", "none is configured: no traces are made")];
    };
    vec![judge_collector(&address, connect(&address).await)]
}

async fn connect(address: &str) -> Result<(), String> {
    let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|fault| fault.to_string())?;
    if endpoint.uri().scheme_str() == Some("https") {
        // Whether it shows the right certificate is told by the mesh's log.
        let host = endpoint.uri().host().unwrap_or_default().to_owned();
        let port = endpoint.uri().port_u16().unwrap_or(443);
        return within(TcpStream::connect((host, port))).await;
    }
    within(endpoint.connect()).await
}

async fn within<T, E: std::error::Error>(attempt: impl Future<Output = Result<T, E>>) -> Result<(), String> {
    let attempt = timeout(PATIENCE, attempt).await.map_err(|_| "no answer".to_owned())?;
    attempt.map(drop).map_err(|fault| match fault.source() {
        Some(cause) => cause.to_string(),
        None => fault.to_string(),
    })
}

fn judge_collector(address: &str, reached: Result<(), String>) -> Finding {
    match reached {
        Ok(()) => Finding::ok("collector", format!("{address} can be reached")),
        Err(reason) => {
            let mend =
                "start it, or correct telemetry.otlp_endpoint; a mesh runs without it, and tells nothing";
            Finding::warn("collector", format!("{address} cannot be reached: {reason}"), mend)
        }
    }
}

/// Who has a port.
#[derive(Debug, PartialEq, Eq)]
enum Port {
    Free,
    OurOwn,
    Taken,
    Unusable(String),
}

/// Takes each port for a moment.
pub(super) async fn look_at_ports(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for address in [Some(config.listen), config.parts_listen].into_iter().flatten() {
        findings.push(judge_port(address, see_port(address).await));
    }
    findings
}

async fn see_port(address: SocketAddr) -> Port {
    match TcpListener::bind(address).await {
        Ok(_) => Port::Free,
        Err(fault) if fault.kind() == ErrorKind::AddrInUse => {
            let ours = timeout(PATIENCE, is_mesh(address)).await;
            if matches!(ours, Ok(Ok(true))) { Port::OurOwn } else { Port::Taken }
        }
        Err(fault) => Port::Unusable(fault.to_string()),
    }
}

/// Whether a mesh answers there: its page of liveness is one word.
async fn is_mesh(address: SocketAddr) -> std::io::Result<bool> {
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = [0; 512];
    let read = connection.read(&mut answer).await?;
    Ok(answer[..read].starts_with(b"HTTP/1.1 200"))
}

fn judge_port(address: SocketAddr, port: Port) -> Finding {
    match port {
        Port::Free => Finding::ok("port", format!("{address} is free")),
        Port::OurOwn => Finding::ok("port", format!("a mesh serves at {address} already")),
        Port::Taken => {
            let mend = "stop what listens there, or choose another with --listen";
            Finding::fail("port", format!("{address} is taken by another program"), mend)
        }
        Port::Unusable(reason) => {
            let mend = "listen on an address of this machine and a port above 1023 (--listen)";
            Finding::fail("port", format!("{address} cannot be listened on: {reason}"), mend)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[tokio::test]
    async fn a_port_is_free_or_taken_and_a_foreign_address_unusable() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Somebody who hangs up on every caller.
        let foreign = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                drop(connection);
            }
        });
        assert_eq!(see_port(address).await, Port::Taken);
        foreign.abort();
        let _ = foreign.await;
        assert_eq!(see_port(address).await, Port::Free);
        assert!(matches!(see_port("192.0.2.1:80".parse().unwrap()).await, Port::Unusable(_)));
        assert_eq!(judge_port(address, Port::Taken).level, Level::Fail);
        assert_eq!(judge_port(address, Port::OurOwn).level, Level::Ok);
    }

    #[tokio::test]
    async fn a_collector_that_is_away_is_a_warning() {
        let config = TelemetryConfig {
            otlp_endpoint: Some("http://127.0.0.1:1".to_owned()),
            ..TelemetryConfig::default()
        };
        let findings = look_at_collector(&config).await;
        assert_eq!(findings[0].level, Level::Warn, "{findings:?}");
    }
}
