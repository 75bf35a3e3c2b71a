//! Requests inside an intercepted connection.

use std::cell::OnceCell;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use zeroize::Zeroizing;

use super::wording::{
    bad_credential, describe, disagreement, failure as failure_refusal, no_credentials, not_routed, over_limit,
};
use super::{answer_and_close, conclude, head_refusal};
use crate::http1::{BodyLength, HeadError, RequestHead, Version, request_body};
use crate::limits::{PROXY_HEAD_DEADLINE, TUNNEL_IDLE_DEADLINE};
use crate::model::{RunRoute, SlotPlace};
use crate::provider::Decision;
use crate::proxy::agree::{Authority, agree};
use crate::proxy::credentials::{Credential, Missing};
use crate::proxy::duplex::duplex;
use crate::proxy::exchange::{Failure, Outcome, Renew, Request, exchange};
use crate::proxy::headers::{request_for_upstream, wants_upgrade};
use crate::proxy::inject::{inject, wipe};
use crate::proxy::limits::Denied;
use crate::proxy::link::Link;
use crate::proxy::policy::{Action, Reason, act};
use crate::proxy::record::Subject;
use crate::proxy::refusal::Refusal;
use crate::proxy::run::Run;

/// An intercepted connection of the child to one destination.
struct Intercepted<'a> {
    run: &'a Run,
    authority: &'a Authority,
    /// Whether any route mentions the destination. Otherwise every request is refused.
    is_routed: bool,
    child: Link,
    /// Kept from request to request, and for what follows an upgrade.
    upstream: Option<Link>,
}

/// What was decided about a request.
struct Decided<'a> {
    action: Action,
    /// The route that the decision is about, where it is about one.
    route: Option<&'a RunRoute>,
}

/// A request as it goes upstream.
struct Outgoing<'a> {
    /// Head with the credential in it.
    head: Zeroizing<Vec<u8>>,
    request: Request,
    route: Option<&'a RunRoute>,
    is_injected: bool,
}

/// A request that was let through.
struct Answered<'a> {
    /// `None`: the child left before there was an answer.
    outcome: Option<Outcome>,
    route: Option<&'a RunRoute>,
    is_injected: bool,
}

/// A request that was not.
struct Refused<'a> {
    refusal: Refusal,
    route: Option<&'a RunRoute>,
}

/// Serves requests until either side ends the connection.
pub(super) fn serve(run: &Run, child: Link, authority: &Authority, is_routed: bool) {
    let mut connection = Intercepted { run, authority, is_routed, child, upstream: None };
    while connection.serve_request() {}
}

impl<'a> Intercepted<'a> {
    /// Serves one request, from its head to its record. Whether another may follow.
    fn serve_request(&mut self) -> bool {
        let idle = Instant::now() + TUNNEL_IDLE_DEADLINE;
        let head = match self.child.read_request(idle, PROXY_HEAD_DEADLINE) {
            Ok(head) => head,
            Err(error) => return self.end(&error),
        };
        let busy = self.run.live.busy();
        let started = Instant::now();
        match self.answer(&head) {
            Ok(answered) => {
                self.record(&head, &answered, started);
                if answered.outcome.as_ref().is_some_and(|outcome| outcome.is_upgraded) {
                    drop(busy); // the end of the run does not wait for it
                    return self.carry_on();
                }
                conclude(&mut self.child, answered.outcome.as_ref())
            }
            Err(refused) => self.refuse(Some(&head), &refused),
        }
    }

    /// The connection after an upgrade, to its end.
    fn carry_on(&mut self) -> bool {
        if let Some(mut upstream) = self.upstream.take() {
            self.run.recorder.raw(duplex(&mut self.child, &mut upstream));
        }
        false
    }

    /// Everything between the head and the record. Nothing goes upstream before the last line.
    fn answer(&mut self, head: &RequestHead) -> Result<Answered<'a>, Refused<'a>> {
        let target = agree(head, self.authority, self.server_name()).map_err(disagreement)?;
        let decided = self.decide(target)?;
        let over_limit = |denied| self.over_limit(denied, head, &decided);
        self.run.limits.check(head, &self.authority.host, target).map_err(over_limit)?;
        let mut credential = self.resolve(head, &decided)?;
        self.run.budget.spend().map_err(over_limit)?;
        let answered = self.stream(head, target, &decided, &mut credential)?;
        if let (Some(credential), Some(route)) = (&credential, decided.route)
            && answered.outcome.as_ref().is_some_and(|outcome| outcome.status == 401)
        {
            self.run.credentials.refused(&route.provider, &route.connection, credential);
        }
        Ok(answered)
    }

