//! What is answered to questions about agents and tickets.

use std::collections::BTreeSet;

use deskguard_tests::help_desk::{HelpDesk, Id, Level, Principal, Scope, Ticket};
use deskguard_tests::lab::{Counts, Outcome, fail, query, refused, same};
use deskguard_tests::literal;
use deskguard_tests::oracle::{ACTIONS, Granter, Refusal};
use postgres::Client;
use postgres::error::SqlState;
use serde_json::{Value, json};

use crate::ask::{NO_TICKET, asked_ids, attempt, id_form, id_of, ids};
use crate::database::Lab;
use crate::schema;

/// What a superuser or the table's owner is told about an agent.
pub fn answers_about(lab: &mut Lab, desk: &HelpDesk, agent: Id) -> Outcome {
    let table = desk.table.argument();
    let asker = if desk.table.protected_by_owner {
        &mut lab.owner
    } else {
        &mut lab.superuser
    };

    let kind = desk.table.id.kind;
    let expected = desk.tickets.iter().filter(|t| desk.view(agent, t));
    let expected: BTreeSet<Id> = expected.map(|t| t.id).collect();
    let sql = format!("SELECT deskguard.visible_ticket_keys({agent}, {table})");
    same(&sql, &ids(asker, desk, &sql)?, &expected)?;
    let sql = format!("SELECT deskguard.visible_tickets({agent}, {table})::text");
    if kind.is_integer() {
        same(&sql, ids(asker, desk, &sql)?, expected)?;
    } else {
        let error = asker.query(&sql, &[]).err();
        let code = error.and_then(|error| error.code().cloned());
        same(&sql, code, Some(SqlState::DATATYPE_MISMATCH))?;
    }

    let ticket_ids = asked_ids(desk);
    let id = id_form(kind, agent);
    let actions: Vec<String> = ACTIONS
        .iter()
        .map(|action| {
            format!(
                "deskguard.agent_can({agent}, '{action}', {id}, {table}), \
                 deskguard.explain_access({agent}, {id}, '{action}', {table})"
            )
        })
        .collect();
    let sql = format!(
        "SELECT id, format('%I.%I', {}, {}), deskguard.agent_can_view({agent}, {id}, {table}), {} \
         FROM unnest($1::text[]) AS id",
        literal(desk.table.schema),
        literal(desk.table.name),
        actions.join(", ")
    );
    for row in query(asker, &sql, &[&ticket_ids])? {
        let table: &str = row.get(1);
        let id = id_of(desk, &row);
        let ticket = desk.ticket(id);
        let about = format!("agent {agent}, ticket {id}");
        let viewed = ticket.is_some_and(|ticket| desk.view(agent, ticket));
        same(&format!("agent_can_view: {about}"), row.get(2), viewed)?;
        for (index, action) in ACTIONS.iter().enumerate() {
            let about = format!("{about}, {action}");
            let allowed = ticket.is_some_and(|ticket| desk.act(agent, ticket, action));
            same(
                &format!("agent_can: {about}"),
                row.get(3 + 2 * index),
                allowed,
            )?;
            let explained: Value = row.get(4 + 2 * index);
            schema::check(&explained).map_err(|reason| {
                fail(format!("explain_access: {about}: {reason}: {explained}"))
            })?;
            let head = [
                ("agent", Value::from(agent)),
                (
                    "ticket",
                    match kind.is_integer() {
                        true => id.into(),
                        false => kind.text(id).into(),
                    },
                ),
                ("table", table.into()),
                ("action", (*action).into()),
                ("allowed", allowed.into()),
            ];
            for (key, value) in head {
                same(
                    &format!("explain_access: {about}: {explained}"),
                    &explained[key],
                    &value,
                )?;
            }
            reasons(desk, agent, ticket, &explained).map_err(|reason| {
                fail(format!("explain_access: {about}: {reason}: {explained}"))
            })?;
        }
    }

    let superuser = &mut lab.superuser;
    let sql = format!(
        "SELECT name::text, deskguard.agent_has_permission({agent}, name) FROM deskguard.permission"
    );
    for row in query(superuser, &sql, &[])? {
        let name: &str = row.get(0);
        let about = format!("agent_has_permission({agent}, {name})");
        same(&about, row.get(1), desk.has(agent, name))?;
    }
    let sql = format!(
        "SELECT permission, granted_by, locked, scope FROM deskguard.effective_permissions({agent}) \
         ORDER BY permission COLLATE \"C\", granted_by COLLATE \"C\", locked"
    );
    let rows = query(superuser, &sql, &[])?;
    let rows = rows.iter();
    let rows = rows.map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)));
    same(&sql, rows.collect(), desk.effective_permissions(agent))?;
    effective_access(lab, desk, agent)
}

