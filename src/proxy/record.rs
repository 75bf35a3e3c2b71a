//! What a run remembers: audit events for the daemon, and counts for the report at the end.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde_json::{Map, json};

use super::credentials::CredentialSource;
use super::exchange::Outcome;
use super::refusal::{Code, Refusal};
use crate::model::AuditEvent;

/// Paths longer than this are cut in events: they are for people.
const PATH_BYTES: usize = 1024;
/// So are methods. One event that is too large for the daemon would hold up all that come after it.
const METHOD_BYTES: usize = 32;

/// What a run's proxy did, for `run --json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RunReport {
    /// Name of the run in the audit log.
    pub run_id: String,
    /// Requests that were looked at.
    pub requests: u64,
    /// Those of them that got a credential.
    pub injected: u64,
    /// Requests and connections that were refused.
    pub refused: u64,
    /// Blind tunnels.
    pub tunnels: u64,
    /// Bytes of bodies, tunnels and upgraded connections, both directions.
    pub bytes: u64,
    /// How many requests could still have been made; `None`: there was no limit.
    pub requests_left: Option<u64>,
    /// What went otherwise than the user may think, one sentence each.
    pub warnings: Vec<String>,
}

/// One request, as far as it is known.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) method: &'a str,
    /// Path and query; the query is never recorded.
    pub(super) target: &'a str,
    pub(super) provider: Option<&'a str>,
    pub(super) connection: Option<&'a str>,
}

/// Counts and events of one run.
pub(super) struct Recorder {
    run_id: String,
    source: Arc<dyn CredentialSource>,
    requests: AtomicU64,
    injected: AtomicU64,
    refused: AtomicU64,
    tunnels: AtomicU64,
    bytes: AtomicU64,
    warnings: Mutex<BTreeSet<String>>,
}

impl Recorder {
    pub(super) fn new(run_id: String, source: Arc<dyn CredentialSource>) -> Self {
        Self {
            run_id,
            source,
            requests: AtomicU64::new(0),
            injected: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            tunnels: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            warnings: Mutex::default(),
        }
    }

    /// A request that was let through. `outcome`: `None` when the child left before there was an answer.
    pub(super) fn request(&self, subject: &Subject<'_>, outcome: Option<&Outcome>, started: Instant, injected: bool) {
        let bytes = outcome.map_or(0, |outcome| outcome.bytes);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.injected.fetch_add(u64::from(injected), Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let status = outcome.map_or_else(|| "aborted".to_owned(), |outcome| outcome.status.to_string());
        let mut event = self.event("proxy.request", subject, status);
        event.metadata.insert("bytes".into(), json!(bytes));
        let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        event.metadata.insert("milliseconds".into(), json!(milliseconds));
        event.metadata.insert("injected".into(), json!(injected));
        if outcome.is_some_and(|outcome| outcome.is_opaque) {
            event.metadata.insert("unmasked".into(), json!(true));
            self.warn(format!("{}: a compressed answer, not of text, went through without a look at it", subject.host));
        }
        self.source.record(event);
    }

    /// A request or connection that was refused.
    pub(super) fn refusal(&self, subject: &Subject<'_>, refusal: &Refusal) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let name = if refusal.code == Code::NoCredentials { "proxy_no_credentials" } else { "proxy_deny" };
        let mut event = self.event(name, subject, refusal.code.as_str().to_owned());
        event.metadata.insert("reason".into(), json!(refusal.message));
        self.source.record(event);
    }

    /// A request that got no credential although its host has one, and went on without.
    pub(super) fn without_credential(&self, subject: &Subject<'_>, reason: &str) {
        let mut event = self.event("proxy_no_credentials", subject, "forwarded".to_owned());
        event.metadata.insert("reason".into(), json!(reason));
        self.source.record(event);
        self.warn(format!("{}: forwarded without a credential: {reason}", subject.host));
    }

    /// A blind tunnel that ended.
    pub(super) fn tunnel(&self, bytes: u64) {
        self.tunnels.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What went both ways after an upgrade.
    pub(super) fn raw(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Something to tell the user at the end, once.
    pub(super) fn warn(&self, text: String) {
        const MOST: usize = 20; // a person reads them
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.len() < MOST {
            warnings.insert(text);
        }
    }

    /// The counts so far.
    pub(super) fn report(&self) -> RunReport {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RunReport {
            run_id: self.run_id.clone(),
            requests: count(&self.requests),
            injected: count(&self.injected),
            refused: count(&self.refused),
            tunnels: count(&self.tunnels),
            bytes: count(&self.bytes),
            requests_left: None,
            warnings: self.warnings.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect(),
        }
    }

    fn event(&self, name: &str, subject: &Subject<'_>, status: String) -> AuditEvent {
        let mut metadata = Map::new();
        metadata.insert("run_id".into(), json!(self.run_id));
        metadata.insert("host".into(), json!(subject.host));
        metadata.insert("port".into(), json!(subject.port));
        metadata.insert("method".into(), json!(cut(subject.method, METHOD_BYTES)));
        metadata.insert("path".into(), json!(path(subject.target)));
        AuditEvent {
            event: name.to_owned(),
            provider: subject.provider.map(str::to_owned),
            connection: subject.connection.filter(|name| !name.is_empty()).map(str::to_owned),
            status: Some(status),
            metadata,
        }
    }
}

/// The path of a target, without its query or anything after a `#`.
fn path(target: &str) -> &str {
    cut(target.split(['?', '#']).next().unwrap_or_default(), PATH_BYTES)
}

fn cut(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps events.
    #[derive(Default)]
    struct Kept(Mutex<Vec<AuditEvent>>);

    impl CredentialSource for Kept {
        fn resolve(
            &self,
            _: &str,
            _: &str,
            _: Option<crate::model::Fingerprint>,
        ) -> crate::Result<crate::model::Resolved> {
            unreachable!("nothing is resolved here")
        }

        fn record(&self, event: AuditEvent) {
            self.0.lock().expect("not poisoned").push(event);
        }
    }

    #[test]
    fn no_request_makes_an_event_that_the_daemon_would_not_take() {
        let kept = Arc::new(Kept::default());
        let recorder = Recorder::new("run_1".to_owned(), Arc::clone(&kept) as Arc<dyn CredentialSource>);
        let (method, target) = ("M".repeat(60_000), format!("/{}", "\"".repeat(60_000)));
        let host = "h".repeat(253);
        let subject =
            Subject { host: &host, port: 443, method: &method, target: &target, provider: None, connection: None };
        recorder.request(&subject, None, Instant::now(), false);
        let event = &kept.0.lock().expect("not poisoned")[0];
        let size = serde_json::to_vec(event).expect("JSON").len();
        assert!(size * 200 < crate::limits::DAEMON_BODY_BYTES, "a batch of them has {} bytes", size * 200);
    }

    #[test]
    fn a_query_is_never_part_of_a_path() {
        assert_eq!(path("/a/b?key=secret"), "/a/b");
        assert_eq!(path("/a#b?c"), "/a");
        assert_eq!(path("*"), "*");
        assert_eq!(path(&format!("/{}", "\u{e9}".repeat(PATH_BYTES))).len(), PATH_BYTES - 1);
    }
}
