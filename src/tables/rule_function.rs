//! The functions that policies and plans call: their names, what they ask, and what they are given.

use std::ffi::CStr;

use deskguard_rules::{self as rules, Action, Change, TicketColumn};
use pgrx::pg_sys;

use crate::tables::catalog::{own_function, own_function_name};

/// To view a ticket for which these hold.
const VIEW_INTERNAL: Action = Action::Holding(rules::Permission::ViewInternal);
const MASS_REPLY: Action = Action::Holding(rules::Permission::MassReply);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleFunction {
    Base,
    Silo,
    /// What is asked of a written row in place of the silo.
    WrittenSilo,
    /// May the agent do this with a ticket, apart from the silo?
    Ticket(Action),
    CreateTicket,
    UpdateTicket,
    NewId,
    UpdatedId,
    /// Of a row that belongs to a ticket.
    ParentSeen,
    ParentReply,
    ParentEdit,
    /// Does the permission to see internal messages hold for its ticket?
    ParentInternal,
    NewMessage,
    /// Of a message that may be internal, and what belongs to it: is it seen, and may it be changed?
    InternalSeen,
    InternalChange,
    /// May a written message be internal?
    WrittenInternal,
    Follower,
    /// The same where followers are of kinds.
    FollowerOfKind,
    SharedSeen,
    SharedChange,
    /// What is left of SharedSeen in a plan.
    SharedWith,
    Feature,
}

/// What a function is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    Table,
    /// The key of the row, of one type for all that are alike.
    RowKey,
    /// The key of the row that the row belongs to, of such a type.
    ParentKey,
    /// A column of keys as it is, so that its index is found.
    KeyColumn,
    /// A column of a ticket: the id of what it names, or the value.
    Column(TicketColumn),
    /// The id of the agent that a row names: a message's author, a follower, an owner.
    Agent,
    /// Of what kind a follower is, as text.
    Kind,
    /// Whether a message is internal.
    Internal,
    Permission,
}

impl RuleFunction {
    const ALL: [RuleFunction; 28] = [
        RuleFunction::Base,
        RuleFunction::Silo,
        RuleFunction::WrittenSilo,
        RuleFunction::Ticket(Action::ALL[0]),
        RuleFunction::Ticket(Action::ALL[1]),
        RuleFunction::Ticket(Action::ALL[2]),
        RuleFunction::Ticket(Action::ALL[3]),
        RuleFunction::Ticket(Action::ALL[4]),
        RuleFunction::Ticket(VIEW_INTERNAL),
        RuleFunction::Ticket(MASS_REPLY),
        RuleFunction::CreateTicket,
        RuleFunction::UpdateTicket,
        RuleFunction::NewId,
        RuleFunction::UpdatedId,
        RuleFunction::ParentSeen,
        RuleFunction::ParentReply,
        RuleFunction::ParentEdit,
        RuleFunction::ParentInternal,
        RuleFunction::NewMessage,
        RuleFunction::InternalSeen,
        RuleFunction::InternalChange,
        RuleFunction::WrittenInternal,
        RuleFunction::Follower,
        RuleFunction::FollowerOfKind,
        RuleFunction::SharedSeen,
        RuleFunction::SharedChange,
        RuleFunction::SharedWith,
        RuleFunction::Feature,
    ];

