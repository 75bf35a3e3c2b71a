//! Waiting for the end of a login: the daemon is asked now and then, a pasted address is taken at any time, and
//! Ctrl-C ends it all. One thread, one loop.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::pasted::Callback;
use super::{asks_for_input, resume, session_path};
use crate::cli::interrupts::{Call, Interrupts, Woken};
use crate::cli::output::Output;
use crate::cli::progress::{Progress, Time};
use crate::cli::terminal::{Keyboard, Pressed};
use crate::client::Client;
use crate::error::{AuthsomeError, ErrorName, Result};
use crate::model::{AuthSession, NextAction, SessionStatus};
use crate::secret::Secret;

/// Between two questions whether a login is done. The daemon answers them from memory.
const PAUSE: Duration = Duration::from_secs(1);
/// So long after the end of a session it is still asked for: clocks differ.
const GRACE: Duration = Duration::from_secs(10);
/// The longest life of a session that we believe: device codes live for minutes.
const LONGEST_SECONDS: i64 = 3600;
/// So many questions in a row may stay unanswered: a daemon is restarted, a laptop changes networks.
const UNANSWERED: u32 = 10;

/// What a login is waited for with.
pub(super) struct Surroundings<'a> {
    pub(super) out: Output,
    pub(super) client: &'a Arc<Client>,
    pub(super) interrupts: Interrupts<'a>,
    /// The provider, for people.
    pub(super) title: &'a str,
    /// Keys for an address that is pasted; `None`: nobody is asked to paste one.
    pub(super) keyboard: Option<Keyboard>,
}

/// Waits until `session` has ended, at most a little longer than it lives. `on_change`: something new is to be shown.
///
/// # Errors
/// `InputCancelled` at a signal; what the daemon says.
pub(super) fn until_end(
    surroundings: Surroundings<'_>,
    session: AuthSession,
    on_change: &dyn Fn(&AuthSession),
) -> Result<AuthSession> {
    let began = Instant::now();
    let mut waiting = Waiting {
        progress: Progress::new(surroundings.out),
        surroundings,
        session,
        pasted: None,
        question: None,
        asks_next: began + PAUSE,
        unanswered: 0,
    };
    while !waiting.session.status.is_final() {
        let left = life(&waiting.session).saturating_sub(began.elapsed());
        if left.is_zero() && began.elapsed() > life(&waiting.session) + GRACE {
            break;
        }
        waiting.show(left);
        waiting.hand_in()?;
        waiting.look()?;
        if waiting.ask_and_hear()? {
            waiting.progress.clear();
            on_change(&waiting.session);
        }
    }
    Ok(waiting.session)
}

struct Waiting<'a> {
    surroundings: Surroundings<'a>,
    progress: Progress,
    session: AuthSession,
    /// A line that was typed, until it can be handed in.
    pasted: Option<Secret>,
    question: Option<Question>,
    asks_next: Instant,
    /// In a row.
    unanswered: u32,
}

/// What the daemon was asked and has not answered yet.
struct Question {
    call: Call<AuthSession>,
    /// A pasted address goes with it.
    hands_in: bool,
}

