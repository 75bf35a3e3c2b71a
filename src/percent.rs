//! Percent-encoding (RFC 3986 section 2.1), and the `+` of `application/x-www-form-urlencoded`.
//!
//! What goes through here may be a secret: buffers never grow on the way, so no copies are left behind.

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// What a `+` stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plus {
    /// Itself, as in a path.
    Plus,
    /// A space, as in forms and queries.
    Space,
}

/// The bytes of `text`, all but the unreserved ones (RFC 3986 section 2.3) encoded. Right in a query, in a path segment,
/// in a form, and for RFC 6749 section 2.3.1: a space is `%20`, which form decoders take as well as `+`.
pub(crate) fn encoded(text: &str) -> impl Iterator<Item = u8> + '_ {
    text.bytes().flat_map(|byte| {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let (high, low) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
        let bytes = if is_plain { [byte, 0, 0] } else { [b'%', high, low] };
        bytes.into_iter().take(if is_plain { 1 } else { 3 })
    })
}

/// The same as text.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::new();
    push_encoded(&mut out, text);
    out
}

/// Appends `text`, encoded, to `out`.
pub(crate) fn push_encoded(out: &mut String, text: &str) {
    out.reserve(3 * text.len());
    out.extend(encoded(text).map(char::from));
}

/// Decodes. What is no valid escape stays as it is, as servers and Python's `unquote` do it.
pub(crate) fn decode(text: &[u8], plus: Plus) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let escape = if *first == b'%' { tail.first_chunk().copied().and_then(pair) } else { None };
        out.push(escape.unwrap_or(if *first == b'+' && plus == Plus::Space { b' ' } else { *first }));
        rest = if escape.is_some() { &tail[2..] } else { tail };
    }
    out
}

/// The same as text; what is not UTF-8 is replaced.
pub(crate) fn decode_text(text: &[u8], plus: Plus) -> String {
    let bytes = decode(text, plus);
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Decodes, and takes no text with a bad escape, nor what is not UTF-8 then.
pub(crate) fn decode_strictly(text: &str, plus: Plus) -> Option<String> {
    let has_bad_escape =
        text.split('%').skip(1).any(|after| after.as_bytes().first_chunk().copied().and_then(pair).is_none());
    if has_bad_escape { None } else { String::from_utf8(decode(text.as_bytes(), plus)).ok() }
}

/// The value of two hexadecimal digits.
fn pair([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_again() {
        let text = "aZ09-._~ +&=%/:é\n";
        assert_eq!(encode(text), "aZ09-._~%20%2B%26%3D%25%2F%3A%C3%A9%0A");
        for plus in [Plus::Plus, Plus::Space] {
            assert_eq!(decode_text(encode(text).as_bytes(), plus), text);
            assert_eq!(decode_strictly(&encode(text), plus).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_no_escape_stays_or_is_refused() {
        for (text, kept) in
            [("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%+1", "%+1"), ("a%%41", "a%A"), ("%é", "%é"), ("%25%", "%%")]
        {
            assert_eq!(decode_text(text.as_bytes(), Plus::Plus), kept);
            assert_eq!(decode_strictly(text, Plus::Plus), None, "{text}");
        }
        assert_eq!(
            (decode_strictly("%ff", Plus::Plus), decode_text(b"%ff", Plus::Plus)),
            (None, "\u{fffd}".to_owned())
        );
        assert_eq!(decode(b"a+b%2b", Plus::Space), b"a b+");
        assert_eq!(decode(b"a+b%2b", Plus::Plus), b"a+b+");
    }
}
