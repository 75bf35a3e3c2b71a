//! The values behind placeholders: what a connection stores, what is derived from it, and defaults.

use crate::model::{ConnectionRecord, FieldSpec, ProviderDefinition};

/// A derived value is a short code. A longer one is a piece of a secret that is not what the definition thinks.
const DERIVED_BYTES: usize = 16;

/// What a connection brings to its provider's definition: its own URLs and its fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filling<'a> {
    /// What `{base_url}` stands for, when the login gave its own.
    pub base_url: Option<&'a str>,
    /// API host or URL of this connection, when the login gave its own.
    pub api_url: Option<&'a str>,
    record: Option<&'a ConnectionRecord>,
}

impl<'a> Filling<'a> {
    /// What `record` brings.
    pub fn of(record: &'a ConnectionRecord) -> Self {
        Self { base_url: record.base_url.as_deref(), api_url: record.api_url.as_deref(), record: Some(record) }
    }

    /// Nothing: a provider without a connection. Only defaults fill placeholders.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// A login that is not finished yet: all that is known is its base URL, where it has its own.
    pub fn at(base_url: Option<&'a str>) -> Self {
        Self { base_url, ..Self::default() }
    }

    /// The value of field `name`; `None` when it is missing or empty.
    pub(super) fn value(&self, definition: &'a ProviderDefinition, name: &str) -> Option<FieldValue<'a>> {
        let spec = definition.fields.iter().find(|field| field.name == name);
        let derived = || self.derived(definition, spec?);
        let default = || spec.and_then(|spec| spec.default.as_deref()).map(FieldValue::plain);
        let value = self.stored(spec, name).or_else(derived).or_else(default)?;
        (!value.text.is_empty()).then_some(value)
    }

    fn stored(&self, spec: Option<&FieldSpec>, name: &str) -> Option<FieldValue<'a>> {
        let record = self.record?;
        let own = match name {
            "api_key" => record.api_key.as_ref(),
            "access_token" => record.access_token.as_ref(),
            _ => None,
        };
        if let Some(secret) = own {
            return Some(FieldValue { text: secret.expose(), is_secret: true });
        }
        let secret = record.credentials.get(name)?;
        // What no definition describes (cookies, say) is a secret.
        Some(FieldValue { text: secret.expose(), is_secret: spec.is_none_or(|spec| spec.secret) })
    }

    fn derived(&self, definition: &'a ProviderDefinition, spec: &'a FieldSpec) -> Option<FieldValue<'a>> {
        let rule = spec.derive.as_ref()?;
        let source = definition.fields.iter().find(|field| field.name == rule.from);
        let text = self.stored(source, &rule.from)?.text.rsplit_once(rule.after_last.as_str())?.1;
        (text.len() <= DERIVED_BYTES).then_some(FieldValue { text, is_secret: spec.secret })
    }
}

/// The value of a field, and whether it must be kept from the child.
#[derive(Clone, Copy)]
pub(super) struct FieldValue<'a> {
    pub(super) text: &'a str,
    pub(super) is_secret: bool,
}

impl<'a> FieldValue<'a> {
    fn plain(text: &'a str) -> Self {
        Self { text, is_secret: false }
    }
}
