//! CONNECT: intercept, tunnel, or refuse inside.

use std::io::IoSlice;
use std::time::Instant;

use super::wording::not_routed;
use super::{answer_and_close, intercept};
use crate::http1::{BodyLength, RequestHead, request_body};
use crate::limits::PROXY_HEAD_DEADLINE;
use crate::proxy::agree::Authority;
use crate::proxy::link::Link;
use crate::proxy::policy::{Opening, Reason, open};
use crate::proxy::record::Subject;
use crate::proxy::refusal::Refusal;
use crate::proxy::run::Run;
use crate::proxy::tunnel::tunnel;

const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// Serves an authenticated CONNECT.
pub(super) fn serve(run: &Run, mut child: Link, head: &RequestHead) {
    let authority = match authority(head) {
        Ok(authority) => authority,
        Err(refusal) => return refuse(run, &mut child, head, None, &refusal),
    };
    let is_covered = run.router.covers(&authority.host, authority.port);
    match open(run.mode, is_covered, run.is_allowed_host(&authority.host)) {
        Opening::Intercept => intercept(run, child, head, &authority, true),
        Opening::RefuseInside => intercept(run, child, head, &authority, false),
        Opening::Tunnel => serve_tunnel(run, child, head, &authority),
    }
}

fn authority(head: &RequestHead) -> Result<Authority, Refusal> {
    if !matches!(request_body(head), Ok(BodyLength::None | BodyLength::Exactly(0))) {
        return Err(Refusal::bad_request("a CONNECT with a body"));
    }
    Authority::parse(&head.target, None)
        .ok_or_else(|| Refusal::bad_request("CONNECT needs a host name or an address, and a port"))
}

/// Dials first, so that an unreachable host is told as such; then bytes pass until both sides have ended.
fn serve_tunnel(run: &Run, mut child: Link, head: &RequestHead, authority: &Authority) {
    let (upstream, early_answer) = match run.upstreams.dial(authority) {
        Ok(dialled) => dialled,
        Err(refusal) => return refuse(run, &mut child, head, Some(authority), &refusal),
    };
    let _registered = run.register(&upstream);
    if answer(&mut child, ESTABLISHED).is_err() {
        return;
    }
    let (socket, early) = child.into_parts();
    let bytes = tunnel(&socket, &upstream, early.unread(), early_answer.unread());
    run.recorder.tunnel(bytes);
}

/// Becomes the host towards the child, whatever is then made of its requests.
fn intercept(run: &Run, mut child: Link, head: &RequestHead, authority: &Authority, is_routed: bool) {
    let Ok(config) = run.ca.server_config(authority.host.as_str()) else {
        let refusal = Refusal::bad_request("the host cannot stand in a certificate");
        return answer_and_close(&mut child, &refusal.to_bytes("CONNECT", true));
    };
    if answer(&mut child, ESTABLISHED).is_err() {
        return;
    }
    let (socket, early) = child.into_parts();
    let Ok(tls) = rustls::ServerConnection::new(config) else { return };
    let until = Instant::now() + PROXY_HEAD_DEADLINE;
    match Link::secure(socket, early.unread(), tls, until) {
        Ok(child) => intercept::serve(run, child, authority, is_routed),
        // A child that does not trust our certificate hangs up here, and has said so itself.
        Err(_) if is_routed => {}
        // It has got nowhere, which is what was decided, but nobody has told the record.
        Err(_) => run.recorder.refusal(&subject(head, Some(authority)), &not_routed(Reason::NoMatch, authority, None)),
    }
}

fn answer(child: &mut Link, bytes: &[u8]) -> std::io::Result<()> {
    child.queue(&[IoSlice::new(bytes)])?;
    child.flush_until(Instant::now() + PROXY_HEAD_DEADLINE)
}

fn refuse(run: &Run, child: &mut Link, head: &RequestHead, authority: Option<&Authority>, refusal: &Refusal) {
    run.recorder.refusal(&subject(head, authority), refusal);
    answer_and_close(child, &refusal.to_bytes(&head.method, true));
}

fn subject<'a>(head: &'a RequestHead, authority: Option<&'a Authority>) -> Subject<'a> {
    Subject {
        host: authority.map_or("", |authority| authority.host.as_str()),
        port: authority.map_or(0, |authority| authority.port),
        method: &head.method,
        target: "",
        provider: None,
        connection: None,
    }
}
