//! The search and the streaming, held against a reference that is too simple to be wrong.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::escapes::{Escape, unescape};
use super::forms::{Form, Kind, forms};
use super::*;

/// A sequence that looks random and is the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("fits") % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn text(&mut self, characters: &str, length: usize) -> String {
        let characters: Vec<char> = characters.chars().collect();
        (0..length).map(|_| self.pick(&characters)).collect()
    }
}

/// Tries every form at every place.
fn reference(secrets: &[String], text: &[u8]) -> Vec<u8> {
    let mut masked = text.to_vec();
    for form in secrets.iter().filter(|secret| secret.len() >= 8).flat_map(|secret| forms(secret)) {
        for start in 0..text.len() {
            for end in std::iter::once(plain_end(&form, text, start)).chain(escaped_ends(&form, text, start)).flatten()
            {
                masked[start..end].fill(b'*');
            }
        }
    }
    masked
}

fn plain_end(form: &Form, text: &[u8], start: usize) -> Option<usize> {
    let there = text.get(start..start + form.bytes.len())?;
    let is_it = match form.kind {
        Kind::Exact | Kind::Text => there == form.bytes.as_slice(),
        Kind::AnyCase => there.to_ascii_lowercase() == form.bytes.as_slice(),
    };
    is_it.then_some(start + there.len())
}

/// One end for each place where the first escape may stand.
fn escaped_ends(form: &Form, text: &[u8], start: usize) -> Vec<Option<usize>> {
    let there = &text[start..];
    let equal = there.iter().zip(form.bytes.iter()).take_while(|(one, other)| one == other).count();
    let may_be_first = |first: &usize| there.get(*first).is_some_and(|byte| b"%\\&".contains(byte));
    let firsts = (0..=equal).filter(may_be_first).filter(|_| form.kind == Kind::Text);
    firsts.map(|first| undone(form, text, start, first)).collect()
}

/// The end of what decodes to `form` when there is no escape before the one at `first`.
fn undone(form: &Form, text: &[u8], start: usize, first: usize) -> Option<usize> {
    let (mut at, mut out) = (start + first, form.bytes[..first].to_vec());
    let introducer = text[at];
    while out.len() < form.bytes.len() {
        match unescape(text.get(at..).filter(|rest| !rest.is_empty())?) {
            Escape::Complete(character) if text[at] == introducer => {
                out.extend_from_slice(character.bytes());
                at += character.length;
            }
            Escape::Incomplete if text[at] == introducer => return None,
            _ if at == start + first => return None, // no escape there, so this is another case
            _ => {
                out.push(text[at]);
                at += 1;
            }
        }
        if !form.bytes.starts_with(&out) {
            return None;
        }
    }
    Some(at)
}

fn redaction(secrets: &[String]) -> Arc<Redaction> {
    let redaction = Arc::new(Redaction::new());
    redaction.cover(&[slot("Bearer x", secrets)], &Covered::default());
    redaction
}

fn slot(value: &str, secrets: &[String]) -> InjectSlot {
    InjectSlot {
        place: crate::model::SlotPlace::Header,
        name: "Authorization".to_owned(),
        value: Secret::new(value.to_owned()),
        only_if_absent: false,
        secrets: secrets.iter().cloned().map(Secret::new).collect(),
    }
}

/// Pushes `text` in pieces of random sizes, several at once now and then.
fn stream(redaction: &Arc<Redaction>, text: &[u8], random: &mut Random) -> Vec<u8> {
    let mut redactor = Redactor::new(Arc::clone(redaction));
    let (mut out, mut at) = (Vec::new(), 0);
    let largest = random.pick(&[1, 2, 7, 40, 300]);
    while at < text.len() {
        let mut spans = Vec::new();
        for _ in 0..=random.below(3) {
            let end = (at + 1 + random.below(largest)).min(text.len());
            spans.push(at..end);
            at = end;
        }
        out.extend_from_slice(redactor.push(text, &spans, false));
    }
    out.extend_from_slice(redactor.push(&[], &[], true));
    out
}

