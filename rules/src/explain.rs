//! Says why an agent may or may not do something: what the rules show as they are asked.

use std::rc::Rc;

use crate::access::Access;
use crate::columns::TicketColumn;
use crate::decision::Check;
use crate::explanation::{
    Asked, AskedBy, AskedPermission, AtOtherTimes, Explanation, GrantedBy, GrantedOn, NoAgent,
    OtherPolicy, Right, Rights, Rule, Unmapped,
};
use crate::grants::{CategoryAccess, Given, Grants, Group, Scope, Source};
use crate::permission::Permission;
use crate::sentence;
use crate::subject::Subject;
use crate::ticket::{Column, UNMAPPED};
use crate::time::{Moment, Validity};

/// What was asked.
pub struct Question<'a> {
    pub agent: Option<i64>,
    pub asked: Asked,
    pub table: String,
    pub of: TableOf,
    /// The external keys that are missing.
    pub unmapped: Vec<Unmapped>,
    /// Else who asks may not see the ticket, and asks about itself. It learns the first rule that failed,
    /// with the category or department that this rule asked about, and nothing else of the ticket.
    pub is_told_all: bool,
    /// The permissions that the tables need, asked after the rules.
    pub features: Vec<Feature>,
    /// Tables with policies of the owner's own that are asked, after all else, and what they say.
    pub own_policies: Vec<(String, bool)>,
    /// Those that are not asked.
    pub other_policies: Vec<OtherPolicy>,
    /// All groups, if who asks is told which would grant what is missing.
    pub groups: Vec<Rc<Group>>,
    /// The name of what a column of tickets has, for people.
    pub name: &'a dyn Fn(TicketColumn, i64) -> Option<String>,
    /// How a moment is written.
    pub timestamp: &'a dyn Fn(Moment) -> String,
}

/// What the rows of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableOf {
    Tickets,
    /// Rows that belong to tickets.
    Children,
    Others,
}

/// A permission that a table needs, and whether the agent has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    pub table: String,
    pub permission: String,
    pub passed: bool,
}

impl Question<'_> {
    /// What is told of an id besides itself.
    pub fn name(&self, column: TicketColumn, id: Option<i64>) -> Option<String> {
        id.filter(|_| self.is_told_all)
            .and_then(|id| (self.name)(column, id))
    }

    /// A table, if it is another than the one that was asked about.
    fn other_table(&self, table: &str) -> Option<String> {
        (table != self.table).then(|| table.into())
    }
}

