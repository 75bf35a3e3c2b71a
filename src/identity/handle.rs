//! Handles: names of identities that people can read and say.

use super::words::{ADJECTIVES, ADVERBS};
use crate::limits::HANDLE_BYTES;
use crate::secret::random_bytes;

/// Whether `handle` matches `^[a-z0-9][a-z0-9-]*[a-z0-9]$`, has at most 128 bytes, and is not the reserved `default`.
pub fn is_valid_handle(handle: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = handle.as_bytes();
    (2..=HANDLE_BYTES).contains(&bytes.len())
        && bytes.iter().all(|byte| plain(byte) || *byte == b'-')
        && bytes.first().is_some_and(plain)
        && bytes.last().is_some_and(plain)
        && handle != "default"
}

/// A new handle, `adjective-adverb-adverb-NNNN`: one of 128 × 128 × 128 × 10,000, about 34 bits, chosen evenly by the
/// operating system's random source.
///
/// ```
/// let handle = authsome::identity::generate_handle();
/// assert!(authsome::identity::is_valid_handle(&handle));
/// ```
pub fn generate_handle() -> String {
    let [a, b, c] = random_bytes::<3>().map(|byte| usize::from(byte & 0x7f));
    format!("{}-{}-{}-{:04}", ADJECTIVES[a], ADVERBS[b], ADVERBS[c], random_below_10_000())
}

/// Draws again instead of taking a remainder, which would favour small numbers.
fn random_below_10_000() -> u16 {
    loop {
        let drawn = u16::from_le_bytes(random_bytes());
        if drawn < 60_000 {
            return drawn % 10_000;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn handles_follow_the_pattern() {
        for handle in ["ab", "a1", "00", "brisk-boldly-clearly-1234", "a--b", &"x".repeat(HANDLE_BYTES)] {
            assert!(is_valid_handle(handle), "{handle}");
        }
        for handle in [
            "",
            "a",
            "-",
            "-ab",
            "ab-",
            "Ab",
            "a_b",
            "a b",
            "a.b",
            "ä1",
            "ab\n",
            "default",
            &"x".repeat(HANDLE_BYTES + 1),
        ] {
            assert!(!is_valid_handle(handle), "{handle}");
        }
    }

    #[test]
    fn words_are_distinct_and_fit_in_a_handle() {
        for list in [ADJECTIVES, ADVERBS] {
            assert_eq!(list.iter().collect::<HashSet<_>>().len(), list.len());
            assert!(list.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())));
        }
    }

    #[test]
    fn generated_handles_have_four_parts_and_differ() {
        let handles: HashSet<String> = (0..1000).map(|_| generate_handle()).collect();
        assert!(handles.len() > 990, "34 bits seldom repeat: {}", handles.len());
        for handle in &handles {
            assert!(is_valid_handle(handle), "{handle}");
            let parts: Vec<&str> = handle.split('-').collect();
            assert_eq!(parts.len(), 4, "{handle}");
            assert_eq!(parts[3].len(), 4, "{handle}");
        }
    }
}
