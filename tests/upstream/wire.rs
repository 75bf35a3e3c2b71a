//! HTTP/1.1 as bytes: just enough framing for a test, lenient where the product must be strict, so that it shows what
//! was really sent.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use rustls::{ServerConnection, StreamOwned};

/// What the upstream speaks over.
pub trait Stream: Read + Write + Send {
    /// Says goodbye in the way of the protocol below.
    fn finish(&mut self) {}
}

impl Stream for TcpStream {}

impl Stream for StreamOwned<ServerConnection, TcpStream> {
    fn finish(&mut self) {
        self.conn.send_close_notify();
        let _ = self.conn.complete_io(&mut self.sock);
    }
}

/// A head as it came.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Every byte, the empty line included.
    pub raw: Vec<u8>,
    /// The first line.
    pub start: String,
    /// Fields in order; bytes above 127 as Latin-1.
    pub fields: Vec<(String, String)>,
}

impl Head {
    fn parse(raw: Vec<u8>) -> Self {
        let text: String = raw.iter().map(|byte| char::from(*byte)).collect();
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let fields = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
            .collect();
        Self { raw, start, fields }
    }

    /// The first field called `name`.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// Every field called `name`.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The `index`th word of the first line.
    pub fn word(&self, index: usize) -> &str {
        self.start.split(' ').nth(index).unwrap_or_default()
    }

    fn is(&self, name: &str, value: &str) -> bool {
        self.all(name).iter().any(|found| found.to_ascii_lowercase().contains(value))
    }
}

/// A response as a client saw it.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub head: Head,
    /// Without chunk framing.
    pub body: Vec<u8>,
    /// The trailer section as it came.
    pub trailers: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }
}

/// A stream with what was read ahead of use.
pub struct Wire<S> {
    pub stream: S,
    ahead: Vec<u8>,
}

impl<S: Read + Write> Wire<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    /// Writes `bytes` at once.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// The next head; `None` when the peer closed before its first byte.
    pub fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n\r\n") {
                return Ok(Some(Head::parse(self.ahead.drain(..end + 4).collect())));
            }
            if self.fill()? == 0 {
                return if self.ahead.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// The body of a request. `record` sees every byte as it came.
    pub fn request_body(&mut self, head: &Head, record: &mut dyn FnMut(&[u8])) -> io::Result<(Vec<u8>, Vec<u8>)> {
        if head.is("transfer-encoding", "chunked") {
            return self.chunked(record);
        }
        let length = head.field("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        let body = self.exactly(length)?;
        record(&body);
        Ok((body, Vec::new()))
    }

    /// Reads and forgets `length` bytes.
    pub fn discard(&mut self, mut length: u64) -> io::Result<()> {
        let mut scratch = vec![0; 64 * 1024];
        let ahead = self.ahead.len().min(usize::try_from(length).unwrap_or(usize::MAX));
        self.ahead.drain(..ahead);
        length -= ahead as u64;
        while length > 0 {
            let want = scratch.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            match read_some(&mut self.stream, &mut scratch[..want])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => length -= count as u64,
            }
        }
        Ok(())
    }

    /// The next response to a request with `method`; interim ones are skipped.
    pub fn answer(&mut self, method: &str) -> io::Result<Answer> {
        loop {
            let answer = self.any_answer(method)?;
            if answer.status >= 200 || answer.status == 101 {
                return Ok(answer);
            }
        }
    }

    /// The next response, interim ones included.
    pub fn any_answer(&mut self, method: &str) -> io::Result<Answer> {
        let head = self.head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = head.word(1).parse().map_err(|_| io::Error::other(format!("no status in {:?}", head.start)))?;
        let bodiless = method == "HEAD" || method == "CONNECT" || status < 200 || status == 204 || status == 304;
        let (body, trailers) = if bodiless {
            (Vec::new(), Vec::new())
        } else if head.is("transfer-encoding", "chunked") {
            self.chunked(&mut |_| ())?
        } else if let Some(length) = head.field("content-length") {
            let length = length.parse().map_err(|_| io::Error::other("bad content-length"))?;
            (self.exactly(length)?, Vec::new())
        } else {
            (self.rest()?, Vec::new())
        };
        Ok(Answer { status, head, body, trailers })
    }

    /// Bytes up to and including the next `\n`.
    pub fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = find(&self.ahead, b"\n") {
                return Ok(self.ahead.drain(..=end).collect());
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.ahead.drain(..length).collect())
    }

    /// Everything until the peer closes, cleanly or not.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.ahead))
    }

    fn chunked(&mut self, record: &mut dyn FnMut(&[u8])) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            record(&line);
            let digits = String::from_utf8_lossy(&line).trim().split(';').next().unwrap_or_default().to_owned();
            let size = usize::from_str_radix(&digits, 16).map_err(|_| io::Error::other("bad chunk size"))?;
            if size == 0 {
                break;
            }
            let chunk = self.exactly(size + 2)?;
            record(&chunk);
            body.extend_from_slice(&chunk[..size]);
        }
        let mut trailers = Vec::new();
        loop {
            let line = self.line()?;
            record(&line);
            if line == b"\r\n" {
                return Ok((body, trailers));
            }
            trailers.extend_from_slice(&line);
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut scratch = [0; 16 * 1024];
        let count = read_some(&mut self.stream, &mut scratch)?;
        self.ahead.extend_from_slice(&scratch[..count]);
        Ok(count)
    }
}

/// One read; a TLS peer that closed without saying so has still closed.
fn read_some(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
            other => return other,
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
