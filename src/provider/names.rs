//! Names of header fields and cookies.

/// Whether `name` is a token (RFC 9110 section 5.6.2), as header and cookie names are. At most 128 characters.
pub(super) fn is_token(name: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=128).contains(&name.len()) && name.bytes().all(is_token_byte)
}

/// Whether a header belongs to the message or the connection (RFC 9110 sections 7.2, 7.6, 8.6), so that no definition
/// may set it.
pub(super) fn is_framing_header(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    FRAMING_HEADERS.contains(&name.as_str()) || name.starts_with("proxy-")
}

const FRAMING_HEADERS: [&str; 13] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];
