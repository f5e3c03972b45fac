//! Sets of ids that are asked for each row of a table.

use rustc_hash::FxHashSet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Some ids. Whether one is among them is told in constant time, whatever their number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdSet {
    /// Each once.
    sorted: Vec<i64>,
    lookup: Lookup,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Lookup {
    /// So few that they are searched.
    Search,
    /// A bit for each number from the first id to the last.
    Bits(Box<[u64]>),
    Hash(FxHashSet<i64>),
}

impl Serialize for IdSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.sorted.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for IdSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<IdSet, D::Error> {
        Vec::<i64>::deserialize(deserializer).map(IdSet::from_iter)
    }
}

/// Up to so many ids are searched as fast as hashed.
const FEW: usize = 8;

impl IdSet {
    pub const fn empty() -> IdSet {
        IdSet {
            sorted: Vec::new(),
            lookup: Lookup::Search,
        }
    }

    pub fn contains(&self, id: i64) -> bool {
        match &self.lookup {
            Lookup::Search => self.sorted.binary_search(&id).is_ok(),
            Lookup::Bits(words) => {
                let distance = distance(self.sorted[0], id);
                usize::try_from(distance / 64)
                    .ok()
                    .and_then(|word| words.get(word))
                    .is_some_and(|word| word >> (distance % 64) & 1 == 1)
            }
            Lookup::Hash(ids) => ids.contains(&id),
        }
    }

    pub fn sorted(&self) -> &[i64] {
        &self.sorted
    }

    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The memory that it takes besides itself, in bytes.
    pub fn bytes(&self) -> usize {
        let lookup = match &self.lookup {
            Lookup::Search => 0,
            Lookup::Bits(words) => std::mem::size_of_val::<[u64]>(words),
            // A power of two of places, each with a byte of its own; up to 7 of 8 are used.
            Lookup::Hash(ids) => {
                (ids.capacity() * 8 / 7).next_power_of_two() * (std::mem::size_of::<i64>() + 1)
            }
        };
        self.sorted.capacity() * std::mem::size_of::<i64>() + lookup
    }
}

/// How far a number is above another one; for one below a number that is larger than any in between.
fn distance(first: i64, id: i64) -> u64 {
    id.wrapping_sub(first) as u64
}

impl FromIterator<i64> for IdSet {
    fn from_iter<I: IntoIterator<Item = i64>>(ids: I) -> IdSet {
        let mut sorted: Vec<i64> = ids.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.shrink_to_fit();
        let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
            return IdSet::empty();
        };
        let words = distance(*first, *last) / 64;
        let lookup = if sorted.len() <= FEW {
            Lookup::Search
        } else if words < sorted.len() as u64 {
            // They take no more memory than the ids.
            let mut bits = vec![0; words as usize + 1];
            for id in &sorted {
                let distance = distance(*first, *id);
                bits[(distance / 64) as usize] |= 1 << (distance % 64);
            }
            Lookup::Bits(bits.into())
        } else {
            Lookup::Hash(sorted.iter().copied().collect())
        };
        IdSet { sorted, lookup }
    }
}

impl<const N: usize> From<[i64; N]> for IdSet {
    fn from(ids: [i64; N]) -> IdSet {
        ids.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// All that are in it, and what is around each and at the ends.
    fn agrees_with_a_tree(ids: impl IntoIterator<Item = i64>) -> IdSet {
        let tree: BTreeSet<i64> = ids.into_iter().collect();
        // Given in another order, and twice.
        let set: IdSet = tree.iter().rev().chain(&tree).copied().collect();
        assert!(set.sorted().iter().eq(&tree));
        assert_eq!((set.len(), set.is_empty()), (tree.len(), tree.is_empty()));
        let near = [0, 1, 2, 63, 64, 65, 1 << 32, 1 << 62];
        let asked = tree.iter().chain(&[0, i64::MIN, i64::MAX]).flat_map(|id| {
            near.iter()
                .flat_map(|n| [id.wrapping_add(*n), id.wrapping_sub(*n)])
        });
        for id in asked {
            assert_eq!(set.contains(id), tree.contains(&id), "{id} in {tree:?}");
        }
        set
    }

    #[test]
    fn every_set_of_a_few_ids_tells_them_from_all_others() {
        let some = [
            i64::MIN,
            i64::MIN + 1,
            -64,
            -1,
            0,
            1,
            2,
            63,
            64,
            4711,
            i64::MAX - 1,
            i64::MAX,
        ];
        for chosen in 0..1 << some.len() {
            agrees_with_a_tree(
                (0..some.len())
                    .filter(|n| chosen >> n & 1 == 1)
                    .map(|n| some[n]),
            );
        }
    }

    #[test]
    fn ids_close_together_are_bits_and_others_are_hashed() {
        for count in [FEW as i64 + 1, 64, 65, 1000] {
            for first in [i64::MIN, -500, 0, 1, 1 << 40, i64::MAX - 63 * count] {
                for step in 1..=63 {
                    let set = agrees_with_a_tree((0..count).map(|n| first + n * step));
                    assert!(
                        matches!(set.lookup, Lookup::Bits(_)),
                        "{count} {first} {step}"
                    );
                }
            }
            for step in [80, 1 << 20, 1 << 52] {
                let set = agrees_with_a_tree((0..count).map(|n| n * step - (1 << 61)));
                assert!(matches!(set.lookup, Lookup::Hash(_)), "{count} {step}");
            }
            let ends = (0..count).flat_map(|n| [i64::MIN + n, i64::MAX - n]);
            assert!(matches!(agrees_with_a_tree(ends).lookup, Lookup::Hash(_)));
        }
    }

    #[test]
    fn the_memory_is_that_of_the_list_and_of_what_makes_it_fast() {
        let set = |ids: &mut dyn Iterator<Item = i64>| ids.collect::<IdSet>().bytes();
        assert_eq!(IdSet::empty().bytes(), 0);
        assert_eq!(set(&mut (0..5)), 5 * 8);
        // 1000 bits are 16 words.
        assert_eq!(set(&mut (0..1000)), 1000 * 8 + 16 * 8);
        // 1000 ids are hashed to 2048 places.
        assert_eq!(set(&mut (0..1000).map(|n| n * 1000)), 1000 * 8 + 2048 * 9);
    }
}
