//! `did:key` for Ed25519: `did:key:z` + base58btc(0xed 0x01 ‖ 32-byte public key). <https://w3c-ccg.github.io/did-key-spec/>

use ed25519_compact::PublicKey;

const PREFIX: &str = "did:key:z";
/// The multicodec name of an Ed25519 public key, as a varint.
const ED25519: [u8; 2] = [0xed, 0x01];
/// 34 bytes whose first is 0xed are 47 or 48 base58 digits; longer texts are not worth decoding, which takes
/// quadratic time.
const MAX_DIGITS: usize = 48;

/// The DID of a public key.
pub(super) fn encode(key: &PublicKey) -> String {
    let mut bytes = [0; ED25519.len() + PublicKey::BYTES];
    bytes[..ED25519.len()].copy_from_slice(&ED25519);
    bytes[ED25519.len()..].copy_from_slice(key.as_slice());
    format!("{PREFIX}{}", bs58::encode(bytes).into_string())
}

/// The public key in a DID, or `None` when it is not an Ed25519 `did:key`. Each key has exactly one accepted spelling.
///
/// The key may still be no point of the curve, or a weak one: verification refuses those, as [`is_valid_did`] does.
pub(super) fn decode(did: &str) -> Option<PublicKey> {
    let digits = did.strip_prefix(PREFIX).filter(|digits| digits.len() <= MAX_DIGITS)?;
    let mut bytes = [0; ED25519.len() + PublicKey::BYTES];
    let length = bs58::decode(digits).onto(&mut bytes).ok()?;
    let key = bytes.strip_prefix(&ED25519).filter(|_| length == bytes.len())?;
    PublicKey::from_slice(key).ok()
}

/// Whether `did` names an Ed25519 key that can sign: canonical, on the curve and not of small order.
pub fn is_valid_did(did: &str) -> bool {
    decode(did).is_some_and(|key| key.validate().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DID: &str = "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw";

    #[test]
    fn a_did_round_trips() {
        let key = decode(DID).expect("valid");
        assert_eq!(encode(&key), DID);
        assert!(is_valid_did(DID));
    }

    #[test]
    fn other_spellings_and_other_keys_are_refused() {
        let x25519 = format!("{PREFIX}{}", bs58::encode([&[0xec, 0x01][..], &[9; 32]].concat()).into_string());
        let short = format!("{PREFIX}{}", bs58::encode([&ED25519[..], &[9; 31]].concat()).into_string());
        let long = format!("{PREFIX}{}", bs58::encode([&ED25519[..], &[9; 33]].concat()).into_string());
        let leading_zero = DID.replacen(":z", ":z1", 1);
        let endless = format!("{PREFIX}{}", "z".repeat(1_000_000));
        for did in [
            "",
            "did:key:",
            "did:key:z",
            "did:web:example.test",
            "did:key:f6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw",
            "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw ",
            " did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw",
            "DID:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw",
            "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw#z6Mk",
            "did:key:z0OIl",
            &x25519,
            &short,
            &long,
            &leading_zero,
            &endless,
        ] {
            assert!(decode(did).is_none(), "{}", &did[..did.len().min(80)]);
            assert!(!is_valid_did(did));
        }
    }

    #[test]
    fn keys_that_cannot_sign_are_not_valid() {
        let identity_point: [u8; 32] = std::array::from_fn(|i| u8::from(i == 0));
        for weak in [[0; 32], identity_point, [0xff; 32], [2; 32]] {
            let did = encode(&PublicKey::new(weak));
            assert!(decode(&did).is_some(), "well formed");
            assert!(!is_valid_did(&did), "{did}");
        }
    }
}
