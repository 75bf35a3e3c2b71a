//! The audit log: who did what, when. It holds no secret, no body, no query string and no header value.
//!
//! An entry is one sealed value under `audit:<microseconds>:<id>`; a second key by principal finds a person's own
//! entries without opening everybody's. Entries end after [`RETENTION_SECONDS`].

mod reading;

use std::sync::Arc;

use serde_json::{Map, Value};

pub use reading::{AuditQuery, Cursor, Glance};

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

/// The longest metadata of one event, in bytes; what does not fit is dropped. Ours have a few hundred, and whoever looks
/// at the log opens thousands of entries.
const MAX_METADATA: usize = 4 * 1024;

/// The keys of each of some entries.
type EntryKeys = Vec<Vec<String>>;

/// The log.
#[derive(Debug)]
pub struct AuditLog {
    vault: Arc<Vault>,
    clock: Clock,
}

/// Entries that are not written yet.
pub(crate) struct Prepared {
    ids: Vec<String>,
    entries: Vec<(String, Vec<u8>)>,
    expires_at: Timestamp,
}

impl Prepared {
    /// What writes them.
    pub(crate) fn writes(&self) -> impl Iterator<Item = VaultWrite<'_>> {
        let expires_at = Some(self.expires_at);
        self.entries.iter().map(move |(key, value)| VaultWrite { expires_at, ..VaultWrite::put(key, value) })
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
    pub(crate) fn prepare(&self, source: AuditSource, actor: Option<&Actor>, events: Vec<AuditEvent>) -> Prepared {
        let now = self.clock.now();
        let mut entries = Vec::with_capacity(events.len() * 2);
        let mut ids = Vec::with_capacity(events.len());
        for (index, event) in events.into_iter().enumerate() {
            let entry = to_entry(event, source, actor, now);
            // Entries of one batch keep their order.
            let time = now.unix_micros() + i64::try_from(index).unwrap_or(0);
            let suffix = format!("{time:020}:{}", entry.event_id);
            if let Some(principal_id) = &entry.principal_id {
                entries.push((format!("{}{suffix}", entries_of(principal_id)), Vec::new()));
            }
            entries.push((format!("audit:{suffix}"), serde_json::to_vec(&entry).unwrap_or_default()));
            ids.push(entry.event_id);
        }
        Prepared { ids, entries, expires_at: now.plus_seconds(RETENTION_SECONDS) }
    }

    /// Removes the oldest entries beyond [`KEPT`]; returns how many. Entries of clients, and of strangers who are
    /// nobody's, go first while they are more than half: nobody can push out what we noted by doing much.
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
                let is_somebodys = |entry: &AuditEntry| entry.principal_id.is_some();
                let is_ours = entry.as_ref().is_some_and(|it| it.source == AuditSource::Internal && is_somebodys(it));
                let owner = entry.and_then(|entry| entry.principal_id);
                let index = owner.map(|owner| format!("{}{}", entries_of(&owner), &key[ENTRIES.len()..]));
                let of = if is_ours { &mut ours } else { &mut theirs };
                of.push(std::iter::once(key).chain(index).collect());
            }
            if is_last {
                return Ok((theirs, ours));
            }
        }
    }
}

/// Where the entries of one principal are named, without their contents.
fn entries_of(principal_id: &str) -> String {
    format!("audit_of:{principal_id}:")
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
    let mut left = MAX_METADATA;
    let mut fits = |name: &str, value: &Value| {
        let size = name.len() + value.as_str().map_or(0, str::len);
        let fits = size <= left;
        left -= if fits { size } else { 0 };
        fits
    };
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
        .filter(|(name, value)| fits(name, value))
        .collect()
}

fn cut(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests;
