//! Refusals that a program, and the agent that reads its output, can act on (`contract/proxy.md` section 6).

use serde_json::json;

use crate::http1::{Fields, ResponseHead, Version};

/// Header that carries the code of a refusal.
pub(super) const ERROR_HEADER: &str = "X-Authsome-Error";

/// The stable name of a refusal: `error` in the body and the `X-Authsome-Error` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the documentation
pub(super) enum Code {
    NoMatch,
    NoCredentials,
    Ambiguous,
    Misdirected,
    BlockedAddress,
    BadRequest,
    UpstreamUnreachable,
    UpstreamTls,
    UpstreamTimeout,
    Policy,
}

impl Code {
    /// The name on the wire.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::NoMatch => "no_match",
            Self::NoCredentials => "no_credentials",
            Self::Ambiguous => "ambiguous",
            Self::Misdirected => "misdirected",
            Self::BlockedAddress => "blocked_address",
            Self::BadRequest => "bad_request",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UpstreamTls => "upstream_tls",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::Policy => "policy",
        }
    }

    fn default_status(self) -> u16 {
        match self {
            Self::NoMatch | Self::NoCredentials | Self::Ambiguous | Self::BlockedAddress | Self::Policy => 403,
            Self::Misdirected => 421,
            Self::BadRequest => 400,
            Self::UpstreamUnreachable | Self::UpstreamTls => 502,
            Self::UpstreamTimeout => 504,
        }
    }
}

/// An answer of the proxy's own, in place of the upstream's.
#[derive(Debug)]
pub(super) struct Refusal {
    /// HTTP status.
    pub(super) status: u16,
    /// Stable name.
    pub(super) code: Code,
    /// What happened.
    pub(super) message: String,
    /// The provider it is about.
    pub(super) provider: Option<String>,
    /// What to do about it.
    pub(super) hint: String,
}

impl Refusal {
    /// A refusal with the status that goes with `code`.
    pub(super) fn new(code: Code, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let (message, hint) = (message.into(), hint.into());
        Self { status: code.default_status(), code, message, provider: None, hint }
    }

    /// The same with another status.
    pub(super) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// The same about `provider`.
    pub(super) fn about(self, provider: &str) -> Self {
        Self { provider: Some(provider.to_owned()), ..self }
    }

    /// A request that cannot be read in one way only.
    pub(super) fn bad_request(what: &str) -> Self {
        Self::new(Code::BadRequest, format!("The request is not acceptable: {what}"), "Send a well-formed request.")
    }

    /// Head and body as bytes. `method`: of the request (HEAD gets no body). `is_last`: the connection closes after it.
    pub(super) fn to_bytes(&self, method: &str, is_last: bool) -> Vec<u8> {
        let body = json!({
            "error": self.code.as_str(),
            "message": self.message,
            "provider": self.provider,
            "hint": self.hint,
        });
        let body = format!("{body}\n");
        let mut fields = Fields::new();
        fields.push("Content-Type", "application/json");
        fields.push("Content-Length", body.len().to_string());
        fields.push(ERROR_HEADER, self.code.as_str());
        fields.push("Cache-Control", "no-store");
        if is_last {
            fields.push("Connection", "close");
        }
        let reason = reason_phrase(self.status).to_owned();
        let head = ResponseHead { status: self.status, reason, version: Version::Http11, fields };
        let mut bytes = head.to_bytes();
        if method != "HEAD" {
            bytes.extend_from_slice(body.as_bytes());
        }
        bytes
    }
}

/// The answer to a caller without the run's credentials. No body: it may be anybody on this machine.
pub(super) const PROXY_AUTHENTICATION_REQUIRED: &[u8] = b"HTTP/1.1 407 Proxy Authentication Required\r\n\
    Proxy-Authenticate: Basic realm=\"authsome\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

fn reason_phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        403 => "Forbidden",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{Buffered, read_response};

    #[test]
    fn a_refusal_is_json_with_its_code_in_a_header() {
        let refusal = Refusal::new(Code::NoCredentials, "No \"key\"\n", "authsome login x").about("x");
        let bytes = refusal.to_bytes("GET", true);
        let mut buffer = Buffered::new();
        let head = read_response(&mut buffer, &mut &bytes[..]).expect("a head");
        assert_eq!(head.status, 403);
        assert_eq!(head.fields.first_str("x-authsome-error"), Some("no_credentials"));
        assert!(!head.keeps_alive());
        let body: serde_json::Value = serde_json::from_slice(buffer.unread()).expect("JSON");
        assert_eq!(body["provider"], "x");
        assert_eq!(body["message"], "No \"key\"\n");
        assert_eq!(head.fields.first_str("content-length"), Some(buffer.unread().len().to_string().as_str()));
    }

    #[test]
    fn head_gets_no_body() {
        let bytes = Refusal::bad_request("x").to_bytes("HEAD", false);
        assert!(bytes.ends_with(b"\r\n\r\n"));
    }
}
