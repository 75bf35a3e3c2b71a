//! The client that we are to an authorization server.

use serde::{Deserialize, Serialize};

use super::FlowError;
use crate::clock::Timestamp;
use crate::secret::Secret;

/// A registered OAuth client (RFC 6749 section 2.2).
#[derive(Debug, Default)]
pub struct OAuthClient {
    /// Client identifier.
    pub id: String,
    /// Client secret; `None`: a public client.
    pub secret: Option<Secret>,
    /// How it proves itself, where its registration says so: that counts more than the definition.
    pub method: Option<AuthMethod>,
    /// When its secret ends, in seconds since 1970, where its registration says so.
    pub secret_expires_at: Option<i64>,
}

/// How a client proves itself at the token endpoint (RFC 7591 section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuthMethod {
    /// Form fields.
    #[serde(rename = "client_secret_post")]
    Post,
    /// HTTP Basic.
    #[serde(rename = "client_secret_basic")]
    Basic,
}

impl OAuthClient {
    /// A second owner of the same client.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { id: self.id.clone(), secret: self.secret.as_ref().map(Secret::duplicate), ..*self }
    }

    /// Whether its secret is over.
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.secret_expires_at.is_some_and(|end| end <= now.unix())
    }

    /// `error`, which a server gave to this client, with the likely reason for it.
    #[must_use]
    pub fn explain(&self, error: FlowError, now: Timestamp, provider: &str) -> FlowError {
        match error {
            FlowError::Refused { code, .. } if self.has_ended(now) => FlowError::Refused {
                code,
                description: Some(format!(
                    "the secret of our client at this provider has ended; `authsome provider revoke {provider}`, by an \
                     administrator, makes room for a new one"
                )),
            },
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_after_the_end_of_the_secret_is_explained() {
        let refused = || FlowError::Refused { code: "invalid_client".to_owned(), description: None };
        let at = |seconds| Timestamp::from_unix(seconds).expect("a time");
        let client = OAuthClient { secret_expires_at: Some(1000), ..OAuthClient::default() };
        assert_eq!(client.explain(refused(), at(999), "acme"), refused());
        let said = client.explain(refused(), at(1000), "acme").to_string();
        assert!(said.starts_with("invalid_client: ") && said.contains("provider revoke acme"), "{said}");
        assert_eq!(OAuthClient::default().explain(refused(), at(1000), "acme"), refused(), "one without an end");
        let elsewhere = FlowError::Unsupported { reason: "why".to_owned() };
        assert_eq!(client.explain(elsewhere.clone(), at(1000), "acme"), elsewhere);
    }
}
