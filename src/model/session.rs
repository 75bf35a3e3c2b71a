//! Auth sessions: one attempt to log in to one provider.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// Where a login stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// Made, nothing asked yet.
    Pending,
    /// A person must act.
    WaitingForUser,
    /// We are at it.
    Processing,
    /// The connection stands.
    Completed,
    /// It went wrong; `error` says how.
    Failed,
    /// Nobody acted in time.
    Expired,
    /// Broken off.
    Cancelled,
}

impl SessionStatus {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::WaitingForUser => "waiting_for_user",
            Self::Processing => "processing",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Expired | Self::Cancelled)
    }
}

/// What the client should do next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NextAction {
    /// Open this URL in a browser.
    OpenUrl {
        /// The page.
        url: String,
    },
    /// Collect the cookies of a browser.
    Browser {
        /// Page where a person signs in.
        entry_url: String,
        /// Cookie domains.
        domains: Vec<String>,
        /// Cookies that are needed.
        auth_cookies: Vec<String>,
        /// Cookie whose expiry is the session's.
        ttl_from_cookie: Option<String>,
        /// Life where no cookie tells, in hours.
        ttl_hours: Option<f64>,
    },
    /// Nothing.
    None,
}

/// A login session as the wire shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuthSession {
    /// `sess_` and 12 hex digits.
    pub id: String,
    /// Provider name.
    pub provider: String,
    /// Connection name.
    pub connection: String,
    /// Where it stands.
    pub status: SessionStatus,
    /// One line for people.
    pub message: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What to do next.
    pub next_action: NextAction,
    /// Device flow: the code to type.
    pub user_code: Option<String>,
    /// Device flow: where to type it.
    pub verification_uri: Option<String>,
    /// Device flow: both in one link.
    pub verification_uri_complete: Option<String>,
}

/// A field of the input page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputField {
    /// Name in the form.
    pub name: String,
    /// Name for people.
    pub label: String,
    /// Whether it is masked.
    pub secret: bool,
    /// Initial value.
    pub default: Option<String>,
    /// Whether it must be filled in.
    pub required: bool,
    /// Pattern that values usually match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// What to say when it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern_hint: Option<String>,
}
