//! Redaction: what an API sends back of a credential is masked on its way to the child (`contract/proxy.md` section 5).
//!
//! [`Redaction`] knows the secrets that a run has injected so far; [`patterns`] is the search for all of their forms.
//! [`Redactor`] masks a stream: it never changes a length, and holds back only what may be the beginning of a form, until
//! what follows decides. [`answer`] masks heads and decides what becomes of a body, [`body`] masks bodies and undoes
//! their compression.
//!
//! Limits. A form within another one is not found, except base64 with escapes in it; base64 is not found across line
//! breaks. Nor is a secret that an API cuts into pieces, or changes.

pub(super) mod answer;
pub(super) mod body;
mod escapes;
mod forms;
mod grams;
mod inflate;
mod patterns;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::patterns::Patterns;
use crate::limits::REDACTED_SECRETS;
use crate::model::InjectSlot;
use crate::secret::Secret;

/// What is masked in a run: every secret that was injected so far, those included that were renewed since.
pub(super) struct Redaction {
    known: Mutex<Known>,
    /// [`Known::generation`], to be read without the lock.
    generation: AtomicU64,
}

struct Known {
    /// In the order in which they came.
    secrets: Vec<Secret>,
    patterns: Arc<Patterns>,
    /// Counts changes.
    generation: u64,
    /// The last generation that dropped secrets.
    dropped_in: u64,
}

/// Remembers, beside a credential, that its secrets are known.
#[derive(Debug, Default)]
pub(super) struct Covered(AtomicU64);

impl Redaction {
    pub(super) fn new() -> Self {
        let patterns = Arc::new(Patterns::new(&[]));
        let known = Known { secrets: Vec::new(), patterns, generation: 1, dropped_in: 0 };
        Self { known: Mutex::new(known), generation: AtomicU64::new(1) }
    }

    /// Masks the secrets in `slots` from now on, also in answers that are under way.
    pub(super) fn cover(&self, slots: &[InjectSlot], covered: &Covered) {
        let mut known = self.lock();
        if covered.0.load(Ordering::Relaxed) <= known.dropped_in {
            let fresh: BTreeSet<&str> = secrets(slots).filter(|secret| !known.contains(secret)).collect();
            if !fresh.is_empty() {
                known.add(&fresh);
                self.generation.store(known.generation, Ordering::Release);
            }
            covered.0.store(known.generation, Ordering::Relaxed);
        }
    }

    /// What is to be masked now.
    fn patterns(&self) -> Arc<Patterns> {
        Arc::clone(&self.lock().patterns)
    }

    /// Nothing under this lock panics half-way through a change.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn contains(&self, secret: &str) -> bool {
        self.secrets.iter().any(|known| known.expose() == secret)
    }

    fn add(&mut self, fresh: &BTreeSet<&str>) {
        self.generation += 1;
        if self.secrets.len() + fresh.len() > REDACTED_SECRETS {
            // Those of them that are in use come back with their next request.
            self.secrets.drain(..self.secrets.len() / 2);
            self.dropped_in = self.generation - 1;
        }
        self.secrets.extend(fresh.iter().map(|secret| Secret::new((*secret).to_owned())));
        self.patterns = Arc::new(Patterns::new(&self.secrets));
    }
}

/// The secrets of `slots`: those that the daemon names, and what follows the scheme of a value that has one (in Basic
/// credentials it is an encoding of more than the secret). A value without a secret in it is no secret.
fn secrets(slots: &[InjectSlot]) -> impl Iterator<Item = &str> {
    slots.iter().filter(|slot| !slot.secrets.is_empty()).flat_map(|slot| {
        let credentials = slot.value.expose().split_once(' ').map(|(_, credentials)| credentials);
        slot.secrets.iter().map(Secret::expose).chain(credentials)
    })
}

/// Masks one stream of bytes.
pub(super) struct Redactor {
    redaction: Arc<Redaction>,
    patterns: Arc<Patterns>,
    generation: u64,
    /// What went out last, then what is held back. Unused while pieces pass as they are.
    buffer: Vec<u8>,
    /// How much of it went out.
    sent: usize,
    /// So much of what is held back is masked whatever follows: the end of an occurrence that began before it.
    masked: usize,
    found: Vec<Range<usize>>,
}

impl Redactor {
    pub(super) fn new(redaction: Arc<Redaction>) -> Self {
        let generation = redaction.generation.load(Ordering::Acquire);
        let patterns = redaction.patterns();
        Self { redaction, patterns, generation, buffer: Vec::new(), sent: 0, masked: 0, found: Vec::new() }
    }

    /// Takes the parts of `input` that `spans` names, which follow what came before. What may go on now, masked.
    /// `is_last`: nothing follows, so nothing is held back.
    pub(super) fn push<'a>(&'a mut self, input: &'a [u8], spans: &[Range<usize>], is_last: bool) -> &'a [u8] {
        self.renew();
        self.buffer.drain(..std::mem::take(&mut self.sent));
        self.found.clear();
        if let [span] = spans
            && self.buffer.is_empty()
        {
            let piece = &input[span.clone()];
            let open = self.patterns.scan(piece, &mut self.found);
            if self.found.is_empty() {
                let (sent, held) = piece.split_at(if is_last { piece.len() } else { open });
                self.buffer.extend_from_slice(held);
                return sent;
            }
            self.found.clear();
        }
        for span in spans {
            self.buffer.extend_from_slice(&input[span.clone()]);
        }
        let open = self.patterns.scan(&self.buffer, &mut self.found);
        self.release(if is_last { self.buffer.len() } else { open })
    }

    /// Secrets may have come since the last piece.
    fn renew(&mut self) {
        let current = self.redaction.generation.load(Ordering::Acquire);
        if current != self.generation {
            (self.generation, self.patterns) = (current, self.redaction.patterns());
        }
    }

    /// Masks what was found as far as `open`, and lets it go.
    fn release(&mut self, open: usize) -> &[u8] {
        let mut masked = self.masked;
        self.buffer[..masked.min(open)].fill(b'*');
        for range in &self.found {
            self.buffer[range.start.min(open)..range.end.min(open)].fill(b'*');
            if range.start < open {
                masked = masked.max(range.end);
            }
        }
        self.masked = masked.saturating_sub(open);
        self.sent = open;
        &self.buffer[..open]
    }
}
