//! Framing of message bodies (RFC 9112 section 6).

use std::fmt;

use super::fields::{Fields, is_token, is_valid_value};
use super::head::{RequestHead, ResponseHead, Version};
use crate::limits::{CHUNK_LINE_BYTES, TRAILER_BYTES};

/// How the end of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    None,
    /// So many bytes.
    Exactly(u64),
    /// Chunks (RFC 9112 section 7.1).
    Chunked,
    /// Everything until the connection closes; responses only.
    UntilClose,
}

/// What is wrong with a body or its framing. The connection must be closed after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyError(pub &'static str);

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BodyError {}

/// The framing of a request's body.
///
/// # Errors
/// Two lengths, a length beside chunks, a bad length, a coding other than `chunked`, chunks in HTTP/1.0.
pub fn request_body(head: &RequestHead) -> Result<BodyLength, BodyError> {
    Ok(declared(&head.fields, head.version)?.unwrap_or(BodyLength::None))
}

/// The framing of the body of a response to a request with `method` (RFC 9112 section 6.3).
///
/// # Errors
/// As [`request_body`].
pub fn response_body(head: &ResponseHead, method: &str) -> Result<BodyLength, BodyError> {
    let declared = declared(&head.fields, head.version)?;
    if method == "HEAD" || head.status < 200 || head.status == 204 || head.status == 304 {
        return Ok(BodyLength::None);
    }
    Ok(declared.unwrap_or(BodyLength::UntilClose))
}

fn declared(fields: &Fields, version: Version) -> Result<Option<BodyLength>, BodyError> {
    let mut lengths = fields.all("content-length");
    let mut codings = fields.all("transfer-encoding");
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(BodyError("both Content-Length and Transfer-Encoding")),
        (Some(length), None) => {
            if lengths.next().is_some() {
                return Err(BodyError("more than one Content-Length"));
            }
            // One at a time and digits only: "5, 5", "+5" and "0x5" are how framings come to differ.
            let digits = (1..=19).contains(&length.len()) && length.iter().all(u8::is_ascii_digit);
            let text = std::str::from_utf8(length).unwrap_or_default();
            match text.parse() {
                Ok(length) if digits => Ok(Some(BodyLength::Exactly(length))),
                _ => Err(BodyError("bad Content-Length")),
            }
        }
        (None, Some(coding)) => {
            if codings.next().is_some() {
                return Err(BodyError("more than one Transfer-Encoding"));
            }
            if version == Version::Http10 {
                return Err(BodyError("Transfer-Encoding in HTTP/1.0"));
            }
            if !coding.eq_ignore_ascii_case(b"chunked") {
                return Err(BodyError("a transfer coding other than chunked"));
            }
            Ok(Some(BodyLength::Chunked))
        }
    }
}

/// Finds the data in the bytes of a body, whatever its framing, piece by piece.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    trailers: Fields,
    trailer_bytes: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Exactly(u64),
    UntilClose,
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    Done,
}

/// What stood at the start of the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Framing of `skip` bytes, then `data` bytes of the body. Either may be 0, not both.
    Data {
        /// Framing before the data.
        skip: usize,
        /// Length of the data.
        data: usize,
    },
    /// Nothing useful yet: give more input, this one included.
    NeedMore,
    /// The body ended; `skip` bytes of framing ended it.
    End {
        /// Framing after the data.
        skip: usize,
    },
}

impl BodyDecoder {
    /// A decoder for a body that is framed so.
    pub fn new(length: BodyLength) -> Self {
        let state = match length {
            BodyLength::None => State::Done,
            BodyLength::Exactly(length) => State::Exactly(length),
            BodyLength::Chunked => State::ChunkSize,
            BodyLength::UntilClose => State::UntilClose,
        };
        Self { state, trailers: Fields::new(), trailer_bytes: 0 }
    }

