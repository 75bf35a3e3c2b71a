//! Provider definitions: schema 1 of `authsome` 0.7.2 with our optional additions. Unknown fields survive a rewrite.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::AuthType;
use super::oauth::{OAuthSettings, Registration};

/// One provider: where its API is and how to get and send a credential for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderDefinition {
    /// Version of this shape; 1.
    #[serde(default = "one")]
    pub schema_version: u32,
    /// Unique name, as in `authsome login NAME`.
    pub name: String,
    /// Name for people.
    #[serde(default, deserialize_with = "super::null_is_default")]
    pub display_name: String,
    /// URL or name of a logo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logo: Option<String>,
    /// One sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What kind of service it is.
    #[serde(default, deserialize_with = "super::null_is_default", rename = "type")]
    pub provider_type: ProviderType,
    /// Kind of credential.
    pub auth_type: AuthType,
    /// How a credential is got, unless the caller asks for another flow.
    pub flow: FlowType,
    /// Hosts, URLs or patterns that get the credential.
    #[serde(default, deserialize_with = "super::null_is_default", skip_serializing_if = "ApiUrls::is_empty")]
    pub api_url: ApiUrls,
    /// Page that says how to get a key or a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs_url: Option<String>,
    /// Endpoints and habits of an OAuth provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<OAuthSettings>,
    /// Dynamic client registration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
    /// How an API key is sent and found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<ApiKeySettings>,
    /// How browser cookies are captured and sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<BrowserSettings>,
    /// Environment names, in either of the two forms of `contract/providers.md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<Map<String, Value>>,
    /// Free-form facts about the provider.
    #[serde(default, deserialize_with = "super::null_is_default", skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Slots to set; absent: schema 1's single header.
    #[serde(default, deserialize_with = "super::null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub inject: Vec<InjectSpec>,
    /// What to ask for and store besides one key.
    #[serde(default, deserialize_with = "super::null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldSpec>,
    /// Headers that are set only when the client sent none.
    #[serde(default, deserialize_with = "super::null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub default_headers: BTreeMap<String, String>,
    /// Slots that are emptied before the credential is set.
    #[serde(default, deserialize_with = "super::null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub strip: Vec<StripSpec>,
    /// A pattern that keys usually match. It only ever warns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_hint: Option<String>,
    /// Whatever else stood in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ProviderDefinition {
    /// The name for people: `display_name`, else `name`.
    pub fn title(&self) -> &str {
        if self.display_name.is_empty() { &self.name } else { &self.display_name }
    }
}

fn one() -> u32 {
    1
}

/// What kind of service a provider is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderType {
    /// An application's API.
    #[default]
    App,
    /// A language model.
    Llm,
    /// A Model Context Protocol server.
    Mcp,
    /// A site that is used with the cookies of a browser.
    Browser,
}

/// How a credential is got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowType {
    /// Authorization code with PKCE (RFC 6749, RFC 7636).
    Pkce,
    /// Device code (RFC 8628).
    DeviceCode,
    /// Dynamic client registration (RFC 7591), then PKCE.
    DcrPkce,
    /// A key that a person pastes.
    ApiKey,
    /// Cookies of a browser.
    Browser,
}

impl FlowType {
    /// The name in definitions and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pkce => "pkce",
            Self::DeviceCode => "device_code",
            Self::DcrPkce => "dcr_pkce",
            Self::ApiKey => "api_key",
            Self::Browser => "browser",
        }
    }
}

/// Where a definition comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderSource {
    /// Compiled into the program.
    Bundled,
    /// Registered in the store, or a file of the user.
    Custom,
}

/// `api_url`: one string or a list of them. Written back in the form it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ApiUrls {
    /// A single entry.
    One(String),
    /// Several entries.
    Many(Vec<String>),
}

impl ApiUrls {
    /// The entries in order.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(url) => std::slice::from_ref(url),
            Self::Many(urls) => urls,
        }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }
}

impl Default for ApiUrls {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

/// A setting that tells "not there" from "null" from a string, as schema 1 does for `header_prefix`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HeaderSetting {
    /// The field is absent: its default holds.
    #[default]
    Absent,
    /// Explicit null.
    Null,
    /// A string, possibly empty.
    Text(String),
}

impl HeaderSetting {
    fn is_absent(&self) -> bool {
        *self == Self::Absent
    }
}

impl Serialize for HeaderSetting {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent | Self::Null => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for HeaderSetting {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map_or(Self::Null, Self::Text))
    }
}

