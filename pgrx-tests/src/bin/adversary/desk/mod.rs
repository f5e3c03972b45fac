//! A help desk whose every row carries a text and a number that no other row has, its canaries;
//! and who may see which row, computed by the oracle of these tests from the generated data.

mod rights;
mod rows;
mod sql;
mod tables;

use std::collections::{BTreeSet, HashMap};

use deskguard_tests::help_desk::{HelpDesk, Id, Kind};

use crate::random::Random;
use rights::{INVOICES, bigint_table, keyed_table, partitioned_table, rights};
use tables::{
    ATTACHMENT, FILTER, FOLLOWER, INVOICE, KEYED_FOLLOWER, KEYED_MESSAGE, KEYED_TICKET, MESSAGE,
    PART_MESSAGE, PART_TICKET, RESPONSE, TICKET, empty,
};

pub use sql::PartKey;
pub use tables::OTHER_NAMES;

/// Roles of the cluster. Agents by `db_role`, ...
pub const BOSS: &str = "deskguard_adversary_boss";
pub const ANN: &str = "deskguard_adversary_ann";
pub const BOB: &str = "deskguard_adversary_bob";
/// ... of whom this one may create tables in a schema of its own; ...
pub const EVE: &str = "deskguard_adversary_eve";
/// ... the trusted application; a member of Ann's and Bob's roles; one who is no agent, and one without any privilege.
pub const APP: &str = "deskguard_adversary_app";
pub const DUAL: &str = "deskguard_adversary_dual";
pub const NOBODY: &str = "deskguard_adversary_nobody";
pub const BARE: &str = "deskguard_adversary_bare";
pub const OWNER: &str = "deskguard_adversary_owner";
pub const ROLES: [&str; 9] = [BOSS, ANN, BOB, EVE, APP, DUAL, NOBODY, BARE, OWNER];

pub const BOSS_ID: Id = 1;
pub const ANN_ID: Id = 2;
pub const BOB_ID: Id = 3;
pub const EVE_ID: Id = 4;
/// All agents that sessions act for: also a follower, one who has only ticket.use, an inactive one,
/// one with many departments and categories, and one that does not exist.
pub const AGENTS: [Id; 9] = [BOSS_ID, ANN_ID, BOB_ID, EVE_ID, 5, 6, 7, 8, 99];

/// Keys of agents in uuid columns, and of categories in text columns, are shifted, so that an id
/// that is taken for a key, or the other way, means somebody else.
const KEY_SHIFT: Id = 100;

/// The type of a column, as far as the generator tells types apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ty {
    Int,
    Text,
    Bool,
    Uuid,
    Time,
}

impl Ty {
    pub fn sql(self) -> &'static str {
        match self {
            Ty::Int => "bigint",
            Ty::Text => "text",
            Ty::Bool => "boolean",
            Ty::Uuid => "uuid",
            Ty::Time => "date",
        }
    }
}

pub type Columns = &'static [(&'static str, Ty)];

/// What decides who sees a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Of which desk.
    Ticket(usize),
    Follower(usize),
    /// Rows that belong to tickets, also through messages.
    Message(usize),
    Shared,
    /// invoice.view.
    Feature,
}

#[derive(Debug)]
pub struct Row {
    /// As SQL has it, unquoted.
    pub id: String,
    /// The ticket it is or belongs to; the owner of a shared object.
    pub of: Id,
    pub agent: Option<Id>,
    /// Of a message: is it internal? Some are if it is not known.
    pub internal: Option<bool>,
    pub text: String,
    pub number: i64,
}

#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    pub letter: char,
    pub rule: Rule,
    pub id: &'static str,
    pub id_kind: Kind,
    pub columns: Columns,
    /// The columns with the canaries.
    pub text: &'static str,
    pub number: &'static str,
    pub rows: Vec<Row>,
}

/// A table and a row of it, by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub table: usize,
    pub row: usize,
}

/// Which rows one sees, by table.
pub type Sight = Vec<Vec<bool>>;

