//! What a table asks of its rows besides deskguard's rules: features, and policies of the owner's own.
//!
//! Read from what PostgreSQL itself applies, and so never out of date.

use std::ffi::c_char;

use deskguard_rules::{self as rules, Access, Action, Change};
use pgrx::prelude::*;

use crate::pg::node::Node;
use crate::pg::policy::{Policy, policies};
use crate::pg::relation::open;
use crate::protection::policies::{CREATE, DELETE, MODIFY, VIEW};
use crate::protection::rule_functions::rule_of;
use crate::protection::whole::is_whole;
use crate::tables::catalog::Catalog;
use crate::tables::registry::{FOLLOWERS, MESSAGES, kind_of};
use crate::tables::rule_function::RuleFunction;

pub struct TablePolicies {
    table: pg_sys::Oid,
    pub features: Vec<Feature>,
    /// Restrictive ones that are not deskguard's.
    pub own: Vec<OwnPolicy>,
    /// Permissive ones that are not deskguard's: of what they open nothing is left where deskguard opens all.
    openers: Vec<OwnPolicy>,
    /// Row-level security is enabled, and deskguard does not open the table: it is closed, or opened by
    /// policies of the owner's own only.
    is_closed: bool,
}

/// A permission that a command needs.
pub struct Feature {
    command: Command,
    pub permission: String,
}

pub struct OwnPolicy {
    pub name: String,
    command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    All,
    Select,
    Insert,
    Update,
    Delete,
}

impl Command {
    fn of(command: c_char) -> Command {
        match command as u8 {
            b'r' => Command::Select,
            b'a' => Command::Insert,
            b'w' => Command::Update,
            b'd' => Command::Delete,
            _ => Command::All,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Command::All => "ALL",
            Command::Select => "SELECT",
            Command::Insert => "INSERT",
            Command::Update => "UPDATE",
            Command::Delete => "DELETE",
        }
    }

    /// Is it asked of the rows that a query reads?
    fn is_read(self) -> bool {
        matches!(self, Command::All | Command::Select)
    }

    /// Is it asked of the rows that a command touches? What is updated or deleted is read, too.
    fn is_asked_by(self, command: rules::Command) -> bool {
        match self {
            Command::All => true,
            Command::Select => command != rules::Command::Insert,
            Command::Insert => command == rules::Command::Insert,
            Command::Update => command == rules::Command::Update,
            Command::Delete => command == rules::Command::Delete,
        }
    }
}

/// What is done to the row of a ticket with which this is done.
pub fn command_of(action: Action) -> rules::Command {
    match action {
        Action::Change(Change::Modify) => rules::Command::Update,
        Action::Change(Change::Delete) => rules::Command::Delete,
        Action::View
        | Action::Holding(_)
        | Action::Change(Change::Reply | Change::EditMessages) => rules::Command::Select,
    }
}

impl OwnPolicy {
    pub fn command(&self) -> &'static str {
        self.command.name()
    }

    fn is_asked_by(&self, command: rules::Command) -> bool {
        self.command.is_asked_by(command)
    }

    pub fn is_read(&self) -> bool {
        self.command.is_read()
    }
}

impl TablePolicies {
    pub fn of(table: pg_sys::Oid) -> TablePolicies {
        let mut found = TablePolicies {
            table,
            features: vec![],
            own: vec![],
            openers: vec![],
            is_closed: false,
        };
        let relation = open(table);
        // SAFETY: open and locked, and nothing is changed here.
        let Some(policies) = (unsafe { policies(&relation) }) else {
            // Without row-level security the rules still hold for what belongs to the rows.
            return found;
        };
        found.is_closed = true;
        for policy in policies {
            let command = Command::of(policy.command());
            if policy.is_permissive() {
                let opens = opens(policy);
                found.is_closed &= !(command.is_read() && opens);
                if !opens {
                    let name = policy.name().to_string_lossy().into();
                    found.openers.push(OwnPolicy { name, command });
                }
            } else {
                found.add(policy, command);
            }
        }
        found
    }

