//! Heads as they go on: without what belongs to one connection only (RFC 9110 section 7.6.1), framed as we frame.

use super::inject::holds_placeholder;
use super::refusal::ERROR_HEADER;
use crate::http1::{BodyLength, Fields, RequestHead, ResponseHead, Version};

/// Fields about one connection. `Connection` names more of them.
const HOP_BY_HOP: [&str; 6] = ["connection", "keep-alive", "te", "transfer-encoding", "upgrade", "content-length"];

/// What has no business in a trailer (RFC 9110 section 6.5.1): framing, routing, and whatever carries credentials.
const NO_TRAILER: [&str; 20] = [
    "authorization",
    "authentication-info",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "location",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
    "x-api-key",
];

/// The head that goes upstream, before injection: `host` in front, the client's fields, our framing.
pub(super) fn request_for_upstream(head: &RequestHead, target: &str, host: String, body: BodyLength) -> RequestHead {
    let mut fields = Fields::new();
    fields.push("Host", host);
    let wants_trailers = head.fields.has_token("te", "trailers");
    let understands_expect = head.version == Version::Http11;
    copy_end_to_end(&head.fields, &mut fields, |name| {
        !name.eq_ignore_ascii_case("host") && (understands_expect || !name.eq_ignore_ascii_case("expect"))
    });
    if wants_upgrade(head) {
        push_upgrade(&mut fields);
    } else if wants_trailers {
        fields.push("TE", "trailers");
        fields.push("Connection", "TE");
    }
    push_framing(&mut fields, body);
    RequestHead { method: head.method.clone(), target: target.to_owned(), version: Version::Http11, fields }
}

/// The head that goes to the child. `body`: how we frame; `is_last`: the connection closes after this answer.
pub(super) fn response_for_child(head: &ResponseHead, body: BodyLength, is_last: bool) -> ResponseHead {
    let mut fields = Fields::new();
    // The refusals' own header: nobody else may look like us.
    copy_end_to_end(&head.fields, &mut fields, |name| !name.eq_ignore_ascii_case(ERROR_HEADER));
    match body {
        // The length of what HEAD or 304 leave out is information, not framing.
        BodyLength::None if head.status >= 200 && head.status != 204 => {
            if let Some(length) = head.fields.first("content-length") {
                fields.push("Content-Length", length);
            }
        }
        other => push_framing(&mut fields, other),
    }
    if is_last {
        fields.push("Connection", "close");
    }
    ResponseHead { status: head.status, reason: head.reason.clone(), version: Version::Http11, fields }
}

/// The head of a `101` that goes to the child.
pub(super) fn upgraded_for_child(head: &ResponseHead) -> ResponseHead {
    let mut head = response_for_child(head, BodyLength::None, false);
    push_upgrade(&mut head.fields);
    head
}

/// Whether a request asks to go on as a WebSocket (RFC 6455 section 4.1). Other upgrades are not taken, as any server
/// may decide (RFC 9110 section 7.8).
pub(super) fn wants_upgrade(head: &RequestHead) -> bool {
    let has_body = head.fields.contains("content-length") || head.fields.contains("transfer-encoding");
    head.method == "GET" && head.version == Version::Http11 && !has_body && is_websocket(&head.fields)
}

/// Whether the fields of one connection say that it becomes a WebSocket, and nothing else.
pub(super) fn is_websocket(fields: &Fields) -> bool {
    let mut protocols = fields.tokens("upgrade");
    let (first, second) = (protocols.next(), protocols.next());
    let is_alone = first.is_some_and(|name| name.eq_ignore_ascii_case(b"websocket")) && second.is_none();
    is_alone && fields.has_token("connection", "upgrade")
}

fn push_upgrade(fields: &mut Fields) {
    fields.push("Connection", "Upgrade");
    fields.push("Upgrade", "websocket");
}

/// Removes from `trailers` what must not travel there; `secret_names`: lower-case names of fields that get credentials.
pub(super) fn clean_trailers(trailers: &mut Fields, secret_names: &[String]) {
    trailers.retain(|name, value| {
        let name = name.to_ascii_lowercase();
        !NO_TRAILER.contains(&name.as_str())
            && !name.starts_with("proxy-")
            && !name.eq_ignore_ascii_case(ERROR_HEADER)
            && !secret_names.contains(&name)
            && !holds_placeholder(value)
    });
}

fn copy_end_to_end(from: &Fields, to: &mut Fields, keep: impl Fn(&str) -> bool) {
    let named: Vec<&[u8]> = from.tokens("connection").collect();
    for (name, value) in from.iter() {
        let is_hop = HOP_BY_HOP.iter().any(|known| name.eq_ignore_ascii_case(known))
            || name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("proxy-"))
            || named.iter().any(|token| token.eq_ignore_ascii_case(name.as_bytes()));
        if !is_hop && keep(name) {
            to.push(name, value);
        }
    }
}

