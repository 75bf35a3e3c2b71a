//! The cookies of a site, from a browser in which a person signs in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Named;
use crate::cli::browser::is_web_page;
use crate::cli::chrome::{Chrome, Cookie};
use crate::cli::context::Context;
use crate::cli::interrupts::Interrupts;
use crate::cli::progress::{Progress, Time};
use crate::error::{AuthsomeError, Result};
use crate::limits::SECRET_BYTES;
use crate::model::{AuthSession, BrowserSettings, NextAction};
use crate::secret::{Secret, SecretBuffer};

/// Between two looks at the cookies.
const PAUSE: Duration = Duration::from_millis(500);

/// What a login wants from the browser.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    page: String,
    domains: Vec<String>,
    /// All of these make a session.
    required: Vec<String>,
    /// These are taken along.
    optional: Vec<String>,
}

/// What the daemon is told.
pub(super) struct Found {
    credentials: Vec<(String, Secret)>,
    /// Seconds since 1970.
    expires: BTreeMap<String, i64>,
}

impl Wanted {
    /// What `session` asks for, with the cookies that only the definition names. `None`: it does not want a browser.
    pub(super) fn of(session: &AuthSession, settings: Option<&BrowserSettings>) -> Option<Self> {
        let NextAction::Browser { entry_url, domains, auth_cookies, ttl_from_cookie, .. } = &session.next_action else {
            return None;
        };
        let extracted = settings.into_iter().flat_map(|settings| &settings.extract).map(|extract| &extract.cookie);
        let optional: BTreeSet<&String> = extracted.chain(ttl_from_cookie).collect();
        Some(Self {
            page: entry_url.clone(),
            domains: domains.clone(),
            required: auth_cookies.clone(),
            optional: optional.into_iter().filter(|name| !auth_cookies.contains(name)).cloned().collect(),
        })
    }

    /// What is wanted, once everything that makes a session is there.
    fn pick(&self, cookies: &[Cookie]) -> Option<Found> {
        let mut found = Found { credentials: Vec::new(), expires: BTreeMap::new() };
        for name in &self.required {
            found.add(self.best(name, cookies)?);
        }
        for name in &self.optional {
            if let Some(cookie) = self.best(name, cookies) {
                found.add(cookie);
            }
        }
        Some(found)
    }

    /// The cookie called `name` that is sent most widely: of the highest host and the shortest path.
    fn best<'a>(&self, name: &str, cookies: &'a [Cookie]) -> Option<&'a Cookie> {
        let fits =
            |cookie: &&Cookie| cookie.name == name && self.is_of_site(&cookie.domain) && is_sendable(&cookie.value);
        cookies
            .iter()
            .filter(fits)
            .min_by_key(|cookie| (cookie.domain.trim_start_matches('.').len(), cookie.path.len()))
    }

    /// Whether a cookie of `domain` belongs to the site: to one of its domains or a host below.
    fn is_of_site(&self, domain: &str) -> bool {
        let domain = domain.trim_start_matches('.').to_ascii_lowercase();
        self.domains.iter().any(|known| {
            let known = known.trim_start_matches('.').to_ascii_lowercase();
            let above = domain.strip_suffix(&known);
            !known.is_empty() && above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
        })
    }
}

/// Whether a value can stand in a `Cookie` header at all (RFC 6265 section 4.1.1, read generously).
fn is_sendable(value: &Secret) -> bool {
    let value = value.expose();
    let fits = |byte: u8| !byte.is_ascii_control() && byte != b';';
    !value.trim().is_empty() && value.len() <= SECRET_BYTES && value.bytes().all(fits)
}

impl Found {
    fn add(&mut self, cookie: &Cookie) {
        self.credentials.push((cookie.name.clone(), cookie.value.duplicate()));
        // A negative one ends with the browser; a cast of a float stops at the ends.
        #[allow(clippy::cast_possible_truncation)]
        if cookie.expires > 0.0 {
            self.expires.insert(cookie.name.clone(), cookie.expires as i64);
        }
    }

    /// The body of a resume call.
    pub(super) fn to_body(&self) -> SecretBuffer {
        body(&self.credentials, &self.expires)
    }
}

/// The body of a resume call with cookies. `expires`: when, in seconds since 1970, where that is known.
pub(super) fn body(credentials: &[(String, Secret)], expires: &BTreeMap<String, i64>) -> SecretBuffer {
    #[derive(Serialize)]
    struct Body<'a> {
        data: Data<'a>,
    }
    #[derive(Serialize)]
    struct Data<'a> {
        credentials: Named<'a, String>,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        expires: &'a BTreeMap<String, i64>,
    }
    let data = Data { credentials: Named(credentials), expires };
    SecretBuffer::from_json(&Body { data }).expect("objects of texts and numbers are JSON")
}