/// The answer, with an entry for each rule that was looked at; each that failed is a reason for a refusal.
/// No subject: there is no such row.
pub fn explain(
    mut question: Question,
    agent: Option<Result<(Grants, Access), NoAgent>>,
    subject: Option<Subject>,
) -> Explanation {
    let mut rules = Vec::new();
    let mut looked_at: Vec<(Check, bool)> = Vec::new();
    let mut allowed = false;
    let reason = match (agent, subject) {
        (_, None) => sentence::no_row(&question).into(),
        (None, _) => "without an agent nothing is allowed".into(),
        (Some(Err(why)), _) => {
            rules.push(Rule::Agent {
                passed: false,
                reason: Some(why),
            });
            sentence::no_agent(why).into()
        }
        (Some(Ok((grants, access))), Some(subject)) => {
            // What is asked of the same ticket once more is not shown again.
            let mut observer = |check: Check, passed: bool| {
                let is_heading = |(check, _): &(Check, bool)| matches!(check, Check::OfTicket(_));
                let since = looked_at.iter().rposition(is_heading).unwrap_or(0);
                if !looked_at[since..].contains(&(check, passed)) {
                    looked_at.push((check, passed));
                }
            };
            let by_rules = subject.decide(&access, &mut observer);
            if question.is_told_all {
                rules.push(Rule::Agent {
                    passed: true,
                    reason: None,
                });
            } else {
                looked_at.retain(|(_, passed)| !passed);
                looked_at.truncate(1);
            }
            let writer = Writer {
                question: &question,
                grants: &grants,
                subject: &subject,
            };
            let given: Vec<_> = looked_at
                .iter()
                .map(|(check, _)| GivenRights::of(*check, &grants))
                .collect();
            let is_hidden = |check: &Check| !question.is_told_all && tells_of_ticket(*check);
            for ((check, passed), given) in looked_at.iter().zip(&given) {
                rules.push(if is_hidden(check) {
                    Rule::Permission {
                        passed: *passed,
                        asked: None,
                    }
                } else {
                    writer.rule(*check, *passed, given)
                });
            }
            let mut reasons = vec![];
            let mut is_of_spam = false;
            for (check, passed) in &looked_at {
                is_of_spam |= *check == Check::Spam;
                if !passed {
                    reasons.push(match is_hidden(check) {
                        true => sentence::HIDDEN.into(),
                        false => sentence::refusal(*check, is_of_spam, &subject, &question),
                    });
                }
            }
            if by_rules || question.is_told_all {
                reasons.extend(beyond_rules(&writer, &mut rules));
            }
            allowed = by_rules && reasons.is_empty();
            if allowed {
                sentence::grant(&looked_at, &subject, &question)
            } else {
                let others = given.iter().zip(&looked_at);
                // Which team would tell of the ticket.
                let others = others.filter(|(_, (check, _))| !is_hidden(check));
                let others = others.map(|(given, _)| writer.at_other_times(given));
                reasons.join("; ") + &others.collect::<String>()
            }
        }
    };
    let mut unmapped = std::mem::take(&mut question.unmapped);
    if !question.is_told_all {
        let asked = looked_at.first().map_or(&[][..], |(check, _)| match check {
            Check::Silo { .. } => &[AskedBy::Silo],
            Check::Department { .. } => &[AskedBy::Department],
            Check::Scope(_) => &[AskedBy::Department, AskedBy::Silo],
            _ => &[],
        });
        unmapped.retain(|unmapped| unmapped.agent.is_some() || asked.contains(&unmapped.asked_by));
    }
    let missing = if allowed { &[] } else { &*unmapped };
    for policy in &mut question.other_policies {
        if policy.table == question.table {
            policy.table.clear();
        }
    }
    let summary = sentence::summary(&question, allowed, &reason, missing);
    Explanation {
        agent: question.agent,
        agent_name: question.name(TicketColumn::Assignee, question.agent),
        asked: question.asked,
        table: question.table,
        allowed,
        summary,
        rules,
        unmapped,
        other_policies: question.other_policies,
    }
}

/// What the table asks besides the rules. Why that refuses, if it does.
fn beyond_rules(writer: &Writer, rules: &mut Vec<Rule>) -> Vec<String> {
    let question = writer.question;
    let mut reasons = vec![];
    for feature in &question.features {
        let Feature {
            table,
            permission,
            passed,
        } = feature;
        if question.is_told_all || !passed {
            let given = |grants: &Grants| {
                let mut given = GivenRights::default();
                let sources = grants.permission_given(permission).map(GivenRight::of);
                given.add_all(grants, sources);
                given.only_needed()
            };
            rules.push(Rule::Feature {
                passed: *passed,
                permission: permission.clone(),
                table: question.other_table(table),
                rights: writer.rights(&given(writer.grants), given),
            });
        }
        if !passed {
            reasons.push(sentence::missing_feature(permission, table));
            if !question.is_told_all {
                return reasons;
            }
        }
    }
    for (table, passed) in &question.own_policies {
        if question.is_told_all || !passed {
            rules.push(Rule::OtherPolicies {
                passed: *passed,
                table: question.other_table(table),
            });
        }
        if !passed {
            reasons.push(sentence::hidden_by_policy(table));
        }
    }
    reasons
}

/// Which permission to view is asked for says how an agent stands to a ticket, and whether that is
/// confidential.
fn tells_of_ticket(check: Check) -> bool {
    match check {
        Check::Permission(permission, _) => permission != Permission::Use,
        Check::Silo { .. } | Check::Department { .. } | Check::Scope(_) => false,
        _ => true,
    }
}

