//! Counting, so that a generator that makes nothing of interest is found out.

use std::collections::BTreeSet;

use deskguard_tests::help_desk::{DANGLING, HelpDesk, Id, Level, Part, Principal, Ticket};
use deskguard_tests::lab::{Counts, both};
use deskguard_tests::oracle::{ACTIONS, Granter, RELATIONS, Refusal};

use crate::changes::{FORMS, MASS_FORMS};
use crate::writes::INSERT_FORMS;

/// What the random help desks must have had.
pub fn needed() -> Vec<String> {
    let mut needed = both(["view"]);
    for relation in RELATIONS {
        for action in ACTIONS {
            needed.extend(both([format!("{action} {}", relation.name())]));
        }
    }
    needed.extend(both([
        "view with ticket.view.confidential",
        "view perhaps confidential",
        "insert",
        "insert of spam",
        "department move",
        "category move",
        "unarchive",
        "spam",
        "follow oneself",
        "follow another",
        "unfollow oneself",
        "unfollow another",
        "follow as requester",
        "follow as nothing",
        "unfollow as requester",
        "unfollow as nothing",
        "follow of another type",
        "unfollow of another type",
        "view requested by a follower's kind",
        "audit",
        "view unmapped Agent",
        "view unmapped Team",
        "view unmapped Department",
        "view unmapped Category",
        "view without a key",
        "view by a column for {Agent}",
        "view by a column for {Agent, Team}",
        "view by a column for {Department, Category}",
        "view by Uuid",
        "view by Number",
        "view by Words",
    ]));
    needed.extend(both(FORMS.map(|form| format!("change by {form:?}"))));
    needed.extend(both(MASS_FORMS.map(|form| format!("changes by {form:?}"))));
    needed.extend(both(INSERT_FORMS.map(|form| format!("insert by {form:?}"))));
    needed.extend(both(["deletes by merge", "updates by merge"]));
    let refusals = [
        Refusal::NoIdentity,
        Refusal::UnknownAgent,
        Refusal::InactiveAgent,
        Refusal::Permission("ticket.use"),
        Refusal::Silo,
        Refusal::Kind,
        Refusal::Department,
        Refusal::NotCovered,
        Refusal::Scoped,
        Refusal::Permission("ticket.view.confidential"),
    ];
    needed.extend(refusals.map(|refusal| format!("refused by {refusal:?}")));
    let others = [
        "change of a column for {Agent} allowed",
        "change of a column for {Agent, Team} allowed",
        "change of a column for {Department, Category} allowed",
        "seen by openness",
        "seen by an agent's category",
        "seen by a group's category",
        "seen by the department itself",
        "seen by an ancestor",
        "seen by all departments",
        "seen by a scoped group",
        "changed by a scoped group",
        "created by a scoped group",
        "moved by a scoped group",
        // Denied where only the use of tickets is missing, which is rare.
        "scoped move allowed",
        "change out of sight",
        "spam followed allowed",
        "spam followed denied",
        "spam with another id allowed",
        "spam with another id denied",
        "insert returning out of sight",
        "mapped sessions",
    ];
    needed.extend(others.map(String::from));
    needed
}

pub fn count(desk: &HelpDesk, counts: &mut Counts) {
    let mut everyone: Vec<Option<Id>> = desk.agents.iter().map(|agent| Some(agent.id)).collect();
    everyone.extend([Some(DANGLING), None]);
    for who in everyone {
        for ticket in &desk.tickets {
            let refusal = desk.refusal(who, ticket);
            counts.either(refusal.is_none(), "view");
            if let Some(reason) = refusal {
                counts.add(format!("refused by {reason:?}"));
            }
            let Some(agent) = who.filter(|&id| id != DANGLING) else {
                continue;
            };
            for names in shared_columns(desk, |part| ticket.key(part).is_some()) {
                counts.either(refusal.is_none(), &format!("view by a column for {names}"));
            }
            if desk.requested_by_kind(agent, ticket) {
                let by_kind = "view requested by a follower's kind";
                counts.either(refusal.is_none(), by_kind);
            }
            let concerns = desk.own(agent, ticket) || desk.followed(agent, ticket);
            for permission in desk.restrictions(ticket) {
                let decides = refusal.is_none() || refusal == Some(Refusal::Permission(permission));
                if decides && !concerns {
                    counts.either(refusal.is_none(), &format!("view with {permission}"));
                    if permission == "ticket.view.confidential" && ticket.confidential.is_none() {
                        counts.either(refusal.is_none(), "view perhaps confidential");
                    }
                }
            }
            for relation in RELATIONS {
                if !desk.holds(relation, agent, ticket) {
                    continue;
                }
                counts.either(refusal.is_none(), &format!("view {}", relation.name()));
                if refusal.is_none() {
                    for action in &ACTIONS[1..] {
                        let name = format!("{action} {}", relation.name());
                        counts.either(desk.act(agent, ticket, action), &name);
                    }
                }
            }
            for (principal, ..) in desk.unmapped(ticket) {
                counts.either(refusal.is_none(), &format!("view unmapped {principal:?}"));
            }
            if !desk.columns_without_key(agent).is_empty() {
                counts.either(refusal.is_none(), "view without a key");
            }
            if let Some(form) = desk.table.id.kind.form() {
                counts.either(refusal.is_none(), &format!("view by {form:?}"));
            }
            if refusal.is_none() {
                count_reasons(desk, agent, ticket, counts);
            }
        }
    }
}

