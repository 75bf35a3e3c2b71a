//! What a credential looks like in a request: headers, query parameters and cookies with their finished values.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::destinations::schema_error;
use super::fields::{FieldValue, Filling};
use super::template::Template;
use crate::error::{AuthsomeError, Result};
use crate::limits::SECRET_BYTES;
use crate::model::{
    ApiKeySettings, AuthType, BrowserExtract, ConnectionRecord, InjectPlace, InjectSlot, InjectSpec,
    ProviderDefinition, SlotName, SlotPlace, WhenSpec,
};
use crate::secret::Secret;

/// Every slot of a connection with its value: those of `inject`, else schema 1's.
///
/// # Errors
/// `CredentialMissing` when the connection lacks what a slot needs or was made by another kind of login;
/// `InvalidInput` when a value could not be sent as it is (control characters, too long for a head);
/// `InvalidProviderSchema` when the definition does not fit itself.
pub fn slots(definition: &ProviderDefinition, record: &ConnectionRecord) -> Result<Vec<InjectSlot>> {
    let builder = Builder { definition, filling: Filling::of(record) };
    if record.auth_type != definition.auth_type {
        return Err(builder.missing("the connection was made by another kind of login"));
    }
    match definition.auth_type {
        _ if !definition.inject.is_empty() => builder.injected(),
        // The token type of the answer is not used: servers say `bot`, `user` or `bearer` and all want `Bearer`.
        AuthType::Oauth2 => builder.single_header("Authorization", "Bearer {access_token}"),
        AuthType::ApiKey => builder.api_key(&definition.api_key.clone().unwrap_or_default()),
        AuthType::Browser => builder.browser(),
    }
}

/// Schema 1's view of [`slots`]: header names and values, with the cookies as one `Cookie` header. Query parameters
/// have no place in it.
///
/// # Errors
/// As [`slots`].
pub fn headers(definition: &ProviderDefinition, record: &ConnectionRecord) -> Result<BTreeMap<String, Secret>> {
    let slots = slots(definition, record)?;
    let (cookies, others): (Vec<_>, Vec<_>) = slots.into_iter().partition(|slot| slot.place == SlotPlace::Cookie);
    let others = others.into_iter().filter(|slot| slot.place == SlotPlace::Header);
    let mut headers: BTreeMap<String, Secret> = others.map(|slot| (slot.name, slot.value)).collect();
    if !cookies.is_empty() {
        headers.insert("Cookie".to_owned(), cookie_header(&cookies));
    }
    Ok(headers)
}

/// The slots that are emptied before injection, beside those that are set.
pub fn strip_slots(definition: &ProviderDefinition) -> Vec<SlotName> {
    let slot = |place, name: &str| SlotName { place, name: name.to_owned() };
    let strip = definition.strip.iter().map(|spec| match spec.place {
        InjectPlace::Header => slot(SlotPlace::Header, &spec.name),
        InjectPlace::Query => slot(SlotPlace::Query, &spec.name),
        InjectPlace::Cookie => slot(SlotPlace::Cookie, &spec.name),
        InjectPlace::Basic => slot(SlotPlace::Header, "Authorization"),
    });
    strip.collect()
}

struct Builder<'a> {
    definition: &'a ProviderDefinition,
    filling: Filling<'a>,
}

