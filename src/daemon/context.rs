//! What a handler sees of one request.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::auth::Caller;
use super::message::{Failure, Refusal, Request};
use super::people::People;
use super::pollers::Pollers;
use super::settings::Settings;
use crate::broker::{Actor, Broker};
use crate::clock::Clock;
use crate::error::Result;
use crate::identity::Verifier;
use crate::model::Principal;
use crate::paths::{Home, hex};
use crate::percent::{Plus, decode_text};
use crate::secret::{Secret, random_bytes};
use crate::vault::{MasterKey, Vault};

/// The cookie that ties the pages of a login to one browser.
const LOGIN_COOKIE: &str = "authsome_login";

/// Everything that the handlers share.
pub(super) struct State {
    pub(super) settings: Settings,
    pub(super) home: Home,
    pub(super) clock: Clock,
    pub(super) vault: Arc<Vault>,
    pub(super) broker: Arc<Broker>,
    pub(super) pollers: Pollers,
    pub(super) people: People,
    pub(super) verifier: Verifier,
    pub(super) encryption: Encryption,
}

/// What `health` says about encryption.
pub(super) struct Encryption {
    pub(super) source: &'static str,
    pub(super) backend: String,
}

impl Encryption {
    pub(super) fn of(key: &MasterKey) -> Self {
        Self { source: key.source().as_str(), backend: key.describe() }
    }
}

/// One request on its way through a handler.
pub(super) struct Context<'a> {
    pub(super) state: &'a State,
    pub(super) request: &'a Request,
    pub(super) caller: Caller,
    /// Values of the pattern's parameters, decoded, by name.
    pub(super) params: Vec<(&'static str, String)>,
}

impl Context<'_> {
    pub(super) fn broker(&self) -> &Broker {
        &self.state.broker
    }

    pub(super) fn people(&self) -> &People {
        &self.state.people
    }

    /// The public URL of this daemon.
    pub(super) fn base_url(&self) -> &str {
        &self.state.settings.base_url
    }

    /// A parameter of the route's pattern.
    pub(super) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// The first query parameter called `name`, decoded.
    pub(super) fn query(&self, name: &str) -> Option<String> {
        form_pairs(self.request.query().as_bytes()).find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Who acts. Routes with a caller check always have one.
    pub(super) fn actor(&self) -> Result<Actor, Failure> {
        self.caller.actor().ok_or_else(|| Refusal::new(401, "Authentication required").into())
    }

    /// The body as a JSON object. An empty body counts as `{}`.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let body: &[u8] = if self.request.body.is_empty() { b"{}" } else { &self.request.body };
        // A structure would also be read from a list of its members.
        if body.trim_ascii_start().starts_with(b"[") {
            return Err(Refusal::field(&["body"], "Input should be an object", "dict_type").into());
        }
        serde_json::from_slice(body).map_err(|error| unfit(&error).into())
    }

    /// The body as a form, decoded, in order. Any of its values may be a password or a key.
    pub(super) fn form(&self) -> Result<Vec<(String, Secret)>, Failure> {
        let kind = self.request.fields.first_str("content-type").unwrap_or_default();
        let is_form = kind
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        if !is_form && !self.request.body.is_empty() {
            return Err(Refusal::new(422, "Expected a form (application/x-www-form-urlencoded)").into());
        }
        Ok(form_pairs(&self.request.body).map(|(name, value)| (name, Secret::new(value))).collect())
    }

    /// The principal of the browser session, whatever the caller is.
    pub(super) fn browser_principal(&self) -> Result<Option<String>> {
        let session = super::auth::browser_session(self.state, self.request)?;
        Ok(session.map(|principal| principal.principal_id))
    }

    pub(super) fn principal(&self, principal_id: &str) -> Result<Option<Principal>> {
        self.people().principal(principal_id)
    }

    /// The principal that owns the identity called `handle`.
    pub(super) fn owner_of(&self, handle: &str) -> Result<Option<String>> {
        let known = self.people().known(handle)?;
        Ok(known.and_then(|known| known.principal.as_ref().map(|principal| principal.principal_id.clone())))
    }

    /// The handle of this browser for logins, and whether it is new.
    pub(super) fn login_handle(&self) -> (LoginHandle, bool) {
        let is_https = self.state.settings.is_https();
        match self.request.cookie(LOGIN_COOKIE).filter(|value| value.len() == 64) {
            Some(value) => (LoginHandle { value: value.to_owned(), is_https }, false),
            None => (LoginHandle { value: hex(&random_bytes::<32>()), is_https }, true),
        }
    }
}

/// Names one browser for as long as it runs.
pub(super) struct LoginHandle {
    value: String,
    is_https: bool,
}

impl LoginHandle {
    /// What a session keeps of it.
    pub(super) fn hash(&self) -> String {
        hex(&Sha256::digest(self.value.as_bytes()))
    }

    /// The `Set-Cookie` value.
    pub(super) fn cookie(&self) -> String {
        let secure = if self.is_https { "; Secure" } else { "" };
        format!("{LOGIN_COOKIE}={}; Path=/; HttpOnly; SameSite=Lax{secure}", self.value)
    }
}

/// 422 for a body that does not fit. Serde's text may quote a value, so only the field's name is taken from it.
fn unfit(error: &serde_json::Error) -> Refusal {
    if error.is_syntax() || error.is_eof() {
        return Refusal::field(&["body"], "JSON decode error", "json_invalid");
    }
    let text = error.to_string();
    let field = text.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    match field {
        Some(field) => Refusal::field(&["body", field], "Field required", "missing"),
        None => Refusal::field(&["body"], "Input does not fit the schema", "value_error"),
    }
}

/// The pairs of a query or form (WHATWG URL, `application/x-www-form-urlencoded`).
fn form_pairs(text: &[u8]) -> impl Iterator<Item = (String, String)> + '_ {
    text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &pair[..0]),
        };
        (decode_text(name, Plus::Space), decode_text(value, Plus::Space))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_decode_as_browsers_write_them() {
        let pairs: Vec<_> = form_pairs(b"a=1+2&b=%26%3D&c&=x&&d=%zz%").collect();
        let expected = [("a", "1 2"), ("b", "&="), ("c", ""), ("", "x"), ("d", "%zz%")];
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn a_body_that_does_not_fit_is_not_quoted() {
        #[derive(Debug, serde::Deserialize)]
        struct Body {
            #[allow(dead_code)]
            number: u32,
        }
        let refuse = |text: &str| format!("{:?}", unfit(&serde_json::from_str::<Body>(text).expect_err("unfit")));
        assert!(refuse("{}").contains("number"));
        assert!(!refuse(r#"{"number":"hunter2"}"#).contains("hunter2"));
        assert!(!refuse("hunter2").contains("hunter2"));
    }
}
