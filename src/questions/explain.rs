//! Says in JSON why an agent may or may not do something with a ticket.

use deskguard_rules::{
    Access, Action, Change, Check, Column, Given, Grants, Moment, Permission, Relation, Relations,
    Source, Ticket, Validity,
};
use pgrx::pg_sys;
use serde_json::{Map, Value, json};

use crate::protection::table_policies::OwnPolicy;
use crate::rights::load::NoAgent;
use crate::rows::tickets::{Unmapped, UnmappedOf};
use crate::tables::key::{Key, OwnedKey};
use crate::tables::principal::{Principal, UNMAPPED};

/// What was asked.
pub struct Question<'a> {
    pub agent: Option<i64>,
    pub ticket: Option<OwnedKey>,
    pub table: &'a str,
    pub action: Action,
    /// The external keys that are missing.
    pub unmapped: Vec<Unmapped>,
    /// Else who asks may not see the ticket, and asks about itself. It learns the first rule that failed,
    /// with the category or department that this rule asked about, and nothing else of the ticket.
    pub is_told_all: bool,
    /// The permissions that the table needs, asked after the rules, and whether the agent has them.
    pub features: Vec<(String, bool)>,
    /// What the policies of the owner's own say, if they are asked, after all else.
    pub own_policies: Option<bool>,
    /// Those that are not asked: they may refuse what is allowed here.
    pub other_policies: Vec<OwnPolicy>,
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
        question
            .ticket
            .as_ref()
            .map_or("NULL".into(), |id| id.to_string()),
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
            let by_rules =
                deskguard_rules::decide(&access, &ticket, question.action, &mut observer);
            if !question.is_told_all {
                looked_at.retain(|(_, passed)| !passed);
                rules.clear();
            }
            let rights: Vec<_> = looked_at
                .iter()
                .map(|(check, _)| Rights::of(*check, &grants, &ticket))
                .collect();
            let tells_more = |check: &Check| !question.is_told_all && tells_of_ticket(*check);
            rules.extend(
                looked_at
                    .iter()
                    .zip(&rights)
                    .map(|((check, passed), rights)| {
                        if tells_more(check) {
                            json!({"rule": "permission", "passed": passed})
                        } else {
                            entry(*check, *passed, rights, grants.now)
                        }
                    }),
            );
            match looked_at.iter().find(|(_, passed)| !passed) {
                Some((failed, _)) if tells_more(failed) => {
                    "it lacks a permission to view tickets like this one".into()
                }
                Some((failed, _)) => {
                    let at_other_times = rights.iter().map(Rights::at_other_times);
                    refusal(*failed) + &at_other_times.collect::<String>()
                }
                None => {
                    let beyond = beyond_rules(&question, &grants, &mut rules);
                    allowed = by_rules && beyond.is_none();
                    beyond.unwrap_or_else(|| grant(&looked_at, &ticket))
                }
            }
        }
    };
    let verb = if allowed { "may" } else { "may not" };
    let mut unmapped = question.unmapped;
    if !question.is_told_all {
        let asked = looked_at.first().and_then(|(check, _)| match check {
            Check::Silo { .. } => Some(Principal::Category),
            Check::Department { .. } => Some(Principal::Department),
            Check::Permission(_) | Check::Relation(_) | Check::Change(..) => None,
        });
        unmapped.retain(|unmapped| match unmapped.is_of {
            UnmappedOf::Ticket(_) => asked == Some(unmapped.principal),
            UnmappedOf::Agent(_) => true,
        });
    }
    let mut missing = String::new();
    if !allowed {
        missing = unmapped.iter().map(Unmapped::sentence).collect();
    }
    let mut answer = json!({
        "agent": question.agent,
        "ticket": question.ticket.map(|id| match id {
            Key::Number(id) => json!(id),
            Key::Uuid(_) | Key::Text(_) => json!(id.to_string()),
        }),
        "table": question.table,
        "action": question.action.name(),
        "allowed": allowed,
        "summary": format!("{who} {verb} {what}: {reason}{missing}."),
        "rules": rules,
    });
    if !unmapped.is_empty() {
        answer["unmapped"] = list(unmapped.iter().map(Unmapped::json));
    }
    if !question.other_policies.is_empty() {
        let policies = question.other_policies.iter();
        answer["other_policies"] = list(
            policies.map(|policy| json!({"policy": policy.name, "command": policy.command()})),
        );
    }
    answer
}