    /// Looks at the next bytes of the body. The caller consumes what the answer names and calls again.
    ///
    /// # Errors
    /// Bad chunk sizes, line ends or trailers, and any of them over its cap.
    pub fn next(&mut self, input: &[u8]) -> Result<Piece, BodyError> {
        match self.state {
            State::Done | State::Exactly(0) => {
                self.state = State::Done;
                Ok(Piece::End { skip: 0 })
            }
            State::Exactly(left) => {
                let data = clamp(left, input.len());
                if data == 0 {
                    return Ok(Piece::NeedMore);
                }
                self.state = State::Exactly(left - data as u64);
                Ok(Piece::Data { skip: 0, data })
            }
            State::UntilClose if input.is_empty() => Ok(Piece::NeedMore),
            State::UntilClose => Ok(Piece::Data { skip: 0, data: input.len() }),
            State::ChunkData(left) => {
                let data = clamp(left, input.len());
                if data == 0 {
                    return Ok(Piece::NeedMore);
                }
                let left = left - data as u64;
                self.state = if left == 0 { State::ChunkEnd } else { State::ChunkData(left) };
                Ok(Piece::Data { skip: 0, data })
            }
            State::ChunkEnd => match input {
                [] | [b'\r'] => Ok(Piece::NeedMore),
                [b'\r', b'\n', ..] => {
                    self.state = State::ChunkSize;
                    Ok(Piece::Data { skip: 2, data: 0 })
                }
                _ => Err(BodyError("chunk data not ended by CR LF")),
            },
            State::ChunkSize => self.chunk_size(input),
            State::Trailers => self.trailer(input),
        }
    }

    /// The peer closed. Whether the body is complete.
    pub fn ends_at_close(&self) -> bool {
        matches!(self.state, State::UntilClose | State::Done | State::Exactly(0))
    }

    /// Whether the end was reached.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done | State::Exactly(0))
    }

    /// The trailer fields of a chunked body that has ended.
    pub fn into_trailers(self) -> Fields {
        self.trailers
    }

    fn chunk_size(&mut self, input: &[u8]) -> Result<Piece, BodyError> {
        let Some(line) = line(input, CHUNK_LINE_BYTES, "chunk-size line too long")? else {
            return Ok(Piece::NeedMore);
        };
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let extension = line[digits..].trim_ascii_start();
        if !(1..=16).contains(&digits) || !(extension.is_empty() || extension[0] == b';') {
            return Err(BodyError("bad chunk size"));
        }
        if !is_valid_value(extension) {
            return Err(BodyError("control character in a chunk extension"));
        }
        let text = std::str::from_utf8(&line[..digits]).unwrap_or_default();
        let size = u64::from_str_radix(text, 16).map_err(|_| BodyError("bad chunk size"))?;
        self.state = if size == 0 { State::Trailers } else { State::ChunkData(size) };
        Ok(Piece::Data { skip: line.len() + 2, data: 0 })
    }

    fn trailer(&mut self, input: &[u8]) -> Result<Piece, BodyError> {
        let Some(line) = line(input, TRAILER_BYTES, "trailers too large")? else {
            return Ok(Piece::NeedMore);
        };
        let skip = line.len() + 2;
        self.trailer_bytes += skip;
        if self.trailer_bytes > TRAILER_BYTES {
            return Err(BodyError("trailers too large"));
        }
        if line.is_empty() {
            self.state = State::Done;
            return Ok(Piece::End { skip });
        }
        let colon = memchr::memchr(b':', line).ok_or(BodyError("bad trailer"))?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if !is_token(name) || !is_valid_value(value) {
            return Err(BodyError("bad trailer"));
        }
        self.trailers.push(String::from_utf8_lossy(name), value);
        Ok(Piece::Data { skip, data: 0 })
    }
}

/// The line at the start of `input`, without its CR LF; `None` while it is incomplete.
fn line<'a>(input: &'a [u8], limit: usize, too_long: &'static str) -> Result<Option<&'a [u8]>, BodyError> {
    let Some(at) = memchr::memchr(b'\n', input) else {
        return if input.len() > limit { Err(BodyError(too_long)) } else { Ok(None) };
    };
    let Some(line) = input[..at].strip_suffix(b"\r") else {
        return Err(BodyError("bare LF in chunked framing"));
    };
    if line.contains(&b'\r') {
        return Err(BodyError("bare CR in chunked framing"));
    }
    if line.len() > limit {
        return Err(BodyError(too_long));
    }
    Ok(Some(line))
}

fn clamp(left: u64, available: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(available)
}

