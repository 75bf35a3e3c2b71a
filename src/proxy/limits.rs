//! What a run may do at the hosts that have a route, beyond who gets a credential: read only, so many requests, rules
//! for methods and paths. Pure, but for the count of [`Budget`].

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::http1::{RequestHead, is_token};
use crate::provider::{Host, PathFault, plain_segments};

use super::headers::wants_upgrade;

/// Fields that make some servers take a request for one of another method.
const OVERRIDES: [&str; 3] = ["x-http-method-override", "x-http-method", "x-method-override"];

/// Limits of one run. The default: none.
#[derive(Debug, Default)]
pub struct Limits {
    /// Only `GET`, `HEAD` and `OPTIONS`, and no `WebSocket`, which could carry anything.
    pub read_only: bool,
    /// How many requests may go upstream.
    pub max_requests: Option<u64>,
    /// The first that matches decides. With any, a request that none matches is refused.
    pub rules: Vec<Rule>,
}

/// `METHOD HOST/PATH=allow|deny`.
#[derive(Debug)]
pub struct Rule {
    /// `None`: any.
    method: Option<String>,
    host: HostGlob,
    /// `None`: any.
    path: Option<Vec<Vec<u8>>>,
    allows: bool,
}

#[derive(Debug)]
enum HostGlob {
    Any,
    Exact(Host),
    /// Hosts below it, not itself.
    Below(Host),
}

/// Why a request is over the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// Its method may write.
    ReadOnly,
    /// It may become one of another method on the other side.
    Override,
    /// It opens a connection that may carry anything.
    Upgrade,
    /// Rule `.0` (counted from 1) says so.
    ByRule(usize),
    /// No rule allows it.
    ByNoRule,
    /// Its path cannot be compared with those of rules; says why.
    Path(PathFault),
    /// There were `.0` already.
    Spent(u64),
}

impl Limits {
    /// Whether a request to `host` for `target`, as it will be forwarded, is within read-only and the rules.
    ///
    /// # Errors
    /// What it is against.
    pub(super) fn check(&self, head: &RequestHead, host: &Host, target: &str) -> Result<(), Denied> {
        if !self.read_only && self.rules.is_empty() {
            return Ok(());
        }
        if head.fields.iter().any(|(name, _)| is_override(name)) {
            return Err(Denied::Override);
        }
        if self.read_only && !matches!(head.method.as_str(), "GET" | "HEAD" | "OPTIONS") {
            return Err(Denied::ReadOnly);
        }
        if self.read_only && wants_upgrade(head) {
            return Err(Denied::Upgrade);
        }
        if self.rules.is_empty() {
            return Ok(());
        }
        let path = plain_segments(target).map_err(Denied::Path)?;
        match self.rules.iter().position(|rule| rule.matches(&head.method, host, &path)) {
            Some(index) if self.rules[index].allows => Ok(()),
            Some(index) => Err(Denied::ByRule(index + 1)),
            None => Err(Denied::ByNoRule),
        }
    }
}

/// Servers that know fields as variables (CGI, WSGI) do not tell an underscore from a hyphen.
fn is_override(name: &str) -> bool {
    let name = name.replace('_', "-");
    OVERRIDES.iter().any(|known| known.eq_ignore_ascii_case(&name))
}

impl Rule {
    /// Reads a rule. `*` as the method: any; as the host: any, and in front of one (`*.host`): all below it. In paths `*`
    /// stands for a part of a segment, `**` for any number of segments; without a path, every path is meant.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wants = || "it wants METHOD HOST/PATH=allow or METHOD HOST/PATH=deny".to_owned();
        let (what, verdict) = text.rsplit_once('=').ok_or_else(wants)?;
        let allows = match verdict.trim() {
            "allow" => true,
            "deny" => false,
            _ => return Err(wants()),
        };
        let (method, place) = what.trim().split_once(char::is_whitespace).ok_or_else(wants)?;
        if !is_token(method.as_bytes()) {
            return Err("the method is not one".to_owned());
        }
        let place = place.trim_start();
        let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        Ok(Self {
            method: (method != "*").then(|| method.to_owned()),
            host: HostGlob::parse(host)?,
            path: (!path.is_empty()).then(|| path_pattern(path)).transpose()?,
            allows,
        })
    }

    fn matches(&self, method: &str, host: &Host, path: &[Vec<u8>]) -> bool {
        // Whatever case a server reads it in: a rule that denies must not be missed.
        self.method.as_ref().is_none_or(|own| own.eq_ignore_ascii_case(method))
            && self.host.matches(host)
            && self.path.as_ref().is_none_or(|pattern| path_matches(pattern, path))
    }
}

impl HostGlob {
    fn parse(text: &str) -> Result<Self, String> {
        let host = |text| Host::parse(text).map_err(|error| error.to_string());
        match text.strip_prefix("*.") {
            _ if text == "*" => Ok(Self::Any),
            Some(parent) => host(parent).map(Self::Below),
            None => host(text).map(Self::Exact),
        }
    }

