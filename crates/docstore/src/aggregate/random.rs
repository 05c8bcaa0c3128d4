//! Chance for `$rand` and `$sample`: speed matters, secrecy does not.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<u64> = Cell::new(seed());
}

fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    // Every `RandomState` has keys of its own from the system's randomness.
    RandomState::new().hash_one(std::thread::current().id())
}

/// 64 random bits (SplitMix64).
pub(super) fn next() -> u64 {
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        state.set(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    })
}

/// A double in [0, 1).
pub(super) fn unit_interval() -> f64 {
    (next() >> 11) as f64 / (1_u64 << 53) as f64
}

/// A number below the bound, which is not 0.
pub(super) fn below(bound: usize) -> usize {
    ((u128::from(next()) * bound as u128) >> 64) as usize
}