pub struct Desk {
    /// The three ticket tables share agents and rights.
    pub desks: [HelpDesk; 3],
    /// Tickets of the third desk that a policy of its owner hides from everybody.
    deleted: BTreeSet<Id>,
    /// Objects of shared tables (place of the table, id) and with whom they are shared: None is everybody.
    shared: Vec<(usize, Id, Option<Id>)>,
    pub tables: Vec<Table>,
    texts: HashMap<String, Place>,
    numbers: HashMap<i64, Place>,
    sights: HashMap<Option<Id>, Sight>,
}

impl Desk {
    /// The help desk of a seed. `own_policies`: with policies of its owner besides those of deskguard.
    pub fn new(seed: u64, own_policies: bool) -> Desk {
        let mut random = Random::new(seed, "desk", 0);
        let rights = rights(&mut random);
        let desks = [
            HelpDesk {
                table: bigint_table(),
                ..rights.clone()
            },
            HelpDesk {
                table: partitioned_table(),
                ..rights.clone()
            },
            HelpDesk {
                table: keyed_table(),
                ..rights
            },
        ];
        let mut desk = Desk {
            desks,
            deleted: BTreeSet::new(),
            shared: Vec::new(),
            tables: vec![
                empty("desk.ticket", 't', Rule::Ticket(0), TICKET),
                empty("desk.follower", 'f', Rule::Follower(0), FOLLOWER),
                empty("desk.message", 'm', Rule::Message(0), MESSAGE),
                empty("desk.attachment", 'a', Rule::Message(0), ATTACHMENT),
                empty("part.ticket", 'p', Rule::Ticket(1), PART_TICKET),
                empty("part.follower", 'g', Rule::Follower(1), FOLLOWER),
                empty("part.message", 'n', Rule::Message(1), PART_MESSAGE),
                empty("keyed.ticket", 'k', Rule::Ticket(2), KEYED_TICKET),
                empty("keyed.follower", 'h', Rule::Follower(2), KEYED_FOLLOWER),
                empty("keyed.message", 'o', Rule::Message(2), KEYED_MESSAGE),
                empty("desk.response", 'r', Rule::Shared, RESPONSE),
                empty("keyed.filter", 's', Rule::Shared, FILTER),
                empty("desk.invoice", 'i', Rule::Feature, INVOICE),
            ],
            texts: HashMap::new(),
            numbers: HashMap::new(),
            sights: HashMap::new(),
        };
        desk.fill(&mut random, own_policies);
        for (table, of) in desk.tables.iter().enumerate() {
            for (row, canaries) in of.rows.iter().enumerate() {
                let place = Place { table, row };
                desk.texts.insert(canaries.text.clone(), place);
                desk.numbers.insert(canaries.number, place);
            }
        }
        let everyone = AGENTS.into_iter().map(Some).chain([None]);
        desk.sights = everyone
            .map(|agent| (agent, desk.sight_of(agent)))
            .collect();
        desk
    }

    pub fn row(&self, place: Place) -> &Row {
        &self.tables[place.table].rows[place.row]
    }

    pub fn table(&self, name: &str) -> usize {
        let found = self.tables.iter().position(|table| table.name == name);
        found.unwrap_or_else(|| panic!("no table {name}"))
    }

    pub fn place_of_text(&self, text: &str) -> Option<Place> {
        self.texts.get(text).copied()
    }

    pub fn place_of_number(&self, number: i64) -> Option<Place> {
        self.numbers.get(&number).copied()
    }

    pub fn sees(&self, agent: Option<Id>, place: Place) -> bool {
        let sight = self.sights.get(&agent).or_else(|| self.sights.get(&None));
        sight.expect("nobody has a sight")[place.table][place.row]
    }

    /// Rows that the agent does not see.
    pub fn hidden(&self, agent: Option<Id>) -> Vec<Place> {
        let tables = self.tables.iter().enumerate();
        let places =
            tables.flat_map(|(table, of)| (0..of.rows.len()).map(move |row| Place { table, row }));
        places.filter(|place| !self.sees(agent, *place)).collect()
    }

