//! The forms of a secret that are looked for (`contract/proxy.md` section 5). Percent-encoding, JSON and HTML are not
//! among them: they write some characters of a form otherwise, and are undone where they are met.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::paths::hex;

/// Bytes that stand for a secret.
pub(super) struct Form {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    pub(super) kind: Kind,
}

/// How a form is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Byte for byte.
    Exact,
    /// ASCII letters in either case.
    AnyCase,
    /// Byte for byte, where any character may be escaped.
    Text,
}

/// Every form of `secret`, which has a few bytes at least.
pub(super) fn forms(secret: &str) -> Vec<Form> {
    let mut forms = vec![form(secret.as_bytes().to_vec(), Kind::Text)];
    if secret.contains(' ') {
        let in_a_query = secret.bytes().map(|byte| if byte == b' ' { b'+' } else { byte });
        forms.push(form(in_a_query.collect(), Kind::Text));
    }
    for before in 0..3 {
        let standard = base64_core(secret.as_bytes(), before, &STANDARD_NO_PAD);
        let url_safe = base64_core(secret.as_bytes(), before, &URL_SAFE_NO_PAD);
        if url_safe.bytes != standard.bytes {
            forms.push(url_safe);
        }
        forms.push(standard);
    }
    forms.push(form(hex(secret.as_bytes()).into_bytes(), Kind::AnyCase));
    forms.push(form(utf16(secret, u16::to_le_bytes), Kind::Exact));
    forms.push(form(utf16(secret, u16::to_be_bytes), Kind::Exact));
    forms
}

fn form(bytes: Vec<u8>, kind: Kind) -> Form {
    Form { bytes: Zeroizing::new(bytes), kind }
}

/// The characters of base64 that come from `bytes` alone when `before` more bytes (of three) stand in front of them.
fn base64_core(bytes: &[u8], before: usize, engine: &impl Engine) -> Form {
    let padded = Zeroizing::new([&[0; 2][..before], bytes].concat());
    let text = Zeroizing::new(engine.encode(&*padded));
    let (first, end) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
    form(text.as_bytes()[first..end].to_vec(), Kind::Text)
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 * text.len()); // never grows: that would leave copies behind
    bytes.extend(text.encode_utf16().flat_map(to_bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    fn is_in(secret: &str, text: &[u8]) -> bool {
        forms(secret).iter().any(|form| memchr::memmem::find(text, &form.bytes).is_some())
    }

    #[test]
    fn base64_is_found_wherever_the_secret_stands_in_it() {
        let secret = "s3cr3t/k?y>>~1";
        for before in 0..7 {
            for after in 0..4 {
                let plain = format!("{}{secret}{}", "u".repeat(before), "v".repeat(after));
                assert!(is_in(secret, STANDARD.encode(&plain).as_bytes()), "{plain}");
                assert!(is_in(secret, URL_SAFE.encode(&plain).as_bytes()), "{plain}");
            }
        }
    }

    #[test]
    fn forms_are_what_they_are_called() {
        let texts = |secret| -> Vec<String> {
            forms(secret).iter().map(|form| String::from_utf8_lossy(&form.bytes).into_owned()).collect()
        };
        let plain = ["abcd", "YWJj", "FiY2", "hYmN", "61626364", "a\0b\0c\0d\0", "\0a\0b\0c\0d"];
        let found = texts("abcd");
        assert_eq!(found.len(), plain.len(), "{found:?}");
        for (found, expected) in found.iter().zip(plain) {
            assert!(found.starts_with(expected), "{found} {expected}");
        }
        assert!(texts("a b c").contains(&"a+b+c".to_owned()));
        assert!(texts("~~??").iter().any(|text| text.contains('_')), "the alphabet of URLs");
    }
}