/// An id of deskguard's; none for what is nobody's external_key.
fn known(id: Option<i64>) -> Option<i64> {
    id.filter(|id| *id != UNMAPPED)
}

/// Writes what was looked at, as far as who asks is told it.
struct Writer<'a> {
    question: &'a Question<'a>,
    grants: &'a Grants,
    subject: &'a Subject,
}

impl Writer<'_> {
    fn rule(&self, check: Check, passed: bool, given: &GivenRights) -> Rule {
        let mut rights = self.rights(given, |grants| GivenRights::of(check, grants));
        match check {
            Check::Permission(permission, _) => Rule::Permission {
                passed,
                asked: Some(AskedPermission { permission, rights }),
            },
            Check::Silo { category } => Rule::Silo {
                passed,
                category: known(category),
                category_name: self.question.name(TicketColumn::Category, category),
                category_access: given.category_access,
                rights,
            },
            Check::Relation(relations, _) => Rule::Relation {
                passed,
                relations: relations.iter().collect(),
                memberships: rights.at_other_times,
            },
            Check::Department { department, level } => Rule::Department {
                passed,
                department: known(department),
                department_name: self.question.name(TicketColumn::Department, department),
                level,
                rights,
            },
            Check::Scope(place) => {
                let of = |column: Column| match column {
                    Column::Absent => None,
                    Column::Value(id) => Some(known(id)),
                };
                let name = |column, value: Column| self.question.name(column, value.value());
                Rule::Scope {
                    passed,
                    department: of(place.department),
                    department_name: name(TicketColumn::Department, place.department),
                    category: of(place.category),
                    category_name: name(TicketColumn::Category, place.category),
                    level: place.level,
                    rights,
                }
            }
            Check::Action(action, relations, _) => Rule::Action {
                passed,
                action,
                relations: relations.iter().collect(),
                permissions: check.permissions(),
                rights,
            },
            Check::Spam => Rule::Spam { passed },
            Check::OfTicket(nth) => Rule::Ticket {
                passed,
                ticket: self.subject.nth_ticket(nth).cloned(),
            },
            Check::Author(author) => Rule::Author {
                passed,
                author: known(author),
            },
            Check::Internal { nth, author, .. } => {
                if passed {
                    rights.would_grant.clear();
                }
                Rule::Internal {
                    passed,
                    message: self.subject.nth_message(nth).cloned(),
                    author: known(author),
                    author_name: self.question.name(TicketColumn::Assignee, author),
                    rights,
                }
            }
            Check::NoUpdate => Rule::NoUpdate { passed },
            Check::Shared { owner, shared } => {
                if passed {
                    rights.would_grant.clear();
                } else if let Subject::Shared { groups, .. } = self.subject
                    && shared.is_some()
                {
                    rights.would_grant.extend(groups.iter().cloned());
                    rights.would_grant.sort();
                    rights.would_grant.dedup();
                }
                Rule::Shared {
                    passed,
                    owner: known(owner),
                    owner_name: self.question.name(TicketColumn::Assignee, owner),
                    is_shared: shared,
                    rights,
                }
            }
        }
    }

    /// `of` says what other grants would give.
    fn rights(&self, given: &GivenRights, of: impl Fn(&Grants) -> GivenRights) -> Rights {
        let all = |rights: &[GivenRight]| rights.iter().map(|right| self.right(right)).collect();
        let mut would_grant = vec![];
        if given.valid.is_empty() {
            let groups = self.question.groups.iter();
            let grants = |group: &&Rc<Group>| {
                !of(&self.grants.of_member((*group).clone()))
                    .valid
                    .is_empty()
            };
            would_grant.extend(groups.filter(grants).map(|group| group.name.clone()));
        }
        Rights {
            granted_by: all(&given.valid),
            at_other_times: AtOtherTimes {
                expired: all(&given.expired),
                to_come: all(&given.to_come),
            },
            would_grant,
        }
    }

    /// With its bounds, but without the one that is of no interest any more.
    fn right(&self, right: &GivenRight) -> Right {
        let Validity { from, until } = right.validity;
        let from = from.filter(|from| *from > self.grants.now);
        let team = match right.by {
            GrantedBy::Team(team) => Some(team),
            _ => None,
        };
        let department = match right.on {
            Some(GrantedOn::Department(department)) => Some(department),
            _ => None,
        };
        Right {
            by: right.by.clone(),
            scope: Some(right.scope).filter(|scope| *scope == Scope::Granted),
            team_name: self.question.name(TicketColumn::Team, team),
            on: right.on.clone(),
            department_name: self.question.name(TicketColumn::Department, department),
            valid_from: from.map(self.question.timestamp),
            valid_until: until.map(self.question.timestamp),
        }
    }

    /// What ended last and what begins next.
    fn at_other_times(&self, given: &GivenRights) -> String {
        let ended = given.expired.iter().max_by_key(|r| r.validity.until);
        let begins = given.to_come.iter().min_by_key(|r| r.validity.from);
        let ended = ended.and_then(|r| Some((r, "ended", r.validity.until?)));
        let begins = begins.and_then(|r| Some((r, "begins", r.validity.from?)));
        [ended, begins]
            .into_iter()
            .flatten()
            .map(|(right, verb, at)| {
                sentence::other_time(&right.by, verb, &(self.question.timestamp)(at))
            })
            .collect()
    }
}

