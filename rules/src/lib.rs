//! The rules of deskguard, without PostgreSQL: who may see and do what with a ticket.
//!
//! [`Grants`] are the facts that the permission tables hold about one agent, each right with those
//! who gave it and for how long. [`Access`] is what they come to at a moment, compiled for fast checks. [`decide`] applies the
//! rules to an agent and a [`Ticket`] and shows each [`Check`] to its caller as it is made, so that
//! a yes or no and its explanation ([`explain`]) cannot differ.

#![forbid(unsafe_code)]

mod access;
mod children;
mod columns;
mod condition;
mod decision;
mod explain;
mod explanation;
mod grants;
mod id_set;
mod permission;
mod sentence;
mod shared;
mod subject;
mod ticket;
mod time;

pub use access::{Access, Categories, Departments, Place};
pub use children::{
    InternalCondition, Message, follower_action, internal_asks_ticket, internal_condition,
    is_open_to, may_write_as,
};
pub use columns::{Columns, TicketColumn};
pub use condition::{Condition, past_silo_condition, past_silo_condition_at_least, silo_condition};
pub use decision::{Check, Refusal, Unobserved, create, decide, has_for, past_silo, silo, update};
pub use explain::{Feature, Question, TableOf, explain};
pub use explanation::{Asked, AskedBy, Explanation, NoAgent, OtherPolicy, RowId, Unmapped};
pub use grants::{
    CategoryAccess, DepartmentTree, Given, Grants, Group, Held, Level, Membership,
    PermissionAccess, Scope, Source, Timed,
};
pub use id_set::IdSet;
pub use permission::{Action, Change, Command, Permission, Relation};
pub use shared::{
    SharedCondition, change_shared_condition, may_change_shared, may_see_shared,
    see_shared_condition,
};
pub use subject::Subject;
pub use ticket::{
    Column, Meaning, Relations, Restriction, Shape, Status, Statuses, Ticket, UNMAPPED,
};
pub use time::{Moment, Validity};
