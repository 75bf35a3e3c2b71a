//! What is in the tables, and how steps change them.
//!
//! ```text
//! meta     "schema" -> u32                   1
//! records  key      -> expiry ‖ value        expiry: microseconds since 1970, i64 big-endian, i64::MAX for never
//! expiry   (microseconds, key) -> ()         one entry for each record that ends
//! ```

use std::collections::BTreeMap;
use std::ops::Bound;

use redb::{
    AccessGuard, Database, ReadTransaction, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError,
};
use redb::{Durability, WriteTransaction};

use super::batch::Job;
use super::{Expected, KEY_BYTES, Range, StoreError, Write};
use crate::clock::Timestamp;

/// The layout that this version writes.
pub(super) const SCHEMA: u32 = 1;

const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");
const EXPIRY: TableDefinition<'_, (i64, &str), ()> = TableDefinition::new("expiry");

const NEVER: i64 = i64::MAX;
/// So that other writers do not wait long.
const REMOVED_PER_STEP: usize = 1000;

/// Makes the tables of a new store.
pub(super) fn initialize(database: &Database) -> Result<(), redb::Error> {
    let step = database.begin_write()?;
    step.open_table(META)?.insert("schema", SCHEMA)?;
    step.open_table(RECORDS)?;
    step.open_table(EXPIRY)?;
    Ok(step.commit()?)
}

/// Refuses what this version cannot read.
pub(super) fn check_schema(database: &Database) -> Result<Result<(), StoreError>, redb::Error> {
    let meta = match database.begin_read()?.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Err(StoreError::Corrupt("it holds no layout".into()))),
        table => table?,
    };
    let found = meta.get("schema")?.map(|schema| schema.value());
    Ok(match found {
        Some(SCHEMA) => Ok(()),
        Some(found) if found > SCHEMA => Err(StoreError::NewerSchema { found, known: SCHEMA }),
        _ => Err(StoreError::Corrupt("its layout is unknown".into())),
    })
}

/// Whether a store can hold `key`.
pub(super) fn is_key(key: &str) -> bool {
    (1..=KEY_BYTES).contains(&key.len())
}

/// The value of `key`, unless it is over.
pub(super) fn get(read: &ReadTransaction, key: &str, now: Timestamp) -> Result<Option<Vec<u8>>, redb::Error> {
    let records = read.open_table(RECORDS)?;
    let record = records.get(key)?;
    Ok(record.and_then(|record| live(record.value(), now).map(<[u8]>::to_vec)))
}

/// The part `range` of the records, without those that are over.
pub(super) fn range(
    read: &ReadTransaction,
    range: &Range<'_>,
    now: Timestamp,
) -> Result<Vec<(String, Vec<u8>)>, redb::Error> {
    let Some(bounds) = bounds(range) else { return Ok(Vec::new()) };
    let records = read.open_table(RECORDS)?;
    let mut entries = records.range::<&str>((as_str(&bounds.0), as_str(&bounds.1)))?;
    let mut found = Vec::new();
    while found.len() < range.limit {
        let Some(entry) = (if range.reverse { entries.next_back() } else { entries.next() }) else { break };
        let (key, record) = entry?;
        if let Some(value) = live(record.value(), now) {
            found.push((key.value().to_owned(), value.to_vec()));
        }
    }
    Ok(found)
}

/// Does the steps one after the other in one transaction, and writes into `done` for each whether its conditions held.
/// After an error it is not known whether those happened; [`holds`] finds out.
pub(super) fn apply(
    database: &Database,
    steps: &[&Job],
    done: &mut Vec<bool>,
    now: Timestamp,
) -> Result<(), redb::Error> {
    done.clear();
    let transaction = begin(database)?;
    {
        let mut tables = Tables::open(&transaction)?;
        for step in steps {
            done.push(tables.apply(&step.writes().collect::<Vec<_>>(), now)?);
        }
    }
    if done.contains(&true) {
        transaction.commit()?;
    } else {
        transaction.abort()?;
    }
    Ok(())
}

/// Whether the records are as they would be right after those of `steps` that are `done`.
pub(super) fn holds(read: &ReadTransaction, steps: &[&Job], done: &[bool]) -> Result<bool, redb::Error> {
    let mut expected = BTreeMap::new();
    for (step, _) in steps.iter().zip(done).filter(|(_, done)| **done) {
        expected
            .extend(step.writes().map(|write| (write.key, write.value.map(|value| record(value, write.expires_at)))));
    }
    let records = read.open_table(RECORDS)?;
    for (key, expected) in expected {
        if records.get(key)?.as_ref().map(AccessGuard::value) != expected.as_deref() {
            return Ok(false);
        }
    }
    Ok(steps.len() == done.len())
}

