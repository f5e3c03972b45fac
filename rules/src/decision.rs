//! The rules themselves. Each is written here once; policies, functions and explanations call it.

use crate::access::Access;
use crate::grants::Level;
use crate::permission::{Action, Change, Permission, Relation};
use crate::ticket::{Column, Relations, Restriction, Ticket};

/// A rule that was looked at, with what it was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Permission(Permission),
    Silo {
        category: Option<i64>,
    },
    /// Always passes: says how the agent stands to the ticket, of this team, on which the rest depends.
    Relation(Relations, Option<i64>),
    Department {
        department: Option<i64>,
        level: Level,
    },
    /// One of the permissions for this change and one of these relations.
    Change(Change, Relations),
    /// Always passes: the ticket becomes spam, which asks for what follows.
    Spam,
    /// Always passes: what follows is asked of the nth ticket that a row belongs to.
    OfTicket(usize),
    /// The author of a new message, if it names one, must be the agent.
    Author(Option<i64>),
    /// The nth of the messages that are looked at is internal: this is done with it, or with what belongs to it.
    Internal {
        nth: usize,
        author: Option<i64>,
        action: Action,
    },
    /// Never passes: rows that are added and removed, and not updated.
    NoUpdate,
    /// Of an object that agents share. With whom it is shared matters to who sees it only.
    Shared {
        owner: Option<i64>,
        shared: Option<bool>,
    },
}

/// Learns of each rule that is looked at and whether it passed. Each that fails is a reason for a refusal.
pub trait Observer {
    /// Wants to learn of the others, too, where one has failed.
    const WANTS_ALL: bool;

    fn looked_at(&mut self, check: Check, passed: bool);
}

/// For those who want the decision only; costs nothing.
pub struct Unobserved;

impl Observer for Unobserved {
    const WANTS_ALL: bool = false;

    fn looked_at(&mut self, _: Check, _: bool) {}
}

impl<F: FnMut(Check, bool)> Observer for F {
    const WANTS_ALL: bool = true;

    fn looked_at(&mut self, check: Check, passed: bool) {
        self(check, passed)
    }
}

pub(crate) fn look(observer: &mut impl Observer, check: Check, passed: bool) -> bool {
    observer.looked_at(check, passed);
    passed
}

/// Does the next hold, too? It is only looked at if that matters, or if the observer wants to learn of it.
fn and<O: Observer>(so_far: bool, observer: &mut O, next: impl FnOnce(&mut O) -> bool) -> bool {
    if !so_far && !O::WANTS_ALL {
        return false;
    }
    let passed = next(observer);
    so_far && passed
}

fn has(access: &Access, permission: Permission, observer: &mut impl Observer) -> bool {
    look(
        observer,
        Check::Permission(permission),
        access.has(permission),
    )
}

/// A siloed agent sees only tickets of its categories, and never uncategorized ones. The silo is
/// strict: it also hides the agent's own and followed tickets.
pub fn silo(access: &Access, ticket: &Ticket, observer: &mut impl Observer) -> bool {
    match ticket.category {
        Column::Absent => true,
        Column::Value(category) => look(
            observer,
            Check::Silo { category },
            access.category(category),
        ),
    }
}

fn department(access: &Access, column: Column, level: Level, observer: &mut impl Observer) -> bool {
    match column {
        Column::Absent => true,
        Column::Value(department) => look(
            observer,
            Check::Department { department, level },
            access.department(department, level),
        ),
    }
}

/// Own and followed tickets are seen in any department; others where the agent has full access and
/// the permission for their kind, and for each restriction of the ticket the one for that.
fn sight(
    access: &Access,
    ticket: &Ticket,
    relations: Relations,
    observer: &mut impl Observer,
) -> bool {
    let team = ticket.team.value();
    look(observer, Check::Relation(relations, team), true);
    if relations.own || relations.followed {
        return true;
    }
    let kind = if relations.unassigned {
        Permission::ViewUnassigned
    } else {
        Permission::ViewAssigned
    };
    let inside = department(access, ticket.department, Level::Full, observer);
    let of_kind = and(inside, observer, |observer| has(access, kind, observer));
    let restrictions = Restriction::ALL.into_iter().filter(|one| one.is_on(ticket));
    restrictions.fold(of_kind, |so_far, restriction| {
        and(so_far, observer, |observer| {
            has(access, restriction.permission(), observer)
        })
    })
}