/// The rights that a check asks for.
struct GivenRights {
    valid: Vec<GivenRight>,
    /// If none is valid: those that would let it pass at another time.
    expired: Vec<GivenRight>,
    to_come: Vec<GivenRight>,
    /// Of the silo: is the agent in it?
    category_access: CategoryAccess,
}

struct GivenRight {
    by: GrantedBy,
    scope: Scope,
    on: Option<GrantedOn>,
    validity: Validity,
}

impl Default for GivenRights {
    fn default() -> Self {
        GivenRights {
            valid: vec![],
            expired: vec![],
            to_come: vec![],
            category_access: CategoryAccess::Silo,
        }
    }
}

impl GivenRights {
    fn of(check: Check, grants: &Grants) -> GivenRights {
        let mut rights = GivenRights::default();
        match check {
            Check::Permission(permission, place) => {
                let name = permission.name();
                let given = match place {
                    Some(place) => grants.permission_given_at(&name, place),
                    None => grants.permission_given(&name).collect(),
                };
                rights.add_all(grants, given.into_iter().map(GivenRight::of));
            }
            Check::Scope(place) => {
                rights.add_all(grants, grants.scope_given(place).map(GivenRight::of));
            }
            Check::Internal { place, .. } => {
                let name = Permission::ViewInternal.name();
                let given = grants.permission_given_at(&name, place).into_iter();
                rights.add_all(grants, given.map(GivenRight::of));
            }
            Check::Action(_, _, place) => {
                for permission in check.permissions() {
                    let name = permission.name();
                    let given = grants.permission_given_at(&name, place).into_iter();
                    let given = given.map(|given| GivenRight {
                        on: Some(GrantedOn::Permission(permission)),
                        ..GivenRight::of(given)
                    });
                    rights.add_all(grants, given);
                }
            }
            Check::Silo { category } => {
                rights.add_all(grants, grants.open_given().map(GivenRight::of));
                if grants.open_by_default(|validity| validity.contains(grants.now)) {
                    rights.add_all(grants, [GivenRight::default_setting()]);
                }
                if !rights.valid.is_empty() {
                    rights.category_access = CategoryAccess::Open;
                } else if let Some(category) = category {
                    rights.add_all(grants, grants.category_given(category).map(GivenRight::of));
                }
            }
            Check::Department { department, level } => {
                let all = grants.all_departments_given().map(|given| GivenRight {
                    on: Some(GrantedOn::Departments("all")),
                    ..GivenRight::of(given)
                });
                rights.add_all(grants, all);
                let given = department
                    .into_iter()
                    .flat_map(|d| grants.department_given(d, level));
                rights.add_all(grants, given.map(GivenRight::of));
            }
            Check::Relation(_, team) => {
                let membership = team.and_then(|team| Some((team, grants.teams.validity(&team)?)));
                rights.add_all(grants, membership.map(GivenRight::of_team));
            }
            Check::Shared { .. } => {
                let name = Permission::ManageShared.name();
                rights.add_all(grants, grants.permission_given(&name).map(GivenRight::of));
            }
            Check::Spam | Check::OfTicket(_) | Check::Author(_) | Check::NoUpdate => {}
        }
        rights.only_needed()
    }

