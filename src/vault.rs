//! The vault: every value that the store keeps, sealed under a data key that the master key wraps.
//!
//! # What is in the store
//!
//! Integers are big-endian. Associated data is authenticated and not stored.
//!
//! A **record** under the key `K`:
//!
//! ```text
//! offset  length
//!      0       1   version: 1
//!      1      24   nonce, random
//!     25       n   the value, encrypted
//!   25+n      16   Poly1305 tag
//!
//! cipher: XChaCha20-Poly1305, key: the data key, associated data: "authsome record 1" 0x00 K
//! ```
//!
//! So a record is 41 bytes longer than its value, and opens only under the key that it was written to.
//!
//! The **data key**, 32 random bytes made at the first start, under the key `!data_key` that no record can have:
//!
//! ```text
//! offset  length
//!      0       1   version: 1
//!      1       1   what opens it: 0 a 256-bit master key, 1 a passphrase stretched with Argon2id version 0x13
//!      2       4   passes (t), 0 for a key                                                    now 3
//!      6       4   memory in KiB (m), 0 for a key                                             now 65,536
//!     10       4   lanes (p), 0 for a key                                                     now 4
//!     14      16   salt, random; zeros for a key
//!     30      24   nonce, random
//!     54      32   the data key, encrypted
//!     86      16   Poly1305 tag
//!
//! cipher: XChaCha20-Poly1305, associated data: "authsome data key 1" 0x00 and the bytes 0 to 29
//! ```
//!
//! Limits: somebody who can write to the file can put an older version of a record back in its place, can delete it,
//! and can change when it expires. Keys are not encrypted, and the length of a value shows.

mod key;
mod seal;
#[cfg(test)]
mod tests;
mod wrap;

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::error::{AuthsomeError, Result};
use crate::store::{Expected, KEY_BYTES, Range, Store, Write};
pub use key::{KeySettings, KeySource, MasterKey};
use seal::Sealer;

/// Where the wrapped data key is. Keys that start with [`RESERVED`] are not for records.
const DATA_KEY: &str = "!data_key";
const RESERVED: char = '!';

/// A value as it comes out of the vault; wiped when dropped.
pub type Plain = Zeroizing<Vec<u8>>;

/// Sealed records by key. Shared by reference or `Arc` among threads.
///
/// Keys are text of 1 to 512 bytes without control characters, and do not start with `!`. Credentials are under
/// `vault:<vault_id>:<provider>:connection:<name>`.
///
/// ```
/// use authsome::clock::Clock;
/// use authsome::vault::{MasterKey, Vault};
/// use authsome::{secret::Secret, store};
///
/// let key = MasterKey::from_secret(&Secret::new("GbfvK3kyAF6Qh4rXnUGhmXFOSDx4pMP5vWgpW1qo3bw=".to_owned()))?;
/// let vault = Vault::open(store::open_in_memory(Clock::system())?, &key)?;
/// vault.put("vault:v1:github:connection:work", br#"{"api_key":"ghp_1"}"#)?;
/// assert_eq!(vault.list("vault:v1:github:")?, ["vault:v1:github:connection:work"]);
/// let value = vault.get("vault:v1:github:connection:work")?;
/// assert_eq!(value.as_deref().map(Vec::as_slice), Some(&br#"{"api_key":"ghp_1"}"#[..]));
/// assert!(vault.delete("vault:v1:github:connection:work")?);
/// # Ok::<(), authsome::AuthsomeError>(())
/// ```
pub struct Vault {
    store: Arc<dyn Store>,
    sealer: Sealer,
}

impl Vault {
    /// Opens the vault in `store`: unwraps the data key, or makes one in a store that is empty. A passphrase takes a
    /// few hundred milliseconds and 64 MiB.
    ///
    /// # Errors
    /// [`AuthsomeError::EncryptionUnavailable`] when `key` is not the one that the vault was made with, or could not
    /// be saved; [`AuthsomeError::StoreUnavailable`] when the store fails, or holds records but no data key. Nothing
    /// was changed then.
    pub fn open(store: Arc<dyn Store>, key: &MasterKey) -> Result<Self> {
        let data_key = match store.get(DATA_KEY)? {
            Some(wrapped) => wrap::unwrap(&wrapped, key)?,
            None => make_data_key(&*store, key)?,
        };
        Ok(Self { store, sealer: Sealer::new(&data_key) })
    }

    /// The value of `key`, or `None` when there is none or its time is over.
    ///
    /// # Errors
    /// [`AuthsomeError::StoreUnavailable`] when the store fails, or the record is damaged or was another key's.
    ///
    /// ```
    /// # let vault = authsome::vault::test_only_vault();
    /// assert!(vault.get("vault:v1:openai:connection:default")?.is_none());
    /// vault.put("vault:v1:openai:connection:default", b"{}")?;
    /// assert_eq!(vault.get("vault:v1:openai:connection:default")?.as_deref().map(Vec::len), Some(2));
    /// # Ok::<(), authsome::AuthsomeError>(())
    /// ```
    pub fn get(&self, key: &str) -> Result<Option<Plain>> {
        Ok(self.get_versioned(key)?.map(|(value, _)| value))
    }