/// All that an action needs but the silo and `ticket.use`.
fn reach(access: &Access, ticket: &Ticket, action: Action, observer: &mut impl Observer) -> bool {
    let relations = Relations::between(access, ticket);
    let seen = sight(access, ticket, relations, observer);
    and(seen, observer, |observer| match action {
        Action::View => true,
        Action::Change(change) => look(
            observer,
            Check::Change(change, relations),
            relations
                .iter()
                .any(|relation| access.has(Permission::On(change, relation))),
        ),
    })
}

/// May the agent do this with the ticket?
pub fn decide(
    access: &Access,
    ticket: &Ticket,
    action: Action,
    observer: &mut impl Observer,
) -> bool {
    let used = has(access, Permission::Use, observer);
    let inside = and(used, observer, |observer| silo(access, ticket, observer));
    and(inside, observer, |observer| {
        reach(access, ticket, action, observer)
    })
}

/// What [`decide`] asks besides the silo, which has a policy of its own for all commands.
pub fn past_silo(access: &Access, ticket: &Ticket, action: Action) -> bool {
    past_silo_observed(access, ticket, action, &mut Unobserved)
}

fn past_silo_observed(
    access: &Access,
    ticket: &Ticket,
    action: Action,
    observer: &mut impl Observer,
) -> bool {
    let used = has(access, Permission::Use, observer);
    and(used, observer, |observer| {
        reach(access, ticket, action, observer)
    })
}

/// Why a ticket must not become what a command makes of it, where the silo does not forbid it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// To create tickets.
    Permission(Permission),
    /// The department, or none, is not one that the agent may assign tickets to.
    Department(Option<i64>),
    Unarchive,
    Spam,
}

/// As [`and`], of rules of which the first that fails is the refusal.
fn or_refuse<O: Observer>(
    so_far: Result<(), Refusal>,
    refusal: Refusal,
    observer: &mut O,
    next: impl FnOnce(&mut O) -> bool,
) -> Result<(), Refusal> {
    if so_far.is_err() && !O::WANTS_ALL {
        return so_far;
    }
    let passed = next(observer);
    so_far.and(if passed { Ok(()) } else { Err(refusal) })
}

/// May the agent create this ticket? The silo is asked by its own policy. Spam needs the right to
/// delete, as it does on a ticket that is there.
pub fn create(access: &Access, ticket: &Ticket) -> Result<(), Refusal> {
    create_observed(access, ticket, &mut Unobserved)
}

fn create_observed(
    access: &Access,
    ticket: &Ticket,
    observer: &mut impl Observer,
) -> Result<(), Refusal> {
    let may = may_create(access, observer);
    place_new(may, access, ticket, observer)
}

fn may_create(access: &Access, observer: &mut impl Observer) -> Result<(), Refusal> {
    let mut may = Ok(());
    for permission in [Permission::Use, Permission::Create] {
        let refusal = Refusal::Permission(permission);
        may = or_refuse(may, refusal, observer, |observer| {
            has(access, permission, observer)
        });
    }
    may
}

fn place_new(
    mut may: Result<(), Refusal>,
    access: &Access,
    ticket: &Ticket,
    observer: &mut impl Observer,
) -> Result<(), Refusal> {
    let place = Refusal::Department(ticket.department.value());
    may = or_refuse(may, place, observer, |observer| {
        department(access, ticket.department, Level::Assign, observer)
    });
    if ticket.status.spam {
        may = or_refuse(may, Refusal::Spam, observer, |observer| {
            make_spam(access, ticket, observer)
        });
    }
    may
}

fn make_spam(access: &Access, ticket: &Ticket, observer: &mut impl Observer) -> bool {
    look(observer, Check::Spam, true);
    past_silo_observed(access, ticket, Action::Change(Change::Delete), observer)
}

/// May a ticket that the agent may modify become this one? The silo of the new category is asked by
/// its own policy.
pub fn update(access: &Access, before: &Ticket, after: &Ticket) -> Result<(), Refusal> {
    update_observed(access, before, after, &mut Unobserved)
}

