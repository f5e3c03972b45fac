//! Random followers, and what the kinds of them mean.

use std::collections::BTreeMap;

use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::picks::{Pick, pick};
use crate::help_desk::{Following, Kind, OtherTypes, RowType, WordColumn, WordKind};

/// A row of the follower table.
#[derive(Clone, Debug)]
pub(super) struct FollowerPicks {
    pub(super) ticket: Pick,
    pub(super) agent: Pick,
    pub(super) kind: WordPick,
    pub(super) row_type: TypePick,
    /// Another row for the same two: of which kind.
    pub(super) again: Option<WordPick>,
}

/// Which of the words of a column, if one.
pub(super) type WordPick = Option<usize>;

fn word_pick() -> impl Strategy<Value = WordPick> {
    option::weighted(0.9, 0..5usize)
}

/// Of which type a row is: one of those that are meant, or any.
#[derive(Clone, Copy, Debug)]
pub struct TypePick {
    is_meant: bool,
    word: WordPick,
}

pub fn type_pick() -> impl Strategy<Value = TypePick> {
    (weighted(0.6), word_pick()).prop_map(|(is_meant, word)| TypePick { is_meant, word })
}

impl TypePick {
    pub fn of_word(is_meant: bool, nth: usize) -> TypePick {
        TypePick {
            is_meant,
            word: Some(nth),
        }
    }

    /// None is of no type.
    pub fn of(self, types: &RowType) -> Option<&'static str> {
        let all = types.column.kind.values();
        let meant = |nth: usize| types.values[nth % types.values.len()];
        match self.is_meant {
            true => Some(meant(self.word.unwrap_or_default())),
            false => self.word.map(|nth| all[nth]),
        }
    }
}

/// The types of a table that has several; some are meant, some not.
pub fn row_type(name: &'static str, chance: f64) -> impl Strategy<Value = Option<RowType>> {
    let others = select(vec![OtherTypes::Hidden, OtherTypes::Open]);
    let types = (word_kind(), vec(any::<bool>(), 4), others);
    option::weighted(chance, types).prop_map(move |types| {
        let (kind, meant, others) = types?;
        let words = kind.values().into_iter().zip(meant);
        let values: Vec<_> = words.filter_map(|(word, is)| is.then_some(word)).collect();
        let column = WordColumn { name, kind };
        let of = RowType {
            column,
            values,
            others,
        };
        (!of.values.is_empty()).then_some(of)
    })
}

/// `null`: how often the ticket or the agent is not there.
pub(super) fn follower_picks(null: u32) -> impl Strategy<Value = FollowerPicks> {
    (
        (pick(null, 9, 1, 0), pick(null, 9, 1, 0)),
        word_pick(),
        type_pick(),
        option::weighted(0.2, word_pick()),
    )
        .prop_map(|((ticket, agent), kind, row_type, again)| FollowerPicks {
            ticket,
            agent,
            kind,
            row_type,
            again,
        })
}

pub(super) fn word_kind() -> impl Strategy<Value = WordKind> {
    let integers = Kind::INTEGERS.map(WordKind::Integer);
    select([&[WordKind::Text, WordKind::Enum], &integers[..]].concat())
}

/// Of which type the column for the kind is, and what the kinds mean; none where none would mean anything.
pub(super) fn follower_kinds()
-> impl Strategy<Value = Option<(WordKind, BTreeMap<&'static str, Following>)>> {
    let meaning = prop_oneof![
        1 => Just(None),
        1 => Just(Some(Following::Followed)),
        1 => Just(Some(Following::Requested)),
    ];
    let kinds = (word_kind(), vec(meaning, 5));
    option::weighted(0.4, kinds).prop_map(|kinds| {
        let (kind, meanings) = kinds?;
        let words = kind.values().into_iter().zip(meanings);
        let meanings: BTreeMap<_, _> = words.filter_map(|(word, is)| Some((word, is?))).collect();
        (!meanings.is_empty()).then_some((kind, meanings))
    })
}