/// How an API key is sent and found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ApiKeySettings {
    /// Header that carries the key; absent: `Authorization`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_name: Option<String>,
    /// Scheme before the key; absent: `Bearer`; null or empty: the bare key.
    #[serde(default, skip_serializing_if = "HeaderSetting::is_absent")]
    pub header_prefix: HeaderSetting,
    /// Environment variable in which people keep this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_var: Option<String>,
    /// Pattern that keys match. It only warns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pattern: Option<String>,
    /// What to say when the key does not match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pattern_hint: Option<String>,
    /// Whatever else stood in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ApiKeySettings {
    /// The header that carries the key.
    pub fn header(&self) -> &str {
        self.header_name.as_deref().unwrap_or("Authorization")
    }

    /// The scheme before the key; empty: none.
    pub fn prefix(&self) -> &str {
        match &self.header_prefix {
            HeaderSetting::Absent => "Bearer",
            HeaderSetting::Null => "",
            HeaderSetting::Text(prefix) => prefix,
        }
    }
}

/// How browser cookies are captured and sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BrowserSettings {
    /// Page where a person signs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_url: Option<String>,
    /// Cookie domains.
    #[serde(default, deserialize_with = "super::null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// Cookies that make a session; all are needed.
    #[serde(default, deserialize_with = "super::null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub auth_cookies: Vec<String>,
    /// URL that tells whether the session is alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate_url: Option<String>,
    /// Headers to send beside the cookies.
    #[serde(default, deserialize_with = "super::null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub extra_headers: BTreeMap<String, String>,
    /// Life of a session in hours where no cookie tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_hours: Option<f64>,
    /// Cookie whose expiry is the session's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_from_cookie: Option<String>,
    /// Headers that repeat a cookie.
    #[serde(default, deserialize_with = "super::null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub extract: Vec<BrowserExtract>,
    /// Whatever else stood in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A header whose value is a cookie's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BrowserExtract {
    /// The cookie.
    pub cookie: String,
    /// The header.
    pub header: String,
    /// What stands before the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Characters that are taken off both ends of the cookie's value first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trim: Option<String>,
    /// Whatever else stood in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One slot that the proxy sets: `value` is a template over the connection's fields.
///
/// Unlike elsewhere, unknown fields are refused here and in the shapes below: one may be a condition that a later
/// version honours, and a slot without its condition sends a secret where it should not go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InjectSpec {
    /// Where the value goes.
    #[serde(rename = "in")]
    pub place: InjectPlace,
    /// Header, query parameter or cookie name. Not used by `basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Template such as `Token {api_key}`; for `basic` the text before base64, such as `{api_key}:`.
    pub value: String,
    /// Leave the client's own value where it sent one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_if_absent: bool,
    /// Use this slot only for some values; absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<WhenSpec>,
}

/// Selects a slot by a field's value: there must be one, and every condition that is given must hold. There is no
/// order among slots, so two slots of the same name must exclude each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhenSpec {
    /// The field that is looked at.
    pub field: String,
    /// The value begins with one of these; empty: no condition.
    #[serde(default, deserialize_with = "super::null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub prefix: Vec<String>,
    /// The value begins with none of these.
    #[serde(default, deserialize_with = "super::null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub not_prefix: Vec<String>,
}

/// The places that a definition may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InjectPlace {
    /// A header field.
    Header,
    /// A query parameter.
    Query,
    /// A cookie.
    Cookie,
    /// `Authorization: Basic` with the base64 of the value (RFC 7617).
    Basic,
}

/// A slot that is emptied before injection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StripSpec {
    /// Header, query or cookie.
    #[serde(rename = "in")]
    pub place: InjectPlace,
    /// Its name.
    pub name: String,
}

/// A value that a connection stores, or that is derived from one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldSpec {
    /// Name in templates.
    pub name: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Whether it is masked and never shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// Environment variable in which people keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env_var: Option<String>,
    /// Value where the person gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Whether a login goes on without it. A field with a default or a derivation is never required.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// What the value must look like; absent: any text, and one label where it stands in a host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<FieldFormat>,
    /// Where the value comes from when nobody gave one. Such a field is not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derive: Option<DeriveSpec>,
}

/// What the value of a field must look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldFormat {
    /// A whole host name. Only such a field may stand for more than a part of one label of a host, so its value says
    /// whose host gets the secret.
    Host,
}

/// A value that is a part of another one, as Mailchimp's data centre is the end of its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeriveSpec {
    /// The field that is cut: a stored one.
    pub from: String,
    /// The value is what follows the last occurrence of this.
    pub after_last: String,
}
