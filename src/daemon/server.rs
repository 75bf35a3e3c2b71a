//! One request, from the gate's clean message to its answer.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::json;

use super::auth::authenticate;
use super::context::{Context, State};
use super::message::{Failure, INTERNAL, Refusal, Request, Response};
use super::origin;
use super::router::{self, Match};
use super::serve::log;
use crate::error::{AuthsomeError, ErrorName};

/// Answers `request`: check where it comes from, match the route, authenticate and authorize the caller, act.
/// A handler that panics costs its client a 500 and nobody else anything.
pub(super) fn answer(state: &State, request: &Request) -> Response {
    let outcome = catch_unwind(AssertUnwindSafe(|| serve(state, request)));
    match outcome {
        Ok(Ok(response)) => response,
        Ok(Err(failure)) => {
            report(request, &failure);
            let mut refused = if request.wants_html() && router::is_page(request.path()) {
                failure.into_page(request.next_step())
            } else {
                failure.into_response(request.wants_hints())
            };
            if refused.status == 405 {
                refused.fields.push("Allow", router::allowed(request.path())); // RFC 9110 section 15.5.6
            }
            refused
        }
        Err(_) => {
            log(&format!("{}: a handler panicked", name(request)));
            Response::json_with_status(500, &json!({"detail": INTERNAL}))
        }
    }
}

fn serve(state: &State, request: &Request) -> Result<Response, Failure> {
    origin::check(&state.settings, request)?;
    let (route, params) = match router::find(&request.method, request.path()) {
        Match::Found(route, params) => (route, params),
        Match::WrongMethod => return Err(Refusal::new(405, "Method Not Allowed").into()),
        Match::Unknown => return Err(Refusal::new(404, "Not Found").into()),
    };
    let caller = authenticate(state, request, route.access)?;
    (route.handler)(&Context { state, request, caller, params })
}

/// Writes to the log what only the operator should see: failures of the machine, not mistakes of a client.
fn report(request: &Request, failure: &Failure) {
    let Failure::Domain(error) = failure else { return };
    let is_ours = matches!(error, AuthsomeError::Io(_))
        || matches!(error.name(), ErrorName::StoreUnavailable | ErrorName::EncryptionUnavailable);
    if is_ours {
        log(&format!("{}: {error}", name(request)));
    }
}

/// A request in the log: its route, because a path may hold a token.
fn name(request: &Request) -> String {
    match router::find(&request.method, request.path()) {
        Match::Found(route, _) => format!("{} {}", route.method, route.pattern),
        Match::WrongMethod | Match::Unknown => "no route".to_owned(),
    }
}