    fn matches(&self, host: &Host) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(own) => own == host,
            Self::Below(parent) => host.is_below(parent),
        }
    }
}

fn path_pattern(path: &str) -> Result<Vec<Vec<u8>>, String> {
    if path.contains(['%', '?']) {
        return Err("the path of a rule is written without escapes and without a query".to_owned());
    }
    plain_segments(path).map_err(|fault| fault.to_string())
}

fn path_matches(pattern: &[Vec<u8>], path: &[Vec<u8>]) -> bool {
    let segment = |wanted: &Vec<u8>, have: &Vec<u8>| glob(wanted, have, |byte| *byte == b'*', |one, two| one == two);
    glob(pattern, path, |wanted| wanted == b"**", segment)
}

/// Whether `text` is `pattern`, in which stars stand for any number of items. Goes back to the last star only, so its time
/// is bounded by the product of both lengths.
fn glob<P, T>(pattern: &[P], text: &[T], is_star: impl Fn(&P) -> bool, is: impl Fn(&P, &T) -> bool) -> bool {
    let (mut at, mut seen, mut last) = (0, 0, None);
    while seen < text.len() {
        match pattern.get(at) {
            Some(wanted) if is_star(wanted) => {
                last = Some((at, seen));
                at += 1;
            }
            Some(wanted) if is(wanted, &text[seen]) => (at, seen) = (at + 1, seen + 1),
            _ => {
                let Some((star, covered)) = last else { return false };
                last = Some((star, covered + 1));
                (at, seen) = (star + 1, covered + 1);
            }
        }
    }
    pattern[at..].iter().all(is_star)
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadOnly => f.write_str("the run is read-only (GET, HEAD and OPTIONS)"),
            Self::Override => f.write_str("a field says that it is meant as a request of another method"),
            Self::Upgrade => f.write_str("the run is read-only, and a WebSocket is not"),
            Self::ByRule(number) => write!(f, "rule {number} of the run denies it"),
            Self::ByNoRule => f.write_str("no rule of the run allows it"),
            Self::Path(fault) => write!(f, "it cannot be compared with the rules of the run: {fault}"),
            Self::Spent(limit) => write!(f, "the {limit} requests of the run are used up"),
        }
    }
}

/// What is left of the requests that a run may make.
#[derive(Debug)]
pub(super) struct Budget {
    limit: Option<u64>,
    left: AtomicU64,
}