fn whole(redaction: &Arc<Redaction>, text: &[u8]) -> Vec<u8> {
    Redactor::new(Arc::clone(redaction)).push(text, std::slice::from_ref(&(0..text.len())), true).to_vec()
}

/// A secret as an encoder may write it down, perhaps with characters around.
fn written(secret: &str, random: &mut Random) -> Vec<u8> {
    let percent = |all: bool, upper: bool, text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            let _ = match (byte.is_ascii_alphanumeric() && !all, upper) {
                (true, _) => write!(out, "{}", char::from(byte)),
                (_, true) => write!(out, "%{byte:02X}"),
                (_, false) => write!(out, "%{byte:02x}"),
            };
            out
        })
    };
    let units = |format: fn(u16) -> String, text: &str| text.encode_utf16().map(format).collect::<String>();
    let around = format!("{}{secret}{}", "u".repeat(random.below(4)), "v".repeat(random.below(4)));
    match random.below(14) {
        0 | 1 => secret.as_bytes().to_vec(),
        2 => STANDARD.encode(&around).into_bytes(),
        3 => URL_SAFE_NO_PAD.encode(&around).into_bytes(),
        4 => STANDARD.encode(&around).replace('/', "\\/").into_bytes(),
        5 => percent(false, random.below(2) == 0, &STANDARD.encode(&around)).into_bytes(),
        6 => percent(false, random.below(2) == 0, secret).into_bytes(),
        7 => percent(true, random.below(2) == 0, secret).into_bytes(),
        8 => serde_json::to_string(secret).expect("JSON").trim_matches('"').replace('/', "\\/").into_bytes(),
        9 => units(|unit| format!("\\u{unit:04x}"), secret).into_bytes(),
        10 => {
            let references: Vec<String> =
                secret.chars().map(|character| format!("&#{};", u32::from(character))).collect();
            references.concat().into_bytes()
        }
        11 => secret.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").into_bytes(),
        12 => secret.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        _ => crate::paths::hex(secret.as_bytes())
            .chars()
            .map(|digit| if random.below(2) == 0 { digit.to_ascii_uppercase() } else { digit })
            .collect::<String>()
            .into_bytes(),
    }
}

/// Secrets of all lengths, some the beginning, the end or the repetition of another.
fn some_secrets(random: &mut Random) -> Vec<String> {
    const ALPHABETS: [&str; 5] = [
        "ab",
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_",
        "a/+=%&\\\"< ~",
        "é中😀a",
        "0123456789abcdef",
    ];
    let mut secrets: Vec<String> = Vec::new();
    for _ in 0..=random.below(3) {
        let secret = match (random.below(4), secrets.last()) {
            (0, Some(last)) => last.chars().skip(random.below(5)).collect(),
            (1, Some(last)) => format!("{last}{last}"),
            _ => {
                let length = random.pick(&[4, 8, 9, 10, 20, 40, 90]);
                let alphabet = random.pick(&ALPHABETS);
                random.text(alphabet, length)
            }
        };
        secrets.push(secret);
    }
    secrets
}

#[test]
fn any_stream_is_masked_as_the_reference_masks_it_at_once() {
    const ROUNDS: usize = 150;
    let mut random = Random(0x5eed);
    let mut masked = 0;
    for round in 0..ROUNDS {
        let secrets = some_secrets(&mut random);
        let mut text = Vec::new();
        for _ in 0..random.below(12) {
            let filler = random.below(20);
            text.extend_from_slice(random.text("abu%2F\\&#x; \n", filler).as_bytes());
            let secret = secrets[random.below(secrets.len())].clone();
            let mut written = written(&secret, &mut random);
            if random.below(4) == 0 {
                written.truncate(random.below(written.len() + 1));
            }
            text.extend_from_slice(&written);
        }
        let expected = reference(&secrets, &text);
        let redaction = redaction(&secrets);
        let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(show(&whole(&redaction, &text)), show(&expected), "round {round}, {secrets:?}: {}", show(&text));
        for _ in 0..4 {
            let streamed = stream(&redaction, &text, &mut random);
            assert_eq!(show(&streamed), show(&expected), "round {round}, {secrets:?}: {}", show(&text));
        }
        masked += usize::from(expected != text);
    }
    assert!(masked > ROUNDS / 2, "the test sees too little: {masked}");
}

