//! The functions that the policies and triggers of protected tables call.

use std::rc::Rc;

use deskguard_rules::{Action, Change, Permission};
use pgrx::prelude::*;

use crate::kinds::tickets::refused::{Written, refuse, refuse_category, refuse_change};
use crate::pg::call_info::CallInfo;
use crate::rights::cache::Agent;
use crate::rights::call_site::{Site, at_site, is_recheck, writer_of_call};
use crate::rights::owner_sql::as_of_now;
use crate::rights::statement::Statement;
use crate::rights::{known_tables, settings};
use crate::rows::allowed::Allowed;
use crate::rows::followed::Followed;
use crate::rows::tickets::{Follows, TicketValues};
use crate::tables::child_table::Parent;
use crate::tables::key::KeyRef;
use crate::tables::key_functions::for_key_types;
use crate::tables::ticket_table::TicketTable;

/// What a policy needs to know, found out once for each statement.
pub struct Call {
    pub statement: Rc<Statement>,
    /// None: nobody, or a table that is not protected (any more). Then no row passes.
    pub who: Option<(Rc<Agent>, Rc<TicketTable>, Followed)>,
}

/// What policies pass of a ticket that is there: its id, and the columns that the rules ask for.
type Row<'a> = (Option<KeyRef<'a>>, TicketValues);

