//! How a connection is doing, in words: one judgement for every page that shows one.

use super::Html;
use super::parts::{Cells, Tone, badge, hidden, monogram, post, time};
use crate::broker::{Binding, RefreshFailure};
use crate::clock::Timestamp;
use crate::model::{ConnectionRecord, ConnectionStatus};
use crate::percent::encode;

/// A token that ends within so many seconds, and cannot be refreshed, is worth a word: over a weekend.
const SOON_SECONDS: i64 = 3 * 86_400;

/// How a connection is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum State {
    /// It works, as far as we know.
    Good,
    /// Its token ends soon, and cannot be refreshed.
    EndsSoon,
    /// The last refresh failed; why.
    Failing(String),
    /// Its token has ended; why it was not refreshed, where that is known.
    Ended(Option<String>),
    /// The provider took it back.
    Revoked,
    /// It does not fit its definition.
    Invalid,
    /// There is nothing in it.
    Empty,
    /// Its secret would go elsewhere than where it was sealed for.
    Moved,
    /// Where its secret would go is not clear; why.
    Unclear(String),
    /// Its provider is not defined any more.
    Undefined,
}

/// What its owner does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Remedy {
    /// Nothing.
    None,
    /// A new login.
    Login,
    /// To look at the change, and to accept it.
    Look,
}

impl State {
    /// The judgement on `record` at the time `now`.
    pub(in crate::daemon) fn of(
        record: &ConnectionRecord,
        binding: &Binding,
        failure: Option<&RefreshFailure>,
        now: Timestamp,
    ) -> Self {
        let reason = failure.map(|failure| failure.reason.clone());
        match binding {
            Binding::Kept => {}
            Binding::Moved { .. } => return Self::Moved,
            Binding::Unclear(why) => return Self::Unclear(why.clone()),
            Binding::Undefined => return Self::Undefined,
        }
        match record.status {
            ConnectionStatus::Connected => {}
            ConnectionStatus::Expired => return Self::Ended(reason),
            ConnectionStatus::Revoked => return Self::Revoked,
            ConnectionStatus::Invalid => return Self::Invalid,
            ConnectionStatus::NotConnected => return Self::Empty,
        }
        match Ends::of(record) {
            Ends::At(end) if end <= now => Self::Ended(reason),
            Ends::At(end) if end <= now.plus_seconds(SOON_SECONDS) => Self::EndsSoon,
            Ends::Never | Ends::At(_) | Ends::Refreshes(_) => reason.map_or(Self::Good, Self::Failing),
        }
    }

    /// One or two words.
    pub(in crate::daemon) fn word(&self) -> (Tone, &'static str) {
        match self {
            Self::Good => (Tone::Good, "Connected"),
            Self::EndsSoon => (Tone::Warn, "Ends soon"),
            Self::Failing(_) => (Tone::Warn, "Refresh fails"),
            Self::Ended(_) => (Tone::Bad, "Expired"),
            Self::Revoked => (Tone::Bad, "Revoked"),
            Self::Invalid => (Tone::Bad, "Invalid"),
            Self::Empty => (Tone::Plain, "Not connected"),
            Self::Moved => (Tone::Bad, "Destination changed"),
            Self::Unclear(_) => (Tone::Bad, "Not usable"),
            Self::Undefined => (Tone::Bad, "Provider gone"),
        }
    }

    /// What is wrong and what to do, for its owner; `None` when nothing is.
    pub(in crate::daemon) fn advice(&self) -> Option<String> {
        let because = |why: &str| format!("{}.", why.trim_end_matches('.'));
        Some(match self {
            Self::Good => return None,
            Self::EndsSoon => "Its token ends soon and cannot be refreshed. Log in again before that.".to_owned(),
            Self::Failing(why) => {
                format!("The last refresh failed: {} It is tried again when the connection is used.", because(why))
            }
            Self::Ended(None) => "Its token has ended and cannot be refreshed. Log in again.".to_owned(),
            Self::Ended(Some(why)) => format!("Its token was not refreshed: {} Log in again.", because(why)),
            Self::Revoked => "The provider has taken it back. Log in again.".to_owned(),
            Self::Invalid => "It does not fit the definition of its provider any more. Log in again.".to_owned(),
            Self::Empty => "Nothing is stored in it yet. Log in.".to_owned(),
            Self::Moved => {
                "The definition of its provider now sends the secret elsewhere. It is not used until you accept that."
                    .to_owned()
            }
            Self::Unclear(why) => format!("It cannot be used: {}", because(why)),
            Self::Undefined => "Its provider is not defined any more, so nothing can use it.".to_owned(),
        })
    }

