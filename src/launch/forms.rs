//! The forms in which people keep a key in variables and files: as it is, and in the encodings of programs' settings.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::paths::hex;
use crate::secret::Secret;

/// `value` itself, without its scheme (`Basic ...`), in base64 wherever it stands in what was encoded (`user:key`), in
/// hexadecimal, and percent-encoded (in a URL). Forms may repeat each other.
pub(super) fn forms(value: &Secret) -> Vec<Secret> {
    let bytes = value.expose().as_bytes();
    let hexadecimal = hex(bytes);
    let mut found = vec![value.duplicate(), percent_encoded(bytes)];
    found.extend(value.expose().split_once(' ').map(|(_, rest)| Secret::new(rest.to_owned())));
    for before in 0..3 {
        found.push(base64_core(bytes, before, &STANDARD_NO_PAD));
        found.push(base64_core(bytes, before, &URL_SAFE_NO_PAD));
    }
    found.extend([Secret::new(hexadecimal.to_ascii_uppercase()), Secret::new(hexadecimal)]);
    found
}

/// The characters of base64 that come from `bytes` alone when `before` more bytes (of three) stand in front of them.
fn base64_core(bytes: &[u8], before: usize, engine: &impl Engine) -> Secret {
    let padded = Zeroizing::new([&[0; 2][..before], bytes].concat());
    let text = Zeroizing::new(engine.encode(&*padded));
    let (first, end) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
    Secret::new(text[first.min(end)..end].to_owned())
}

/// As URLs have a password: all but the unreserved characters encoded (RFC 3986 section 2.3).
fn percent_encoded(bytes: &[u8]) -> Secret {
    let mut text = String::with_capacity(bytes.len() * 3);
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            text.push('%');
            text.push_str(&hex(&[*byte]).to_ascii_uppercase());
        }
    }
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    fn is_found(value: &str, text: &str) -> bool {
        forms(&Secret::new(value.to_owned())).iter().any(|form| text.contains(form.expose()))
    }

    #[test]
    fn a_key_is_found_in_the_encodings_of_settings() {
        let key = "s3cr3t/k?y>>~1";
        for text in [
            format!("x{key}y"),
            "postgres://me:s3cr3t%2Fk%3Fy%3E%3E~1@db/x".to_owned(),
            hex(key.as_bytes()),
            hex(key.as_bytes()).to_uppercase(),
        ] {
            assert!(is_found(key, &text), "{text}");
        }
        for user in ["", "a", "ab", "abc", "user:"] {
            let plain = format!("{user}{key}:tail");
            assert!(is_found(key, &STANDARD.encode(&plain)), "{plain}");
            assert!(is_found(key, &URL_SAFE.encode(&plain)), "{plain}");
        }
        let basic = STANDARD.encode("user:password");
        assert!(is_found(&format!("Basic {basic}"), &format!("_auth={basic}")));
        assert!(!is_found(key, "s3cr3t/k?y"));
    }
}
