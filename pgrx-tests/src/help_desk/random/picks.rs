//! Random choices that depend on nothing else: how many there are of a thing, and which a row names.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::help_desk::{DANGLING, Id};

/// Which value a column gets: mostly an existing one, so that rules meet.
#[derive(Clone, Debug)]
pub(super) enum Pick {
    Null,
    Existing(usize),
    Dangling,
    /// The configured unassigned value; an ordinary 0 where none is configured.
    Unassigned,
}

impl Pick {
    pub(super) fn resolve(&self, ids: &[Id], unassigned: Id) -> Option<Id> {
        match self {
            Pick::Null => None,
            Pick::Existing(_) if ids.is_empty() => None,
            Pick::Existing(nth) => Some(ids[nth % ids.len()]),
            Pick::Dangling => Some(DANGLING),
            Pick::Unassigned => Some(unassigned),
        }
    }
}

pub(super) fn pick(
    null: u32,
    existing: u32,
    dangling: u32,
    unassigned: u32,
) -> impl Strategy<Value = Pick> {
    prop_oneof![
        null => Just(Pick::Null),
        existing => (0..60usize).prop_map(Pick::Existing),
        dangling => Just(Pick::Dangling),
        unassigned => Just(Pick::Unassigned),
    ]
}

#[derive(Clone, Debug)]
pub(super) struct TicketPicks {
    pub(super) department: Pick,
    pub(super) category: Pick,
    pub(super) assignee: Pick,
    pub(super) team: Pick,
    pub(super) requester: Pick,
    pub(super) requester_team: Pick,
    pub(super) confidential: Option<bool>,
    pub(super) status: Option<usize>,
}

pub(super) fn ticket_picks() -> impl Strategy<Value = TicketPicks> {
    (
        pick(2, 9, 1, 0),
        pick(2, 9, 1, 0),
        pick(3, 5, 1, 2),
        pick(7, 2, 1, 0),
        (pick(3, 5, 1, 0), pick(5, 4, 1, 0)),
        prop_oneof![4 => Just(Some(false)), 3 => Just(Some(true)), 2 => Just(None)],
        proptest::option::weighted(0.9, 0..5usize),
    )
        .prop_map(
            |(department, category, assignee, team, requesters, confidential, status)| {
                TicketPicks {
                    department,
                    category,
                    assignee,
                    team,
                    requester: requesters.0,
                    requester_team: requesters.1,
                    confidential,
                    status,
                }
            },
        )
}

/// Sometimes few, mostly many.
fn size(most: usize) -> impl Strategy<Value = usize> {
    prop_oneof![1 => 0..=1usize, 5 => most.div_ceil(2)..=most]
}

/// Most of so many; each can be left out when a failure is made smaller.
pub(super) fn mostly<T: Clone + std::fmt::Debug>(
    most: usize,
    item: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<T>> {
    vec(proptest::option::weighted(0.8, item), most)
        .prop_map(|items| items.into_iter().flatten().collect())
}

/// Ids 1, 2, 3 … and sometimes a last one that a cast to int2 or int4 would turn into 1.
pub(super) fn ids(most: usize) -> impl Strategy<Value = Vec<Id>> {
    (
        size(most),
        prop_oneof![6 => Just(0), 1 => Just(65_537), 1 => Just(4_294_967_297)],
    )
        .prop_map(|(count, wide)| {
            let mut ids: Vec<Id> = (1..=count as Id).collect();
            if let Some(last) = ids.last_mut()
                && wide != 0
            {
                *last = wide;
            }
            ids
        })
}
