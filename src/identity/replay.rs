//! [`ReplayMemory`]: which proofs were used. Bounded in size, and no request pays for a full scan.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use sha2::{Digest, Sha256};

/// The first half of the SHA-256 of a `jti`: fixed size, and no second `jti` can be found that fits a given one.
type Fingerprint = [u8; 16];

/// How many expired entries one call removes at most. More than it adds, so that the memory shrinks under load; few
/// enough that nobody waits for a burst of a minute ago.
const SWEPT_PER_CALL: usize = 64;

/// A map of so many places is never made smaller.
const KEPT_CAPACITY: usize = 4096;

/// Used proofs until they expire, one name space for everybody.
pub(super) struct ReplayMemory {
    /// When each ends, and whose it is. The authority; `by_expiry` only says what to look at.
    entries: HashMap<Fingerprint, Entry>,
    /// How many entries each holder has.
    held: HashMap<Holder, usize>,
    holders: RandomState,
    /// The same, by the second of `exp`. An entry of `entries` that was renewed stands here twice.
    by_expiry: BTreeMap<i64, Vec<Fingerprint>>,
    capacity: usize,
}

/// A hash of who used a proof. Nobody can choose theirs to be another's: it is keyed.
type Holder = u64;

struct Entry {
    end: i64,
    holder: Holder,
}

/// Why a proof was not remembered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotRemembered {
    /// It was used before.
    Replayed,
    /// So many proofs are in use that one more of this holder cannot be remembered; forgetting one would allow its
    /// replay.
    Full,
}

impl ReplayMemory {
    /// An empty memory of at most `capacity` entries (about 70 bytes each).
    pub(super) fn new(capacity: usize) -> Self {
        let (entries, held, holders) = (HashMap::new(), HashMap::new(), RandomState::new());
        Self { entries, held, holders, by_expiry: BTreeMap::new(), capacity }
    }

    /// Takes note of `jti`, which `holder` used, until the second `exp`, which must be after `now`. A holder may have as
    /// many entries as are still free: who uses up proofs like mad takes half, and there is room for everybody else.
    pub(super) fn insert(&mut self, jti: &str, holder: &str, exp: i64, now: i64) -> Result<(), NotRemembered> {
        self.sweep(now);
        let (fingerprint, holder) = (fingerprint(jti), self.holders.hash_one(holder));
        if self.entries.get(&fingerprint).is_some_and(|entry| entry.end > now) {
            return Err(NotRemembered::Replayed);
        }
        self.forget(fingerprint); // one that has ended and was not swept yet
        let held = self.held.get(&holder).copied().unwrap_or_default();
        if held >= self.capacity - self.entries.len() {
            return Err(NotRemembered::Full);
        }
        self.held.insert(holder, held + 1);
        self.entries.insert(fingerprint, Entry { end: exp, holder });
        self.by_expiry.entry(exp).or_default().push(fingerprint);
        Ok(())
    }

    fn forget(&mut self, fingerprint: Fingerprint) {
        let Some(entry) = self.entries.remove(&fingerprint) else { return };
        match self.held.get_mut(&entry.holder) {
            Some(held) if *held > 1 => *held -= 1,
            _ => drop(self.held.remove(&entry.holder)),
        }
    }

    /// Forgets some of what expired.
    fn sweep(&mut self, now: i64) {
        for _ in 0..SWEPT_PER_CALL {
            let Some(mut oldest) = self.by_expiry.first_entry().filter(|entry| *entry.key() <= now) else { break };
            let end = *oldest.key();
            match oldest.get_mut().pop() {
                // One that was renewed has another end: a later second has it too.
                Some(fingerprint) if self.entries.get(&fingerprint).is_some_and(|entry| entry.end == end) => {
                    self.forget(fingerprint);
                }
                Some(_) => {}
                None => drop(oldest.remove()),
            }
        }
        if self.entries.capacity() > KEPT_CAPACITY.max(16 * self.entries.len()) {
            self.entries.shrink_to(2 * self.entries.len()); // what a burst took goes back
        }
    }
}

