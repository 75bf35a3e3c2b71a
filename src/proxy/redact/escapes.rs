//! Escapes of text: percent-encoding (RFC 3986), JSON strings (RFC 8259), character references (HTML).

use zeroize::Zeroizing;

/// The bytes with which an escape begins. Each stands for a kind of its own.
pub(super) const INTRODUCERS: [u8; 3] = [b'%', b'\\', b'&'];

/// What follows the backslash of JSON's short escapes, and what it stands for.
const SHORT: [(u8, u8); 8] =
    [(b'"', b'"'), (b'\\', b'\\'), (b'/', b'/'), (b'n', b'\n'), (b'r', b'\r'), (b't', b'\t'), (b'b', 8), (b'f', 12)];

/// Digits of a character reference: seven suffice for any character, servers pad with zeros now and then.
const REFERENCE_DIGITS: usize = 8;

/// Length of the longest of [`NAMES`].
const LONGEST_NAME: usize = 16;

/// Names of character references for visible ASCII. Names for other characters are not looked for.
const NAMES: [(&str, u8); 43] = [
    ("amp", b'&'),
    ("lt", b'<'),
    ("gt", b'>'),
    ("quot", b'"'),
    ("apos", b'\''),
    ("AMP", b'&'),
    ("LT", b'<'),
    ("GT", b'>'),
    ("QUOT", b'"'),
    ("excl", b'!'),
    ("num", b'#'),
    ("dollar", b'$'),
    ("percnt", b'%'),
    ("lpar", b'('),
    ("rpar", b')'),
    ("ast", b'*'),
    ("midast", b'*'),
    ("plus", b'+'),
    ("comma", b','),
    ("period", b'.'),
    ("sol", b'/'),
    ("colon", b':'),
    ("semi", b';'),
    ("equals", b'='),
    ("quest", b'?'),
    ("commat", b'@'),
    ("lsqb", b'['),
    ("lbrack", b'['),
    ("bsol", b'\\'),
    ("rsqb", b']'),
    ("rbrack", b']'),
    ("Hat", b'^'),
    ("lowbar", b'_'),
    ("UnderBar", b'_'),
    ("grave", b'`'),
    ("DiacriticalGrave", b'`'),
    ("lcub", b'{'),
    ("lbrace", b'{'),
    ("verbar", b'|'),
    ("vert", b'|'),
    ("VerticalLine", b'|'),
    ("rcub", b'}'),
    ("rbrace", b'}'),
];

/// What may stand right behind an introducer in an escape for one of a few bytes: enough to pass over most introducers.
pub(super) struct Seconds(Zeroizing<[u8; 256]>);

impl Seconds {
    /// For escapes of `bytes`, or of characters with them in UTF-8.
    pub(super) fn of(bytes: impl Iterator<Item = u8>) -> Self {
        let mut seconds = Zeroizing::new([0; 256]);
        let mut allow = |introducer: usize, second: u8| seconds[usize::from(second)] |= 1 << introducer;
        allow(1, b'u');
        allow(2, b'#');
        for byte in bytes {
            let digit = b"0123456789abcdef"[usize::from(byte >> 4)];
            allow(0, digit);
            allow(0, digit.to_ascii_uppercase());
            SHORT.iter().filter(|(_, known)| *known == byte).for_each(|(letter, _)| allow(1, *letter));
            NAMES.iter().filter(|(_, known)| *known == byte).for_each(|(name, _)| allow(2, name.as_bytes()[0]));
        }
        Self(seconds)
    }

    /// Whether `text`, which starts with an introducer, may be such an escape.
    #[inline]
    pub(super) fn may_start(&self, text: &[u8]) -> bool {
        let introducer = match text[0] {
            b'%' => 0,
            b'\\' => 1,
            _ => 2,
        };
        text.get(1).is_none_or(|second| self.0[usize::from(*second)] & 1 << introducer != 0)
    }
}

/// What stands at the start of a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// No escape: an ordinary character.
    None,
    /// What may become an escape with what follows.
    Incomplete,
    /// An escape.
    Complete(Unescaped),
}

/// What an escape stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unescaped {
    bytes: [u8; 4],
    count: usize,
    /// Length of the escape.
    pub(super) length: usize,
}

impl Unescaped {
    /// The bytes: one of percent-encoding, a character in UTF-8 of the others.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.count]
    }
}

/// Reads the escape at the start of `text`.
pub(super) fn unescape(text: &[u8]) -> Escape {
    match text {
        [b'%', rest @ ..] => percent(rest),
        [b'\\', rest @ ..] => json(rest),
        [b'&', rest @ ..] => reference(rest),
        _ => Escape::None,
    }
}

fn percent(rest: &[u8]) -> Escape {
    match number(rest, 2, 16) {
        Some((byte, 2)) => byte_of(byte, 3),
        Some((_, digits)) if digits == rest.len() => Escape::Incomplete,
        _ => Escape::None,
    }
}

fn json(rest: &[u8]) -> Escape {
    match rest {
        [] => Escape::Incomplete,
        [b'u', rest @ ..] => code_unit(rest),
        [letter, ..] => {
            let known = SHORT.iter().find(|(known, _)| known == letter);
            known.map_or(Escape::None, |(_, byte)| byte_of(u32::from(*byte), 2))
        }
    }
}

