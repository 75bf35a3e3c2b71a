//! [`Secret`]: the only type that carries a credential through this program.
//!
//! Limits: the bytes are wiped when the value is dropped, but copies that a library made on the way (a TLS record, a
//! JSON scratch buffer) are out of our reach.

use std::fmt;
use std::io;

use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// A credential: wiped on drop, and with one way out, [`Secret::expose`].
///
/// It has no `Display`, `Serialize`, `Clone` or `PartialEq` on purpose, so that it cannot reach a log, an answer or a
/// file by accident. `Debug` prints dots.
///
/// ```
/// let key = authsome::secret::Secret::new("sk-123".to_owned());
/// assert_eq!(format!("{key:?}"), "Secret(••••)");
/// assert_eq!(key.expose(), "sk-123");
/// ```
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes ownership of `value`.
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The secret itself. Search for this word to find every place where one leaves its wrapper.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A second owner of the same bytes. Not `Clone`, so that each copy is a visible decision.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// Compares in time that depends on the lengths only.
    pub fn constant_time_eq(&self, other: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(other).into()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(••••)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// A growing buffer whose old allocations are wiped too, for serialising secrets before they are sealed or sent.
#[derive(Default)]
pub struct SecretBuffer(Zeroizing<Vec<u8>>);

impl SecretBuffer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was written so far.
    pub fn expose_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, still wiped when they are dropped.
    pub fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// Serialises `value` as JSON into a fresh buffer.
    ///
    /// # Errors
    /// Only when `value` cannot be JSON (a map with non-string keys).
    pub fn from_json<T: serde::Serialize + ?Sized>(value: &T) -> serde_json::Result<Self> {
        let mut buffer = Self::new();
        serde_json::to_writer(&mut buffer, value)?;
        Ok(buffer)
    }
}

impl fmt::Debug for SecretBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBuffer({} bytes)", self.0.len())
    }
}

impl io::Write for SecretBuffer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let needed = self.0.len() + data.len();
        if needed > self.0.capacity() {
            // `Vec` would free the old allocation without wiping it.
            let mut larger = Vec::with_capacity(needed.next_power_of_two().max(512));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = Zeroizing::new(larger);
        }
        self.0.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fills an array from the operating system's random source.
///
/// # Panics
/// When the kernel has no randomness to give: nothing this program does is safe then.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system's random source failed");
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn debug_never_shows_the_value() {
        let secret = Secret::new("hunter2".to_owned());
        assert!(!format!("{secret:?} {:?}", Some(&secret)).contains("hunter2"));
    }

    #[test]
    fn comparison_is_exact() {
        let secret = Secret::new("abc".to_owned());
        assert!(secret.constant_time_eq(b"abc"));
        assert!(!secret.constant_time_eq(b"abd"));
        assert!(!secret.constant_time_eq(b"abcd"));
    }

    #[test]
    fn a_secret_buffer_keeps_what_was_written_across_growth() {
        let mut buffer = SecretBuffer::new();
        for chunk in 0..1000_u32 {
            buffer.write_all(&chunk.to_le_bytes()).expect("memory");
        }
        assert_eq!(buffer.expose_bytes().len(), 4000);
        assert_eq!(&buffer.expose_bytes()[3996..], &999_u32.to_le_bytes());
    }
}