    fn decide(&self, target: &str) -> Result<Decided<'a>, Refused<'a>> {
        if !self.is_routed {
            return Err(not_routed(Reason::NoMatch, self.authority, None).into());
        }
        let decision = self.run.router.decide(&self.authority.host, self.authority.port, target);
        let route = match &decision {
            Decision::NoMatch => None,
            Decision::Ambiguous { routes } => routes.first(),
            Decision::Inject { route } | Decision::AuthEndpoint { route } | Decision::UnsafePath { route, .. } => {
                Some(route)
            }
        };
        let route = route.map(|index| &self.run.router.routes()[*index]);
        match act(self.run.mode, &decision, self.run.is_allowed_host(&self.authority.host)) {
            Action::Refuse(reason) => Err(Refused { refusal: not_routed(reason, self.authority, route), route }),
            action @ (Action::Inject { .. } | Action::Forward(_)) => Ok(Decided { action, route }),
        }
    }

    fn over_limit(&self, denied: Denied, head: &RequestHead, decided: &Decided<'a>) -> Refused<'a> {
        let refusal = over_limit(denied, head, self.authority);
        let provider = decided.route.map(|route| route.provider.clone());
        Refused { refusal: Refusal { provider, ..refusal }, route: decided.route }
    }

    /// The credential that was decided on; none when the request goes on without, which is recorded where it may
    /// surprise.
    fn resolve(&self, head: &RequestHead, decided: &Decided<'a>) -> Result<Option<Arc<Credential>>, Refused<'a>> {
        let without = match (&decided.action, decided.route) {
            (Action::Inject { .. }, Some(route)) => {
                let current = self.run.credentials.current(&route.provider, &route.connection);
                match current.and_then(|credential| credential.for_route(route)) {
                    Ok(credential) => return Ok(Some(credential)),
                    Err(Missing::NotConnected(reason) | Missing::Unavailable(reason)) if self.run.mode.denies() => {
                        return Err(Refused { refusal: no_credentials(route, &reason), route: decided.route });
                    }
                    Err(Missing::NotConnected(reason) | Missing::Unavailable(reason)) => reason,
                }
            }
            (Action::Forward(reason @ (Reason::Ambiguous | Reason::UnsafePath(_))), _) => describe(*reason),
            (Action::Inject { .. } | Action::Forward(_) | Action::Refuse(_), _) => return Ok(None),
        };
        self.run.recorder.without_credential(&self.subject(Some(head), decided.route), &without);
        Ok(None)
    }

    fn edit(
        &self,
        head: &RequestHead,
        target: &str,
        decided: &Decided<'a>,
        credential: Option<&Credential>,
    ) -> Result<Outgoing<'a>, Refused<'a>> {
        let body = request_body(head).map_err(|error| Refusal::bad_request(error.0))?;
        let mut outgoing = request_for_upstream(head, target, self.authority.to_host_field(443), body);
        let route = decided.route;
        let (mut secret_names, mut redaction) = (Vec::new(), None);
        if let (Some(credential), Some(route)) = (credential, route) {
            inject(&mut outgoing, route, &credential.slots)
                .map_err(|bad| Refused { refusal: bad_credential(route, bad), route: Some(route) })?;
            secret_names = secret_fields(route, credential);
            if let Some(known) = &self.run.redaction {
                known.cover(&credential.slots, &credential.covered);
                outgoing.fields.set("Accept-Encoding", "identity"); // an answer that can be looked into
                redaction = Some(Arc::clone(known));
            }
        }
        let request = Request {
            method: head.method.clone(),
            version: head.version,
            body,
            wants_keep_alive: head.version == Version::Http11 && head.wants_keep_alive(),
            expects_continue: head.version == Version::Http11 && head.fields.has_token("expect", "100-continue"),
            wants_upgrade: wants_upgrade(head),
            secret_names,
            redaction,
        };
        let head = Zeroizing::new(outgoing.to_bytes());
        wipe(&mut outgoing);
        Ok(Outgoing { head, request, route, is_injected: credential.is_some() })
    }

    /// Sends the request and relays the answer. A credential that the upstream refuses is renewed, once, and the request
    /// sent again.
    fn stream(
        &mut self,
        head: &RequestHead,
        target: &str,
        decided: &Decided<'a>,
        credential: &mut Option<Arc<Credential>>,
    ) -> Result<Answered<'a>, Refused<'a>> {
        let (run, newer) = (self.run, OnceCell::new());
        let outgoing = self.edit(head, target, decided, credential.as_deref())?;
        let used = credential.clone();
        let renew = || successor(run, decided.route, used.as_ref()).is_some_and(|next| newer.set(next).is_ok());
        let mut result = self.send(&outgoing, outgoing.is_injected.then_some(&renew))?;
        if let Err(Failure::Renewed(body)) = &result {
            *credential = newer.into_inner();
            let mut head = head.clone();
            head.fields.remove("expect"); // its body is here
            let again = self.edit(&head, target, decided, credential.as_deref())?.again(body);
            result = self.send(&again, None)?;
        }
        let outcome = match result {
            Ok(outcome) => Some(outcome),
            Err(Failure::ChildGone) => None,
            Err(failure) => {
                let refusal = failure_refusal(&failure, self.authority);
                return Err(Refused { refusal, route: outgoing.route });
            }
        };
        Ok(Answered { outcome, route: outgoing.route, is_injected: outgoing.is_injected })
    }

    /// Sends the request once, on the kept upstream connection where it still stands.
    fn send(
        &mut self,
        outgoing: &Outgoing<'a>,
        renew: Option<Renew<'_>>,
    ) -> Result<Result<Outcome, Failure>, Refused<'a>> {
        let refused = |refusal| Refused { refusal, route: outgoing.route };
        let kept = self.upstream.take().and_then(|mut link| link.is_idle_and_open().then_some(link));
        let is_reused = kept.is_some();
        let open = || self.run.upstreams.open_verified(self.authority).map_err(refused);
        let mut upstream = kept.map_or_else(open, Ok)?;
        let mut result = exchange(&mut self.child, &mut upstream, &outgoing.request, &outgoing.head, renew);
        if result == Err(Failure::NoResponse) && is_reused && is_repeatable(&outgoing.request) {
            upstream = open()?; // it closed the kept connection just then
            result = exchange(&mut self.child, &mut upstream, &outgoing.request, &outgoing.head, renew);
        }
        if result.as_ref().is_ok_and(|outcome| outcome.upstream_reusable || outcome.is_upgraded) {
            upstream.shrink();
            self.upstream = Some(upstream);
        }
        Ok(result)
    }

    fn record(&self, head: &RequestHead, answered: &Answered<'_>, started: Instant) {
        let subject = self.subject(Some(head), answered.route);
        self.run.recorder.request(&subject, answered.outcome.as_ref(), started, answered.is_injected);
    }

    /// Answers in the upstream's place. Whether the connection goes on.
    fn refuse(&mut self, head: Option<&RequestHead>, refused: &Refused<'_>) -> bool {
        let refusal = &refused.refusal;
        self.run.recorder.refusal(&self.subject(head, refused.route), refusal);
        let method = head.map_or("", |head| head.method.as_str());
        let keeps = refusal.status == 403 && head.is_some_and(keeps_framing);
        let bytes = refusal.to_bytes(method, !keeps);
        if !keeps {
            answer_and_close(&mut self.child, &bytes);
            return false;
        }
        let until = Instant::now() + TUNNEL_IDLE_DEADLINE;
        self.child.queue(&[IoSlice::new(&bytes)]).and_then(|()| self.child.flush_until(until)).is_ok()
    }

    /// There is no further request.
    fn end(&mut self, error: &HeadError) -> bool {
        let Some(refusal) = head_refusal(error) else {
            self.child.finish();
            return false;
        };
        self.refuse(None, &refusal.into())
    }

    fn server_name(&self) -> Option<&str> {
        match self.child.tls() {
            Some(rustls::Connection::Server(tls)) => tls.server_name(),
            Some(rustls::Connection::Client(_)) | None => None,
        }
    }

    fn subject<'b>(&'b self, head: Option<&'b RequestHead>, route: Option<&'b RunRoute>) -> Subject<'b> {
        Subject {
            host: self.authority.host.as_str(),
            port: self.authority.port,
            method: head.map_or("", |head| &head.method),
            target: head.map_or("", |head| &head.target),
            provider: route.map(|route| route.provider.as_str()),
            connection: route.map(|route| route.connection.as_str()),
        }
    }
}

