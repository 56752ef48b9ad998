//! Chance that can be repeated: the same seed gives the same numbers on every machine.

/// A small generator (SplitMix64). Good enough to vary lengths and gaps; never for secrets.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The generator of one seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The generator of the `number`th thing under one seed, so that things may be drawn in any order.
    pub const fn nth(seed: u64, number: u64) -> Self {
        Self(mix(seed ^ mix(number.wrapping_add(1))))
    }

    /// Any 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// At least 0 and below 1.
    pub const fn unit(&mut self) -> f64 {
        // 53 bits are what a double holds exactly.
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// At least `low` and below `high`.
    pub const fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// At least 0 and below `end`; 0 for an `end` of 0.
    pub const fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.bits() % end }
    }

    /// The gap to the next of events that come independently of each other, `mean` apart in the long run.
    pub fn gap(&mut self, mean: f64) -> f64 {
        -(1.0 - self.unit()).ln() * mean
    }
}

const fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_have_the_mean_they_were_asked_for() {
        let mut chance = Chance::new(1);
        let sum: f64 = (0..100_000).map(|_| chance.gap(2.0)).sum();
        assert!((sum / 100_000.0 - 2.0).abs() < 0.05, "{}", sum / 100_000.0);
    }

    #[test]
    fn the_nth_thing_does_not_depend_on_the_order() {
        let forwards: Vec<u64> = (0..10).map(|n| Chance::nth(7, n).bits()).collect();
        let backwards: Vec<u64> = (0..10).rev().map(|n| Chance::nth(7, n).bits()).collect();
        assert!(forwards.iter().eq(backwards.iter().rev()));
        assert_ne!(Chance::nth(8, 0).bits(), forwards[0]);
    }
}
