//! The credentials of a run: kept for a minute, asked for again one at a time, dropped when the daemon says so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use super::redact::Covered;
use crate::clock::{Clock, Timestamp};
use crate::error::{AuthsomeError, ErrorName};
use crate::limits::{CREDENTIAL_CACHE, CREDENTIAL_GRACE, CREDENTIAL_RETRY, NEAR_EXPIRY_SECONDS};
use crate::model::{AuditEvent, Fingerprint, InjectSlot, Place, Resolved, RunRoute, SlotPlace};

/// Where credentials come from and where events go: the only door between a run and its daemon.
pub trait CredentialSource: Send + Sync {
    /// Asks for the credential of `connection`; empty: the provider's default. `refused`: what the upstream refused, so
    /// that this is refreshed if it is still the current one. Blocks at most [`crate::limits::CLIENT_CALL_DEADLINE`].
    ///
    /// # Errors
    /// What the daemon answered, or that it does not answer.
    fn resolve(&self, provider: &str, connection: &str, refused: Option<Fingerprint>) -> crate::Result<Resolved>;

    /// Hands over an event. It only queues: it never blocks and never fails.
    fn record(&self, event: AuditEvent);
}

/// What goes into a request.
#[derive(Debug)]
pub(super) struct Credential {
    pub(super) slots: Vec<InjectSlot>,
    /// Whether they are masked in answers already.
    pub(super) covered: Covered,
    /// Where it may go; `None`: the routes that it came with.
    places: Option<Vec<Place>>,
    expires_at: Option<Timestamp>,
}

/// Why there is no credential.
#[derive(Clone, Debug)]
pub(super) enum Missing {
    /// There is none to be had; says why.
    NotConnected(String),
    /// Nobody could be asked; says why.
    Unavailable(String),
}

/// The credentials of one run.
pub(super) struct Credentials {
    source: Arc<dyn CredentialSource>,
    clock: Clock,
    entries: Mutex<HashMap<(String, String), Arc<Entry>>>,
}

/// One connection's credential.
#[derive(Default)]
struct Entry {
    known: Mutex<Known>,
    /// Held while the daemon is asked, so that it is asked once.
    asking: Mutex<()>,
}

#[derive(Default)]
struct Known {
    /// The last answer; `None`: never asked.
    answer: Option<Result<Arc<Credential>, Missing>>,
    /// When the daemon last answered (seconds of the clock).
    answered_at: i64,
    /// When it was last asked.
    asked_at: i64,
    /// The upstream has refused the last answer, which the daemon is to be told.
    is_refused: bool,
    /// When it was last told that of an answer.
    told_at: Option<i64>,
}

impl Credentials {
    /// Starts with the values that came with the run's plan, which are taken out of `routes`.
    pub(super) fn new(source: Arc<dyn CredentialSource>, clock: Clock, routes: &mut [RunRoute]) -> Self {
        let now = clock.now().unix();
        let mut entries = HashMap::new();
        for route in routes {
            let Some(slots) = route.inject.take() else { continue };
            let covered = Covered::default();
            let credential = Credential { slots, covered, places: None, expires_at: route.expires_at };
            let answer = Some(Ok(Arc::new(credential)));
            let known = Known { answer, answered_at: now, asked_at: now, ..Known::default() };
            let key = (route.provider.clone(), route.connection.clone());
            entries
                .entry(key)
                .or_insert_with(|| Arc::new(Entry { known: Mutex::new(known), asking: Mutex::default() }));
        }
        Self { source, clock, entries: Mutex::new(entries) }
    }

