//! HTTPS to a daemon elsewhere, through ureq. Nothing here is set up before the first call.

use std::io::Read as _;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use super::answer::Answer;
use super::base_url::BaseUrl;
use super::local::unavailable;
use crate::error::{AuthsomeError, Result};
use crate::http1::RequestHead;
use crate::limits::{CLIENT_BODY_BYTES, CLIENT_CALL_DEADLINE, CLIENT_CONNECT_DEADLINE, HEAD_BYTES};
use crate::net::{NetSettings, Roots};
use crate::secret::SecretBuffer;

/// An agent that verifies, follows no redirect (a signature is for one path) and honours `HTTPS_PROXY`.
///
/// # Errors
/// Settings or trust roots that cannot be read.
pub(super) fn agent() -> Result<ureq::Agent> {
    Ok(agent_with(&Roots::find(&NetSettings::from_env()?).certificates()?))
}

fn agent_with(roots: &[CertificateDer<'static>]) -> ureq::Agent {
    let roots: Vec<Certificate<'static>> = roots.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::new_with_certs(&roots))
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .https_only(true)
        .http_status_as_error(false)
        .max_redirects(0)
        .allow_non_standard_methods(true)
        .accept_encoding("identity")
        .user_agent("")
        .timeout_connect(Some(CLIENT_CONNECT_DEADLINE))
        .timeout_global(Some(CLIENT_CALL_DEADLINE))
        .max_response_header_size(HEAD_BYTES)
        .build()
        .new_agent()
}

/// Sends `head` and `body` to `base`.
///
/// # Errors
/// `DaemonUnavailable` with what failed.
pub(super) fn exchange(agent: &ureq::Agent, base: &BaseUrl, head: &RequestHead, body: &[u8]) -> Result<Answer> {
    let failed = |error: ureq::Error| unavailable(format!("cannot reach the daemon at {base}: {error}"));
    let mut request = ureq::http::Request::builder().method(head.method.as_str()).uri(format!("{base}{}", head.target));
    for (name, value) in head.fields.iter().filter(|(name, _)| !is_framing(name)) {
        request = request.header(name, value);
    }
    let request = request.body(body).map_err(|_| AuthsomeError::InvalidInput {
        what: "request",
        reason: "method or path cannot be sent".to_owned(),
    })?;
    let mut answer = agent.run(request).map_err(failed)?;
    let status = answer.status().as_u16();
    let mut contents = SecretBuffer::new();
    let mut reader = answer.body_mut().as_reader().take(CLIENT_BODY_BYTES as u64 + 1);
    let length = std::io::copy(&mut reader, &mut contents).map_err(|error| failed(error.into()))?;
    if length > CLIENT_BODY_BYTES as u64 {
        return Err(unavailable(format!("the answer of the daemon is longer than {CLIENT_BODY_BYTES} bytes")));
    }
    Ok(Answer::new(status, contents))
}

/// Fields that ureq writes itself.
fn is_framing(name: &str) -> bool {
    ["host", "content-length", "connection"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::thread;

    use rustls::pki_types::PrivateKeyDer;

    use super::*;
    use crate::http1::{Buffered, Fields, Version, read_request};

    /// A TLS server with a certificate of its own for `localhost`, which answers one request.
    fn server(answer: &'static str) -> (BaseUrl, CertificateDer<'static>, thread::JoinHandle<Option<RequestHead>>) {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let certificate = certified.cert.der().clone();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("a pair");
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let port = listener.local_addr().expect("bound").port();
        let thread = thread::spawn(move || {
            let (mut socket, _) = listener.accept().expect("a connection");
            let mut session = rustls::ServerConnection::new(Arc::new(config)).expect("a session");
            let mut stream = rustls::Stream::new(&mut session, &mut socket);
            let head = read_request(&mut Buffered::new(), &mut stream).ok()?;
            stream.write_all(answer.as_bytes()).ok()?;
            session.send_close_notify();
            while session.wants_write() {
                session.write_tls(&mut socket).ok()?;
            }
            Some(head)
        });
        (BaseUrl::parse(&format!("https://localhost:{port}")).expect("a URL"), certificate, thread)
    }

    fn head() -> RequestHead {
        let mut fields = Fields::new();
        fields.push("Host", "ignored.test");
        fields.push("Authorization", "PoP x");
        RequestHead { method: "GET".into(), target: "/api/whoami?a=b".into(), version: Version::Http11, fields }
    }

    #[test]
    fn a_verified_daemon_gets_our_head_and_its_refusals_are_answers() {
        let (base, certificate, server) = server("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}");
        let answer = exchange(&agent_with(&[certificate]), &base, &head(), b"").expect("an answer");
        assert_eq!((answer.status(), answer.expose_bytes()), (403, &b"{}"[..]));
        let seen = server.join().expect("ends").expect("a request");
        assert_eq!(seen.target, "/api/whoami?a=b");
        assert_eq!(seen.fields.first_str("authorization"), Some("PoP x"));
        assert_eq!(seen.fields.first_str("host"), Some(base.authority().as_str()));
        assert_eq!(seen.fields.first("accept-encoding"), Some(&b"identity"[..]));
    }

    #[test]
    fn a_stranger_gets_nothing_and_a_redirect_is_not_followed() {
        let (base, _, stranger) = server("");
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let error = exchange(&agent_with(&[other.cert.der().clone()]), &base, &head(), b"").expect_err("refused");
        assert!(matches!(error, AuthsomeError::DaemonUnavailable { .. }), "{error}");
        assert!(stranger.join().expect("ends").is_none(), "no request was sent");
        let away = "HTTP/1.1 302 Found\r\nLocation: https://elsewhere.test/\r\nContent-Length: 0\r\n\r\n";
        let (base, certificate, server) = server(away);
        let answer = exchange(&agent_with(&[certificate]), &base, &head(), b"").expect("an answer");
        assert_eq!(answer.status(), 302);
        server.join().expect("ends");
    }
}