/// What the table asks besides the rules. Why that refuses, if it does.
fn beyond_rules(question: &Question, grants: &Grants, rules: &mut Vec<Value>) -> Option<String> {
    for (permission, passed) in &question.features {
        if question.is_told_all || !passed {
            let mut rights = Rights::default();
            rights.add_all(grants, grants.permission_given(permission).map(Right::of));
            let granted_by = list(rights.valid.iter().map(|right| right.json(grants.now)));
            rules.push(json!({
                "rule": "feature", "permission": permission, "passed": passed, "granted_by": granted_by
            }));
        }
        if !passed {
            return Some(format!(
                "it lacks the permission {permission}, which {} needs",
                question.table
            ));
        }
    }
    let passed = question.own_policies?;
    if question.is_told_all || !passed {
        rules.push(json!({"rule": "other_policies", "passed": passed}));
    }
    (!passed).then(|| {
        format!(
            "a policy of {} that is not deskguard's hides it",
            question.table
        )
    })
}

impl Unmapped {
    fn table(&self) -> String {
        format!("deskguard.{}", self.principal.table().to_string_lossy())
    }

    fn json(&self) -> Value {
        let (value, agent) = match &self.is_of {
            UnmappedOf::Ticket(value) => (Some(value), None),
            UnmappedOf::Agent(agent) => (None, Some(agent)),
        };
        let mut json = json!({"column": self.column, "value": value, "table": self.table()});
        if let Some(agent) = agent {
            json["agent"] = json!(agent);
        }
        json
    }

    fn sentence(&self) -> String {
        match &self.is_of {
            UnmappedOf::Ticket(value) => format!(
                "; its {} \"{value}\" is the external_key of no row of {}",
                self.column,
                self.table()
            ),
            UnmappedOf::Agent(agent) => format!(
                "; agent {agent} has no external_key that could stand in {}",
                self.column
            ),
        }
    }
}

/// Which permission to view is asked for says how an agent stands to a ticket, and whether that is
/// confidential.
fn tells_of_ticket(check: Check) -> bool {
    match check {
        Check::Permission(permission) => permission != Permission::Use,
        Check::Change(..) | Check::Relation(_) => true,
        Check::Silo { .. } | Check::Department { .. } => false,
    }
}

/// An id of deskguard's; none for what is nobody's external_key.
fn known(id: Option<i64>) -> Option<i64> {
    id.filter(|id| *id != UNMAPPED)
}

fn entry(check: Check, passed: bool, rights: &Rights, now: Moment) -> Value {
    let mut fields = Map::new();
    let mut set = |key: &str, value: Value| {
        fields.insert(key.into(), value);
    };
    set("passed", passed.into());
    match check {
        Check::Permission(permission) => {
            set("rule", "permission".into());
            set("permission", permission.name().into());
        }
        Check::Silo { category } => {
            set("rule", "silo".into());
            set("category", known(category).into());
            let access = if rights.open { "open" } else { "silo" };
            set("category_access", access.into());
        }
        Check::Relation(relations) => {
            set("rule", "relation".into());
            set("relations", list(relations.iter().map(|r| r.name().into())));
        }
        Check::Department { department, level } => {
            set("rule", "department".into());
            set("department", known(department).into());
            set("level", level.name().into());
        }
        Check::Change(change, relations) => {
            set("rule", "action".into());
            set("action", Action::Change(change).name().into());
            set("relations", list(relations.iter().map(|r| r.name().into())));
            let names = check.permissions().into_iter().map(|p| p.name().into());
            set("permissions", list(names));
        }
    }
    let at = |rights: &[Right]| list(rights.iter().map(|right| right.json(now)));
    if !matches!(check, Check::Relation(_)) {
        set("granted_by", at(&rights.valid));
    }
    for (key, rights) in [("expired", &rights.expired), ("to_come", &rights.to_come)] {
        if !rights.is_empty() {
            set(key, at(rights));
        }
    }
    Value::Object(fields)
}

/// The rights that a check asks for.
#[derive(Default)]
struct Rights {
    valid: Vec<Right>,
    /// If none is valid: those that would let it pass at another time.
    expired: Vec<Right>,
    to_come: Vec<Right>,
    /// Of the silo: is the agent not in it?
    open: bool,
}

struct Right {
    /// As it reads in JSON and in a sentence.
    json: Value,
    name: String,
    validity: Validity,
}

