//! Why a call to an authorization server gave nothing.

use std::fmt;
use std::time::Duration;

use crate::error::AuthsomeError;

/// RFC 6749 section 5.2: a code or a refresh token that is not good any more.
pub(super) const INVALID_GRANT: &str = "invalid_grant";

/// Why a call to an authorization server gave nothing. Texts never hold an answer's body: only its standard `error` and
/// `error_description`, without control characters and cut at 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowError {
    /// The server refused with an OAuth error (RFC 6749 section 5.2).
    Refused {
        /// The standard code, such as `invalid_grant`.
        code: String,
        /// What the server adds for people.
        description: Option<String>,
    },
    /// No connection, no TLS, no answer in time.
    Unreachable {
        /// Host of the endpoint.
        endpoint: String,
        /// What happened.
        reason: String,
    },
    /// An answer that is of no use: an overloaded or broken server, a redirect, a web page, too many bytes.
    Unusable {
        /// Host of the endpoint.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
        /// How long the server asks us to stay away (RFC 9110 section 10.2.3).
        retry_after: Option<Duration>,
    },
    /// The definition lacks something that this call needs.
    Unsupported {
        /// What is missing.
        reason: String,
    },
}

impl FlowError {
    /// Whether the grant (a code, a refresh token) is not good any more: asking again with it is of no use.
    pub fn is_invalid_grant(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == INVALID_GRANT)
    }

    /// How long the server asks us to stay away.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Unusable { retry_after, .. } = self { *retry_after } else { None }
    }

    /// The error of a login with `provider`.
    pub fn into_login_error(self, provider: &str) -> AuthsomeError {
        match self {
            Self::Unreachable { endpoint, reason } => AuthsomeError::EndpointUnreachable { endpoint, reason },
            other @ (Self::Refused { .. } | Self::Unusable { .. } | Self::Unsupported { .. }) => {
                AuthsomeError::AuthenticationFailed { provider: Some(provider.to_owned()), reason: other.to_string() }
            }
        }
    }
}

impl fmt::Display for FlowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { code, description: Some(description) } => write!(f, "{code}: {description}"),
            Self::Refused { code, description: None } => f.write_str(code),
            Self::Unreachable { endpoint, reason } => write!(f, "cannot reach {endpoint}: {reason}"),
            Self::Unusable { endpoint, reason, .. } => write!(f, "{endpoint} answered with {reason}"),
            Self::Unsupported { reason } => f.write_str(reason),
        }
    }
}

impl std::error::Error for FlowError {}
