//! The answer of `explain_access` and `explain_command`. What these types serialize to is described by
//! docs/explain_access.schema.json.

use std::fmt::{self, Display};

use serde::{Serialize, Serializer};

use crate::grants::{CategoryAccess, Level, Scope};
use crate::permission::{Action, Command, Permission, Relation};

/// Why an agent may or may not do something.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    pub agent: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_name: Option<String>,
    #[serde(flatten)]
    pub asked: Asked,
    pub table: String,
    pub allowed: bool,
    pub summary: String,
    /// In the order in which they were looked at. Each that failed is a reason for a refusal.
    pub rules: Vec<Rule>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmapped: Vec<Unmapped>,
    /// Those that are not asked: they may refuse what is allowed here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_policies: Vec<OtherPolicy>,
}

/// What the agent wants to do.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Asked {
    /// Something with a ticket.
    Action {
        ticket: Option<RowId>,
        action: Action,
    },
    /// A command that touches a row: the one with this id, or any such.
    Command {
        command: Command,
        row: Option<RowId>,
    },
}

/// As the column has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RowId {
    Number(i64),
    Text(String),
}

impl Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            RowId::Number(id) => id.fmt(f),
            RowId::Text(id) => id.fmt(f),
        }
    }
}

/// A rule that was looked at.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Rule {
    Agent {
        passed: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<NoAgent>,
    },
    Permission {
        passed: bool,
        /// None to who may not know which.
        #[serde(flatten)]
        asked: Option<AskedPermission>,
    },
    Silo {
        passed: bool,
        category: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        category_name: Option<String>,
        category_access: CategoryAccess,
        #[serde(flatten)]
        rights: Rights,
    },
    Relation {
        passed: bool,
        relations: Vec<Relation>,
        #[serde(flatten)]
        memberships: AtOtherTimes,
    },
    Department {
        passed: bool,
        department: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        department_name: Option<String>,
        level: Level,
        #[serde(flatten)]
        rights: Rights,
    },
    /// One of the agent's scoped groups covers the ticket.
    Scope {
        passed: bool,
        /// None if the table has no such column.
        #[serde(skip_serializing_if = "Option::is_none")]
        department: Option<Option<i64>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        department_name: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        category: Option<Option<i64>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        category_name: Option<String>,
        level: Level,
        #[serde(flatten)]
        rights: Rights,
    },
    Action {
        passed: bool,
        action: Action,
        relations: Vec<Relation>,
        permissions: Vec<Permission>,
        #[serde(flatten)]
        rights: Rights,
    },
    /// What follows is asked for since the ticket becomes spam.
    Spam {
        passed: bool,
    },
    /// What follows is asked of this ticket.
    Ticket {
        passed: bool,
        ticket: Option<RowId>,
    },
    Author {
        passed: bool,
        author: Option<i64>,
    },
    /// A message is internal.
    Internal {
        passed: bool,
        /// The one that the row belongs to; none if it is the row itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        message: Option<RowId>,
        author: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        author_name: Option<String>,
        #[serde(flatten)]
        rights: Rights,
    },
    NoUpdate {
        passed: bool,
    },
    Shared {
        passed: bool,
        owner: Option<i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        owner_name: Option<String>,
        /// Of who wants to see it.
        #[serde(skip_serializing_if = "Option::is_none")]
        is_shared: Option<bool>,
        #[serde(flatten)]
        rights: Rights,
    },
    Feature {
        passed: bool,
        permission: String,
        /// If it is not the one that was asked about.
        #[serde(skip_serializing_if = "Option::is_none")]
        table: Option<String>,
        #[serde(flatten)]
        rights: Rights,
    },
    OtherPolicies {
        passed: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        table: Option<String>,
    },
}

/// Why an agent has no rights at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoAgent {
    Unknown,
    Inactive,
}

#[derive(Clone, Debug, Serialize)]
pub struct AskedPermission {
    pub permission: Permission,
    #[serde(flatten)]
    pub rights: Rights,
}

/// The rights that a rule asks for, of which one is enough.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Rights {
    pub granted_by: Vec<Right>,
    #[serde(flatten)]
    pub at_other_times: AtOtherTimes,
    /// If none is valid: the groups whose members have one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub would_grant: Vec<String>,
}

/// If none is valid: those that were, and those that will be.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AtOtherTimes {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expired: Vec<Right>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to_come: Vec<Right>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Right {
    #[serde(flatten)]
    pub by: GrantedBy,
    /// Of a scoped group; none of what holds everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team_name: Option<String>,
    #[serde(flatten)]
    pub on: Option<GrantedOn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department_name: Option<String>,
    /// None if it has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
}

/// Who or what gives a right.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantedBy {
    /// A grant of its own.
    Agent(i64),
    Group(String),
    Team(i64),
    Setting(&'static str),
}

/// What a right is on, where the rule does not say it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantedOn {
    Permission(Permission),
    /// The ticket's or an ancestor of it.
    Department(i64),
    /// All.
    Departments(&'static str),
}

/// A missing external key.
#[derive(Clone, Debug, Serialize)]
pub struct Unmapped {
    pub column: String,
    /// What the ticket's column has, which is nobody's key.
    pub value: Option<String>,
    /// Where the key is missing.
    pub table: String,
    /// The agent that is asked about, if it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<i64>,
    #[serde(skip)]
    pub asked_by: AskedBy,
}

/// The rule that asks for a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedBy {
    Silo,
    Department,
    Relation,
}

/// A restrictive policy of the owner's own.
#[derive(Clone, Debug, Serialize)]
pub struct OtherPolicy {
    pub policy: String,
    /// Empty for the one that was asked about.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub table: String,
    /// As in CREATE POLICY.
    pub command: &'static str,
}

/// By the name that it has in SQL.
macro_rules! serialize_name {
    ($($type:ty),+ $(,)?) => {
        $(
            impl Serialize for $type {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.collect_str(&self.name())
                }
            }
        )+
    };
}

serialize_name!(Action, Command, Level, Permission, Relation);
