//! The functions that the policies of child tables call, and what they tell the planner.

use std::cell::OnceCell;
use std::rc::Rc;

use deskguard_rules::{Action, Change, Permission, follower_action, is_open_to, may_write_as};
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::kinds::children::refused::{New, refuse_edit, refuse_internal, refuse_new};
use crate::pg::call_info::CallInfo;
use crate::pg::error;
use crate::plan::key_list::KeyList;
use crate::protection::table_policies::TablePolicies;
use crate::rights::cache::Agent;
use crate::rights::call_site::{Site, at_site, is_recheck, writer_of_call};
use crate::rights::owner_sql::{as_of, as_of_now};
use crate::rights::statement::{Statement, finishing, is_planning};
use crate::rights::{known_tables, settings};
use crate::rows::allowed::{Allowed, SEES_INTERNAL};
use crate::tables::child_table::{ChildTable, Parent};
use crate::tables::key::{KeyRef, OwnedKey};
use crate::tables::key_functions::{for_key_lists, for_key_types};
use crate::tables::ticket_table::FollowerTable;

const VIEW: Action = Action::View;
const REPLY: Action = Action::Change(Change::Reply);
const EDIT: Action = Action::Change(Change::EditMessages);
const MASS_REPLY: Action = Action::Holding(Permission::MassReply);

/// What a call in a policy needs to know, found out once for each statement.
struct Call {
    statement: Rc<Statement>,
    /// None: nobody, or a table that is not protected (any more). Then no row passes.
    who: Option<(Rc<Agent>, Rc<ChildTable>)>,
    allowed: OnceCell<Rc<Allowed>>,
    is_recheck: bool,
}

