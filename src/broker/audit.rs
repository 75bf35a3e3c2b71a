//! The audit log: who did what, when. It holds no secret, no body, no query string and no header value.
//!
//! An entry is one sealed value under `audit:<microseconds>:<id>`; a second key by principal finds a person's own
//! entries without opening everybody's. Entries end after [`RETENTION_SECONDS`].

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Actor;
use crate::clock::{Clock, Timestamp};
use crate::error::Result;
use crate::model::{AuditEntry, AuditEvent, AuditSource};
use crate::paths::hex;
use crate::secret::random_bytes;
use crate::store::Range;
use crate::vault::{Vault, VaultWrite};

/// How long an entry is kept: a quarter, so that a leak found late can still be traced.
const RETENTION_SECONDS: i64 = 90 * 24 * 3600;
/// How many entries are kept: the store is checked whole when a daemon starts, about a microsecond an entry.
const KEPT: usize = 20_000;
/// Where the entries are.
const ENTRIES: &str = "audit:";
/// Keys removed in one step.
const TRIM_STEP: usize = 500;
/// The largest page (`contract/http.md` section 3).
pub const MAX_PAGE: usize = 500;
/// The longest text of one metadata value; the rest is cut off.
const MAX_TEXT: usize = 512;
/// The most metadata fields of one event; the rest is dropped.
const MAX_FIELDS: usize = 24;

/// The keys of each of some entries.
type EntryKeys = Vec<Vec<String>>;

/// The log.
#[derive(Debug)]
pub struct AuditLog {
    vault: Arc<Vault>,
    clock: Clock,
}

/// Entries that are not written yet.
pub(super) struct Prepared {
    ids: Vec<String>,
    entries: Vec<(String, Vec<u8>)>,
    expires_at: Timestamp,
}

impl Prepared {
    /// What writes them.
    pub(super) fn writes(&self) -> impl Iterator<Item = VaultWrite<'_>> {
        let expires_at = Some(self.expires_at);
        self.entries.iter().map(move |(key, value)| VaultWrite { expires_at, ..VaultWrite::put(key, value) })
    }
}

/// Whose entries, and from where on.
#[derive(Debug, Default)]
pub struct AuditQuery {
    /// At most so many, 1 to [`MAX_PAGE`].
    pub limit: usize,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
    /// Only this principal's; `None`: everybody's.
    pub principal_id: Option<String>,
    /// Only this identity's.
    pub identity: Option<String>,
}