    /// The value of `key`, and which version of it that is.
    ///
    /// # Errors
    /// As [`Vault::get`].
    pub fn get_versioned(&self, key: &str) -> Result<Option<(Plain, Version)>> {
        if check_key(key).is_err() {
            return Ok(None); // no record can have it
        }
        let Some(sealed) = self.store.get(key)? else { return Ok(None) };
        Ok(Some((self.sealer.open(key, &sealed)?, Version(sealed))))
    }

    /// Puts `value` under `key`, in the place of what was there. It is on the disk when this returns.
    ///
    /// # Errors
    /// [`AuthsomeError::InvalidInput`] when `key` is not a key; [`AuthsomeError::StoreUnavailable`].
    ///
    /// ```
    /// # let vault = authsome::vault::test_only_vault();
    /// vault.put("vault:v1:github:connection:work", b"first")?;
    /// vault.put("vault:v1:github:connection:work", b"second")?;
    /// assert_eq!(**vault.get("vault:v1:github:connection:work")?.expect("just put"), *b"second");
    /// assert!(vault.put("", b"no key").is_err());
    /// # Ok::<(), authsome::AuthsomeError>(())
    /// ```
    pub fn put(&self, key: &str, value: &[u8]) -> Result<()> {
        self.apply(&[VaultWrite::put(key, value)]).map(drop)
    }

    /// Removes `key`; whether it was there.
    ///
    /// # Errors
    /// As [`Vault::put`].
    ///
    /// ```
    /// # let vault = authsome::vault::test_only_vault();
    /// vault.put("vault:v1:github:connection:work", b"value")?;
    /// assert!(vault.delete("vault:v1:github:connection:work")?);
    /// assert!(!vault.delete("vault:v1:github:connection:work")?);
    /// # Ok::<(), authsome::AuthsomeError>(())
    /// ```
    pub fn delete(&self, key: &str) -> Result<bool> {
        check_key(key)?;
        while let Some(sealed) = self.store.get(key)? {
            let expected = Expected::Value(&sealed);
            if self.store.apply(&[Write { key, value: None, expected, expires_at: None }])? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// All keys that start with `prefix`, in order.
    ///
    /// # Errors
    /// [`AuthsomeError::StoreUnavailable`].
    ///
    /// ```
    /// # let vault = authsome::vault::test_only_vault();
    /// for name in ["work", "home"] {
    ///     vault.put(&format!("vault:v1:github:connection:{name}"), b"value")?;
    /// }
    /// let keys = vault.list("vault:v1:github:connection:")?;
    /// assert_eq!(keys, ["vault:v1:github:connection:home", "vault:v1:github:connection:work"]);
    /// assert!(vault.list("vault:v2:")?.is_empty());
    /// # Ok::<(), authsome::AuthsomeError>(())
    /// ```
    pub fn list(&self, prefix: &str) -> Result<Vec<String>> {
        let entries = self.range(&Range { prefix, after: None, reverse: false, limit: usize::MAX })?;
        Ok(entries.into_iter().map(|(key, _)| key).collect())
    }

    /// Keys and values of a part of the vault, in order.
    ///
    /// # Errors
    /// As [`Vault::get`].
    pub fn scan(&self, range: &Range<'_>) -> Result<Vec<(String, Plain)>> {
        let open = |(key, sealed): (String, Vec<u8>)| self.sealer.open(&key, &sealed).map(|value| (key, value));
        self.range(range)?.into_iter().map(open).collect()
    }

    /// Does all `writes` as one step, or none when one's `expected` does not hold any more; then the answer is `false`.
    ///
    /// # Errors
    /// As [`Vault::put`].
    ///
    /// ```
    /// use authsome::vault::{ExpectedVersion, VaultWrite};
    /// # let vault = authsome::vault::test_only_vault();
    /// vault.put("vault:v1:github:connection:work", b"old token")?;
    /// let (_, version) = vault.get_versioned("vault:v1:github:connection:work")?.expect("just put");
    /// let refresh = VaultWrite {
    ///     expected: ExpectedVersion::Is(&version),
    ///     ..VaultWrite::put("vault:v1:github:connection:work", b"new token")
    /// };
    /// assert!(vault.apply(&[refresh])?);
    /// assert!(!vault.apply(&[refresh])?, "that version is gone, whatever the value");
    /// # Ok::<(), authsome::AuthsomeError>(())
    /// ```
    pub fn apply(&self, writes: &[VaultWrite<'_>]) -> Result<bool> {
        writes.iter().try_for_each(|write| check_key(write.key))?;
        let seal = |write: &VaultWrite<'_>| write.value.map(|value| self.sealer.seal(write.key, value));
        let sealed: Vec<Option<Vec<u8>>> = writes.iter().map(seal).collect();
        let steps: Vec<Write<'_>> =
            writes.iter().zip(&sealed).map(|(write, sealed)| write.with(sealed.as_deref())).collect();
        Ok(self.store.apply(&steps)?)
    }

    /// Removes records whose time is over; returns how many.
    ///
    /// # Errors
    /// [`AuthsomeError::StoreUnavailable`].
    pub fn remove_expired(&self) -> Result<usize> {
        Ok(self.store.remove_expired()?)
    }

    /// What keeps the records.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The records of a range, sealed, without what is reserved.
    fn range(&self, range: &Range<'_>) -> Result<Vec<(String, Vec<u8>)>> {
        let limit = range.limit.saturating_add(1); // for the data key
        let mut entries = self.store.range(&Range { limit, ..*range })?;
        entries.retain(|(key, _)| !key.starts_with(RESERVED));
        entries.truncate(range.limit);
        Ok(entries)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("store", &self.store).finish_non_exhaustive()
    }
}

/// One write of [`Vault::apply`].
#[derive(Clone, Copy)]
pub struct VaultWrite<'a> {
    /// Which record.
    pub key: &'a str,
    /// The new value; `None` removes the record.
    pub value: Option<&'a [u8]>,
    /// What must be there for the step to happen.
    pub expected: ExpectedVersion<'a>,
    /// When the record ends.
    pub expires_at: Option<Timestamp>,
}

impl<'a> VaultWrite<'a> {
    /// Puts `value` under `key`, whatever is there, for good.
    pub fn put(key: &'a str, value: &'a [u8]) -> Self {
        Self { key, value: Some(value), expected: ExpectedVersion::Anything, expires_at: None }
    }

    /// Removes `key`, whatever is there.
    pub fn delete(key: &'a str) -> Self {
        Self { key, value: None, expected: ExpectedVersion::Anything, expires_at: None }
    }

    fn with(&self, sealed: Option<&'a [u8]>) -> Write<'a> {
        let expected = match self.expected {
            ExpectedVersion::Anything => Expected::Anything,
            ExpectedVersion::Absent => Expected::Absent,
            ExpectedVersion::Is(version) => Expected::Value(&version.0),
        };
        Write { key: self.key, value: sealed, expected, expires_at: self.expires_at }
    }
}

impl fmt::Debug for VaultWrite<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultWrite").field("key", &self.key).field("expected", &self.expected).finish_non_exhaustive()
    }
}

/// A condition on the old record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedVersion<'a> {
    /// Whatever is there.
    Anything,
    /// Nothing.
    Absent,
    /// Exactly this version.
    Is(&'a Version),
}

/// Names one write of one record. Each write makes a new version, also of the same value.
#[derive(Clone, PartialEq, Eq)]
pub struct Version(Vec<u8>);

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Version(..)")
    }
}

