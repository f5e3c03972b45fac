//! The functions that answer questions about agents and tickets.

use std::rc::Rc;

use deskguard_rules::{Access, Action, OtherPolicy, Question, Ticket, Unobserved};
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;
use pgrx::{JsonB, pg_sys};

use crate::pg::call_info::{CallInfo, ResultRows};
use crate::pg::error;
use crate::pg::relation::display_name;
use crate::protection::table_policies::TablePolicies;
use crate::questions::asker::{check_may_ask, may_ask_about_others};
use crate::questions::explain;
use crate::rights::cache::{self, Agent};
use crate::rights::external_keys::ExternalKeys;
use crate::rights::identity::current_agent;
use crate::rights::known_tables;
use crate::rights::load::Loader;
use crate::rights::owner_sql::{return_keys, return_rows};
use crate::rows::allowed::{Allowed, By};
use crate::tables::child_table::Parent;
use crate::tables::key::{KeyRef, KeyType, OwnedKey};
use crate::tables::key_functions::for_key_types;
use crate::tables::names::Names;
use crate::tables::policy_sql::key_expression;
use crate::tables::principal::Principal;
use crate::tables::ticket_table::TicketTable;

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
    check_may_ask(agent, std::slice::from_ref(&table));
    let id = ticket.map(|id| table.key(id));
    let (Some(agent), Some(id)) = (agent, id) else {
        return false;
    };
    let Some(access) = cache::access(agent) else {
        return false;
    };
    allowed(&access, &table, action).contains(id.borrowed())
}

/// With which tickets the agent that is asked about may do this.
fn allowed(access: &Rc<Agent>, table: &Rc<TicketTable>, action: Action) -> Allowed {
    let tickets = Parent::Tickets(table.clone());
    let is_about_oneself = current_agent() == Some(access.agent);
    Allowed::of_question(access, &tickets, action, is_about_oneself)
}

#[pg_extern(sql = false)]
fn visible_tickets(agent_id: Option<i64>, ticket_table: Option<pg_sys::Oid>, fcinfo: CallInfo) {
    let table = TicketTable::resolve(ticket_table);
    check_may_ask(agent_id, std::slice::from_ref(&table));
    if table.id_type != KeyType::Number {
        error::raise(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            format!("the ids of {} are {}", table.name(), table.id_type.plural()),
            "Call deskguard.visible_ticket_keys(), which returns text.",
        );
    }
    let rows = fcinfo.rows(pg_sys::INT8OID);
    if let Some(access) = agent_id.and_then(cache::access) {
        table.return_visible(&allowed(&access, &table, Action::View), false, rows);
    }
}

#[pg_extern(sql = false)]
fn visible_ticket_keys(agent_id: Option<i64>, ticket_table: Option<pg_sys::Oid>, fcinfo: CallInfo) {
    let table = TicketTable::resolve(ticket_table);
    check_may_ask(agent_id, std::slice::from_ref(&table));
    let rows = fcinfo.rows(pg_sys::TEXTOID);
    if let Some(access) = agent_id.and_then(cache::access) {
        table.return_visible(&allowed(&access, &table, Action::View), true, rows);
    }
}

fn who_can(
    action: Action,
    ticket: Option<KeyRef>,
    table: Option<pg_sys::Oid>,
) -> SetOfIterator<'static, i64> {
    let table = TicketTable::resolve(table);
    check_may_ask(None, std::slice::from_ref(&table));
    let keys = ExternalKeys::default();
    let id = ticket.map(|id| table.key(id));
    let id = id.as_ref().map(OwnedKey::borrowed);
    let rows = id.map_or(vec![], |id| table.find_values(id, &keys));
    let mut agents = Vec::new();
    if let (Some(id), false) = (id, rows.is_empty()) {
        let followers = table.followers_of(id, &keys);
        let policies = TablePolicies::of(table.oid);
        cache::each_access(Loader::now().active_agents(), |agent, access| {
            let followed = followers.contains(agent);
            let mut tickets = rows.iter().map(|columns| table.ticket(*columns, followed));
            let may = policies.allow(access, action)
                && tickets.all(|t| deskguard_rules::decide(access, &t, action, &mut Unobserved));
            if may {
                agents.push(agent);
            }
        });
    }
    SetOfIterator::new(agents)
}

fn why(
    agent_id: Option<i64>,
    ticket: Option<KeyRef>,
    action: Action,
    table: Option<pg_sys::Oid>,
) -> JsonB {
    let loader = Loader::now();
    let table = TicketTable::resolve(table);
    check_may_ask(agent_id, std::slice::from_ref(&table));
    let agent = agent_id.map(|agent| {
        loader.grants(agent).map(|grants| {
            let access = Access::compile(&grants);
            (grants, access)
        })
    });
    let keys = ExternalKeys::default();
    let id = ticket.map(|id| table.key(id));
    let rows = match (&id, agent_id) {
        (Some(id), Some(agent)) => table.find_ticket(id.borrowed(), agent, &keys),
        (Some(id), None) => table
            .find_values(id.borrowed(), &keys)
            .into_iter()
            .map(|columns| table.ticket(columns, false))
            .collect(),
        (None, _) => vec![],
    };
    // Of several rows with the id one that is refused, since all must be allowed.
    let may = |ticket: &Ticket, action| match &agent {
        Some(Ok((_, access))) => deskguard_rules::decide(access, ticket, action, &mut Unobserved),
        _ => false,
    };
    let first_refused = |action| rows.iter().find(|ticket| !may(ticket, action)).copied();
    let ticket = first_refused(Action::View)
        .or_else(|| first_refused(action))
        .or(rows.first().copied());
    let mut unmapped = vec![];
    if let (Some(id), Some(_)) = (&id, ticket) {
        unmapped = table.unmapped(id.borrowed(), agent_id, &keys);
    }
    let names = Names::of(loader.catalog());
    let mut question = Question {
        agent: agent_id,
        ticket: id.as_ref().map(explain::ticket_id),
        table: table.name(),
        action,
        unmapped,
        is_told_all: first_refused(Action::View).is_none(),
        features: vec![],
        own_policies: None,
        other_policies: vec![],
        groups: vec![],
        name: &|column, id| names.get(Principal::of_column(column)?, id),
        timestamp: &explain::timestamp,
    };
    let mut policies = TablePolicies::of(table.oid);
    if let Some(Ok((_, access))) = &agent {
        let features = policies.features_of(action);
        question.features = features
            .map(|feature| {
                (
                    feature.permission.clone(),
                    access.has_named(&feature.permission),
                )
            })
            .collect();
        question.is_told_all &= policies.allow(access, Action::View);
    }
    policies.own.retain(|policy| policy.is_of(action));
    if let (Some(access), Some(id)) = (agent_id.and_then(cache::access), &id) {
        let seen = allowed(&access, &table, Action::View);
        if seen.by() == By::Policies {
            // Of a ticket that the rules hide nothing more is asked.
            let is_asked = question.is_told_all;
            let is_seen = is_asked && seen.contains(id.borrowed());
            question.own_policies = is_asked.then_some(is_seen);
            question.is_told_all = is_seen;
            policies.own.retain(|policy| !policy.is_read());
        }
    }
    question.other_policies = policies
        .own
        .into_iter()
        .map(|policy| OtherPolicy {
            command: policy.command(),
            policy: policy.name,
        })
        .collect();
    if may_ask_about_others(std::slice::from_ref(&table)) {
        question.is_told_all = true;
        question.groups = loader.all_groups();
    }
    explain::json(&deskguard_rules::explain(question, agent, ticket))
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
        if let Some(table) = found {
            return table.clone();
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