impl Call {
    fn of(fcinfo: CallInfo<'_>, table: Option<pg_sys::Oid>) -> Site<'_, Call> {
        at_site(fcinfo, table, |statement| {
            let who = || {
                let access = statement.rights.clone()?;
                Some((access, known_tables::held_child_table(table?)?))
            };
            Call {
                statement: statement.clone(),
                who: who(),
                allowed: OnceCell::new(),
                is_recheck: is_recheck(fcinfo),
            }
        })
    }

    /// Asks with which rows of the parent the agent may do this; a call always asks for the same action.
    fn ask<T>(&self, action: Action, ask: impl FnOnce(&Allowed) -> T) -> Option<T> {
        let (access, child) = self.who.as_ref()?;
        let of = |statement| Allowed::of_statement(statement, access, &child.parent, action);
        if self.is_recheck {
            // A row as it is now belongs to its ticket as that is now.
            let now = Statement::new(self.statement.agent, self.statement.rights.clone());
            return Some(as_of_now(|| ask(&of(&now))));
        }
        Some(ask(self.allowed.get_or_init(|| of(&self.statement))))
    }

    /// Who asks about which table, for a row that belongs to this one. None for somebody's own call with a key of another
    /// kind: no row belongs to such a key.
    fn of_row(&self, parent: KeyRef) -> Option<(&Rc<Agent>, &ChildTable)> {
        let (access, child) = self.who.as_ref()?;
        (child.column_type == Some(parent.key_type())).then_some((access, child))
    }

    /// Of a row that belongs to this one: does the permission to see what is internal hold for its ticket?
    fn sees_internal(&self, parent: KeyRef) -> bool {
        self.ask(SEES_INTERNAL, |rows| rows.contains(parent)) == Some(true)
    }

    /// In an AFTER trigger of a command: may the agent add to a ticket that the command creates, or hands
    /// over, as it could before?
    fn may_add_in_trigger(&self, id: KeyRef) -> bool {
        let Some((access, child)) = &self.who else {
            return false;
        };
        let Parent::Tickets(tickets) = &child.parent else {
            return false;
        };
        finishing(access.agent).into_iter().any(|command| {
            let before = || {
                let before = Statement::new(self.statement.agent, self.statement.rights.clone());
                let may = Allowed::of_statement(&before, access, &child.parent, REPLY);
                may.contains(id) || command.is_insert && !child.parent.has_row(id)
            };
            // SAFETY: the command is under way, and keeps its snapshot.
            tickets.is_written_by(id, command.command) && unsafe { as_of(command.snapshot, before) }
        })
    }

    /// Raises an error where one says more than that there is no such row.
    fn refuse(&self, fcinfo: CallInfo, id: KeyRef, action: Action) {
        let Some((access, child)) = &self.who else {
            return;
        };
        if action == REPLY {
            if writer_of_call(fcinfo).is_some() {
                refuse_new(&self.statement, access, child, id, New::Message, action);
            }
        } else if action == EDIT && self.sees_target(fcinfo, id) {
            refuse_edit(access, child, id, false);
        }
    }

    /// Is a command told why it may not change the row that it asks for by its key? It must see what that belongs to.
    fn sees_target(&self, fcinfo: CallInfo, parent: KeyRef) -> bool {
        let Some((access, child)) = &self.who else {
            return false;
        };
        settings::refuses_changes()
            && fcinfo.is_of_target()
            && !self.is_recheck
            // Which of the rows of a ticket it sees only their policies know.
            && child.row_type.is_none()
            && !TablePolicies::of(child.oid).hide_more()
            && Allowed::of_statement(&self.statement, access, &child.parent, VIEW).contains(parent)
    }
}

/// May the agent do this with the ticket of a row that belongs to the parent's row with this id?
fn allows(
    fcinfo: CallInfo,
    table: Option<pg_sys::Oid>,
    id: Option<KeyRef>,
    action: Action,
) -> bool {
    let call = Call::of(fcinfo, table);
    let Some(id) = id else { return false };
    let may = call.ask(action, |rows| rows.contains(id)) == Some(true)
        || action == REPLY && writer_of_call(fcinfo).is_some() && call.may_add_in_trigger(id);
    if !may {
        call.refuse(fcinfo, id, action);
    }
    may
}

for_key_types!(
    |$name, $key, $action|
    [parent_seen_int2, parent_seen_int4, parent_seen_int8, parent_seen_uuid, parent_seen_text]
        with VIEW,
    [
        parent_reply_ok_int2, parent_reply_ok_int4, parent_reply_ok_int8, parent_reply_ok_uuid,
        parent_reply_ok_text
    ] with REPLY,
    [
        parent_internal_int2, parent_internal_int4, parent_internal_int8, parent_internal_uuid,
        parent_internal_text
    ] with SEES_INTERNAL,
    [
        parent_edit_ok_int2, parent_edit_ok_int4, parent_edit_ok_int8, parent_edit_ok_uuid,
        parent_edit_ok_text
    ] with EDIT =>
    #[pg_extern(sql = false)]
    fn $name(child_table: Option<pg_sys::Oid>, parent: Option<$key>, fcinfo: CallInfo) -> bool {
        allows(fcinfo, child_table, parent.map(KeyRef::from), $action)
    }
);

/// The ticket that a statement replies to.
struct RepliedTo(OwnedKey);

/// What is asked of a new message besides the right to reply: its author is the agent or nobody, and it
/// replies to the ticket that the other new messages of the query reply to. Not of attachments and the
/// like, which are no replies.
fn is_new_message_ok(
    fcinfo: CallInfo,
    message_table: Option<pg_sys::Oid>,
    parent: Option<KeyRef>,
    author: Option<i64>,
) -> bool {
    let call = Call::of(fcinfo, message_table);
    let Some(parent) = parent else { return false };
    let Some((access, messages)) = call.of_row(parent) else {
        return false;
    };
    let agent = access.agent;
    if !may_write_as(access, author) {
        error::raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!(
                "agent {agent} may not write a message of {} in the name of another",
                messages.name()
            ),
            "Leave its author out, or name the agent itself.",
        );
    }
    let Parent::Tickets(tickets) = &messages.parent else {
        return true;
    };
    let first = call
        .statement
        .keep(tickets.oid, || RepliedTo(parent.to_owned()));
    let first = first.0.borrowed();
    let may_reply_to_several = |ticket| {
        let holds = || call.ask(MASS_REPLY, |rows| rows.contains(ticket)) == Some(true);
        access.holds(Permission::MassReply, holds)
    };
    if first != parent && !(may_reply_to_several(first) && may_reply_to_several(parent)) {
        error::raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!(
                "agent {agent} may not reply to more than one ticket of {} with one command",
                tickets.name()
            ),
            "It needs the permission ticket.mass_reply, or a command for each ticket.",
        );
    }
    true
}

