//! A help desk whose every row carries a text and a number that no other row has, its canaries;
//! and who may see which row, computed by the oracle of these tests from the generated data.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use deskguard_tests::help_desk::{
    Access, Agent, Column, Department, FollowerTable, Group, HelpDesk, Id, KeyForm, Kind, Level,
    Partitioning, Permission, Principal, StatusColumn, StatusKind, Ticket, TicketTable, Time,
    catalog,
};

use crate::random::Random;

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

const TICKET: Columns = &[
    ("id", Ty::Int),
    ("subject", Ty::Text),
    ("secret", Ty::Int),
    ("status", Ty::Text),
    ("dept", Ty::Int),
    ("cat", Ty::Int),
    ("assignee", Ty::Int),
    ("team", Ty::Int),
    ("conf", Ty::Bool),
    ("created", Ty::Time),
];
const FOLLOWER: Columns = &[
    ("ticket_id", Ty::Int),
    ("agent_id", Ty::Int),
    ("note", Ty::Text),
    ("code", Ty::Int),
];
const MESSAGE: Columns = &[
    ("id", Ty::Int),
    ("ticket_id", Ty::Int),
    ("author", Ty::Int),
    ("body", Ty::Text),
    ("code", Ty::Int),
];
const ATTACHMENT: Columns = &[
    ("id", Ty::Int),
    ("message_id", Ty::Int),
    ("name", Ty::Text),
    ("size", Ty::Int),
];
const PART_TICKET: Columns = &[
    ("id", Ty::Int),
    ("created", Ty::Time),
    ("subject", Ty::Text),
    ("secret", Ty::Int),
    ("dept", Ty::Int),
    ("assignee", Ty::Int),
];
const PART_MESSAGE: Columns = &[
    ("id", Ty::Int),
    ("ticket_id", Ty::Int),
    ("body", Ty::Text),
    ("code", Ty::Int),
];
const KEYED_TICKET: Columns = &[
    ("id", Ty::Uuid),
    ("subject", Ty::Text),
    ("secret", Ty::Int),
    ("dept", Ty::Int),
    ("cat", Ty::Text),
    ("assignee", Ty::Uuid),
    ("deleted", Ty::Bool),
];
const KEYED_FOLLOWER: Columns = &[
    ("ticket_id", Ty::Uuid),
    ("agent_id", Ty::Uuid),
    ("note", Ty::Text),
    ("code", Ty::Int),
];
const KEYED_MESSAGE: Columns = &[
    ("id", Ty::Int),
    ("ticket_id", Ty::Uuid),
    ("body", Ty::Text),
    ("code", Ty::Int),
];
const RESPONSE: Columns = &[
    ("id", Ty::Int),
    ("owner", Ty::Int),
    ("body", Ty::Text),
    ("code", Ty::Int),
];
const FILTER: Columns = &[
    ("id", Ty::Uuid),
    ("owner", Ty::Uuid),
    ("body", Ty::Text),
    ("code", Ty::Int),
];
const INVOICE: Columns = &[("id", Ty::Int), ("body", Ty::Text), ("code", Ty::Int)];

/// Other names under which rows of the tables are read: partitions and views.
pub const OTHER_NAMES: [(&str, Columns); 5] = [
    ("part.ticket_1", PART_TICKET),
    ("part.ticket_2", PART_TICKET),
    ("desk.invoker_view", TICKET),
    ("desk.owner_view", TICKET),
    ("desk.joined_view", MESSAGE),
];

