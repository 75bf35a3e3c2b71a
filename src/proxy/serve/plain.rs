//! `http://` requests in absolute form: forwarded as they are. What goes over plain text never gets a credential.

use std::io::IoSlice;
use std::time::Instant;

use super::wording::{disagreement, failure as failure_refusal, not_routed, over_limit, plain_text};
use super::{answer_and_close, conclude, head_refusal, is_authenticated};
use crate::http1::{RequestHead, Version, request_body};
use crate::limits::{PROXY_HEAD_DEADLINE, REFUSAL_LINGER, TUNNEL_IDLE_DEADLINE};
use crate::proxy::agree::{Authority, Disagreement, absolute, agree_on_host, is_echo};
use crate::proxy::exchange::{Failure, Outcome, Request, exchange};
use crate::proxy::headers::request_for_upstream;
use crate::proxy::link::Link;
use crate::proxy::policy::Reason;
use crate::proxy::record::Subject;
use crate::proxy::refusal::{PROXY_AUTHENTICATION_REQUIRED, Refusal};
use crate::proxy::run::Run;

/// A connection of the child that carries requests in absolute form.
struct Forwarded<'a> {
    run: &'a Run,
    child: Link,
    /// The last upstream connection, and where it leads.
    upstream: Option<(Authority, Link)>,
}

/// Serves an authenticated request that is no CONNECT, and those that follow on its connection.
pub(super) fn serve(run: &Run, child: Link, first: RequestHead) {
    let mut connection = Forwarded { run, child, upstream: None };
    let mut head = Some(first);
    while let Some(current) = head {
        head = if connection.serve_request(&current) { connection.next() } else { None };
    }
}

impl Forwarded<'_> {
    fn next(&mut self) -> Option<RequestHead> {
        let idle = Instant::now() + TUNNEL_IDLE_DEADLINE;
        match self.child.read_request(idle, PROXY_HEAD_DEADLINE) {
            Ok(head) if head.method != "CONNECT" && is_authenticated(&head, &self.run.credentials_of_child) => {
                return Some(head);
            }
            Ok(head) if head.method == "CONNECT" => {
                let refusal = Refusal::bad_request("CONNECT on a connection that was used before");
                self.refuse(&head, None, &refusal);
            }
            Ok(_) => answer_and_close(&mut self.child, PROXY_AUTHENTICATION_REQUIRED),
            Err(error) => match head_refusal(&error) {
                Some(refusal) => answer_and_close(&mut self.child, &refusal.to_bytes("", true)),
                None => self.child.finish(),
            },
        }
        None
    }

    /// Serves one request. Whether another may follow.
    fn serve_request(&mut self, head: &RequestHead) -> bool {
        let _busy = self.run.live.busy();
        let started = Instant::now();
        let (authority, target) = match destination(head) {
            Ok(destination) => destination,
            Err(refusal) => return self.refuse(head, None, &refusal),
        };
        match self.answer(head, &authority, target) {
            Ok(outcome) => {
                self.run.recorder.request(&subject(head, Some(&authority)), outcome.as_ref(), started, false);
                conclude(&mut self.child, outcome.as_ref())
            }
            Err(refusal) => self.refuse(head, Some(&authority), &refusal),
        }
    }

    /// `None`: the child left before there was an answer.
    fn answer(&mut self, head: &RequestHead, authority: &Authority, target: &str) -> Result<Option<Outcome>, Refusal> {
        let is_routed = self.run.router.covers(&authority.host, 443);
        if self.run.mode.denies() && !self.run.is_allowed_host(&authority.host) {
            return Err(if is_routed { plain_text(authority) } else { not_routed(Reason::NoMatch, authority, None) });
        }
        if is_routed {
            let over_limit = |denied| over_limit(denied, head, authority);
            self.run.limits.check(head, &authority.host, target).map_err(over_limit)?;
            self.run.budget.spend().map_err(over_limit)?;
        }
        let body = request_body(head).map_err(|error| Refusal::bad_request(error.0))?;
        let bytes = request_for_upstream(head, target, authority.to_host_field(80), body).to_bytes();
        let request = Request {
            method: head.method.clone(),
            version: head.version,
            body,
            wants_keep_alive: head.version == Version::Http11 && head.wants_keep_alive(),
            expects_continue: head.version == Version::Http11 && head.fields.has_token("expect", "100-continue"),
            wants_upgrade: false, // for ws:// clients open a tunnel
            secret_names: Vec::new(),
            redaction: None,
        };
        let kept = self.upstream.take().filter(|(known, _)| known == authority).map(|(_, link)| link);
        let kept = kept.and_then(|mut link| link.is_idle_and_open().then_some(link));
        let mut upstream = kept.map_or_else(|| self.run.upstreams.open_plain(authority), Ok)?;
        match exchange(&mut self.child, &mut upstream, &request, &bytes, None) {
            Ok(outcome) => {
                if outcome.upstream_reusable {
                    upstream.shrink();
                    self.upstream = Some((authority.clone(), upstream));
                }
                Ok(Some(outcome))
            }
            Err(Failure::ChildGone) => Ok(None),
            Err(failure) => Err(failure_refusal(&failure, authority)),
        }
    }

    fn refuse(&mut self, head: &RequestHead, authority: Option<&Authority>, refusal: &Refusal) -> bool {
        self.run.recorder.refusal(&subject(head, authority), refusal);
        let bytes = refusal.to_bytes(&head.method, true);
        if self.child.queue(&[IoSlice::new(&bytes)]).is_ok() {
            self.child.linger(Instant::now() + REFUSAL_LINGER);
        }
        false
    }
}

fn destination(head: &RequestHead) -> Result<(Authority, &str), Refusal> {
    if is_echo(&head.method) {
        return Err(disagreement(Disagreement::Method));
    }
    if head.target.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://")) {
        return Err(Refusal::bad_request("https:// URLs go through CONNECT"));
    }
    let (authority, target) = absolute(&head.target, "http", 80)
        .ok_or_else(|| Refusal::bad_request("a proxy takes CONNECT, or http:// URLs in absolute form"))?;
    agree_on_host(head, &authority, 80).map_err(disagreement)?;
    Ok((authority, target))
}

fn subject<'a>(head: &'a RequestHead, authority: Option<&'a Authority>) -> Subject<'a> {
    Subject {
        host: authority.map_or("", |authority| authority.host.as_str()),
        port: authority.map_or(0, |authority| authority.port),
        method: &head.method,
        // Without scheme and authority, which stand beside it.
        target: absolute(&head.target, "http", 80).map_or("", |(_, path)| path),
        provider: None,
        connection: None,
    }
}
