//! What a table asks of its rows besides deskguard's rules: features, and policies of the owner's own.
//!
//! Read from what PostgreSQL itself applies, and so never out of date.

use std::ffi::{CStr, c_char};

use deskguard_rules::{Access, Action, Change};
use pgrx::prelude::*;

use crate::pg::node::items;
use crate::pg::relation::open;
use crate::tables::rule_function::RuleFunction;

pub struct TablePolicies {
    pub features: Vec<Feature>,
    /// Restrictive ones that are not deskguard's.
    pub own: Vec<OwnPolicy>,
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

    /// Is it asked of the rows of tickets with which this is done? Each action needs sight.
    fn is_of(self, action: Action) -> bool {
        match self {
            Command::Update => action == Action::Change(Change::Modify),
            Command::Delete => action == Action::Change(Change::Delete),
            _ => self.is_read(),
        }
    }
}

impl OwnPolicy {
    pub fn command(&self) -> &'static str {
        self.command.name()
    }

    pub fn is_of(&self, action: Action) -> bool {
        self.command.is_of(action)
    }

    pub fn is_read(&self) -> bool {
        self.command.is_read()
    }
}

impl TablePolicies {
    pub fn of(table: pg_sys::Oid) -> TablePolicies {
        let mut found = TablePolicies {
            features: vec![],
            own: vec![],
            is_closed: false,
        };
        // SAFETY: the relation is open, and with its lock its policies stay.
        unsafe {
            let relation = open(table);
            // Without row-level security the rules still hold for what belongs to the rows.
            let Some(security) = relation.rd_rsdesc.as_ref() else {
                return found;
            };
            found.is_closed = true;
            for policy in items::<pg_sys::RowSecurityPolicy>(security.policies) {
                let policy = &**policy;
                let command = Command::of(policy.polcmd);
                if policy.permissive {
                    found.is_closed &= !(command.is_read() && opens(policy));
                } else {
                    found.add(policy, command);
                }
            }
        }
        found
    }

    /// # Safety
    /// A policy of an open relation.
    unsafe fn add(&mut self, policy: &pg_sys::RowSecurityPolicy, command: Command) {
        // SAFETY: as the caller promises.
        unsafe {
            let name = CStr::from_ptr(policy.policy_name).to_string_lossy();
            let parts = Asked::parts(policy);
            // Followers are not updated: false.
            let is_ours = |part: &Asked| match part {
                Asked::Rule => name.starts_with("deskguard_"),
                Asked::Constant => name == "deskguard_modify",
                Asked::Feature(_) => is_for_everyone(policy),
                Asked::Other => false,
            };
            if parts.iter().all(is_ours) {
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
    }

    /// The features that an action needs.
    pub fn features_of(&self, action: Action) -> impl Iterator<Item = &Feature> {
        self.features
            .iter()
            .filter(move |feature| feature.command.is_of(action))
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
    ///
    /// # Safety
    /// A policy of an open relation.
    unsafe fn parts(policy: &pg_sys::RowSecurityPolicy) -> Vec<Asked> {
        // SAFETY: the tag tells the type; the parts of an AND are nodes.
        unsafe {
            let condition: *mut pg_sys::Node = if policy.qual.is_null() {
                policy.with_check_qual.cast()
            } else {
                policy.qual.cast()
            };
            if condition.is_null() {
                return vec![Asked::Other];
            }
            let both = condition.cast::<pg_sys::BoolExpr>();
            if (*condition).type_ == pg_sys::NodeTag::T_BoolExpr
                && (*both).boolop == pg_sys::BoolExprType::AND_EXPR
            {
                let parts = items::<pg_sys::Node>((*both).args).iter();
                return parts.map(|part| Asked::of(*part)).collect();
            }
            vec![Asked::of(condition)]
        }
    }

    /// # Safety
    /// The expression of a policy, or a part of it.
    unsafe fn of(condition: *mut pg_sys::Node) -> Asked {
        // SAFETY: the tag tells the type.
        unsafe {
            match (*condition).type_ {
                pg_sys::NodeTag::T_FuncExpr => {}
                pg_sys::NodeTag::T_Const => return Asked::Constant,
                _ => return Asked::Other,
            }
            let call = &*condition.cast::<pg_sys::FuncExpr>();
            match RuleFunction::of(call.funcid) {
                Some(RuleFunction::Feature) => match feature(call) {
                    Some(permission) => Asked::Feature(permission),
                    None => Asked::Other,
                },
                Some(function) if is_of_policies(function) => Asked::Rule,
                _ => Asked::Other,
            }
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

/// The permission that a call names.
///
/// # Safety
/// The call is in the expression of a policy, and its argument a text.
unsafe fn feature(call: &pg_sys::FuncExpr) -> Option<String> {
    // SAFETY: as the caller promises.
    unsafe {
        let argument = items::<pg_sys::Node>(call.args).first()?;
        if (**argument).type_ != pg_sys::NodeTag::T_Const {
            return None;
        }
        let constant = &*argument.cast::<pg_sys::Const>();
        String::from_datum(constant.constvalue, constant.constisnull)
    }
}

/// Is this the policy by which deskguard opens a table?
///
/// # Safety
/// A policy of an open relation.
unsafe fn opens(policy: &pg_sys::RowSecurityPolicy) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let is_ours = |part: &Asked| !matches!(part, Asked::Other);
        CStr::from_ptr(policy.policy_name) == c"deskguard_base"
            && Asked::parts(policy).iter().all(is_ours)
    }
}

/// Not only for some roles.
///
/// # Safety
/// A policy of an open relation.
unsafe fn is_for_everyone(policy: &pg_sys::RowSecurityPolicy) -> bool {
    // SAFETY: the roles of a policy are an array of OIDs.
    let roles = unsafe { Vec::<pg_sys::Oid>::from_datum(pg_sys::Datum::from(policy.roles), false) };
    // PUBLIC is role 0.
    roles.is_some_and(|roles| roles.contains(&pg_sys::InvalidOid))
}
