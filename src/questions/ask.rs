//! The functions that answer questions about agents and tickets.

use std::rc::Rc;

use deskguard_rules::{Action, Explanation, Unobserved};
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;
use pgrx::{JsonB, pg_sys};

use crate::pg::call_info::{CallInfo, ResultRows};
use crate::pg::error;
use crate::pg::relation::display_name;
use crate::protection::table_policies::TablePolicies;
use crate::questions::asker::{check_may_ask, may_ask_about_others};
use crate::rights::cache;
use crate::rights::everyone::{Asked, each_agent};
use crate::rights::external_keys::ExternalKeys;
use crate::rights::known_tables;
use crate::rights::owner_sql::{return_keys, return_rows};
use crate::rows::allowed::Allowed;
use crate::rows::explanation::{About, explain_action};
use crate::rows::tickets::{Follows, TicketValues};
use crate::tables::child_table::Parent;
use crate::tables::key::{KeyRef, KeyType, OwnedKey};
use crate::tables::key_functions::for_key_types;
use crate::tables::policy_sql::key_expression;
use crate::tables::ticket_table::{Following, TicketTable};

for_key_types!(
    |$name, $key| [agent_can_view, agent_can_view_uuid, agent_can_view_text] =>
    #[pg_extern(sql = false)]
    fn $name(
        agent_id: Option<i64>,
        ticket_id: Option<$key>,
        ticket_table: Option<pg_sys::Oid>,
    ) -> bool {
        may(agent_id, Action::View, ticket_id.map(KeyRef::from), ticket_table)
    }
);

for_key_types!(
    |$name, $key| [agent_can, agent_can_uuid, agent_can_text] =>
    #[pg_extern(sql = false)]
    fn $name(
        agent_id: Option<i64>,
        action: Option<&str>,
        ticket_id: Option<$key>,
        ticket_table: Option<pg_sys::Oid>,
    ) -> bool {
        let action = parse_action(action);
        may(agent_id, action, ticket_id.map(KeyRef::from), ticket_table)
    }
);

for_key_types!(
    |$name, $key| [agents_who_can, agents_who_can_uuid, agents_who_can_text] =>
    #[pg_extern(sql = false)]
    fn $name(
        action: Option<&str>,
        ticket_id: Option<$key>,
        ticket_table: Option<pg_sys::Oid>,
    ) -> SetOfIterator<'static, i64> {
        let action = parse_action(action);
        who_can(action, ticket_id.map(KeyRef::from), ticket_table)
    }
);

for_key_types!(
    |$name, $key| [explain_access, explain_access_uuid, explain_access_text] =>
    #[pg_extern(sql = false)]
    fn $name(
        agent_id: Option<i64>,
        ticket_id: Option<$key>,
        action: Option<&str>,
        ticket_table: Option<pg_sys::Oid>,
    ) -> JsonB {
        let action = parse_action(action);
        why(agent_id, ticket_id.map(KeyRef::from), action, ticket_table)
    }
);

fn may(
    agent: Option<i64>,
    action: Action,
    ticket: Option<KeyRef>,
    table: Option<pg_sys::Oid>,
) -> bool {
    let table = TicketTable::resolve(table);
    check_may_ask(agent, &[table.oid]);
    let id = ticket.map(|id| table.key(id));
    let (Some(agent), Some(id)) = (agent, id) else {
        return false;
    };
    let Some(access) = cache::access(agent) else {
        return false;
    };
    Allowed::of_question(&access, &table, action).contains(id.borrowed())
}

#[pg_extern(sql = false)]
fn visible_tickets(agent_id: Option<i64>, ticket_table: Option<pg_sys::Oid>, fcinfo: CallInfo) {
    let table = TicketTable::resolve(ticket_table);
    check_may_ask(agent_id, &[table.oid]);
    if table.id_type != KeyType::Number {
        error::raise(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            format!("the ids of {} are {}", table.name(), table.id_type.plural()),
            "Call deskguard.visible_ticket_keys(), which returns text.",
        );
    }
    let rows = fcinfo.rows(pg_sys::INT8OID);
    if let Some(access) = agent_id.and_then(cache::access) {
        table.return_visible(
            &Allowed::of_question(&access, &table, Action::View),
            false,
            rows,
        );
    }
}

#[pg_extern(sql = false)]
fn visible_ticket_keys(agent_id: Option<i64>, ticket_table: Option<pg_sys::Oid>, fcinfo: CallInfo) {
    let table = TicketTable::resolve(ticket_table);
    check_may_ask(agent_id, &[table.oid]);
    let rows = fcinfo.rows(pg_sys::TEXTOID);
    if let Some(access) = agent_id.and_then(cache::access) {
        table.return_visible(
            &Allowed::of_question(&access, &table, Action::View),
            true,
            rows,
        );
    }
}

