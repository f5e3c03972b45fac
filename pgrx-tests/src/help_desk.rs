//! A model of a help desk: the tables of the rules as plain collections, the user's own ticket
//! table in many shapes, a strategy that makes random ones, and the SQL that loads one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write as _};

use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::server::{APP, MAPPED, OWNER};
use crate::{ident, literal};

pub type Id = i64;

/// What a column may name, by its id or by its external key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principal {
    Agent,
    Team,
    Department,
    Category,
}

impl Principal {
    /// Its table.
    pub fn sql(self) -> &'static str {
        match self {
            Principal::Agent => "deskguard.agent",
            Principal::Team => "deskguard.team",
            Principal::Department => "deskguard.department",
            Principal::Category => "deskguard.category",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Silo,
    Open,
}

/// Ordered: full includes assign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Assign,
    Full,
}

#[derive(Clone, Debug)]
pub struct Agent {
    pub id: Id,
    pub active: bool,
    pub db_role: Option<&'static str>,
    pub category_access: Option<Access>,
}

#[derive(Clone, Debug)]
pub struct Department {
    pub id: Id,
    pub parent: Option<Id>,
}

#[derive(Clone, Debug)]
pub struct Permission {
    pub name: String,
    pub destructive: bool,
}

#[derive(Clone, Debug)]
pub struct Group {
    pub name: &'static str,
    pub category_access: Access,
    pub all_departments: bool,
}

pub const ALL_PERMISSIONS: &str = "All Permissions";
pub const ALL_NON_DESTRUCTIVE: &str = "All Non-Destructive Permissions";

#[derive(Clone, Debug)]
pub struct Ticket {
    pub id: Id,
    pub department: Option<Id>,
    pub category: Option<Id>,
    pub assignee: Option<Id>,
    pub team: Option<Id>,
    pub confidential: Option<bool>,
    pub status: Option<&'static str>,
}