impl Rights {
    fn of(check: Check, grants: &Grants, ticket: &Ticket) -> Rights {
        let mut rights = Rights::default();
        match check {
            Check::Permission(permission) => {
                let name = permission.name();
                rights.add_all(grants, grants.permission_given(&name).map(Right::of));
            }
            Check::Change(..) => {
                for permission in check.permissions() {
                    let name = permission.name();
                    rights.add_all(
                        grants,
                        grants.permission_given(&name).map(|given| {
                            let mut right = Right::of(given);
                            right.json["permission"] = name.as_str().into();
                            right
                        }),
                    );
                }
            }
            Check::Silo { category } => {
                rights.add_all(grants, grants.open_given().map(Right::of));
                if grants.open_by_default(|validity| validity.contains(grants.now)) {
                    rights.add_all(grants, [Right::default_setting()]);
                }
                rights.open = !rights.valid.is_empty();
                if let (false, Some(category)) = (rights.open, category) {
                    rights.add_all(grants, grants.category_given(category).map(Right::of));
                }
            }
            Check::Department { department, level } => {
                let all = grants.all_departments_given().map(|given| {
                    let mut right = Right::of(given);
                    right.json["departments"] = "all".into();
                    right
                });
                rights.add_all(grants, all);
                let given = department
                    .into_iter()
                    .flat_map(|d| grants.department_given(d, level));
                rights.add_all(grants, given.map(Right::of));
            }
            Check::Relation(_) => {
                let team = ticket.team.value();
                let membership = team.and_then(|team| Some((team, grants.teams.validity(&team)?)));
                rights.add_all(grants, membership.map(Right::of_team));
            }
        }
        if !rights.valid.is_empty() {
            rights.expired.clear();
            rights.to_come.clear();
        }
        rights
    }

    fn add_all(&mut self, grants: &Grants, all: impl IntoIterator<Item = Right>) {
        for right in all {
            let validity = right.validity;
            if validity.contains(grants.now) {
                self.valid.push(right);
            } else if validity.is_empty() {
                // A member for a time at which the group does not have it.
            } else if validity.is_not_over(grants.now) {
                self.to_come.push(right);
            } else {
                self.expired.push(right);
            }
        }
    }

    /// What ended last and what begins next.
    fn at_other_times(&self) -> String {
        let ended = self.expired.iter().max_by_key(|r| r.validity.until);
        let begins = self.to_come.iter().min_by_key(|r| r.validity.from);
        let ended = ended.and_then(|r| Some((r, "ended", r.validity.until?)));
        let begins = begins.and_then(|r| Some((r, "begins", r.validity.from?)));
        [ended, begins]
            .into_iter()
            .flatten()
            .map(|(right, verb, at)| format!("; {} {verb} at {}", right.name, timestamp(at)))
            .collect()
    }
}

impl Right {
    fn of(given: Given) -> Right {
        let (mut json, name) = match given.by {
            Source::Agent(id) => (json!({"agent": id}), "its own grant".into()),
            Source::Group(name) => (
                json!({"group": name}),
                format!("what it has through the group \"{name}\""),
            ),
        };
        if let Some(department) = given.department {
            json["department"] = department.into();
        }
        Right {
            json,
            name,
            validity: given.validity,
        }
    }

    fn of_team((team, validity): (i64, Validity)) -> Right {
        Right {
            json: json!({"team": team}),
            name: format!("its membership in team {team}"),
            validity,
        }
    }

    fn default_setting() -> Right {
        Right {
            json: json!({"setting": "deskguard.default_category_access"}),
            name: "the default".into(),
            validity: Validity::ALWAYS,
        }
    }

    /// With its bounds, but without the one that is of no interest any more.
    fn json(&self, now: Moment) -> Value {
        let mut json = self.json.clone();
        let Validity { from, until } = self.validity;
        if let Some(from) = from.filter(|from| *from > now) {
            json["valid_from"] = timestamp(from).into();
        }
        if let Some(until) = until {
            json["valid_until"] = timestamp(until).into();
        }
        json
    }
}

fn list(values: impl Iterator<Item = Value>) -> Value {
    Value::Array(values.collect())
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

fn refusal(failed: Check) -> String {
    match failed {
        Check::Permission(permission) => {
            format!("it lacks the permission {}", permission.name())
        }
        Check::Silo {
            category: Some(UNMAPPED),
        } => "the ticket's category is not known, and a siloed agent sees only tickets of its categories".into(),
        Check::Silo { category: Some(id) } => {
            format!("category {id} is not granted to it, and it is siloed")
        }
        Check::Silo { category: None } => {
            "the ticket has no category, and a siloed agent sees only tickets of its categories"
                .into()
        }
        Check::Department {
            department: Some(UNMAPPED),
            ..
        } => "the ticket's department is not known, and it is neither its own nor followed by it".into(),
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
            Column::Value(Some(id)) if id != UNMAPPED => {
                format!("it has department {id} and may view {} tickets", names(r))
            }
            Column::Value(_) => {
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
