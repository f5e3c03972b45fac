//! Lists of keys that functions give.

use crate::tables::key::{Key, KeyRef};

/// The keys that a list function gives, each in its own array.
#[derive(Default)]
pub struct KeyList {
    pub numbers: Vec<i64>,
    pub uuids: Vec<pgrx::Uuid>,
    pub texts: Vec<String>,
}

impl KeyList {
    /// For an estimate the planner asks for the list itself and looks at each key of it; then some of
    /// them do.
    pub fn of<'a>(
        keys: impl Iterator<Item = KeyRef<'a>>,
        len: usize,
        is_estimate: bool,
    ) -> KeyList {
        const ENOUGH: usize = 20;
        let step = if is_estimate {
            len.div_ceil(ENOUGH).max(1)
        } else {
            1
        };
        let mut list = KeyList::default();
        for key in keys.step_by(step) {
            match key {
                Key::Number(number) => list.numbers.push(number),
                Key::Uuid(uuid) => list.uuids.push(pgrx::Uuid::from_bytes(uuid.into_bytes())),
                Key::Text(text) => list.texts.push(text.into()),
            }
        }
        list
    }

    /// Some keys of a type, for an estimate of a list that is not at hand.
    pub fn sample(len: i64) -> KeyList {
        KeyList {
            numbers: (0..len).collect(),
            uuids: (0..len)
                .map(|n| pgrx::Uuid::from_bytes(u128::from(n as u64).to_be_bytes()))
                .collect(),
            texts: (0..len).map(|n| n.to_string()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_estimate_looks_at_some_keys_from_the_whole_list() {
        let listed = |len: usize, is_estimate| {
            let keys = (0..len as i64).map(Key::Number);
            KeyList::of(keys, len, is_estimate).numbers
        };
        assert_eq!(listed(1000, false).len(), 1000);
        assert!(listed(0, true).is_empty());
        assert_eq!(listed(20, true).len(), 20);
        for len in [21, 1000, 1001] {
            let some = listed(len, true);
            assert!((10..=20).contains(&some.len()), "{len}: {some:?}");
            assert!(
                some.last() >= Some(&(len as i64 * 9 / 10)),
                "{len}: {some:?}"
            );
        }
    }
}
