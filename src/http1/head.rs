//! Request and response heads.

use std::fmt;
use std::io::{self, Read};

use super::fields::{Fields, is_token, is_valid_value};
use super::stream::Buffered;
use crate::limits::{HEAD_BYTES, HEAD_FIELDS};

/// How much one read asks for while a head is incomplete: most heads come whole.
const READ_STEP: usize = 4 * 1024;

/// The protocol version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: connections close unless asked otherwise.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// A parsed request head.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// Method, as sent.
    pub method: String,
    /// Request target (RFC 9112 section 3.2): visible ASCII and, from sloppy clients, raw UTF-8.
    pub target: String,
    /// Version.
    pub version: Version,
    /// Header fields.
    pub fields: Fields,
}

/// A parsed response head.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// Status code, 100 to 999.
    pub status: u16,
    /// Reason phrase, possibly empty.
    pub reason: String,
    /// Version.
    pub version: Version,
    /// Header fields.
    pub fields: Fields,
}

/// Why there is no head.
#[derive(Debug)]
pub enum HeadError {
    /// The peer closed before the first byte: the ordinary end of a connection.
    Closed,
    /// The peer closed in the middle.
    Truncated,
    /// The deadline passed; `started`: after the first byte.
    TimedOut {
        /// Whether any byte of a head had come.
        started: bool,
    },
    /// Over [`HEAD_BYTES`] or [`HEAD_FIELDS`].
    TooLarge,
    /// Against the grammar; says what.
    Malformed(&'static str),
    /// Not HTTP/1.0 or HTTP/1.1.
    Version,
    /// The socket failed.
    Io(io::Error),
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection was closed"),
            Self::Truncated => f.write_str("the connection was closed in the middle of a head"),
            Self::TimedOut { .. } => f.write_str("no complete head in time"),
            Self::TooLarge => f.write_str("head too large"),
            Self::Malformed(what) => f.write_str(what),
            Self::Version => f.write_str("HTTP version not supported"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HeadError {}

/// Reads one request head; what follows it stays in `buffer`. One empty line before it is skipped (RFC 9112
/// section 2.2).
///
/// # Errors
/// See [`HeadError`]. After any of them the connection must be closed: where the next message starts is unknown.
pub fn read_request(buffer: &mut Buffered, reader: &mut impl Read) -> Result<RequestHead, HeadError> {
    read_head(buffer, reader, true, |bytes| {
        let mut storage = [httparse::EMPTY_HEADER; HEAD_FIELDS];
        let mut parsed = httparse::Request::new(&mut storage);
        parsed.parse(bytes).map_err(from_httparse)?;
        Ok(RequestHead {
            method: token_or(parsed.method, "bad method")?,
            target: parsed.path.ok_or(HeadError::Malformed("no request target"))?.to_owned(),
            version: version(parsed.version)?,
            fields: to_fields(parsed.headers)?,
        })
    })
}

/// Reads one response head; what follows it stays in `buffer`.
///
/// # Errors
/// See [`HeadError`]. After any of them the connection must be closed.
pub fn read_response(buffer: &mut Buffered, reader: &mut impl Read) -> Result<ResponseHead, HeadError> {
    read_head(buffer, reader, false, |bytes| {
        let mut storage = [httparse::EMPTY_HEADER; HEAD_FIELDS];
        let mut parsed = httparse::Response::new(&mut storage);
        parsed.parse(bytes).map_err(from_httparse)?;
        let status = parsed.code.ok_or(HeadError::Malformed("no status"))?;
        if status < 100 {
            return Err(HeadError::Malformed("bad status"));
        }
        Ok(ResponseHead {
            status,
            reason: parsed.reason.unwrap_or_default().to_owned(),
            version: version(parsed.version)?,
            fields: to_fields(parsed.headers)?,
        })
    })
}

impl RequestHead {
    /// The bytes of this head, empty line included, always as HTTP/1.1.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Exactly what is needed: growing would leave copies of a credential behind.
        let mut out = Vec::with_capacity(self.method.len() + self.target.len() + 14 + self.fields.written_len());
        out.extend_from_slice(self.method.as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.target.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        self.fields.write_to(&mut out);
        out.extend_from_slice(b"\r\n");
        out
    }

    /// Whether the client wants the connection kept (RFC 9112 section 9.3).
    pub fn wants_keep_alive(&self) -> bool {
        keep_alive(self.version, &self.fields)
    }
}

impl ResponseHead {
    /// The bytes of this head, empty line included, always as HTTP/1.1.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(format!("HTTP/1.1 {} {}\r\n", self.status, self.reason).as_bytes());
        self.fields.write_to(&mut out);
        out.extend_from_slice(b"\r\n");
        out
    }

    /// Whether the server keeps the connection (RFC 9112 section 9.3).
    pub fn keeps_alive(&self) -> bool {
        keep_alive(self.version, &self.fields)
    }
}

fn keep_alive(version: Version, fields: &Fields) -> bool {
    match version {
        Version::Http11 => !fields.has_token("connection", "close"),
        Version::Http10 => fields.has_token("connection", "keep-alive") && !fields.has_token("connection", "close"),
    }
}

fn read_head<T>(
    buffer: &mut Buffered,
    reader: &mut impl Read,
    skip_empty_line: bool,
    parse: impl FnOnce(&[u8]) -> Result<T, HeadError>,
) -> Result<T, HeadError> {
    if skip_empty_line {
        skip_one_empty_line(buffer, reader)?;
    }
    let mut searched = 0;
    let length = loop {
        if let Some(length) = head_length(buffer.unread(), searched)? {
            break length;
        }
        // Three bytes of an end may have come already.
        searched = buffer.unread().len().saturating_sub(3);
        fill(buffer, reader)?;
    };
    if buffer.unread().starts_with(b"\r") {
        return Err(HeadError::Malformed("no request line")); // httparse would skip any number of empty lines
    }
    let head = parse(&buffer.unread()[..length])?;
    buffer.consume(length);
    Ok(head)
}

fn skip_one_empty_line(buffer: &mut Buffered, reader: &mut impl Read) -> Result<(), HeadError> {
    while buffer.unread().is_empty() || buffer.unread() == b"\r" {
        fill(buffer, reader)?;
    }
    if buffer.unread().starts_with(b"\r\n") {
        buffer.consume(2);
    }
    Ok(())
}

fn fill(buffer: &mut Buffered, reader: &mut impl Read) -> Result<(), HeadError> {
    let started = !buffer.unread().is_empty();
    match buffer.fill(reader, READ_STEP) {
        Ok(0) if started => Err(HeadError::Truncated),
        Ok(0) => Err(HeadError::Closed),
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
            Err(HeadError::TimedOut { started })
        }
        Err(error) => Err(HeadError::Io(error)),
    }
}

/// The length of the head in `bytes`, empty line included; `None` while it is incomplete. Refuses as early as it can.
fn head_length(bytes: &[u8], searched: usize) -> Result<Option<usize>, HeadError> {
    let end = memchr::memmem::find(&bytes[searched..], b"\r\n\r\n").map(|at| searched + at + 4);
    if end.unwrap_or(bytes.len()) > HEAD_BYTES {
        return Err(HeadError::TooLarge);
    }
    let seen = &bytes[..end.unwrap_or(bytes.len())];
    check_line_ends(seen, searched)?;
    Ok(end)
}

/// Every LF has its CR and every CR its LF, nothing is folded, and there is no NUL: httparse is more lenient.
fn check_line_ends(seen: &[u8], from: usize) -> Result<(), HeadError> {
    for at in memchr::memchr3_iter(b'\r', b'\n', 0, &seen[from..]).map(|at| from + at) {
        match seen[at] {
            0 => return Err(HeadError::Malformed("NUL in head")),
            b'\n' if at == 0 || seen[at - 1] != b'\r' => return Err(HeadError::Malformed("bare LF in head")),
            b'\r' if seen.get(at + 1).is_some_and(|next| *next != b'\n') => {
                return Err(HeadError::Malformed("bare CR in head"));
            }
            b'\n' if matches!(seen.get(at + 1), Some(b' ' | b'\t')) => {
                return Err(HeadError::Malformed("folded line in head"));
            }
            _ => {}
        }
    }
    Ok(())
}

fn from_httparse(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::TooManyHeaders => HeadError::TooLarge,
        httparse::Error::Version => HeadError::Version,
        httparse::Error::HeaderName => HeadError::Malformed("bad field name"),
        httparse::Error::HeaderValue => HeadError::Malformed("bad field value"),
        httparse::Error::NewLine => HeadError::Malformed("bad line end"),
        httparse::Error::Status => HeadError::Malformed("bad status line"),
        httparse::Error::Token => HeadError::Malformed("bad request line"),
    }
}

