//! What a run's mode makes of what the routes say. Pure.

use std::fmt;

use crate::provider::{Decision, PathFault};

/// Which routes a run has, and what happens to everything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Routes of connected providers; the rest passes untouched.
    #[default]
    ConnectedAllow,
    /// Routes of connected providers; the rest is refused.
    ConnectedDeny,
    /// Routes of all configured providers; the rest passes untouched.
    ConfiguredAllow,
    /// Routes of all configured providers; the rest is refused.
    ConfiguredDeny,
}

impl Mode {
    const ALL: [Self; 4] = [Self::ConnectedAllow, Self::ConnectedDeny, Self::ConfiguredAllow, Self::ConfiguredDeny];

    /// The mode called so on the command line and in `config.json`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectedAllow => "connected_allow",
            Self::ConnectedDeny => "connected_deny",
            Self::ConfiguredAllow => "configured_allow",
            Self::ConfiguredDeny => "configured_deny",
        }
    }

    /// The `scope` that `POST /api/run` is asked with.
    pub fn scope(self) -> &'static str {
        match self {
            Self::ConnectedAllow | Self::ConnectedDeny => "connected",
            Self::ConfiguredAllow | Self::ConfiguredDeny => "configured",
        }
    }

    /// Whether what gets no credential is refused.
    pub fn denies(self) -> bool {
        match self {
            Self::ConnectedDeny | Self::ConfiguredDeny => true,
            Self::ConnectedAllow | Self::ConfiguredAllow => false,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What becomes of a CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Opening {
    /// We are the host towards the child, and look at each request.
    Intercept,
    /// Bytes pass both ways unseen. Never a credential in it.
    Tunnel,
    /// We are the host towards the child, and refuse each request; nothing is dialled.
    RefuseInside,
}

/// Decides on a CONNECT. `is_covered`: a route mentions its host and port. `is_allowed`: `--allow-host` names the host.
pub(super) fn open(mode: Mode, is_covered: bool, is_allowed: bool) -> Opening {
    match (is_covered, mode.denies() && !is_allowed) {
        (true, _) => Opening::Intercept,
        (false, true) => Opening::RefuseInside,
        (false, false) => Opening::Tunnel,
    }
}

/// What becomes of a request inside an intercepted connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Action {
    /// This route's credential goes into it.
    Inject {
        /// Index of the route.
        route: usize,
    },
    /// It passes as it is, and why it gets no credential.
    Forward(Reason),
    /// It is refused.
    Refuse(Reason),
}

/// Why a request gets no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// No route covers its path.
    NoMatch,
    /// It goes to the provider's own login.
    AuthEndpoint,
    /// Several connections claim it.
    Ambiguous,
    /// Its path cannot be compared safely; says why.
    UnsafePath(PathFault),
}

/// Decides on a request. `is_allowed`: `--allow-host` names the host.
pub(super) fn act(mode: Mode, decision: &Decision, is_allowed: bool) -> Action {
    let reason = match decision {
        Decision::Inject { route } => return Action::Inject { route: *route },
        Decision::NoMatch => Reason::NoMatch,
        Decision::AuthEndpoint { .. } => Reason::AuthEndpoint,
        Decision::Ambiguous { .. } => Reason::Ambiguous,
        Decision::UnsafePath { fault, .. } => Reason::UnsafePath(*fault),
    };
    if mode.denies() && !is_allowed { Action::Refuse(reason) } else { Action::Forward(reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for mode in Mode::ALL {
            assert_eq!(Mode::parse(mode.as_str()), Some(mode));
        }
        assert_eq!(Mode::parse("Connected_Allow"), None);
    }

    #[test]
    fn only_allow_modes_tunnel_and_routes_are_always_opened() {
        for mode in Mode::ALL {
            assert_eq!(open(mode, true, false), Opening::Intercept);
            assert_eq!(open(mode, true, true), Opening::Intercept);
            assert_eq!(open(mode, false, true), Opening::Tunnel);
            let expected = if mode.denies() { Opening::RefuseInside } else { Opening::Tunnel };
            assert_eq!(open(mode, false, false), expected, "{mode}");
        }
    }

    #[test]
    fn nothing_but_a_clear_match_gets_a_credential() {
        let without = [
            (Decision::NoMatch, Reason::NoMatch),
            (Decision::AuthEndpoint { route: 0 }, Reason::AuthEndpoint),
            (Decision::Ambiguous { routes: vec![0, 1] }, Reason::Ambiguous),
            (
                Decision::UnsafePath { route: 0, fault: PathFault::DotSegment },
                Reason::UnsafePath(PathFault::DotSegment),
            ),
        ];
        for mode in Mode::ALL {
            assert_eq!(act(mode, &Decision::Inject { route: 3 }, false), Action::Inject { route: 3 });
            for (decision, reason) in &without {
                let expected = if mode.denies() { Action::Refuse(*reason) } else { Action::Forward(*reason) };
                assert_eq!(act(mode, decision, false), expected, "{mode}");
                assert_eq!(act(mode, decision, true), Action::Forward(*reason), "{mode}");
            }
        }
    }
}
