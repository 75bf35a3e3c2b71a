//! `htu`: the request target that a proof is bound to. Path and query, never a scheme or a host.
//!
//! `authsome` 0.7.2 signs and checks the path percent-decoded and the query as sent; a bare trailing `?` is dropped. So
//! we sign that form, and accept it beside the path as sent.

use std::borrow::Cow;

use crate::percent::{Plus, decode};

/// The `htu` that a client signs for the request target `path_query`.
pub(super) fn to_sign(path_query: &str) -> Cow<'_, str> {
    decoded(path_query).map_or(Cow::Borrowed(as_sent(path_query)), Cow::Owned)
}

/// Whether a proof with this `htu` is for the request target `path_query`.
pub(super) fn matches(htu: &str, path_query: &str) -> bool {
    path_query.starts_with('/') && (htu == as_sent(path_query) || decoded(path_query).is_some_and(|form| form == htu))
}

fn as_sent(path_query: &str) -> &str {
    match path_query.split_once('?') {
        Some((path, "")) => path,
        _ => path_query,
    }
}

/// The form with its path decoded; `None` when that changes nothing, is no text, or moves the border between path and
/// query: `/a%3Fb` must not pass for `/a?b`.
fn decoded(path_query: &str) -> Option<String> {
    let sent = as_sent(path_query);
    let (path, rest) = sent.split_at(sent.find('?').unwrap_or(sent.len()));
    if !path.contains('%') {
        return None;
    }
    let path = String::from_utf8(decode(path.as_bytes(), Plus::Plus)).ok()?;
    (!path.contains('?')).then(|| path + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_counts_as_sent_and_decoded() {
        for (htu, request) in [
            ("/", "/"),
            ("/api/whoami", "/api/whoami"),
            ("/api/whoami", "/api/whoami?"),
            ("/a?b=c", "/a?b=c"),
            ("/a??", "/a??"),
            ("/a%20b", "/a%20b"),
            ("/a b", "/a%20b"),
            ("/a b?q=%20", "/a%20b?q=%20"),
            ("/ü", "/%C3%BC"),
            ("/%C3%BC", "/%C3%BC"),
            ("/50%", "/50%25"),
            ("/50%", "/50%"),
            ("/%zz", "/%zz"),
            ("/%ff", "/%ff"),
            ("/a%3Fb", "/a%3Fb"),
        ] {
            assert!(matches(htu, request), "{htu} for {request}");
        }
    }

    #[test]
    fn nothing_else_counts() {
        for (htu, request) in [
            ("", "/"),
            ("/api/whoami?", "/api/whoami"),
            ("/api/whoami?", "/api/whoami?"),
            ("/api/whoami/", "/api/whoami"),
            ("/API/whoami", "/api/whoami"),
            ("/api/whoami?x=1", "/api/whoami"),
            ("/api/whoami", "/api/whoami?x=1"),
            ("http://127.0.0.1:7998/api/whoami", "/api/whoami"),
            ("http://127.0.0.1:7998/api/whoami", "http://127.0.0.1:7998/api/whoami"),
            ("//127.0.0.1/api/whoami", "/api/whoami"),
            ("/a?b", "/a%3Fb"),
            ("/a?q= ", "/a?q=%20"),
            ("/a?q=%20", "/a?q= "),
            ("/a+b", "/a%2Bb%20"),
            ("/a b", "/a+b"),
            ("/%c3%bc", "/%C3%BC"),
            ("/%FF", "/%ff"),
            ("/\u{fffd}", "/%ff"),
            ("/aA", "/a%2541"),
            ("*", "*"),
        ] {
            assert!(!matches(htu, request), "{htu} for {request}");
        }
    }

    #[test]
    fn what_is_signed_is_what_the_older_daemon_expects() {
        for (request, signed) in [
            ("/api/a%20b?q=%20", "/api/a b?q=%20"),
            ("/api/whoami?", "/api/whoami"),
            ("/a%3Fb", "/a%3Fb"),
            ("/%ff", "/%ff"),
        ] {
            assert_eq!(to_sign(request), signed);
            assert!(matches(signed, request));
        }
    }
}
