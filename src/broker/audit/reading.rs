//! Reading the log: pages that new entries do not move, and a look over what happened lately. Whatever is asked for, one
//! call opens at most [`SCANNED`] entries.

use std::ops::ControlFlow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{AuditLog, ENTRIES, MAX_PAGE, entries_of};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::model::AuditEntry;
use crate::store::Range;

/// Entries that one call opens: a filter that fits nothing must not open the whole log, which takes 10 microseconds an
/// entry.
const SCANNED: usize = 5000;

/// Whose entries, which of them, and from where on.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// At most so many, 1 to [`MAX_PAGE`].
    pub limit: usize,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
    /// Only this principal's; `None`: everybody's.
    pub principal_id: Option<String>,
    /// Only this identity's.
    pub identity: Option<String>,
    /// Only about this provider.
    pub provider: Option<String>,
    /// Only events of this name.
    pub event: Option<String>,
}

impl AuditQuery {
    /// Whether an entry is none that a filter leaves out. Whose it is, is not looked at.
    pub fn fits(&self, glance: &Glance) -> bool {
        let fits = |wanted: &Option<String>, found: Option<&String>| wanted.is_none() || wanted.as_ref() == found;
        fits(&self.identity, glance.identity.as_ref())
            && fits(&self.provider, glance.provider.as_ref())
            && fits(&self.event, Some(&glance.event))
    }

    /// Whether every entry fits.
    pub fn is_unfiltered(&self) -> bool {
        self.identity.is_none() && self.provider.is_none() && self.event.is_none()
    }
}

/// What filters and counts look at: the rest of an entry is not even parsed for them.
#[derive(Clone, Debug, Deserialize)]
pub struct Glance {
    /// When.
    pub timestamp: Timestamp,
    /// Name, as `provider.login`.
    pub event: String,
    /// Handle of the identity that acted.
    pub identity: Option<String>,
    /// Provider it is about.
    pub provider: Option<String>,
    /// How it went.
    pub status: Option<String>,
}

/// A position between two entries. Stable: new entries do not move it, and the entry before it may be gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    t: i64,
    id: String,
}

impl Cursor {
    /// Reads the base64url JSON of a `next_cursor`; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let json = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()?;
        let cursor: Self = serde_json::from_slice(&json).ok()?;
        let plain = cursor.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        (plain && cursor.t >= 0).then_some(cursor)
    }

    /// After the entry whose key ends so.
    fn after(suffix: &str) -> Option<Self> {
        let (time, id) = suffix.split_once(':')?;
        Some(Self { t: time.parse().ok()?, id: id.to_owned() })
    }

    fn suffix(&self) -> String {
        format!("{:020}:{}", self.t, self.id)
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let json = serde_json::to_vec(self).map_err(|_| std::fmt::Error)?;
        f.write_str(&URL_SAFE_NO_PAD.encode(json))
    }
}

impl AuditLog {
    /// A page of entries, newest first, and where the next one starts; `None`: there is no older entry. Behind a filter
    /// a page may be short, and even empty, although there is a next one: then [`SCANNED`] entries were looked at.
    ///
    /// # Errors
    /// `StoreUnavailable`.
    pub fn page(&self, query: &AuditQuery) -> Result<(Vec<AuditEntry>, Option<Cursor>)> {
        let limit = query.limit.clamp(1, MAX_PAGE);
        let (mut entries, mut last) = (Vec::<AuditEntry>::new(), None);
        // One more than the page holds: whether there is a next one.
        let step = if query.is_unfiltered() { limit + 1 } else { MAX_PAGE };
        let stopped = self.walk(query.principal_id.as_deref(), query.cursor.as_ref(), step, &mut |suffix, value| {
            let fits =
                || query.is_unfiltered() || serde_json::from_slice(value).is_ok_and(|glance| query.fits(&glance));
            if !fits() {
                return ControlFlow::Continue(());
            }
            let Ok(entry) = serde_json::from_slice(value) else { return ControlFlow::Continue(()) };
            if entries.len() == limit {
                return ControlFlow::Break(());
            }
            entries.push(entry);
            last = Cursor::after(suffix);
            ControlFlow::Continue(())
        })?;
        let next = match stopped {
            Stopped::AtEnd => None,
            Stopped::Early => last,
            Stopped::Tired(cursor) => cursor,
        };
        Ok((entries, next))
    }

    /// Shows the newest entries of `principal_id` (`None`: of everybody) to `visit`, newest first. Returns whether that
    /// were all: [`SCANNED`] at most are shown.
    ///
    /// # Errors
    /// `StoreUnavailable`.
    pub fn glance(&self, principal_id: Option<&str>, mut visit: impl FnMut(Glance)) -> Result<bool> {
        let stopped = self.walk(principal_id, None, MAX_PAGE, &mut |_, value| {
            if let Ok(glance) = serde_json::from_slice(value) {
                visit(glance);
            }
            ControlFlow::Continue(())
        })?;
        Ok(matches!(stopped, Stopped::AtEnd))
    }

    /// Opens entries, `step` at a time, newest first, until `visit` breaks.
    fn walk(
        &self,
        principal_id: Option<&str>,
        from: Option<&Cursor>,
        step: usize,
        visit: &mut dyn FnMut(&str, &[u8]) -> ControlFlow<()>,
    ) -> Result<Stopped> {
        let prefix = principal_id.map_or_else(|| ENTRIES.to_owned(), entries_of);
        let mut after = from.map(|cursor| format!("{prefix}{}", cursor.suffix()));
        let mut looked_at = 0;
        while looked_at < SCANNED {
            let range = Range { prefix: &prefix, after: after.as_deref(), reverse: true, limit: step };
            let found = self.vault.scan(&range)?;
            for (key, value) in &found {
                let suffix = &key[prefix.len()..];
                let entry = match principal_id {
                    None => None,
                    // Gone meanwhile: what is named first is removed first.
                    Some(_) => self.vault.get(&format!("{ENTRIES}{suffix}"))?,
                };
                let value = entry.as_ref().unwrap_or(value);
                if visit(suffix, value).is_break() {
                    return Ok(Stopped::Early);
                }
            }
            if found.len() < step {
                return Ok(Stopped::AtEnd);
            }
            looked_at += found.len();
            after = found.into_iter().next_back().map(|(key, _)| key);
        }
        Ok(Stopped::Tired(after.and_then(|key| Cursor::after(&key[prefix.len()..]))))
    }
}

/// Why a walk over the log ended.
enum Stopped {
    /// There is no older entry.
    AtEnd,
    /// The visitor had enough.
    Early,
    /// It was long enough; where to go on.
    Tired(Option<Cursor>),
}

#[cfg(test)]
mod tests;
