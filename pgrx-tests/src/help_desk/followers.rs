//! The follower table: who belongs to which ticket, and as what.

use std::collections::BTreeMap;

use super::{Column, Id, RowType, WordColumn};

#[derive(Clone, Debug)]
pub struct FollowerTable {
    pub name: &'static str,
    pub ticket: Column,
    pub agent: Column,
    /// A foreign key to the ticket table, ON DELETE CASCADE.
    pub references: bool,
    /// None: all rows mean that the agent follows.
    pub kinds: Option<FollowerKinds>,
    /// None: all rows are of tickets.
    pub row_type: Option<RowType>,
}

/// What the rows mean, by their kind. Of the other kinds nothing is said.
#[derive(Clone, Debug)]
pub struct FollowerKinds {
    pub column: WordColumn,
    pub meanings: BTreeMap<&'static str, Following>,
}

/// What a row says of its agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    Followed,
    Requested,
}

impl Following {
    /// As `protect_tickets()` is told.
    pub fn name(self) -> &'static str {
        match self {
            Following::Followed => "followed",
            Following::Requested => "requested",
        }
    }
}

/// A row of the follower table. What it has of columns that the table lacks is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follower {
    pub ticket: Option<Id>,
    pub agent: Option<Id>,
    pub kind: Option<&'static str>,
    pub row_type: Option<&'static str>,
}

impl Follower {
    pub fn of(ticket: impl Into<Option<Id>>, agent: impl Into<Option<Id>>) -> Follower {
        Follower {
            ticket: ticket.into(),
            agent: agent.into(),
            kind: None,
            row_type: None,
        }
    }

    pub fn of_kind(self, kind: &'static str) -> Follower {
        Follower {
            kind: Some(kind),
            ..self
        }
    }
}