/// May the agent see a message, as far as that may be internal?
fn is_internal_seen(
    fcinfo: CallInfo,
    message_table: Option<pg_sys::Oid>,
    parent: Option<KeyRef>,
    internal: Option<bool>,
    author: Option<i64>,
) -> bool {
    let call = Call::of(fcinfo, message_table);
    let Some(parent) = parent else { return false };
    call.of_row(parent).is_some_and(|(access, messages)| {
        let message = messages.message(internal, author);
        is_open_to(access, message, VIEW, || call.sees_internal(parent))
    })
}

/// May the agent change or delete a message, as far as that may be internal? Of the row that a command asks for by its
/// key only this knows whether the agent sees it. So this tells of it, too, where the ticket is what forbids the change.
fn is_internal_change_ok(
    fcinfo: CallInfo,
    message_table: Option<pg_sys::Oid>,
    parent: Option<KeyRef>,
    internal: Option<bool>,
    author: Option<i64>,
) -> bool {
    let call = Call::of(fcinfo, message_table);
    // A row that belongs to none is not seen by its ticket.
    let Some(parent) = parent else { return false };
    let Some((access, messages)) = call.of_row(parent) else {
        return false;
    };
    let message = messages.message(internal, author);
    let is_open = |action| is_open_to(access, message, action, || call.sees_internal(parent));
    let may = is_open(EDIT);
    if is_open(VIEW) && call.sees_target(fcinfo, parent) {
        let edited = Allowed::of_statement(&call.statement, access, &messages.parent, EDIT);
        let is_edited = edited.contains(parent);
        if !(may && is_edited) {
            refuse_edit(access, messages, parent, is_edited);
        }
    }
    may
}

/// May the agent write a message that is internal, if it is?
fn is_written_internal_ok(
    fcinfo: CallInfo,
    message_table: Option<pg_sys::Oid>,
    parent: Option<KeyRef>,
    internal: Option<bool>,
) -> bool {
    let call = Call::of(fcinfo, message_table);
    let Some(parent) = parent else { return false };
    let Some((access, messages)) = call.of_row(parent) else {
        return false;
    };
    let message = messages.message(internal, None);
    let may = is_open_to(access, message, EDIT, || call.sees_internal(parent));
    if !may && writer_of_call(fcinfo).is_some() {
        refuse_internal(access, messages, parent);
    }
    may
}

for_key_types!(
    |$name, $key| [internal_seen, internal_seen_uuid, internal_seen_text] =>
    #[pg_extern(sql = false)]
    fn $name(
        message_table: Option<pg_sys::Oid>,
        parent: Option<$key>,
        internal: Option<bool>,
        author: Option<i64>,
        fcinfo: CallInfo,
    ) -> bool {
        let parent = parent.map(KeyRef::from);
        is_internal_seen(fcinfo, message_table, parent, internal, author)
    }
);

for_key_types!(
    |$name, $key| [internal_change_ok, internal_change_ok_uuid, internal_change_ok_text] =>
    #[pg_extern(sql = false)]
    fn $name(
        message_table: Option<pg_sys::Oid>,
        parent: Option<$key>,
        internal: Option<bool>,
        author: Option<i64>,
        fcinfo: CallInfo,
    ) -> bool {
        let parent = parent.map(KeyRef::from);
        is_internal_change_ok(fcinfo, message_table, parent, internal, author)
    }
);

