//! Sets of four bytes that say "surely not one of ours" in a few instructions.

use zeroize::Zeroizing;

/// Four bytes in a row.
pub(super) type Gram = [u8; 4];

/// ASCII letters become equal in both cases. Other bytes lose a bit too, which costs a second look, not a match.
const FOLD: u32 = 0x2020_2020;

/// A set that may take a stranger for a member, but never a member for a stranger.
pub(super) struct GramSet {
    words: Zeroizing<Vec<u64>>,
    shift: u32,
}

impl GramSet {
    /// Room for `count` grams, with so many bits for each: one in `bits_each` strangers is mistaken.
    pub(super) fn with_room(count: usize, bits_each: usize) -> Self {
        let bits = (count * bits_each).next_power_of_two().clamp(1 << 12, 1 << 24);
        Self { words: Zeroizing::new(vec![0; bits / 64]), shift: 32 - bits.trailing_zeros() }
    }

    pub(super) fn insert(&mut self, gram: Gram) {
        let (word, bit) = self.place(gram);
        self.words[word] |= bit;
    }

    /// Whether `gram` may have been inserted.
    #[inline]
    pub(super) fn contains(&self, gram: Gram) -> bool {
        let (word, bit) = self.place(gram);
        self.words[word] & bit != 0
    }

    #[inline]
    fn place(&self, gram: Gram) -> (usize, u64) {
        let bit = hash(gram) >> self.shift;
        ((bit / 64) as usize, 1 << (bit % 64))
    }
}

/// Different for different grams, but for the bits that [`FOLD`] takes.
#[inline]
pub(super) fn hash(gram: Gram) -> u32 {
    (u32::from_le_bytes(gram) | FOLD).wrapping_mul(0x9e37_79b1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_in_either_case_and_few_strangers() {
        let member = |number: u32| number.wrapping_mul(0x01ab_cdef).to_le_bytes();
        let mut set = GramSet::with_room(1000, 128);
        (0..1000).for_each(|number| set.insert(member(number)));
        assert!((0..1000).all(|number| set.contains(member(number))));
        assert!((0..1000).all(|number| set.contains(member(number).map(|byte| byte.to_ascii_uppercase()))));
        let mistaken = (1000..101_000).filter(|number| set.contains(member(*number))).count();
        assert!(mistaken < 2000, "{mistaken} of 100000");
    }
}
