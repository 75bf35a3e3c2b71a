//! Sealing of records. The format is in the documentation of [`crate::vault`].

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::Plain;
use super::wrap::DataKey;
use crate::error::{AuthsomeError, Result};
use crate::secret::random_bytes;

const VERSION: u8 = 1;
const PURPOSE: &[u8] = b"authsome record 1\0";
pub(super) const NONCE: usize = 24;
pub(super) const TAG: usize = 16;

/// Seals and opens records under one data key, which is wiped when this is dropped.
pub(super) struct Sealer(XChaCha20Poly1305);

impl Sealer {
    pub(super) fn new(data_key: &DataKey) -> Self {
        Self(XChaCha20Poly1305::new(data_key.as_ref().into()))
    }

    /// The record for `value` under `key`. Two calls never give the same bytes.
    pub(super) fn seal(&self, key: &str, value: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE] = random_bytes();
        // Exactly as long as needed: a buffer that grows leaves the value behind.
        let mut record = Vec::with_capacity(1 + NONCE + value.len() + TAG);
        record.push(VERSION);
        record.extend_from_slice(&nonce);
        record.extend_from_slice(value);
        let tag = self
            .0
            .encrypt_in_place_detached(&nonce.into(), &associated(key), &mut record[1 + NONCE..])
            .expect("a value in memory is shorter than the cipher's 256 GiB");
        record.extend_from_slice(&tag);
        record
    }

    /// The value in `record`, which must have been sealed under `key`.
    pub(super) fn open(&self, key: &str, record: &[u8]) -> Result<Plain> {
        self.try_open(key, record).ok_or_else(|| AuthsomeError::StoreUnavailable {
            reason: format!("a record of {} is damaged or in the wrong place", kind(key)),
        })
    }

    fn try_open(&self, key: &str, record: &[u8]) -> Option<Plain> {
        let (&[version], rest) = record.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
        let (sealed, tag) = rest.split_last_chunk::<TAG>()?;
        if version != VERSION {
            return None;
        }
        let mut value = Zeroizing::new(sealed.to_vec());
        let (nonce, tag) = (XNonce::from_slice(nonce), Tag::from_slice(tag));
        self.0.decrypt_in_place_detached(nonce, &associated(key), &mut value, tag).ok()?;
        Some(value)
    }
}

fn associated(key: &str) -> Vec<u8> {
    [PURPOSE, key.as_bytes()].concat()
}

/// What an error may say of a key: the rest names people, handles or sessions.
fn kind(key: &str) -> &str {
    key.split_once(':').map_or("the vault", |(kind, _)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vault::wrap::new_data_key;

    #[test]
    fn a_record_opens_under_its_own_key_only() {
        let sealer = Sealer::new(&new_data_key());
        let record = sealer.seal("vault:a:github:connection:x", b"secret");
        assert_eq!(record.len(), 1 + 24 + 6 + 16);
        assert_eq!(sealer.open("vault:a:github:connection:x", &record).expect("opens").as_slice(), b"secret");
        for other in ["vault:b:github:connection:x", "vault:a:github:connection:xy", "", "\0"] {
            let error = sealer.open(other, &record).expect_err("moved");
            assert!(!error.to_string().contains("github"), "{error}");
        }
        assert!(Sealer::new(&new_data_key()).open("vault:a:github:connection:x", &record).is_err());
    }

    #[test]
    fn every_bit_counts() {
        let sealer = Sealer::new(&new_data_key());
        for value in [&b""[..], b"x", &[0; 100]] {
            let record = sealer.seal("k", value);
            for bit in 0..record.len() * 8 {
                let mut changed = record.clone();
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(sealer.open("k", &changed).is_err(), "bit {bit}");
            }
            for length in 0..record.len() {
                assert!(sealer.open("k", &record[..length]).is_err(), "{length} bytes");
            }
            assert!(sealer.open("k", &[&record[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn the_same_value_is_sealed_differently_each_time() {
        let sealer = Sealer::new(&new_data_key());
        assert_ne!(sealer.seal("k", b"v")[1..25], sealer.seal("k", b"v")[1..25]);
    }

    /// If this fails, stores that exist cannot be read any more.
    #[test]
    fn the_format_stays() {
        let sealer = Sealer::new(&Zeroizing::new([0x42; 32]));
        let mut expected = [&[1][..], &[7; 24]].concat();
        let mut text = *b"value";
        let cipher = XChaCha20Poly1305::new(&[0x42; 32].into());
        let associated = b"authsome record 1\0vault:v:p:connection:c";
        let tag = cipher.encrypt_in_place_detached(&[7; 24].into(), associated, &mut text).expect("encrypts");
        expected.extend_from_slice(&text);
        expected.extend_from_slice(&tag);
        assert_eq!(sealer.open("vault:v:p:connection:c", &expected).expect("opens").as_slice(), b"value");
    }
}
