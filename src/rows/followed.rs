//! Which tickets an agent follows, or requested by a row of the follower table, for one statement.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use pgrx::pg_sys;

use crate::rights::cache::Agent;
use crate::rights::external_keys::ExternalKeys;
use crate::rights::known_tables;
use crate::rights::marks::Asked;
use crate::rights::statement::Statement;
use crate::rows::tickets::Follows;
use crate::tables::key::{KeyRef, KeySet};
use crate::tables::ticket_table::{Following, TicketTable};

/// What the follower table says of an agent, for one statement: the first few tickets are looked up one by one, for
/// more all are read at once.
pub struct Followed {
    table: pg_sys::Oid,
    /// None if it is gone since.
    held: OnceCell<Option<Rc<TicketTable>>>,
    agent: i64,
    keys: Rc<ExternalKeys>,
    looked_up: Cell<u32>,
    all: OnceCell<[KeySet; 2]>,
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

    pub fn of(&self, ticket: Option<KeyRef>) -> Follows {
        let held = || known_tables::held_ticket_table(self.table);
        let (Some(table), Some(ticket)) = (self.held.get_or_init(held), ticket) else {
            return Follows::NOTHING;
        };
        if self.all.get().is_none() && self.looked_up.get() < Self::FEW {
            self.looked_up.set(self.looked_up.get() + 1);
            return Follows::of(|what| table.says(what, self.agent, ticket, &self.keys));
        }
        let load = || Following::ALL.map(|what| table.followed_by(what, self.agent, &self.keys));
        let [followed, requested] = self.all.get_or_init(load);
        Follows {
            followed: followed.contains(ticket),
            requested: requested.contains(ticket),
        }
    }
}

/// The tickets of a table that the agent follows, and those that it requested.
#[derive(Default)]
struct All([OnceCell<Rc<KeySet>>; 2]);

/// Those that the follower table's own policies let it see.
#[derive(Default)]
struct Seen([OnceCell<Rc<KeySet>>; 2]);

/// The tickets of a table of which the follower table says this of the agent of a statement.
pub fn followed(statement: &Statement, what: Following, table: pg_sys::Oid) -> Rc<KeySet> {
    let all = statement.keep(table, All::default);
    let load = || {
        loaded(statement, table, |rights, tickets| {
            tickets.followed_by(what, rights.agent, &rights.external_keys)
        })
    };
    all.0[what as usize].get_or_init(load).clone()
}

/// Those that the follower table shows it.
pub fn followed_seen(statement: &Statement, what: Following, table: pg_sys::Oid) -> Rc<KeySet> {
    let seen = statement.keep(table, Seen::default);
    let load = || {
        loaded(statement, table, |rights, tickets| {
            tickets.followed_seen_by(what, rights)
        })
    };
    seen.0[what as usize].get_or_init(load).clone()
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
                followed(statement, Following::Followed, table);
            }
            Asked::FollowedSeen(table) => {
                followed_seen(statement, Following::Followed, table);
            }
            Asked::Requested(table) => {
                followed(statement, Following::Requested, table);
            }
            Asked::RequestedSeen(table) => {
                followed_seen(statement, Following::Requested, table);
            }
        }
    }
}