impl Waiting<'_> {
    /// Says what is waited for.
    fn show(&mut self, left: Duration) {
        let is_finishing = self.session.status == SessionStatus::Processing || self.hands_in();
        let title = self.surroundings.title;
        let has_pasted = self.surroundings.keyboard.as_ref().is_some_and(Keyboard::has_begun);
        let what = match &self.session.next_action {
            // Nothing else is seen of a paste, and a narrow terminal would not show it behind the rest.
            _ if has_pasted => "press Enter to hand it in".to_owned(),
            _ if is_finishing => format!("finishing the login at {title}"),
            _ if self.session.user_code.is_some() => format!("waiting for the code to be entered at {title}"),
            NextAction::OpenUrl { .. } if asks_for_input(&self.session) => {
                "waiting for the page to be filled in".to_owned()
            }
            _ => format!("waiting for you to sign in at {title}"),
        };
        let time = if self.session.user_code.is_some() { Time::Left(left) } else { Time::Elapsed };
        self.progress.show(&what, time);
    }

    /// Until something happens: an answer, a key, the next moment to ask or to draw.
    fn look(&mut self) -> Result<()> {
        if self.surroundings.keyboard.as_ref().is_some_and(Keyboard::has_more) {
            return self.take_keys();
        }
        let Surroundings { interrupts, keyboard, .. } = &self.surroundings;
        let call = self.question.as_ref().map(|question| question.call.as_fd());
        let keys = keyboard.as_ref().map(Keyboard::as_fd);
        let sources: Vec<_> = keys.into_iter().chain(call).collect();
        let until_question = self.asks_next.saturating_duration_since(Instant::now());
        let patience = if call.is_some() { GRACE } else { until_question };
        match interrupts.wait(&sources, patience.min(self.progress.tick()))? {
            Woken::Interrupted => Err(cancelled()),
            Woken::Ready(0) if keyboard.is_some() => self.take_keys(),
            Woken::Ready(_) | Woken::TimedOut => Ok(()),
        }
    }

    /// What a person typed.
    fn take_keys(&mut self) -> Result<()> {
        let Some(keyboard) = &mut self.surroundings.keyboard else { return Ok(()) };
        match keyboard.read() {
            Ok(Pressed::Continued | Pressed::Unfinished) => {}
            Ok(Pressed::Cancelled) => return Err(cancelled()),
            Ok(Pressed::Line(line)) => self.pasted = Some(line),
            Err(error @ AuthsomeError::InvalidInput { .. }) => self.say(&error.to_string()),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn hands_in(&self) -> bool {
        self.question.as_ref().is_some_and(|question| question.hands_in)
    }

    /// Gives the daemon what was pasted, one address after the other: two at once would be answered in any order.
    /// Text that is of no use is explained, and the next is waited for.
    fn hand_in(&mut self) -> Result<()> {
        if self.hands_in() {
            return Ok(());
        }
        let Some(line) = self.pasted.take() else { return Ok(()) };
        match Callback::parse(line.expose(), expected_state(&self.session).as_deref()) {
            Ok(callback) => {
                let (client, id, body) =
                    (Arc::clone(self.surroundings.client), self.session.id.clone(), callback.to_body());
                let call = Call::start(move || resume(&client, &id, &body))?;
                self.question = Some(Question { call, hands_in: true });
            }
            Err(reason) => self.say(reason),
        }
        Ok(())
    }

    /// Asks the daemon when it is time, and takes what it has answered. Whether there is something new for a person.
    fn ask_and_hear(&mut self) -> Result<bool> {
        let Some(question) = &self.question else {
            if Instant::now() >= self.asks_next {
                let (client, path) = (Arc::clone(self.surroundings.client), session_path(&self.session.id));
                let call = Call::start(move || client.get(&path)?.parse())?;
                self.question = Some(Question { call, hands_in: false });
            }
            return Ok(false);
        };
        let Some(answer) = question.call.result() else { return Ok(false) };
        let handed_in = question.hands_in;
        self.question = None;
        self.asks_next = Instant::now() + PAUSE;
        match answer {
            Ok(session) => {
                self.unanswered = 0;
                let is_new = !session.status.is_final()
                    && (session.next_action != self.session.next_action || session.user_code != self.session.user_code);
                self.session = session;
                Ok(is_new)
            }
            // The login is where it was, unless the next answer says otherwise.
            Err(error) if handed_in => {
                self.say(&error.to_string());
                Ok(false)
            }
            Err(error) if error.name() == ErrorName::DaemonUnavailable && self.unanswered < UNANSWERED => {
                self.unanswered += 1;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn say(&mut self, text: &str) {
        self.progress.clear();
        self.surroundings.out.say(text);
    }
}

fn cancelled() -> AuthsomeError {
    AuthsomeError::InputCancelled { operation: "login" }
}

/// How long a session lives, within reason.
pub(super) fn life(session: &AuthSession) -> Duration {
    let seconds = session.expires_at.unix() - session.created_at.unix();
    Duration::from_secs(seconds.clamp(0, LONGEST_SECONDS).unsigned_abs())
}

/// The `state` that the answer must carry, where the address that was opened tells (RFC 6749 section 4.1.1).
fn expected_state(session: &AuthSession) -> Option<String> {
    let NextAction::OpenUrl { url } = &session.next_action else { return None };
    super::pasted::parameter(url, "state")
}