/// A position between two entries. Stable: new entries do not move it.
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
    /// The log in `vault`.
    pub fn new(vault: Arc<Vault>, clock: Clock) -> Self {
        Self { vault, clock }
    }

    /// Writes `events` as one step; returns their identifiers. Durable when it returns.
    ///
    /// # Errors
    /// `StoreUnavailable`; then none of them was written.
    pub fn record(&self, source: AuditSource, actor: Option<&Actor>, events: Vec<AuditEvent>) -> Result<Vec<String>> {
        let prepared = self.prepare(source, actor, events);
        self.vault.apply(&prepared.writes().collect::<Vec<_>>())?;
        Ok(prepared.ids)
    }

    /// `events` as writes for a step that does more than that: what is noted has happened, and the other way round.
    pub(super) fn prepare(&self, source: AuditSource, actor: Option<&Actor>, events: Vec<AuditEvent>) -> Prepared {
        let now = self.clock.now();
        let mut entries = Vec::with_capacity(events.len() * 2);
        let mut ids = Vec::with_capacity(events.len());
        for (index, event) in events.into_iter().enumerate() {
            let entry = to_entry(event, source, actor, now);
            // Entries of one batch keep their order.
            let time = now.unix_micros() + i64::try_from(index).unwrap_or(0);
            let suffix = format!("{time:020}:{}", entry.event_id);
            if let Some(principal_id) = &entry.principal_id {
                entries.push((format!("audit_of:{principal_id}:{suffix}"), Vec::new()));
            }
            entries.push((format!("audit:{suffix}"), serde_json::to_vec(&entry).unwrap_or_default()));
            ids.push(entry.event_id);
        }
        Prepared { ids, entries, expires_at: now.plus_seconds(RETENTION_SECONDS) }
    }

    /// Removes the oldest entries beyond [`KEPT`]; returns how many. Entries of clients go first while they are more
    /// than half: no client can push out what we noted by writing much.
    ///
    /// # Errors
    /// `StoreUnavailable`.
    pub fn trim(&self) -> Result<usize> {
        self.trim_to(KEPT)
    }

    fn trim_to(&self, kept: usize) -> Result<usize> {
        let surplus = self.vault.list(ENTRIES)?.len().saturating_sub(kept);
        if surplus == 0 {
            return Ok(0);
        }
        let (mut theirs, mut ours) = self.keys_by_source()?;
        theirs.truncate(surplus.min(theirs.len().saturating_sub(kept / 2)));
        ours.truncate(surplus - theirs.len());
        let gone: Vec<String> = theirs.into_iter().chain(ours).flatten().collect();
        for step in gone.chunks(TRIM_STEP) {
            let writes: Vec<_> = step.iter().map(|key| VaultWrite::delete(key)).collect();
            self.vault.apply(&writes)?;
        }
        Ok(surplus)
    }

    /// The keys of every entry, oldest first: those of clients, and our own.
    fn keys_by_source(&self) -> Result<(EntryKeys, EntryKeys)> {
        let (mut theirs, mut ours) = (EntryKeys::new(), EntryKeys::new());
        let mut after: Option<String> = None;
        loop {
            let range = Range { prefix: ENTRIES, after: after.as_deref(), reverse: false, limit: MAX_PAGE };
            let found = self.vault.scan(&range)?;
            let is_last = found.len() < MAX_PAGE;
            after = found.last().map(|(key, _)| key.clone());
            for (key, value) in found {
                let entry = serde_json::from_slice::<AuditEntry>(&value).ok();
                let is_ours = entry.as_ref().is_some_and(|entry| entry.source == AuditSource::Internal);
                let owner = entry.and_then(|entry| entry.principal_id);
                let index = owner.map(|owner| format!("audit_of:{owner}:{}", &key[ENTRIES.len()..]));
                let of = if is_ours { &mut ours } else { &mut theirs };
                of.push(std::iter::once(key).chain(index).collect());
            }
            if is_last {
                return Ok((theirs, ours));
            }
        }
    }

    /// A page of entries, newest first, and where the next one starts.
    ///
    /// # Errors
    /// `StoreUnavailable`.
    pub fn page(&self, query: &AuditQuery) -> Result<(Vec<AuditEntry>, Option<Cursor>)> {
        let prefix = match &query.principal_id {
            Some(principal_id) => format!("audit_of:{principal_id}:"),
            None => ENTRIES.to_owned(),
        };
        let limit = query.limit.clamp(1, MAX_PAGE);
        let mut after = query.cursor.as_ref().map(|cursor| format!("{prefix}{}", cursor.suffix()));
        let mut entries: Vec<AuditEntry> = Vec::new();
        loop {
            let range = Range { prefix: &prefix, after: after.as_deref(), reverse: true, limit: MAX_PAGE };
            let found = self.vault.scan(&range)?;
            let is_last = found.len() < MAX_PAGE;
            for (key, value) in found {
                let suffix = &key[prefix.len()..];
                let Some(entry) = self.entry(suffix, &value, query)? else { continue };
                entries.push(entry);
                if entries.len() == limit {
                    // A full page has a next one, empty when this was the end.
                    return Ok((entries, position(suffix)));
                }
                after = Some(key);
            }
            if is_last {
                return Ok((entries, None));
            }
        }
    }

    fn entry(&self, suffix: &str, value: &[u8], query: &AuditQuery) -> Result<Option<AuditEntry>> {
        let parsed = if query.principal_id.is_some() {
            self.vault.get(&format!("audit:{suffix}"))?.and_then(|entry| serde_json::from_slice(&entry).ok())
        } else {
            serde_json::from_slice(value).ok()
        };
        Ok(parsed.filter(|entry: &AuditEntry| query.identity.is_none() || entry.identity == query.identity))
    }
}

fn position(suffix: &str) -> Option<Cursor> {
    let (time, id) = suffix.split_once(':')?;
    Some(Cursor { t: time.parse().ok()?, id: id.to_owned() })
}

fn to_entry(event: AuditEvent, source: AuditSource, actor: Option<&Actor>, now: Timestamp) -> AuditEntry {
    AuditEntry {
        event_id: format!("audit_{}", hex(&random_bytes::<16>())),
        timestamp: now,
        event: cut(&event.event),
        source,
        provider: event.provider.as_deref().map(cut),
        connection: event.connection.as_deref().map(cut),
        identity: actor.and_then(|actor| actor.identity.clone()),
        principal_id: actor.map(|actor| actor.principal_id.clone()),
        status: event.status.as_deref().map(cut),
        metadata: flatten(event.metadata),
    }
}

/// Metadata that may stand beside the fixed fields: other names, bounded sizes.
fn flatten(metadata: Map<String, Value>) -> Map<String, Value> {
    metadata
        .into_iter()
        .map(|(name, value)| (cut(&name), value)) // first: what is cut off must not make a fixed name
        .filter(|(name, _)| !AuditEntry::FIXED.contains(&name.as_str()))
        .take(MAX_FIELDS)
        .map(|(name, value)| {
            let value = match value {
                Value::String(text) => Value::String(cut(&text)),
                Value::Array(_) | Value::Object(_) => Value::String(cut(&value.to_string())),
                Value::Null | Value::Bool(_) | Value::Number(_) => value,
            };
            (name, value)
        })
        .collect()
}

fn cut(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests;
