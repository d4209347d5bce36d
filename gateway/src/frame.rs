//! gRPC's message framing: one byte that says whether the message is compressed, four bytes of length in network
//! order, the message. Pure.
//!
//! Source: "gRPC over HTTP2", `Length-Prefixed-Message`.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Bytes before each message.
const HEAD: usize = 5;

/// No answer's message may be larger than this, whatever its service thinks.
pub(crate) const LIMIT: usize = 64 << 20;

/// Appends one message in its frame.
pub(crate) fn put(frames: &mut BytesMut, message: &[u8]) {
    frames.reserve(HEAD + message.len());
    frames.put_u8(0);
    // Messages are bounded far below 4 GiB before they come here; a longer one would be refused by its length.
    frames.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frames.put_slice(message);
}

/// One message in its frame.
pub(crate) fn one(message: &[u8]) -> Bytes {
    let mut frames = BytesMut::new();
    put(&mut frames, message);
    frames.freeze()
}

/// Puts messages together again from chunks of any size.
#[derive(Debug)]
pub(crate) struct Decoder {
    buffer: BytesMut,
    limit: usize,
}

/// The bytes are not the framing of messages that are taken here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// Nobody was told that compression is understood.
    #[error("the service compressed its answer though nobody asked for it")]
    Compressed,
    /// The first byte is neither 0 nor 1.
    #[error("the service's answer is not framed as gRPC messages are")]
    Malformed,
    /// The frame is longer than the limit.
    #[error("the service's answer has a message of {0} bytes, more than is taken")]
    TooLong(u32),
    /// The bytes end within a message.
    #[error("the service's answer ended within a message")]
    Truncated,
}

impl Decoder {
    /// A decoder that takes messages of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// Takes the next chunk.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole message, if it is there.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some((head, rest)) = self.buffer.split_first_chunk::<HEAD>() else { return Ok(None) };
        match head[0] {
            0 => {}
            1 => return Err(FrameError::Compressed),
            _ => return Err(FrameError::Malformed),
        }
        let announced = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let length = usize::try_from(announced).unwrap_or(usize::MAX);
        if length > self.limit {
            return Err(FrameError::TooLong(announced));
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.buffer.advance(HEAD);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Refuses bytes that are left over.
    pub(crate) fn finish(&self) -> Result<(), FrameError> {
        if self.buffer.is_empty() { Ok(()) } else { Err(FrameError::Truncated) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn messages_survive_any_chunking(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..8),
            cuts in prop::collection::vec(1_usize..20, 1..20),
        ) {
            let mut bytes = BytesMut::new();
            messages.iter().for_each(|message| put(&mut bytes, message));
            let (mut decoder, mut seen, mut rest) = (Decoder::new(50), Vec::new(), &bytes[..]);
            for cut in cuts.iter().cycle() {
                let (chunk, later) = rest.split_at((*cut).min(rest.len()));
                decoder.push(chunk);
                while let Some(message) = decoder.next().unwrap() {
                    seen.push(message.to_vec());
                }
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(seen, messages);
            prop_assert_eq!(decoder.finish(), Ok(()));
        }

        #[test]
        fn what_is_cut_short_is_noticed(message in prop::collection::vec(any::<u8>(), 0..50), cut: prop::sample::Index) {
            let bytes = one(&message);
            let cut = 1 + cut.index(bytes.len() - 1);
            let mut decoder = Decoder::new(50);
            decoder.push(&bytes[..cut]);
            prop_assert_eq!(decoder.next(), Ok(None));
            prop_assert_eq!(decoder.finish(), Err(FrameError::Truncated));
        }
    }

    #[test]
    fn compressed_foreign_and_overlong_frames_are_refused() {
        for (bytes, fault) in [
            (&[1, 0, 0, 0, 0][..], FrameError::Compressed),
            (b"HTTP/1.1 200", FrameError::Malformed),
            (&[0, 0, 0, 0, 9][..], FrameError::TooLong(9)),
        ] {
            let mut decoder = Decoder::new(8);
            decoder.push(bytes);
            assert_eq!(decoder.next(), Err(fault));
        }
    }
}