    /// The credential of a connection, not older than a minute unless the daemon cannot be reached.
    pub(super) fn current(&self, provider: &str, connection: &str) -> Result<Arc<Credential>, Missing> {
        let entry = self.entry(provider, connection);
        if let Some(fresh) = self.fresh(&entry) {
            return fresh;
        }
        let _asking = match entry.asking.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(guard)) => guard.into_inner(),
            Err(TryLockError::WouldBlock) => {
                // Somebody asks already: what is good for now need not wait for that.
                if let Some(usable) = self.usable(&entry) {
                    return Ok(usable);
                }
                let guard = lock(&entry.asking);
                if let Some(fresh) = self.fresh(&entry) {
                    return fresh;
                }
                guard
            }
        };
        // The one who held the lock a moment ago may have asked.
        self.fresh(&entry).unwrap_or_else(|| self.ask(&entry, provider, connection))
    }

    /// Notes that an upstream answered 401 to `used`. The next request asks the daemon, which refreshes a token that may
    /// have been taken back. A value that is newer already has not been refused.
    pub(super) fn refused(&self, provider: &str, connection: &str, used: &Arc<Credential>) {
        let entry = self.entry(provider, connection);
        let mut known = lock(&entry.known);
        let last = known.answer.as_ref().and_then(|last| last.as_ref().ok());
        known.is_refused = last.is_some_and(|last| last.fingerprint() == used.fingerprint());
    }

    /// What to send in place of `used`, which an upstream has refused: what somebody else got meanwhile, or what the
    /// daemon has when it is told. `None`: nothing else, or the daemon was told of a refusal just now.
    pub(super) fn successor(
        &self,
        provider: &str,
        connection: &str,
        used: &Arc<Credential>,
    ) -> Option<Arc<Credential>> {
        let entry = self.entry(provider, connection);
        let _asking = lock(&entry.asking);
        self.refused(provider, connection, used);
        let now = self.clock.now().unix();
        let known = lock(&entry.known);
        let was_told = known.told_at.is_some_and(|at| is_young(at, CREDENTIAL_RETRY, now));
        let answer = if known.is_refused && was_told { None } else { known.answer.clone() };
        let is_to_be_told = known.is_refused && !was_told;
        drop(known);
        let answer = if is_to_be_told { Some(self.ask(&entry, provider, connection)) } else { answer };
        answer?.ok().filter(|next| next.fingerprint() != used.fingerprint())
    }

    fn entry(&self, provider: &str, connection: &str) -> Arc<Entry> {
        let key = (provider.to_owned(), connection.to_owned());
        Arc::clone(lock(&self.entries).entry(key).or_default())
    }

    /// The last answer, where it need not be asked for again.
    fn fresh(&self, entry: &Entry) -> Option<Result<Arc<Credential>, Missing>> {
        let now = self.clock.now().unix();
        let known = lock(&entry.known);
        let is_young = |since, limit| is_young(since, limit, now);
        let fresh = match known.answer.as_ref()? {
            Ok(credential) if credential.is_due(now) => {
                is_young(known.asked_at, CREDENTIAL_RETRY) && !credential.has_ended(now)
            }
            Ok(_) if known.is_refused => is_young(known.asked_at, CREDENTIAL_RETRY),
            Ok(_) => is_young(known.answered_at, CREDENTIAL_CACHE) || is_young(known.asked_at, CREDENTIAL_RETRY),
            Err(_) => is_young(known.asked_at, CREDENTIAL_RETRY),
        };
        fresh.then(|| known.answer.clone()).flatten()
    }

    /// The last credential, where it is good although it should be asked for again.
    fn usable(&self, entry: &Entry) -> Option<Arc<Credential>> {
        let now = self.clock.now().unix();
        let known = lock(&entry.known);
        let in_grace = now - known.answered_at < i64::try_from(CREDENTIAL_GRACE.as_secs()).unwrap_or(i64::MAX);
        let credential = known.answer.as_ref()?.as_ref().ok()?;
        (in_grace && !credential.has_ended(now)).then(|| Arc::clone(credential))
    }

    fn ask(&self, entry: &Entry, provider: &str, connection: &str) -> Result<Arc<Credential>, Missing> {
        let refused = lock(&entry.known).take_refused();
        let resolved = self.source.resolve(provider, connection, refused);
        let usable = self.usable(entry);
        let now = self.clock.now().unix();
        let mut known = lock(&entry.known);
        known.asked_at = now;
        if refused.is_some() {
            known.told_at = Some(now);
        }
        let answer =
            match resolved.map_err(|error| missing(&error)).and_then(|answer| check(answer, provider, connection)) {
                Err(Missing::Unavailable(reason)) => {
                    // The old value outlives a daemon that restarts, for a while.
                    let kept = usable.ok_or(Missing::Unavailable(reason));
                    known.answer = Some(kept.clone());
                    return kept;
                }
                answer => answer.map(Arc::new),
            };
        known.answered_at = now;
        known.answer = Some(answer.clone());
        answer
    }
}

