//! What the authorization server remembers: requests, codes, devices and tokens. Decisions only, no bytes.

use std::collections::HashMap;

use authsome::paths::hex;
use authsome::secret::random_bytes;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::Knobs;
use crate::harness::form;

/// How a token was got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    Code,
    Refresh,
    Device,
}

/// One token answer that the server has decided on.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) grant: Grant,
    pub(crate) access: String,
    pub(crate) refresh: Option<String>,
    /// Whether every byte of the answer was handed to the connection.
    pub(crate) written: bool,
    /// Everything that comes from one login.
    family: usize,
    access_lives: bool,
    refresh_lives: bool,
}

/// A request to the token endpoint.
#[derive(Clone, Debug)]
pub(crate) struct TokenRequest {
    /// The form, or the top level of the JSON.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) authorization: Option<String>,
    /// The OAuth error that was decided on; `None`: tokens, or a scripted answer.
    pub(crate) refused: Option<&'static str>,
}

impl TokenRequest {
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        form::value(&self.fields, name)
    }
}

/// Refused with this OAuth error.
pub(super) type Refusal = &'static str;

#[derive(Debug)]
struct Code {
    client: String,
    redirect_uri: String,
    challenge: Option<String>,
    scope: String,
    /// What it was traded for.
    family: Option<usize>,
}

#[derive(Debug)]
struct Device {
    user_code: String,
    client: String,
    scope: String,
    decision: Option<bool>,
    is_spent: bool,
    polls: usize,
}

#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) requests: Vec<TokenRequest>,
    pub(super) issued: Vec<Issued>,
    /// Every state that came with an authorization request.
    pub(super) states: Vec<String>,
    pub(super) revoked: Vec<(String, Option<String>)>,
    pub(super) registrations: Vec<Value>,
    /// How often a spent refresh token was offered.
    pub(super) reuses: usize,
    codes: HashMap<String, Code>,
    devices: HashMap<String, Device>,
    families: usize,
    scopes: HashMap<usize, String>,
}

/// Something to hide, with signs that every encoding writes differently.
fn secret(kind: &str, signs: &str) -> String {
    format!("{kind}-{}{signs}", hex(&random_bytes::<12>()))
}

impl Book {
    /// Notes an authorization request; gives the code.
    pub(super) fn authorize(&mut self, query: &[(String, String)], knobs: &Knobs) -> Result<String, Refusal> {
        let get = |name: &str| form::value(query, name);
        if get("response_type").as_deref() != Some("code") {
            return Err("unsupported_response_type");
        }
        let state = get("state").filter(|state| state.len() >= 32).ok_or("invalid_request")?;
        let challenge = get("code_challenge");
        let method = get("code_challenge_method");
        let is_good =
            challenge.as_ref().is_some_and(|challenge| challenge.len() == 43) && method.as_deref() == Some("S256");
        if knobs.pkce != is_good || (!knobs.pkce && challenge.is_some()) {
            return Err("invalid_request");
        }
        self.states.push(state);
        let code = secret("code", "/+=&<%>");
        let noted = Code {
            client: get("client_id").unwrap_or_default(),
            redirect_uri: get("redirect_uri").unwrap_or_default(),
            challenge,
            scope: get("scope").unwrap_or_default(),
            family: None,
        };
        self.codes.insert(code.clone(), noted);
        Ok(code)
    }

    /// Decides a token request of `client`; gives where in [`Book::issued`] the answer is noted.
    pub(super) fn token(&mut self, request: &TokenRequest, client: &str, knobs: &Knobs) -> Result<usize, Refusal> {
        let field = |name: &str| request.field(name).ok_or("invalid_request");
        match request.field("grant_type").as_deref() {
            Some("authorization_code") => self.redeem(request, client, knobs),
            Some("refresh_token") => self.refresh(&field("refresh_token")?, knobs),
            Some("urn:ietf:params:oauth:grant-type:device_code") => self.poll(&field("device_code")?, client, knobs),
            None if request.field("device_code").is_some() => self.poll(&field("device_code")?, client, knobs),
            _ => Err("unsupported_grant_type"),
        }
    }

    fn redeem(&mut self, request: &TokenRequest, client: &str, knobs: &Knobs) -> Result<usize, Refusal> {
        let code = request.field("code").ok_or("invalid_request")?;
        let noted = self.codes.get(&code).ok_or("invalid_grant")?;
        if let Some(family) = noted.family {
            self.kill(family); // RFC 6749 section 4.1.2
            return Err("invalid_grant");
        }
        let hash = |verifier: String| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
        let verifier = request.field("code_verifier");
        let is_verifier = verifier.as_ref().is_none_or(|verifier| (43..=128).contains(&verifier.len()));
        let fits = noted.client == client
            && request.field("redirect_uri").as_ref() == Some(&noted.redirect_uri)
            && verifier.map(hash) == noted.challenge
            && is_verifier;
        if !fits {
            return Err("invalid_grant");
        }
        let scope = noted.scope.clone();
        let family = self.family(scope);
        self.codes.get_mut(&code).expect("just read").family = Some(family);
        Ok(self.issue(Grant::Code, family, knobs))
    }