    /// See [`Remedy`].
    pub(in crate::daemon) fn remedy(&self) -> Remedy {
        match self {
            Self::Good | Self::Failing(_) | Self::Undefined => Remedy::None,
            Self::EndsSoon | Self::Ended(_) | Self::Revoked | Self::Invalid | Self::Empty => Remedy::Login,
            Self::Moved | Self::Unclear(_) => Remedy::Look,
        }
    }
}

/// When a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Ends {
    /// Nobody said when.
    Never,
    /// Its token ends then, and another one is fetched.
    Refreshes(Timestamp),
    /// It ends then.
    At(Timestamp),
}

impl Ends {
    /// The end of `record`.
    pub(in crate::daemon) fn of(record: &ConnectionRecord) -> Self {
        match record.expires_at {
            None => Self::Never,
            Some(end) if record.refresh_token.is_some() => Self::Refreshes(end),
            Some(end) => Self::At(end),
        }
    }
}

/// A connection in a list.
#[derive(Clone, Debug)]
pub(in crate::daemon) struct ConnectionRow {
    /// Provider name.
    pub(in crate::daemon) provider: String,
    /// Provider name for people.
    pub(in crate::daemon) title: String,
    /// Connection name.
    pub(in crate::daemon) name: String,
    /// The principal it belongs to, where that is not the person who looks.
    pub(in crate::daemon) owner: Option<String>,
    /// Whose account at the provider it is.
    pub(in crate::daemon) account: Option<String>,
    /// It is used when none is named.
    pub(in crate::daemon) is_default: bool,
    /// Its provider has another one beside it, in the same vault.
    pub(in crate::daemon) has_siblings: bool,
    /// Everybody may use it.
    pub(in crate::daemon) is_global: bool,
    /// How it is doing.
    pub(in crate::daemon) state: State,
    /// When it ends.
    pub(in crate::daemon) ends: Ends,
}

impl ConnectionRow {
    /// Its page, or with an `act` what a form there is posted to.
    pub(in crate::daemon) fn place(&self, act: &str) -> String {
        let mut place = format!("/connections/{}/{}{act}", encode(&self.provider), encode(&self.name));
        if let Some(owner) = &self.owner {
            place.push_str("?principal=");
            place.push_str(&encode(owner));
        }
        place
    }

    /// Its name for people.
    pub(in crate::daemon) fn full_title(&self) -> String {
        format!("{} / {}", self.title, self.name)
    }

    /// Its monogram, its name and its marks. The name leads to its page where `is_open` to the person who looks.
    pub(in crate::daemon) fn write_named(&self, html: &mut Html, is_open: bool) {
        let name = |html: &mut Html| {
            html.text(&self.title);
            html.text(" ");
            html.element("span", &[("class", "quiet")], |html| html.text(&self.name));
        };
        html.element("span", &[("class", "named")], |html| {
            monogram(html, &self.title);
            html.element("span", &[], |html| {
                if is_open {
                    html.element("a", &[("href", &self.place(""))], name);
                } else {
                    name(html);
                }
                self.write_marks(html);
            });
        });
    }

    /// When it ends.
    pub(in crate::daemon) fn write_end(&self, html: &mut Html, now: Timestamp) {
        match self.ends {
            Ends::Never => html.element("span", &[("class", "quiet")], |html| html.text("No expiry known")),
            Ends::Refreshes(end) if !matches!(self.state, State::Ended(_)) => {
                html.text("Refreshes itself");
                if end > now {
                    html.text(", ");
                    time(html, end, now);
                }
            }
            Ends::Refreshes(end) | Ends::At(end) => time(html, end, now),
        }
    }

