//! The [`Store`]: an ordered map of byte strings with compare-and-swap, and its engines.
//!
//! A store knows nothing of what it keeps: values come sealed from the vault. Every write is durable when the call
//! returns (`P4`: nothing that was acknowledged is lost).

mod batch;
mod embedded;
mod file;
mod layout;
mod overlay;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::clock::{Clock, Timestamp};
use embedded::Embedded;

/// The longest key, in bytes.
pub const KEY_BYTES: usize = 512;

/// Opens the store in the file `path`, and makes it when there is none: 0600, in directories that are 0700.
///
/// The file is checked whole before anything is written to it, so a damaged one stays as it was found. From then on
/// no other process can open it.
///
/// # Errors
/// [`StoreError::Locked`], [`StoreError::Corrupt`], [`StoreError::NewerSchema`], or what the file system says.
pub fn open_embedded(path: &Path, clock: Clock) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(Embedded::open(path, clock)?))
}

/// A store that is gone when it is dropped, for tests and examples.
///
/// # Errors
/// None in practice: memory does not fail.
pub fn open_in_memory(clock: Clock) -> Result<Arc<dyn Store>, StoreError> {
    Ok(Arc::new(Embedded::in_memory(clock)?))
}

/// An ordered, durable map from keys (UTF-8, at most 512 bytes) to values.
///
/// All methods may be called from many threads; none holds a lock while another call waits on a network.
pub trait Store: Send + Sync + fmt::Debug {
    /// The value of `key`, unless it has expired.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Applies all `writes` as one step, or none of them. When one names an `expected` value that does not hold any
    /// more, nothing is written and the answer is `false`.
    fn apply(&self, writes: &[Write<'_>]) -> Result<bool, StoreError>;

    /// Keys and values in order, at most `range.limit`.
    fn range(&self, range: &Range<'_>) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// Removes values whose time is over; returns how many.
    fn remove_expired(&self) -> Result<usize, StoreError>;

    /// Whether no other process can have it open: whatever an earlier one was doing is over.
    fn is_exclusive(&self) -> bool;

    /// One line about the engine, for `health` and `doctor`: no path, no address with credentials.
    fn describe(&self) -> String;
}

/// One write of a step.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// Which key.
    pub key: &'a str,
    /// The new value; `None` removes the key.
    pub value: Option<&'a [u8]>,
    /// What must be there for the step to happen.
    pub expected: Expected<'a>,
    /// When the value ends.
    pub expires_at: Option<Timestamp>,
}

/// A condition on the old value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected<'a> {
    /// Whatever is there.
    Anything,
    /// Nothing.
    Absent,
    /// Exactly these bytes.
    Value(&'a [u8]),
}

/// A part of the map.
#[derive(Clone, Copy, Debug)]
pub struct Range<'a> {
    /// Every key starts so.
    pub prefix: &'a str,
    /// Only keys after this one, in the direction of reading.
    pub after: Option<&'a str>,
    /// From the last key to the first.
    pub reverse: bool,
    /// At most so many.
    pub limit: usize,
}

/// Why a store does not serve.
#[derive(Debug)]
pub enum StoreError {
    /// Another process has it open.
    Locked,
    /// The file is not a store, or it is damaged.
    Corrupt(String),
    /// It was written by a version with a newer layout.
    NewerSchema {
        /// The layout in the file.
        found: u32,
        /// The newest that we know.
        known: u32,
    },
    /// No space, or the file system is read-only: the write did not happen.
    Full(String),
    /// A key is empty or longer than [`KEY_BYTES`].
    BadKey,
    /// The system failed; the text names the path. Whether a write happened is not known.
    Io(std::io::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => f.write_str("the store is in use by another daemon"),
            Self::Corrupt(reason) => write!(f, "the store is damaged: {reason}"),
            Self::NewerSchema { found, known } => {
                write!(f, "the store has layout {found}, this version knows {known}: install a newer authsome")
            }
            Self::Full(reason) => write!(f, "the store cannot be written: {reason}; nothing was changed"),
            Self::BadKey => write!(f, "a key of the store has 1 to {KEY_BYTES} bytes"),
            Self::Io(error) => write!(f, "the store failed: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for crate::error::AuthsomeError {
    fn from(error: StoreError) -> Self {
        Self::StoreUnavailable { reason: error.to_string() }
    }
}
