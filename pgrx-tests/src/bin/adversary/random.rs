//! Random choices that a seed repeats.

/// SplitMix64: small, and good enough to choose statements by.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The choices of one part of a run, independent of those of the others.
    pub fn new(seed: u64, part: &str, number: u64) -> Self {
        let mut mixed = Random(seed);
        for byte in part.bytes() {
            mixed.0 ^= u64::from(byte);
            mixed.next();
        }
        mixed.0 ^= number.wrapping_mul(0xd134_2543_de82_ef95);
        mixed.next();
        mixed
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of 0 to `count` - 1.
    pub fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    pub fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// The index of one of these, each as likely as its weight says.
    pub fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            if left < *weight {
                return index;
            }
            left -= weight;
        }
        unreachable!("less than the sum")
    }
}