fn empty(name: &'static str, letter: char, rule: Rule, columns: Columns) -> Table {
    let of_type = |ty| columns.iter().filter(move |(_, of)| *of == ty);
    let text =
        of_type(Ty::Text).find(|(name, _)| ["subject", "note", "body", "name"].contains(name));
    let number = of_type(Ty::Int).find(|(name, _)| ["secret", "code", "size"].contains(name));
    let (id, ty) = columns[0];
    Table {
        name,
        letter,
        rule,
        id,
        id_kind: if ty == Ty::Uuid {
            Kind::Uuid
        } else {
            Kind::Int8
        },
        columns,
        text: text.expect("a text column").0,
        number: number.expect("a column of numbers").0,
        rows: Vec::new(),
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

    fn fill(&mut self, random: &mut Random, own_policies: bool) {
        let some = |random: &mut Random, values: &[Id], none: usize| {
            (!random.percent(none)).then(|| *random.pick(values))
        };
        for desk in 0..3 {
            let size = [45, 30, 35][desk];
            for id in 1..=size {
                let assignees: &[Id] = &[2, 3, 4, 4, 5, 99];
                let mut ticket = Ticket {
                    id,
                    department: some(random, &[1, 2, 3, 4, 5], 10),
                    category: some(random, &[1, 2, 3, 4, 5, 6, 7, 8], 10),
                    assignee: some(random, assignees, 60),
                    team: (desk == 0).then(|| some(random, &[1, 2], 80)).flatten(),
                    confidential: (desk == 0).then(|| random.percent(15)),
                    status: (desk == 0).then(|| *random.pick(&["open", "open", "closed", "spam"])),
                };
                if desk == 2 {
                    ticket.assignee = ticket.assignee.map(|agent| agent + KEY_SHIFT);
                    ticket.category = ticket.category.map(|category| category + KEY_SHIFT);
                    if random.percent(20) && own_policies {
                        self.deleted.insert(id);
                    }
                }
                if desk == 1 {
                    (ticket.category, ticket.team) = (None, None);
                }
                self.desks[desk].tickets.push(ticket);
            }
            let mut followers = BTreeSet::new();
            for _ in 0..size / 2 {
                let agent = *random.pick(&[2, 3, 4, 5, 6, 7, 77]);
                let agent = if desk == 2 { agent + KEY_SHIFT } else { agent };
                followers.insert((1 + random.below(size as usize) as Id, agent));
            }
            let followers = followers.into_iter();
            self.desks[desk].followers = followers.map(|(t, a)| (Some(t), Some(a))).collect();
        }
        let canary = |random: &mut Random, table: &Table| {
            let text = format!("zq{}{}qz", table.letter, 1 + table.rows.len());
            // Fourteen digits: neither a sum nor a mean of others is likely to be one.
            (
                text,
                10_i64.pow(13) + (random.next() % (9 * 10_u64.pow(13))) as i64,
            )
        };
        for place in 0..self.tables.len() {
            let mut rows: Vec<(String, Id, Option<Id>)> = Vec::new();
            let kind = self.tables[place].id_kind;
            match self.tables[place].rule {
                Rule::Ticket(desk) => {
                    for ticket in &self.desks[desk].tickets {
                        rows.push((kind.text(ticket.id), ticket.id, None));
                    }
                }
                Rule::Follower(desk) => {
                    for (ticket, agent) in &self.desks[desk].followers {
                        let ticket = ticket.expect("no follower row without a ticket");
                        rows.push((kind.text(ticket), ticket, *agent));
                    }
                }
                Rule::Message(desk) => {
                    let attachments = self.tables[place].name == "desk.attachment";
                    for id in 1..=45 {
                        if attachments {
                            // Its message is `agent`; its ticket is the message's.
                            let message = random.below(self.tables[2].rows.len());
                            let of = self.tables[2].rows[message].of;
                            rows.push((id.to_string(), of, Some(message as Id + 1)));
                        } else {
                            let ticket = 1 + random.below(self.desks[desk].tickets.len()) as Id;
                            let author = some(random, &[2, 3, 4], 50);
                            rows.push((id.to_string(), ticket, author));
                        }
                    }
                }
                Rule::Shared => {
                    for id in 1..=25 {
                        let owner = *random.pick(&[2, 3, 4, 5, 6, 77]);
                        let shared = match random.below(10) {
                            0 => Some(None),
                            1..4 => Some(Some(*random.pick(&[2, 3, 4, 5, 6]))),
                            _ => None,
                        };
                        if let Some(with) = shared {
                            self.shared.push((place, id, with));
                        }
                        rows.push((kind.text(id), id, Some(owner)));
                    }
                }
                Rule::Feature => {
                    for id in 1..=12 {
                        rows.push((kind.text(id), id, None));
                    }
                }
            }
            for (id, of, agent) in rows {
                let (text, number) = canary(random, &self.tables[place]);
                self.tables[place].rows.push(Row {
                    id,
                    of,
                    agent,
                    text,
                    number,
                });
            }
        }
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
            Rule::Ticket(desk) | Rule::Follower(desk) | Rule::Message(desk) => {
                self.sees_ticket(desk, agent, row.of)
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

    // ---- in the database ----

    /// The tables with their rows, not yet protected. A superuser runs it.
    pub fn load_sql(&self, partitioning: PartKey) -> String {
        let mut sql = self.desks[0].rights_sql();
        sql += &format!("INSERT INTO deskguard.trusted_role VALUES ('{APP}');\n");
        sql += SCHEMAS;
        sql += partitioning.sql();
        for place in 0..self.tables.len() {
            sql += &self.rows_sql(place);
        }
        sql
    }

    /// Protects the tables, and shares what is shared.
    pub fn protect_sql(&self) -> String {
        let mut sql = String::from(PROTECT);
        for (place, id, with) in &self.shared {
            let table = &self.tables[*place];
            let column = match table.id_kind {
                Kind::Uuid => "object_key",
                _ => "object_id",
            };
            let (who, whom) = match with {
                Some(agent) => ("agent_id", agent.to_string()),
                None => ("everyone", "true".into()),
            };
            sql += &format!(
                "INSERT INTO deskguard.shared_visibility (object_table, {column}, {who}) VALUES ('{}', '{}', {whom});\n",
                table.name,
                table.id_kind.text(*id),
            );
        }
        sql
    }

    fn rows_sql(&self, place: usize) -> String {
        let table = &self.tables[place];
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let rows = table.rows.iter().map(|row| {
            let values = names.iter().map(|name| self.value(table, row, name));
            format!("({})", values.collect::<Vec<_>>().join(", "))
        });
        format!(
            "INSERT INTO {} ({}) VALUES\n{};\n",
            table.name,
            names.join(", "),
            rows.collect::<Vec<_>>().join(",\n")
        )
    }

    fn value(&self, table: &Table, row: &Row, column: &str) -> String {
        if column == table.text {
            return format!("'{}'", row.text);
        }
        if column == table.number {
            return row.number.to_string();
        }
        let ticket = match table.rule {
            Rule::Ticket(desk) => Some((desk, self.desks[desk].ticket(row.of).expect("a ticket"))),
            _ => None,
        };
        let null_or = |value: Option<String>| value.unwrap_or_else(|| "NULL".into());
        let keyed = |desk: usize, column: &Option<Column>, value: Option<Id>| {
            let kind = column.as_ref().map_or(Kind::Int8, |column| column.kind);
            let _ = desk;
            null_or(value.map(|value| kind.literal(value)))
        };
        match (column, ticket) {
            ("id", _) => format!("'{}'", row.id),
            ("dept", Some((desk, of))) => {
                keyed(desk, &self.desks[desk].table.department, of.department)
            }
            ("cat", Some((desk, of))) => keyed(desk, &self.desks[desk].table.category, of.category),
            ("assignee", Some((desk, of))) => {
                keyed(desk, &self.desks[desk].table.assignee, of.assignee)
            }
            ("team", Some((desk, of))) => keyed(desk, &self.desks[desk].table.team, of.team),
            ("conf", Some((_, of))) => null_or(of.confidential.map(|is| is.to_string())),
            ("status", Some((_, of))) => format!("'{}'", of.status.unwrap_or("open")),
            ("deleted", _) => self.deleted.contains(&row.of).to_string(),
            // Old ones in the first partition, new ones in the second.
            ("created", _) => {
                let year = if row.of % 2 == 0 { 2026 } else { 2027 };
                format!("'{year}-01-01'::date + {}", row.of)
            }
            ("ticket_id", _) => {
                let kind = match table.columns.iter().find(|(name, _)| *name == column) {
                    Some((_, Ty::Uuid)) => Kind::Uuid,
                    _ => Kind::Int8,
                };
                kind.literal(row.of)
            }
            ("agent_id", _) => {
                let kind = if table.id_kind == Kind::Uuid {
                    Kind::Uuid
                } else {
                    Kind::Int8
                };
                null_or(row.agent.map(|agent| kind.literal(agent)))
            }
            ("owner", _) if table.id_kind == Kind::Uuid => {
                null_or(row.agent.map(|agent| Kind::Uuid.literal(agent + KEY_SHIFT)))
            }
            ("owner" | "author" | "message_id", _) => {
                null_or(row.agent.map(|agent| agent.to_string()))
            }
            _ => unreachable!("{}.{column}", table.name),
        }
    }
}

const INVOICES: &str = "invoice.view";

/// How the partitioned ticket table is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKey {
    /// PRIMARY KEY (id, created), by created: an id may stand for several rows.
    Created,
    /// By id, where deskguard refuses the other.
    Id,
}

impl PartKey {
    fn sql(self) -> &'static str {
        match self {
            PartKey::Created => {
                "CREATE TABLE part.ticket (id bigint, created date NOT NULL, subject text, secret bigint, dept int, assignee int,
                    PRIMARY KEY (id, created)) PARTITION BY RANGE (created);
                 CREATE TABLE part.ticket_1 PARTITION OF part.ticket FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
                 CREATE TABLE part.ticket_2 PARTITION OF part.ticket FOR VALUES FROM ('2027-01-01') TO ('2100-01-01');
                 ALTER TABLE part.ticket OWNER TO deskguard_adversary_owner;
                 ALTER TABLE part.ticket_1 OWNER TO deskguard_adversary_owner;
                 ALTER TABLE part.ticket_2 OWNER TO deskguard_adversary_owner;
                 GRANT SELECT, INSERT, UPDATE, DELETE ON part.ticket, part.ticket_1, part.ticket_2 TO deskguard_adversary_user;\n"
            }
            PartKey::Id => {
                "CREATE TABLE part.ticket (id bigint PRIMARY KEY, created date NOT NULL, subject text, secret bigint, dept int, assignee int)
                    PARTITION BY RANGE (id);
                 CREATE TABLE part.ticket_1 PARTITION OF part.ticket FOR VALUES FROM (MINVALUE) TO (16);
                 CREATE TABLE part.ticket_2 PARTITION OF part.ticket FOR VALUES FROM (16) TO (MAXVALUE);
                 ALTER TABLE part.ticket OWNER TO deskguard_adversary_owner;
                 ALTER TABLE part.ticket_1 OWNER TO deskguard_adversary_owner;
                 ALTER TABLE part.ticket_2 OWNER TO deskguard_adversary_owner;
                 GRANT SELECT, INSERT, UPDATE, DELETE ON part.ticket, part.ticket_1, part.ticket_2 TO deskguard_adversary_user;\n"
            }
        }
    }
}

