//! Random followers, and what the kinds of them mean.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::picks::{Pick, pick};
use crate::help_desk::{Following, Kind, WordKind};

/// A row of the follower table.
#[derive(Clone, Debug)]
pub(super) struct FollowerPicks {
    pub(super) ticket: Pick,
    pub(super) agent: Pick,
    pub(super) kind: WordPick,
    /// Another row for the same two: of which kind.
    pub(super) again: Option<WordPick>,
}

/// Which of the words of a column, if one.
pub(super) type WordPick = Option<usize>;

fn word_pick() -> impl Strategy<Value = WordPick> {
    option::weighted(0.9, 0..5usize)
}

/// `null`: how often the ticket or the agent is not there.
pub(super) fn follower_picks(null: u32) -> impl Strategy<Value = FollowerPicks> {
    (
        (pick(null, 9, 1, 0), pick(null, 9, 1, 0)),
        word_pick(),
        option::weighted(0.2, word_pick()),
    )
        .prop_map(|((ticket, agent), kind, again)| FollowerPicks {
            ticket,
            agent,
            kind,
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
