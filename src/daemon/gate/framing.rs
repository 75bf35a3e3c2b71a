//! What is passed on of a request, and the bytes of an answer.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::clock::Clock;
use crate::daemon::message::Response;
use crate::http1::{BodyLength, Fields, RequestHead, is_valid_value, request_body};

/// The fields that handlers use. Whatever else a client sends stops at the gate: hop-by-hop fields, framing, forwarded
/// addresses that anybody can write.
const PASSED_ON: [&str; 10] = [
    "Host",
    "Authorization",
    "Cookie",
    "Content-Type",
    "Accept",
    "Origin",
    "Sec-Fetch-Site",
    "Sec-Fetch-Mode",
    "HX-Request",
    "Authsome-Hints",
];

/// The target in origin form (RFC 9112 section 3.2.1), visible ASCII; of an absolute URL, also the authority that
/// replaces `Host` (section 3.2.2).
pub(super) fn origin_form(method: &str, target: String) -> Result<(String, Option<String>), Refusal> {
    if method == "CONNECT" {
        return Err(Refusal::new(405, "Method Not Allowed"));
    }
    if target.starts_with('/') {
        return Ok((ascii(target), None));
    }
    let rest = after_scheme(&target).ok_or(Refusal::new(400, "bad request target"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let slash = if rest[end..].starts_with('/') { "" } else { "/" };
    Ok((ascii(format!("{slash}{}", &rest[end..])), Some(rest[..end].to_owned())))
}

fn after_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some(rest)
}

/// Raw UTF-8 in a target, as sloppy clients send it, in the form that RFC 3986 asks for.
fn ascii(target: String) -> String {
    if target.is_ascii() {
        return target;
    }
    let mut out = String::with_capacity(3 * target.len());
    for byte in target.bytes() {
        if byte.is_ascii() {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}"); // a string takes everything
        }
    }
    out
}

/// The length of the body, where it is known; refused when it is over `limit` or ambiguous.
pub(super) fn body_length(head: &RequestHead, limit: usize) -> Result<BodyLength, Refusal> {
    let too_large = Refusal::new(413, "Request body too large");
    // More digits than a length can have are a length over the cap, not a malformed one.
    let is_absurd = |value: &[u8]| value.len() > 19 && value.iter().all(u8::is_ascii_digit);
    if head.fields.first("content-length").is_some_and(is_absurd) {
        return Err(too_large);
    }
    match request_body(head)? {
        BodyLength::Exactly(length) if length > limit as u64 => Err(too_large),
        length => Ok(length),
    }
}

/// The fields for a handler. With `authority`, that is the only host.
pub(super) fn passed_on(mut fields: Fields, authority: Option<String>) -> Fields {
    fields.retain(|name, _| PASSED_ON.iter().any(|known| known.eq_ignore_ascii_case(name)));
    // No value that we accept holds a byte outside ASCII, so it may be lost, and everybody reads the rest alike.
    let bytes = fields.iter_mut().flat_map(|(_, value)| value);
    bytes.filter(|byte| !byte.is_ascii()).for_each(|byte| *byte = b'?');
    if let Some(authority) = authority {
        fields.set("Host", authority);
    }
    fields
}

/// The bytes of an answer for the client. `close`: the connection ends with it; `keep`: a client of HTTP/1.0 must be
/// told that it does not.
pub(super) fn answer(response: Response, is_head: bool, close: bool, keep: bool) -> Zeroizing<Vec<u8>> {
    let Response { mut status, mut fields, mut body } = response;
    // A line end in a field would let a value write the rest of the answer.
    if fields.iter().any(|(_, value)| !is_valid_value(value)) {
        (status, fields, body) = (500, Fields::new(), Zeroizing::default());
    }
    let mut out = Zeroizing::new(Vec::with_capacity(256 + fields.written_len() + body.len()));
    for part in ["HTTP/1.1 ", &status.to_string(), " ", reason(status), "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    fields.write_to(&mut out);
    let mut field = |name: &str, value: &str| {
        for part in [name, ": ", value, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    };
    field("Date", &Clock::system().now().to_http_date());
    if status != 204 {
        field("Content-Length", &body.len().to_string());
    }
    match (close, keep) {
        (true, _) => field("Connection", "close"),
        (false, true) => field("Connection", "keep-alive"),
        (false, false) => {}
    }
    out.extend_from_slice(b"\r\n");
    if !is_head {
        out.extend_from_slice(&body);
    }
    out
}

/// The reason phrase of a status that the daemon uses.
pub(in crate::daemon) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        303 => "See Other",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
