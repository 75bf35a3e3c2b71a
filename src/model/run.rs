//! What a run needs: routes, slots and values, as `POST /api/run` answers them (`contract/http.md` section 3).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::secret::{Secret, SecretBuffer};

/// How a route's host is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostMatch {
    /// The whole host, letter for letter.
    Exact,
    /// The host ends in `.host` (whole labels; the bare host does not match).
    Suffix,
    /// The whole host matches the pattern, case-insensitively.
    Regex,
}

/// An endpoint of the provider's own login, which is never injected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthEndpoint {
    /// Canonical host.
    pub host: String,
    /// Path.
    pub path: String,
}

/// Where a value goes in a request. `basic` is sent as the finished header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotPlace {
    /// A header field.
    Header,
    /// A query parameter.
    Query,
    /// A cookie.
    Cookie,
}

/// A slot with its finished value.
#[derive(Debug, Deserialize)]
pub struct InjectSlot {
    /// Where it goes.
    #[serde(rename = "in")]
    pub place: SlotPlace,
    /// Header, parameter or cookie name.
    pub name: String,
    /// What to set. A query value is the plain text: whoever writes it into a URL percent-encodes it.
    pub value: Secret,
    /// Leave the client's own value where it sent one.
    #[serde(default)]
    pub only_if_absent: bool,
    /// The stored secrets inside `value`, for redaction (a Basic value holds them base64-encoded).
    #[serde(default)]
    pub secrets: Vec<Secret>,
}

/// A slot without a value: what is emptied before injection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotName {
    /// Where it is.
    #[serde(rename = "in")]
    pub place: SlotPlace,
    /// Header, parameter or cookie name.
    pub name: String,
}

/// One destination of one connection.
#[derive(Debug, Deserialize)]
pub struct RunRoute {
    /// Provider name.
    pub provider: String,
    /// Connection name; empty when the provider is configured but not connected.
    pub connection: String,
    /// Canonical host, suffix or pattern.
    pub host: String,
    /// How `host` is compared.
    #[serde(rename = "match")]
    pub host_match: HostMatch,
    /// TCP port.
    pub port: u16,
    /// Whole path segments that a request must start with; empty or `/`: any.
    #[serde(default)]
    pub path_prefix: String,
    /// The provider's own login endpoints.
    #[serde(default)]
    pub auth_endpoints: Vec<AuthEndpoint>,
    /// Values that are fresh now; `None`: resolve when needed.
    #[serde(default)]
    pub inject: Option<Vec<InjectSlot>>,
    /// Slots to empty first.
    #[serde(default)]
    pub strip: Vec<SlotName>,
    /// Headers that are set only when the client sent none.
    #[serde(default)]
    pub default_headers: BTreeMap<String, String>,
    /// Environment names that the child gets placeholders for.
    #[serde(default)]
    pub exports: Vec<String>,
    /// End of the value, where known.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// Where a credential may be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Canonical host, suffix or pattern.
    pub host: String,
    /// How `host` is compared.
    #[serde(rename = "match")]
    pub host_match: HostMatch,
    /// TCP port.
    pub port: u16,
    /// Whole path segments; empty: any.
    #[serde(default)]
    pub path_prefix: String,
}

/// The whole answer of `POST /api/run`.
#[derive(Debug, Deserialize)]
pub struct RunPlan {
    /// Names this run in the audit log.
    pub run_id: String,
    /// Every destination.
    pub routes: Vec<RunRoute>,
}

/// The answer of `POST /api/credentials/resolve`.
#[derive(Debug, Deserialize)]
pub struct Resolved {
    /// Provider name.
    pub provider: String,
    /// Connection name.
    pub connection: String,
    /// Schema 1's view: header names and values.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Every slot, when asked with `"v": 2`.
    #[serde(default)]
    pub inject: Vec<InjectSlot>,
    /// Where the values may go, when asked with `"v": 2`; `None`: a daemon of 0.7.2 does not say.
    #[serde(default)]
    pub destinations: Option<Vec<Place>>,
    /// End of the value, where known.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// `local` or `global`.
    #[serde(default)]
    pub source: String,
}

impl Resolved {
    /// The answer as JSON. `rich`: with the slots of `"v": 2`.
    pub fn to_sealable_json(&self, rich: bool) -> SecretBuffer {
        #[derive(Serialize)]
        struct View<'a> {
            provider: &'a str,
            connection: &'a str,
            headers: BTreeMap<&'a str, &'a str>,
            expires_at: Option<Timestamp>,
            source: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            inject: Option<Vec<SlotView<'a>>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            destinations: Option<&'a [Place]>,
        }
        let view = View {
            provider: &self.provider,
            connection: &self.connection,
            headers: self.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect(),
            expires_at: self.expires_at,
            source: &self.source,
            inject: rich.then(|| self.inject.iter().map(SlotView::from).collect()),
            destinations: self.destinations.as_deref().filter(|_| rich),
        };
        SecretBuffer::from_json(&view).expect("an answer is a map with string keys")
    }
}

impl RunPlan {
    /// The answer as JSON, values included.
    pub fn to_sealable_json(&self) -> SecretBuffer {
        #[derive(Serialize)]
        struct View<'a> {
            run_id: &'a str,
            routes: Vec<RouteView<'a>>,
        }
        #[derive(Serialize)]
        struct RouteView<'a> {
            provider: &'a str,
            connection: &'a str,
            host: &'a str,
            #[serde(rename = "match")]
            host_match: HostMatch,
            port: u16,
            path_prefix: &'a str,
            auth_endpoints: &'a [AuthEndpoint],
            inject: Option<Vec<SlotView<'a>>>,
            strip: &'a [SlotName],
            default_headers: &'a BTreeMap<String, String>,
            exports: &'a [String],
            expires_at: Option<Timestamp>,
        }
        let routes = self.routes.iter().map(|route| RouteView {
            provider: &route.provider,
            connection: &route.connection,
            host: &route.host,
            host_match: route.host_match,
            port: route.port,
            path_prefix: &route.path_prefix,
            auth_endpoints: &route.auth_endpoints,
            inject: route.inject.as_ref().map(|slots| slots.iter().map(SlotView::from).collect()),
            strip: &route.strip,
            default_headers: &route.default_headers,
            exports: &route.exports,
            expires_at: route.expires_at,
        });
        let view = View { run_id: &self.run_id, routes: routes.collect() };
        SecretBuffer::from_json(&view).expect("an answer is a map with string keys")
    }
}

#[derive(Serialize)]
struct SlotView<'a> {
    #[serde(rename = "in")]
    place: SlotPlace,
    name: &'a str,
    value: &'a str,
    only_if_absent: bool,
    secrets: Vec<&'a str>,
}

impl<'a> From<&'a InjectSlot> for SlotView<'a> {
    fn from(slot: &'a InjectSlot) -> Self {
        Self {
            place: slot.place,
            name: &slot.name,
            value: slot.value.expose(),
            only_if_absent: slot.only_if_absent,
            secrets: slot.secrets.iter().map(Secret::expose).collect(),
        }
    }
}