impl Known {
    /// What the daemon is to be told of.
    fn take_refused(&mut self) -> Option<Fingerprint> {
        let is_refused = std::mem::take(&mut self.is_refused);
        self.answer.as_ref().filter(|_| is_refused)?.as_ref().ok().map(|credential| credential.fingerprint())
    }
}

impl Credential {
    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.slots)
    }

    /// Holds a credential against the route that it is wanted for. Routes are as old as the run; the connection may
    /// have been made anew since, at another server.
    pub(super) fn for_route(self: Arc<Self>, route: &RunRoute) -> Result<Arc<Self>, Missing> {
        let is_it = |place: &Place| {
            (&place.host, place.host_match, place.port, &place.path_prefix)
                == (&route.host, route.host_match, route.port, &route.path_prefix)
        };
        if self.places.as_ref().is_none_or(|places| places.iter().any(is_it)) {
            return Ok(self);
        }
        let reason = "the connection leads to another server than when this run began; start the run again";
        Err(Missing::NotConnected(reason.to_owned()))
    }

    /// Whether the daemon would refresh it now.
    fn is_due(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|end| end.unix() - now < NEAR_EXPIRY_SECONDS)
    }

    fn has_ended(&self, now: i64) -> bool {
        self.expires_at.is_some_and(|end| end.unix() <= now)
    }
}

fn is_young(since: i64, limit: Duration, now: i64) -> bool {
    (0..i64::try_from(limit.as_secs()).unwrap_or(i64::MAX)).contains(&(now - since))
}

/// Holds what was asked for: values of another connection belong to other hosts.
fn check(answer: Resolved, provider: &str, connection: &str) -> Result<Credential, Missing> {
    if answer.provider != provider || !(connection.is_empty() || answer.connection == connection) {
        return Err(Missing::NotConnected("the daemon answered for another connection".to_owned()));
    }
    let mut slots = answer.inject;
    if slots.is_empty() {
        // A daemon of 0.7.2 knows headers only.
        slots.extend(answer.headers.into_iter().map(|(name, value)| InjectSlot {
            place: SlotPlace::Header,
            name,
            secrets: vec![value.duplicate()],
            value,
            only_if_absent: false,
        }));
    }
    if slots.is_empty() {
        return Err(Missing::NotConnected("the connection has nothing to send".to_owned()));
    }
    Ok(Credential { slots, covered: Covered::default(), places: answer.destinations, expires_at: answer.expires_at })
}

/// Whether an error says that there is no credential, or only that nobody could say.
fn missing(error: &AuthsomeError) -> Missing {
    match error.name() {
        ErrorName::DaemonUnavailable
        | ErrorName::StoreUnavailable
        | ErrorName::EndpointUnreachable
        | ErrorName::Authsome
        | ErrorName::Usage => Missing::Unavailable(error.message()),
        ErrorName::ProviderNotFound
        | ErrorName::UnsupportedAuthType
        | ErrorName::UnsupportedFlow
        | ErrorName::CredentialMissing
        | ErrorName::OperationNotAllowed
        | ErrorName::InputCancelled
        | ErrorName::TokenExpired
        | ErrorName::RefreshFailed
        | ErrorName::EncryptionUnavailable
        | ErrorName::InvalidProviderSchema
        | ErrorName::IdentityNotFound
        | ErrorName::ConnectionNotFound
        | ErrorName::AuthenticationFailed
        | ErrorName::Discovery
        | ErrorName::ConnectionAlreadyExists
        | ErrorName::ProviderAlreadyRegistered
        | ErrorName::IdentityNotRegistered
        | ErrorName::IdentityRegistration => Missing::NotConnected(error.message()),
    }
}

