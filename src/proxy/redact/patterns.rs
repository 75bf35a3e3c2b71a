//! [`Patterns`]: every form of every secret of a run, and the search for all of them in one pass.
//!
//! A form of `n` bytes covers one in `n - 3` positions at least, so it is enough to look at four bytes now and then: at
//! every `stride`-th position of the text they are looked up in a set of what stands at so many places of each form.
//! Text hardly ever has one of them, and is passed at the speed of memory. Escapes, which make a form longer and look
//! different, are found by the byte that introduces them.

use std::ops::Range;

use memchr::{memchr_iter, memchr2_iter, memchr3_iter};
use zeroize::Zeroizing;

use super::escapes::{Escape, INTRODUCERS, Seconds, Unescaped, unescape};
use super::forms::{Form, Kind, forms};
use super::grams::{Gram, GramSet, hash};
use crate::limits::SHORTEST_SECRET_BYTES;
use crate::secret::Secret;

/// More gains nothing: each look is at another line of the cache by then.
const LONGEST_STRIDE: usize = 32;

/// Compiled secrets. Everything in it is wiped when it is dropped.
pub(super) struct Patterns {
    forms: Vec<Form>,
    /// Distance of the looks at a text.
    stride: usize,
    samples: Samples,
    /// Every gram of every form. Those that begin one also with zeros in front, for the first three bytes.
    grams: GramSet,
    /// Bytes with which a form begins.
    firsts: Zeroizing<[bool; 256]>,
    /// Bytes of forms that may be escaped.
    escapable: Zeroizing<[bool; 256]>,
    seconds: Seconds,
}

/// What may stand where a look falls.
struct Samples {
    set: GramSet,
    /// Hash of the gram, number of the form, place in it; by hash.
    places: Zeroizing<Vec<[u32; 3]>>,
}

/// How the rest of a form compares with a text.
enum Rest {
    /// It ends here.
    Match(usize),
    /// The text ends first.
    Open,
    Differs,
}

impl Patterns {
    /// Compiles `secrets`; what is shorter than [`SHORTEST_SECRET_BYTES`] is left out.
    pub(super) fn new(secrets: &[Secret]) -> Self {
        let long_enough = |secret: &&Secret| secret.expose().len() >= SHORTEST_SECRET_BYTES;
        let forms: Vec<Form> = secrets.iter().filter(long_enough).flat_map(|secret| forms(secret.expose())).collect();
        let shortest = forms.iter().map(|form| form.bytes.len()).min().unwrap_or(SHORTEST_SECRET_BYTES);
        let stride = (shortest - 3).min(LONGEST_STRIDE);
        let mut grams = GramSet::with_room(forms.iter().map(|form| form.bytes.len()).sum(), 16);
        for form in &forms {
            form.bytes.windows(4).for_each(|gram| grams.insert(last(gram)));
            (2..4).for_each(|count| grams.insert(last(&form.bytes[..count])));
        }
        let texts = || forms.iter().filter(|form| form.kind == Kind::Text).flat_map(|form| form.bytes.iter().copied());
        let firsts = forms.iter().flat_map(Form::first_bytes);
        Self {
            stride,
            samples: Samples::new(&forms, stride),
            grams,
            firsts: table(firsts),
            escapable: table(texts()),
            seconds: Seconds::of(texts()),
            forms,
        }
    }

    /// Finds every form of every secret in `text`; occurrences may overlap, and may be reported twice. The answer is
    /// where the part of the text begins that may go on in what follows: at its end, when none may.
    #[must_use]
    pub(super) fn scan(&self, text: &[u8], found: &mut Vec<Range<usize>>) -> usize {
        if self.forms.is_empty() {
            return text.len();
        }
        self.find_plain(text, found);
        self.find_escaped(text, found).min(self.open_at(text, text.len()))
    }

    /// Masks every occurrence in `text`.
    pub(super) fn mask(&self, text: &mut [u8]) {
        let mut found = Vec::new();
        let _ = self.scan(text, &mut found);
        for range in found {
            text[range].fill(b'*');
        }
    }

