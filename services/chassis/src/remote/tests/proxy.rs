//! Something between client and server that counts connections and can make them silent, as when a machine is gone or
//! a process is stopped: open, and nothing comes through any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;
use tokio::sync::watch;

use super::*;

pub(super) struct Proxy {
    pub(super) address: Address,
    connections: Arc<AtomicUsize>,
    /// Connections that began before this many silences are silent.
    silences: watch::Sender<usize>,
    _stop: DropGuard,
}

impl Proxy {
    pub(super) async fn before(server: &Address) -> Self {
        let listener = server::bind(LOOPBACK).await.unwrap();
        let (address, server) = (address(&listener), server.to_string());
        let connections = Arc::new(AtomicUsize::new(0));
        let (silences, heard) = watch::channel(0);
        let stop = CancellationToken::new();
        let (count, stopped) = (Arc::clone(&connections), stop.clone());
        tokio::spawn(stopped.run_until_cancelled_owned(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(between(client, TcpStream::connect(&server).await.unwrap(), heard.clone()));
            }
        }));
        Self { address, connections, silences, _stop: stop.drop_guard() }
    }

    /// How many connections there have been.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Makes the present connections silent.
    pub(super) fn silence(&self) {
        self.silences.send_modify(|silences| *silences += 1);
    }
}

async fn between(mut client: TcpStream, mut server: TcpStream, mut silences: watch::Receiver<usize>) {
    silences.mark_unchanged();
    tokio::select! {
        // Ends with an error when one side breaks off, which is no matter of the proxy's.
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        Ok(()) = silences.changed() => std::future::pending().await,
    }
}