/// Removes records that are over, not more than a step should hold, and says how many. Nobody else may write meanwhile.
pub(super) fn remove_expired(database: &Database, now: Timestamp) -> Result<usize, redb::Error> {
    let over = over(&database.begin_read()?, now)?;
    if over.is_empty() {
        return Ok(0);
    }
    let transaction = begin(database)?;
    {
        let mut tables = Tables::open(&transaction)?;
        for (end, key) in &over {
            tables.write(key, None)?;
            tables.expiry.remove((*end, key.as_str()))?; // also when, against all order, there was no such record
        }
    }
    transaction.commit()?;
    Ok(over.len())
}

fn over(read: &ReadTransaction, now: Timestamp) -> Result<Vec<(i64, String)>, redb::Error> {
    let mut over = Vec::new();
    for entry in read.open_table(EXPIRY)?.iter()?.take(REMOVED_PER_STEP) {
        let (entry, _) = entry?;
        let (end, key) = entry.value();
        if end > now.unix_micros() {
            break;
        }
        over.push((end, key.to_owned()));
    }
    Ok(over)
}

fn begin(database: &Database) -> Result<WriteTransaction, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    Ok(transaction)
}

struct Tables<'a> {
    records: Table<'a, &'static str, &'static [u8]>,
    expiry: Table<'a, (i64, &'static str), ()>,
}

impl<'a> Tables<'a> {
    fn open(transaction: &'a WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self { records: transaction.open_table(RECORDS)?, expiry: transaction.open_table(EXPIRY)? })
    }

    /// One step: all conditions first, so that a step that does not happen leaves no trace.
    fn apply(&mut self, writes: &[Write<'_>], now: Timestamp) -> Result<bool, redb::Error> {
        for write in writes {
            let record = self.records.get(write.key)?;
            let holds = match (write.expected, record.as_ref().and_then(|record| live(record.value(), now))) {
                (Expected::Anything, _) | (Expected::Absent, None) => true,
                (Expected::Value(expected), Some(value)) => expected == value,
                (Expected::Absent, Some(_)) | (Expected::Value(_), None) => false,
            };
            if !holds {
                return Ok(false);
            }
        }
        for write in writes {
            self.write(write.key, write.value.map(|value| record(value, write.expires_at)).as_deref())?;
        }
        Ok(true)
    }

    /// Puts or removes one record, and keeps the index of ends true.
    fn write(&mut self, key: &str, record: Option<&[u8]>) -> Result<(), redb::Error> {
        let end = |record: &[u8]| split(record).map(|(end, _)| end).filter(|end| *end != NEVER);
        let old = match record {
            Some(record) => self.records.insert(key, record)?,
            None => self.records.remove(key)?,
        };
        if let Some(end) = old.and_then(|old| end(old.value())) {
            self.expiry.remove((end, key))?;
        }
        if let Some(end) = record.and_then(end) {
            self.expiry.insert((end, key), ())?;
        }
        Ok(())
    }
}

fn record(value: &[u8], end: Option<Timestamp>) -> Vec<u8> {
    [&end.map_or(NEVER, Timestamp::unix_micros).to_be_bytes()[..], value].concat()
}

/// The value in a record, unless its time is over.
fn live(record: &[u8], now: Timestamp) -> Option<&[u8]> {
    split(record).filter(|(end, _)| *end > now.unix_micros()).map(|(_, value)| value)
}

fn split(record: &[u8]) -> Option<(i64, &[u8])> {
    record.split_first_chunk().map(|(end, value)| (i64::from_be_bytes(*end), value))
}

/// Where reading starts and ends; `None` when nothing can lie between.
fn bounds(range: &Range<'_>) -> Option<(Bound<String>, Bound<String>)> {
    let first = Bound::Included(range.prefix.to_owned());
    let last = successor(range.prefix).map_or(Bound::Unbounded, Bound::Excluded);
    let Some(after) = range.after else { return Some((first, last)) };
    let ends_before = |key: &str| matches!(&last, Bound::Excluded(last) if key >= last.as_str());
    if range.reverse {
        if after <= range.prefix {
            return None;
        }
        return Some((first, if ends_before(after) { last } else { Bound::Excluded(after.to_owned()) }));
    }
    if ends_before(after) {
        return None;
    }
    Some((if after < range.prefix { first } else { Bound::Excluded(after.to_owned()) }, last))
}

/// The first text after all that start with `prefix`, in the order of bytes; `None` when there is none.
fn successor(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // The surrogates in between are no characters.
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            text.push(next);
            return Some(text);
        }
    }
    None
}

fn as_str(bound: &Bound<String>) -> Bound<&str> {
    match bound {
        Bound::Included(text) => Bound::Included(text),
        Bound::Excluded(text) => Bound::Excluded(text),
        Bound::Unbounded => Bound::Unbounded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_follows_everything_with_the_prefix() {
        assert_eq!(successor("a").as_deref(), Some("b"));
        assert_eq!(successor("vault:").as_deref(), Some("vault;"));
        assert_eq!(successor("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(successor("a\u{10ffff}").as_deref(), Some("b"));
        assert_eq!(successor("\u{10ffff}"), None);
        assert_eq!(successor(""), None);
        assert!("\u{7f}\u{10ffff}\u{10ffff}" < successor("\u{7f}").expect("there is one").as_str());
    }
}