const SCHEMAS: &str = include_str!("desk.sql");
const PROTECT: &str = include_str!("protect.sql");

fn column(name: &'static str, kind: Kind) -> Option<Column> {
    Some(Column { name, kind })
}

fn bigint_table() -> TicketTable {
    TicketTable {
        schema: "desk",
        name: "ticket",
        id: Column {
            name: "id",
            kind: Kind::Int8,
        },
        department: column("dept", Kind::Int4),
        category: column("cat", Kind::Int4),
        assignee: column("assignee", Kind::Int4),
        team: column("team", Kind::Int4),
        confidential: Some("conf"),
        status: Some(StatusColumn {
            name: "status",
            kind: StatusKind::Text,
            archived: vec!["closed"],
            spam: vec!["spam"],
        }),
        status_type: "",
        follower: Some(FollowerTable {
            name: "follower",
            ticket: Column {
                name: "ticket_id",
                kind: Kind::Int8,
            },
            agent: Column {
                name: "agent_id",
                kind: Kind::Int8,
            },
            references: true,
        }),
        unassigned_value: None,
        agent_form: KeyForm::Uuid,
        partitioning: Partitioning::None,
        indexed: true,
        protected_by_owner: false,
        named_in_calls: true,
    }
}

fn partitioned_table() -> TicketTable {
    TicketTable {
        schema: "part",
        category: None,
        team: None,
        confidential: None,
        status: None,
        ..bigint_table()
    }
}