fn update_observed(
    access: &Access,
    before: &Ticket,
    after: &Ticket,
    observer: &mut impl Observer,
) -> Result<(), Refusal> {
    let mut may = Ok(());
    if before.department != after.department {
        let place = Refusal::Department(after.department.value());
        may = or_refuse(may, place, observer, |observer| {
            department(access, after.department, Level::Assign, observer)
        });
    }
    if before.status.archived && !after.status.archived {
        may = or_refuse(may, Refusal::Unarchive, observer, |observer| {
            has(access, Permission::Unarchive, observer)
        });
    }
    if after.status.spam && !before.status.spam {
        may = or_refuse(may, Refusal::Spam, observer, |observer| {
            make_spam(access, before, observer)
        });
    }
    may
}

/// What all policies for INSERT say of a ticket.
pub fn decide_new(access: &Access, ticket: &Ticket, observer: &mut impl Observer) -> bool {
    let may = may_create(access, observer);
    let inside = and(may.is_ok(), observer, |observer| {
        silo(access, ticket, observer)
    });
    and(inside, observer, |observer| {
        place_new(Ok(()), access, ticket, observer).is_ok()
    })
}

/// What all policies for UPDATE say of a ticket that is to become another.
pub fn decide_update(
    access: &Access,
    before: &Ticket,
    after: &Ticket,
    observer: &mut impl Observer,
) -> bool {
    let modified = decide(access, before, Action::Change(Change::Modify), observer);
    let inside = and(modified, observer, |observer| {
        before.category == after.category || silo(access, after, observer)
    });
    and(inside, observer, |observer| {
        update_observed(access, before, after, observer).is_ok()
    })
}

