//! One step of a body's way from one link to the other, whatever the framing on either side.

use std::io::{self, IoSlice};

use super::link::Link;
use crate::http1::{BodyDecoder, BodyError, BodyLength, Fields, Piece, encode_chunk_head};

/// How a body is framed on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As it is: its length is known or the connection's end tells.
    Plain,
    /// In chunks.
    Chunked,
}

impl Encoding {
    /// What our framing `length` means for the bytes.
    pub(super) fn of(length: BodyLength) -> Self {
        if length == BodyLength::Chunked { Self::Chunked } else { Self::Plain }
    }
}

/// What a step did.
#[derive(Debug)]
pub(super) struct Step {
    /// Bytes of body that were queued.
    pub(super) data: usize,
    /// Something was used up, and what stands behind it may be looked at.
    pub(super) has_more: bool,
    /// The body is complete, with these trailers, which are still to be sent.
    pub(super) end: Option<Fields>,
}

/// What a step could not do.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The body is not framed right.
    Framing(BodyError),
    /// The receiving link failed.
    Output,
}

/// Queues on `to` the piece of the body that `from` shows, `prefix` in front.
pub(super) fn step(
    from: &mut Link,
    to: &mut Link,
    decoder: &mut BodyDecoder,
    encoding: Encoding,
    prefix: &[u8],
) -> Result<Step, Trouble> {
    let input = from.peek();
    let (spans, used, is_end) = decode(decoder, input).map_err(Trouble::Framing)?;
    let length: usize = spans.iter().map(ExactSizeIterator::len).sum();
    let chunk_head = encode_chunk_head(length);
    let mut parts = Vec::with_capacity(spans.len() + 3);
    if !prefix.is_empty() {
        parts.push(IoSlice::new(prefix));
    }
    if length > 0 {
        // Pieces become one chunk: the boundaries between chunks mean nothing (RFC 9112 section 7.1).
        let is_chunked = encoding == Encoding::Chunked;
        parts.extend(is_chunked.then(|| IoSlice::new(chunk_head.as_bytes())));
        parts.extend(spans.into_iter().map(|span| IoSlice::new(&input[span])));
        parts.extend(is_chunked.then(|| IoSlice::new(b"\r\n")));
    }
    if !parts.is_empty() {
        to.queue(&parts).map_err(|_| Trouble::Output)?;
    }
    from.consume(used);
    let has_more = used > 0 && !from.peek().is_empty();
    let end = is_end.then(|| std::mem::replace(decoder, BodyDecoder::new(BodyLength::None)).into_trailers());
    Ok(Step { data: length, has_more, end })
}

/// Drops what `from` has ready of the body. Whether the body has ended.
pub(super) fn discard(from: &mut Link, decoder: &mut BodyDecoder) -> Result<bool, BodyError> {
    loop {
        let (_, used, is_end) = decode(decoder, from.peek())?;
        from.consume(used);
        if is_end || used == 0 || from.peek().is_empty() {
            return Ok(is_end);
        }
    }
}

/// Queues the end of a body in chunks, with its trailers.
pub(super) fn finish(to: &mut Link, encoding: Encoding, trailers: &Fields) -> io::Result<()> {
    if encoding == Encoding::Plain {
        return Ok(());
    }
    let mut end = b"0\r\n".to_vec();
    trailers.write_to(&mut end);
    end.extend_from_slice(b"\r\n");
    to.queue(&[IoSlice::new(&end)])
}

/// The places of the body's data in `input`, how much of `input` is used up, and whether the body ended.
fn decode(decoder: &mut BodyDecoder, input: &[u8]) -> Result<(Vec<std::ops::Range<usize>>, usize, bool), BodyError> {
    let (mut spans, mut at) = (Vec::new(), 0);
    loop {
        match decoder.next(&input[at..])? {
            Piece::Data { skip, data } => {
                at += skip;
                if data > 0 {
                    spans.push(at..at + data);
                    at += data;
                }
            }
            Piece::NeedMore => return Ok((spans, at, false)),
            Piece::End { skip } => return Ok((spans, at + skip, true)),
        }
    }
}
