//! A server for the wire tests: answers every connection with the same bytes, written piece by piece.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does after the request was read.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Writes these bytes and lets them out.
    Send(Vec<u8>),
    /// Holds the connection open for good.
    Hang,
}

/// A server on a free port of the loopback device.
pub(super) struct Server {
    pub(super) base_url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers with these acts, then closes the connection.
    pub(super) async fn start(acts: Vec<Act>) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(connection, acts.clone(), Arc::clone(&seen)));
            }
        });
        Self { base_url, requests }
    }

    /// Answers with one plain response.
    pub(super) async fn plain(status: u16, headers: &str, body: &str) -> Self {
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
        Self::start(vec![Act::Send((head + body).into_bytes())]).await
    }

    /// Answers with an event stream, cut into chunks of this many bytes; `whole` says whether it ends in good order.
    pub(super) async fn events(body: &str, chunk: usize, last: Last) -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let mut acts = vec![Act::Send(head.into())];
        for bytes in body.as_bytes().chunks(chunk) {
            let mut frame = format!("{:x}\r\n", bytes.len()).into_bytes();
            frame.extend_from_slice(bytes);
            frame.extend_from_slice(b"\r\n");
            acts.push(Act::Send(frame));
        }
        match last {
            Last::End => acts.push(Act::Send(b"0\r\n\r\n".to_vec())),
            Last::Cut => {}
            Last::Hang => acts.push(Act::Hang),
        }
        Self::start(acts).await
    }

    /// The requests as they came, head and body.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// What follows the last event.
#[derive(Debug, Clone, Copy)]
pub(super) enum Last {
    End,
    Cut,
    Hang,
}

async fn answer(mut connection: TcpStream, acts: Vec<Act>, seen: Arc<Mutex<Vec<String>>>) {
    let Some(request) = read_request(&mut connection).await else { return };
    seen.lock().unwrap().push(request);
    for act in acts {
        match act {
            Act::Send(bytes) => {
                if connection.write_all(&bytes).await.is_err() || connection.flush().await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
            Act::Hang => std::future::pending::<()>().await,
        }
    }
}

async fn read_request(connection: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if connection.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(text);
        }
    }
}