/// Whom the columns of these parts name that have several meanings.
fn shared_columns(desk: &HelpDesk, is_of: impl Fn(Part) -> bool) -> Vec<String> {
    let mut shared = desk.table.shared();
    shared.retain(|parts| is_of(parts[0]));
    let names = |parts: &Vec<Part>| -> BTreeSet<Principal> {
        parts.iter().filter_map(|part| part.names()).collect()
    };
    shared
        .iter()
        .map(|parts| format!("{:?}", names(parts)))
        .collect()
}

fn count_reasons(desk: &HelpDesk, agent: Id, ticket: &Ticket, counts: &mut Counts) {
    let changes = |action: &&str| {
        let everywhere = RELATIONS.into_iter().any(|relation| {
            desk.holds(relation, agent, ticket)
                && desk.has(agent, &format!("ticket.{action}.{}", relation.name()))
        });
        desk.act(agent, ticket, action) && !everywhere
    };
    if ACTIONS[1..].iter().any(changes) {
        counts.add("changed by a scoped group");
    }
    if !desk.views_everywhere(agent, ticket) {
        counts.add("seen by a scoped group");
        return;
    }
    if desk.table.category.is_some() {
        if desk.open(agent) {
            counts.add("seen by openness");
        } else if let Some(category) = desk.category(ticket) {
            for granter in desk.category_granters(agent, category) {
                counts.add(match granter {
                    Granter::Agent(_) => "seen by an agent's category",
                    _ => "seen by a group's category",
                });
            }
        }
    }
    if desk.table.department.is_none() || desk.own(agent, ticket) || desk.followed(agent, ticket) {
        return;
    }
    if desk.all_departments(agent) {
        counts.add("seen by all departments");
    } else if let Some(department) = desk.department(ticket) {
        for (_, through) in desk.department_granters(agent, department, Level::Full) {
            counts.add(if through == department {
                "seen by the department itself"
            } else {
                "seen by an ancestor"
            });
        }
    }
}

/// Each rule is counted where nothing else refuses.
pub fn count_change(desk: &HelpDesk, agent: Id, old: &Ticket, new: &Ticket, counts: &mut Counts) {
    let refusals = desk.refusals_of_update(agent, old, new);
    if refusals.is_empty() && !desk.view(agent, new) {
        counts.add("change out of sight");
    }
    if refusals.is_empty() && !desk.may_be_at_everywhere(agent, old, new) {
        counts.add("moved by a scoped group");
    }
    for names in shared_columns(desk, |part| old.key(part) != new.key(part)) {
        counts.either(
            refusals.is_empty(),
            &format!("change of a column for {names}"),
        );
    }
    for (rule, asked) in [
        ("department move", old.department != new.department),
        ("category move", old.category != new.category),
        (
            "scoped move",
            old.department != new.department || old.category != new.category,
        ),
        ("unarchive", desk.archived(old) && !desk.archived(new)),
        ("spam", desk.spam(new) && !desk.spam(old)),
    ] {
        if !asked || refusals.iter().any(|other| *other != rule) {
            continue;
        }
        counts.either(refusals.is_empty(), rule);
        if rule == "spam" && desk.followed(agent, old) {
            counts.either(refusals.is_empty(), "spam followed");
        }
        if rule == "spam" && old.id != new.id {
            counts.either(refusals.is_empty(), "spam with another id");
        }
    }
}