    pub fn visible(&self, agent: Option<Id>) -> Vec<Place> {
        let hidden: BTreeSet<Place> = self.hidden(agent).into_iter().collect();
        let all = self.hidden(None).into_iter();
        all.filter(|place| !hidden.contains(place)).collect()
    }

    /// The oracle is told a lie about a row: that the agent does not see it.
    pub fn hide(&mut self, agent: Option<Id>, place: Place) {
        self.sights.get_mut(&agent).expect("an agent")[place.table][place.row] = false;
    }

    fn sight_of(&self, agent: Option<Id>) -> Sight {
        let tables = self.tables.iter().enumerate();
        tables
            .map(|(place, table)| {
                let rows = table.rows.iter();
                rows.map(|row| agent.is_some_and(|agent| self.rule_lets_see(agent, place, row)))
                    .collect()
            })
            .collect()
    }

    fn rule_lets_see(&self, agent: Id, place: usize, row: &Row) -> bool {
        let table = &self.tables[place];
        match table.rule {
            Rule::Ticket(desk) | Rule::Follower(desk) => self.sees_ticket(desk, agent, row.of),
            Rule::Message(desk) => {
                let note = self.note(table, row);
                let wrote = note.is_some_and(|note| note.agent == Some(agent));
                self.sees_ticket(desk, agent, row.of)
                    && (note.is_none() || wrote || self.sees_notes(agent))
            }
            Rule::Shared => {
                self.changes_shared(agent, row.agent)
                    || self.is_active(agent)
                        && self.shared.iter().any(|(of, id, with)| {
                            *of == place && *id == row.of && with.is_none_or(|with| with == agent)
                        })
            }
            Rule::Feature => self.uses_invoices(agent),
        }
    }

    /// The internal message that a row is or belongs to.
    pub fn note<'a>(&'a self, table: &Table, row: &'a Row) -> Option<&'a Row> {
        let messages = &self.tables[self.table("desk.message")].rows;
        let message = match table.name {
            "desk.message" => row,
            "desk.attachment" => messages.get(row.agent? as usize - 1)?,
            _ => return None,
        };
        (message.internal != Some(false)).then_some(message)
    }

    pub fn sees_notes(&self, agent: Id) -> bool {
        self.desks[0].has(agent, "ticket.view.internal")
    }

    fn is_active(&self, agent: Id) -> bool {
        let mut agents = self.desks[0].agents.iter();
        agents.any(|of| of.id == agent && of.active)
    }

    /// The owner's own policy about deleted tickets counts, too.
    pub fn sees_ticket(&self, desk: usize, agent: Id, ticket: Id) -> bool {
        let hidden = desk == 2 && self.deleted.contains(&ticket);
        let ticket = self.desks[desk].ticket(ticket);
        !hidden && ticket.is_some_and(|ticket| self.desks[desk].view(agent, ticket))
    }

    /// May it do this with the ticket, which it sees?
    pub fn acts(&self, desk: usize, agent: Id, ticket: Id, action: &str) -> bool {
        self.sees_ticket(desk, agent, ticket)
            && self.desks[desk]
                .ticket(ticket)
                .is_some_and(|ticket| self.desks[desk].act(agent, ticket, action))
    }

    /// `owner` as its column has it.
    pub fn changes_shared(&self, agent: Id, owner: Option<Id>) -> bool {
        self.is_active(agent) && (owner == Some(agent) || self.desks[0].has(agent, "shared.manage"))
    }

    /// The agent that an owner's column means.
    pub fn owner(&self, table: &Table, value: Option<Id>) -> Option<Id> {
        match table.id_kind {
            Kind::Uuid => value.map(|key| key - KEY_SHIFT),
            _ => value,
        }
    }

    pub fn uses_invoices(&self, agent: Id) -> bool {
        self.desks[0].has(agent, INVOICES)
    }
}
