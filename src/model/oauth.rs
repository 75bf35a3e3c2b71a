//! What a definition says about an OAuth provider.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Endpoints and habits of an OAuth provider. URLs may hold `{base_url}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OAuthSettings {
    /// RFC 6749 section 3.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_url: Option<String>,
    /// RFC 6749 section 3.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// RFC 7009.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_url: Option<String>,
    /// RFC 8628 section 3.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_authorization_url: Option<String>,
    /// `oauth2_form` (the default) or `json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_token_request: Option<String>,
    /// Scopes to ask for by default.
    #[serde(default, deserialize_with = "super::null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Further query parameters of the authorization request.
    #[serde(default, deserialize_with = "super::null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub authorization_params: BTreeMap<String, String>,
    /// Whether the server takes RFC 7636 challenges; absent means yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkce: Option<bool>,
    /// Whether `device_code` may be asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supports_device_code: Option<bool>,
    /// Whether `dcr_pkce` may be asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supports_dcr: Option<bool>,
    /// Default for `{base_url}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// How the client proves itself at the token and device endpoints, and at the revocation endpoint unless
    /// [`RevokeSpec::auth`] says otherwise: `body` (the default: form fields) or `basic` (RFC 6749 section 2.3.1).
    /// Without a secret the `client_id` always goes in the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_method: Option<String>,
    /// `confidential`: the provider wants a client secret, also with PKCE. Absent: with or without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_type: Option<String>,
    /// Body of the token and refresh requests: `form` (the default) or `json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_request: Option<String>,
    /// Query parameter of the authorization request that carries the scopes; absent: `scope`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_parameter: Option<String>,
    /// What stands between scopes; absent: a space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope_separator: Option<String>,
    /// Path of the redirect URI that the provider knows; absent: `/api/auth/callback/oauth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_path: Option<String>,
    /// Dotted path to the access token in the token answer, such as `authed_user.access_token`; absent:
    /// `access_token`. What belongs to it (`refresh_token`, `expires_in`, `scope`, `token_type`) is looked for beside
    /// it first, then at the top. The answer to a refresh may have it all at the top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_path: Option<String>,
    /// How an error answer of the token endpoint says that the grant is dead (revoked, expired, spent), where it does
    /// not say `"error": "invalid_grant"` (RFC 6749 section 5.2): top-level fields and their values, of which one that
    /// is there suffices. A number counts as its digits.
    #[serde(default, deserialize_with = "super::null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub dead_grant: BTreeMap<String, String>,
    /// A revocation that is not RFC 7009's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke: Option<RevokeSpec>,
    /// Whatever else stood in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// How a provider wants a token revoked, where it is not RFC 7009's form POST to `revocation_url`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeSpec {
    /// Where to; absent: `revocation_url`. A path segment `{client_id}` stands for the client's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// HTTP method: `POST` (the default) or `DELETE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Shape of the body: `form` (the default), `json` or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Name of the body's field that carries the token; absent: `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_field: Option<String>,
    /// Who asks: `body` or `basic` (the client), `bearer` (the token itself) or `none`; absent: as
    /// [`OAuthSettings::authorization_method`] says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// The one kind of token that is taken: `access_token` or `refresh_token`; absent: both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<String>,
    /// Further headers.
    #[serde(default, deserialize_with = "super::null_is_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Whatever else stood in the file.
    #[serde(flatten)]
    pub extra: BTreeMap<String, Value>,
}

/// Dynamic client registration (RFC 7591).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// Where to register; absent: found by discovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    /// Whatever else stood in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
