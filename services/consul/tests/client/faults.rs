//! What the client makes of servers that reset, break off, dawdle, talk nonsense or are not there.

use std::time::Duration;

use anyhow::{Context, Result};
use tidemill_consul::{Client, Config, Error, HealthQuery};
use tokio::net::TcpListener;

use crate::server::{Script, Server, answer};

fn hasty() -> Config {
    Config { timeout: Duration::from_millis(200), ..Config::default() }
}

/// What a call for the leader ends in.
async fn fault(script: Script) -> Result<Error> {
    let server = Server::start(script, hasty()).await?;
    server.client.status().leader().await.err().context("an answer")
}

#[tokio::test]
async fn nobody_at_the_address_is_unreachable() -> Result<()> {
    let free = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let fault = Client::new(&Config::at(free.to_string()))?.status().leader().await.unwrap_err();
    assert!(matches!(fault, Error::Unreachable { .. }) && fault.is_transient());
    let text = fault.to_string();
    assert!(text.contains(&free.to_string()) && text.contains("refused") && text.contains("check"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_connection_that_breaks_anywhere_is_unreachable() -> Result<()> {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n\"127.0";
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n\"127.0";
    for said in ["", "HTTP/1.1 20", half, chunked] {
        for script in [Script::Say(said.to_owned()), Script::Reset(said.to_owned())] {
            let fault = fault(script.clone()).await?;
            assert!(matches!(fault, Error::Unreachable { .. }), "{script:?}: {fault:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_answer_that_never_ends_is_a_timeout() -> Result<()> {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n\"127.0";
    for said in ["", "HTTP/1.1 20", half] {
        let fault = fault(Script::Stall(said.to_owned())).await?;
        assert!(
            matches!(&fault, Error::Timeout { request, .. } if request == "GET /v1/status/leader"),
            "{fault:?}"
        );
        assert!(fault.is_transient());
    }
    Ok(())
}

#[tokio::test]
async fn a_blocking_query_is_given_its_wait_and_a_sixteenth_before_the_timeout() -> Result<()> {
    // The first answer has an index; the second query waits, and is cut off after 160 + 10 + 200 ms.
    let first = answer("200 OK", "x-consul-index: 7\r\n", "[]");
    let server = Server::start(first, hasty()).await?;
    let mut watch = server.client.health().watch("a", HealthQuery::default(), Duration::from_millis(160));
    assert!(!watch.next().await?.is_rewound);
    drop(server);
    let stalled = Server::start(Script::Stall(String::new()), hasty()).await?;
    let wait = tidemill_consul::Wait { index: 7, at_most: Duration::from_millis(160) };
    let fault = stalled.client.health().service("a", &HealthQuery::default(), Some(wait)).await.unwrap_err();
    assert!(
        matches!(fault, Error::Timeout { after, .. } if after == Duration::from_millis(370)),
        "{fault:?}"
    );
    Ok(())
}

#[tokio::test]
async fn what_is_not_consuls_is_named_with_its_beginning() -> Result<()> {
    for body in ["<html>It works!</html>", "", "{\"a\":", "[1]"] {
        let fault = fault(answer("200 OK", "", body)).await?;
        let text = fault.to_string();
        assert!(matches!(fault, Error::Answer { .. }) && !fault.is_transient(), "{body}: {text}");
        assert!(text.contains(body) && text.contains("Consul agent"), "{text}");
    }
    let moved = fault(answer("301 Moved Permanently", "location: http://a.example/\r\n", "")).await?;
    assert!(matches!(&moved, Error::Answer { reason, .. } if reason.contains("301")), "{moved:?}");
    assert!(matches!(fault(Script::Say("SSH-2.0-OpenSSH\r\n\r\n".into())).await?, Error::Unreachable { .. }));
    Ok(())
}

#[tokio::test]
async fn statuses_are_told_apart_by_who_can_mend_them() -> Result<()> {
    let denied = fault(answer("403 Forbidden", "", "Permission denied")).await?;
    assert!(matches!(&denied, Error::Denied { message, .. } if message == "Permission denied"));
    let refused = fault(answer("400 Bad Request", "", "Request decode failed")).await?;
    assert!(matches!(refused, Error::Refused { status: 400, .. }) && !refused.is_transient());
    assert!(matches!(fault(answer("404 Not Found", "", "")).await?, Error::Refused { status: 404, .. }));
    for status in ["500 Internal Server Error", "503 Service Unavailable", "429 Too Many Requests"] {
        let failed = fault(answer(status, "", "No cluster leader")).await?;
        assert!(matches!(failed, Error::Failed { .. }) && failed.is_transient(), "{status}");
    }
    Ok(())
}

#[tokio::test]
async fn a_deregistration_of_what_is_not_there_is_done_whatever_the_version() -> Result<()> {
    for status in ["200 OK", "404 Not Found"] {
        let server = Server::start(answer(status, "", "Unknown service ID"), hasty()).await?;
        server.client.agent().deregister("echo-1").await?;
    }
    Ok(())
}