#[test]
fn every_way_to_write_a_secret_down_is_masked() {
    let mut random = Random(7);
    for secret in ["sk-live-51H8/x+Qz3w9", "correct horse battery", "p&ss<w\"rd\\%41", "pässwörd😀"] {
        let redaction = redaction(&[secret.to_owned()]);
        for _ in 0..500 {
            let text = written(secret, &mut random);
            let masked = whole(&redaction, &text);
            assert_eq!(masked.len(), text.len());
            // What stands around, the characters of base64 that it shares with the secret, and padding.
            let left = masked.split(|byte| *byte == b'*').map(<[u8]>::len).max();
            let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(left <= Some(12) && masked != text, "{secret}: {} {}", show(&text), show(&masked));
        }
    }
}

#[test]
fn only_what_may_be_a_beginning_is_held_back() {
    let redaction = redaction(&["sk-live-51H8/x+Qz3w9".to_owned()]);
    for (text, held) in [
        ("data: {\"a\": 1}\n\n", 0),
        ("no more", 0),
        ("YES", 0),
        ("yes", 1),
        ("the key is sk-live", 7),
        ("the key is sk-live-51H8%2", 14),
        ("the key is sk-live-51H8\\", 13),
        ("the key is sk-live-51H8&#4", 15),
        ("sk-live-51H8/x+Qz3w", 19),
        ("sk-live-51H8/x+Qz3w9", 0),
        ("sk-live-51H8/x+Qz3w8", 0),
        ("736B2d6c", 8),
        ("s\0k\0", 4),
        ("100%", 1),
        ("100% ", 0),
        ("a\\n", 0),
    ] {
        let mut redactor = Redactor::new(Arc::clone(&redaction));
        let sent = redactor.push(text.as_bytes(), std::slice::from_ref(&(0..text.len())), false).len();
        assert_eq!(text.len() - sent, held, "{text}");
        assert_eq!(redactor.push(&[], &[], true).len(), held, "{text}");
    }
}

#[test]
fn what_is_short_or_no_secret_is_not_looked_for() {
    let redaction = Arc::new(Redaction::new());
    redaction.cover(&[slot("Bearer short", &["short".to_owned()]), slot("application/json", &[])], &Covered::default());
    assert_eq!(whole(&redaction, b"short application/json"), b"short application/json");
    redaction.cover(&[slot("Basic dXNlcjpzaG9ydA==", &["short".to_owned()])], &Covered::default());
    assert_eq!(whole(&redaction, b"Basic dXNlcjpzaG9ydA=="), b"Basic ****************", "what the header says");
}

#[test]
fn secrets_stay_when_they_are_renewed_and_the_oldest_go_in_the_end() {
    let redaction = Arc::new(Redaction::new());
    let tokens = |numbers: Range<usize>| numbers.map(|number| format!("token-{number:04}")).collect::<Vec<_>>();
    let (first, covered) = (tokens(0..1), Covered::default());
    redaction.cover(&[slot("", &first)], &covered);
    redaction.cover(&[slot("", &tokens(1..10))], &Covered::default());
    assert_eq!(whole(&redaction, b"token-0000 token-0009"), b"********** **********");
    redaction.cover(&[slot("", &tokens(10..REDACTED_SECRETS + 1))], &Covered::default());
    assert_eq!(whole(&redaction, b"token-0000 token-0400"), b"token-0000 **********");
    redaction.cover(&[slot("", &first)], &covered);
    assert_eq!(whole(&redaction, b"token-0000"), b"**********", "it is in use again");
}
