//! Audit entries. They never hold a secret, a body, a query string or a header value.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Timestamp;

/// Who wrote an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditSource {
    /// The daemon itself.
    Internal,
    /// A client, through the API.
    External,
}

/// What happened, before it gets its identifier and time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// Name, as `provider.login`.
    pub event: String,
    /// Provider it is about.
    #[serde(default)]
    pub provider: Option<String>,
    /// Connection it is about.
    #[serde(default)]
    pub connection: Option<String>,
    /// How it went, as `success`.
    #[serde(default)]
    pub status: Option<String>,
    /// Further facts.
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

impl AuditEvent {
    /// Something that went well.
    pub fn success(name: &str) -> Self {
        Self { event: name.to_owned(), status: Some("success".to_owned()), ..Self::default() }
    }

    /// The same with one more fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.metadata.insert(name.to_owned(), value.into());
        self
    }
}

/// An entry of the log. Metadata stands beside the fixed fields, never over one of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// `audit_` and 32 hex digits.
    pub event_id: String,
    /// When.
    pub timestamp: Timestamp,
    /// Name, as `provider.login`.
    pub event: String,
    /// Who wrote it.
    pub source: AuditSource,
    /// Provider it is about.
    pub provider: Option<String>,
    /// Connection it is about.
    pub connection: Option<String>,
    /// Handle of the identity that acted.
    pub identity: Option<String>,
    /// Principal that acted.
    pub principal_id: Option<String>,
    /// How it went.
    pub status: Option<String>,
    /// The event's metadata, flattened.
    #[serde(flatten)]
    pub metadata: Map<String, Value>,
}

impl AuditEntry {
    /// Names that metadata may not take.
    pub const FIXED: [&'static str; 9] =
        ["event_id", "timestamp", "event", "source", "provider", "connection", "identity", "principal_id", "status"];
}