impl Builder<'_> {
    fn injected(&self) -> Result<Vec<InjectSlot>> {
        let mut slots = Vec::new();
        for (index, spec) in self.definition.inject.iter().enumerate() {
            if spec.when.as_ref().is_none_or(|when| self.holds(when)) {
                slots.push(self.slot(index, spec)?);
            }
        }
        if slots.is_empty() {
            return Err(self.missing("the stored credential is of a kind that the definition has no slot for"));
        }
        Ok(slots)
    }

    fn holds(&self, when: &WhenSpec) -> bool {
        let Some(value) = self.filling.value(self.definition, &when.field) else { return false };
        let begins = |prefixes: &[String]| prefixes.iter().any(|prefix| value.text.starts_with(prefix.as_str()));
        (when.prefix.is_empty() || begins(&when.prefix)) && !begins(&when.not_prefix)
    }

    fn slot(&self, index: usize, spec: &InjectSpec) -> Result<InjectSlot> {
        let template = self.template(&format!("inject[{index}].value"), &spec.value)?;
        let name = spec.name.as_deref().unwrap_or_default();
        let mut slot = match spec.place {
            InjectPlace::Header => self.fill(SlotPlace::Header, name, &template)?,
            InjectPlace::Query => self.fill(SlotPlace::Query, name, &template)?,
            InjectPlace::Cookie => self.fill(SlotPlace::Cookie, name, &template)?,
            InjectPlace::Basic => basic(self.fill(SlotPlace::Header, "Authorization", &template)?),
        };
        slot.only_if_absent = spec.only_if_absent;
        Ok(slot)
    }

    fn api_key(&self, settings: &ApiKeySettings) -> Result<Vec<InjectSlot>> {
        match settings.prefix() {
            "" => self.single_header(settings.header(), "{api_key}"),
            prefix => self.single_header(settings.header(), &format!("{prefix} {{api_key}}")),
        }
    }

    fn single_header(&self, name: &str, value: &str) -> Result<Vec<InjectSlot>> {
        let template = self.template("api_key.header_prefix", value)?;
        Ok(vec![self.fill(SlotPlace::Header, name, &template)?])
    }

    /// The cookies that the definition names, never the whole jar; headers that repeat one; fixed headers.
    fn browser(&self) -> Result<Vec<InjectSlot>> {
        let settings = self.definition.browser.as_ref();
        let settings = settings.ok_or_else(|| schema_error(self.definition, "browser", "is missing"))?;
        let mut slots = Vec::new();
        for cookie in &settings.auth_cookies {
            slots.push(self.cookie(cookie, self.value(cookie)?)?);
        }
        for extract in &settings.extract {
            // A cookie that is no part of every session: neither it nor its header is sent.
            let Some(value) = self.filling.value(self.definition, &extract.cookie) else { continue };
            if !slots.iter().any(|slot| slot.place == SlotPlace::Cookie && slot.name == extract.cookie) {
                slots.push(self.cookie(&extract.cookie, value)?);
            }
            slots.push(self.extracted(extract, value)?);
        }
        for (name, value) in &settings.extra_headers {
            slots.push(self.finish(SlotPlace::Header, name, value.clone(), Vec::new())?);
        }
        Ok(slots)
    }

    fn cookie(&self, name: &str, value: FieldValue<'_>) -> Result<InjectSlot> {
        self.finish(SlotPlace::Cookie, name, value.text.to_owned(), vec![Secret::new(value.text.to_owned())])
    }

    fn extracted(&self, extract: &BrowserExtract, value: FieldValue<'_>) -> Result<InjectSlot> {
        let trim = extract.trim.as_deref().unwrap_or_default();
        let bare = value.text.trim_matches(|character| trim.contains(character));
        let text = [extract.prefix.as_deref().unwrap_or_default(), bare].concat();
        // The trimmed form is what the upstream could echo, and is a part of the stored one.
        self.finish(SlotPlace::Header, &extract.header, text, vec![Secret::new(bare.to_owned())])
    }

    fn template(&self, field: &str, text: &str) -> Result<Template> {
        Template::parse(text).map_err(|reason| schema_error(self.definition, field, reason))
    }

    fn value(&self, field: &str) -> Result<FieldValue<'_>> {
        let missing = || self.missing(&format!("the connection has no '{field}'"));
        self.filling.value(self.definition, field).ok_or_else(missing)
    }

    fn fill(&self, place: SlotPlace, name: &str, template: &Template) -> Result<InjectSlot> {
        let mut secrets = Vec::new();
        let text = template.fill(|field| {
            let value = self.value(field)?;
            if value.is_secret {
                secrets.push(Secret::new(value.text.to_owned()));
            }
            Ok::<_, AuthsomeError>(value.text)
        })?;
        self.finish(place, name, text, secrets)
    }

    /// The last look at a value: what could change the meaning of the head around it is never sent.
    fn finish(&self, place: SlotPlace, name: &str, text: String, secrets: Vec<Secret>) -> Result<InjectSlot> {
        let value = Secret::new(text);
        let refused = |reason: &str| AuthsomeError::InvalidInput {
            what: "credential",
            reason: format!("what {} would send as '{name}' {reason}", self.definition.name),
        };
        if value.expose().chars().any(char::is_control) {
            return Err(refused("has a line break or another control character"));
        }
        if place == SlotPlace::Cookie && value.expose().contains(';') {
            return Err(refused("has a semicolon, which would start another cookie"));
        }
        if value.expose().len() > SECRET_BYTES {
            return Err(refused("is too long"));
        }
        Ok(InjectSlot { place, name: name.to_owned(), value, only_if_absent: false, secrets })
    }

    fn missing(&self, reason: &str) -> AuthsomeError {
        AuthsomeError::CredentialMissing { provider: self.definition.name.clone(), reason: reason.to_owned() }
    }
}

/// RFC 7617: the text becomes the credentials of the Basic scheme.
fn basic(slot: InjectSlot) -> InjectSlot {
    let text = slot.value.expose();
    let mut value = String::with_capacity("Basic ".len() + text.len().div_ceil(3) * 4);
    value.push_str("Basic ");
    BASE64_STANDARD.encode_string(text, &mut value);
    InjectSlot { value: Secret::new(value), ..slot }
}