impl Check {
    /// The permissions of which any one passes this check.
    pub fn permissions(self) -> Vec<Permission> {
        match self {
            Check::Permission(permission) => vec![permission],
            Check::Change(change, relations) => relations
                .iter()
                .map(|relation: Relation| Permission::On(change, relation))
                .collect(),
            _ => vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::tests::{grants, group};
    use crate::grants::{CategoryAccess, Grants, PermissionAccess};
    use crate::ticket::Status;

    const MODIFY: Action = Action::Change(Change::Modify);

    fn value(id: i64) -> Column {
        Column::Value(Some(id))
    }

    /// In category 1 and department 1, assigned to nobody.
    fn ticket() -> Ticket {
        Ticket {
            category: value(1),
            department: value(1),
            assignee: Column::Value(None),
            team: Column::Value(None),
            requester: Column::Absent,
            requester_team: Column::Absent,
            followed: false,
            confidential: false,
            status: Status::default(),
        }
    }

    /// Agent 7, of team 70, with category 1 and full access to department 1.
    fn staff(permissions: &[&str]) -> Grants {
        let mut staff = group("Staff");
        staff.held.categories.insert(1);
        staff.held.departments.insert(1, Level::Full);
        staff
            .held
            .permissions
            .extend(permissions.iter().map(|name| name.to_string()));
        let mut grants = grants(vec![staff]);
        grants.teams.insert(70);
        grants
    }

    fn may(grants: &Grants, ticket: Ticket, action: Action) -> bool {
        decide(&Access::compile(grants), &ticket, action, &mut Unobserved)
    }

    #[test]
    fn viewing_needs_the_use_of_tickets_and_the_permission_for_their_kind() {
        let view = |permissions: &[&str], ticket| may(&staff(permissions), ticket, Action::View);
        let others = Ticket {
            assignee: value(8),
            ..ticket()
        };
        assert!(view(&["ticket.use", "ticket.view.unassigned"], ticket()));
        assert!(!view(&["ticket.view.unassigned"], ticket()));
        assert!(!view(&["ticket.use", "ticket.view.assigned"], ticket()));
        assert!(view(&["ticket.use", "ticket.view.assigned"], others));
        assert!(!view(&["ticket.use", "ticket.view.unassigned"], others));
    }

    #[test]
    fn own_and_followed_tickets_are_seen_in_any_department_but_inside_the_silo() {
        let grants = staff(&["ticket.use"]);
        let foreign = Ticket {
            department: value(9),
            ..ticket()
        };
        for seen in [
            Ticket {
                assignee: value(7),
                ..foreign
            },
            Ticket {
                team: value(70),
                ..foreign
            },
            Ticket {
                followed: true,
                ..foreign
            },
        ] {
            assert!(may(&grants, seen, Action::View));
            for category in [value(2), Column::Value(None)] {
                assert!(!may(&grants, Ticket { category, ..seen }, Action::View));
            }
        }
        assert!(!may(&grants, foreign, Action::View));
        assert!(!may(
            &grants,
            Ticket {
                team: value(71),
                ..foreign
            },
            Action::View
        ));
    }

    #[test]
    fn a_department_covers_its_descendants_and_null_is_none() {
        let grants = staff(&["ticket.use", "ticket.view.unassigned"]);
        let view = |department| {
            may(
                &grants,
                Ticket {
                    department,
                    ..ticket()
                },
                Action::View,
            )
        };
        assert!(view(value(3)));
        assert!(view(Column::Absent));
        assert!(!view(value(9)));
        assert!(!view(Column::Value(None)));
    }

    #[test]
    fn a_change_needs_sight_and_the_permission_for_one_of_the_relations() {
        let base = ["ticket.use", "ticket.view.unassigned"];
        let modify = |relation: &str, ticket| {
            let name = format!("ticket.modify.{relation}");
            may(&staff(&[base[0], base[1], &name]), ticket, MODIFY)
        };
        let own_and_followed = Ticket {
            assignee: value(7),
            followed: true,
            ..ticket()
        };
        assert!(modify("own", own_and_followed));
        assert!(modify("followed", own_and_followed));
        assert!(!modify("assigned", own_and_followed));
        assert!(!modify("unassigned", own_and_followed));
        assert!(modify("unassigned", ticket()));
        // A ticket of my team has no assignee, and is neither unassigned nor assigned to others.
        let of_my_team = Ticket {
            team: value(70),
            ..ticket()
        };
        assert!(modify("own", of_my_team));
        assert!(!modify("unassigned", of_my_team));
        // A followed ticket of somebody else is assigned, too.
        let others = Ticket {
            assignee: value(8),
            followed: true,
            ..ticket()
        };
        assert!(modify("assigned", others));
        assert!(!may(
            &staff(&["ticket.modify.unassigned"]),
            ticket(),
            MODIFY
        ));
    }

    #[test]
    fn without_assignee_and_team_columns_every_ticket_is_unassigned() {
        let bare = Ticket {
            category: Column::Absent,
            department: Column::Absent,
            assignee: Column::Absent,
            team: Column::Absent,
            ..ticket()
        };
        assert!(may(
            &staff(&["ticket.use", "ticket.view.unassigned"]),
            bare,
            Action::View
        ));
        assert!(!may(
            &staff(&["ticket.use", "ticket.view.assigned"]),
            bare,
            Action::View
        ));
    }

    #[test]
    fn creating_and_handing_over_need_the_level_assign() {
        let mut grants = staff(&["ticket.use", "ticket.create"]);
        grants.held.departments.insert(9, Level::Assign);
        let access = Access::compile(&grants);
        let at = |department| Ticket {
            department,
            ..ticket()
        };
        for department in [value(9), value(3)] {
            assert_eq!(create(&access, &at(department)), Ok(()));
        }
        for (department, id) in [(value(404), Some(404)), (Column::Value(None), None)] {
            let refused = Err(Refusal::Department(id));
            assert_eq!(create(&access, &at(department)), refused);
        }
        let move_to = |department| update(&access, &at(value(1)), &at(department));
        assert_eq!(move_to(value(9)), Ok(()));
        assert_eq!(move_to(value(404)), Err(Refusal::Department(Some(404))));
        assert_eq!(move_to(Column::Value(None)), Err(Refusal::Department(None)));
        assert_eq!(update(&access, &at(value(404)), &at(value(404))), Ok(()));
        for (permission, missing) in [
            ("ticket.use", Permission::Create),
            ("ticket.create", Permission::Use),
        ] {
            let without = Access::compile(&staff(&[permission]));
            let refused = Err(Refusal::Permission(missing));
            assert_eq!(create(&without, &at(value(1))), refused);
        }
    }

    #[test]
    fn confidential_tickets_are_for_those_they_concern_and_holders_of_the_permission() {
        let base = [
            "ticket.use",
            "ticket.view.unassigned",
            "ticket.view.assigned",
        ];
        let secret = Ticket {
            confidential: true,
            ..ticket()
        };
        let others = Ticket {
            assignee: value(8),
            ..secret
        };
        for hidden in [secret, others] {
            assert!(!may(&staff(&base), hidden, Action::View));
            let holder = staff(&[&base[..], &["ticket.view.confidential"]].concat());
            assert!(may(&holder, hidden, Action::View));
            let only = staff(&["ticket.use", "ticket.view.confidential"]);
            assert!(!may(&only, hidden, Action::View));
        }
        for own in [
            Ticket {
                assignee: value(7),
                ..secret
            },
            Ticket {
                followed: true,
                ..others
            },
        ] {
            assert!(may(&staff(&base), own, Action::View));
        }
    }

    #[test]
    fn a_status_is_left_and_reached_with_the_right_for_it() {
        let base = ["ticket.use", "ticket.create", "ticket.view.unassigned"];
        let with = |permission: &str| Access::compile(&staff(&[&base[..], &[permission]].concat()));
        let status = |archived, spam| Ticket {
            status: Status { archived, spam },
            ..ticket()
        };
        let (open, archived, spam) = (
            status(false, false),
            status(true, false),
            status(false, true),
        );
        let nothing = with("ticket.modify.unassigned");
        for (before, after, refusal, permission) in [
            (archived, open, Refusal::Unarchive, "ticket.unarchive"),
            (open, spam, Refusal::Spam, "ticket.delete.unassigned"),
        ] {
            assert_eq!(update(&nothing, &before, &after), Err(refusal));
            assert_eq!(update(&with(permission), &before, &after), Ok(()));
            assert_eq!(update(&nothing, &after, &before), Ok(()));
            assert_eq!(update(&nothing, &before, &before), Ok(()));
            assert_eq!(update(&nothing, &after, &after), Ok(()));
        }
        // Another's right to delete is of no use, nor is one for a ticket out of sight.
        let assigned = with("ticket.delete.assigned");
        assert_eq!(update(&assigned, &open, &spam), Err(Refusal::Spam));
        assert_eq!(create(&nothing, &archived), Ok(()));
        assert_eq!(create(&nothing, &open), Ok(()));
        assert_eq!(create(&nothing, &spam), Err(Refusal::Spam));
        assert_eq!(create(&with("ticket.delete.unassigned"), &spam), Ok(()));
    }

    #[test]
    fn all_permissions_see_everything() {
        let mut all = group("All");
        all.category_access = CategoryAccess::Open;
        all.all_departments = true;
        all.permission_access = PermissionAccess::All;
        let mut grants = grants(vec![all]);
        grants.catalog = std::rc::Rc::new(Permission::all().map(|p| (p.name(), false)).collect());
        let anything = Ticket {
            category: Column::Value(None),
            department: value(404),
            assignee: value(8),
            ..ticket()
        };
        for action in Action::ALL {
            assert!(may(&grants, anything, action));
        }
    }

    #[test]
    fn an_observer_learns_of_each_check_that_fails() {
        let mut grants = staff(&["ticket.use"]);
        grants.groups.clear();
        let mut seen = Vec::new();
        let mut observer = |check: Check, passed: bool| seen.push((check, passed));
        let access = Access::compile(&grants);
        assert!(!decide(&access, &ticket(), MODIFY, &mut observer));
        let failed = seen.iter().filter(|(_, passed)| !passed);
        let failed: Vec<Check> = failed.map(|(check, _)| *check).collect();
        let relations = Relations::between(&access, &ticket());
        assert_eq!(
            failed,
            [
                Check::Permission(Permission::Use),
                Check::Silo { category: Some(1) },
                Check::Department {
                    department: Some(1),
                    level: Level::Full
                },
                Check::Permission(Permission::ViewUnassigned),
                Check::Change(Change::Modify, relations),
            ]
        );
    }

    #[test]
    fn who_observes_does_not_change_the_decision() {
        for permissions in [
            &["ticket.use"][..],
            &["ticket.view.unassigned"],
            &["ticket.use", "ticket.view.unassigned"],
            &[
                "ticket.use",
                "ticket.view.unassigned",
                "ticket.modify.unassigned",
            ],
        ] {
            let access = Access::compile(&staff(permissions));
            for department in [value(1), value(9), Column::Absent] {
                for (category, confidential) in
                    [(value(1), false), (value(2), false), (value(1), true)]
                {
                    let ticket = Ticket {
                        department,
                        category,
                        confidential,
                        ..ticket()
                    };
                    for action in [Action::View, MODIFY] {
                        let mut failed = false;
                        let mut observer = |_: Check, passed: bool| failed |= !passed;
                        let observed = decide(&access, &ticket, action, &mut observer);
                        assert_eq!(observed, decide(&access, &ticket, action, &mut Unobserved));
                        assert_eq!(observed, !failed);
                    }
                }
            }
        }
    }

    #[test]
    fn an_observer_learns_of_all_that_refuses_a_command() {
        let grants = staff(&["ticket.use", "ticket.view.unassigned"]);
        let access = Access::compile(&grants);
        type Learning<'a> = dyn FnMut(Check, bool) + 'a;
        let failed = |decide: &dyn Fn(&mut Learning) -> bool| {
            let mut failed = vec![];
            let mut observer = |check: Check, passed: bool| {
                if !passed {
                    failed.push(check);
                }
            };
            assert!(!decide(&mut observer));
            failed
        };
        let archived = Ticket {
            status: Status {
                archived: true,
                spam: false,
            },
            ..ticket()
        };
        let moved = Ticket {
            category: value(2),
            department: value(9),
            status: Status {
                archived: false,
                spam: true,
            },
            ..ticket()
        };
        let unassigned = Relations::between(&access, &moved);
        let (silo, assign) = (
            Check::Silo { category: Some(2) },
            Check::Department {
                department: Some(9),
                level: Level::Assign,
            },
        );
        assert_eq!(
            failed(&|mut observer| decide_update(&access, &archived, &moved, &mut observer)),
            [
                Check::Change(Change::Modify, unassigned),
                silo,
                assign,
                Check::Permission(Permission::Unarchive),
                Check::Change(Change::Delete, unassigned),
            ]
        );
        assert_eq!(
            failed(&|mut observer| decide_new(&access, &moved, &mut observer)),
            [
                Check::Permission(Permission::Create),
                silo,
                assign,
                Check::Department {
                    department: Some(9),
                    level: Level::Full
                },
                Check::Change(Change::Delete, unassigned),
            ]
        );
    }

    #[test]
    fn a_command_is_decided_as_by_all_of_its_policies() {
        let base = ["ticket.use", "ticket.view.unassigned"];
        let more = [
            "ticket.create",
            "ticket.unarchive",
            "ticket.modify.unassigned",
            "ticket.delete.unassigned",
        ];
        let statuses = [(false, false), (true, false), (false, true)];
        let statuses = statuses.map(|(archived, spam)| Status { archived, spam });
        for set in 0..1 << more.len() {
            let more = more.iter().enumerate();
            let more = more.filter(|(nth, _)| set & (1 << nth) != 0);
            let permissions: Vec<&str> = base.into_iter().chain(more.map(|(_, p)| *p)).collect();
            let access = Access::compile(&staff(&permissions));
            let mut all = vec![];
            for (category, department) in [(1, 1), (2, 1), (1, 9)] {
                all.extend(statuses.map(|status| Ticket {
                    category: value(category),
                    department: value(department),
                    status,
                    ..ticket()
                }));
            }
            for new in &all {
                let inside = silo(&access, new, &mut Unobserved);
                let mut nothing = |_: Check, _: bool| {};
                let created = decide_new(&access, new, &mut Unobserved);
                assert_eq!(created, inside && create(&access, new).is_ok());
                assert_eq!(created, decide_new(&access, new, &mut nothing));
                for old in &all {
                    let updated = decide_update(&access, old, new, &mut Unobserved);
                    let modified = decide(&access, old, MODIFY, &mut Unobserved);
                    let may = update(&access, old, new).is_ok();
                    assert_eq!(updated, modified && inside && may);
                    assert_eq!(updated, decide_update(&access, old, new, &mut nothing));
                }
            }
        }
    }

    /// The policies of a table are joined by AND: together they must say what decide() says.
    #[test]
    fn the_silo_and_what_is_past_it_make_the_decision() {
        let grants = staff(&["ticket.use", "ticket.view.unassigned", "ticket.modify.own"]);
        let access = Access::compile(&grants);
        for category in [value(1), value(2), Column::Value(None), Column::Absent] {
            for assignee in [value(7), value(8), Column::Value(None)] {
                for action in Action::ALL {
                    let ticket = Ticket {
                        category,
                        assignee,
                        ..ticket()
                    };
                    assert_eq!(
                        decide(&access, &ticket, action, &mut Unobserved),
                        silo(&access, &ticket, &mut Unobserved)
                            && past_silo(&access, &ticket, action)
                    );
                }
            }
        }
    }
}