    /// Whether `text` has an occurrence.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        let mut found = Vec::new();
        let _ = self.scan(text, &mut found);
        !found.is_empty()
    }

    fn find_plain(&self, text: &[u8], found: &mut Vec<Range<usize>>) {
        let mut at = 0;
        while let Some(gram) = text.get(at..).and_then(|rest| rest.first_chunk()) {
            if self.samples.set.contains(*gram) {
                self.look_closer(text, at, *gram, found);
            }
            at += self.stride;
        }
    }

    #[cold]
    fn look_closer(&self, text: &[u8], at: usize, gram: Gram, found: &mut Vec<Range<usize>>) {
        for [_, number, place] in self.samples.places_of(gram) {
            let form = &self.forms[*number as usize];
            let Some(start) = at.checked_sub(*place as usize) else { continue };
            let range = start..start + form.bytes.len();
            if text.get(range.clone()).is_some_and(|text| form.is(text)) {
                found.push(range);
            }
        }
    }

    /// As [`Patterns::scan`], for occurrences with an escape in them.
    fn find_escaped(&self, text: &[u8], found: &mut Vec<Range<usize>>) -> usize {
        let mut open = text.len();
        let [first, second, third] = INTRODUCERS;
        for at in memchr3_iter(first, second, third, text) {
            if !self.seconds.may_start(&text[at..]) {
                continue;
            }
            match unescape(&text[at..]) {
                Escape::Complete(character) if self.may_end_with(&text[..at], character.bytes()[0]) => {
                    open = open.min(self.find_from(text, at, &character, found));
                }
                Escape::Incomplete => open = open.min(self.open_at(text, at)),
                Escape::Complete(_) | Escape::None => {}
            }
        }
        open
    }

    /// The occurrences whose first escape is the one at `at`, which stands for `character`.
    #[cold]
    fn find_from(&self, text: &[u8], at: usize, character: &Unescaped, found: &mut Vec<Range<usize>>) -> usize {
        let mut open = text.len();
        for form in self.forms.iter().filter(|form| form.kind == Kind::Text) {
            for place in memchr_iter(character.bytes()[0], &form.bytes) {
                let Some(start) = at.checked_sub(place) else { break };
                if text[start..at] != form.bytes[..place] {
                    continue;
                }
                match form.rest(place, text, at) {
                    Rest::Match(end) => found.push(start..end),
                    Rest::Open => open = open.min(start),
                    Rest::Differs => {}
                }
            }
        }
        open
    }

    /// Where the longest beginning of a form stands that ends at `end` without being whole; `end`: there is none.
    fn open_at(&self, text: &[u8], end: usize) -> usize {
        let [third, second, first, byte] = last(&text[..end]);
        if self.may_end([third, second, first, byte]) {
            return self.forms.iter().filter_map(|form| form.beginning_at_end(&text[..end])).min().unwrap_or(end);
        }
        if end > 0 && self.firsts[usize::from(byte)] { end - 1 } else { end }
    }

    /// Whether `before` and `byte` together may end with a beginning of a form that can have escapes.
    fn may_end_with(&self, before: &[u8], byte: u8) -> bool {
        if !self.escapable[usize::from(byte)] {
            return false;
        }
        let [_, third, second, first] = last(before);
        self.firsts[usize::from(byte)] || self.may_end([third, second, first, byte])
    }

    /// Whether two or more bytes with which a form begins may end with these.
    fn may_end(&self, [third, second, first, byte]: Gram) -> bool {
        self.grams.contains([third, second, first, byte])
            || self.grams.contains([0, 0, first, byte])
            || self.grams.contains([0, second, first, byte])
    }
}

impl Form {
    /// Whether `text`, which is as long, is this form.
    fn is(&self, text: &[u8]) -> bool {
        match self.kind {
            Kind::Exact | Kind::Text => text == &**self.bytes,
            Kind::AnyCase => text.eq_ignore_ascii_case(&self.bytes),
        }
    }

    /// The bytes with which it may begin.
    fn first_bytes(&self) -> [u8; 2] {
        let first = self.bytes[0];
        match self.kind {
            Kind::Exact | Kind::Text => [first; 2],
            Kind::AnyCase => [first, first.to_ascii_uppercase()],
        }
    }

    /// Compares from `place` on with the text from `at` on, where an escape stands; further ones of its kind may follow.
    fn rest(&self, mut place: usize, text: &[u8], mut at: usize) -> Rest {
        let introducer = text[at];
        while let Some(expected) = self.bytes.get(place..).filter(|rest| !rest.is_empty()) {
            let Some(byte) = text.get(at) else { return Rest::Open };
            let escape = if *byte == introducer { unescape(&text[at..]) } else { Escape::None };
            match escape {
                Escape::Incomplete => return Rest::Open,
                Escape::Complete(character) if expected.starts_with(character.bytes()) => {
                    (place, at) = (place + character.bytes().len(), at + character.length);
                }
                Escape::None if expected[0] == *byte => (place, at) = (place + 1, at + 1),
                Escape::Complete(_) | Escape::None => return Rest::Differs,
            }
        }
        Rest::Match(at)
    }

    /// Where in `text` the longest part begins that reaches to its end, and that this form begins with.
    fn beginning_at_end(&self, text: &[u8]) -> Option<usize> {
        let from = text.len().saturating_sub(self.bytes.len() - 1);
        let tail = &text[from..];
        let is_beginning = |start: &usize| self.is_beginning(&tail[*start..]);
        let [first, other] = self.first_bytes();
        memchr2_iter(first, other, tail).find(is_beginning).map(|start| from + start)
    }

    fn is_beginning(&self, text: &[u8]) -> bool {
        match self.kind {
            Kind::Exact | Kind::Text => self.bytes.starts_with(text),
            Kind::AnyCase => self.bytes[..text.len()].eq_ignore_ascii_case(text),
        }
    }
}

impl Samples {
    /// The last `stride` grams of each form: what secrets have in common stands at their beginnings.
    fn new(forms: &[Form], stride: usize) -> Self {
        let mut set = GramSet::with_room(forms.len() * stride, 128);
        let mut places = Zeroizing::new(Vec::with_capacity(forms.len() * stride));
        for (number, form) in (0..).zip(forms) {
            for (place, gram) in (0..).zip(form.bytes.windows(4)).skip(form.bytes.len() - 3 - stride) {
                set.insert(last(gram));
                places.push([hash(last(gram)), number, place]);
            }
        }
        places.sort_unstable();
        Self { set, places }
    }

    /// The entries of `gram`.
    fn places_of(&self, gram: Gram) -> impl Iterator<Item = &[u32; 3]> {
        let hash = hash(gram);
        let first = self.places.partition_point(|[known, ..]| *known < hash);
        self.places[first..].iter().take_while(move |[known, ..]| *known == hash)
    }
}

fn table(bytes: impl Iterator<Item = u8>) -> Zeroizing<[bool; 256]> {
    let mut table = Zeroizing::new([false; 256]);
    bytes.for_each(|byte| table[usize::from(byte)] = true);
    table
}

/// The last four bytes of `text`, with zeros in front where there are fewer.
fn last(text: &[u8]) -> Gram {
    text.last_chunk().copied().unwrap_or_else(|| {
        let mut gram = [0; 4];
        gram[4 - text.len()..].copy_from_slice(text);
        gram
    })
}
