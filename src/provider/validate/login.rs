//! The rules for how a credential is got: OAuth settings and browser settings.

use super::{Checker, VALUE_BYTES};
use crate::error::Result;
use crate::model::{BrowserSettings, FlowType, OAuthSettings, RevokeSpec};
use crate::provider::domain;
use crate::provider::host::Host;
use crate::provider::names::is_token;

/// Redirect paths that the daemon answers (`contract/http.md`).
const REDIRECT_PATHS: [&str; 2] = ["/api/auth/callback/oauth", "/auth/callback/oauth"];

impl Checker<'_> {
    pub(super) fn login(&self) -> Result<()> {
        if let Some(oauth) = &self.definition.oauth {
            self.oauth_endpoints(oauth)?;
            self.oauth_words(oauth)?;
            self.scopes(oauth)?;
            if let Some(revoke) = &oauth.revoke {
                self.revoke(oauth, revoke)?;
            }
        }
        match &self.definition.browser {
            Some(browser) => self.browser(browser),
            None => Ok(()),
        }
    }

    /// Each flow needs its endpoints. Dynamic registration may find them by discovery, from any one URL.
    fn oauth_endpoints(&self, oauth: &OAuthSettings) -> Result<()> {
        let has_device = oauth.device_authorization_url.is_some();
        match self.definition.flow {
            FlowType::Pkce => {
                self.require(oauth.authorization_url.is_some(), "oauth.authorization_url", "is missing")?;
                self.require(oauth.token_url.is_some(), "oauth.token_url", "is missing")?;
            }
            FlowType::DeviceCode => {
                self.require(has_device, "oauth.device_authorization_url", "is missing")?;
                self.require(oauth.token_url.is_some(), "oauth.token_url", "is missing")?;
            }
            FlowType::DcrPkce => {
                let is_known = oauth.authorization_url.is_some() || oauth.base_url.is_some();
                self.require(is_known, "oauth.authorization_url", "is missing, and so is base_url to discover it")?;
            }
            FlowType::ApiKey | FlowType::Browser => {}
        }
        let claims_device = oauth.supports_device_code == Some(true);
        self.require(!claims_device || has_device, "oauth.supports_device_code", "there is no device_authorization_url")
    }

    /// Settings that are one of a few words.
    fn oauth_words(&self, oauth: &OAuthSettings) -> Result<()> {
        self.word("oauth.authorization_method", oauth.authorization_method.as_deref(), &["body", "basic"])?;
        self.word("oauth.device_token_request", oauth.device_token_request.as_deref(), &["oauth2_form", "json"])?;
        self.word("oauth.client_type", oauth.client_type.as_deref(), &["confidential"])?;
        self.word("oauth.token_request", oauth.token_request.as_deref(), &["form", "json"])?;
        self.word("oauth.redirect_path", oauth.redirect_path.as_deref(), &REDIRECT_PATHS)?;
        if let Some(path) = &oauth.token_path {
            let is_path = path.len() <= 128 && path.split('.').all(is_word);
            self.require(is_path, "oauth.token_path", "must be names joined by dots")?;
        }
        self.entries("oauth.dead_grant", oauth.dead_grant.len())?;
        for (field, value) in &oauth.dead_grant {
            self.require(is_word(field) && !value.is_empty(), "oauth.dead_grant", "must be fields and their values")?;
            self.text("oauth.dead_grant", value, VALUE_BYTES)?;
        }
        let parameter = oauth.scope_parameter.as_deref();
        self.require(parameter.is_none_or(is_word), "oauth.scope_parameter", "must be one word")
    }

    fn scopes(&self, oauth: &OAuthSettings) -> Result<()> {
        let separator = oauth.scope_separator.as_deref().unwrap_or(" ");
        let is_separator = (1..=2).contains(&separator.len()) && separator.bytes().all(|byte| b" ,;+|".contains(&byte));
        self.require(is_separator, "oauth.scope_separator", "must be a space, ',', ';', '+' or '|'")?;
        self.entries("oauth.scopes", oauth.scopes.len())?;
        for scope in &oauth.scopes {
            self.text("oauth.scopes", scope, VALUE_BYTES)?;
            let is_one = !scope.is_empty() && !scope.contains(separator) && !scope.contains(char::is_whitespace);
            self.require(is_one, "oauth.scopes", "an entry is no single scope")?;
        }
        self.entries("oauth.authorization_params", oauth.authorization_params.len())?;
        for (name, value) in &oauth.authorization_params {
            self.text("oauth.authorization_params", name, VALUE_BYTES)?;
            self.text("oauth.authorization_params", value, VALUE_BYTES)?;
        }
        Ok(())
    }

    fn revoke(&self, oauth: &OAuthSettings, revoke: &RevokeSpec) -> Result<()> {
        let has_url = revoke.url.is_some() || oauth.revocation_url.is_some();
        self.require(has_url, "oauth.revoke.url", "is missing, and so is revocation_url")?;
        self.word("oauth.revoke.method", revoke.method.as_deref(), &["POST", "DELETE"])?;
        self.word("oauth.revoke.body", revoke.body.as_deref(), &["form", "json", "none"])?;
        self.word("oauth.revoke.auth", revoke.auth.as_deref(), &["body", "basic", "bearer", "none"])?;
        self.word("oauth.revoke.only", revoke.only.as_deref(), &["access_token", "refresh_token"])?;
        let field = revoke.token_field.as_deref();
        self.require(field.is_none_or(is_word), "oauth.revoke.token_field", "must be one word")?;
        self.fixed_headers("oauth.revoke.headers", &revoke.headers)
    }

    fn browser(&self, browser: &BrowserSettings) -> Result<()> {
        self.require(!browser.auth_cookies.is_empty(), "browser.auth_cookies", "is empty")?;
        self.require(!browser.domains.is_empty(), "browser.domains", "is empty")?;
        for (field, list) in [("browser.auth_cookies", &browser.auth_cookies), ("browser.domains", &browser.domains)] {
            self.entries(field, list.len())?;
        }
        for cookie in browser.auth_cookies.iter().chain(&browser.ttl_from_cookie) {
            self.require(is_token(cookie), "browser.auth_cookies", "an entry is no name of a cookie")?;
        }
        for text in &browser.domains {
            let host = Host::parse(text.strip_prefix('.').unwrap_or(text));
            let is_owned = host.is_ok_and(|host| domain::check_owned(&host).is_ok());
            self.require(is_owned, "browser.domains", "an entry is no domain of one owner")?;
        }
        let ttl = browser.ttl_hours.unwrap_or(1.0);
        self.require(ttl.is_finite() && ttl > 0.0, "browser.ttl_hours", "must be more than zero")?;
        self.fixed_headers("browser.extra_headers", &browser.extra_headers)?;
        self.entries("browser.extract", browser.extract.len())?;
        for (index, extract) in browser.extract.iter().enumerate() {
            let field = |part: &str| format!("browser.extract[{index}].{part}");
            self.require(is_token(&extract.cookie), &field("cookie"), "is no name of a cookie")?;
            self.fixed_header_name(&field("header"), &extract.header)?;
            let earlier = browser.extract[..index].iter().map(|earlier| &earlier.header);
            let is_set_already =
                earlier.chain(browser.extra_headers.keys()).any(|name| name.eq_ignore_ascii_case(&extract.header));
            self.require(!is_set_already, &field("header"), "is set twice")?;
            self.text(&field("prefix"), extract.prefix.as_deref().unwrap_or_default(), VALUE_BYTES)?;
            self.text(&field("trim"), extract.trim.as_deref().unwrap_or_default(), 16)?;
        }
        Ok(())
    }

    fn word(&self, field: &str, value: Option<&str>, known: &[&str]) -> Result<()> {
        match value {
            Some(value) if !known.contains(&value) => self.refuse(field, format!("must be {}", known.join(" or "))),
            _ => Ok(()),
        }
    }
}

fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}