    fn add(&mut self, policy: Policy, command: Command) {
        let name = policy.name().to_string_lossy();
        let parts = Asked::parts(policy);
        // Followers are not updated: false.
        let is_ours = |part: &Asked| match part {
            Asked::Rule => name.starts_with("deskguard_"),
            Asked::Constant => name == "deskguard_modify",
            Asked::Feature(_) => policy.is_for_everyone(),
            Asked::Other => false,
        };
        // What is asked of the type of a row is known by the whole policy only.
        let is_typed = || {
            [VIEW, CREATE, MODIFY, DELETE].contains(&&*name)
                && matches!(
                    kind_of(&Catalog::now(), self.table).as_deref(),
                    Some(MESSAGES | FOLLOWERS)
                )
                && is_whole(self.table)
        };
        let is_ours = parts.iter().all(is_ours) || is_typed();
        if is_ours {
            for part in parts {
                if let Asked::Feature(permission) = part {
                    self.features.push(Feature {
                        command,
                        permission,
                    });
                }
            }
        } else {
            self.own.push(OwnPolicy {
                name: name.into(),
                command,
            });
        }
    }

    /// The features that an action needs.
    fn features_of(&self, action: Action) -> impl Iterator<Item = &Feature> {
        self.features_for(command_of(action))
    }

    /// The features that a command needs.
    pub fn features_for(&self, command: rules::Command) -> impl Iterator<Item = &Feature> {
        self.features
            .iter()
            .filter(move |feature| feature.command.is_asked_by(command))
    }

    /// The policies of the owner's own that may refuse a command.
    pub fn own_for(self, command: rules::Command) -> impl Iterator<Item = OwnPolicy> {
        let openers = if self.is_closed { self.openers } else { vec![] };
        let own = self.own.into_iter().chain(openers);
        own.filter(move |policy| policy.is_asked_by(command))
    }

    /// Has the agent the features that an action needs?
    pub fn allow(&self, access: &Access, action: Action) -> bool {
        self.features_of(action)
            .all(|feature| access.has_named(&feature.permission))
    }

    /// Is there anything that deskguard's rules and features do not know of and that hides rows?
    pub fn hide_more(&self) -> bool {
        self.is_closed || self.own.iter().any(OwnPolicy::is_read)
    }
}

/// A part of a policy's condition.
enum Asked {
    /// One of the rules.
    Rule,
    /// This permission.
    Feature(String),
    Constant,
    Other,
}

impl Asked {
    /// All of which must be true.
    fn parts(policy: Policy) -> Vec<Asked> {
        let Some(condition) = policy.using().or(policy.with_check()) else {
            return vec![Asked::Other];
        };
        match condition.get::<pg_sys::BoolExpr>() {
            Some(both) if both.boolop == pg_sys::BoolExprType::AND_EXPR => {
                let parts = condition.arguments().iter();
                parts.map(|part| Asked::of(*part)).collect()
            }
            _ => vec![Asked::of(condition)],
        }
    }

    fn of(condition: Node) -> Asked {
        if condition.tag() == pg_sys::NodeTag::T_Const {
            return Asked::Constant;
        }
        let Some(call) = condition.call() else {
            return Asked::Other;
        };
        match rule_of(call.function()) {
            Some(RuleFunction::Feature) => {
                let permission = call.arguments().first().and_then(|named| named.text());
                permission.map_or(Asked::Other, Asked::Feature)
            }
            Some(function) if is_of_policies(function) => Asked::Rule,
            _ => Asked::Other,
        }
    }
}

/// Do deskguard's policies call the function? The others are for plans and questions.
fn is_of_policies(function: RuleFunction) -> bool {
    !matches!(
        function,
        RuleFunction::WrittenSilo
            | RuleFunction::Ticket(Action::Change(Change::Reply | Change::EditMessages))
            | RuleFunction::SharedWith
    )
}

/// Is this the policy by which deskguard opens a table?
fn opens(policy: Policy) -> bool {
    let is_ours = |part: &Asked| !matches!(part, Asked::Other);
    policy.name() == c"deskguard_base" && Asked::parts(policy).iter().all(is_ours)
}
