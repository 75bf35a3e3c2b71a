//! The door between a run and its daemon: credentials come in, audit events go out.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::client::Client;
use crate::error::Result;
use crate::limits::AUDIT_QUEUE;
use crate::model::{AuditEvent, Fingerprint, InjectSlot, Resolved, SlotPlace};
use crate::proxy::CredentialSource;
use crate::secret::Secret;

/// Events of one call. The daemon takes more, but its body cap must hold with long paths too.
const BATCH: usize = 200;
/// How long events wait for company while the run goes on, so that a busy run does not call for each request.
const GATHERING: Duration = Duration::from_millis(500);
/// After a failed call, while the run goes on; and while it ends.
const RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_millis(100);

/// The credentials and the audit log of one run.
pub(super) struct DaemonSource {
    client: Arc<Client>,
    outbox: Arc<Outbox>,
}

impl DaemonSource {
    /// Starts the thread that hands over events.
    pub(super) fn start(client: Arc<Client>) -> Result<Self> {
        let outbox = Arc::new(Outbox::default());
        let (sender, queue) = (Arc::clone(&client), Arc::clone(&outbox));
        thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || queue.deliver(&|events| send(&sender, events)))
            .map_err(|error| io::Error::new(error.kind(), format!("cannot start a thread: {error}")))?;
        Ok(Self { client, outbox })
    }

    /// Waits until all events are handed over, at most `patience`. How many were not.
    pub(super) fn finish(&self, patience: Duration) -> usize {
        self.outbox.finish(patience)
    }
}

impl CredentialSource for DaemonSource {
    fn resolve(&self, provider: &str, connection: &str, refused: Option<Fingerprint>) -> Result<Resolved> {
        #[derive(Serialize)]
        struct Request<'a> {
            v: u32,
            provider: &'a str,
            #[serde(skip_serializing_if = "str::is_empty")]
            connection: &'a str,
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            rejected: bool,
            #[serde(skip_serializing_if = "Option::is_none")]
            refused: Option<String>,
        }
        let (rejected, refused) = (refused.is_some(), refused.map(|print| print.to_string()));
        let request = Request { v: 2, provider, connection, rejected, refused };
        let mut resolved: Resolved = self.client.post("/api/credentials/resolve", &request)?.parse()?;
        if resolved.inject.is_empty() {
            resolved.inject = slots_of_headers(&resolved);
        }
        Ok(resolved)
    }

    fn record(&self, event: AuditEvent) {
        self.outbox.push(event);
    }
}

/// The slots behind the headers of 0.7.2's answer. For redaction, what follows a scheme is the secret.
fn slots_of_headers(resolved: &Resolved) -> Vec<InjectSlot> {
    let slot = |(name, value): (&String, &Secret)| {
        let secret = value.expose().split_once(' ').map_or(value.expose(), |(_, secret)| secret);
        InjectSlot {
            place: SlotPlace::Header,
            name: name.clone(),
            value: value.duplicate(),
            only_if_absent: false,
            secrets: vec![Secret::new(secret.to_owned())],
        }
    };
    resolved.headers.iter().map(slot).collect()
}

/// Hands over a batch; one by one to a daemon that knows no batches.
fn send(client: &Client, events: &[AuditEvent]) -> Result<()> {
    #[derive(Serialize)]
    struct Batch<'a> {
        events: &'a [AuditEvent],
    }
    #[derive(Serialize)]
    struct Single<'a> {
        event: &'a AuditEvent,
    }
    const PATH: &str = "/api/audit/events";
    let body = crate::secret::SecretBuffer::from_json(&Batch { events }).expect("events are JSON");
    let answer = client.call("POST", PATH, Some(body.expose_bytes()))?;
    // 0.7.2 fails over a batch.
    if !matches!(answer.status(), 422 | 500) {
        return answer.into_success().map(|_| ());
    }
    events.iter().try_for_each(|event| client.post(PATH, &Single { event }).map(|_| ()))
}

/// Events on their way out. Bounded: what does not fit is counted, not kept.
#[derive(Default)]
struct Outbox {
    state: Mutex<OutboxState>,
    changed: Condvar,
}

#[derive(Default)]
struct OutboxState {
    waiting: VecDeque<AuditEvent>,
    /// Taken for a call that is going on.
    in_flight: usize,
    lost: usize,
    finishing: bool,
}

impl Outbox {
    fn push(&self, event: AuditEvent) {
        let mut state = self.lock();
        if state.waiting.len() >= AUDIT_QUEUE {
            state.lost += 1;
            return;
        }
        state.waiting.push_back(event);
        self.changed.notify_all();
    }

    /// Gives batches to `send` until the end of the run.
    fn deliver(&self, send: &dyn Fn(&[AuditEvent]) -> Result<()>) {
        while let Some(batch) = self.next_batch() {
            let failed = send(&batch).is_err();
            let mut state = self.lock();
            state.in_flight = 0;
            if failed {
                put_back(&mut state, batch);
            }
            self.changed.notify_all();
            if failed {
                let state = self.wait(state, RETRY, |state| state.finishing);
                drop(self.wait(state, LAST_RETRY, |_| false));
            }
        }
    }