/// Nothing under these locks panics half-way through a change, so a poisoned one is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};
    use std::sync::Barrier;
    use std::thread;

    use super::*;
    use crate::secret::Secret;

    /// Answers from a list, and counts.
    #[derive(Default)]
    struct Scripted {
        answers: Mutex<VecDeque<crate::Result<Resolved>>>,
        asked: Mutex<usize>,
        rejected: Mutex<usize>,
        gate: Option<(Barrier, Barrier)>,
    }

    impl CredentialSource for Scripted {
        fn resolve(&self, _: &str, _: &str, refused: Option<Fingerprint>) -> crate::Result<Resolved> {
            *self.asked.lock().expect("not poisoned") += 1;
            *self.rejected.lock().expect("not poisoned") += usize::from(refused.is_some());
            if let Some((entered, leave)) = &self.gate {
                entered.wait();
                leave.wait();
            }
            self.answers.lock().expect("not poisoned").pop_front().expect("an answer was planned")
        }

        fn record(&self, _: AuditEvent) {}
    }

    #[allow(clippy::unnecessary_wraps)] // one of several answers
    fn answer(value: &str, expires_at: Option<Timestamp>) -> crate::Result<Resolved> {
        Ok(Resolved {
            provider: "x".into(),
            connection: "default".into(),
            headers: BTreeMap::from([("Authorization".to_owned(), Secret::new(value.into()))]),
            inject: Vec::new(),
            destinations: None,
            expires_at,
            source: "local".into(),
        })
    }

    fn gone() -> crate::Result<Resolved> {
        Err(AuthsomeError::CredentialMissing { provider: "x".into(), reason: "logged out".into() })
    }

    fn down() -> crate::Result<Resolved> {
        Err(AuthsomeError::DaemonUnavailable { reason: "no answer".into() })
    }

    struct Run {
        source: Arc<Scripted>,
        clock: Clock,
        credentials: Credentials,
    }

    impl Run {
        fn new(answers: impl IntoIterator<Item = crate::Result<Resolved>>) -> Self {
            let source =
                Arc::new(Scripted { answers: Mutex::new(answers.into_iter().collect()), ..Scripted::default() });
            let clock = Clock::system();
            let credentials = Credentials::new(source.clone(), clock.clone(), &mut []);
            Self { source, clock, credentials }
        }

        fn value(&self) -> String {
            match self.credentials.current("x", "default") {
                Ok(credential) => credential.slots[0].value.expose().to_owned(),
                Err(Missing::NotConnected(_)) => "not connected".to_owned(),
                Err(Missing::Unavailable(_)) => "unavailable".to_owned(),
            }
        }

        fn asked(&self) -> usize {
            *self.source.asked.lock().expect("not poisoned")
        }
    }

    #[test]
    fn the_value_of_the_plan_is_used_first_and_asked_again_after_a_minute() {
        let source =
            Arc::new(Scripted { answers: Mutex::new([answer("second", None), gone()].into()), ..Scripted::default() });
        let clock = Clock::system();
        let mut routes: Vec<RunRoute> = serde_json::from_str(
            r#"[{"provider":"x","connection":"default","host":"h","match":"exact","port":443,
                 "inject":[{"in":"header","name":"A","value":"first"}]}]"#,
        )
        .expect("a route");
        let credentials = Credentials::new(source.clone(), clock.clone(), &mut routes);
        assert!(routes[0].inject.is_none(), "one owner of the value");
        let run = Run { source, clock, credentials };
        assert_eq!((run.value().as_str(), run.asked()), ("first", 0));
        run.clock.test_only_advance(59);
        assert_eq!((run.value().as_str(), run.asked()), ("first", 0));
        run.clock.test_only_advance(2);
        assert_eq!((run.value().as_str(), run.asked()), ("second", 1));
        run.clock.test_only_advance(61);
        assert_eq!((run.value().as_str(), run.asked()), ("not connected", 2), "a logout bites");
        assert_eq!(run.asked(), 2, "and is not asked about for each request");
    }

    #[test]
    fn a_token_near_its_end_is_asked_for_early() {
        let now = Clock::system().now();
        let soon = Some(now.plus_seconds(NEAR_EXPIRY_SECONDS + 20));
        let later = Some(now.plus_seconds(7200));
        let run = Run::new([answer("old", soon), answer("still old", soon), answer("new", later)]);
        assert_eq!(run.value(), "old");
        run.clock.test_only_advance(25);
        assert_eq!((run.value().as_str(), run.asked()), ("still old", 2));
        assert_eq!((run.value().as_str(), run.asked()), ("still old", 2), "not again at once");
        run.clock.test_only_advance(30);
        assert_eq!((run.value().as_str(), run.asked()), ("new", 3));
    }

    #[test]
    fn an_unreachable_daemon_does_not_take_a_good_value_away_at_once() {
        let end = Some(Clock::system().now().plus_seconds(200));
        let run = Run::new([answer("good", None), down(), down(), answer("short", end), down()]);
        assert_eq!(run.value(), "good");
        run.clock.test_only_advance(61);
        assert_eq!((run.value().as_str(), run.asked()), ("good", 2));
        run.clock.test_only_advance(i64::try_from(CREDENTIAL_GRACE.as_secs()).expect("small"));
        assert_eq!(run.value(), "unavailable", "but not for ever");
        run.clock.test_only_advance(-400);
        assert_eq!(run.value(), "short");
        run.clock.test_only_advance(400);
        assert_eq!(run.value(), "unavailable", "an expired value is never used");
    }

    #[test]
    fn a_value_that_the_upstream_refused_is_told_of_once() {
        let run = Run::new([answer("old", None), answer("new", None), answer("newer", None)]);
        let old = run.credentials.current("x", "default").expect("a value");
        let refuse = || run.credentials.refused("x", "default", &old);
        refuse();
        assert_eq!((run.value().as_str(), run.asked()), ("old", 1), "not again at once");
        run.clock.test_only_advance(3);
        assert_eq!((run.value().as_str(), run.asked()), ("new", 2));
        refuse();
        run.clock.test_only_advance(3);
        assert_eq!((run.value().as_str(), run.asked()), ("new", 2), "an answer to the old one comes late");
        run.clock.test_only_advance(60);
        assert_eq!((run.value().as_str(), run.asked()), ("newer", 3));
        assert_eq!(*run.source.rejected.lock().expect("not poisoned"), 1);
    }

    #[test]
    fn a_successor_is_asked_for_at_once_but_not_at_each_refusal() {
        let run = Run::new([answer("old", None), answer("new", None), answer("new", None), gone()]);
        let old = run.credentials.current("x", "default").expect("a value");
        let successor = |used: &Arc<Credential>| {
            run.credentials.successor("x", "default", used).map(|next| next.slots[0].value.expose().to_owned())
        };
        assert_eq!((successor(&old).as_deref(), run.asked()), (Some("new"), 2));
        assert_eq!((successor(&old).as_deref(), run.asked()), (Some("new"), 2), "somebody was told already");
        let new = run.credentials.current("x", "default").expect("a value");
        assert_eq!((successor(&new), run.asked()), (None, 2), "the daemon was told a moment ago");
        run.clock.test_only_advance(2);
        assert_eq!((successor(&new), run.asked()), (None, 3), "it has nothing else");
        run.clock.test_only_advance(2);
        assert_eq!((successor(&new), run.asked()), (None, 4), "a token that is over for good");
        assert_eq!(*run.source.rejected.lock().expect("not poisoned"), 3);
    }

    #[test]
    fn answers_for_another_connection_are_not_used() {
        let other = answer("other", None).map(|answer| Resolved { connection: "work".into(), ..answer });
        assert_eq!(Run::new([other]).value(), "not connected");
    }

    #[test]
    fn many_requests_ask_once() {
        let gate = Some((Barrier::new(2), Barrier::new(2)));
        let answers = Mutex::new([answer("one", None)].into());
        let source = Arc::new(Scripted { answers, gate, ..Scripted::default() });
        let credentials = Credentials::new(source.clone(), Clock::system(), &mut []);
        thread::scope(|scope| {
            let asks = (0..8).map(|_| scope.spawn(|| credentials.current("x", "default").is_ok())).collect::<Vec<_>>();
            let (entered, leave) = source.gate.as_ref().expect("set above");
            entered.wait();
            leave.wait();
            assert!(asks.into_iter().all(|ask| ask.join().expect("no panic")));
        });
        assert_eq!(*source.asked.lock().expect("not poisoned"), 1);
    }
}
