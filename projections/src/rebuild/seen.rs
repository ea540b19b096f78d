//! Which keys a rebuild has let go to its table: a Bloom filter of a fixed size, so that a rebuild takes
//! the same memory for a log of any length. An error costs one look-up in vain.

use uuid::Uuid;

/// Bits for all workers together: eight megabytes. Ten million keys make one look-up in twenty vain.
const BITS: usize = 1 << 26;

/// Bits set for each key.
const BITS_PER_KEY: u64 = 3;

/// A set of keys that may say yes in error, but never no.
pub(crate) enum Seen {
    /// Those that were told.
    Told(Vec<u64>),
    /// Nobody knows which: the table was begun by somebody else.
    Unknown,
}

impl Seen {
    /// No key, for one of so many workers.
    pub(crate) fn none(workers: usize) -> Self {
        let bits = (BITS / workers.max(1)).next_power_of_two();
        Self::Told(vec![0; bits / 64])
    }

    /// Remembers a key.
    pub(crate) fn tell(&mut self, key: Uuid) {
        if let Self::Told(words) = self {
            for bit in places(key, words.len()) {
                words[bit / 64] |= 1 << (bit % 64);
            }
        }
    }

    /// Whether the table may have a row of this key.
    pub(crate) fn may_hold(&self, key: Uuid) -> bool {
        match self {
            Self::Told(words) => {
                places(key, words.len()).all(|bit| words[bit / 64] & (1 << (bit % 64)) != 0)
            }
            Self::Unknown => true,
        }
    }
}

/// The bits of a key: its two halves, mixed, as start and stride.
fn places(key: Uuid, words: usize) -> impl Iterator<Item = usize> {
    let (high, low) = key.as_u64_pair();
    let (start, stride) = (mix(low ^ high.rotate_left(32)), mix(low) | 1);
    let mask = words as u64 * 64 - 1;
    (0..BITS_PER_KEY).map(move |nth| (start.wrapping_add(nth.wrapping_mul(stride)) & mask) as usize)
}

/// The finalizer of splitmix64: half of the ids are moments in their upper bits.
fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_denies_a_key_it_was_told_and_seldom_claims_another() {
        let mut seen = Seen::none(16);
        let told: Vec<Uuid> = (0..100_000).map(|_| Uuid::now_v7()).collect();
        let other: Vec<Uuid> = (0..100_000).map(|_| Uuid::now_v7()).collect();
        for key in &told {
            seen.tell(*key);
        }
        assert!(told.iter().all(|key| seen.may_hold(*key)));
        let claimed = other.iter().filter(|key| seen.may_hold(**key)).count();
        // Expected at 42 bits a key: 34.
        assert!(claimed < 200, "{claimed} of 100000 are claimed in error");
    }

    #[test]
    fn of_an_unknown_table_it_denies_nothing() {
        assert!(Seen::Unknown.may_hold(Uuid::nil()));
        assert!(!Seen::none(1).may_hold(Uuid::nil()));
    }
}
