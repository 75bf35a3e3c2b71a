//! What the store did not take, until it does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::flow::Tokens;
use crate::model::{ConnectionRecord, ConnectionStatus};
use crate::secret::Secret;

use super::due::refresh_token;
use super::memory::Memory;

/// New tokens, and what they were had for.
#[derive(Debug)]
pub(super) struct Gained {
    /// What the server gave.
    pub(super) tokens: Tokens,
    /// SHA-256 of the refresh token that was spent, hexadecimal.
    pub(super) spent: String,
    /// Since when the record had the tokens that these come after.
    pub(super) before: Option<Timestamp>,
    /// When these came.
    pub(super) obtained_at: Timestamp,
    /// End of the access token, where known.
    pub(super) expires_at: Option<Timestamp>,
}

/// Something that is still to be written for one connection.
#[derive(Clone, Debug)]
pub(super) enum Unsaved {
    /// New tokens. The old refresh token must not be spent again.
    Tokens(Arc<Gained>),
    /// Nothing, but our lease is still there although it is over.
    Nothing,
}

/// All of it, by the key of the connection. Its lock is held for moments only, and never together with another one.
#[derive(Debug, Default)]
pub(super) struct UnsavedMap(Mutex<HashMap<String, Unsaved>>);

impl Gained {
    /// Writes the new tokens into `record`, which holds the refresh token that was spent.
    pub(super) fn write_into(&self, record: &mut ConnectionRecord) {
        let Tokens { access_token, refresh_token, token_type, scopes, account, .. } = &self.tokens;
        record.access_token = Some(access_token.duplicate());
        if let Some(new) = refresh_token.as_ref().filter(|token| !token.is_empty()) {
            record.refresh_token = Some(new.duplicate());
        }
        record.expires_at = self.expires_at;
        record.obtained_at = Some(self.obtained_at);
        if let Some(token_type) = token_type {
            record.token_type = Some(token_type.clone());
        }
        if let Some(scopes) = scopes {
            record.scopes = Some(scopes.clone());
        }
        for (known, said) in [(&mut record.account.id, &account.id), (&mut record.account.label, &account.label)] {
            if said.is_some() {
                known.clone_from(said);
            }
        }
        if record.status == ConnectionStatus::Expired {
            record.status = ConnectionStatus::Connected;
        }
        Memory { refreshed: true, failure: None }.keep(record);
    }

    /// Whether `record` is still the one that these are to be written into. A login may have brought the same refresh
    /// token again, and newer tokens beside it; those stay, unless what they were had for is spent.
    pub(super) fn is_for(&self, record: &ConnectionRecord) -> bool {
        holds(record, &self.spent) && (self.has_rotated() || record.obtained_at == self.before)
    }

    /// Whether the answer brought another refresh token than the one that was spent.
    pub(super) fn has_rotated(&self) -> bool {
        self.tokens.refresh_token.as_ref().is_some_and(|token| !token.is_empty() && super::digest(token) != self.spent)
    }
}

impl UnsavedMap {
    /// Tokens of `key` that are not stored yet.
    pub(super) fn tokens(&self, key: &str) -> Option<Arc<Gained>> {
        match self.lock().get(key)? {
            Unsaved::Tokens(gained) => Some(Arc::clone(gained)),
            Unsaved::Nothing => None,
        }
    }

    /// The connections whose tokens are not stored yet.
    pub(super) fn keys(&self) -> Vec<String> {
        let all = self.lock();
        let tokens = all.iter().filter(|(_, unsaved)| matches!(unsaved, Unsaved::Tokens(_)));
        tokens.map(|(key, _)| key.clone()).collect()
    }

    /// Whether all that is left of `key` is a lease that is over.
    pub(super) fn is_nothing(&self, key: &str) -> bool {
        matches!(self.lock().get(key), Some(Unsaved::Nothing))
    }

    pub(super) fn keep(&self, key: &str, unsaved: Unsaved) {
        self.lock().insert(key.to_owned(), unsaved);
    }

    pub(super) fn forget(&self, key: &str) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Unsaved>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether `record` still holds the refresh token with this hash.
pub(super) fn holds(record: &ConnectionRecord, spent: &str) -> bool {
    refresh_token(record).is_some_and(|token: &Secret| super::digest(token) == spent)
}