fn push_framing(fields: &mut Fields, body: BodyLength) {
    match body {
        BodyLength::None | BodyLength::UntilClose => {}
        BodyLength::Exactly(length) => fields.push("Content-Length", length.to_string()),
        BodyLength::Chunked => fields.push("Transfer-Encoding", "chunked"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{Buffered, read_request, read_response};

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).replace("\r\n", "\n").trim_end().to_owned()
    }

    fn upstream(head: &str, body: BodyLength) -> String {
        let bytes = format!("{}\r\n\r\n", head.replace('\n', "\r\n"));
        let head = read_request(&mut Buffered::new(), &mut bytes.as_bytes()).expect(head);
        text(&request_for_upstream(&head, "/p", "api.x.test".into(), body).to_bytes())
    }

    fn child(head: &str, body: BodyLength, is_last: bool) -> String {
        let bytes = format!("{}\r\n\r\n", head.replace('\n', "\r\n"));
        let head = read_response(&mut Buffered::new(), &mut bytes.as_bytes()).expect(head);
        text(&response_for_child(&head, body, is_last).to_bytes())
    }

    #[test]
    fn nothing_about_the_first_connection_goes_upstream() {
        let head = "GET /p HTTP/1.1\nHost: API.x.test\nConnection: keep-alive, X-Hop, Upgrade\nX-Hop: 1\nKeep-Alive: 5\n\
                    Proxy-Connection: keep-alive\nProxy-Authorization: Basic eDp5\nPROXY-Thing: 1\nUpgrade: h2c\n\
                    Accept: */*\nX-Forwarded-For: 1.2.3.4";
        let expected = "GET /p HTTP/1.1\nHost: api.x.test\nAccept: */*\nX-Forwarded-For: 1.2.3.4";
        assert_eq!(upstream(head, BodyLength::None), expected, "what the client itself sent end to end stays");
    }

    #[test]
    fn framing_is_ours_even_when_connection_names_it() {
        let head = "POST /p HTTP/1.1\nHost: a\nConnection: content-length, host\nContent-Length: 5";
        let expected = "POST /p HTTP/1.1\nHost: api.x.test\nContent-Length: 5";
        assert_eq!(upstream(head, BodyLength::Exactly(5)), expected);
        let head =
            "POST /p HTTP/1.1\nHost: a\nTransfer-Encoding: Chunked\nTE: trailers;q=1, trailers\nExpect: 100-continue";
        let expected = "POST /p HTTP/1.1\nHost: api.x.test\nExpect: 100-continue\nTE: trailers\nConnection: TE\n\
                        Transfer-Encoding: chunked";
        assert_eq!(upstream(head, BodyLength::Chunked), expected);
        let old = "POST /p HTTP/1.0\nExpect: 100-continue\nContent-Length: 0";
        assert_eq!(upstream(old, BodyLength::Exactly(0)), "POST /p HTTP/1.1\nHost: api.x.test\nContent-Length: 0");
    }

    #[test]
    fn responses_are_framed_for_the_child() {
        let head = "HTTP/1.1 200 OK\nConnection: close, X-Hop\nX-Hop: 1\nProxy-Authenticate: Basic\nContent-Length: 9\nETag: 1\nX-AUTHSOME-error: policy";
        let expected = "HTTP/1.1 200 OK\nETag: 1\nContent-Length: 9";
        assert_eq!(child(head, BodyLength::Exactly(9), false), expected);
        assert_eq!(child(head, BodyLength::None, true), format!("{expected}\nConnection: close"));
        let chunked = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-Sum";
        let expected = "HTTP/1.1 200 OK\nTrailer: X-Sum\nTransfer-Encoding: chunked";
        assert_eq!(child(chunked, BodyLength::Chunked, false), expected);
        assert_eq!(child("HTTP/1.1 204\nContent-Length: 0", BodyLength::None, false), "HTTP/1.1 204");
    }

    #[test]
    fn trailers_carry_no_credentials() {
        let mut trailers = Fields::new();
        for name in [
            "X-Sum",
            "Authorization",
            "COOKIE",
            "Set-Cookie",
            "Proxy-Authorization",
            "Host",
            "X-Key",
            "Grpc-Status",
            "X-Authsome-Error",
        ] {
            trailers.push(name, "1");
        }
        trailers.push("X-Other", "Bearer authsome-proxy-managed");
        clean_trailers(&mut trailers, &["x-key".into()]);
        let names: Vec<&str> = trailers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["X-Sum", "Grpc-Status"]);
    }
}