    /// Waits for events and for company; `None` when the run is over and nothing is left.
    fn next_batch(&self) -> Option<Vec<AuditEvent>> {
        let mut state = self.lock();
        while state.waiting.is_empty() && !state.finishing {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state = self.wait(state, GATHERING, |state| state.finishing || state.waiting.len() >= BATCH);
        if state.waiting.is_empty() {
            return None;
        }
        let count = state.waiting.len().min(BATCH);
        state.in_flight = count;
        Some(state.waiting.drain(..count).collect())
    }

    fn finish(&self, patience: Duration) -> usize {
        let mut state = self.lock();
        state.finishing = true;
        self.changed.notify_all();
        state = self.wait(state, patience, |state| state.waiting.is_empty() && state.in_flight == 0);
        state.waiting.len() + state.in_flight + state.lost
    }

    fn wait<'a>(
        &'a self,
        mut state: MutexGuard<'a, OutboxState>,
        limit: Duration,
        done: impl Fn(&OutboxState) -> bool,
    ) -> MutexGuard<'a, OutboxState> {
        let until = Instant::now() + limit;
        while !done(&state) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    /// The state is whole after any panic: nothing under this lock calls out.
    fn lock(&self) -> MutexGuard<'_, OutboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a batch that was not taken, in its old place, as far as there is room.
fn put_back(state: &mut OutboxState, batch: Vec<AuditEvent>) {
    for event in batch.into_iter().rev() {
        if state.waiting.len() >= AUDIT_QUEUE {
            state.lost += 1;
        } else {
            state.waiting.push_front(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::error::AuthsomeError;

    const SOON: Duration = Duration::from_secs(20);

    fn event(name: &str) -> AuditEvent {
        AuditEvent { event: name.to_owned(), ..AuditEvent::default() }
    }

    /// Delivers in the background; each batch is reported, and answered with the next of `answers`, then with success.
    fn delivering(answers: Vec<bool>) -> (Arc<Outbox>, mpsc::Receiver<Vec<String>>) {
        let outbox = Arc::new(Outbox::default());
        let (sender, batches) = mpsc::channel();
        let queue = Arc::clone(&outbox);
        let answers = Mutex::new(VecDeque::from(answers));
        thread::spawn(move || {
            queue.deliver(&|events| {
                let _ = sender.send(events.iter().map(|event| event.event.clone()).collect());
                match answers.lock().expect("whole").pop_front() {
                    Some(false) => Err(AuthsomeError::NoIdentity),
                    _ => Ok(()),
                }
            });
        });
        (outbox, batches)
    }

    #[test]
    fn events_arrive_in_order_and_in_few_calls() {
        let (outbox, batches) = delivering(Vec::new());
        for number in 0..=BATCH {
            outbox.push(event(&number.to_string()));
        }
        assert_eq!(outbox.finish(SOON), 0);
        let all: Vec<Vec<String>> = batches.iter().collect();
        assert!(all.len() <= 3, "{} calls", all.len());
        let names: Vec<String> = all.concat();
        assert_eq!(names, (0..=BATCH).map(|number| number.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn what_was_not_taken_is_sent_again_and_a_silent_end_is_quick() {
        let (outbox, batches) = delivering(vec![false]);
        outbox.push(event("a"));
        assert_eq!(outbox.finish(SOON), 0);
        assert_eq!(batches.iter().collect::<Vec<_>>(), [["a"], ["a"]]);
        let (outbox, batches) = delivering(Vec::new());
        assert_eq!(outbox.finish(SOON), 0);
        assert!(batches.iter().next().is_none(), "nothing to say, no call");
    }

    #[test]
    fn a_daemon_that_takes_nothing_costs_no_more_than_the_patience() {
        let (outbox, _batches) = delivering(vec![false; 10_000]);
        outbox.push(event("a"));
        assert_eq!(outbox.finish(Duration::from_millis(20)), 1);
    }

    #[test]
    fn the_queue_is_bounded() {
        let outbox = Outbox::default();
        for _ in 0..AUDIT_QUEUE + 5 {
            outbox.push(event("x"));
        }
        let mut state = outbox.lock();
        assert_eq!((state.waiting.len(), state.lost), (AUDIT_QUEUE, 5));
        put_back(&mut state, vec![event("y")]);
        assert_eq!((state.waiting.len(), state.lost), (AUDIT_QUEUE, 6));
    }

    #[test]
    fn headers_of_an_older_daemon_become_slots() {
        let text = r#"{"provider":"x","connection":"default","headers":{"Authorization":"Bearer k1","X-Key":"k2"}}"#;
        let resolved: Resolved = serde_json::from_str(text).expect("parses");
        let slots = slots_of_headers(&resolved);
        let seen: Vec<_> =
            slots.iter().map(|slot| (slot.name.as_str(), slot.value.expose(), slot.secrets[0].expose())).collect();
        assert_eq!(seen, [("Authorization", "Bearer k1", "k1"), ("X-Key", "k2", "k2")]);
    }
}
