//! A server that answers every connection with the same script, to see what the client makes of it.

use anyhow::Result;
use tidemill_consul::{Client, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it does once a request's head is there.
#[derive(Debug, Clone)]
pub(crate) enum Script {
    /// Sends these bytes and closes.
    Say(String),
    /// Sends these bytes and then nothing more, for ever.
    Stall(String),
    /// Sends these bytes and resets the connection.
    Reset(String),
}

/// The server, until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) client: Client,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Starts it on a free port; its client has this configuration otherwise.
    pub(crate) async fn start(script: Script, config: Config) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(play(stream, script.clone()));
            }
        });
        Ok(Self { client: Client::new(&Config { address, ..config })?, task })
    }
}

/// A whole answer with this status line and body.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Script {
    let length = body.len();
    Script::Say(format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    ))
}

async fn play(mut stream: TcpStream, script: Script) {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read_buf(&mut head).await {
            Ok(1..) => {}
            _ => return,
        }
    }
    let (Script::Say(text) | Script::Stall(text) | Script::Reset(text)) = &script;
    let _ = stream.write_all(text.as_bytes()).await;
    match script {
        Script::Say(_) => {
            let _ = stream.shutdown().await;
        }
        Script::Stall(_) => std::future::pending().await,
        // A zero linger turns the close into a reset.
        Script::Reset(_) => {
            let _ = stream.set_zero_linger();
        }
    }
}