    /// If one is valid, the others do not matter.
    fn only_needed(mut self) -> GivenRights {
        if !self.valid.is_empty() {
            self.expired.clear();
            self.to_come.clear();
        }
        self
    }

    fn add_all(&mut self, grants: &Grants, all: impl IntoIterator<Item = GivenRight>) {
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
}

impl GivenRight {
    fn of(given: Given) -> GivenRight {
        GivenRight {
            by: match given.by {
                Source::Agent(id) => GrantedBy::Agent(id),
                Source::Group(name) => GrantedBy::Group(name.into()),
            },
            scope: given.scope,
            on: given.department.map(GrantedOn::Department),
            validity: given.validity,
        }
    }

    fn of_team((team, validity): (i64, Validity)) -> GivenRight {
        GivenRight {
            by: GrantedBy::Team(team),
            scope: Scope::Everywhere,
            on: None,
            validity,
        }
    }

    fn default_setting() -> GivenRight {
        GivenRight {
            by: GrantedBy::Setting("deskguard.default_category_access"),
            scope: Scope::Everywhere,
            on: None,
            validity: Validity::ALWAYS,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::explanation::{AskedBy, RowId};
    use crate::grants::Level;
    use crate::grants::tests::{grants, group};
    use crate::permission::{Action, Change};
    use crate::ticket::{Status, Ticket};

    /// Agent 7 of Staff, with category 1 and department 1, which is above 3.
    fn staff(permissions: &[&str]) -> Grants {
        let mut staff = group("Staff");
        staff.held.categories.insert(1);
        staff.held.departments.insert(1, Level::Full);
        let permissions = permissions.iter().map(|name| name.to_string());
        staff.held.permissions.extend(permissions);
        grants(vec![staff])
    }

    /// Unassigned, in category 1 and department 3.
    fn ticket() -> Ticket {
        Ticket {
            category: Column::Value(Some(1)),
            department: Column::Value(Some(3)),
            assignee: Column::Value(None),
            team: Column::Value(None),
            requester: Column::Absent,
            requester_team: Column::Absent,
            followed: false,
            requested: false,
            confidential: false,
            status: Status::default(),
        }
    }

    fn asked(action: Action) -> Asked {
        Asked::Action {
            ticket: Some(RowId::Number(42)),
            action,
        }
    }

    fn question() -> Question<'static> {
        Question {
            agent: Some(7),
            asked: asked(Action::View),
            table: "desk.ticket".into(),
            of: TableOf::Tickets,
            unmapped: vec![],
            is_told_all: true,
            features: vec![],
            own_policies: vec![],
            other_policies: vec![],
            groups: vec![],
            name: &|_, _| None,
            timestamp: &|moment| format!("moment {moment}"),
        }
    }

    fn answer(question: Question, grants: &Grants, ticket: Ticket) -> Value {
        let access = Access::compile(grants);
        let agent = Some(Ok((grants.clone(), access)));
        let action = match question.asked {
            Asked::Action { action, .. } => action,
            Asked::Command { .. } => Action::View,
        };
        let subject = Subject::Ticket(ticket, action);
        serde_json::to_value(explain(question, agent, Some(subject))).unwrap()
    }

    const VIEW: [&str; 2] = ["ticket.use", "ticket.view.unassigned"];

    /// Agent 7, whose only group is scoped.
    fn scoped(permissions: &[&str]) -> Grants {
        let mut grants = staff(permissions);
        let mut group = (*grants.groups[0].group).clone();
        group.scope = Scope::Granted;
        grants.groups[0].group = group.into();
        grants
    }

    #[test]
    fn a_scoped_group_is_named_with_what_it_covers() {
        let by_staff = json!([{"group": "Staff", "scope": "granted"}]);
        assert_eq!(
            answer(question(), &scoped(&VIEW), ticket()),
            json!({
                "agent": 7, "ticket": 42, "table": "desk.ticket", "action": "view", "allowed": true,
                "summary": "Agent 7 may view ticket 42 of desk.ticket: \
                    a scoped group of it covers department 3 and category 1, \
                    and it may view unassigned tickets there.",
                "rules": [
                    {"rule": "agent", "passed": true},
                    {"rule": "scope", "passed": true, "department": 3, "category": 1, "level": "full",
                        "granted_by": [{"group": "Staff", "scope": "granted", "department": 1}]},
                    {"rule": "permission", "passed": true, "permission": "ticket.use", "granted_by": by_staff},
                    {"rule": "relation", "passed": true, "relations": ["unassigned"]},
                    {"rule": "action", "passed": true, "action": "view", "relations": ["unassigned"],
                        "permissions": ["ticket.view.unassigned"],
                        "granted_by": [{"group": "Staff", "scope": "granted", "permission": "ticket.view.unassigned"}]},
                ],
            })
        );
        let elsewhere = Ticket {
            department: Column::Value(Some(9)),
            ..ticket()
        };
        let refused = answer(question(), &scoped(&VIEW), elsewhere);
        assert_eq!(
            refused["summary"],
            "Agent 7 may not view ticket 42 of desk.ticket: \
                none of its scoped groups covers department 9 and category 1 at the level \"full\"; \
                it lacks the permission ticket.use; the ticket is unassigned, and it lacks ticket.view.unassigned."
        );
        assert_eq!(refused["rules"][1]["granted_by"], json!([]));
    }

    #[test]
    fn a_group_that_covers_in_two_ways_is_named_once() {
        let mut grants = scoped(&VIEW);
        let mut group = (*grants.groups[0].group).clone();
        group.category_access = CategoryAccess::Open;
        grants.groups[0].group = group.into();
        let by_staff = json!([{"group": "Staff", "scope": "granted", "department": 1}]);
        let answer = answer(question(), &grants, ticket());
        assert_eq!(answer["rules"][1]["granted_by"], by_staff);
    }

    #[test]
    fn of_a_place_that_no_group_covers_all_that_is_unmapped_is_told() {
        let unmapped = |column: &str, asked_by| Unmapped {
            column: column.into(),
            value: Some("no key".into()),
            table: "deskguard.category".into(),
            agent: None,
            asked_by,
        };
        let question = Question {
            is_told_all: false,
            unmapped: vec![
                unmapped("category", AskedBy::Silo),
                unmapped("department", AskedBy::Department),
                unmapped("assignee", AskedBy::Relation),
            ],
            ..question()
        };
        let elsewhere = Ticket {
            category: Column::Value(Some(UNMAPPED)),
            department: Column::Value(Some(UNMAPPED)),
            ..ticket()
        };
        let answer = answer(question, &scoped(&VIEW), elsewhere);
        let columns = answer["unmapped"].as_array().unwrap().iter();
        let columns: Vec<&str> = columns.filter_map(|one| one["column"].as_str()).collect();
        assert_eq!(columns, ["category", "department"]);
        assert_eq!(answer["rules"][0]["rule"], "scope");
        assert_eq!(answer["rules"][0]["category"], Value::Null);
    }

    #[test]
    fn a_scoped_group_does_not_open_by_default() {
        let scoped = scoped(&VIEW);
        let question = Question {
            groups: vec![scoped.groups[0].group.clone()],
            ..question()
        };
        let grants = Grants {
            default_category_access: CategoryAccess::Open,
            ..staff(&VIEW)
        };
        let uncategorized = Ticket {
            category: Column::Value(None),
            ..ticket()
        };
        let refused = answer(question, &grants, uncategorized);
        assert_eq!(refused["rules"][2]["rule"], "silo");
        assert_eq!(refused["rules"][2].get("would_grant"), None);
    }

    #[test]
    fn a_group_that_would_cover_the_ticket_is_named() {
        let grants = scoped(&VIEW);
        let question = Question {
            groups: vec![grants.groups[0].group.clone()],
            ..question()
        };
        let nobody = Grants {
            groups: vec![],
            ..scoped(&[])
        };
        let mut other = scoped(&VIEW);
        let mut group = (*other.groups[0].group).clone();
        group.held.departments = Default::default();
        other.groups[0].group = group.into();
        let refused = answer(question, &other, ticket());
        assert_eq!(refused["rules"][1]["would_grant"], json!(["Staff"]));
        assert!(!may_view(&nobody));
    }

    fn may_view(grants: &Grants) -> bool {
        answer(question(), grants, ticket())["allowed"] == json!(true)
    }

    #[test]
    fn an_answer_has_each_rule_and_who_grants_it() {
        let by_staff = json!([{"group": "Staff"}]);
        assert_eq!(
            answer(question(), &staff(&VIEW), ticket()),
            json!({
                "agent": 7, "ticket": 42, "table": "desk.ticket", "action": "view", "allowed": true,
                "summary": "Agent 7 may view ticket 42 of desk.ticket: \
                    it has department 3 and may view unassigned tickets.",
                "rules": [
                    {"rule": "agent", "passed": true},
                    {"rule": "permission", "passed": true, "permission": "ticket.use", "granted_by": by_staff},
                    {"rule": "silo", "passed": true, "category": 1, "category_access": "silo",
                        "granted_by": by_staff},
                    {"rule": "relation", "passed": true, "relations": ["unassigned"]},
                    {"rule": "department", "passed": true, "department": 3, "level": "full",
                        "granted_by": [{"group": "Staff", "department": 1}]},
                    {"rule": "permission", "passed": true, "permission": "ticket.view.unassigned",
                        "granted_by": by_staff},
                ],
            })
        );
    }

    #[test]
    fn who_may_not_see_the_ticket_learns_the_first_rule_that_failed() {
        let asked = |grants: &Grants, ticket| {
            let question = Question {
                is_told_all: false,
                ..question()
            };
            answer(question, grants, ticket)["rules"].clone()
        };
        let elsewhere = Ticket {
            department: Column::Value(Some(9)),
            ..ticket()
        };
        assert_eq!(
            asked(&staff(&VIEW), elsewhere),
            json!([{"rule": "department", "passed": false, "department": 9, "level": "full", "granted_by": []}])
        );
        // Which permission to view it is would tell of the ticket.
        assert_eq!(
            asked(&staff(&["ticket.use"]), ticket()),
            json!([{"rule": "permission", "passed": false}])
        );
        assert_eq!(
            asked(&staff(&[]), ticket()),
            json!([{"rule": "permission", "passed": false, "permission": "ticket.use", "granted_by": []}])
        );
    }

    #[test]
    fn a_right_at_other_times_is_listed_and_mentioned() {
        let mut grants = staff(&["ticket.use"]);
        let mut give = |from, until| {
            let validity = Validity { from, until };
            let view = "ticket.view.unassigned".into();
            grants.held.permissions.give(view, (), validity);
            let answer = answer(question(), &grants, ticket());
            let last = answer["rules"].as_array().unwrap().last().unwrap().clone();
            (last, answer["summary"].as_str().unwrap().to_string())
        };
        let (ended, summary) = give(Some(100), Some(900));
        let until = json!([{"agent": 7, "valid_until": "moment 900"}]);
        assert_eq!(
            (&ended["passed"], &ended["expired"], &ended["to_come"]),
            (&json!(false), &until, &Value::Null)
        );
        assert!(
            summary.ends_with("; its own grant ended at moment 900."),
            "{summary}"
        );
        let (begins, summary) = give(Some(1100), Some(1200));
        let from = json!([{"agent": 7, "valid_from": "moment 1100", "valid_until": "moment 1200"}]);
        assert_eq!(
            (&begins["expired"], &begins["to_come"]),
            (&Value::Null, &from)
        );
        assert!(
            summary.ends_with("; its own grant begins at moment 1100."),
            "{summary}"
        );
        let (valid, _) = give(Some(100), Some(1200));
        assert_eq!(
            valid["granted_by"],
            json!([{"agent": 7, "valid_until": "moment 1200"}])
        );
    }

    #[test]
    fn features_and_policies_of_the_owner_are_asked_after_the_rules() {
        let asked = |feature, own| {
            let question = Question {
                features: vec![Feature {
                    table: "desk.ticket".into(),
                    permission: "invoice.view".into(),
                    passed: feature,
                }],
                own_policies: vec![("desk.ticket".into(), own)],
                ..question()
            };
            let answer = answer(question, &staff(&VIEW), ticket());
            let names = answer["rules"].as_array().unwrap()[6..].iter();
            let names: Vec<_> = names
                .map(|rule| format!("{} {}", rule["rule"].as_str().unwrap(), rule["passed"]))
                .collect();
            (answer["allowed"] == true, names.join(", "))
        };
        let all = "feature true, other_policies true";
        assert_eq!(asked(true, true), (true, all.into()));
        let last = "feature true, other_policies false";
        assert_eq!(asked(true, false), (false, last.into()));
        let both = "feature false, other_policies false";
        assert_eq!(asked(false, false), (false, both.into()));
    }

    #[test]
    fn without_an_agent_or_a_ticket_there_is_nothing_to_look_at() {
        let summary = |agent, ticket| {
            let explanation = explain(question(), agent, ticket);
            assert!(!explanation.allowed);
            (explanation.rules.len(), explanation.summary)
        };
        let because =
            |reason: &str| format!("Agent 7 may not view ticket 42 of desk.ticket: {reason}.");
        assert_eq!(
            summary(Some(Err(NoAgent::Unknown)), None),
            (0, because("there is no such ticket"))
        );
        assert_eq!(
            summary(None, Some(Subject::Ticket(ticket(), Action::View))),
            (0, because("without an agent nothing is allowed"))
        );
        assert_eq!(
            summary(
                Some(Err(NoAgent::Inactive)),
                Some(Subject::Ticket(ticket(), Action::View))
            ),
            (1, because("the agent is inactive"))
        );
    }

    #[test]
    fn an_unmapped_value_is_told_with_the_rule_that_asked_for_it() {
        let missing = |column: &str, asked_by| Unmapped {
            column: column.into(),
            value: Some("x".into()),
            table: "deskguard.thing".into(),
            agent: None,
            asked_by,
        };
        let asked = |is_told_all| {
            let question = Question {
                is_told_all,
                unmapped: vec![
                    missing("kind", AskedBy::Silo),
                    missing("unit", AskedBy::Department),
                    missing("team", AskedBy::Relation),
                ],
                ..question()
            };
            let unknown = Ticket {
                category: Column::Value(Some(UNMAPPED)),
                ..ticket()
            };
            answer(question, &staff(&VIEW), unknown)
        };
        assert_eq!(asked(true)["unmapped"].as_array().unwrap().len(), 3);
        let told = asked(false);
        assert_eq!(
            told["unmapped"],
            json!([{"column": "kind", "value": "x", "table": "deskguard.thing"}])
        );
        assert_eq!(told["rules"][0]["category"], Value::Null);
        assert_eq!(
            told["summary"],
            "Agent 7 may not view ticket 42 of desk.ticket: the ticket's category is not known, and a siloed agent \
             sees only tickets of its categories; its kind \"x\" is the external_key of no row of deskguard.thing."
        );
    }

    #[test]
    fn each_action_has_its_verb_and_names_what_is_missing() {
        for (change, verb) in [
            (Change::Reply, "reply to"),
            (Change::Modify, "modify"),
            (Change::EditMessages, "edit messages of"),
            (Change::Delete, "delete"),
        ] {
            let action = Action::Change(change);
            let question = Question {
                asked: asked(action),
                ..question()
            };
            let answer = answer(question, &staff(&VIEW), ticket());
            assert_eq!(
                answer["summary"].as_str().unwrap(),
                format!(
                    "Agent 7 may not {verb} ticket 42 of desk.ticket: the ticket is unassigned, \
                     and it lacks ticket.{}.unassigned.",
                    action.name()
                )
            );
        }
    }
}