    /// The same in a list, where only an end is worth a word.
    pub(in crate::daemon) fn write_end_cell(&self, cells: &mut Cells<'_>, now: Timestamp) {
        match self.ends {
            Ends::Never => cells.skip(),
            Ends::Refreshes(_) if !matches!(self.state, State::Ended(_)) => cells.text("Refreshes itself"),
            Ends::Refreshes(end) | Ends::At(end) => cells.cell(|html| time(html, end, now)),
        }
    }

    /// Whether it is the default among several, and whether everybody may use it.
    pub(in crate::daemon) fn write_marks(&self, html: &mut Html) {
        let marks = [(self.is_default && self.has_siblings, "Default"), (self.is_global, "Shared")];
        for (_, mark) in marks.iter().filter(|(is_on, _)| *is_on) {
            html.text(" ");
            badge(html, Tone::Plain, mark);
        }
    }

    /// How it is doing, as a badge.
    pub(in crate::daemon) fn write_state(&self, html: &mut Html) {
        let (tone, word) = self.state.word();
        badge(html, tone, word);
    }

    /// The form that logs in to it again, and leads back to its page.
    pub(in crate::daemon) fn write_login(&self, html: &mut Html, button: impl FnOnce(&mut Html)) {
        let action = format!("/api/auth/providers/{}/connect", encode(&self.provider));
        post(html, &action, |html| {
            hidden(html, "connection", &self.name);
            hidden(html, "force", "1");
            hidden(html, "return_url", &self.place(""));
            button(html);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::AuthType;
    use crate::secret::Secret;

    fn now() -> Timestamp {
        Timestamp::from_unix(1_800_000_000).expect("in range")
    }

    fn record(status: ConnectionStatus, ends_in: Option<i64>, refreshes: bool) -> ConnectionRecord {
        let mut record = ConnectionRecord::new("acme", "default", AuthType::Oauth2);
        record.status = status;
        record.expires_at = ends_in.map(|seconds| now().plus_seconds(seconds));
        record.refresh_token = refreshes.then(|| Secret::new("rt".to_owned()));
        record
    }

    fn state(record: &ConnectionRecord) -> State {
        State::of(record, &Binding::Kept, None, now())
    }

    #[test]
    fn a_token_that_is_refreshed_needs_no_care_when_it_ends() {
        use ConnectionStatus::Connected;
        for (ends_in, refreshes, expected) in [
            (None, false, State::Good),
            (Some(60), true, State::Good),
            (Some(-60), true, State::Good),
            (Some(SOON_SECONDS + 1), false, State::Good),
            (Some(SOON_SECONDS), false, State::EndsSoon),
            (Some(0), false, State::Ended(None)),
            (Some(-60), false, State::Ended(None)),
        ] {
            assert_eq!(state(&record(Connected, ends_in, refreshes)), expected, "{ends_in:?} {refreshes}");
        }
    }

    #[test]
    fn what_stands_in_the_way_of_use_comes_first() {
        let failure = RefreshFailure { at: now(), reason: "invalid_grant".to_owned() };
        let expired = record(ConnectionStatus::Expired, Some(-60), true);
        let of = |binding: &Binding| State::of(&expired, binding, Some(&failure), now());
        assert_eq!(of(&Binding::Undefined), State::Undefined);
        assert_eq!(of(&Binding::Moved { before: Vec::new(), now: Vec::new(), seal: String::new() }), State::Moved);
        assert_eq!(of(&Binding::Kept), State::Ended(Some("invalid_grant".to_owned())));
        let working = record(ConnectionStatus::Connected, Some(60), true);
        let failing = State::of(&working, &Binding::Kept, Some(&failure), now());
        assert_eq!(failing, State::Failing("invalid_grant".to_owned()));
    }

    #[test]
    fn whoever_needs_care_is_told_what_to_do() {
        for state in [
            State::EndsSoon,
            State::Ended(None),
            State::Ended(Some("no.".to_owned())),
            State::Revoked,
            State::Invalid,
            State::Empty,
        ] {
            let advice = state.advice().expect("advice");
            assert!(advice.contains("Log in") && !advice.contains(".."), "{advice}");
            assert_eq!(state.remedy(), Remedy::Login);
        }
        assert_eq!((State::Good.advice(), State::Good.remedy()), (None, Remedy::None));
    }
}
