//! Why an agent may or may not do something with a ticket.

use std::rc::Rc;

use deskguard_rules::{
    Access, Action, Explanation, Moment, OtherPolicy, Question, Ticket, TicketId, Unobserved,
};
use pgrx::pg_sys;

use crate::protection::table_policies::TablePolicies;
use crate::rights::cache;
use crate::rights::external_keys::ExternalKeys;
use crate::rights::load::Loader;
use crate::rows::allowed::{Allowed, By};
use crate::tables::key::{Key, OwnedKey};
use crate::tables::names::Names;
use crate::tables::principal::Principal;
use crate::tables::ticket_table::TicketTable;

/// Of a ticket that the agent does not see little is told, unless who asks is told all.
pub fn explain(
    table: &Rc<TicketTable>,
    agent_id: Option<i64>,
    id: Option<&OwnedKey>,
    action: Action,
    is_told_all: bool,
) -> Explanation {
    let loader = Loader::now();
    let agent = agent_id.map(|agent| {
        loader.grants(agent).map(|grants| {
            let access = Access::compile(&grants);
            (grants, access)
        })
    });
    let keys = ExternalKeys::default();
    let rows = match (id, agent_id) {
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
    if let (Some(id), Some(_)) = (id, ticket) {
        unmapped = table.unmapped(id.borrowed(), agent_id, &keys);
    }
    let names = Names::of(loader.catalog());
    let mut question = Question {
        agent: agent_id,
        ticket: id.map(ticket_id),
        table: table.name(),
        action,
        unmapped,
        is_told_all: first_refused(Action::View).is_none(),
        features: vec![],
        own_policies: None,
        other_policies: vec![],
        groups: vec![],
        name: &|column, id| names.get(Principal::of_column(column)?, id),
        timestamp: &timestamp,
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
    if let (Some(access), Some(id)) = (agent_id.and_then(cache::access), id) {
        let seen = Allowed::of_question(&access, table, Action::View);
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
    if is_told_all {
        question.is_told_all = true;
        question.groups = loader.all_groups();
    }
    deskguard_rules::explain(question, agent, ticket)
}

/// Why an agent may not do something with a ticket that it sees, as a sentence. None if it may, as its
/// rights are at this moment.
pub fn reason(
    table: &Rc<TicketTable>,
    agent: i64,
    id: &OwnedKey,
    action: Action,
) -> Option<String> {
    let explanation = explain(table, Some(agent), Some(id), action, false);
    (!explanation.allowed).then_some(explanation.summary)
}

fn ticket_id(key: &OwnedKey) -> TicketId {
    match key {
        Key::Number(id) => TicketId::Number(*id),
        Key::Uuid(_) | Key::Text(_) => TicketId::Text(key.to_string()),
    }
}

/// As in PostgreSQL's JSON.
fn timestamp(moment: Moment) -> String {
    let mut text = [0; pg_sys::MAXDATELEN as usize + 1];
    // SAFETY: MAXDATELEN is the most that it writes, before a null character.
    unsafe {
        pg_sys::JsonEncodeDateTime(
            text.as_mut_ptr(),
            moment.into(),
            pg_sys::TIMESTAMPTZOID,
            std::ptr::null(),
        );
        std::ffi::CStr::from_ptr(text.as_ptr())
            .to_string_lossy()
            .into_owned()
    }
}
