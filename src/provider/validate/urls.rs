//! The rules for where things are: `api_url`, the login's endpoints, and pages for people.

use super::{Checker, VALUE_BYTES};
use crate::error::Result;
use crate::provider::destinations::check_host_template;
use crate::provider::domain;
use crate::provider::endpoints::{fill_url, login_urls, url_host};
use crate::provider::fields::Filling;
use crate::provider::host::Host;
use crate::provider::pattern::HostPattern;
use crate::provider::target::{Target, TargetHost};

/// Stands for a base URL that only the login will tell.
const SOME_BASE_URL: &str = "https://base-url.example";

impl Checker<'_> {
    pub(super) fn urls(&self) -> Result<()> {
        let definition = self.definition;
        self.entries("api_url", definition.api_url.as_slice().len())?;
        for (index, entry) in definition.api_url.as_slice().iter().enumerate() {
            self.api_url(&format!("api_url[{index}]"), entry)?;
        }
        for (field, url) in login_urls(definition) {
            self.endpoint(field, url)?;
        }
        let browser = definition.browser.as_ref();
        let pages = [
            ("oauth.base_url", definition.oauth.as_ref().and_then(|oauth| oauth.base_url.as_deref())),
            ("docs_url", definition.docs_url.as_deref()),
            ("browser.entry_url", browser.and_then(|browser| browser.entry_url.as_deref())),
            ("browser.validate_url", browser.and_then(|browser| browser.validate_url.as_deref())),
        ];
        for (field, url) in pages {
            url.map_or(Ok(()), |url| self.url(field, url))?;
        }
        match browser.and_then(|browser| url_host(browser.validate_url.as_deref()?)) {
            Some(host) => self.cookie_scope("browser.validate_url", &TargetHost::Exact(host)),
            None => Ok(()),
        }
    }

    /// One entry of `api_url`: the places that get the secret.
    fn api_url(&self, field: &str, entry: &str) -> Result<()> {
        self.text(field, entry, VALUE_BYTES)?;
        let is_relative = entry.starts_with("{base_url}");
        let filled =
            if is_relative { fill_url(self.definition, &self.some_server(), entry) } else { Ok(entry.to_owned()) };
        let filled = filled.or_else(|reason| self.refuse(field, reason))?;
        let target = Target::parse(&filled).or_else(|reason| self.refuse(field, reason))?;
        self.cookie_scope(field, &target.host)?;
        let owned = match &target.host {
            TargetHost::Exact(host) if self.options.allow_local => {
                let may_be_plain = host.is_loopback_name() || !target.is_http;
                return self.require(may_be_plain, field, "plain http is for this machine only");
            }
            TargetHost::Exact(host) => domain::check_exact(host).map_err(|error| error.to_string()),
            TargetHost::Suffix(parent) => domain::check_suffix(parent).map_err(|error| error.to_string()),
            TargetHost::Pattern(_) => Ok(()),
            TargetHost::Template(template) => check_host_template(self.definition, template),
        };
        owned.or_else(|reason| self.refuse(field, reason))?;
        self.require(!target.is_http, field, "must be https")
    }

    /// Cookies go only where the browser that they were taken from would send them: to their own domains.
    fn cookie_scope(&self, field: &str, target: &TargetHost) -> Result<()> {
        let Some(browser) = &self.definition.browser else { return Ok(()) };
        let domains =
            browser.domains.iter().filter_map(|text| Host::parse(text.strip_prefix('.').unwrap_or(text)).ok());
        let domains: Vec<Host> = domains.collect();
        let is_inside = |host: &Host| domains.iter().any(|domain| host == domain || host.is_below(domain));
        let holds = match target {
            TargetHost::Exact(host) | TargetHost::Suffix(host) => is_inside(host),
            TargetHost::Pattern(text) => HostPattern::parse(text).is_ok_and(|it| it.roots().iter().all(is_inside)),
            TargetHost::Template(_) => false,
        };
        self.require(holds, field, "is outside the domains whose cookies would be sent there")
    }

    /// An endpoint of the login: https, or http on this machine for tests and local servers.
    fn endpoint(&self, field: &str, url: &str) -> Result<()> {
        let filled =
            fill_url(self.definition, &self.some_server(), url).or_else(|reason| self.refuse(field, reason))?;
        // The only other placeholder that a login fills.
        let filled = if field == "oauth.revoke.url" { filled.replace("{client_id}", "x") } else { filled };
        self.url(field, &filled)
    }

    /// A connection that fills `{base_url}` where the definition does not.
    fn some_server(&self) -> Filling<'static> {
        let has_default = self.definition.oauth.as_ref().is_some_and(|oauth| oauth.base_url.is_some());
        Filling::at(if has_default { None } else { Some(SOME_BASE_URL) })
    }

    fn url(&self, field: &str, url: &str) -> Result<()> {
        self.text(field, url, VALUE_BYTES)?;
        let refused = |reason: &str| self.refuse(field, reason);
        let Some((scheme @ ("https" | "http"), rest)) = url.split_once("://") else {
            return refused("must be an https URL");
        };
        if url.contains(['{', '}', '\\', '"', '<', '>']) || url.contains(char::is_whitespace) || !url.is_ascii() {
            return refused("has a character that a URL may not have, or a placeholder that nothing fills");
        }
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let target = match Target::parse(&format!("{scheme}://{authority}")) {
            Ok(Target { host: TargetHost::Exact(host), .. }) => host,
            Ok(_) => return refused("must name one host"),
            Err(reason) => return refused(&reason),
        };
        self.require(scheme == "https" || is_here(&target), field, "must be https (http is for this machine only)")
    }
}

fn is_here(host: &Host) -> bool {
    host.is_loopback_name() && host.ip().is_none_or(|address| !address.is_unspecified())
}
