//! Says in JSON why an agent may or may not do something with a ticket.

use deskguard_rules::{
    Access, Action, Change, Check, Column, DepartmentSource, Grants, Relation, Relations, Source,
    Ticket,
};
use serde_json::{Map, Value, json};

use crate::load::NoAgent;

/// What was asked.
pub struct Question<'a> {
    pub agent: Option<i64>,
    pub ticket: Option<i64>,
    pub table: &'a str,
    pub action: Action,
}

/// The answer, with an entry for each rule that was looked at; the first that failed is the reason
/// for a refusal.
pub fn explain(
    question: Question,
    agent: Option<Result<(Grants, Access), NoAgent>>,
    ticket: Option<Ticket>,
) -> Value {
    let mut rules = Vec::new();
    let mut looked_at = Vec::new();
    let mut allowed = false;
    let who = match question.agent {
        Some(id) => format!("Agent {id}"),
        None => "An agent that is NULL".into(),
    };
    let what = format!(
        "{} ticket {} of {}",
        match question.action {
            Action::View => "view",
            Action::Change(change) => verb(change),
        },
        question.ticket.map_or("NULL".into(), |id| id.to_string()),
        question.table
    );
    let reason = match (agent, ticket) {
        (_, None) => "there is no such ticket".into(),
        (None, _) => "without an agent nothing is allowed".into(),
        (Some(Err(why)), _) => {
            let why = match why {
                NoAgent::Unknown => "unknown",
                NoAgent::Inactive => "inactive",
            };
            rules.push(json!({"rule": "agent", "passed": false, "reason": why}));
            format!("the agent is {why}")
        }
        (Some(Ok((grants, access))), Some(ticket)) => {
            rules.push(json!({"rule": "agent", "passed": true}));
            let mut observer = |check: Check, passed: bool| looked_at.push((check, passed));
            allowed = deskguard_rules::decide(&access, &ticket, question.action, &mut observer);
            rules.extend(
                looked_at
                    .iter()
                    .map(|(c, passed)| entry(*c, *passed, &grants)),
            );
            match looked_at.iter().find(|(_, passed)| !passed) {
                Some((failed, _)) => refusal(*failed),
                None => grant(&looked_at, &ticket),
            }
        }
    };
    let verb = if allowed { "may" } else { "may not" };
    json!({
        "agent": question.agent,
        "ticket": question.ticket,
        "table": question.table,
        "action": question.action.name(),
        "allowed": allowed,
        "summary": format!("{who} {verb} {what}: {reason}."),
        "rules": rules,
    })
}

fn entry(check: Check, passed: bool, grants: &Grants) -> Value {
    let mut fields = Map::new();
    let mut set = |key: &str, value: Value| {
        fields.insert(key.into(), value);
    };
    set("passed", passed.into());
    match check {
        Check::Permission(permission) => {
            let name = permission.name();
            set("rule", "permission".into());
            set(
                "granted_by",
                list(grants.permission_sources(&name).map(source)),
            );
            set("permission", name.into());
        }
        Check::Silo { category } => {
            let open = grants.open_sources();
            set("rule", "silo".into());
            set("category", category.into());
            set(
                "category_access",
                if open.is_empty() { "silo" } else { "open" }.into(),
            );
            set(
                "granted_by",
                if open.is_empty() {
                    list(
                        category
                            .into_iter()
                            .flat_map(|c| grants.category_sources(c))
                            .map(source),
                    )
                } else {
                    list(open.into_iter().map(source))
                },
            );
        }
        Check::Relation(relations) => {
            set("rule", "relation".into());
            set("relations", list(relations.iter().map(|r| r.name().into())));
        }
        Check::Department { department, level } => {
            set("rule", "department".into());
            set("department", department.into());
            set("level", level.name().into());
            set(
                "granted_by",
                list(
                    grants
                        .all_departments_sources()
                        .chain(
                            department
                                .into_iter()
                                .flat_map(|d| grants.department_sources(d, level)),
                        )
                        .map(department_source),
                ),
            );
        }
        Check::Change(change, relations) => {
            let names: Vec<_> = check.permissions().iter().map(|p| p.name()).collect();
            set("rule", "action".into());
            set("action", Action::Change(change).name().into());
            set("relations", list(relations.iter().map(|r| r.name().into())));
            set(
                "granted_by",
                list(names.iter().flat_map(|name| {
                    grants.permission_sources(name).map(|by| {
                        let mut by = source(by);
                        by["permission"] = name.as_str().into();
                        by
                    })
                })),
            );
            set("permissions", names.into());
        }
    }
    Value::Object(fields)
}

fn list(values: impl Iterator<Item = Value>) -> Value {
    Value::Array(values.collect())
}

fn source(by: Source) -> Value {
    match by {
        Source::Agent(id) => json!({"agent": id}),
        Source::Group(name) => json!({"group": name}),
        Source::DefaultSetting => json!({"setting": "deskguard.default_category_access"}),
    }
}

fn department_source(by: DepartmentSource) -> Value {
    let mut value = source(by.source);
    match by.department {
        Some(id) => value["department"] = id.into(),
        None => value["departments"] = "all".into(),
    }
    value
}

fn refusal(failed: Check) -> String {
    match failed {
        Check::Permission(permission) => {
            format!("it lacks the permission {}", permission.name())
        }
        Check::Silo { category: Some(id) } => {
            format!("category {id} is not granted to it, and it is siloed")
        }
        Check::Silo { category: None } => {
            "the ticket has no category, and a siloed agent sees only tickets of its categories"
                .into()
        }
        Check::Department {
            department: Some(id),
            level,
        } => format!(
            "it lacks the level \"{}\" on department {id} or an ancestor of it, and the ticket is neither its own nor followed by it",
            level.name()
        ),
        Check::Department {
            department: None, ..
        } => "the ticket has no department and is neither its own nor followed by it".into(),
        Check::Change(_, relations) => format!(
            "the ticket is {} to it, and it lacks {}",
            names(relations),
            failed
                .permissions()
                .iter()
                .map(|p| p.name())
                .collect::<Vec<_>>()
                .join(" and ")
        ),
        Check::Relation(_) => "of its relation to the ticket".into(),
    }
}

fn grant(looked_at: &[(Check, bool)], ticket: &Ticket) -> String {
    let relations = looked_at.iter().find_map(|(check, _)| match check {
        Check::Relation(relations) => Some(*relations),
        _ => None,
    });
    let mut reasons = Vec::new();
    match relations {
        Some(r) if r.own => reasons.push("the ticket is its own".to_string()),
        Some(r) if r.followed => reasons.push("it follows the ticket".into()),
        Some(r) => reasons.push(match ticket.department {
            Column::Value(Some(id)) => {
                format!("it has department {id} and may view {} tickets", names(r))
            }
            Column::Value(None) => {
                format!("it has all departments and may view {} tickets", names(r))
            }
            Column::Absent => format!("it may view {} tickets", names(r)),
        }),
        None => {}
    }
    if let Some((Check::Change(change, r), _)) = looked_at.last() {
        reasons.push(format!("it may {} {} tickets", verb(*change), names(*r)));
    }
    reasons.join(", and ")
}

fn verb(change: Change) -> &'static str {
    match change {
        Change::Reply => "reply to",
        Change::Modify => "modify",
        Change::EditMessages => "edit messages of",
        Change::Delete => "delete",
    }
}

fn names(relations: Relations) -> String {
    relations
        .iter()
        .map(Relation::name)
        .collect::<Vec<_>>()
        .join(" or ")
}