/// Refuses what is not the key of a record.
fn check_key(key: &str) -> Result<()> {
    let refuse = |reason: String| Err(AuthsomeError::InvalidInput { what: "vault key", reason });
    if key.is_empty() || key.len() > KEY_BYTES {
        return refuse(format!("it has {} bytes, 1 to {KEY_BYTES} are allowed", key.len()));
    }
    if key.starts_with(RESERVED) || key.contains(char::is_control) {
        return refuse(format!("it starts with '{RESERVED}' or holds a control character"));
    }
    Ok(())
}

/// Makes the data key of an empty store. The master key is on the disk before the store depends on it. When another
/// daemon that shares the store is faster, its data key counts.
fn make_data_key(store: &dyn Store, key: &MasterKey) -> Result<wrap::DataKey> {
    if store.range(&Range { prefix: "", after: None, reverse: false, limit: 1 })?.is_empty() {
        key.save()?;
        let data_key = wrap::new_data_key();
        let wrapped = wrap::wrap(&data_key, key)?;
        let write = Write { key: DATA_KEY, value: Some(&wrapped), expected: Expected::Absent, expires_at: None };
        if store.apply(&[write])? {
            return Ok(data_key);
        }
    }
    let wrapped = store.get(DATA_KEY)?.ok_or_else(|| AuthsomeError::StoreUnavailable {
        reason: "the store holds records but not the data key that opens them".to_owned(),
    })?;
    wrap::unwrap(&wrapped, key)
}

/// A vault in memory, for examples.
#[doc(hidden)]
pub fn test_only_vault() -> Vault {
    let store = crate::store::open_in_memory(crate::clock::Clock::system()).expect("memory does not fail");
    Vault::open(store, &MasterKey::generate()).expect("the store is empty and the key is not from a file")
}