    const fn definition(self) -> (&'static CStr, &'static [Argument]) {
        use Argument::{
            Agent, Column, Internal, KeyColumn, Kind, ParentKey, Permission, RowKey, Table,
        };
        use TicketColumn::{
            Assignee, Category, Confidential, Department, Requester, RequesterTeam, Status, Team,
        };
        const TICKET: &[Argument] = &[
            Table,
            RowKey,
            Column(Department),
            Column(Category),
            Column(Assignee),
            Column(Team),
            Column(Requester),
            Column(RequesterTeam),
            Column(Confidential),
        ];
        match self {
            RuleFunction::Base => (c"base_ok", &[Table]),
            RuleFunction::Silo => (c"silo_ok", &[Table, Column(Category)]),
            RuleFunction::WrittenSilo => (c"written_silo_ok", &[Table, Column(Category)]),
            RuleFunction::Ticket(Action::View) => (c"view_ok", TICKET),
            RuleFunction::Ticket(Action::Change(Change::Reply)) => (c"reply_ok", TICKET),
            RuleFunction::Ticket(Action::Change(Change::Modify)) => (c"modify_ok", TICKET),
            RuleFunction::Ticket(Action::Change(Change::EditMessages)) => {
                (c"edit_messages_ok", TICKET)
            }
            RuleFunction::Ticket(Action::Change(Change::Delete)) => (c"delete_ok", TICKET),
            RuleFunction::Ticket(Action::Holding(permission)) => match permission {
                rules::Permission::MassReply => (c"mass_reply_ok", TICKET),
                // Nobody asks for others of a ticket by itself.
                _ => (c"view_internal_ok", TICKET),
            },
            RuleFunction::CreateTicket => (
                c"create_ok",
                &[
                    Table,
                    Column(Department),
                    Column(Category),
                    Column(Assignee),
                    Column(Team),
                    Column(Requester),
                    Column(RequesterTeam),
                    Column(Confidential),
                    Column(Status),
                ],
            ),
            RuleFunction::UpdateTicket => (
                c"update_ok",
                &[
                    Table,
                    RowKey,
                    Column(Department),
                    Column(Category),
                    Column(Status),
                ],
            ),
            RuleFunction::NewId => (c"new_id_ok", &[Table, RowKey]),
            RuleFunction::UpdatedId => (c"updated_id_ok", &[Table, RowKey]),
            RuleFunction::ParentSeen => (c"parent_seen", &[Table, KeyColumn]),
            RuleFunction::ParentReply => (c"parent_reply_ok", &[Table, KeyColumn]),
            RuleFunction::ParentEdit => (c"parent_edit_ok", &[Table, KeyColumn]),
            RuleFunction::ParentInternal => (c"parent_internal", &[Table, KeyColumn]),
            RuleFunction::NewMessage => (c"new_message_ok", &[Table, ParentKey, Agent]),
            RuleFunction::InternalSeen => (c"internal_seen", &[Table, ParentKey, Internal, Agent]),
            RuleFunction::InternalChange => {
                (c"internal_change_ok", &[Table, ParentKey, Internal, Agent])
            }
            RuleFunction::WrittenInternal => {
                (c"written_internal_ok", &[Table, ParentKey, Internal])
            }
            RuleFunction::Follower => (c"follower_ok", &[Table, ParentKey, Agent]),
            RuleFunction::FollowerOfKind => {
                (c"follower_of_kind_ok", &[Table, ParentKey, Agent, Kind])
            }
            RuleFunction::SharedSeen => (c"shared_seen", &[Table, RowKey, Agent]),
            RuleFunction::SharedChange => (c"shared_ok", &[Table, Agent]),
            RuleFunction::SharedWith => (c"shared_with", &[Table, KeyColumn]),
            RuleFunction::Feature => (c"feature_ok", &[Permission]),
        }
    }

    fn name(self) -> &'static CStr {
        self.definition().0
    }

    pub fn arguments(self) -> &'static [Argument] {
        self.definition().1
    }

    /// The action that it asks about, if that is all that it asks.
    pub fn action(self) -> Option<Action> {
        match self {
            RuleFunction::Ticket(action) => Some(action),
            RuleFunction::ParentSeen => Some(Action::View),
            RuleFunction::ParentReply => Some(Action::Change(Change::Reply)),
            RuleFunction::ParentEdit => Some(Action::Change(Change::EditMessages)),
            RuleFunction::ParentInternal => Some(VIEW_INTERNAL),
            _ => None,
        }
    }

    /// What asks about an action with the ticket that a row belongs to; none if nobody asks that.
    pub fn of_parent(action: Action) -> Option<RuleFunction> {
        [
            RuleFunction::ParentSeen,
            RuleFunction::ParentReply,
            RuleFunction::ParentEdit,
            RuleFunction::ParentInternal,
        ]
        .into_iter()
        .find(|function| function.action() == Some(action))
    }

    /// What asks about an action with a message that may be internal, besides what asks about its ticket.
    pub fn of_internal(action: Action) -> RuleFunction {
        match action {
            Action::View => RuleFunction::InternalSeen,
            Action::Change(_) | Action::Holding(_) => RuleFunction::InternalChange,
        }
    }

    /// The rule that a function is, if it is one.
    pub fn of(function: pg_sys::Oid) -> Option<RuleFunction> {
        let name = own_function_name(function)?;
        // SAFETY: a look-up in the system cache.
        let count = unsafe { pg_sys::get_func_nargs(function) };
        // The SQL of a former version has functions of these names with fewer arguments.
        RuleFunction::ALL
            .into_iter()
            .find(|rule| rule.name() == name.as_c_str() && rule.arguments().len() as i32 == count)
    }

    /// The function's OID; where there is one for each type of keys, that for this type.
    pub fn oid(self, key: pg_sys::Oid) -> Option<pg_sys::Oid> {
        let types = self.arguments().iter().map(|argument| match argument {
            Argument::Table => pg_sys::REGCLASSOID,
            Argument::RowKey | Argument::ParentKey | Argument::KeyColumn => key,
            Argument::Column(TicketColumn::Confidential) | Argument::Internal => pg_sys::BOOLOID,
            Argument::Column(TicketColumn::Status) | Argument::Kind | Argument::Permission => {
                pg_sys::TEXTOID
            }
            Argument::Column(_) | Argument::Agent => pg_sys::INT8OID,
        });
        own_function(self.name(), &types.collect::<Vec<_>>())
    }

    /// A call as text of SQL. `expression` says what stands for an argument; NULL for what a table has not,
    /// of which the answer is no.
    pub fn call(self, expression: impl Fn(Argument) -> Option<String>) -> String {
        let arguments = self.arguments().iter();
        let arguments: Vec<String> = arguments
            .map(|argument| expression(*argument).unwrap_or_else(|| "NULL".into()))
            .collect();
        format!(
            "deskguard_internal.{}({})",
            self.name().to_string_lossy(),
            arguments.join(", ")
        )
    }
}