    /// RFC 6749 section 6, with the rotation and reuse detection of RFC 9700 section 4.14.2.
    fn refresh(&mut self, token: &str, knobs: &Knobs) -> Result<usize, Refusal> {
        let found = self.issued.iter_mut().find(|issued| issued.refresh.as_deref() == Some(token));
        let found = found.ok_or("invalid_grant")?;
        let family = found.family;
        if !found.refresh_lives {
            self.reuses += 1;
            self.kill(family);
            return Err("invalid_grant");
        }
        found.refresh_lives = !knobs.rotates;
        Ok(self.issue(Grant::Refresh, family, knobs))
    }

    fn poll(&mut self, code: &str, client: &str, knobs: &Knobs) -> Result<usize, Refusal> {
        let device = self.devices.get_mut(code).filter(|device| device.client == client).ok_or("invalid_grant")?;
        device.polls += 1;
        match device.decision {
            None => Err("authorization_pending"),
            Some(false) => Err("access_denied"),
            Some(true) if device.is_spent => Err("invalid_grant"),
            Some(true) => {
                device.is_spent = true;
                let scope = device.scope.clone();
                let family = self.family(scope);
                Ok(self.issue(Grant::Device, family, knobs))
            }
        }
    }

    fn family(&mut self, scope: String) -> usize {
        self.families += 1;
        self.scopes.insert(self.families, scope);
        self.families
    }

    fn issue(&mut self, grant: Grant, family: usize, knobs: &Knobs) -> usize {
        let refresh = match grant {
            Grant::Refresh => knobs.rotates,
            Grant::Code | Grant::Device => knobs.gives_refresh,
        };
        self.issued.push(Issued {
            grant,
            access: secret("at", "/+~.=="),
            refresh: refresh.then(|| secret("rt", "/+=&<%>")),
            written: false,
            family,
            access_lives: true,
            refresh_lives: refresh,
        });
        self.issued.len() - 1
    }

    /// The body that tells of an answer.
    pub(super) fn describe(&self, index: usize, knobs: &Knobs) -> Value {
        let issued = &self.issued[index];
        let mut body = Map::from_iter([
            ("access_token".to_owned(), json!(issued.access)),
            ("token_type".to_owned(), json!("Bearer")),
            ("scope".to_owned(), json!(knobs.granted.as_ref().unwrap_or(&self.scopes[&issued.family]))),
        ]);
        if let Some(refresh) = &issued.refresh {
            body.insert("refresh_token".to_owned(), json!(refresh));
        }
        if let Some(lifetime) = &knobs.expires_in {
            body.insert("expires_in".to_owned(), lifetime.clone());
        }
        body.extend(knobs.extra.clone());
        Value::Object(body)
    }

    pub(super) fn start_device(&mut self, client: String, scope: String) -> (String, String) {
        let code = secret("dc", "/+=&<%>");
        let user_code = format!("{}-DEMO", hex(&random_bytes::<2>()).to_uppercase());
        let device = Device { user_code: user_code.clone(), client, scope, decision: None, is_spent: false, polls: 0 };
        self.devices.insert(code.clone(), device);
        (code, user_code)
    }

    /// Decides for the person who typed `user_code`; whether there is such a device.
    pub(super) fn decide(&mut self, user_code: &str, agrees: bool) -> bool {
        let device = self.devices.values_mut().find(|device| device.user_code == user_code);
        device.map(|device| device.decision = Some(agrees)).is_some()
    }

    pub(super) fn polls(&self) -> usize {
        self.devices.values().map(|device| device.polls).sum()
    }

    /// RFC 7009: also for tokens that nobody knows. A refresh token takes everything of its login along.
    pub(super) fn revoke(&mut self, token: &str, hint: Option<String>) {
        self.revoked.push((token.to_owned(), hint));
        let named = |issued: &&mut Issued| issued.access == token || issued.refresh.as_deref() == Some(token);
        let Some(found) = self.issued.iter_mut().find(named) else { return };
        if found.access == token {
            found.access_lives = false;
        } else {
            let family = found.family;
            self.kill(family);
        }
    }

    pub(super) fn kill_access(&mut self) {
        self.issued.iter_mut().for_each(|issued| issued.access_lives = false);
    }

    pub(super) fn kill_everything(&mut self) {
        (0..=self.families).for_each(|family| self.kill(family));
    }

    fn kill(&mut self, family: usize) {
        for issued in self.issued.iter_mut().filter(|issued| issued.family == family) {
            (issued.access_lives, issued.refresh_lives) = (false, false);
        }
    }

    pub(super) fn lives(&self, access: &str) -> bool {
        self.issued.iter().any(|issued| issued.access == access && issued.access_lives)
    }

    pub(super) fn refresh_lives(&self, refresh: &str) -> bool {
        self.issued.iter().any(|issued| issued.refresh.as_deref() == Some(refresh) && issued.refresh_lives)
    }

    /// Every secret that this server ever made or was told.
    pub(super) fn secrets(&self) -> Vec<String> {
        let tokens = self.issued.iter().flat_map(|issued| [Some(issued.access.clone()), issued.refresh.clone()]);
        let verifiers = self.requests.iter().filter_map(|request| request.field("code_verifier"));
        let codes = self.codes.keys().chain(self.devices.keys()).chain(&self.states).cloned();
        tokens.flatten().chain(verifiers).chain(codes).collect()
    }
}
