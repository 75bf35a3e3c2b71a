//! Wrapping of the data key. The format is in the documentation of [`crate::vault`].

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::key::{MasterKey, Material};
use super::seal::{NONCE, TAG};
use crate::error::{AuthsomeError, Result};
use crate::secret::random_bytes;

const VERSION: u8 = 1;
const PURPOSE: &[u8] = b"authsome data key 1\0";
const KEY: usize = 32;
const SALT: usize = 16;
const HEADER: usize = 2 + 3 * 4 + SALT;

/// What seals the records.
pub(super) type DataKey = Zeroizing<[u8; KEY]>;

/// A new data key.
pub(super) fn new_data_key() -> DataKey {
    Zeroizing::new(random_bytes())
}

/// The data key, sealed under the master key.
pub(super) fn wrap(data_key: &DataKey, master: &MasterKey) -> Result<Vec<u8>> {
    let header = match master.material() {
        Material::Key(_) => Header::for_key(),
        Material::Passphrase(_) => Header::for_passphrase(),
    };
    let (header_bytes, nonce) = (header.to_bytes(), random_bytes::<NONCE>());
    let mut sealed = **data_key;
    let cipher = XChaCha20Poly1305::new(wrapping_key(&header, master)?.as_ref().into());
    let tag = cipher
        .encrypt_in_place_detached(&nonce.into(), &associated(&header_bytes), &mut sealed)
        .expect("32 bytes are not too many");
    Ok([&header_bytes[..], &nonce, &sealed, &tag].concat())
}

/// The data key in `wrapped`, which must have been wrapped under this master key.
pub(super) fn unwrap(wrapped: &[u8], master: &MasterKey) -> Result<DataKey> {
    let (header, nonce, sealed, tag) = parse(wrapped)
        .ok_or_else(|| AuthsomeError::StoreUnavailable { reason: "the wrapped data key is damaged".to_owned() })?;
    let cipher = XChaCha20Poly1305::new(wrapping_key(&header, master)?.as_ref().into());
    let mut data_key = Zeroizing::new(*sealed);
    cipher
        .decrypt_in_place_detached(
            XNonce::from_slice(nonce),
            &associated(&wrapped[..HEADER]),
            data_key.as_mut(),
            Tag::from_slice(tag),
        )
        .map_err(|_| master.wrong())?;
    Ok(data_key)
}

type Parts<'a> = (Header, &'a [u8; NONCE], &'a [u8; KEY], &'a [u8; TAG]);

fn parse(wrapped: &[u8]) -> Option<Parts<'_>> {
    let (header, rest) = wrapped.split_first_chunk::<HEADER>()?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
    let (sealed, rest) = rest.split_first_chunk::<KEY>()?;
    Some((Header::parse(header)?, nonce, sealed, rest.try_into().ok()?))
}

fn associated(header: &[u8]) -> Vec<u8> {
    [PURPOSE, header].concat()
}

/// How the wrapping key comes from the master key.
struct Header {
    stretching: Option<Stretching>,
}

struct Stretching {
    passes: u32,
    memory_kib: u32,
    lanes: u32,
    salt: [u8; SALT],
}

impl Header {
    fn for_key() -> Self {
        Self { stretching: None }
    }

    /// The second choice of RFC 9106 section 4, for machines where 2 GiB are too much.
    fn for_passphrase() -> Self {
        Self { stretching: Some(Stretching { passes: 3, memory_kib: 64 * 1024, lanes: 4, salt: random_bytes() }) }
    }

    fn to_bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0] = VERSION;
        if let Some(Stretching { passes, memory_kib, lanes, salt }) = &self.stretching {
            bytes[1] = 1;
            bytes[2..6].copy_from_slice(&passes.to_be_bytes());
            bytes[6..10].copy_from_slice(&memory_kib.to_be_bytes());
            bytes[10..14].copy_from_slice(&lanes.to_be_bytes());
            bytes[14..].copy_from_slice(salt);
        }
        bytes
    }

    /// `None` for what we never write, or what would cost more than a start may: the numbers are used before they are
    /// authenticated.
    fn parse(bytes: &[u8; HEADER]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let stretching = match bytes[..2] {
            [VERSION, 0] => return bytes[2..].iter().all(|byte| *byte == 0).then_some(Self { stretching: None }),
            [VERSION, 1] => Stretching {
                passes: number(2)?,
                memory_kib: number(6)?,
                lanes: number(10)?,
                salt: bytes[14..].try_into().ok()?,
            },
            _ => return None,
        };
        let affordable = (1..=16).contains(&stretching.passes)
            && (8 * 1024..=1024 * 1024).contains(&stretching.memory_kib)
            && (1..=16).contains(&stretching.lanes);
        affordable.then_some(Self { stretching: Some(stretching) })
    }
}

fn wrapping_key(header: &Header, master: &MasterKey) -> Result<Zeroizing<[u8; KEY]>> {
    match (&header.stretching, master.material()) {
        (None, Material::Key(key)) => Ok(key.clone()),
        (Some(stretching), Material::Passphrase(passphrase)) => stretch(passphrase, stretching),
        (None, Material::Passphrase(_)) | (Some(_), Material::Key(_)) => Err(master.wrong()),
    }
}

fn stretch(passphrase: &[u8], with: &Stretching) -> Result<Zeroizing<[u8; KEY]>> {
    let failed = |error: argon2::Error| AuthsomeError::EncryptionUnavailable {
        reason: format!("the passphrase cannot be stretched: {error}"),
    };
    let params = Params::new(with.memory_kib, with.passes, with.lanes, Some(KEY)).map_err(failed)?;
    let mut memory = Zeroizing::new(vec![Block::new(); params.block_count()]);
    let mut key = Zeroizing::new([0; KEY]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase, &with.salt, key.as_mut(), memory.as_mut_slice())
        .map_err(failed)?;
    Ok(key)
}
