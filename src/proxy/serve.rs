//! The request path, read from top to bottom: accept → authenticate the child → read the head → route → agree → decide
//! → resolve the credential → edit the head → stream → record. Nothing reorders it.

mod connect;
mod intercept;
mod plain;
mod wording;

use std::io::IoSlice;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::exchange::Outcome;
use super::link::Link;
use super::refusal::{PROXY_AUTHENTICATION_REQUIRED, Refusal};
use super::run::Run;
use crate::http1::{Buffered, HeadError, RequestHead};
use crate::limits::{PROXY_HEAD_DEADLINE, REFUSAL_LINGER};
use crate::secret::Secret;

/// Serves one connection of the child, to its end.
pub(super) fn serve(run: &Run, socket: TcpStream) {
    let socket = Arc::new(socket);
    let _registered = run.register(&socket);
    if socket.set_nodelay(true).is_err() {
        return;
    }
    let Ok(mut child) = Link::plain(socket, Buffered::new()) else { return };
    let deadline = Instant::now() + PROXY_HEAD_DEADLINE;
    let head = match child.read_request(deadline, PROXY_HEAD_DEADLINE) {
        Ok(head) => head,
        // It has not shown who it is: it learns what is wrong with its request, and nothing else.
        Err(error) => return refuse_head(&mut child, &error),
    };
    if !is_authenticated(&head, &run.credentials_of_child) {
        return answer_and_close(&mut child, PROXY_AUTHENTICATION_REQUIRED);
    }
    if head.method == "CONNECT" {
        connect::serve(run, child, &head);
    } else {
        plain::serve(run, child, head);
    }
}

/// Whether the request carries the run's token as Basic proxy credentials.
fn is_authenticated(head: &RequestHead, expected: &Secret) -> bool {
    let mut fields = head.fields.all("proxy-authorization");
    let (Some(field), None) = (fields.next(), fields.next()) else { return false };
    let Some((scheme, encoded)) = field.split_at_checked(6) else { return false };
    scheme.eq_ignore_ascii_case(b"basic ")
        && STANDARD.decode(encoded.trim_ascii()).is_ok_and(|given| expected.constant_time_eq(&given))
}

/// The refusal for a head that cannot be read; `None`: there is nobody to tell.
fn head_refusal(error: &HeadError) -> Option<Refusal> {
    match error {
        HeadError::Closed | HeadError::Truncated | HeadError::Io(_) | HeadError::TimedOut { started: false } => None,
        HeadError::TimedOut { started: true } => {
            Some(Refusal::bad_request("its head did not come in time").with_status(408))
        }
        HeadError::TooLarge => {
            Some(Refusal::bad_request("its head has more than 64 KiB or 200 fields").with_status(431))
        }
        HeadError::Version => Some(Refusal::bad_request("it is not HTTP/1.0 or HTTP/1.1").with_status(505)),
        HeadError::Malformed(what) => Some(Refusal::bad_request(what)),
    }
}

fn refuse_head(child: &mut Link, error: &HeadError) {
    if let Some(refusal) = head_refusal(error) {
        answer_and_close(child, &refusal.to_bytes("", true));
    }
}

fn answer_and_close(child: &mut Link, bytes: &[u8]) {
    if child.queue(&[IoSlice::new(bytes)]).is_ok() {
        child.linger(Instant::now() + REFUSAL_LINGER);
    }
}

/// Keeps or closes the child's connection after an answer. Whether it is kept.
fn conclude(child: &mut Link, outcome: Option<&Outcome>) -> bool {
    match outcome {
        Some(outcome) if outcome.child_reusable => {
            child.shrink();
            true
        }
        Some(outcome) if outcome.is_complete => {
            child.linger(Instant::now() + REFUSAL_LINGER);
            false
        }
        // An answer that was cut short must look so: the connection ends without a word.
        Some(_) | None => false,
    }
}