fn version(parsed: Option<u8>) -> Result<Version, HeadError> {
    match parsed {
        Some(0) => Ok(Version::Http10),
        Some(1) => Ok(Version::Http11),
        _ => Err(HeadError::Version),
    }
}

fn token_or(text: Option<&str>, problem: &'static str) -> Result<String, HeadError> {
    text.filter(|text| is_token(text.as_bytes())).map(str::to_owned).ok_or(HeadError::Malformed(problem))
}

fn to_fields(headers: &[httparse::Header<'_>]) -> Result<Fields, HeadError> {
    let mut fields = Fields::new();
    for header in headers {
        if !is_token(header.name.as_bytes()) {
            return Err(HeadError::Malformed("bad field name"));
        }
        if !is_valid_value(header.value) {
            return Err(HeadError::Malformed("control character in field value"));
        }
        fields.push(header.name, header.value.trim_ascii());
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(bytes: &[u8]) -> Result<RequestHead, HeadError> {
        read_request(&mut Buffered::new(), &mut &bytes[..])
    }

    /// Hands out one byte a read, so that every split of the input is met.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(1);
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn a_head_is_read_the_same_whole_or_byte_by_byte() {
        let bytes = b"\r\nGET /a?b=c HTTP/1.1\r\nHost: x.test\r\nX-Utf8: \xc3\xa9\r\nX-Empty:\r\n\r\nrest";
        let mut buffer = Buffered::new();
        let head = read_request(&mut buffer, &mut Trickle(bytes)).expect("parses");
        assert_eq!(head.to_bytes(), request(bytes).expect("parses").to_bytes());
        assert_eq!(head.to_bytes().capacity(), head.to_bytes().len(), "no growth, no slack");
        assert_eq!(head.target, "/a?b=c");
        assert_eq!(head.fields.first("x-utf8"), Some("é".as_bytes()));
        assert_eq!(head.fields.first("x-empty"), Some(&b""[..]));
    }

    #[test]
    fn what_follows_a_head_stays() {
        let mut buffer = Buffered::new();
        let bytes = b"GET / HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n";
        let mut reader = &bytes[..];
        assert_eq!(read_request(&mut buffer, &mut reader).expect("first").target, "/");
        assert_eq!(read_request(&mut buffer, &mut reader).expect("second").target, "/2");
        assert!(matches!(read_request(&mut buffer, &mut reader), Err(HeadError::Closed)));
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        let cases: [(&[u8], &str); 14] = [
            (b"GET / HTTP/1.1\nHost: a\n\n", "bare LF"),
            (b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", "bare LF"),
            (b"GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n", "bare CR"),
            (b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", "folded"),
            (b"GET / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n", "folded"),
            (b"GET / HTTP/1.1\r\n A: b\r\n\r\n", "folded"),
            (b"GET / HTTP/1.1\r\nA\x00: b\r\n\r\n", "NUL"),
            (b"GET / HTTP/1.1\r\nA: b\x00\r\n\r\n", "NUL"),
            (b"GET / HTTP/1.1\r\nA : b\r\n\r\n", "field name"),
            (b"GET / HTTP/1.1\r\n: b\r\n\r\n", "field name"),
            (b"GET / HTTP/1.1\r\nA: b\x07\r\n\r\n", "field value"),
            (b"GET  / HTTP/1.1\r\n\r\n", "request"),
            (b"G@T / HTTP/1.1\r\n\r\n", "request line"),
            (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", "request"),
        ];
        for (bytes, expected) in cases {
            match request(bytes) {
                Err(HeadError::Malformed(text)) => {
                    assert!(text.contains(expected), "{:?}: {text}", String::from_utf8_lossy(bytes));
                }
                other => panic!("{:?}: {other:?}", String::from_utf8_lossy(bytes)),
            }
        }
        assert!(matches!(request(b"GET / HTTP/2.0\r\n\r\n"), Err(HeadError::Version)));
        assert!(matches!(request(b"GET / HTTP/1.1\r\nA:"), Err(HeadError::Truncated)));
    }

    #[test]
    fn heads_are_bounded_in_bytes_and_fields() {
        let endless = vec![b'a'; HEAD_BYTES + 1];
        assert!(matches!(request(&endless), Err(HeadError::TooLarge)));
        let many = |count: usize| {
            let mut bytes = b"GET / HTTP/1.1\r\n".to_vec();
            (0..count).for_each(|_| bytes.extend_from_slice(b"a: b\r\n"));
            bytes.extend_from_slice(b"\r\n");
            bytes
        };
        assert_eq!(request(&many(HEAD_FIELDS)).expect("at the limit").fields.len(), HEAD_FIELDS);
        assert!(matches!(request(&many(HEAD_FIELDS + 1)), Err(HeadError::TooLarge)));
    }

    #[test]
    fn responses_have_a_status_and_may_lack_a_reason() {
        let read = |bytes: &[u8]| read_response(&mut Buffered::new(), &mut &bytes[..]);
        assert_eq!(read(b"HTTP/1.1 204\r\n\r\n").expect("no reason").status, 204);
        assert_eq!(read(b"HTTP/1.0 200 OK\r\n\r\n").expect("1.0").version, Version::Http10);
        assert!(read(b"HTTP/1.1 020 OK\r\n\r\n").is_err());
    }
}