fn who_can(
    action: Action,
    ticket: Option<KeyRef>,
    table: Option<pg_sys::Oid>,
) -> SetOfIterator<'static, i64> {
    let table = TicketTable::resolve(table);
    check_may_ask(None, &[table.oid]);
    let keys = ExternalKeys::default();
    let id = ticket.map(|id| table.key(id));
    let id = id.as_ref().map(OwnedKey::borrowed);
    let rows = id.map_or(vec![], |id| table.find_values(id, &keys));
    let mut agents = Vec::new();
    if let (Some(id), false) = (id, rows.is_empty()) {
        let followers = Following::ALL.map(|what| table.followers(what, id, &keys));
        let policies = TablePolicies::of(table.oid);
        each_agent(asked(&rows), |access| {
            let follows = Follows::of(|what| followers[what as usize].contains(access.agent));
            let mut tickets = rows.iter().map(|columns| table.ticket(*columns, follows));
            let may = policies.allow(access, action)
                && tickets.all(|t| deskguard_rules::decide(access, &t, action, &mut Unobserved));
            if may {
                agents.push(access.agent);
            }
        });
    }
    SetOfIterator::new(agents)
}

/// What a ticket has, of which rights can be given.
fn asked(rows: &[TicketValues]) -> Asked {
    fn all<'a>(
        rows: &'a [TicketValues],
        of: fn(&TicketValues) -> Option<i64>,
    ) -> impl Iterator<Item = i64> + 'a {
        rows.iter().filter_map(of)
    }
    let teams = all(rows, |row| row.team).chain(all(rows, |row| row.requester_team));
    Asked {
        categories: all(rows, |row| row.category).collect(),
        departments: all(rows, |row| row.department).collect(),
        teams: teams.collect(),
    }
}

fn why(
    agent_id: Option<i64>,
    ticket: Option<KeyRef>,
    action: Action,
    table: Option<pg_sys::Oid>,
) -> JsonB {
    let table = TicketTable::resolve(table);
    check_may_ask(agent_id, &[table.oid]);
    let id = ticket.map(|id| table.key(id));
    let about = About::agent(agent_id, may_ask_about_others(&[table.oid]));
    json(&explain_action(about, &table, id.as_ref(), action))
}

pub fn json(explanation: &Explanation) -> JsonB {
    match serde_json::to_value(explanation) {
        Ok(value) => JsonB(value),
        // Keys that are no strings, of which there are none.
        Err(problem) => error::raise(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("could not write an explanation: {problem}"),
            "Please report this.",
        ),
    }
}

fn parse_action(action: Option<&str>) -> Action {
    let name = action.unwrap_or("NULL");
    Action::from_name(name).unwrap_or_else(|| {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("unknown action \"{name}\""),
            format!("Actions: {}.", Action::ALL.map(Action::name).join(", ")),
        )
    })
}

impl TicketTable {
    /// The table that a caller names, or the only one there is.
    fn resolve(named: Option<pg_sys::Oid>) -> Rc<TicketTable> {
        let all = known_tables::ticket_tables();
        let found = match (named, &*all) {
            (Some(oid), _) => all.iter().find(|table| table.oid == oid),
            (None, [only]) => Some(only),
            (None, []) => None,
            (None, _) => error::raise(
                PgSqlErrorCode::ERRCODE_AMBIGUOUS_PARAMETER,
                "several ticket tables are protected",
                format!("Give ticket_table: {}.", names(&all)),
            ),
        };
        // As long as the question is being answered, the table keeps its names.
        if let Some(table) = found.and_then(|table| known_tables::held_ticket_table(table.oid)) {
            return table;
        }
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            match named {
                Some(oid) => format!("{} is not a protected ticket table", display_name(oid)),
                None => "no ticket table is protected".into(),
            },
            if all.is_empty() {
                "Protect one: SELECT deskguard.protect_tickets('your_tickets', ...).".into()
            } else {
                format!("Protected ticket tables: {}.", names(&all))
            },
        )
    }
}

fn names(tables: &[Rc<TicketTable>]) -> String {
    let mut names: Vec<_> = tables.iter().map(|table| table.name()).collect();
    names.sort();
    names.join(", ")
}

impl TicketTable {
    /// The tickets that are allowed as the result of the function that is being called, which returns ids
    /// or, as text, keys.
    fn return_visible(
        self: &Rc<TicketTable>,
        allowed: &Allowed,
        as_text: bool,
        result: ResultRows,
    ) {
        let parent = Parent::Tickets(self.clone());
        if !parent.has_unique_ids() {
            return return_keys(result, allowed.all().sorted(), as_text);
        }
        let Some(acting) = allowed.acting() else {
            return;
        };
        let id = if as_text {
            format!("{}::pg_catalog.text", quote_identifier(&self.id))
        } else {
            key_expression(self.oid, &self.id)
        };
        if let Some(rows) = parent.rows(Action::View, &acting) {
            return_rows(result, self.oid, &format!("SELECT {id} {rows}"), &acting);
        }
    }
}
