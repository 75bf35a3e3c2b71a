//! The rules for what is sent: slots, headers, templates.

use std::collections::BTreeMap;

use super::{Checker, VALUE_BYTES};
use crate::error::Result;
use crate::model::{ApiKeySettings, InjectPlace, InjectSpec, WhenSpec};
use crate::provider::names::{is_framing_header, is_token};
use crate::provider::template::{Piece, Template};

impl Checker<'_> {
    pub(super) fn credentials(&self) -> Result<()> {
        if let Some(settings) = &self.definition.api_key {
            self.api_key(settings)?;
        }
        self.entries("inject", self.definition.inject.len())?;
        for (index, spec) in self.definition.inject.iter().enumerate() {
            self.slot(index, spec)?;
        }
        self.entries("strip", self.definition.strip.len())?;
        for (index, spec) in self.definition.strip.iter().enumerate() {
            self.slot_name(&format!("strip[{index}].name"), spec.place, Some(&spec.name))?;
        }
        self.fixed_headers("default_headers", &self.definition.default_headers)
    }

    /// Schema 1's one slot. The prefix becomes part of a template, so it may not be one itself.
    fn api_key(&self, settings: &ApiKeySettings) -> Result<()> {
        self.header_name("api_key.header_name", settings.header())?;
        self.text("api_key.header_prefix", settings.prefix(), 64)?;
        let has_braces = settings.prefix().contains(['{', '}']);
        self.require(!has_braces, "api_key.header_prefix", "has a brace; use inject for templates")?;
        self.variable("api_key.env_var", settings.env_var.as_deref())
    }

    fn slot(&self, index: usize, spec: &InjectSpec) -> Result<()> {
        let field = |part: &str| format!("inject[{index}].{part}");
        self.slot_name(&field("name"), spec.place, spec.name.as_deref())?;
        self.text(&field("value"), &spec.value, VALUE_BYTES)?;
        self.require(!spec.value.is_empty(), &field("value"), "is empty")?;
        let template = Template::parse(&spec.value).or_else(|reason| self.refuse(&field("value"), reason))?;
        if let Some(unknown) = template.fields().find(|name| !self.has_field(name)) {
            return self.refuse(&field("value"), format!("there is no field '{unknown}'"));
        }
        let literals = template.pieces().iter().filter_map(|piece| match piece {
            Piece::Literal(text) => Some(text),
            Piece::Field(_) => None,
        });
        let has_semicolon = spec.place == InjectPlace::Cookie && literals.into_iter().any(|text| text.contains(';'));
        self.require(!has_semicolon, &field("value"), "has a semicolon, which would start another cookie")?;
        if let Some(when) = &spec.when {
            self.condition(&field("when"), when)?;
        }
        let earlier = &self.definition.inject[..index];
        let clashes = earlier.iter().any(|other| is_same_slot(other, spec) && !are_exclusive(other, spec));
        self.require(!clashes, &field("name"), "another slot of the same name may be set at the same time")
    }

    fn condition(&self, field: &str, when: &WhenSpec) -> Result<()> {
        self.require(self.has_field(&when.field), &format!("{field}.field"), "there is no such field")?;
        self.entries(field, when.prefix.len() + when.not_prefix.len())?;
        let prefixes = || when.prefix.iter().chain(&when.not_prefix);
        self.require(prefixes().all(|prefix| !prefix.is_empty()), field, "has an empty prefix")
    }

    fn slot_name(&self, field: &str, place: InjectPlace, name: Option<&str>) -> Result<()> {
        let name = name.unwrap_or_default();
        match place {
            InjectPlace::Basic => {
                self.require(name.is_empty() || name == "Authorization", field, "basic is always Authorization")
            }
            InjectPlace::Header => self.fixed_header_name(field, name),
            InjectPlace::Cookie => self.require(is_token(name), field, "is no name of a cookie"),
            InjectPlace::Query => {
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~[]".contains(&byte);
                let fits = (1..=128).contains(&name.len()) && name.bytes().all(is_plain);
                self.require(fits, field, "is no plain name of a query parameter")
            }
        }
    }

    pub(super) fn header_name(&self, field: &str, name: &str) -> Result<()> {
        self.require(is_token(name), field, "is no name of a header")?;
        self.require(!is_framing_header(name), field, "is a header that frames the message or the connection")
    }

    /// As [`Self::header_name`], where cookies have a place of their own.
    pub(super) fn fixed_header_name(&self, field: &str, name: &str) -> Result<()> {
        self.require(!name.eq_ignore_ascii_case("cookie"), field, "cookies have a place of their own")?;
        self.header_name(field, name)
    }

    /// Headers with values that no connection fills.
    pub(super) fn fixed_headers(&self, field: &str, headers: &BTreeMap<String, String>) -> Result<()> {
        self.entries(field, headers.len())?;
        for (name, value) in headers {
            self.fixed_header_name(field, name)?;
            self.text(field, value, VALUE_BYTES)?;
        }
        Ok(())
    }
}

/// Where a slot ends up: Basic is a header, header names have no case.
fn is_same_slot(one: &InjectSpec, other: &InjectSpec) -> bool {
    let place = |spec: &InjectSpec| match (spec.place, spec.name.as_deref().unwrap_or_default()) {
        (InjectPlace::Basic, _) => (InjectPlace::Header, "authorization".to_owned()),
        (InjectPlace::Header, name) => (InjectPlace::Header, name.to_ascii_lowercase()),
        (place, name) => (place, name.to_owned()),
    };
    place(one) == place(other)
}

/// Whether no value can meet both conditions: what one wants, the other refuses or never begins with.
fn are_exclusive(one: &InjectSpec, other: &InjectSpec) -> bool {
    let (Some(one), Some(other)) = (&one.when, &other.when) else { return false };
    let refuses = |refusing: &WhenSpec, wanting: &WhenSpec| {
        let is_refused = |wanted: &String| refusing.not_prefix.iter().any(|prefix| wanted.starts_with(prefix.as_str()));
        !wanting.prefix.is_empty() && wanting.prefix.iter().all(is_refused)
    };
    let overlap = |a: &String, b: &String| a.starts_with(b.as_str()) || b.starts_with(a.as_str());
    let are_apart = !one.prefix.is_empty()
        && !other.prefix.is_empty()
        && !one.prefix.iter().any(|a| other.prefix.iter().any(|b| overlap(a, b)));
    one.field == other.field && (refuses(one, other) || refuses(other, one) || are_apart)
}