/// What the agent has, and that those who are said to have it are the same.
fn effective_access(lab: &mut Lab, desk: &HelpDesk, agent: Id) -> Outcome {
    let superuser = &mut lab.superuser;
    let sql = format!(
        "SELECT department_id, level, granted_by, granted_on, scope \
         FROM deskguard.effective_departments({agent})"
    );
    let rows = query(superuser, &sql, &[])?;
    let mut rows: Vec<(Id, &str, String, Option<Id>, &str)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4)))
        .collect();
    rows.sort();
    let departments = desk.effective_departments(agent);
    same(&sql, rows, departments)?;

    let sql = format!(
        "SELECT category_id, granted_by, scope FROM deskguard.effective_categories({agent})"
    );
    let rows = query(superuser, &sql, &[])?;
    let mut rows: Vec<(Option<Id>, String, &str)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    rows.sort();
    same(&sql, rows, desk.effective_categories(agent))?;

    let sql = format!("SELECT team_id FROM deskguard.effective_teams({agent}) ORDER BY 1");
    let rows = query(superuser, &sql, &[])?;
    let rows = rows.iter().map(|row| row.get(0)).collect();
    same(&sql, rows, desk.effective_teams(agent))?;

    let sql = format!(
        "SELECT d.id, w.granted_by, w.granted_on, w.scope \
         FROM deskguard.department AS d, deskguard.agents_with_access(d.id, 'assign') AS w \
         WHERE w.agent_id = {agent}"
    );
    let rows = query(superuser, &sql, &[])?;
    let mut rows: Vec<(Id, String, Option<Id>, &str)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2), row.get(3)))
        .collect();
    rows.sort();
    let departments = desk.effective_departments(agent).into_iter();
    let mut departments: Vec<_> = departments
        .map(|(id, _, by, on, scope)| (id, by, on, scope))
        .collect();
    departments.sort();
    same(&sql, rows, departments)?;

    let sql = format!(
        "SELECT c.id, w.granted_by, w.scope \
         FROM deskguard.category AS c, deskguard.agents_with_access(category_id => c.id) AS w \
         WHERE w.agent_id = {agent}"
    );
    let rows = query(superuser, &sql, &[])?;
    let mut rows: Vec<(Option<Id>, String, &str)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    rows.sort();
    let categories = desk.effective_categories(agent).into_iter();
    let categories = categories.filter(|(category, ..)| category.is_some());
    same(&sql, rows, categories.collect())
}

