//! Why there is no token, in a form that many callers can share.

use std::sync::Arc;

use super::unsaved::Gained;
use crate::error::AuthsomeError;
use crate::model::ConnectionRecord;

/// What a refresh gave.
pub(super) type Outcome = Result<ConnectionRecord, Trouble>;

/// Why a refresh gave nothing.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// The token has ended, and there is nothing to refresh it with.
    Expired,
    /// It could not be refreshed; says why.
    Failed(String),
    /// The connection was removed. With what came for it afterwards.
    Gone(Option<Arc<Gained>>),
    /// The store does not serve; says why.
    Store(String),
    /// The vault does not open; says why.
    Encryption(String),
}

impl Trouble {
    /// A refresh that others do takes too long.
    pub(super) fn busy() -> Self {
        Self::Failed("a refresh of this connection is under way and takes long; try again".to_owned())
    }

    /// New tokens are not stored, because of `error`.
    pub(super) fn unsaved(error: AuthsomeError) -> Self {
        match Self::from(error) {
            Self::Store(reason) => {
                Self::Store(format!("{reason}; the token was refreshed, and is kept in memory until it can be stored"))
            }
            other => other,
        }
    }
}

impl From<AuthsomeError> for Trouble {
    /// An error of the vault.
    fn from(error: AuthsomeError) -> Self {
        match error {
            AuthsomeError::EncryptionUnavailable { reason } => Self::Encryption(reason),
            AuthsomeError::StoreUnavailable { reason } => Self::Store(reason),
            other => Self::Store(other.message()),
        }
    }
}

/// The same outcome for another caller.
pub(super) fn share(outcome: &Outcome) -> Outcome {
    match outcome {
        Ok(record) => Ok(record.duplicate()),
        Err(trouble) => Err(trouble.clone()),
    }
}