/// A help desk. Groups are known by their name; pairs are the rows of the join tables.
#[derive(Clone, Debug)]
pub struct HelpDesk {
    pub default_category_access: Access,
    pub agents: Vec<Agent>,
    pub teams: Vec<Id>,
    pub team_members: BTreeSet<(Id, Id)>,
    /// Parents come before their children.
    pub departments: Vec<Department>,
    pub categories: Vec<Id>,
    /// Those that have one.
    pub external_keys: BTreeMap<(Principal, Id), String>,
    /// The starting catalog and the help desk's own.
    pub permissions: Vec<Permission>,
    /// Without the two built-in ones.
    pub groups: Vec<Group>,
    pub group_members: BTreeSet<(&'static str, Id)>,
    pub group_permissions: BTreeSet<(&'static str, String)>,
    pub agent_permissions: BTreeSet<(Id, String)>,
    pub group_departments: BTreeMap<(&'static str, Id), Level>,
    pub agent_departments: BTreeMap<(Id, Id), Level>,
    pub group_categories: BTreeSet<(&'static str, Id)>,
    pub agent_categories: BTreeSet<(Id, Id)>,
    pub table: TicketTable,
    pub tickets: Vec<Ticket>,
    /// Rows of the follower table (ticket, agent); none if there is no such table.
    pub followers: Vec<(Option<Id>, Option<Id>)>,
    /// When members are members and grants are valid: each row has one of these.
    pub times: Vec<Time>,
}

/// A time, as seen from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    Always,
    Begun,
    ToEnd,
    Within,
    Ended,
    ToBegin,
}

impl Time {
    pub fn is_now(self) -> bool {
        !matches!(self, Time::Ended | Time::ToBegin)
    }

    /// The columns valid_from and valid_until.
    fn sql(self) -> String {
        let days = |days: Option<i32>| {
            nullable(days.map(|days| format!("now() + interval '{days} days'")))
        };
        let (from, until) = match self {
            Time::Always => (None, None),
            Time::Begun => (Some(-1), None),
            Time::ToEnd => (None, Some(1)),
            Time::Within => (Some(-1), Some(1)),
            Time::Ended => (Some(-2), Some(-1)),
            Time::ToBegin => (Some(1), Some(2)),
        };
        format!("{}, {}", days(from), days(until))
    }
}

/// The ticket table's shape: columns that are None do not exist.
#[derive(Clone, Debug)]
pub struct TicketTable {
    pub schema: &'static str,
    pub name: &'static str,
    pub id: Column,
    pub department: Option<Column>,
    pub category: Option<Column>,
    pub assignee: Option<Column>,
    pub team: Option<Column>,
    /// The name of the column.
    pub confidential: Option<&'static str>,
    pub status: Option<StatusColumn>,
    /// The name of the enum, where it is one.
    pub status_type: &'static str,
    pub follower: Option<FollowerTable>,
    pub unassigned_value: Option<Id>,
    /// How texts name agents, in whatever column.
    pub agent_form: KeyForm,
    pub partitioning: Partitioning,
    pub indexed: bool,
    /// Protected by its owner, an ordinary role, rather than by a superuser.
    pub protected_by_owner: bool,
    /// Functions are given the table rather than left to find the only one.
    pub named_in_calls: bool,
}

#[derive(Clone, Debug)]
pub struct FollowerTable {
    pub name: &'static str,
    pub ticket: Column,
    pub agent: Column,
    /// A foreign key to the ticket table, ON DELETE CASCADE.
    pub references: bool,
}

#[derive(Clone, Debug)]
pub struct StatusColumn {
    pub name: &'static str,
    pub kind: StatusKind,
    /// A value may be in both lists.
    pub archived: Vec<&'static str>,
    pub spam: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusKind {
    Text,
    Enum,
    Integer(Kind),
}

impl StatusKind {
    /// All values that a status has.
    fn values(self) -> [&'static str; 5] {
        match self {
            // Alike, but not the same.
            StatusKind::Text => ["open", "Open", "it's \"done\", {really}", "", "NULL"],
            StatusKind::Enum => ["open", "on hold", "it's \"done\"", "Spam", "spam"],
            StatusKind::Integer(_) => ["0", "1", "2", "-7", "32767"],
        }
    }
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

/// The type of a column of ids. Integers are the ids; others name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Int8,
    Int4,
    Int2,
    Uuid,
    Text(KeyForm),
    Varchar(KeyForm),
}

/// How texts name ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// As a uuid is printed.
    Uuid,
    /// To be mistaken for the id.
    Number,
    /// What must be quoted in strings and arrays.
    Words,
}

/// Has letters, so that it has an upper case.
const UUID_START: &str = "c0ffee00-0000-4000-";

impl KeyForm {
    fn text(self, id: Id) -> String {
        match self {
            KeyForm::Uuid => {
                let bits = id as u64;
                let (high, low) = (bits >> 48, bits & 0xffff_ffff_ffff);
                format!("{UUID_START}{high:04x}-{low:012x}")
            }
            KeyForm::Number => id.to_string(),
            KeyForm::Words if id == 3 => "NULL".into(),
            KeyForm::Words => format!("it's {{{id}}}, \"so\""),
        }
    }

    fn id_of(self, text: &str) -> Option<Id> {
        match self {
            KeyForm::Uuid => {
                let bits = text.strip_prefix(UUID_START)?.replace('-', "");
                Some(u64::from_str_radix(&bits, 16).ok()? as Id)
            }
            KeyForm::Number => text.parse().ok(),
            KeyForm::Words if text == "NULL" => Some(3),
            KeyForm::Words => {
                let (_, rest) = text.split_once('{')?;
                rest.split_once('}')?.0.parse().ok()
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitioning {
    None,
    /// Two partitions, one of them with its columns in another order.
    ById,
    /// A partition for NULL and small values, and a default one; moves change the partition.
    ByDepartment,
    ByCategory,
}

impl Kind {
    pub fn sql(self) -> &'static str {
        match self {
            Kind::Int8 => "int8",
            Kind::Int4 => "int4",
            Kind::Int2 => "int2",
            Kind::Uuid => "uuid",
            Kind::Text(_) => "text",
            Kind::Varchar(_) => "varchar",
        }
    }

    pub fn is_integer(self) -> bool {
        self.form().is_none()
    }

    /// None if it has the ids themselves.
    pub fn form(self) -> Option<KeyForm> {
        match self {
            Kind::Int8 | Kind::Int4 | Kind::Int2 => None,
            Kind::Uuid => Some(KeyForm::Uuid),
            Kind::Text(form) | Kind::Varchar(form) => Some(form),
        }
    }

    pub fn holds(self, value: Id) -> bool {
        match self {
            Kind::Int4 => i32::try_from(value).is_ok(),
            Kind::Int2 => i16::try_from(value).is_ok(),
            _ => true,
        }
    }

    /// How a column of it has the id, printed.
    pub fn text(self, id: Id) -> String {
        self.form().map_or(id.to_string(), |form| form.text(id))
    }

    /// How a column of it has the id, as SQL.
    pub fn literal(self, id: Id) -> String {
        if self.is_integer() {
            return id.to_string();
        }
        format!("{}::{}", literal(&self.text(id)), self.sql())
    }

    /// The id that a column of it has printed as this.
    pub fn id_of(self, text: &str) -> Id {
        let id = self
            .form()
            .map_or(text.parse().ok(), |form| form.id_of(text));
        id.unwrap_or_else(|| panic!("{text:?} is no id of a column of {self:?}"))
    }

    /// A condition that holds for all values in a column of it.
    pub fn any_sql(self, column: &str) -> String {
        if self.is_integer() {
            format!("{column} > 0")
        } else {
            format!("{column}::text <> ''")
        }
    }

    /// One that may refer to it, of a kind that was picked.
    pub fn referring(self, picked: Kind) -> Kind {
        match (self, picked) {
            (Kind::Uuid, _) => Kind::Uuid,
            (Kind::Text(form) | Kind::Varchar(form), Kind::Varchar(_)) => Kind::Varchar(form),
            (Kind::Text(form) | Kind::Varchar(form), _) => Kind::Text(form),
            _ => picked.as_integer(),
        }
    }

    fn as_integer(self) -> Kind {
        match self {
            Kind::Uuid => Kind::Int8,
            Kind::Text(_) => Kind::Int4,
            Kind::Varchar(_) => Kind::Int2,
            integer => integer,
        }
    }

    fn with_form(self, form: KeyForm) -> Kind {
        match self {
            Kind::Text(_) => Kind::Text(form),
            Kind::Varchar(_) => Kind::Varchar(form),
            other => other,
        }
    }
}

/// The form that texts have beside a uuid column for the same.
fn shared_form(kinds: &[Kind], form: KeyForm) -> KeyForm {
    if kinds.contains(&Kind::Uuid) {
        KeyForm::Uuid
    } else {
        form
    }
}

/// What to try on a help desk besides reading it.
#[derive(Clone, Debug)]
pub struct Case {
    pub desk: HelpDesk,
    /// To be inserted; their ids are free.
    pub new_tickets: Vec<Ticket>,
    pub changes: Vec<TicketChange>,
    /// Follower rows to be inserted.
    pub follows: Vec<(Id, Id)>,
    /// Unprotect the table when done, rather than drop it as it is.
    pub unprotect: bool,
}

/// An UPDATE of some of a ticket's columns, of those that exist.
#[derive(Clone, Debug)]
pub struct TicketChange {
    pub old: Ticket,
    pub new: Ticket,
    /// The columns that are set, changed or not.
    pub parts: Vec<Part>,
}

impl TicketChange {
    /// What it makes of another ticket.
    pub fn applied_to(&self, ticket: &Ticket) -> Ticket {
        let mut changed = ticket.clone();
        for part in &self.parts {
            match part {
                Part::Id => changed.id = self.new.id,
                Part::Department => changed.department = self.new.department,
                Part::Category => changed.category = self.new.category,
                Part::Assignee => changed.assignee = self.new.assignee,
                Part::Team => changed.team = self.new.team,
                Part::Confidential => changed.confidential = self.new.confidential,
                Part::Status => changed.status = self.new.status,
            }
        }
        changed
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Id,
    Department,
    Category,
    Assignee,
    Team,
    Confidential,
    Status,
}

const ALL_PARTS: [Part; 7] = [
    Part::Id,
    Part::Department,
    Part::Category,
    Part::Assignee,
    Part::Team,
    Part::Confidential,
    Part::Status,
];

/// Columns that are changed together.
const CHANGES: [&[Part]; 10] = [
    &[Part::Department],
    &[Part::Category],
    &[Part::Assignee, Part::Team],
    &[Part::Status],
    &[Part::Status],
    &[Part::Confidential],
    &[Part::Status, Part::Department],
    &[Part::Status, Part::Assignee, Part::Confidential],
    &[Part::Department, Part::Category, Part::Assignee],
    &[Part::Id, Part::Status],
];

/// No ticket, agent, team, department or category has this id.
pub const DANGLING: Id = 99;
/// The first of the ids for new tickets.
pub const NEW_TICKET: Id = 1001;

/// The starting catalog as the rules list it.
pub fn catalog() -> Vec<Permission> {
    let mut names: Vec<String> = [
        "ticket.use",
        "ticket.create",
        "ticket.mass_reply",
        "ticket.unarchive",
        "ticket.create_labels",
        "ticket.view.unassigned",
        "ticket.view.assigned",
        "ticket.view.confidential",
        "report.view",
        "permission.audit",
        "shared.manage",
    ]
    .map(String::from)
    .to_vec();
    for action in ["reply", "modify", "edit_messages", "delete"] {
        for relation in ["own", "followed", "unassigned", "assigned"] {
            names.push(format!("ticket.{action}.{relation}"));
        }
    }
    names
        .into_iter()
        .map(|name| Permission {
            destructive: name.starts_with("ticket.edit_messages.")
                || name.starts_with("ticket.delete."),
            name,
        })
        .collect()
}

// ---- random help desks ----

/// Which value a column gets: mostly an existing one, so that rules meet.
#[derive(Clone, Debug)]
enum Pick {
    Null,
    Existing(usize),
    Dangling,
    /// The configured unassigned value; an ordinary 0 where none is configured.
    Unassigned,
}

impl Pick {
    fn resolve(&self, ids: &[Id], unassigned: Id) -> Option<Id> {
        match self {
            Pick::Null => None,
            Pick::Existing(_) if ids.is_empty() => None,
            Pick::Existing(nth) => Some(ids[nth % ids.len()]),
            Pick::Dangling => Some(DANGLING),
            Pick::Unassigned => Some(unassigned),
        }
    }
}

fn pick(null: u32, existing: u32, dangling: u32, unassigned: u32) -> impl Strategy<Value = Pick> {
    prop_oneof![
        null => Just(Pick::Null),
        existing => (0..60usize).prop_map(Pick::Existing),
        dangling => Just(Pick::Dangling),
        unassigned => Just(Pick::Unassigned),
    ]
}

#[derive(Clone, Debug)]
struct TicketPicks {
    department: Pick,
    category: Pick,
    assignee: Pick,
    team: Pick,
    confidential: Option<bool>,
    status: Option<usize>,
}

fn ticket_picks() -> impl Strategy<Value = TicketPicks> {
    (
        pick(2, 9, 1, 0),
        pick(2, 9, 1, 0),
        pick(3, 5, 1, 2),
        pick(7, 2, 1, 0),
        prop_oneof![4 => Just(Some(false)), 3 => Just(Some(true)), 2 => Just(None)],
        proptest::option::weighted(0.9, 0..5usize),
    )
        .prop_map(
            |(department, category, assignee, team, confidential, status)| TicketPicks {
                department,
                category,
                assignee,
                team,
                confidential,
                status,
            },
        )
}

/// Sometimes few, mostly many.
fn size(most: usize) -> impl Strategy<Value = usize> {
    prop_oneof![1 => 0..=1usize, 5 => most.div_ceil(2)..=most]
}

/// Most of so many; each can be left out when a failure is made smaller.
fn mostly<T: Clone + std::fmt::Debug>(
    most: usize,
    item: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<T>> {
    vec(proptest::option::weighted(0.8, item), most)
        .prop_map(|items| items.into_iter().flatten().collect())
}

/// Ids 1, 2, 3 … and sometimes a last one that a cast to int2 or int4 would turn into 1.
fn ids(most: usize) -> impl Strategy<Value = Vec<Id>> {
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

/// The kinds of a help desk's columns. Half of the help desks have integers only.
#[derive(Clone, Debug)]
struct Kinds {
    id: Kind,
    department: Kind,
    category: Kind,
    assignee: Kind,
    team: Kind,
    follower_ticket: Kind,
    follower_agent: Kind,
    forms: Forms,
}

/// How texts name each of these.
#[derive(Clone, Debug)]
struct Forms {
    agent: KeyForm,
    team: KeyForm,
    department: KeyForm,
    category: KeyForm,
}

fn form() -> impl Strategy<Value = KeyForm> {
    select(vec![KeyForm::Uuid, KeyForm::Number, KeyForm::Words])
}

pub fn kind() -> impl Strategy<Value = Kind> {
    // The form is put in later.
    select(vec![
        Kind::Int8,
        Kind::Int4,
        Kind::Int2,
        Kind::Uuid,
        Kind::Text(KeyForm::Words),
        Kind::Varchar(KeyForm::Words),
    ])
}

fn kinds() -> impl Strategy<Value = Kinds> {
    (
        weighted(0.5),
        vec(kind(), 7),
        (form(), form(), form(), form(), form()),
    )
        .prop_map(|(keys, picked, forms)| {
            let kind = |nth: usize| match keys {
                true => picked[nth],
                false => picked[nth].as_integer(),
            };
            let (id_form, agent, team, department, category) = forms;
            let forms = Forms {
                agent: shared_form(&[kind(3), kind(6)], agent),
                team: shared_form(&[kind(4)], team),
                department: shared_form(&[kind(1)], department),
                category: shared_form(&[kind(2)], category),
            };
            let id = kind(0).with_form(id_form);
            Kinds {
                id,
                department: kind(1).with_form(forms.department),
                category: kind(2).with_form(forms.category),
                assignee: kind(3).with_form(forms.agent),
                team: kind(4).with_form(forms.team),
                follower_ticket: id.referring(kind(5)),
                follower_agent: kind(6).with_form(forms.agent),
                forms,
            }
        })
}

/// What a principal has as its external key.
#[derive(Clone, Copy, Debug)]
enum KeyPick {
    /// As columns name it; or another one, if the keys are shifted.
    Named,
    None,
    /// Which a uuid never has.
    Upper,
    Nonsense,
}

/// The keys of one kind of principal, and whether each has its neighbour's.
fn key_picks() -> impl Strategy<Value = (Vec<KeyPick>, bool)> {
    let pick = prop_oneof![
        12 => Just(KeyPick::Named),
        1 => Just(KeyPick::None),
        1 => Just(KeyPick::Upper),
        1 => Just(KeyPick::Nonsense),
    ];
    (vec(pick, 6), weighted(0.1))
}

fn external_keys<'a>(
    principal: Principal,
    form: KeyForm,
    ids: &'a [Id],
    (picks, shifted): &'a (Vec<KeyPick>, bool),
) -> impl Iterator<Item = ((Principal, Id), String)> + use<'a> {
    let named = ids
        .iter()
        .cycle()
        .skip(usize::from(*shifted))
        .map(move |id| form.text(*id));
    let keys = ids.iter().zip(named).zip(picks);
    keys.filter_map(move |((&id, named), pick)| {
        let key = match pick {
            KeyPick::Named => named,
            KeyPick::None => return None,
            KeyPick::Upper => named.to_uppercase(),
            KeyPick::Nonsense => format!("nonsense \"{id}\""),
        };
        Some(((principal, id), key))
    })
}

/// Names: schema, ticket table, five of its columns, follower table, its two columns, the columns
/// for confidential tickets and for the status, the type of the latter.
type Names = [&'static str; 13];

const NAMES: [Names; 3] = [
    [
        "helpdesk",
        "ticket",
        "id",
        "department_id",
        "category_id",
        "assignee_id",
        "team_id",
        "ticket_follower",
        "ticket_id",
        "agent_id",
        "confidential",
        "status",
        "ticket_status",
    ],
    [
        "Help \"Desk\" 1",
        "Tickets, \"open\"",
        "Ticket No",
        "Department's",
        "CATEGORY",
        "user",
        "te\"am",
        "order",
        "Ticket",
        "select",
        "geheim?",
        "Der \"Status\"",
        "State's",
    ],
    // As likely as any to clash with names inside of a function.
    [
        "public",
        "ticket_table",
        "ticket_id",
        "department",
        "category",
        "assignee",
        "team",
        "followers",
        "ticket_id",
        "agent",
        "before",
        "action",
        "level",
    ],
];

fn ticket_table() -> impl Strategy<Value = (TicketTable, Forms)> {
    let there = || weighted(0.85);
    let columns = (there(), there(), there(), there()).prop_filter(
        "a table needs one of these columns",
        |(department, category, assignee, team)| *department || *category || *assignee || *team,
    );
    let follower = (there(), weighted(0.3));
    let confidential = weighted(0.5);
    let status_kind = select(vec![
        StatusKind::Text,
        StatusKind::Enum,
        StatusKind::Integer(Kind::Int8),
        StatusKind::Integer(Kind::Int4),
        StatusKind::Integer(Kind::Int2),
    ]);
    let some_values = || vec(weighted(0.35), 5);
    let status = proptest::option::weighted(0.6, (status_kind, some_values(), some_values()))
        .prop_map(|status| {
            let (kind, archived, spam) = status?;
            let some = |picks: Vec<bool>| -> Vec<&'static str> {
                let values = kind.values().into_iter().zip(picks);
                values
                    .filter_map(|(value, is)| is.then_some(value))
                    .collect()
            };
            Some((kind, some(archived), some(spam)))
        });
    let status = status.prop_map(|status| {
        status.filter(|(_, archived, spam)| !archived.is_empty() || !spam.is_empty())
    });
    let unassigned_value = prop_oneof![2 => Just(None), 2 => Just(Some(0)), 1 => Just(Some(-1))];
    let partitioning = prop_oneof![
        4 => Just(Partitioning::None),
        1 => Just(Partitioning::ById),
        1 => Just(Partitioning::ByDepartment),
        1 => Just(Partitioning::ByCategory),
    ];
    (
        (
            (columns, confidential, status),
            follower,
            kinds(),
            unassigned_value,
            partitioning,
        ),
        select(NAMES.to_vec()),
        (any::<bool>(), any::<bool>(), any::<bool>()),
    )
        .prop_map(
            |(shape, names, (indexed, protected_by_owner, named_in_calls))| {
                let (columns, follower, kinds, unassigned_value, partitioning) = shape;
                let (columns, confidential, status) = columns;
                let column = |there: bool, name, kind| there.then_some(Column { name, kind });
                let (has_department, has_category, has_assignee, has_team) = columns;
                let (has_follower, references) = follower;
                let partitioning = match partitioning {
                    Partitioning::ByDepartment if !has_department => Partitioning::None,
                    Partitioning::ByCategory if !has_category => Partitioning::None,
                    possible => possible,
                };
                let mut table = TicketTable {
                    schema: names[0],
                    name: names[1],
                    id: Column {
                        name: names[2],
                        kind: kinds.id,
                    },
                    department: column(has_department, names[3], kinds.department),
                    category: column(has_category, names[4], kinds.category),
                    assignee: column(has_assignee, names[5], kinds.assignee),
                    team: column(has_team, names[6], kinds.team),
                    confidential: confidential.then_some(names[10]),
                    status: status.map(|(kind, archived, spam)| StatusColumn {
                        name: names[11],
                        kind,
                        archived,
                        spam,
                    }),
                    status_type: names[12],
                    follower: has_follower.then_some(FollowerTable {
                        name: names[7],
                        ticket: Column {
                            name: names[8],
                            kind: kinds.follower_ticket,
                        },
                        agent: Column {
                            name: names[9],
                            kind: kinds.follower_agent,
                        },
                        references,
                    }),
                    unassigned_value: unassigned_value
                        .filter(|_| has_assignee && kinds.assignee.is_integer()),
                    agent_form: kinds.forms.agent,
                    partitioning,
                    indexed,
                    protected_by_owner,
                    named_in_calls,
                };
                // A foreign key needs a unique id, which some partitions cannot have.
                let has_unique_id = table.has_unique_id();
                if let Some(follower) = &mut table.follower {
                    follower.references &= has_unique_id;
                }
                (table, kinds.forms)
            },
        )
}

const GROUP_NAMES: [&str; 4] = [
    "Trainees",
    "Staff's \"A\" team",
    "Führung",
    "agent managers",
];

/// Everything that depends on nothing else; cut and resolved by `assemble`.
#[derive(Clone, Debug)]
struct Raw {
    default_open: bool,
    agent_ids: Vec<Id>,
    odd_agent: Option<Id>,
    agents: Vec<(bool, Option<Access>, Option<usize>)>,
    team_ids: Vec<Id>,
    team_members: Vec<bool>,
    department_ids: Vec<Id>,
    department_parents: Vec<Option<usize>>,
    departments_descend: bool,
    category_ids: Vec<Id>,
    own_permissions: (bool, bool),
    groups: Vec<(Access, bool)>,
    group_members: Vec<bool>,
    builtin_members: Vec<(bool, bool)>,
    group_permissions: Vec<(bool, Vec<bool>)>,
    agent_permissions: Vec<(bool, Vec<bool>)>,
    group_departments: Vec<(usize, usize, Level)>,
    agent_departments: Vec<(usize, usize, Level)>,
    group_categories: Vec<(usize, usize)>,
    agent_categories: Vec<(usize, usize)>,
    table: TicketTable,
    forms: Forms,
    keys: [(Vec<KeyPick>, bool); 4],
    tickets: Vec<TicketPicks>,
    wide_ticket_id: bool,
    followers: Vec<(Pick, Pick)>,
    new_tickets: Vec<TicketPicks>,
    changes: Vec<(usize, usize, TicketPicks)>,
    follows: Vec<(Pick, Pick)>,
    unprotect: bool,
    times: Vec<Time>,
}

/// Most help desks know no times.
fn times() -> impl Strategy<Value = Vec<Time>> {
    let time = prop_oneof![
        6 => Just(Time::Always),
        1 => Just(Time::Begun),
        2 => Just(Time::ToEnd),
        1 => Just(Time::Within),
        1 => Just(Time::Ended),
        2 => Just(Time::ToBegin),
    ];
    prop_oneof![2 => Just(vec![Time::Always]), 1 => vec(time, 20)]
}

const MOST_AGENTS: usize = 5;
const MOST_PERMISSIONS: usize = 28;

/// A random help desk and what to try on it.
pub fn cases() -> impl Strategy<Value = Case> {
    let access = || select(vec![Access::Silo, Access::Open]);
    let level = || select(vec![Level::Assign, Level::Full]);
    let nth = || 0..60usize;
    let holds = |share| (weighted(0.8), vec(weighted(share), MOST_PERMISSIONS));
    let principals = (
        any::<bool>(),
        ids(MOST_AGENTS),
        proptest::option::weighted(0.15, select(vec![0, -1])),
        vec(
            (
                weighted(0.88),
                proptest::option::weighted(0.5, access()),
                proptest::option::weighted(0.3, 0..MAPPED.len()),
            ),
            MOST_AGENTS,
        ),
        ids(3),
        vec(weighted(0.35), MOST_AGENTS * 3),
    );
    let labels = (
        ids(6),
        vec(proptest::option::weighted(0.65, nth()), 6),
        any::<bool>(),
        ids(4),
        (any::<bool>(), any::<bool>()),
    );
    let groups = (
        vec((access(), weighted(0.1)), 0..=GROUP_NAMES.len()),
        vec(weighted(0.4), MOST_AGENTS * GROUP_NAMES.len()),
        vec((weighted(0.06), weighted(0.06)), MOST_AGENTS),
    );
    let grants = (
        vec(holds(0.4), GROUP_NAMES.len()),
        vec(holds(0.25), MOST_AGENTS),
        mostly(6, (nth(), nth(), level())),
        mostly(8, (nth(), nth(), level())),
        vec((nth(), nth()), 0..5),
        vec((nth(), nth()), 0..8),
    );
    let tickets = (
        (
            ticket_table(),
            [key_picks(), key_picks(), key_picks(), key_picks()],
        ),
        mostly(12, ticket_picks()),
        weighted(0.3),
        mostly(8, (pick(1, 9, 1, 0), pick(1, 9, 1, 0))),
    );
    let probes = (
        vec(ticket_picks(), 2..=4),
        vec((nth(), nth(), ticket_picks()), 6..=12),
        vec((pick(0, 9, 1, 0), pick(0, 9, 1, 0)), 2..=5),
        any::<bool>(),
        times(),
    );
    (principals, labels, groups, grants, tickets, probes).prop_map(
        |(principals, labels, groups, grants, tickets, probes)| {
            let ((table, forms), keys) = tickets.0;
            assemble(Raw {
                default_open: principals.0,
                agent_ids: principals.1,
                odd_agent: principals.2,
                agents: principals.3,
                team_ids: principals.4,
                team_members: principals.5,
                department_ids: labels.0,
                department_parents: labels.1,
                departments_descend: labels.2,
                category_ids: labels.3,
                own_permissions: labels.4,
                groups: groups.0,
                group_members: groups.1,
                builtin_members: groups.2,
                group_permissions: grants.0,
                agent_permissions: grants.1,
                group_departments: grants.2,
                agent_departments: grants.3,
                group_categories: grants.4,
                agent_categories: grants.5,
                table,
                forms,
                keys,
                tickets: tickets.1,
                wide_ticket_id: tickets.2,
                followers: tickets.3,
                new_tickets: probes.0,
                changes: probes.1,
                follows: probes.2,
                unprotect: probes.3,
                times: probes.4,
            })
        },
    )
}

fn assemble(raw: Raw) -> Case {
    let table = raw.table;
    let mut agent_ids = raw.agent_ids;
    if let (Some(first), Some(odd)) = (agent_ids.first_mut(), raw.odd_agent) {
        *first = odd;
    }
    let mut roles_left: Vec<Option<&'static str>> = MAPPED.map(Some).to_vec();
    let agents: Vec<Agent> = agent_ids
        .iter()
        .zip(raw.agents)
        .map(|(&id, (active, category_access, role))| Agent {
            id,
            active,
            db_role: role.and_then(|nth| roles_left[nth].take()),
            category_access,
        })
        .collect();

    let team_pairs = raw.team_ids.iter().flat_map(|team| {
        let agents = agent_ids.iter();
        agents.map(move |agent| (*team, *agent))
    });
    let team_members = chosen(team_pairs, &raw.team_members);

    let mut department_ids = raw.department_ids;
    if raw.departments_descend {
        department_ids.reverse();
    }
    let departments: Vec<Department> = department_ids
        .iter()
        .zip(raw.department_parents)
        .enumerate()
        .map(|(index, (&id, parent))| Department {
            id,
            parent: parent
                .filter(|_| index > 0)
                .map(|nth| department_ids[nth % index]),
        })
        .collect();

    let mut permissions = catalog();
    let own = [("people.edit", false), ("help_center.remove", true)];
    for ((name, destructive), exists) in own
        .into_iter()
        .zip([raw.own_permissions.0, raw.own_permissions.1])
    {
        if exists {
            permissions.push(Permission {
                name: name.into(),
                destructive,
            });
        }
    }

    let groups: Vec<Group> = GROUP_NAMES
        .into_iter()
        .zip(raw.groups)
        .map(|(name, (category_access, all_departments))| Group {
            name,
            category_access,
            all_departments,
        })
        .collect();
    let group_names: Vec<&'static str> = groups.iter().map(|group| group.name).collect();
    let group_pairs = group_names.iter().flat_map(|group| {
        let agents = agent_ids.iter();
        agents.map(move |agent| (*group, *agent))
    });
    let mut group_members = chosen(group_pairs, &raw.group_members);
    for (&agent, (all, non_destructive)) in agent_ids.iter().zip(raw.builtin_members) {
        if all {
            group_members.insert((ALL_PERMISSIONS, agent));
        }
        if non_destructive {
            group_members.insert((ALL_NON_DESTRUCTIVE, agent));
        }
    }

    let pairs = |holders: usize, things: &[Id], picks: Vec<(usize, usize)>| -> Vec<(usize, Id)> {
        if holders == 0 || things.is_empty() {
            return Vec::new();
        }
        let resolve = |(holder, thing)| (holder % holders, things[thing % things.len()]);
        picks.into_iter().map(resolve).collect()
    };
    let leveled =
        |holders: usize, picks: Vec<(usize, usize, Level)>| -> Vec<((usize, Id), Level)> {
            let levels: Vec<Level> = picks.iter().map(|(_, _, level)| *level).collect();
            let unleveled = picks.into_iter().map(|(holder, thing, _)| (holder, thing));
            let pairs = pairs(holders, &department_ids, unleveled.collect());
            pairs.into_iter().zip(levels).collect()
        };
    let group_departments = leveled(groups.len(), raw.group_departments)
        .into_iter()
        .map(|((group, department), level)| ((group_names[group], department), level))
        .collect();
    let agent_departments = leveled(agents.len(), raw.agent_departments)
        .into_iter()
        .map(|((agent, department), level)| ((agent_ids[agent], department), level))
        .collect();
    let group_categories = pairs(groups.len(), &raw.category_ids, raw.group_categories)
        .into_iter()
        .map(|(group, category)| (group_names[group], category))
        .collect();
    let agent_categories = pairs(agents.len(), &raw.category_ids, raw.agent_categories)
        .into_iter()
        .map(|(agent, category)| (agent_ids[agent], category))
        .collect();

    let ticket = |id: Id, picks: &TicketPicks| Ticket {
        id,
        department: cell(&table.department, &picks.department, &department_ids, 0),
        category: cell(&table.category, &picks.category, &raw.category_ids, 0),
        assignee: cell(
            &table.assignee,
            &picks.assignee,
            &agent_ids,
            table.unassigned_value.unwrap_or(0),
        ),
        team: cell(&table.team, &picks.team, &raw.team_ids, 0),
        confidential: table.confidential.and(picks.confidential),
        status: table
            .status
            .as_ref()
            .and_then(|column| Some(column.kind.values()[picks.status?])),
    };
    let mut tickets: Vec<Ticket> = (1..)
        .zip(&raw.tickets)
        .map(|(id, p)| ticket(id, p))
        .collect();
    if let (true, Some(last)) = (raw.wide_ticket_id, tickets.last_mut()) {
        last.id = match table.id.kind {
            Kind::Int4 => 65_537,
            Kind::Int2 => last.id,
            _ => 4_294_967_297,
        };
    }
    let ticket_ids: Vec<Id> = tickets.iter().map(|ticket| ticket.id).collect();
    let new_tickets = (NEW_TICKET..)
        .zip(&raw.new_tickets)
        .map(|(id, picks)| ticket(id, picks))
        .collect();

    let follower = |(on, by): &(Pick, Pick)| -> Option<(Option<Id>, Option<Id>)> {
        let columns = table.follower.as_ref()?;
        let on = match on {
            // Of a ticket that is no more. Nobody can make one with its id: tests/sql/same_id.sql.
            Pick::Dangling if columns.references => None,
            Pick::Dangling => Some(NEW_TICKET - 1),
            other => other.resolve(&ticket_ids, 0),
        };
        Some((
            on.filter(|&id| columns.ticket.kind.holds(id)),
            by.resolve(&agent_ids, 0)
                .filter(|&id| columns.agent.kind.holds(id)),
        ))
    };
    let followers = raw.followers.iter().filter_map(follower).collect();
    let follows = raw
        .follows
        .iter()
        .filter_map(follower)
        .filter_map(|(on, by)| on.zip(by))
        .collect();

    let change = |(nth, columns, picks): &(usize, usize, TicketPicks)| {
        let old = tickets.get(nth % tickets.len().max(1))?;
        let mut parts = CHANGES[columns % CHANGES.len()].to_vec();
        parts.retain(|part| match part {
            // A foreign key holds the id.
            Part::Id => !table.follower.as_ref().is_some_and(|f| f.references),
            part => table.column(*part).is_some(),
        });
        if parts.is_empty() || parts == [Part::Id] {
            return None;
        }
        let picked = ticket(NEW_TICKET, picks);
        let mut change = TicketChange {
            old: old.clone(),
            new: picked,
            parts,
        };
        change.new = change.applied_to(old);
        Some(change)
    };

    let [agent_keys, team_keys, department_keys, category_keys] = &raw.keys;
    let forms = &raw.forms;
    let external_keys = external_keys(Principal::Agent, forms.agent, &agent_ids, agent_keys)
        .chain(external_keys(
            Principal::Team,
            forms.team,
            &raw.team_ids,
            team_keys,
        ))
        .chain(external_keys(
            Principal::Department,
            forms.department,
            &department_ids,
            department_keys,
        ))
        .chain(external_keys(
            Principal::Category,
            forms.category,
            &raw.category_ids,
            category_keys,
        ))
        .collect();

    Case {
        new_tickets,
        changes: raw.changes.iter().filter_map(change).collect(),
        follows,
        unprotect: raw.unprotect,
        desk: HelpDesk {
            default_category_access: if raw.default_open {
                Access::Open
            } else {
                Access::Silo
            },
            group_permissions: held(&group_names, &raw.group_permissions, &permissions),
            agent_permissions: held(&agent_ids, &raw.agent_permissions, &permissions),
            agents,
            teams: raw.team_ids,
            team_members,
            departments,
            categories: raw.category_ids,
            external_keys,
            permissions,
            groups,
            group_members,
            group_departments,
            agent_departments,
            group_categories,
            agent_categories,
            table,
            tickets,
            followers,
            times: raw.times,
        },
    }
}

/// A value for a column: NULL where the column is missing or its type cannot hold the value.
fn cell(column: &Option<Column>, pick: &Pick, ids: &[Id], unassigned: Id) -> Option<Id> {
    let column = column.as_ref()?;
    pick.resolve(ids, unassigned)
        .filter(|&value| column.kind.holds(value))
}

fn chosen<T: Ord>(pairs: impl Iterator<Item = T>, picks: &[bool]) -> BTreeSet<T> {
    let picked = pairs.zip(picks).filter(|(_, picked)| **picked);
    picked.map(|(pair, _)| pair).collect()
}

fn held<T: Ord + Copy>(
    holders: &[T],
    picks: &[(bool, Vec<bool>)],
    permissions: &[Permission],
) -> BTreeSet<(T, String)> {
    let mut held = BTreeSet::new();
    for (&holder, (uses, picks)) in holders.iter().zip(picks) {
        for (permission, picked) in permissions.iter().zip(picks) {
            let has = if permission.name == "ticket.use" {
                *uses
            } else {
                *picked
            };
            if has {
                held.insert((holder, permission.name.clone()));
            }
        }
    }
    held
}

// ---- SQL ----

impl Access {
    fn sql(self) -> &'static str {
        match self {
            Access::Silo => "silo",
            Access::Open => "open",
        }
    }
}

impl Level {
    fn sql(self) -> &'static str {
        match self {
            Level::Assign => "assign",
            Level::Full => "full",
        }
    }
}

fn nullable(value: Option<impl ToString>) -> String {
    value.map_or("NULL".into(), |value| value.to_string())
}

/// `INSERT` with many rows, or nothing where there are none.
fn insert(into: &str, rows: Vec<String>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    format!("INSERT INTO {into} VALUES ({});\n", rows.join("), ("))
}

/// The id of a group, known by its name.
fn group_id(name: &str) -> String {
    let name = literal(name);
    format!("(SELECT id FROM deskguard.permission_group WHERE name = {name})")
}

impl TicketTable {
    /// The table's name as SQL has it.
    pub fn sql(&self) -> String {
        format!("{}.{}", ident(self.schema), ident(self.name))
    }

    pub fn follower_sql(&self) -> Option<String> {
        let follower = self.follower.as_ref()?;
        Some(format!("{}.{}", ident(self.schema), ident(follower.name)))
    }

    /// The argument `ticket_table` in calls of functions.
    pub fn argument(&self) -> String {
        if self.named_in_calls {
            format!("{}::regclass", literal(&self.sql()))
        } else {
            "NULL::regclass".into()
        }
    }

    /// Partitions that hold rows, as SQL has them.
    pub fn partitions(&self) -> Vec<String> {
        if self.partitioning == Partitioning::None {
            return Vec::new();
        }
        (1..=2)
            .map(|number| format!("{}.{}", ident(self.schema), self.partition(number)))
            .collect()
    }

    fn partition(&self, number: usize) -> String {
        ident(&format!("{} part {number}", self.name))
    }

    fn tables(&self) -> Vec<String> {
        let mut tables = vec![self.sql()];
        tables.extend(self.partitions());
        tables.extend(self.follower_sql());
        tables
    }

    /// A kind of column that names agents as the others do, from one that was picked.
    pub fn agent_kind(&self, picked: Kind) -> Kind {
        match picked {
            Kind::Uuid if self.agent_form != KeyForm::Uuid => Kind::Text(self.agent_form),
            picked => picked.with_form(self.agent_form),
        }
    }

    /// The name of the column for this, if there is one.
    pub fn column(&self, part: Part) -> Option<&'static str> {
        let name = |column: &Option<Column>| column.as_ref().map(|column| column.name);
        match part {
            Part::Id => Some(self.id.name),
            Part::Department => name(&self.department),
            Part::Category => name(&self.category),
            Part::Assignee => name(&self.assignee),
            Part::Team => name(&self.team),
            Part::Confidential => self.confidential,
            Part::Status => self.status.as_ref().map(|status| status.name),
        }
    }

    /// Its columns, quoted, in one order.
    fn columns(&self) -> Vec<(Part, String)> {
        let quoted = |part| Some((part, ident(self.column(part)?)));
        ALL_PARTS.into_iter().filter_map(quoted).collect()
    }

    fn type_of(&self, part: Part) -> String {
        let of = |column: &Option<Column>| column.as_ref().map_or("", |c| c.kind.sql()).into();
        match part {
            Part::Id => self.id.kind.sql().into(),
            Part::Department => of(&self.department),
            Part::Category => of(&self.category),
            Part::Assignee => of(&self.assignee),
            Part::Team => of(&self.team),
            Part::Confidential => "boolean".into(),
            Part::Status => match self.status.as_ref().map(|status| status.kind) {
                Some(StatusKind::Integer(kind)) => kind.sql().into(),
                Some(StatusKind::Enum) => self.enum_sql(),
                Some(StatusKind::Text) | None => "text".into(),
            },
        }
    }

    fn enum_sql(&self) -> String {
        format!("{}.{}", ident(self.schema), ident(self.status_type))
    }

    fn is_enum(&self) -> bool {
        let status = self.status.as_ref();
        status.is_some_and(|status| status.kind == StatusKind::Enum)
    }

    /// The names and the values of a ticket's columns, as lists.
    fn row(&self, ticket: &Ticket) -> (String, String) {
        let columns = self.columns();
        let values: Vec<String> = columns
            .iter()
            .map(|(part, _)| self.value(*part, ticket))
            .collect();
        let names: Vec<String> = columns.into_iter().map(|(_, name)| name).collect();
        (names.join(", "), values.join(", "))
    }

    /// The value of one of a ticket's columns.
    fn value(&self, part: Part, ticket: &Ticket) -> String {
        let key = |column: &Option<Column>, value: Option<Id>| {
            let literal = |value| Some(column.as_ref()?.kind.literal(value));
            nullable(value.and_then(literal))
        };
        match part {
            Part::Id => self.id.kind.literal(ticket.id),
            Part::Department => key(&self.department, ticket.department),
            Part::Category => key(&self.category, ticket.category),
            Part::Assignee => key(&self.assignee, ticket.assignee),
            Part::Team => key(&self.team, ticket.team),
            Part::Confidential => nullable(ticket.confidential),
            Part::Status => nullable(ticket.status.map(literal)),
        }
    }

    /// `INSERT` of one new ticket.
    pub fn insert_sql(&self, ticket: &Ticket) -> String {
        let (names, values) = self.row(ticket);
        format!("INSERT INTO {} ({names}) VALUES ({values})", self.sql())
    }

    pub fn insert_select_sql(&self, ticket: &Ticket) -> String {
        let (names, values) = self.row(ticket);
        format!("INSERT INTO {} ({names}) SELECT {values}", self.sql())
    }

    /// `INSERT` as the part of a MERGE.
    pub fn merge_insert_sql(&self, ticket: &Ticket) -> String {
        let (names, values) = self.row(ticket);
        format!("INSERT ({names}) VALUES ({values})")
    }

    /// The list of `UPDATE … SET` that gives these columns the ticket's values.
    pub fn set_sql(&self, parts: &[Part], ticket: &Ticket) -> String {
        let columns = self.columns().into_iter();
        columns
            .filter(|(part, _)| parts.contains(part))
            .map(|(part, name)| format!("{name} = {}", self.value(part, ticket)))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// May there be an ON CONFLICT on the id?
    pub fn has_unique_id(&self) -> bool {
        matches!(self.partitioning, Partitioning::None | Partitioning::ById)
    }

    fn create_sql(&self) -> String {
        let mut sql = format!("CREATE SCHEMA IF NOT EXISTS {};\n", ident(self.schema));
        if let Some(status) = self.status.as_ref().filter(|_| self.is_enum()) {
            let labels = status.kind.values().map(literal).join(", ");
            let _ = writeln!(sql, "CREATE TYPE {} AS ENUM ({labels});", self.enum_sql());
        }
        let define = |(part, name): &(Part, String)| {
            let not_null = if *part == Part::Id { " NOT NULL" } else { "" };
            format!("{name} {}{not_null}", self.type_of(*part))
        };
        let mut columns: Vec<String> = self.columns().iter().map(define).collect();
        let forward = columns.join(", ");
        columns.reverse();
        let backward = columns.join(", ");
        let table = self.sql();
        let id = ident(self.id.name);
        let key = match self.partitioning {
            Partitioning::ByDepartment => self.department.as_ref().map(|c| ("LIST", c)),
            Partitioning::ByCategory => self.category.as_ref().map(|c| ("LIST", c)),
            Partitioning::ById => Some(("HASH", &self.id)),
            Partitioning::None => None,
        };
        // A dropped column makes column numbers of a table and its partitions differ.
        match key {
            None => {
                let _ = writeln!(
                    sql,
                    "CREATE TABLE {table} (gone text, {forward}, subject text, PRIMARY KEY ({id}));\n\
                     ALTER TABLE {table} DROP COLUMN gone;"
                );
            }
            Some((strategy, Column { name, kind })) => {
                let unique = if strategy == "HASH" {
                    format!(", PRIMARY KEY ({id})")
                } else {
                    String::new()
                };
                let values = [1, 2].map(|id| kind.literal(id)).join(", ");
                let in_first = format!("FOR VALUES IN (NULL, {values})");
                let bounds = if strategy == "HASH" {
                    [
                        "FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
                        "FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
                    ]
                } else {
                    [in_first.as_str(), "DEFAULT"]
                };
                let key = ident(name);
                let partitions = self.partitions();
                let (first, second) = (&partitions[0], &partitions[1]);
                let (first_bound, second_bound) = (bounds[0], bounds[1]);
                let _ = writeln!(
                    sql,
                    "CREATE TABLE {table} ({forward}, subject text{unique}) \
                     PARTITION BY {strategy} ({key});\n\
                     CREATE TABLE {first} PARTITION OF {table} {first_bound};\n\
                     CREATE TABLE {second} (gone int, subject text, {backward}{unique});\n\
                     ALTER TABLE {second} DROP COLUMN gone;\n\
                     ALTER TABLE {table} ATTACH PARTITION {second} {second_bound};"
                );
            }
        }
        if let (Some(follower), Some(name)) = (&self.follower, self.follower_sql()) {
            let references = if follower.references {
                format!(" REFERENCES {table} ON DELETE CASCADE")
            } else {
                String::new()
            };
            let (ticket, agent) = (ident(follower.ticket.name), ident(follower.agent.name));
            let _ = writeln!(
                sql,
                "CREATE TABLE {name} ({ticket} {}{references}, {agent} {});",
                follower.ticket.kind.sql(),
                follower.agent.kind.sql(),
            );
            if self.indexed {
                let _ = writeln!(
                    sql,
                    "CREATE INDEX ON {name} ({ticket}, {agent}); CREATE INDEX ON {name} ({agent});"
                );
            }
        }
        if self.indexed {
            for (_, column) in self.columns() {
                let _ = writeln!(sql, "CREATE INDEX ON {table} ({column});");
            }
        }
        let app = [APP].into_iter().chain(MAPPED).map(ident);
        let app = app.collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            sql,
            "GRANT USAGE ON SCHEMA {} TO PUBLIC;",
            ident(self.schema)
        );
        for table in self.tables() {
            let _ = writeln!(
                sql,
                "ALTER TABLE {table} OWNER TO {OWNER};\n\
                 GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {app};"
            );
        }
        sql
    }

    pub fn protect_sql(&self) -> String {
        let mut arguments = vec![
            format!("ticket_table => {}", literal(&self.sql())),
            format!("id_column => {}", literal(self.id.name)),
        ];
        for (argument, column) in [
            ("department_column", &self.department),
            ("category_column", &self.category),
            ("assignee_column", &self.assignee),
            ("team_column", &self.team),
        ] {
            if let Some(column) = column {
                arguments.push(format!("{argument} => {}", literal(column.name)));
            }
        }
        if let (Some(follower), Some(name)) = (&self.follower, self.follower_sql()) {
            arguments.push(format!("follower_table => {}", literal(&name)));
            arguments.push(format!(
                "follower_ticket_column => {}",
                literal(follower.ticket.name)
            ));
            arguments.push(format!(
                "follower_agent_column => {}",
                literal(follower.agent.name)
            ));
        }
        if let Some(column) = self.confidential {
            arguments.push(format!("confidential_column => {}", literal(column)));
        }
        if let Some(status) = &self.status {
            let column = literal(status.name);
            arguments.push(format!("status_column => {column}"));
            for (argument, values) in [
                ("archived_values", &status.archived),
                ("spam_values", &status.spam),
            ] {
                let values: Vec<String> = values.iter().map(|value| literal(value)).collect();
                if !values.is_empty() {
                    let values = values.join(", ");
                    arguments.push(format!("{argument} => ARRAY[{values}]"));
                }
            }
        }
        if let Some(value) = self.unassigned_value {
            arguments.push(format!("unassigned_value => {value}"));
        }
        format!(
            "SELECT deskguard.protect_tickets({});\n",
            arguments.join(", ")
        )
    }

    pub fn unprotect_sql(&self) -> String {
        format!("SELECT deskguard.unprotect({});\n", literal(&self.sql()))
    }

    pub fn drop_sql(&self) -> String {
        let follower = self.follower_sql();
        let follower = follower.map_or(String::new(), |name| format!("DROP TABLE {name};\n"));
        let status = if self.is_enum() {
            format!("DROP TYPE {};\n", self.enum_sql())
        } else {
            String::new()
        };
        format!("{follower}DROP TABLE {};\n{status}", self.sql())
    }
}

impl HelpDesk {
    /// Creates the user's tables and all rows; a superuser runs it. Nothing is protected yet.
    pub fn load_sql(&self) -> String {
        self.table.create_sql() + &self.rights_sql() + &self.rows_sql()
    }

    /// The rows of deskguard's own tables: who there is and who may do what.
    pub fn rights_sql(&self) -> String {
        let mut sql = insert(
            "deskguard.agent (id, name, active, db_role, category_access, external_key)",
            rows(&self.agents, |agent| {
                format!(
                    "{0}, 'Agent {0}', {1}, {2}, {3}, {4}",
                    agent.id,
                    agent.active,
                    nullable(agent.db_role.map(literal)),
                    nullable(agent.category_access.map(|access| literal(access.sql()))),
                    self.key_sql(Principal::Agent, agent.id),
                )
            }),
        );
        sql += &insert(
            "deskguard.team (id, name, external_key)",
            rows(&self.teams, |id| {
                let key = self.key_sql(Principal::Team, *id);
                format!("{id}, 'Team {id}', {key}")
            }),
        );
        sql += &insert(
            "deskguard.team_member (team_id, agent_id, valid_from, valid_until)",
            rows(&self.team_members, |(team, agent)| {
                let time = self.time("team_member", team, agent).sql();
                format!("{team}, {agent}, {time}")
            }),
        );
        sql += &insert(
            "deskguard.department (id, name, parent_id, external_key)",
            rows(&self.departments, |department| {
                let parent = nullable(department.parent);
                let key = self.key_sql(Principal::Department, department.id);
                format!("{0}, 'Department {0}', {parent}, {key}", department.id)
            }),
        );
        sql += &insert(
            "deskguard.category (id, name, external_key)",
            rows(&self.categories, |id| {
                let key = self.key_sql(Principal::Category, *id);
                format!("{id}, 'Category {id}', {key}")
            }),
        );
        sql += &insert(
            "deskguard.permission (name, description, destructive)",
            rows(&self.permissions[catalog().len()..], |permission| {
                let name = literal(&permission.name);
                format!("{name}, 'one of the user', {}", permission.destructive)
            }),
        );
        sql += &insert(
            "deskguard.permission_group (name, category_access, department_access)",
            rows(&self.groups, |group| {
                let departments = if group.all_departments {
                    "all"
                } else {
                    "granted"
                };
                format!(
                    "{}, '{}', '{departments}'",
                    literal(group.name),
                    group.category_access.sql()
                )
            }),
        );
        sql += &insert(
            "deskguard.group_member (group_id, agent_id, valid_from, valid_until)",
            rows(&self.group_members, |(group, agent)| {
                let time = self.time("group_member", group, agent).sql();
                format!("{}, {agent}, {time}", group_id(group))
            }),
        );
        sql += &insert(
            "deskguard.group_permission (group_id, permission, valid_from, valid_until)",
            rows(&self.group_permissions, |(group, permission)| {
                let time = self.time("group_permission", group, permission).sql();
                format!("{}, {}, {time}", group_id(group), literal(permission))
            }),
        );
        sql += &insert(
            "deskguard.agent_permission (agent_id, permission, valid_from, valid_until)",
            rows(&self.agent_permissions, |(agent, permission)| {
                let time = self.time("agent_permission", agent, permission).sql();
                format!("{agent}, {}, {time}", literal(permission))
            }),
        );
        sql += &insert(
            "deskguard.group_department (group_id, department_id, level, valid_from, valid_until)",
            rows(&self.group_departments, |((group, department), level)| {
                let time = self.time("group_department", group, department).sql();
                format!(
                    "{}, {department}, '{}', {time}",
                    group_id(group),
                    level.sql()
                )
            }),
        );
        sql += &insert(
            "deskguard.agent_department (agent_id, department_id, level, valid_from, valid_until)",
            rows(&self.agent_departments, |((agent, department), level)| {
                let time = self.time("agent_department", agent, department).sql();
                format!("{agent}, {department}, '{}', {time}", level.sql())
            }),
        );
        sql += &insert(
            "deskguard.group_category (group_id, category_id, valid_from, valid_until)",
            rows(&self.group_categories, |(group, category)| {
                let time = self.time("group_category", group, category).sql();
                format!("{}, {category}, {time}", group_id(group))
            }),
        );
        sql += &insert(
            "deskguard.agent_category (agent_id, category_id, valid_from, valid_until)",
            rows(&self.agent_categories, |(agent, category)| {
                let time = self.time("agent_category", agent, category).sql();
                format!("{agent}, {category}, {time}")
            }),
        );
        sql
    }

    /// The rows of the user's tables.
    fn rows_sql(&self) -> String {
        let mut sql = String::new();
        for ticket in &self.tickets {
            sql += &(self.table.insert_sql(ticket) + ";\n");
        }
        if let (Some(name), Some(columns)) = (self.table.follower_sql(), &self.table.follower) {
            sql += &insert(
                &name,
                rows(&self.followers, |(ticket, agent)| {
                    format!(
                        "{}, {}",
                        nullable(ticket.map(|id| columns.ticket.kind.literal(id))),
                        nullable(agent.map(|id| columns.agent.kind.literal(id)))
                    )
                }),
            );
        }
        sql
    }

    fn key_sql(&self, principal: Principal, id: Id) -> String {
        let key = self.external_keys.get(&(principal, id));
        nullable(key.map(|key| literal(key)))
    }

    /// When a row of one of the tables of members and grants counts: one of the times, by what is in it.
    pub fn time(&self, table: &str, holder: impl Display, thing: impl Display) -> Time {
        let text = format!("{table} {holder} {thing}");
        let sum = text.bytes().fold(7usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        });
        self.times[sum % self.times.len()]
    }

    /// Takes out all rows of a help desk and leaves what belongs to the extension.
    pub fn clean_sql() -> &'static str {
        "DELETE FROM deskguard.agent;\n\
         DELETE FROM deskguard.team;\n\
         UPDATE deskguard.department SET parent_id = NULL;\n\
         DELETE FROM deskguard.department;\n\
         DELETE FROM deskguard.category;\n\
         DELETE FROM deskguard.permission_group WHERE NOT builtin;\n\
         DELETE FROM deskguard.permission WHERE NOT builtin;\n"
    }
}

fn rows<T>(items: impl IntoIterator<Item = T>, row: impl FnMut(T) -> String) -> Vec<String> {
    items.into_iter().map(row).collect()
}