/// What follows `\u`: a character, or the first half of one outside the basic plane.
fn code_unit(rest: &[u8]) -> Escape {
    let (first, after) = match number(rest, 4, 16) {
        Some((unit, 4)) => (unit, &rest[4..]),
        Some((_, digits)) if digits == rest.len() => return Escape::Incomplete,
        _ => return Escape::None,
    };
    if !(0xd800..0xdc00).contains(&first) {
        return character(first, 6);
    }
    match after {
        [] | [b'\\'] => Escape::Incomplete,
        [b'\\', b'u', after @ ..] => match number(after, 4, 16) {
            Some((second @ 0xdc00..0xe000, 4)) => character(0x1_0000 + ((first - 0xd800) << 10) + second - 0xdc00, 12),
            Some((_, digits)) if digits == after.len() && digits < 4 => Escape::Incomplete,
            _ => Escape::None,
        },
        _ => Escape::None,
    }
}

fn reference(rest: &[u8]) -> Escape {
    let (digits, radix, before) = match rest {
        [b'#', b'x' | b'X', digits @ ..] => (digits, 16, 3),
        [b'#', digits @ ..] => (digits, 10, 2),
        _ => return named(rest),
    };
    match number(digits, REFERENCE_DIGITS, radix) {
        Some((code, count)) if digits.get(count) == Some(&b';') && count > 0 => character(code, before + count + 1),
        Some((_, count)) if count == digits.len() => Escape::Incomplete,
        _ => Escape::None,
    }
}

fn named(rest: &[u8]) -> Escape {
    let letters = rest.iter().take(LONGEST_NAME + 1).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let word = &rest[..letters];
    match rest.get(letters) {
        Some(b';') => {
            let known = NAMES.iter().find(|(name, _)| name.as_bytes() == word);
            known.map_or(Escape::None, |(_, byte)| byte_of(u32::from(*byte), letters + 2))
        }
        None if NAMES.iter().any(|(name, _)| name.as_bytes().starts_with(word)) => Escape::Incomplete,
        Some(_) | None => Escape::None,
    }
}

/// The number that the digits at the start of `text` make, `most` of them at most, and how many there are.
fn number(text: &[u8], most: usize, radix: u32) -> Option<(u32, usize)> {
    let digits = text.iter().take(most).map_while(|byte| char::from(*byte).to_digit(radix));
    digits.enumerate().try_fold((0, 0), |(number, _): (u32, usize), (index, digit)| {
        Some((number.checked_mul(radix)?.checked_add(digit)?, index + 1))
    })
}

fn byte_of(byte: u32, length: usize) -> Escape {
    let [byte, ..] = byte.to_le_bytes();
    Escape::Complete(Unescaped { bytes: [byte, 0, 0, 0], count: 1, length })
}

fn character(code: u32, length: usize) -> Escape {
    let Some(character) = char::from_u32(code) else { return Escape::None };
    let mut bytes = [0; 4];
    let count = character.encode_utf8(&mut bytes).len();
    Escape::Complete(Unescaped { bytes, count, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(what it stands for, its length)`.
    fn complete(text: &str) -> Option<(String, usize)> {
        match unescape(text.as_bytes()) {
            Escape::Complete(it) => Some((String::from_utf8_lossy(it.bytes()).into_owned(), it.length)),
            Escape::None | Escape::Incomplete => None,
        }
    }

    #[test]
    fn every_kind_is_read() {
        for (text, expected, length) in [
            ("%2Fx", "/", 3),
            ("%2f", "/", 3),
            ("%410", "A", 3),
            (r"\/", "/", 2),
            (r#"\""#, "\"", 2),
            (r"\\n", "\\", 2),
            (r"\n", "\n", 2),
            (r"\u002F0", "/", 6),
            (r"\u00E9", "é", 6),
            (r"\ud83D\uDe00x", "😀", 12),
            ("&amp;amp;", "&", 5),
            ("&#47;", "/", 5),
            ("&#x2F;", "/", 6),
            ("&#X0000002f;", "/", 12),
            ("&#128512;", "😀", 9),
            ("&equals;", "=", 8),
        ] {
            assert_eq!(complete(text), Some((expected.to_owned(), length)), "{text}");
            for cut in 1..length {
                assert_eq!(unescape(&text.as_bytes()[..cut]), Escape::Incomplete, "{text} {cut}");
            }
        }
    }

    #[test]
    fn json_is_read_as_others_read_it() {
        for character in (0..=0x1_0000_u32).chain(0x1_f600..0x1_f650).filter_map(char::from_u32) {
            let mut units = [0; 2];
            let text: Vec<String> =
                character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect();
            let text = text.concat();
            let theirs: String = serde_json::from_str(&format!("\"{text}\"")).expect("JSON");
            assert_eq!(complete(&text), Some((theirs, text.len())));
        }
    }

    #[test]
    fn what_is_no_escape_is_none() {
        for text in [
            "x",
            "",
            "%zz",
            "%4z",
            r"\x41",
            r"\u00zz",
            r"\udc00",
            r"\ud800x",
            r"\ud800\n",
            r"\ud800\u0041",
            "&&",
            "&;",
            "&#;",
            "&#x;",
            "&#123456789;",
            "&#xffffffff;",
            "&#55296;",
            "&amp ",
            "&nosuch;",
        ] {
            assert_eq!(unescape(text.as_bytes()), Escape::None, "{text}");
        }
    }
}