/// What explain_access says of its reasons must be true.
fn reasons(
    desk: &HelpDesk,
    agent: Id,
    ticket: Option<&Ticket>,
    explained: &Value,
) -> Result<(), String> {
    let rules = explained["rules"].as_array().ok_or("rules is no array")?;
    let failed = rules.iter().find(|rule| rule["passed"] == false);
    if explained["summary"].as_str().is_none_or(str::is_empty) {
        return Err("no summary".into());
    }
    let Some(ticket) = ticket else {
        return Ok(());
    };
    unmapped(desk, agent, ticket, explained)?;
    if explained["allowed"] == false && failed.is_none() {
        return Err("a refusal without a failed rule".into());
    }
    let first_failed = failed.map_or(&Value::Null, |rule| &rule["rule"]);
    let refused_by = match desk.refusal(Some(agent), ticket) {
        Some(Refusal::UnknownAgent | Refusal::InactiveAgent) => Some("agent"),
        Some(Refusal::Permission(_)) => Some("permission"),
        Some(Refusal::Silo) => Some("silo"),
        Some(Refusal::NotCovered) => Some("scope"),
        // Several rules take part in the rest.
        _ => None,
    };
    if refused_by.is_some_and(|rule| first_failed != rule) {
        return Err(format!("the reason is {refused_by:?}, not {first_failed}"));
    }
    if let Some(Refusal::Permission(needed)) = desk.refusal(Some(agent), ticket) {
        let missing = failed.map_or(&Value::Null, |rule| &rule["permission"]);
        if missing != needed {
            return Err(format!("it needs {needed}, not {missing}"));
        }
    }
    // What follows it is asked for where the ticket is.
    let scope = rules.iter().position(|rule| rule["rule"] == "scope");
    for (nth, rule) in rules.iter().enumerate() {
        let granted_by = match rule.get("granted_by") {
            Some(list) => {
                scopes(desk, list)?;
                granters(list)?
            }
            None => continue,
        };
        let passed = rule["passed"] == true;
        let at_place = scope.is_some_and(|scope| scope < nth);
        would_grant(desk, agent, ticket, rule, at_place)?;
        let without_department = |(granter, _)| granter;
        match rule["rule"].as_str() {
            Some("permission") => {
                let name = rule["permission"].as_str().unwrap_or_default();
                let granted_by: BTreeSet<Granter> =
                    granted_by.into_iter().map(without_department).collect();
                let wanted = match at_place {
                    true => desk.granters_at(agent, ticket, Level::Full, name),
                    false => desk.permission_granters(agent, name),
                };
                if granted_by != wanted {
                    return Err(format!("{name} is granted by {wanted:?}"));
                }
            }
            Some("action") => {
                let names = rule["permissions"].as_array().ok_or("no permissions")?;
                let mut wanted = BTreeSet::new();
                for name in names.iter().filter_map(Value::as_str) {
                    let granters = desk.granters_at(agent, ticket, Level::Full, name);
                    wanted.extend(granters.into_iter().map(|granter| (granter, name)));
                }
                let granted = rule["granted_by"].as_array().into_iter().flatten();
                let permissions = granted.filter_map(|right| right["permission"].as_str());
                let granted_by = granted_by.into_iter().map(without_department);
                let found: BTreeSet<_> = granted_by.zip(permissions).collect();
                if passed == wanted.is_empty() || found != wanted {
                    return Err(format!("the action is granted by {wanted:?}"));
                }
            }
            Some("scope") => {
                if passed != desk.is_covered(agent, ticket, Level::Full) || rule["level"] != "full"
                {
                    return Err("the scope".into());
                }
                let columns = [
                    (
                        "department",
                        &desk.table.department,
                        desk.department(ticket),
                    ),
                    ("category", &desk.table.category, desk.category(ticket)),
                ];
                for (name, column, id) in columns {
                    let wanted = column.as_ref().map(|_| json!(id));
                    if rule.get(name) != wanted.as_ref() {
                        return Err(format!("the {name} is {wanted:?}"));
                    }
                }
                let wanted = desk.covering_by(agent, ticket, Level::Full);
                let mut found = granted_by;
                found.sort();
                if !found.iter().eq(&wanted) {
                    return Err(format!("it is covered by {wanted:?}"));
                }
            }
            Some("silo") => {
                if passed != desk.silo_ok(agent, ticket) {
                    return Err("the silo".into());
                }
                let granted_by: BTreeSet<Granter> =
                    granted_by.into_iter().map(without_department).collect();
                let by_category = desk
                    .category(ticket)
                    .map(|category| desk.category_granters(agent, category))
                    .unwrap_or_default();
                // An open agent needs no category: who opens it is named.
                let wanted = if desk.open(agent) {
                    desk.openers(agent)
                } else {
                    by_category
                };
                if granted_by != wanted {
                    return Err(format!("the silo is passed by {wanted:?}"));
                }
            }
            Some("department") => {
                let level = match rule["level"].as_str() {
                    Some("assign") => Level::Assign,
                    Some("full") => Level::Full,
                    _ => return Err("no level".into()),
                };
                if passed != desk.dept(agent, ticket, level) {
                    return Err("the department".into());
                }
                let Some(department) = desk.department(ticket) else {
                    continue;
                };
                let wanted = desk.department_granters(agent, department, level);
                let found: BTreeSet<(Granter, Id)> = granted_by
                    .into_iter()
                    .filter_map(|(granter, department)| Some((granter, department?)))
                    .collect();
                if !desk.all_departments(agent) && found != wanted {
                    return Err("wrong granters of the department".into());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// The groups that would let an agent pass a rule are those with which it does.
fn would_grant(
    desk: &HelpDesk,
    agent: Id,
    ticket: &Ticket,
    rule: &Value,
    at_place: bool,
) -> Result<(), String> {
    let told = rule["would_grant"].as_array().cloned().unwrap_or_default();
    let told: BTreeSet<&str> = told.iter().filter_map(Value::as_str).collect();
    let mut wanted = BTreeSet::new();
    for group in desk.group_names() {
        let has = |name: &Value| desk.group_has(group, name.as_str().unwrap_or_default());
        let is_scoped = desk.scope(group) == Scope::Granted;
        let covers = is_scoped && desk.covers(group, agent, ticket, Level::Full);
        let passes = match rule["rule"].as_str() {
            Some("permission") if at_place => (!is_scoped || covers) && has(&rule["permission"]),
            Some("permission" | "feature") => !is_scoped && has(&rule["permission"]),
            Some("action") => {
                let any = |all: &Vec<Value>| all.iter().any(has);
                (!is_scoped || covers) && rule["permissions"].as_array().is_some_and(any)
            }
            Some("silo") => !is_scoped && desk.group_passes_silo(group, agent, ticket),
            Some("department") => !is_scoped && desk.group_passes_department(group, ticket),
            Some("scope") => covers,
            _ => false,
        };
        if passes && rule["passed"] == false {
            wanted.insert(group);
        }
    }
    match told == wanted {
        true => Ok(()),
        false => Err(format!("{wanted:?} would grant it, not {told:?}: {rule}")),
    }
}

/// What no external key names is said to those who may ask about others, and nothing else is.
fn unmapped(desk: &HelpDesk, agent: Id, ticket: &Ticket, explained: &Value) -> Result<(), String> {
    let columns = desk.unmapped(ticket).into_iter();
    let mut wanted: Vec<Value> = columns
        .map(|(principal, column, value)| {
            let value = column.kind.text(value);
            json!({"column": column.name, "value": value, "table": principal.sql()})
        })
        .collect();
    let without_key = desk.columns_without_key(agent).into_iter();
    wanted.extend(without_key.map(|column| {
        json!({
            "column": column.name, "value": null, "agent": agent, "table": Principal::Agent.sql(),
        })
    }));
    let found = explained["unmapped"].as_array().cloned();
    let mut found = found.unwrap_or_default();
    for list in [&mut wanted, &mut found] {
        list.sort_by_key(Value::to_string);
    }
    if wanted.is_empty() != explained["unmapped"].is_null() || wanted != found {
        return Err(format!("unmapped are {wanted:?}"));
    }
    Ok(())
}

/// Rights of scoped groups say that they are, and no others do.
fn scopes(desk: &HelpDesk, list: &Value) -> Result<(), String> {
    for item in list.as_array().into_iter().flatten() {
        let group = item["group"].as_str();
        let is_scoped = group.is_some_and(|group| desk.scope(group) == Scope::Granted);
        let wanted = is_scoped.then(|| json!("granted"));
        if item.get("scope") != wanted.as_ref() {
            return Err(format!("the scope of {item} is {wanted:?}"));
        }
    }
    Ok(())
}

/// The entries of "granted_by", with the granting department where one is named.
fn granters(list: &Value) -> Result<Vec<(Granter, Option<Id>)>, String> {
    let list = list.as_array().ok_or("granted_by is no array")?;
    list.iter()
        .map(|item| {
            let department = item["department"].as_i64();
            if let Some(name) = item["group"].as_str() {
                Ok((Granter::Group(name.into()), department))
            } else if let Some(id) = item["agent"].as_i64() {
                Ok((Granter::Agent(id), department))
            } else if item["setting"] == "deskguard.default_category_access" {
                Ok((Granter::Setting, department))
            } else {
                Err(format!("granted by {item}"))
            }
        })
        .collect()
}

pub fn who_can(lab: &mut Lab, desk: &HelpDesk) -> Outcome {
    let table = desk.table.argument();
    let turn = desk.tickets.len() as Id;
    let id = id_form(desk.table.id.kind, turn);
    let sql = format!(
        "SELECT id, action, ARRAY(SELECT deskguard.agents_who_can(action, {id}, {table})) \
         FROM unnest($1::text[]) AS id, unnest($2::text[]) AS action"
    );
    for row in query(
        &mut lab.superuser,
        &sql,
        &[&asked_ids(desk), &ACTIONS.as_slice()],
    )? {
        let (id, action): (Id, &str) = (id_of(desk, &row), row.get(1));
        let mut found: Vec<Id> = row.get(2);
        found.sort();
        let mut expected = Vec::new();
        if let Some(ticket) = desk.ticket(id) {
            let agents = desk.agents.iter().map(|agent| agent.id);
            expected.extend(agents.filter(|&agent| desk.act(agent, ticket, action)));
            expected.sort();
        }
        same(&format!("agents_who_can({action}, {id})"), found, expected)?;
    }
    Ok(())
}

/// Only some may ask about others; everybody may ask about itself.
pub fn audits(
    client: &mut Client,
    desk: &HelpDesk,
    who: Option<Id>,
    counts: &mut Counts,
) -> Outcome {
    let table = desk.table.argument();
    let audits = who.is_some_and(|agent| desk.has(agent, "permission.audit"));
    let ticket = desk.tickets.first().map_or(NO_TICKET, |ticket| ticket.id);
    let kind = desk.table.id.kind;
    let (id, plain) = (kind.literal(ticket), literal(&kind.text(ticket)));
    let visible = match kind.is_integer() {
        true => "visible_tickets",
        false => "visible_ticket_keys",
    };
    let questions = |agent: Id| {
        [
            format!("SELECT deskguard.agent_can_view({agent}, {id}, {table})"),
            format!("SELECT deskguard.agent_can({agent}, 'reply', {plain}, {table})"),
            format!("SELECT deskguard.explain_access({agent}, {id}, 'view', {table})"),
            format!("SELECT count(*) FROM deskguard.{visible}({agent}, {table})"),
            format!("SELECT deskguard.agent_has_permission({agent}, 'ticket.use')"),
            format!("SELECT count(*) FROM deskguard.effective_permissions({agent})"),
        ]
    };
    let others = desk
        .agents
        .iter()
        .map(|agent| agent.id)
        .filter(|&id| Some(id) != who);
    for other in others.take(2) {
        for sql in questions(other) {
            let expected = if audits { Ok(1) } else { refused() };
            same(&sql, attempt(client, &sql, counts)?, expected)?;
            counts.either(audits, "audit");
        }
    }
    let sql = format!("SELECT count(*) FROM deskguard.agents_who_can('view', {id}, {table})");
    let expected = if audits { Ok(1) } else { refused() };
    same(&sql, attempt(client, &sql, counts)?, expected)?;

    if let Some(agent) = desk
        .agents
        .iter()
        .find(|agent| Some(agent.id) == who && agent.active)
    {
        for sql in questions(agent.id) {
            same(&sql, attempt(client, &sql, counts)?, Ok(1))?;
        }
        let seen = desk
            .ticket(ticket)
            .is_some_and(|ticket| desk.view(agent.id, ticket));
        let sql = &questions(agent.id)[0];
        same(sql, query(client, sql, &[])?[0].get(0), seen)?;
        if !audits {
            tells_little(client, desk, agent.id, counts)?;
        }
    }
    Ok(())
}

/// Of a ticket that it may not see an agent learns the first rule that failed, and of the ticket no more
/// than the category and department that this rule asked about.
fn tells_little(client: &mut Client, desk: &HelpDesk, agent: Id, counts: &mut Counts) -> Outcome {
    let table = desk.table.argument();
    let sql = format!(
        "SELECT id, deskguard.explain_access({agent}, {}, 'modify', {table}) FROM unnest($1::text[]) AS id",
        id_form(desk.table.id.kind, agent)
    );
    for row in query(client, &sql, &[&asked_ids(desk)])? {
        let Some(ticket) = desk.ticket(id_of(desk, &row)) else {
            continue;
        };
        if desk.view(agent, ticket) {
            continue;
        }
        let explained: Value = row.get(1);
        schema::check(&explained)
            .map_err(|reason| fail(format!("explain_access: {reason}: {explained}")))?;
        let rules = explained["rules"].as_array().cloned().unwrap_or_default();
        let told: BTreeSet<&str> = rules
            .iter()
            .filter_map(Value::as_object)
            .flat_map(|rule| rule.keys().map(String::as_str))
            .filter(|key| !["rule", "passed", "granted_by", "expired", "to_come"].contains(key))
            .collect();
        let told: Vec<&str> = told.into_iter().collect();
        let may_be = match rules.first().map(|rule| &rule["rule"]) {
            Some(Value::String(rule)) if rule == "silo" => vec!["category", "category_access"],
            Some(Value::String(rule)) if rule == "department" => vec!["department", "level"],
            Some(Value::String(rule)) if rule == "scope" => {
                let columns = [
                    desk.table.category.as_ref().map(|_| "category"),
                    desk.table.department.as_ref().map(|_| "department"),
                ];
                columns.into_iter().flatten().chain(["level"]).collect()
            }
            // ticket.use says nothing of the ticket; others are not named.
            _ if rules[0]["permission"] == "ticket.use" => vec!["permission"],
            _ => vec![],
        };
        let what = format!(
            "what agent {agent} learns of ticket {}: {explained}",
            ticket.id
        );
        same(&what, (rules.len(), told), (1, may_be))?;
        counts.add("told little");
    }
    Ok(())
}
