//! What refusals say: what happened, and what to do about it. No header value, query or credential is ever quoted.

use crate::http1::RequestHead;
use crate::model::RunRoute;
use crate::proxy::agree::{Authority, Disagreement};
use crate::proxy::exchange::Failure;
use crate::proxy::inject::BadSlot;
use crate::proxy::limits::Denied;
use crate::proxy::policy::Reason;
use crate::proxy::redact::answer::Withheld;
use crate::proxy::refusal::{Code, Refusal};

const TRUST_HINT: &str = "If this API may show its own key to the program: authsome run --no-redact";

/// The request names two destinations, or none clearly.
pub(super) fn disagreement(error: Disagreement) -> Refusal {
    match error {
        Disagreement::Method => Refusal::bad_request("its method has no use here").with_status(405),
        Disagreement::Unclear(what) => Refusal::bad_request(what),
        Disagreement::Misdirected(what) => Refusal::new(
            Code::Misdirected,
            format!("The request is for another destination than its connection: {what}"),
            "Open a connection of its own for each host and port.",
        ),
    }
}

/// Why a request gets no credential, in a sentence.
pub(super) fn describe(reason: Reason) -> String {
    match reason {
        Reason::NoMatch => "no provider of this run covers it".to_owned(),
        Reason::AuthEndpoint => "it goes to the provider's own login, which never gets a credential".to_owned(),
        Reason::Ambiguous => "several connections of this run cover it equally".to_owned(),
        Reason::UnsafePath(fault) => fault.to_string(),
    }
}

/// A refusal by the run's mode.
pub(super) fn not_routed(reason: Reason, authority: &Authority, route: Option<&RunRoute>) -> Refusal {
    let message = format!("{} is refused in this run: {}", authority.host, describe(reason));
    let refusal = match reason {
        Reason::NoMatch => {
            let hint = "Connect a provider for this host, or allow it: authsome run --allow-host HOST";
            Refusal::new(Code::NoMatch, message, hint)
        }
        Reason::AuthEndpoint => {
            let hint = "The run's credential is sent by authsome; no login is needed from here.";
            Refusal::new(Code::Policy, message, hint)
        }
        Reason::Ambiguous => {
            let hint = "Choose one: authsome run --provider NAME, or --connection PROVIDER=NAME";
            Refusal::new(Code::Ambiguous, message, hint)
        }
        Reason::UnsafePath(_) => {
            let hint = "Send the path without dot segments, encoded slashes, backslashes, empty segments and ';'.";
            Refusal::new(Code::BadRequest, message, hint)
        }
    };
    match route {
        Some(route) => refusal.about(&route.provider),
        None => refusal,
    }
}

/// A refusal by the limits of the run.
pub(super) fn over_limit(denied: Denied, head: &RequestHead, authority: &Authority) -> Refusal {
    // A method is a token of any length that the client chose.
    let method = if head.method.len() <= 32 { head.method.as_str() } else { "The request" };
    let message = format!("{method} to {} is refused: {denied}", authority.host);
    let hint = match denied {
        Denied::ReadOnly | Denied::Upgrade => "Whoever started the run can start it without --read-only.",
        Denied::Override => "Send the request with the method that is meant.",
        Denied::ByRule(_) | Denied::ByNoRule => "Whoever started the run can change its --rule options.",
        Denied::Path(_) => "Send the path without dot segments, encoded slashes, backslashes, empty segments and ';'.",
        Denied::Spent(_) => "Start a new run, or one with a higher --max-requests.",
    };
    Refusal::new(Code::Policy, message, hint)
}

/// The route is clear, the credential is not there.
pub(super) fn no_credentials(route: &RunRoute, reason: &str) -> Refusal {
    let message = format!("There is no credential for {}: {reason}", route.provider);
    Refusal::new(Code::NoCredentials, message, format!("Run: authsome login {}", route.provider)).about(&route.provider)
}

/// The credential is there, but cannot be put into a request.
pub(super) fn bad_credential(route: &RunRoute, bad: BadSlot) -> Refusal {
    let message = format!("The credential of {} cannot be sent: {}", route.provider, bad.0);
    let hint = format!("Nothing was sent. Store it again: authsome login {} --force", route.provider);
    Refusal::new(Code::NoCredentials, message, hint).with_status(502).about(&route.provider)
}

/// Plain HTTP to a host that has a route.
pub(super) fn plain_text(authority: &Authority) -> Refusal {
    let message = format!("{} is refused in this run: plain http:// never gets a credential", authority.host);
    Refusal::new(Code::Policy, message, "Use https:// for this host.")
}

/// There is an answer, but no way to mask what it may repeat of the credential.
fn withheld(why: Withheld, authority: &Authority) -> Refusal {
    let host = &authority.host;
    let (what, hint) = match why {
        Withheld::Part => ("it is a part of a text (206)", "Ask for the whole, without a Range field."),
        Withheld::Coding => ("its text is compressed although no compression was asked for", TRUST_HINT),
    };
    let message = format!("{host} answered, but a key could not be masked in the answer: {what}");
    Refusal::new(Code::Policy, message, hint)
}

/// The exchange failed before there was an answer.
pub(super) fn failure(failure: &Failure, authority: &Authority) -> Refusal {
    let host = &authority.host;
    match failure {
        Failure::NoResponse | Failure::ChildGone | Failure::Renewed(_) => Refusal::new(
            Code::UpstreamUnreachable,
            format!("{host} closed the connection without an answer"),
            "Try again if the request can be repeated.",
        ),
        Failure::TimedOut => {
            Refusal::new(Code::UpstreamTimeout, format!("{host} did not answer in time"), "Try again later.")
        }
        Failure::BadResponse(what) => Refusal::new(
            Code::UpstreamUnreachable,
            format!("The answer of {host} is not acceptable: {what}"),
            "This is a fault of the server; try again later.",
        ),
        Failure::Withheld(why) => withheld(*why, authority),
        Failure::BadRequest(what) => Refusal::bad_request(what),
    }
}
