//! The server's side of a TLS connection.

use std::io::{self, Cursor};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::{Certificates, Peer};

/// Shakes hands, and waits for the first bytes of HTTP, so that a connection which never says anything is the accepting
/// loop's to end. `preface` is what an HTTP/2 connection begins with.
pub(crate) async fn accept(
    certificates: &Certificates,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    preface: &[u8],
) -> io::Result<(impl AsyncRead + AsyncWrite + Unpin + Send + 'static, Peer)> {
    let server = certificates.server().ok_or_else(|| io::Error::other("there is no certificate to show"))?;
    let mut stream = TlsAcceptor::from(server).accept(stream).await?;
    let peer = Peer { is_known: stream.get_ref().1.peer_certificates().is_some() };
    let mut head = Vec::with_capacity(preface.len());
    while head.len() < preface.len() && preface.starts_with(&head) {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let (rest, writer) = tokio::io::split(stream);
    Ok((tokio::io::join(Cursor::new(head).chain(rest), writer), peer))
}