fn fingerprint(jti: &str) -> Fingerprint {
    let digest: [u8; 32] = Sha256::digest(jti.as_bytes()).into();
    std::array::from_fn(|at| digest[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_good_once_until_it_expires() {
        let mut memory = ReplayMemory::new(10);
        assert_eq!(memory.insert("a", "fox", 100, 50), Ok(()));
        assert_eq!(memory.insert("a", "fox", 100, 50), Err(NotRemembered::Replayed));
        assert_eq!(memory.insert("a", "fox", 300, 99), Err(NotRemembered::Replayed), "whatever its exp says");
        assert_eq!(memory.insert("b", "fox", 100, 50), Ok(()));
        assert_eq!(memory.insert("a", "fox", 150, 100), Ok(()), "the first one is over");
        assert_eq!(memory.insert("a", "fox", 150, 149), Err(NotRemembered::Replayed));
    }

    #[test]
    fn a_full_memory_refuses_instead_of_forgetting() {
        let mut memory = ReplayMemory::new(4);
        assert_eq!(memory.insert("a", "fox", 100, 50), Ok(()));
        assert_eq!(memory.insert("b", "fox", 120, 50), Ok(()));
        assert_eq!(memory.insert("c", "fox", 130, 50), Err(NotRemembered::Full));
        assert_eq!(memory.insert("a", "fox", 100, 50), Err(NotRemembered::Replayed), "it still knows");
        assert_eq!(memory.insert("c", "fox", 130, 100), Ok(()), "the first one made room");
        assert_eq!(memory.insert("b", "fox", 130, 100), Err(NotRemembered::Replayed));
    }

    #[test]
    fn nobody_takes_the_room_of_everybody() {
        let mut memory = ReplayMemory::new(1000);
        let mut fill = |holder: &str| {
            (0..1000).filter(|number| memory.insert(&format!("{holder} {number}"), holder, 100, 50).is_ok()).count()
        };
        assert_eq!((fill("mad"), fill("also mad")), (500, 250));
        assert_eq!(memory.insert("a", "fox", 100, 50), Ok(()));
        assert_eq!(memory.insert("a", "other", 100, 50), Err(NotRemembered::Replayed), "one name space for everybody");
        for at in 0..50 {
            memory.insert(&format!("later {at}"), "fox", 200, 100).expect("the rest has ended");
        }
        assert_eq!((memory.entries.len(), memory.held.len()), (50, 1), "who holds nothing is forgotten");
    }

    #[test]
    fn a_renewed_entry_outlives_its_first_end() {
        let mut memory = ReplayMemory::new(1000);
        for at in 0..200 {
            memory.insert(&format!("early {at}"), "fox", 10, 0).expect("new");
        }
        memory.insert("again", "fox", 10, 0).expect("new");
        memory.insert("again", "fox", 20, 10).expect("expired, though not swept yet or just so");
        for at in 0..100 {
            memory.insert(&format!("late {at}"), "fox", 30, 11).expect("new");
        }
        assert_eq!(memory.insert("again", "fox", 20, 12), Err(NotRemembered::Replayed));
    }

    #[test]
    fn what_expired_is_forgotten_a_little_at_a_time() {
        let mut memory = ReplayMemory::new(10_000);
        for at in 0..5_000 {
            memory.insert(&format!("burst {at}"), "fox", 10 + at % 7, 0).expect("new");
        }
        assert!(memory.entries.capacity() > KEPT_CAPACITY);
        let before = memory.entries.len();
        memory.insert("next", "fox", 200, 100).expect("new");
        assert!(before - memory.entries.len() <= SWEPT_PER_CALL);
        for at in 0..100 {
            memory.insert(&format!("later {at}"), "fox", 200, 100).expect("new");
        }
        assert_eq!(memory.entries.len(), 101);
        assert_eq!(memory.by_expiry.len(), 1, "no empty seconds stay");
        assert!(memory.entries.capacity() <= KEPT_CAPACITY, "what the burst took is given back");
    }
}
