//! The body of a call, kept so that it can be sent again.

use bytes::{Bytes, BytesMut};
use futures::stream::{self, StreamExt};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tonic::Status;
use tonic::body::Body;

/// The longest body, in bytes, that is kept for another try.
pub(super) const KEPT: usize = 64 << 10;

/// A body that was read.
pub(super) enum Kept {
    /// To its end.
    Whole(Bytes),
    /// Up to the bound: what was read, and then the rest, as one body again.
    Part(Body),
}

/// Reads a body up to the bound. Fails when its sender does.
pub(super) async fn keep(mut body: Body) -> Result<Kept, Status> {
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // gRPC requests have no trailers.
        let Ok(data) = frame?.into_data() else { continue };
        kept.extend_from_slice(&data);
        if kept.len() > KEPT {
            let first = stream::iter([Ok(Frame::data(kept.freeze()))]);
            let rest =
                stream::unfold(body, |mut body| async move { body.frame().await.map(|frame| (frame, body)) });
            return Ok(Kept::Part(Body::new(StreamBody::new(first.chain(rest)))));
        }
    }
    Ok(Kept::Whole(kept.freeze()))
}
