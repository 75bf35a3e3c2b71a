//! One step of a body's way from one link to the other, whatever the framing on either side.

use std::io::{self, IoSlice};

use super::link::Link;
use super::redact::body::BodyFilter;
use crate::http1::{BodyDecoder, BodyError, BodyLength, Fields, Piece, encode_chunk_head};
use crate::limits::RESEND_BODY_BYTES;

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

/// Keeps a body while it is short enough to be sent again.
pub(super) struct Tape(Option<Vec<u8>>);

impl Tape {
    /// One that keeps a body framed as `body`, unless that is too long or nobody would use it.
    pub(super) fn new(body: BodyLength, is_wanted: bool) -> Self {
        let is_short = !matches!(body, BodyLength::Exactly(length) if length > RESEND_BODY_BYTES as u64);
        Self((is_wanted && is_short).then(Vec::new))
    }

    fn keep(&mut self, pieces: &[&[u8]]) {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        match &mut self.0 {
            Some(kept) if kept.len() + length <= RESEND_BODY_BYTES => pieces.iter().for_each(|it| kept.extend(*it)),
            _ => self.0 = None,
        }
    }

    /// Gives up: not all of the message can be kept.
    pub(super) fn spoil(&mut self) {
        self.0 = None;
    }

    /// Whether all that came so far is here.
    pub(super) fn is_whole(&self) -> bool {
        self.0.is_some()
    }

    /// What it has kept, framed as `encoding` says.
    pub(super) fn into_bytes(self, encoding: Encoding) -> Option<Vec<u8>> {
        let body = self.0?;
        if encoding == Encoding::Plain {
            return Some(body);
        }
        let chunk = if body.is_empty() {
            Vec::new()
        } else {
            [encode_chunk_head(body.len()).as_bytes(), &body, b"\r\n"].concat()
        };
        Some([chunk.as_slice(), b"0\r\n\r\n"].concat())
    }
}

/// What a step did.
#[derive(Debug)]
pub(super) struct Step {
    /// Bytes of body that were queued.
    pub(super) data: usize,
    /// Something was used up, and there is more that may be looked at.
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

/// Queues on `to` the piece of the body that `from` shows, through `filter`, `prefix` in front. `tape` keeps it too.
pub(super) fn step(
    from: &mut Link,
    to: &mut Link,
    decoder: &mut BodyDecoder,
    encoding: Encoding,
    mut filter: Option<&mut BodyFilter>,
    tape: Option<&mut Tape>,
    prefix: &[u8],
) -> Result<Step, Trouble> {
    // What a filter has ready goes first: it may be much more than what came.
    let is_full = |filter: &Option<&mut BodyFilter>| filter.as_ref().is_some_and(|filter| filter.has_more());
    let was_full = is_full(&filter);
    let input = if was_full { &[] } else { from.peek() };
    let (spans, used, is_end) = decode(decoder, input).map_err(Trouble::Framing)?;
    let pieces = match &mut filter {
        Some(filter) => vec![filter.push(input, &spans, is_end).map_err(Trouble::Framing)?],
        None => spans.into_iter().map(|span| &input[span]).collect(),
    };
    let data = pieces.iter().map(|piece| piece.len()).sum();
    queue_piece(to, encoding, prefix, &pieces).map_err(|_| Trouble::Output)?;
    if let Some(tape) = tape {
        tape.keep(&pieces);
    }
    from.consume(used);
    let is_full = is_full(&filter);
    let has_more = is_full || ((was_full || used > 0) && !from.peek().is_empty());
    let is_over = is_end && !is_full;
    let end = is_over.then(|| std::mem::replace(decoder, BodyDecoder::new(BodyLength::None)).into_trailers());
    Ok(Step { data, has_more, end })
}

/// Queues `pieces` of a body as one, `prefix` in front.
fn queue_piece(to: &mut Link, encoding: Encoding, prefix: &[u8], pieces: &[&[u8]]) -> io::Result<()> {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    let chunk_head = encode_chunk_head(length);
    let mut parts = Vec::with_capacity(pieces.len() + 3);
    if !prefix.is_empty() {
        parts.push(IoSlice::new(prefix));
    }
    if length > 0 {
        // Pieces become one chunk: the boundaries between chunks mean nothing (RFC 9112 section 7.1).
        let is_chunked = encoding == Encoding::Chunked;
        parts.extend(is_chunked.then(|| IoSlice::new(chunk_head.as_bytes())));
        parts.extend(pieces.iter().map(|piece| IoSlice::new(piece)));
        parts.extend(is_chunked.then(|| IoSlice::new(b"\r\n")));
    }
    if parts.is_empty() { Ok(()) } else { to.queue(&parts) }
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

/// Queues what `filter` holds back of a body that ended with its connection.
pub(super) fn flush(to: &mut Link, encoding: Encoding, filter: &mut BodyFilter) -> Result<(), Trouble> {
    loop {
        let rest = filter.push(&[], &[], true).map_err(Trouble::Framing)?;
        queue_piece(to, encoding, &[], &[rest]).map_err(|_| Trouble::Output)?;
        if !filter.has_more() {
            return Ok(());
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
