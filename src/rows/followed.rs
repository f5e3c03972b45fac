//! Which tickets an agent follows, for one statement.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use pgrx::pg_sys;

use crate::rights::cache::Agent;
use crate::rights::external_keys::ExternalKeys;
use crate::rights::known_tables;
use crate::rights::marks::Asked;
use crate::rights::statement::Statement;
use crate::tables::key::{KeyRef, KeySet};
use crate::tables::ticket_table::TicketTable;

/// Which tickets an agent follows, for one statement: the first few are looked up one by one, for
/// more all are read at once.
pub struct Followed {
    table: pg_sys::Oid,
    /// None if it is gone since.
    held: OnceCell<Option<Rc<TicketTable>>>,
    agent: i64,
    keys: Rc<ExternalKeys>,
    looked_up: Cell<u32>,
    all: OnceCell<KeySet>,
}

impl Followed {
    /// Reading all costs as much as some look-ups; a query by key needs only one.
    const FEW: u32 = 4;

    pub fn by(agent: i64, keys: Rc<ExternalKeys>, table: pg_sys::Oid) -> Followed {
        Followed {
            table,
            held: OnceCell::new(),
            agent,
            keys,
            looked_up: Cell::new(0),
            all: OnceCell::new(),
        }
    }

    pub fn contains(&self, ticket: KeyRef) -> bool {
        let held = || known_tables::held_ticket_table(self.table);
        let Some(table) = self.held.get_or_init(held) else {
            return false;
        };
        if self.all.get().is_none() && self.looked_up.get() < Self::FEW {
            self.looked_up.set(self.looked_up.get() + 1);
            return table.follows(self.agent, ticket, &self.keys);
        }
        self.all
            .get_or_init(|| table.followed_by(self.agent, &self.keys))
            .contains(ticket)
    }
}

/// The tickets of a table that the agent follows.
struct All(Rc<KeySet>);

/// Those that the follower table's own policies let it see.
struct Seen(Rc<KeySet>);

/// The tickets of a table that the agent of a statement follows.
pub fn followed(statement: &Statement, table: pg_sys::Oid) -> Rc<KeySet> {
    let load = || {
        All(loaded(statement, table, |rights, tickets| {
            tickets.followed_by(rights.agent, &rights.external_keys)
        }))
    };
    statement.keep(table, load).0.clone()
}

/// Those that the follower table shows it.
pub fn followed_seen(statement: &Statement, table: pg_sys::Oid) -> Rc<KeySet> {
    let load = || {
        Seen(loaded(statement, table, |rights, tickets| {
            tickets.followed_seen_by(rights)
        }))
    };
    statement.keep(table, load).0.clone()
}

fn loaded(
    statement: &Statement,
    table: pg_sys::Oid,
    load: impl FnOnce(&Rc<Agent>, &TicketTable) -> KeySet,
) -> Rc<KeySet> {
    let tickets = statement
        .rights
        .as_ref()
        .zip(known_tables::held_ticket_table(table));
    Rc::new(tickets.map_or(KeySet::EMPTY, |(rights, tickets)| load(rights, &tickets)))
}

/// Loads what a statement will ask.
pub fn load(statement: &Statement, asked: &[Asked]) {
    let Some(rights) = &statement.rights else {
        return;
    };
    for what in asked {
        match *what {
            Asked::Rules => {}
            Asked::Shared(table) => {
                rights.shared(table);
            }
            Asked::Followed(table) => {
                followed(statement, table);
            }
            Asked::FollowedSeen(table) => {
                followed_seen(statement, table);
            }
        }
    }
}