impl Call {
    /// The state of this call site.
    pub fn of(fcinfo: CallInfo<'_>, table: Option<pg_sys::Oid>) -> Site<'_, Call> {
        at_site(fcinfo, table, |statement| {
            let who = || {
                let access = statement.rights.clone()?;
                let table = known_tables::ticket_table(table?)?;
                let keys = access.external_keys.clone();
                let followed = Followed::by(access.agent, keys, table.oid);
                Some((access, table, followed))
            };
            Call {
                statement: statement.clone(),
                who: who(),
            }
        })
    }

    fn in_silo(&self, category: Option<i64>) -> bool {
        self.who.as_ref().is_some_and(|(access, table, _)| {
            let values = TicketValues {
                category,
                ..TicketValues::UNKNOWN
            };
            deskguard_rules::silo(access, &table.ticket(values, Follows::NOTHING))
        })
    }

    /// What the policies besides deskguard_silo ask of a row.
    fn past_silo(&self, (id, values): Row, action: Action) -> bool {
        let Some((access, table, followed)) = &self.who else {
            return false;
        };
        // Somebody's own call: no row of the table has such a key.
        if id.is_some_and(|id| id.key_type() != table.id_type) {
            return false;
        }
        let allows =
            |follows| deskguard_rules::past_silo(access, &table.ticket(values, follows), action);
        // Followers only add rights. They take a look-up, so they are asked last, and if they matter.
        allows(Follows::NOTHING) || allows(Follows::ALL) && allows(followed.of(id))
    }

    /// A command may not change the ticket that it looks for by its key. Where the setting says so that is
    /// an error, but only of a ticket that the agent sees: another is like one that is not there.
    fn refuse_if_seen(&self, fcinfo: CallInfo, id: Option<KeyRef>, action: Action) {
        if !settings::refuses_changes() || !fcinfo.is_of_target() {
            return;
        }
        let (Some((access, table, _)), Some(id)) = (&self.who, id) else {
            return;
        };
        let tickets = Parent::Tickets(table.clone());
        let refuse_if_seen = |statement: &Statement| {
            let seen = Allowed::of_statement(statement, access, &tickets, Action::View);
            if seen.contains(id) {
                refuse_change(table, access, id, action);
            }
        };
        if is_recheck(fcinfo) {
            let now = Statement::new(self.statement.agent, self.statement.rights.clone());
            as_of_now(|| refuse_if_seen(&now));
        } else {
            refuse_if_seen(&self.statement);
        }
    }
}

#[pg_extern(sql = false)]
fn silo_ok(ticket_table: Option<pg_sys::Oid>, category: Option<i64>, fcinfo: CallInfo) -> bool {
    Call::of(fcinfo, ticket_table).in_silo(category)
}

/// The same of a row that a command writes, which is told the reason.
#[pg_extern(sql = false)]
fn written_silo_ok(
    ticket_table: Option<pg_sys::Oid>,
    category: Option<i64>,
    fcinfo: CallInfo,
) -> bool {
    let call = Call::of(fcinfo, ticket_table);
    let is_in_silo = call.in_silo(category);
    if let (false, Some((access, table, _))) = (is_in_silo, &call.who)
        && let Some(operation) = writer_of_call(fcinfo)
    {
        refuse_category(table, access, &Written::of(table, operation), category);
    }
    is_in_silo
}

/// Where it is not known, a ticket counts as confidential.
fn is_confidential(given: Option<bool>) -> bool {
    given.unwrap_or(TicketValues::UNKNOWN.confidential)
}

// May the agent do this with a ticket that is there, apart from the silo?
for_key_types!(
    |$name, $key, $action|
    [ticket_view_ok, ticket_view_ok_uuid, ticket_view_ok_text] with Action::View,
    [ticket_reply_ok, ticket_reply_ok_uuid, ticket_reply_ok_text]
        with Action::Change(Change::Reply),
    [ticket_modify_ok, ticket_modify_ok_uuid, ticket_modify_ok_text]
        with Action::Change(Change::Modify),
    [ticket_edit_messages_ok, ticket_edit_messages_ok_uuid, ticket_edit_messages_ok_text]
        with Action::Change(Change::EditMessages),
    [ticket_delete_ok, ticket_delete_ok_uuid, ticket_delete_ok_text]
        with Action::Change(Change::Delete),
    [ticket_view_internal_ok, ticket_view_internal_ok_uuid, ticket_view_internal_ok_text]
        with Action::Holding(Permission::ViewInternal),
    [ticket_mass_reply_ok, ticket_mass_reply_ok_uuid, ticket_mass_reply_ok_text]
        with Action::Holding(Permission::MassReply) =>
    #[pg_extern(sql = false)]
    #[allow(clippy::too_many_arguments)]
    fn $name(
        ticket_table: Option<pg_sys::Oid>,
        id: Option<$key>,
        department: Option<i64>,
        category: Option<i64>,
        assignee: Option<i64>,
        team: Option<i64>,
        requester: Option<i64>,
        requester_team: Option<i64>,
        confidential: Option<bool>,
        fcinfo: CallInfo,
    ) -> bool {
        let id = id.map(KeyRef::from);
        let values = TicketValues {
            department,
            category,
            assignee,
            team,
            requester,
            requester_team,
            confidential: is_confidential(confidential),
            ..TicketValues::UNKNOWN
        };
        let call = Call::of(fcinfo, ticket_table);
        let may = call.past_silo((id, values), $action);
        if !may {
            call.refuse_if_seen(fcinfo, id, $action);
        }
        may
    }
);

#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn ticket_create_ok(
    ticket_table: Option<pg_sys::Oid>,
    department: Option<i64>,
    category: Option<i64>,
    assignee: Option<i64>,
    team: Option<i64>,
    requester: Option<i64>,
    requester_team: Option<i64>,
    confidential: Option<bool>,
    status: Option<&str>,
    fcinfo: CallInfo,
) -> bool {
    let call = Call::of(fcinfo, ticket_table);
    let Some((access, table, _)) = &call.who else {
        return false;
    };
    let values = TicketValues {
        department,
        category,
        assignee,
        team,
        requester,
        requester_team,
        confidential: is_confidential(confidential),
        status: table.statuses.of(status),
    };
    let decision = deskguard_rules::create(access, &table.ticket(values, Follows::NOTHING));
    if let (Err(refusal), Some(_)) = (decision, writer_of_call(fcinfo)) {
        refuse(table, access, &Written::New, refusal);
    }
    decision.is_ok()
}