impl Budget {
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self { limit, left: AtomicU64::new(limit.unwrap_or(u64::MAX)) }
    }

    /// Takes one request from what is left.
    ///
    /// # Errors
    /// [`Denied::Spent`]
    pub(super) fn spend(&self) -> Result<(), Denied> {
        let Some(limit) = self.limit else { return Ok(()) };
        let spent = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        spent.map(drop).map_err(|_| Denied::Spent(limit))
    }

    /// How many may still be made; `None`: there is no limit.
    pub(super) fn left(&self) -> Option<u64> {
        self.limit.map(|_| self.left.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{Buffered, read_request};

    fn head(method: &str, fields: &str) -> RequestHead {
        let text = format!("{method} / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        read_request(&mut Buffered::new(), &mut text.as_bytes()).expect("a head")
    }

    fn rules(texts: &[&str]) -> Limits {
        let rules = texts.iter().map(|text| Rule::parse(text).expect(text)).collect();
        Limits { rules, ..Limits::default() }
    }

    fn check(limits: &Limits, request: &str) -> Result<(), Denied> {
        let (method, place) = request.split_once(' ').expect("a method");
        let (host, path) = place.split_at(place.find('/').expect("a path"));
        limits.check(&head(method, ""), &Host::parse(host).expect("a host"), path)
    }

    #[test]
    fn read_only_lets_reads_through() {
        let limits = Limits { read_only: true, ..Limits::default() };
        for (method, fields, expected) in [
            ("GET", "", Ok(())),
            ("HEAD", "", Ok(())),
            ("OPTIONS", "", Ok(())),
            ("POST", "", Err(Denied::ReadOnly)),
            ("DELETE", "", Err(Denied::ReadOnly)),
            ("QUERY", "", Err(Denied::ReadOnly)),
            ("get", "", Err(Denied::ReadOnly)),
            ("GET", "X-HTTP-Method-Override: DELETE\r\n", Err(Denied::Override)),
            ("GET", "x-method-override: GET\r\n", Err(Denied::Override)),
            ("GET", "X_HTTP_Method-Override: DELETE\r\n", Err(Denied::Override)),
            ("GET", "Connection: Upgrade\r\nUpgrade: websocket\r\n", Err(Denied::Upgrade)),
        ] {
            let host = Host::parse("h").expect("a host");
            assert_eq!(limits.check(&head(method, fields), &host, "/"), expected, "{method} {fields}");
            assert_eq!(Limits::default().check(&head(method, fields), &host, "/"), Ok(()), "no limits");
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides_and_nothing_else_is_allowed() {
        let limits = rules(&[
            "DELETE api.x.test/repos/keep/**=deny",
            "* api.x.test/repos/*/issues=allow",
            "DELETE api.x.test/repos/**=allow",
            "get *.y.test/a*c/** = allow",
            "GET z.test=allow",
            "GET z.test/never=deny",
            "POST w.test/=allow",
            "GET w.test/caf\u{e9}/b c=allow",
        ]);
        for (request, expected) in [
            ("DELETE api.x.test/repos/keep/issues", Err(Denied::ByRule(1))),
            ("delete API.x.test./repos/keep", Err(Denied::ByRule(1))),
            ("DELETE api.x.test/repos/keep/", Err(Denied::ByRule(1))),
            ("POST api.x.test/repos/one/issues", Ok(())),
            ("POST api.x.test/repos/one/issues/", Ok(())),
            ("POST api.x.test/repos/one/issues?state=open", Ok(())),
            ("POST api.x.test/repos/one/two/issues", Err(Denied::ByNoRule)),
            ("POST api.x.test/repos/issues", Err(Denied::ByNoRule)),
            ("DELETE api.x.test/repos", Ok(())),
            ("DELETE api.x.test/Repos", Err(Denied::ByNoRule)),
            ("GET v.y.test/abbc/d/e", Ok(())),
            ("GET v.y.test/ac", Ok(())),
            ("GET v.y.test/abcd", Err(Denied::ByNoRule)),
            ("GET y.test/ac", Err(Denied::ByNoRule)),
            ("GET xy.test/ac", Err(Denied::ByNoRule)),
            ("GET z.test/never", Ok(())),
            ("GET z.test/", Ok(())),
            ("PUT z.test/", Err(Denied::ByNoRule)),
            ("POST w.test/", Ok(())),
            ("POST w.test/a", Err(Denied::ByNoRule)),
            ("GET w.test/caf%C3%A9/b%20c", Ok(())),
            ("GET w.test/caf%c3%a9/b%20c", Ok(())),
            ("GET api.x.test/repos/../repos/one/issues", Err(Denied::Path(PathFault::DotSegment))),
            ("GET api.x.test/repos/%2e%2e/issues", Err(Denied::Path(PathFault::DotSegment))),
            ("GET api.x.test/repos%2Fone/issues", Err(Denied::Path(PathFault::Encoded))),
            ("GET api.x.test/repos/one/%69ssues", Err(Denied::Path(PathFault::Encoded))),
            ("GET api.x.test/repos//issues", Err(Denied::Path(PathFault::EmptySegment))),
            ("GET api.x.test/repos/one;x/issues", Err(Denied::Path(PathFault::Parameter))),
            ("GET api.x.test/repos/one\\issues", Err(Denied::Path(PathFault::Backslash))),
        ] {
            assert_eq!(check(&limits, request), expected, "{request}");
        }
        let override_ = head("POST", "X-HTTP-Method: DELETE\r\n");
        assert_eq!(limits.check(&override_, &Host::parse("z.test").expect("a host"), "/"), Err(Denied::Override));
    }

    #[test]
    fn rules_are_read_or_refused() {
        for text in ["* *=deny", "GET h/=allow", "GET  h/a=b=allow", "M-SEARCH *.h/**=deny", "get 10.0.0.1/a=allow"] {
            assert!(Rule::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "GET h/a",
            "GET h/a=maybe",
            "h/a=allow",
            "G ET h/a=allow",
            "GET /a=allow",
            "GET https://h/a=allow",
            "GET h:443/a=allow",
            "GET a*b/=allow",
            "GET h/%61=allow",
            "GET h/a?b=allow",
            "GET h/../a=allow",
            "GET h//a=allow",
            "GET h/a;b=allow",
            "(GET) h/a=allow",
        ] {
            assert!(Rule::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn stars_stand_for_any_number() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("*", "abc", true),
            ("a*", "a", true),
            ("a*c", "abcbc", true),
            ("a*c", "abcb", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b*", "xxbxxaxx", false),
            ("ab", "abc", false),
            ("abc", "ab", false),
        ] {
            let is = glob(pattern.as_bytes(), text.as_bytes(), |byte| *byte == b'*', |one, two| one == two);
            assert_eq!(is, expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_budget_is_spent_and_stays_spent() {
        let budget = Budget::new(Some(2));
        assert_eq!([budget.spend(), budget.spend()], [Ok(()), Ok(())]);
        assert_eq!([budget.spend(), budget.spend()], [Err(Denied::Spent(2)); 2]);
        assert_eq!(budget.left(), Some(0));
        let none = Budget::new(None);
        assert_eq!((none.spend(), none.left()), (Ok(()), None));
    }
}