/// RFC 6265 section 4.2.1. One allocation, so that no half-built copy is left behind.
fn cookie_header(cookies: &[InjectSlot]) -> Secret {
    let mut parts = Vec::with_capacity(cookies.len() * 4);
    for cookie in cookies {
        parts.extend([if parts.is_empty() { "" } else { "; " }, &cookie.name, "=", cookie.value.expose()]);
    }
    Secret::new(parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::parse_definition;

    fn definition(auth_type: &str, rest: &str) -> ProviderDefinition {
        let flow = if auth_type == "oauth2" { "pkce" } else { auth_type };
        let text = format!(r#"{{"name":"acme","auth_type":"{auth_type}","flow":"{flow}"{rest}}}"#);
        parse_definition(text.as_bytes()).expect("parses")
    }

    fn record(definition: &ProviderDefinition, fields: &[(&str, &str)]) -> ConnectionRecord {
        let mut record = ConnectionRecord::new("acme", "default", definition.auth_type);
        for (name, value) in fields {
            let secret = Secret::new((*value).to_owned());
            match *name {
                "api_key" => record.api_key = Some(secret),
                "access_token" => record.access_token = Some(secret),
                _ => drop(record.credentials.insert((*name).to_owned(), secret)),
            }
        }
        record
    }

    /// `place name: value [secrets]` of each slot.
    fn shown(definition: &ProviderDefinition, fields: &[(&str, &str)]) -> Result<Vec<String>> {
        let show = |slot: &InjectSlot| {
            let secrets: Vec<&str> = slot.secrets.iter().map(Secret::expose).collect();
            let absent = if slot.only_if_absent { "?" } else { "" };
            format!("{:?}{absent} {}: {} {secrets:?}", slot.place, slot.name, slot.value.expose())
        };
        Ok(slots(definition, &record(definition, fields))?.iter().map(show).collect())
    }

    #[test]
    fn schema_1_has_one_slot() {
        for (auth_type, rest, expected) in [
            ("api_key", "", r#"Header Authorization: Bearer k-1 ["k-1"]"#),
            ("api_key", r#","api_key":{"header_prefix":null}"#, r#"Header Authorization: k-1 ["k-1"]"#),
            ("api_key", r#","api_key":{"header_prefix":""}"#, r#"Header Authorization: k-1 ["k-1"]"#),
            (
                "api_key",
                r#","api_key":{"header_name":"X-Key","header_prefix":"Token"}"#,
                r#"Header X-Key: Token k-1 ["k-1"]"#,
            ),
            ("oauth2", "", r#"Header Authorization: Bearer t-1 ["t-1"]"#),
        ] {
            let fields = [("api_key", "k-1"), ("access_token", "t-1")];
            assert_eq!(shown(&definition(auth_type, rest), &fields).expect("is filled"), [expected], "{rest}");
        }
    }

    #[test]
    fn every_kind_of_slot() {
        let inject = r#","inject":[
            {"in":"header","name":"X-A","value":"Token token={api_key}"},
            {"in":"query","name":"key","value":"{api_key}","only_if_absent":true},
            {"in":"cookie","name":"sid","value":"{sid}"},
            {"in":"basic","value":"{user}:{api_key}"},
            {"in":"header","name":"X-Kind","value":"KEYPAIR"}],
            "fields":[{"name":"user","default":"nobody"},{"name":"sid","secret":true},{"name":"tail","derive":{"from":"api_key","after_last":"-"}}]"#;
        let found = shown(&definition("api_key", inject), &[("api_key", "k-us1"), ("sid", "s1")]).expect("is filled");
        assert_eq!(
            found,
            [
                r#"Header X-A: Token token=k-us1 ["k-us1"]"#,
                r#"Query? key: k-us1 ["k-us1"]"#,
                r#"Cookie sid: s1 ["s1"]"#,
                r#"Header Authorization: Basic bm9ib2R5OmstdXMx ["k-us1"]"#,
                "Header X-Kind: KEYPAIR []",
            ]
        );
    }

    #[test]
    fn a_value_selects_its_slots() {
        let inject = r#","inject":[
            {"in":"header","name":"x-api-key","value":"{api_key}","when":{"field":"api_key","not_prefix":["oat-","cfk_"]}},
            {"in":"header","name":"Authorization","value":"Bearer {api_key}","when":{"field":"api_key","prefix":["oat-"]}},
            {"in":"header","name":"X-Account","value":"{account}","when":{"field":"account"}}],
            "fields":[{"name":"account","optional":true}]"#;
        let definition = definition("api_key", inject);
        let names = |fields: &[(&str, &str)]| -> Vec<String> {
            let record = record(&definition, fields);
            slots(&definition, &record).expect("is filled").into_iter().map(|slot| slot.name).collect()
        };
        assert_eq!(names(&[("api_key", "api-1")]), ["x-api-key"]);
        assert_eq!(names(&[("api_key", "oat-1")]), ["Authorization"]);
        assert_eq!(names(&[("api_key", "oat-1"), ("account", "7")]), ["Authorization", "X-Account"]);
        assert_eq!(names(&[("api_key", "api-1"), ("account", "")]), ["x-api-key"]);
        let nothing_fits = slots(&definition, &record(&definition, &[("api_key", "cfk_1")])).expect_err("has no slot");
        assert!(matches!(nothing_fits, AuthsomeError::CredentialMissing { .. }));
    }

    const BROWSER: &str = r#","browser":{"auth_cookies":["li_at","JSESSIONID"],"domains":["acme.test"],
        "extract":[{"cookie":"JSESSIONID","header":"csrf-token","trim":"\""},{"cookie":"maybe","header":"x-maybe","prefix":"p-"}],
        "extra_headers":{"x-restli":"2"}}"#;

    #[test]
    fn a_browser_session_sends_named_cookies_only() {
        let definition = definition("browser", BROWSER);
        let session = [("li_at", "AQ"), ("JSESSIONID", "\"ajax:1\""), ("bcookie", "tracks")];
        assert_eq!(
            shown(&definition, &session).expect("is filled"),
            [
                r#"Cookie li_at: AQ ["AQ"]"#,
                r#"Cookie JSESSIONID: "ajax:1" ["\"ajax:1\""]"#,
                r#"Header csrf-token: ajax:1 ["ajax:1"]"#,
                "Header x-restli: 2 []",
            ]
        );
        let with_maybe = shown(&definition, &[&session[..], &[("maybe", "m")]].concat()).expect("is filled");
        assert!(with_maybe.contains(&r#"Cookie maybe: m ["m"]"#.to_owned()), "{with_maybe:?}");
        assert!(with_maybe.contains(&r#"Header x-maybe: p-m ["m"]"#.to_owned()), "{with_maybe:?}");
        let headers = headers(&definition, &record(&definition, &session)).expect("is filled");
        assert_eq!(headers["Cookie"].expose(), "li_at=AQ; JSESSIONID=\"ajax:1\"");
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["Cookie", "csrf-token", "x-restli"]);
        let error = shown(&definition, &[("li_at", "AQ")]).expect_err("misses a cookie").to_string();
        assert!(error.contains("'JSESSIONID'"), "{error}");
    }

    #[test]
    fn values_that_would_change_the_head_are_never_sent() {
        let key = definition("api_key", "");
        let basic = definition("api_key", r#","inject":[{"in":"basic","value":"{api_key}:"}]"#);
        let query = definition("api_key", r#","inject":[{"in":"query","name":"k","value":"{api_key}"}]"#);
        let long = "x".repeat(SECRET_BYTES + 1);
        for value in [
            "hunter2\r\nX-Evil: 1",
            "hunter2\n",
            "\rhunter2",
            "hunter2\0",
            "hunter2\u{7f}",
            "hunter2\t",
            "hunter2\u{85}",
            &long,
        ] {
            for definition in [&key, &basic, &query] {
                let error = shown(definition, &[("api_key", value)]).expect_err("is refused");
                assert!(matches!(error, AuthsomeError::InvalidInput { .. }), "{value:?}");
                assert!(!error.to_string().contains("hunter2"), "{error}");
            }
        }
        let session = [("li_at", "hunter2; admin=1"), ("JSESSIONID", "x")];
        let error = shown(&definition("browser", BROWSER), &session).expect_err("is refused").to_string();
        assert!(error.contains("semicolon") && !error.contains("hunter2"), "{error}");
        assert!(
            shown(&key, &[("api_key", "h\u{fc}nter {api_key} %0d%0a")]).is_ok(),
            "UTF-8 and look-alikes are plain text"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let key = definition("api_key", "");
        for fields in [&[][..], &[("api_key", "")]] {
            let error = shown(&key, fields).expect_err("is missing").to_string();
            assert_eq!(error, "[acme] the connection has no 'api_key'");
        }
        let other = record(&definition("oauth2", ""), &[("access_token", "t")]);
        assert!(matches!(slots(&key, &other), Err(AuthsomeError::CredentialMissing { .. })));
    }

    #[test]
    fn strip_names_slots() {
        let strip = r#","strip":[{"in":"basic","name":"Authorization"},{"in":"query","name":"key"},{"in":"cookie","name":"s"}]"#;
        let names: Vec<_> =
            strip_slots(&definition("api_key", strip)).into_iter().map(|slot| (slot.place, slot.name)).collect();
        let expected = [(SlotPlace::Header, "Authorization"), (SlotPlace::Query, "key"), (SlotPlace::Cookie, "s")];
        assert_eq!(names, expected.map(|(place, name)| (place, name.to_owned())));
    }
}
