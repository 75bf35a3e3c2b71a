//! The clean request that goes to the engine, and the head of the answer that comes back.

use std::fmt::Write as _;
use std::net::SocketAddr;

use zeroize::Zeroizing;

use super::refusal::Refusal;
use crate::http1::{BodyLength, RequestHead, ResponseHead, request_body};

/// The field in which the gate tells the engine who connected. A client's own is dropped, as all fields are that are
/// not in [`PASSED_ON`].
pub(in crate::daemon) const PEER_FIELD: &str = "X-Authsome-Peer";

/// The fields that handlers use. Whatever else a client sends stops at the gate: hop-by-hop fields, framing, forwarded
/// addresses that anybody can write.
const PASSED_ON: [&str; 9] = [
    "Host",
    "Authorization",
    "Cookie",
    "Content-Type",
    "Accept",
    "Origin",
    "Sec-Fetch-Site",
    "Sec-Fetch-Mode",
    "HX-Request",
];

/// The target in origin form (RFC 9112 section 3.2.1), visible ASCII; of an absolute URL, also the authority that
/// replaces `Host` (section 3.2.2).
pub(super) fn origin_form(head: &RequestHead) -> Result<(String, Option<String>), Refusal> {
    if head.method == "CONNECT" {
        return Err(Refusal::new(405, "Method Not Allowed"));
    }
    let (target, authority) = match head.target.as_str() {
        target if target.starts_with('/') => (target, None),
        target => {
            let rest = after_scheme(target).ok_or(Refusal::new(400, "bad request target"))?;
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            (&rest[end..], Some(rest[..end].to_owned()))
        }
    };
    let slash = if target.starts_with('/') { "" } else { "/" };
    Ok((format!("{slash}{}", ascii(target)), authority))
}

fn after_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some(rest)
}

/// Raw UTF-8 in a target, as sloppy clients send it, in the form that RFC 3986 asks for.
fn ascii(target: &str) -> String {
    let mut out = String::with_capacity(target.len());
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

/// The bytes of the request for the engine: always with a length, never more than the engine understands.
pub(super) fn clean_request(
    head: &RequestHead,
    target: &str,
    authority: Option<&str>,
    peer: SocketAddr,
    body: &[u8],
) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(256 + head_size(head) + body.len()));
    for part in [&head.method, " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    for (name, value) in head.fields.iter() {
        let Some(known) = PASSED_ON.iter().find(|known| known.eq_ignore_ascii_case(name)) else { continue };
        match authority {
            Some(_) if *known == "Host" => {}
            _ => field(&mut out, known, value),
        }
    }
    if let Some(authority) = authority {
        field(&mut out, "Host", authority.as_bytes());
    }
    field(&mut out, PEER_FIELD, peer.to_string().as_bytes());
    if !body.is_empty() {
        field(&mut out, "Content-Length", body.len().to_string().as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}

fn head_size(head: &RequestHead) -> usize {
    let fields = head.fields.iter().map(|(name, value)| name.len() + value.len() + 4);
    // A raw byte of a target can become three.
    head.method.len() + 3 * head.target.len() + fields.sum::<usize>()
}

/// `tiny_http` closes the connection at a byte outside ASCII. No value that we accept holds one, so it may be lost.
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.iter().map(|byte| if byte.is_ascii() { *byte } else { b'?' }));
    out.extend_from_slice(b"\r\n");
}

/// The bytes of an answer for the client. `close`: the connection ends with it; `keep`: a client of HTTP/1.0 must be
/// told that it does not.
pub(super) fn answer(mut head: ResponseHead, body: &[u8], close: bool, keep: bool) -> Zeroizing<Vec<u8>> {
    match (close, keep) {
        (true, _) => head.fields.set("Connection", "close"),
        (false, true) => head.fields.set("Connection", "keep-alive"),
        (false, false) => head.fields.remove("Connection"),
    }
    let head = head.to_bytes();
    let mut out = Zeroizing::new(Vec::with_capacity(head.len() + body.len()));
    out.extend_from_slice(&head);
    out.extend_from_slice(body);
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