for_key_types!(
    |$name, $key| [written_internal_ok, written_internal_ok_uuid, written_internal_ok_text] =>
    #[pg_extern(sql = false)]
    fn $name(
        message_table: Option<pg_sys::Oid>,
        parent: Option<$key>,
        internal: Option<bool>,
        fcinfo: CallInfo,
    ) -> bool {
        is_written_internal_ok(fcinfo, message_table, parent.map(KeyRef::from), internal)
    }
);

/// May a follower be added or removed? Oneself where one can view the ticket, others, and of other kinds also oneself,
/// where one may modify it.
fn is_follower_ok(
    fcinfo: CallInfo,
    follower_table: Option<pg_sys::Oid>,
    ticket: Option<KeyRef>,
    agent: Option<i64>,
    kind: Option<&str>,
) -> bool {
    let call = Call::of(fcinfo, follower_table);
    let (Some((access, followers)), Some(ticket)) = (&call.who, ticket) else {
        return false;
    };
    let is_followed = |table: &FollowerTable| table.is_followed_by(kind);
    let follows = followers.followers().is_some_and(is_followed);
    let action = follower_action(access, agent, follows);
    let allowed = Allowed::of_statement(&call.statement, access, &followers.parent, action);
    let may = allowed.contains(ticket);
    // Of a follower that is removed it is no more than a condition.
    if !may && writer_of_call(fcinfo) == Some(pg_sys::CmdType::CMD_INSERT) {
        let new = match follows {
            true => New::Follower(agent),
            false => New::OfKind(kind),
        };
        refuse_new(&call.statement, access, followers, ticket, new, action);
    }
    may
}

for_key_types!(
    |$name, $key| [new_message_ok, new_message_ok_uuid, new_message_ok_text] =>
    #[pg_extern(sql = false)]
    fn $name(
        message_table: Option<pg_sys::Oid>,
        parent: Option<$key>,
        author: Option<i64>,
        fcinfo: CallInfo,
    ) -> bool {
        is_new_message_ok(fcinfo, message_table, parent.map(KeyRef::from), author)
    }
);

for_key_types!(
    |$name, $key| [follower_ok, follower_ok_uuid, follower_ok_text] =>
    #[pg_extern(sql = false)]
    fn $name(
        follower_table: Option<pg_sys::Oid>,
        ticket: Option<$key>,
        agent: Option<i64>,
        fcinfo: CallInfo,
    ) -> bool {
        is_follower_ok(fcinfo, follower_table, ticket.map(KeyRef::from), agent, None)
    }
);

for_key_types!(
    |$name, $key| [follower_of_kind_ok, follower_of_kind_ok_uuid, follower_of_kind_ok_text] =>
    #[pg_extern(sql = false)]
    fn $name(
        follower_table: Option<pg_sys::Oid>,
        ticket: Option<$key>,
        agent: Option<i64>,
        kind: Option<&str>,
        fcinfo: CallInfo,
    ) -> bool {
        is_follower_ok(fcinfo, follower_table, ticket.map(KeyRef::from), agent, kind)
    }
);

/// All rows of the parent with which the agent may do this.
fn allowed_parents(fcinfo: CallInfo, child_table: Option<pg_sys::Oid>, action: Action) -> KeyList {
    if is_planning() && fcinfo.is_of_plan() {
        // For an estimate. Whether an index is of use at all is decided by index_condition().
        return KeyList::sample(SAMPLE);
    }
    let call = Call::of(fcinfo, child_table);
    let list = call.ask(action, |rows| {
        let all = rows.all();
        KeyList::of(all.sorted().into_iter(), all.len(), false)
    });
    list.unwrap_or_default()
}

/// So many ids stand for a list in the planner's estimates, which look at each.
const SAMPLE: i64 = 20;

for_key_lists!(
    |$name, $element, $kind, $field, $action|
    [visible_parents, visible_parents_uuid, visible_parents_text] with VIEW,
    [editable_parents, editable_parents_uuid, editable_parents_text] with EDIT =>
    #[pg_extern(sql = false)]
    fn $name(child_table: Option<pg_sys::Oid>, fcinfo: CallInfo) -> Vec<$element> {
        allowed_parents(fcinfo, child_table, $action).$field
    }
);
