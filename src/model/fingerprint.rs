//! A short name for the values of a connection: says which ones an upstream refused, without them.

use std::fmt;

use sha2::{Digest, Sha256};

use super::InjectSlot;

/// The first 64 bits of a SHA-256 over finished slots. On the wire 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// The fingerprint of `slots`.
    pub fn of(slots: &[InjectSlot]) -> Self {
        let mut hash = Sha256::new();
        for slot in slots {
            for part in [slot.name.as_bytes(), slot.value.expose().as_bytes()] {
                hash.update((part.len() as u64).to_be_bytes());
                hash.update(part);
            }
        }
        let mut start = [0; 8];
        start.copy_from_slice(&hash.finalize()[..8]);
        Self(start)
    }

    /// The fingerprint that `text` is.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_hex.then(|| u64::from_str_radix(text, 16).ok())??;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(text: &str) -> Vec<InjectSlot> {
        serde_json::from_str(text).expect("slots")
    }

    #[test]
    fn a_fingerprint_is_the_same_for_the_same_values_only() {
        let one = slots(r#"[{"in":"header","name":"A","value":"k1"},{"in":"header","name":"B","value":"k2"}]"#);
        let print = Fingerprint::of(&one);
        assert_eq!(Fingerprint::parse(&print.to_string()), Some(print));
        for other in [
            r#"[{"in":"header","name":"A","value":"k1"},{"in":"header","name":"B","value":"k3"}]"#,
            r#"[{"in":"header","name":"A","value":"k1Bk2"}]"#,
            "[]",
        ] {
            assert_ne!(Fingerprint::of(&slots(other)), print, "{other}");
        }
        for text in ["", "0", "+123456789abcdef", "0123456789abcdef0", "0123456789abcdeg"] {
            assert_eq!(Fingerprint::parse(text), None, "{text}");
        }
    }
}