/// The line before a chunk of `length` bytes. The chunk must not be empty: that would end the body.
pub fn encode_chunk_head(length: usize) -> String {
    format!("{length:x}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input`, shown `step` bytes more at a time. Returns data, trailers and what was left over.
    fn decode(length: BodyLength, input: &[u8], step: usize) -> Result<(Vec<u8>, Fields, usize), BodyError> {
        let (mut decoder, mut data, mut at, mut shown) = (BodyDecoder::new(length), Vec::new(), 0, 0);
        loop {
            match decoder.next(&input[at..shown])? {
                Piece::Data { skip, data: count } => {
                    data.extend_from_slice(&input[at + skip..at + skip + count]);
                    at += skip + count;
                }
                Piece::End { skip } => return Ok((data, decoder.into_trailers(), input.len() - at - skip)),
                Piece::NeedMore if shown == input.len() => return Err(BodyError("input ended")),
                Piece::NeedMore => shown = (shown + step).min(input.len()),
            }
        }
    }

    fn head(fields: &[(&str, &str)], version: Version) -> RequestHead {
        let mut all = Fields::new();
        for (name, value) in fields {
            all.push(*name, *value);
        }
        RequestHead { method: "POST".into(), target: "/".into(), version, fields: all }
    }

    #[test]
    fn chunks_decode_the_same_in_any_pieces() {
        let input = b"5\r\nhello\r\n6;name=\"v\"\r\n world\r\n0\r\nX-Sum: 1\r\n\r\nnext";
        for step in 1..=input.len() {
            let (data, trailers, left) = decode(BodyLength::Chunked, input, step).expect("decodes");
            assert_eq!((data.as_slice(), left), (&b"hello world"[..], 4), "step {step}");
            assert_eq!(trailers.first("x-sum"), Some(&b"1"[..]));
        }
        assert_eq!(decode(BodyLength::Exactly(3), b"abcdef", 1).expect("decodes").0, b"abc");
        assert_eq!(decode(BodyLength::None, b"abc", 1).expect("decodes").2, 3);
    }

    #[test]
    fn bad_chunks_are_refused() {
        let long = format!("1;{}\r\na\r\n", "x".repeat(CHUNK_LINE_BYTES));
        let trailers = format!("0\r\n{}\r\n", "a: b\r\n".repeat(TRAILER_BYTES));
        let cases: [&[u8]; 16] = [
            b"\r\n",
            b"g\r\n",
            b"-1\r\na\r\n",
            b"+1\r\na\r\n",
            b"0x1\r\na\r\n",
            b" 1\r\na\r\n",
            b"1 1\r\na\r\n",
            b"11111111111111111\r\n",
            b"1\na\r\n",
            b"1\r\nab\r\n",
            b"1\r\na\n",
            b"1\r;\r\na\r\n",
            b"0\r\nbad line\r\n\r\n",
            b"0\r\n folded: x\r\n\r\n",
            long.as_bytes(),
            trailers.as_bytes(),
        ];
        for input in cases {
            let error = decode(BodyLength::Chunked, input, 7).expect_err("refused");
            assert_ne!(error, BodyError("input ended"), "{:?}", String::from_utf8_lossy(&input[..input.len().min(40)]));
        }
    }

    #[test]
    fn requests_have_one_unambiguous_length() {
        let ok = |fields: &[(&str, &str)]| request_body(&head(fields, Version::Http11));
        assert_eq!(ok(&[]), Ok(BodyLength::None));
        assert_eq!(ok(&[("Content-Length", "5")]), Ok(BodyLength::Exactly(5)));
        assert_eq!(ok(&[("Transfer-Encoding", "Chunked")]), Ok(BodyLength::Chunked));
        for bad in [
            &[("Content-Length", "5"), ("content-length", "5")][..],
            &[("Content-Length", "5, 5")],
            &[("Content-Length", "-1")],
            &[("Content-Length", "+5")],
            &[("Content-Length", "")],
            &[("Content-Length", "99999999999999999999")],
            &[("Content-Length", "5"), ("Transfer-Encoding", "chunked")],
            &[("Transfer-Encoding", "gzip, chunked")],
            &[("Transfer-Encoding", "identity")],
            &[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
        ] {
            assert!(ok(bad).is_err(), "{bad:?}");
        }
        assert!(request_body(&head(&[("Transfer-Encoding", "chunked")], Version::Http10)).is_err());
    }

    #[test]
    fn responses_without_a_body_have_none_whatever_they_declare() {
        let mut fields = Fields::new();
        fields.push("Content-Length", "7");
        let response =
            |status| ResponseHead { status, reason: String::new(), version: Version::Http11, fields: fields.clone() };
        assert_eq!(response_body(&response(200), "HEAD"), Ok(BodyLength::None));
        for status in [100, 103, 204, 304] {
            assert_eq!(response_body(&response(status), "GET"), Ok(BodyLength::None));
        }
        assert_eq!(response_body(&response(200), "GET"), Ok(BodyLength::Exactly(7)));
        let bare = ResponseHead { fields: Fields::new(), ..response(200) };
        assert_eq!(response_body(&bare, "GET"), Ok(BodyLength::UntilClose));
    }
}