impl From<Refusal> for Refused<'_> {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, route: None }
    }
}

impl Outgoing<'_> {
    /// The same with its body behind its head: the child has sent that already.
    fn again(mut self, body: &[u8]) -> Self {
        self.head = Zeroizing::new([self.head.as_slice(), body].concat());
        self.request.body = BodyLength::None;
        self
    }
}

/// What there is in place of a credential that the upstream has refused.
fn successor(run: &Run, route: Option<&RunRoute>, used: Option<&Arc<Credential>>) -> Option<Arc<Credential>> {
    let (route, used) = (route?, used?);
    run.credentials.successor(&route.provider, &route.connection, used)?.for_route(route).ok()
}

/// Whether the next request stands right behind this head, and is wanted.
fn keeps_framing(head: &RequestHead) -> bool {
    let has_body = !matches!(request_body(head), Ok(BodyLength::None | BodyLength::Exactly(0)));
    head.version == Version::Http11 && head.wants_keep_alive() && !has_body
}

/// Whether a request may be sent again without harm (RFC 9110 section 9.2.2), and can be: its body is not kept.
fn is_repeatable(request: &Request) -> bool {
    matches!(request.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE")
        && matches!(request.body, BodyLength::None | BodyLength::Exactly(0))
}

/// Lower-case names of the header fields that carry this credential or are emptied for it.
fn secret_fields(route: &RunRoute, credential: &Credential) -> Vec<String> {
    let set = credential.slots.iter().map(|slot| (slot.place, &slot.name));
    let stripped = route.strip.iter().map(|slot| (slot.place, &slot.name));
    let headers = set.chain(stripped).filter(|(place, _)| *place == SlotPlace::Header);
    headers.map(|(_, name)| name.to_ascii_lowercase()).collect()
}
