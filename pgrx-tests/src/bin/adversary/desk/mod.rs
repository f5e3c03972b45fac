//! A help desk whose every row carries a text and a number that no other row has, its canaries;
//! and who may see which row, computed by the oracle of these tests from the generated data.

mod rights;
mod rows;
mod sight;
mod sql;
mod tables;
mod turns;

use std::collections::{BTreeSet, HashMap};

use deskguard_tests::help_desk::{HelpDesk, Id, Kind};

use crate::random::Random;
use rights::{bigint_table, keyed_table, partitioned_table, rights};
use tables::{
    ATTACHMENT, FILTER, FOLLOWER, INVOICE, KEYED_FOLLOWER, KEYED_MESSAGE, KEYED_TICKET, MESSAGE,
    PART_FOLLOWER, PART_MESSAGE, PART_TICKET, RESPONSE, TICKET, empty,
};

pub use sql::PartKey;
pub use tables::{KINDS, OTHER_NAMES, TYPES};

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
/// one with many departments and categories, one whose rights are all of scoped groups, a customer,
/// one whom its own silo closes its scoped groups, and one that does not exist.
pub const AGENTS: [Id; 12] = [BOSS_ID, ANN_ID, BOB_ID, EVE_ID, 5, 6, 7, 8, 9, 10, 11, 99];

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
    /// What its column says of the kind of follower that it names, or of the type of what it belongs to.
    pub label: Option<&'static str>,
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

impl Table {
    fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|(name, _)| *name == column)
    }

    /// Is a row whose column says this of a type that belongs to tickets?
    pub fn is_of_tickets(&self, label: Option<&str>) -> bool {
        !self.has("type") || matches!(label, Some("Ticket" | "Case"))
    }

    /// Rows of other types are left to everybody.
    pub fn leaves_others_open(&self) -> bool {
        self.name == "part.follower"
    }

    /// May who follows with a row that says this not see more by it than the ticket, where it sees that?
    pub fn only_follows(&self, label: Option<&str>) -> bool {
        !self.has("kind") || label == Some("cc")
    }
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
                empty("part.follower", 'g', Rule::Follower(1), PART_FOLLOWER),
                empty("part.message", 'n', Rule::Message(1), PART_MESSAGE),
                empty("part.attachment", 'b', Rule::Message(1), ATTACHMENT),
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
        desk.settle();
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
        self.places()
            .filter(|place| !self.sees(agent, *place))
            .collect()
    }

    pub fn visible(&self, agent: Option<Id>) -> Vec<Place> {
        self.places()
            .filter(|place| self.sees(agent, *place))
            .collect()
    }

    fn places(&self) -> impl Iterator<Item = Place> {
        let tables = self.tables.iter().enumerate();
        tables.flat_map(|(table, of)| (0..of.rows.len()).map(move |row| Place { table, row }))
    }

    /// The oracle is told a lie about a row: that the agent does not see it.
    pub fn hide(&mut self, agent: Option<Id>, place: Place) {
        self.sights.get_mut(&agent).expect("an agent")[place.table][place.row] = false;
    }
}
