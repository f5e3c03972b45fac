//! A model of a help desk: the tables of the rules as plain collections, and the user's own ticket
//! table in many shapes. `random` makes random ones, `sql` the SQL that loads one.

mod changes;
mod followers;
mod keys;
mod random;
mod sql;
mod times;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use changes::ALL_PARTS;
pub use changes::{Case, Part, TicketChange};
pub use followers::{Follower, FollowerKinds, FollowerTable, Following};
pub use keys::{KeyForm, Kind};
pub use random::{TypePick, cases, kind, row_type, type_pick};
pub use times::Time;
pub use words::{OtherTypes, RowType, WordColumn, WordKind};

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

/// Where a group's permissions hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Everywhere,
    /// For the tickets that the group itself covers.
    Granted,
}

#[derive(Clone, Debug)]
pub struct Group {
    pub name: &'static str,
    pub scope: Scope,
    pub category_access: Access,
    pub all_departments: bool,
}

pub const ALL_PERMISSIONS: &str = "All Permissions";
pub const ALL_NON_DESTRUCTIVE: &str = "All Non-Destructive Permissions";

#[derive(Clone, Debug, Default)]
pub struct Ticket {
    pub id: Id,
    pub department: Option<Id>,
    pub category: Option<Id>,
    pub assignee: Option<Id>,
    pub team: Option<Id>,
    pub requester: Option<Id>,
    pub requester_team: Option<Id>,
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
    /// None if there is no follower table.
    pub followers: Vec<Follower>,
    /// When members are members and grants are valid: each row has one of these.
    pub times: Vec<Time>,
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
    pub requester: Option<Column>,
    pub requester_team: Option<Column>,
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
pub struct StatusColumn {
    pub name: &'static str,
    pub kind: WordKind,
    /// By the parameter of `protect_tickets()`. A value may be in several.
    pub lists: BTreeMap<&'static str, Vec<&'static str>>,
}

/// The parameters of `protect_tickets()` that are lists of statuses.
pub const STATUS_LISTS: [&str; 2] = ["archived_values", "spam_values"];

impl StatusColumn {
    pub fn list(&self, parameter: &str) -> &[&'static str] {
        self.lists.get(parameter).map_or(&[], Vec::as_slice)
    }
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
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
        "ticket.view.own",
        "ticket.view.followed",
        "ticket.view.requested",
        "ticket.view.unassigned",
        "ticket.view.assigned",
        "ticket.view.confidential",
        "ticket.view.internal",
        "report.view",
        "permission.audit",
        "shared.manage",
    ]
    .map(String::from)
    .to_vec();
    for action in ["reply", "modify", "edit_messages", "delete"] {
        for relation in ["own", "followed", "requested", "unassigned", "assigned"] {
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

impl TicketTable {
    /// A kind of column that names agents as the others do, from one that was picked.
    pub fn agent_kind(&self, picked: Kind) -> Kind {
        match picked {
            Kind::Uuid if self.agent_form != KeyForm::Uuid => Kind::Text(self.agent_form),
            picked => picked.with_form(self.agent_form),
        }
    }

    /// The name of the column for this, if there is one. Several may have the same.
    pub fn column(&self, part: Part) -> Option<&'static str> {
        match part {
            Part::Id => Some(self.id.name),
            Part::Confidential => self.confidential,
            Part::Status => self.status.as_ref().map(|status| status.name),
            Part::Department
            | Part::Category
            | Part::Assignee
            | Part::Team
            | Part::Requester
            | Part::RequesterTeam => self.key_column(part).map(|column| column.name),
        }
    }

    /// The column that names somebody as this.
    pub fn key_column(&self, part: Part) -> Option<&Column> {
        match part {
            Part::Department => self.department.as_ref(),
            Part::Category => self.category.as_ref(),
            Part::Assignee => self.assignee.as_ref(),
            Part::Team => self.team.as_ref(),
            Part::Requester => self.requester.as_ref(),
            Part::RequesterTeam => self.requester_team.as_ref(),
            Part::Id | Part::Confidential | Part::Status => None,
        }
    }

    /// All that the column for this means.
    pub fn meanings(&self, part: Part) -> Vec<Part> {
        let column = self.column(part);
        let mut meanings = ALL_PARTS.to_vec();
        meanings.retain(|other| column.is_some() && self.column(*other) == column);
        meanings
    }

    /// What each column means that means several things.
    pub fn shared(&self) -> Vec<Vec<Part>> {
        let mut shared = Vec::new();
        for part in ALL_PARTS {
            let meanings = self.meanings(part);
            if meanings.len() > 1 && meanings[0] == part {
                shared.push(meanings);
            }
        }
        shared
    }

    /// May there be an ON CONFLICT on the id?
    pub fn has_unique_id(&self) -> bool {
        matches!(self.partitioning, Partitioning::None | Partitioning::ById)
    }
}