/// Opens `program` at the site, and waits until the person has signed in there, at most for `life`.
///
/// # Errors
/// The browser is of no use, or was closed; nobody signed in in time; `InputCancelled` at a signal.
pub(super) fn collect(
    ctx: &Context,
    program: &Path,
    wanted: &Wanted,
    life: Duration,
    interrupts: Interrupts<'_>,
) -> Result<Found> {
    let until = Instant::now() + life;
    if !is_web_page(&wanted.page) {
        let reason = "the page to sign in at is not a web page".to_owned();
        return Err(AuthsomeError::InvalidInput { what: "definition", reason });
    }
    ctx.out.say(&format!("sign in at {} in the browser that opens now", wanted.page));
    ctx.out.note("it is a browser of its own, without your usual profile, and closes by itself");
    let mut progress = Progress::new(ctx.out);
    let mut chrome = Chrome::start(program, ctx.home(), &wanted.page, interrupts)?;
    while Instant::now() < until {
        if let Some(found) = wanted.pick(&chrome.cookies(interrupts)?) {
            return Ok(found);
        }
        let asks_next = Instant::now() + PAUSE;
        while Instant::now() < asks_next {
            progress.show("waiting for you to sign in in the browser", Time::Elapsed);
            let left = asks_next.saturating_duration_since(Instant::now());
            chrome.wait(left.min(progress.tick()), interrupts)?;
        }
    }
    Err(AuthsomeError::AuthenticationFailed { provider: None, reason: "nobody signed in in time".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(name: &str, value: &str, domain: &str) -> Cookie {
        serde_json::from_value(serde_json::json!({
            "name": name, "value": value, "domain": domain, "path": "/", "expires": -1, "size": 3, "httpOnly": true,
            "secure": true, "session": true, "priority": "Medium",
        }))
        .expect("a cookie")
    }

    fn wanted() -> Wanted {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Wanted {
            page: "https://www.acme.test/login".to_owned(),
            domains: names(&[".acme.test", "acme.test", "other.test"]),
            required: names(&["auth", "csrf"]),
            optional: names(&["ttl"]),
        }
    }

    fn picked(cookies: &[Cookie]) -> Option<String> {
        let body = wanted().pick(cookies)?.to_body();
        Some(String::from_utf8(body.expose_bytes().to_vec()).expect("JSON"))
    }

    #[test]
    fn what_only_the_definition_names_is_taken_along_once() {
        let session: AuthSession = serde_json::from_value(serde_json::json!({
            "id": "sess_0123456789ab", "provider": "acme", "connection": "default", "status": "waiting_for_user",
            "message": null, "error": null, "created_at": "2026-01-31T12:00:00Z", "expires_at": "2026-01-31T12:05:00Z",
            "next_action": {"type": "browser", "entry_url": "https://acme.test/", "domains": ["acme.test"],
                "auth_cookies": ["auth"], "ttl_from_cookie": "csrf", "ttl_hours": null},
            "user_code": null, "verification_uri": null, "verification_uri_complete": null,
        }))
        .expect("a session");
        let settings: BrowserSettings = serde_json::from_value(serde_json::json!({
            "extract": [{"cookie": "csrf", "header": "x-csrf"}, {"cookie": "auth", "header": "x-auth"}],
        }))
        .expect("settings");
        let wanted = Wanted::of(&session, Some(&settings)).expect("a browser");
        assert_eq!((wanted.required, wanted.optional), (vec!["auth".to_owned()], vec!["csrf".to_owned()]));
        let other = AuthSession { next_action: NextAction::None, ..session };
        assert!(Wanted::of(&other, Some(&settings)).is_none());
    }

    #[test]
    fn a_cookie_counts_for_its_site_and_not_for_a_neighbour() {
        for (domain, expected) in [
            ("acme.test", true),
            (".acme.test", true),
            ("www.acme.test", true),
            (".WWW.Acme.Test", true),
            ("other.test", true),
            ("evilacme.test", false),
            ("acme.test.evil.test", false),
            ("test", false),
            ("", false),
        ] {
            assert_eq!(wanted().is_of_site(domain), expected, "{domain}");
        }
        let nowhere = Wanted { domains: vec![String::new(), ".".to_owned()], ..wanted() };
        assert!(!nowhere.is_of_site("acme.test") && !nowhere.is_of_site(""));
    }

    #[test]
    fn everything_that_makes_a_session_must_be_there() {
        let (auth, csrf) = (cookie("auth", "a1", ".acme.test"), cookie("csrf", "\"c1\"", "www.acme.test"));
        assert_eq!(picked(&[]), None);
        assert_eq!(picked(&[cookie("csrf", "c", ".acme.test")]), None);
        assert_eq!(picked(&[cookie("auth", "a", "evilacme.test"), cookie("csrf", "c", ".acme.test")]), None);
        assert_eq!(picked(&[cookie("auth", " ", ".acme.test"), cookie("csrf", "c", ".acme.test")]), None);
        assert_eq!(picked(&[cookie("auth", "a;b", ".acme.test"), cookie("csrf", "c", ".acme.test")]), None);
        let expected = r#"{"data":{"credentials":{"auth":"a1","csrf":"\"c1\""}}}"#;
        assert_eq!(picked(&[auth, csrf]).as_deref(), Some(expected));
    }

    #[test]
    fn the_widest_cookie_wins_and_ends_are_told() {
        let mut deep = cookie("auth", "deep", ".acme.test");
        "/deep".clone_into(&mut deep.path);
        let ends = |expires: f64, mut cookie: Cookie| {
            cookie.expires = expires;
            cookie
        };
        let cookies = [
            cookie("auth", "narrow", "www.acme.test"),
            deep,
            ends(1_900_000_000.75, cookie("auth", "wide", ".acme.test")),
            cookie("csrf", "c", "acme.test"),
            ends(1e300, cookie("ttl", "t", "acme.test")),
            cookie("tracker", "x", "acme.test"),
        ];
        let expected = format!(
            r#"{{"data":{{"credentials":{{"auth":"wide","csrf":"c","ttl":"t"}},"expires":{{"auth":1900000000,"ttl":{}}}}}}}"#,
            i64::MAX
        );
        assert_eq!(picked(&cookies), Some(expected));
    }
}
