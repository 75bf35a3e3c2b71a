//! Plain data: what is stored and what goes over the wire. Serde only, no I/O, no decisions.

mod audit;
mod connection;
mod fingerprint;
mod identity;
mod oauth;
mod provider;
mod run;
mod session;

pub use audit::{AuditEntry, AuditEvent, AuditSource};
pub use connection::{Account, AuthType, ConnectionRecord, ConnectionStatus, MASK};
pub use fingerprint::Fingerprint;
pub use identity::{Claim, ClaimStatus, Grants, IdentityRecord, Principal, Role};
pub use oauth::{OAuthSettings, Registration, RevokeSpec};
pub use provider::{
    ApiKeySettings, ApiUrls, BrowserExtract, BrowserSettings, DeriveSpec, FieldFormat, FieldSpec, FlowType,
    HeaderSetting, InjectPlace, InjectSpec, ProviderDefinition, ProviderSource, ProviderType, StripSpec, WhenSpec,
};
pub use run::{AuthEndpoint, HostMatch, InjectSlot, Place, Resolved, RunPlan, RunRoute, SlotName, SlotPlace};
pub use session::{AuthSession, InputField, NextAction, SessionStatus};

/// Takes an explicit null for what is left out: 0.7.2 writes every field that it knows.
fn null_is_default<'de, D: serde::Deserializer<'de>, T: serde::Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value: Option<T> = serde::Deserialize::deserialize(deserializer)?;
    Ok(value.unwrap_or_default())
}
