//! The address that a browser could not open, pasted by hand: the answer of an authorization server (RFC 6749 section
//! 4.1.2, RFC 9207) for a daemon that the browser does not reach.

use super::body_of;
use crate::percent::{Plus, decode_text};
use crate::secret::{Secret, SecretBuffer};

/// The answer of an authorization server. A code is good for one use, and still nobody else's business.
pub(super) struct Callback {
    parameters: Vec<(&'static str, Secret)>,
}

/// What the daemon is told; a text from elsewhere has other parameters too.
const KNOWN: [&str; 5] = ["code", "state", "iss", "error", "error_description"];

impl Callback {
    /// Reads a whole address, or only its query. `expected`: the `state` of the login that waits, where it is known.
    ///
    /// # Errors
    /// Why it cannot be used, as a sentence without any of it.
    pub(super) fn parse(text: &str, expected: Option<&str>) -> Result<Self, &'static str> {
        let query = query_of(text)?;
        let mut parameters: Vec<(&'static str, Secret)> = Vec::new();
        for (name, value) in pairs(query) {
            let Some(known) = KNOWN.into_iter().find(|known| *known == name) else { continue };
            // RFC 6749 section 3.1: a parameter comes once. Which one would count is not for us to guess.
            if parameters.iter().any(|(name, _)| *name == known) {
                return Err("that holds one of its parameters twice");
            }
            if !value.is_empty() {
                parameters.push((known, value));
            }
        }
        let callback = Self { parameters };
        callback.check(query, expected)?;
        Ok(callback)
    }

    fn check(&self, query: &str, expected: Option<&str>) -> Result<(), &'static str> {
        let answered = self.get("code").is_some() || self.get("error").is_some();
        if !answered && pairs(query).any(|(name, _)| name == "client_id") {
            return Err("that is the page to sign in at; the address that your browser ends at afterwards is needed");
        }
        if !answered {
            return Err("that holds no code: paste the whole address that your browser ends at after signing in");
        }
        let Some(state) = self.get("state") else {
            return Err("that holds no state, which ties it to this login: paste the whole address");
        };
        if expected.is_some_and(|expected| !state.constant_time_eq(expected.as_bytes())) {
            return Err("that is the end of another login: open the address above, and paste where it leads");
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&Secret> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The body of a resume call.
    pub(super) fn to_body(&self) -> SecretBuffer {
        body_of(&self.parameters)
    }
}

/// A parameter of the address that a browser is sent to.
pub(super) fn parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let query = query.split_once('#').map_or(query, |(before, _)| before);
    pairs(query).find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.expose().to_owned())
}

/// The query of an address, or a text that is a query itself.
fn query_of(text: &str) -> Result<&str, &'static str> {
    // As people copy it: in quotes, in angle brackets, with what a site put behind `#`.
    let text = text.trim_matches(|c: char| c.is_whitespace() || "'\"<>".contains(c));
    let text = text.split_once('#').map_or(text, |(before, _)| before);
    if text.is_empty() {
        return Err("that is empty");
    }
    match text.split_once('?') {
        Some((_, query)) => Ok(query),
        None if text.contains("://") => {
            Err("that address has no code in it: paste the one that your browser ends at after signing in")
        }
        None if text.contains('=') => Ok(text),
        None => Err("a code alone is not enough, the state beside it is needed: paste the whole address"),
    }
}

/// The pairs of `application/x-www-form-urlencoded`.
fn pairs(query: &str) -> impl Iterator<Item = (String, Secret)> {
    let form = |text: &str| decode_text(text.as_bytes(), Plus::Space);
    query.split('&').map(move |pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (form(name), Secret::new(form(value)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Result<String, &'static str> {
        let callback = Callback::parse(text, Some("s1"))?;
        Ok(String::from_utf8(callback.to_body().expose_bytes().to_vec()).expect("JSON is UTF-8"))
    }

    #[test]
    fn an_address_is_taken_however_it_was_copied() {
        let expected = r#"{"data":{"code":"4/a b","state":"s1"}}"#;
        for text in [
            "http://127.0.0.1:7998/api/auth/callback/oauth?code=4/a%20b&state=s1",
            "  https://authsome.example/auth/callback/oauth?code=4%2fa+b&state=s1&scope=x%20y#_=_ \n",
            "<http://localhost/?code=4/a%20b&state=s1>",
            "'?code=4/a%20b&state=s1'",
            "code=4/a%20b&state=s1#",
            "code=4/a%20b&&x&error=&state=s1",
        ] {
            assert_eq!(body(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(
            body("http://h/cb?error=access_denied&error_description=No+%22way%22&state=s1&iss=https%3A%2F%2Fa.test"),
            Ok(r#"{"data":{"error":"access_denied","error_description":"No \"way\"","state":"s1","iss":"https://a.test"}}"#.to_owned())
        );
    }

    #[test]
    fn what_cannot_end_this_login_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", "empty"),
            (" \t''", "empty"),
            ("4/0AX4XfWh", "code alone"),
            ("http://h/cb?code=c", "no state"),
            ("http://h/cb?code=c&state=", "no state"),
            ("http://h/cb", "no code"),
            ("http://h/cb?state=s1", "no code"),
            ("http://h/cb#code=c&state=s1", "no code"),
            ("https://a.test/authorize?client_id=x&state=s1&redirect_uri=y", "page to sign in at"),
            ("http://h/cb?code=c&state=s2", "another login"),
            ("http://h/cb?code=c&state=s1&code=d", "twice"),
            ("http://h/cb?code=c&state=s1&state=s1", "twice"),
        ] {
            let refused = body(text).expect_err(text);
            assert!(refused.contains(reason), "{text}: {refused}");
        }
        assert!(Callback::parse("?code=c&state=anything", None).is_ok(), "the daemon judges what we do not know");
    }
}