fn keyed_table() -> TicketTable {
    let mut table = bigint_table();
    table.schema = "keyed";
    table.id.kind = Kind::Uuid;
    table.category = column("cat", Kind::Text(KeyForm::Number));
    table.assignee = column("assignee", Kind::Uuid);
    (table.team, table.confidential, table.status) = (None, None, None);
    let follower = table.follower.as_mut().expect("it has one");
    follower.ticket.kind = Kind::Uuid;
    follower.agent.kind = Kind::Uuid;
    table
}

/// Who there is and who may do what. Groups get a random part of what they may have.
fn rights(random: &mut Random) -> HelpDesk {
    let agent = |id, db_role, category_access| Agent {
        id,
        active: id != 7,
        db_role,
        category_access,
    };
    let mut permissions = catalog();
    permissions.push(Permission {
        name: INVOICES.into(),
        destructive: false,
    });
    let group = |name, category_access, all_departments| Group {
        name,
        category_access,
        all_departments,
    };
    let mut group_permissions = BTreeSet::new();
    for name in ["staff", "silo", "wide"] {
        for permission in &permissions {
            let held = match permission.name.as_str() {
                "ticket.use" => true,
                "ticket.create" => name != "silo",
                "ticket.view.assigned" | "ticket.view.unassigned" => random.percent(70),
                "permission.audit" | "shared.manage" | INVOICES => random.percent(15),
                "ticket.view.confidential" => false,
                _ => random.percent(50),
            };
            if held {
                group_permissions.insert((name, permission.name.clone()));
            }
        }
    }
    HelpDesk {
        default_category_access: Access::Silo,
        agents: vec![
            agent(BOSS_ID, Some(BOSS), None),
            agent(ANN_ID, Some(ANN), None),
            agent(BOB_ID, Some(BOB), None),
            agent(EVE_ID, Some(EVE), None),
            agent(5, None, Some(Access::Open)),
            agent(6, None, Some(Access::Open)),
            agent(7, None, None),
            agent(8, None, None),
        ],
        teams: vec![1, 2],
        team_members: [(1, ANN_ID), (2, BOB_ID), (1, 5)].into(),
        departments: [(1, None), (2, Some(1)), (3, None), (4, None), (5, Some(4))]
            .map(|(id, parent)| Department { id, parent })
            .into(),
        categories: (1..=8).collect(),
        external_keys: external_keys(),
        permissions,
        groups: vec![
            group("staff", Access::Open, false),
            group("silo", Access::Silo, false),
            group("wide", Access::Silo, false),
        ],
        group_members: [
            ("All Permissions", BOSS_ID),
            ("All Permissions", 7),
            ("staff", ANN_ID),
            ("silo", BOB_ID),
            ("staff", EVE_ID),
            ("wide", 8),
        ]
        .into(),
        group_permissions,
        agent_permissions: [
            (5, "ticket.use".to_string()),
            (5, "ticket.modify.own".to_string()),
            (5, "ticket.reply.followed".to_string()),
            (6, "ticket.use".to_string()),
        ]
        .into(),
        group_departments: [
            (("staff", 1), Level::Full),
            (("staff", 3), Level::Assign),
            (("silo", 1), Level::Full),
            (("silo", 3), Level::Full),
            (("wide", 2), Level::Full),
            (("wide", 3), Level::Full),
            (("wide", 5), Level::Assign),
        ]
        .into(),
        agent_departments: [((EVE_ID, 3), Level::Full)].into(),
        group_categories: [
            ("silo", 1),
            ("silo", 2),
            ("silo", 3),
            ("wide", 1),
            ("wide", 4),
        ]
        .into_iter()
        .chain([("wide", 5), ("wide", 6), ("wide", 7)])
        .collect(),
        agent_categories: BTreeSet::new(),
        table: bigint_table(),
        tickets: Vec::new(),
        followers: Vec::new(),
        times: vec![Time::Always],
    }
}

fn external_keys() -> BTreeMap<(Principal, Id), String> {
    let agents = (1..=8).map(|id| ((Principal::Agent, id), Kind::Uuid.text(id + KEY_SHIFT)));
    let categories = (1..=8).map(|id| ((Principal::Category, id), (id + KEY_SHIFT).to_string()));
    agents.chain(categories).collect()
}
