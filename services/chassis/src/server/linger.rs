//! A close that the other side can read to the end.
//!
//! A socket that is closed with unread bytes in it is reset, and a reset throws away what its other side has not read yet:
//! the answer that said why. A client that still sends when the server ends its call (a push, when the process is to
//! stop) would be told of a broken connection instead. So the end is said first, and then what still comes is read and
//! dropped, until the client ends too, for at most [`LINGER`].
//!
//! Source: RFC 9112, section 9.6 (the lingering close; it is of TCP, so HTTP/2 needs it as well).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::sleep;

/// How long a client may go on after the end was said.
const LINGER: Duration = Duration::from_secs(1);

/// A stream that is read to its end after it was shut down.
pub(super) struct Lingering<I> {
    io: I,
    /// The end of patience, once the end was said.
    patience: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl<I> Lingering<I> {
    pub(super) fn new(io: I) -> Self {
        Self { io, patience: None }
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lingering<I> {
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.patience.is_none() {
            ready!(Pin::new(&mut self.io).poll_shutdown(context))?;
            self.patience = Some(Box::pin(sleep(LINGER)));
        }
        let mut dropped = [0; 4_096];
        loop {
            if let Some(patience) = &mut self.patience
                && patience.as_mut().poll(context).is_ready()
            {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut dropped);
            let read = ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Lingering<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_client_that_still_sends_reads_the_answer_to_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        client.write_all(&[0; 60_000]).await.unwrap();
        let server = tokio::spawn(async move {
            let mut server = Lingering::new(server);
            server.write_all(b"stopping").await.unwrap();
            server.shutdown().await.unwrap();
        });
        let mut answer = [0; 4];
        client.read_exact(&mut answer).await.unwrap();
        // It goes on sending into what the server has ended.
        client.write_all(&[0; 60_000]).await.unwrap();
        let mut rest = String::new();
        client.read_to_string(&mut rest).await.unwrap();
        assert_eq!((&answer, rest.as_str()), (b"stop", "ping"));
        drop(client);
        server.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_ends_is_not_waited_for_for_ever() {
        let (_client, server) = duplex(64);
        Lingering::new(server).shutdown().await.unwrap();
    }
}
