//! A TCP proxy that can be cut: from then on no byte passes, in either direction, and no connection is closed, as when
//! a switch between two machines fails.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A proxy on a free port, until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    is_cut: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// A proxy before the server at `host:port`.
    ///
    /// # Errors
    /// When no port can be taken.
    pub async fn before(server: &str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (is_cut, cut) = watch::channel(false);
        let task = tokio::spawn(accept(listener, server.to_owned(), cut));
        Ok(Self { address, is_cut, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nothing pass any more.
    pub fn cut(&self) {
        self.is_cut.send_replace(true);
    }

    /// Lets everything pass again, also what waits.
    pub fn heal(&self) {
        self.is_cut.send_replace(false);
    }
}

async fn accept(listener: TcpListener, server: String, cut: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        let (server, cut) = (server.clone(), cut.clone());
        tokio::spawn(async move {
            // A new connection is one more thing that does not pass.
            until_whole(&mut cut.clone()).await;
            let Ok(server) = TcpStream::connect(server).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let ((from_client, to_client), (from_server, to_server)) =
                (client.into_split(), server.into_split());
            tokio::join!(pass(from_client, to_server, cut.clone()), pass(from_server, to_client, cut));
        });
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut cut: watch::Receiver<bool>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        until_whole(&mut cut).await;
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

async fn until_whole(cut: &mut watch::Receiver<bool>) {
    // The proxy that would say so is gone: nobody is cut off for ever.
    let _ = cut.wait_for(|is_cut| !is_cut).await;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_waits_at_a_cut_arrives_once_it_is_healed() -> Result<()> {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let proxy = Proxy::before(&server.local_addr()?.to_string()).await?;
        let mut client = TcpStream::connect(proxy.address()).await?;
        let (mut served, _) = server.accept().await?;
        client.write_all(b"a").await?;
        assert_eq!(served.read_u8().await?, b'a');
        proxy.cut();
        client.write_all(b"b").await?;
        let nothing = tokio::time::timeout(Duration::from_millis(50), served.read_u8()).await;
        assert!(nothing.is_err());
        proxy.heal();
        assert_eq!(served.read_u8().await?, b'b');
        Ok(())
    }
}
