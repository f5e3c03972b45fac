//! The rules themselves. Each is written here once; policies, functions and explanations call it.

use crate::access::{Access, Place};
use crate::grants::Level;
use crate::permission::{Action, Change, Permission, Relation};
use crate::ticket::{Column, Relations, Restriction, Ticket};

/// A rule that was looked at, with what it was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// At a place, or else everywhere.
    Permission(Permission, Option<Place>),
    Silo {
        category: Option<i64>,
    },
    /// One of the agent's scoped groups covers the place.
    Scope(Place),
    /// Always passes: says how the agent stands to the ticket, of this team, on which the rest depends.
    Relation(Relations, Option<i64>),
    Department {
        department: Option<i64>,
        level: Level,
    },
    /// One of the permissions, at a place, for this action and one of these relations.
    Action(Action, Relations, Place),
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
        /// Of its ticket.
        place: Place,
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

/// Everywhere.
fn has(access: &Access, permission: Permission, observer: &mut impl Observer) -> bool {
    let check = Check::Permission(permission, None);
    look(observer, check, access.has(permission))
}

fn has_at(
    access: &Access,
    place: Place,
    permission: Permission,
    observer: &mut impl Observer,
) -> bool {
    let check = Check::Permission(permission, Some(place));
    look(observer, check, access.has_at(place, permission))
}

pub(crate) fn place(ticket: &Ticket, level: Level) -> Place {
    Place {
        department: ticket.department,
        category: ticket.category,
        level,
    }
}

/// A rule that what an agent has everywhere fulfils alone, or what scoped groups add to that where one of
/// them covers the ticket.
trait Rule {
    fn everywhere<O: Observer>(&self, access: &Access, observer: &mut O) -> bool;

    fn scoped<O: Observer>(&self, access: &Access, observer: &mut O) -> bool;

    fn is_fulfilled<O: Observer>(&self, access: &Access, observer: &mut O) -> bool {
        if access.scoped().is_empty() {
            return self.everywhere(access, observer);
        }
        let everywhere = self.everywhere(access, &mut Unobserved);
        if !O::WANTS_ALL {
            return everywhere || self.scoped(access, observer);
        }
        // Only what allows is shown, or else why neither does.
        let scoped = self.scoped(access, &mut Unobserved);
        if everywhere || !scoped && access.has(Permission::Use) {
            self.everywhere(access, observer);
        }
        if !everywhere {
            self.scoped(access, observer);
        }
        everywhere || scoped
    }
}

/// A scoped group covers the place.
fn is_covered(access: &Access, place: Place, observer: &mut impl Observer) -> bool {
    look(observer, Check::Scope(place), access.is_covered(place))
}

/// What the policy for all commands asks: the silo rule, with the categories of scoped groups, too. Which of
/// these the group covers is asked by the other rules.
pub fn silo(access: &Access, ticket: &Ticket) -> bool {
    access.any_category(ticket.category)
}

/// A siloed agent sees only tickets of its categories, and never uncategorized ones. The silo is
/// strict: it also hides the agent's own and followed tickets.
fn silo_everywhere(access: &Access, ticket: &Ticket, observer: &mut impl Observer) -> bool {
    match ticket.category {
        Column::Absent => true,
        column @ Column::Value(category) => {
            look(observer, Check::Silo { category }, access.category(column))
        }
    }
}

fn department(access: &Access, column: Column, level: Level, observer: &mut impl Observer) -> bool {
    match column {
        Column::Absent => true,
        Column::Value(department) => look(
            observer,
            Check::Department { department, level },
            access.department(column, level),
        ),
    }
}

/// May the agent view the ticket?
struct View<'a> {
    ticket: &'a Ticket,
    /// Does the ticket pass the silo, by its own policy?
    is_past_silo: bool,
}

impl Rule for View<'_> {
    fn everywhere<O: Observer>(&self, access: &Access, observer: &mut O) -> bool {
        let used = has(access, Permission::Use, observer);
        let inside = and(used, observer, |observer| {
            self.is_past_silo || silo_everywhere(access, self.ticket, observer)
        });
        and(inside, observer, |observer| {
            sight(access, self.ticket, observer)
        })
    }

    /// The permissions to view decide about own and followed tickets, too.
    fn scoped<O: Observer>(&self, access: &Access, observer: &mut O) -> bool {
        let place = place(self.ticket, Level::Full);
        let relations = Relations::between(access, self.ticket);
        let covered = is_covered(access, place, observer);
        let used = and(covered, observer, |observer| {
            has_at(access, place, Permission::Use, observer)
        });
        let of_kind = and(used, observer, |observer| {
            look_at_relations(self.ticket, relations, observer);
            may(access, place, Action::View, relations, observer)
        });
        let concerned = relations.iter().any(|relation| {
            Relations::concern(relation) && access.has_at(place, Permission::View(relation))
        });
        if concerned {
            return of_kind;
        }
        past_restrictions(self.ticket, of_kind, observer, |permission, observer| {
            has_at(access, place, permission, observer)
        })
    }
}

fn look_at_relations(ticket: &Ticket, relations: Relations, observer: &mut impl Observer) {
    look(
        observer,
        Check::Relation(relations, ticket.team.value()),
        true,
    );
}

/// Own and followed tickets are seen in any department, and requested ones with the permission for these;
/// others where the agent has full access and the permission for their kind, and for each restriction of the
/// ticket the one for that.
fn sight(access: &Access, ticket: &Ticket, observer: &mut impl Observer) -> bool {
    let relations = Relations::between(access, ticket);
    look_at_relations(ticket, relations, observer);
    if relations.own || relations.followed {
        return true;
    }
    let view_requested = Permission::View(Relation::Requested);
    if relations.requested && access.has(view_requested) {
        return has(access, view_requested, observer);
    }
    let kind = if relations.unassigned {
        Relation::Unassigned
    } else {
        Relation::Assigned
    };
    let inside = department(access, ticket.department, Level::Full, observer);
    let of_kind = and(inside, observer, |observer| {
        has(access, Permission::View(kind), observer)
    });
    past_restrictions(ticket, of_kind, observer, |permission, observer| {
        has(access, permission, observer)
    })
}

fn past_restrictions<O: Observer>(
    ticket: &Ticket,
    so_far: bool,
    observer: &mut O,
    mut has: impl FnMut(Permission, &mut O) -> bool,
) -> bool {
    let restrictions = Restriction::ALL.into_iter().filter(|one| one.is_on(ticket));
    restrictions.fold(so_far, |so_far, restriction| {
        and(so_far, observer, |observer| {
            has(restriction.permission(), observer)
        })
    })
}

/// Has the agent, at the place, one of the permissions for an action?
fn may(
    access: &Access,
    place: Place,
    action: Action,
    relations: Relations,
    observer: &mut impl Observer,
) -> bool {
    let has = |relation| access.has_at(place, Permission::to(action, relation));
    let check = Check::Action(action, relations, place);
    look(observer, check, relations.iter().any(has))
}

/// All that an action needs besides sight.
fn change(access: &Access, ticket: &Ticket, action: Action, observer: &mut impl Observer) -> bool {
    let place = place(ticket, Level::Full);
    match action {
        Action::View => true,
        Action::Change(_) => {
            let relations = Relations::between(access, ticket);
            may(access, place, action, relations, observer)
        }
        Action::Holding(permission) => has_at(access, place, permission, observer),
    }
}

/// May the agent do this with the ticket?
pub fn decide(
    access: &Access,
    ticket: &Ticket,
    action: Action,
    observer: &mut impl Observer,
) -> bool {
    let view = View {
        ticket,
        is_past_silo: false,
    };
    let seen = view.is_fulfilled(access, observer);
    and(seen, observer, |observer| {
        change(access, ticket, action, observer)
    })
}

/// What [`decide`] asks of a ticket that passes [`silo`], which has a policy of its own for all commands.
pub fn past_silo(access: &Access, ticket: &Ticket, action: Action) -> bool {
    let view = View {
        ticket,
        // With scoped groups the policy asks for the categories of any of them, and not which one covers the ticket.
        is_past_silo: access.scoped().is_empty(),
    };
    view.is_fulfilled(access, &mut Unobserved) && change(access, ticket, action, &mut Unobserved)
}

/// Does this permission hold for the ticket: everywhere, or by a scoped group that covers it?
pub fn has_for(
    access: &Access,
    ticket: &Ticket,
    permission: Permission,
    observer: &mut impl Observer,
) -> bool {
    has_at(access, place(ticket, Level::Full), permission, observer)
}

/// Why a ticket must not become what a command makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// To create tickets.
    Permission(Permission),
    /// The department, or none, is not one that the agent may assign tickets to.
    Department(Option<i64>),
    /// The category, or none, is not one of the agent's.
    Category(Option<i64>),
    /// Neither what the agent has everywhere nor a scoped group lets it put a ticket there.
    Place(Place),
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

/// May the agent put a ticket where this one is?
struct Put<'a> {
    ticket: &'a Ticket,
    /// Does it get into this department? Else it is there.
    is_new_department: bool,
    /// Is it a new ticket?
    is_new: bool,
}

impl Put<'_> {
    /// The permissions that it takes.
    fn permissions(&self) -> &'static [Permission] {
        match self.is_new {
            true => &[Permission::Use, Permission::Create],
            false => &[Permission::Use],
        }
    }

    fn place(&self) -> Place {
        place(self.ticket, Level::Assign)
    }

    /// The first reason for which it may not.
    fn refusal(&self, access: &Access) -> Refusal {
        let place = self.place();
        if !access.scoped().is_empty() && !access.is_covered(place) {
            return Refusal::Place(place);
        }
        let mut permissions = self.permissions().iter();
        if let Some(missing) = permissions.find(|one| !access.has_at(place, **one)) {
            return Refusal::Permission(*missing);
        }
        let has_department = access.department(place.department, place.level);
        match self.is_new_department && !has_department {
            true => Refusal::Department(place.department.value()),
            false => Refusal::Category(place.category.value()),
        }
    }
}

impl Rule for Put<'_> {
    fn everywhere<O: Observer>(&self, access: &Access, observer: &mut O) -> bool {
        let permissions = self.permissions().iter();
        let used = permissions.fold(true, |so_far, permission| {
            and(so_far, observer, |observer| {
                has(access, *permission, observer)
            })
        });
        let inside = and(used, observer, |observer| {
            silo_everywhere(access, self.ticket, observer)
        });
        and(inside, observer, |observer| {
            !self.is_new_department
                || department(access, self.ticket.department, Level::Assign, observer)
        })
    }

    fn scoped<O: Observer>(&self, access: &Access, observer: &mut O) -> bool {
        let place = self.place();
        let covered = is_covered(access, place, observer);
        self.permissions()
            .iter()
            .fold(covered, |so_far, permission| {
                and(so_far, observer, |observer| {
                    has_at(access, place, *permission, observer)
                })
            })
    }
}

/// May the agent create this ticket? Spam needs the right to delete, as it does on a ticket that is there.
pub fn create(access: &Access, ticket: &Ticket) -> Result<(), Refusal> {
    create_observed(access, ticket, &mut Unobserved)
}

fn create_observed(
    access: &Access,
    ticket: &Ticket,
    observer: &mut impl Observer,
) -> Result<(), Refusal> {
    let put = Put {
        ticket,
        is_new_department: true,
        is_new: true,
    };
    let mut may = put_observed(Ok(()), access, &put, observer);
    if ticket.status.spam {
        may = or_refuse(may, Refusal::Spam, observer, |observer| {
            make_spam(access, ticket, observer)
        });
    }
    may
}

fn put_observed<O: Observer>(
    so_far: Result<(), Refusal>,
    access: &Access,
    put: &Put,
    observer: &mut O,
) -> Result<(), Refusal> {
    if so_far.is_err() && !O::WANTS_ALL || put.is_fulfilled(access, observer) {
        return so_far;
    }
    so_far.and(Err(put.refusal(access)))
}

fn make_spam(access: &Access, ticket: &Ticket, observer: &mut impl Observer) -> bool {
    look(observer, Check::Spam, true);
    decide(access, ticket, Action::Change(Change::Delete), observer)
}

/// May a ticket that the agent may modify become this one?
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
    let is_new_department = before.department != after.department;
    if is_new_department || before.category != after.category {
        let put = Put {
            ticket: after,
            is_new_department,
            is_new: false,
        };
        may = put_observed(may, access, &put, observer);
    }
    if before.status.archived && !after.status.archived {
        may = or_refuse(may, Refusal::Unarchive, observer, |observer| {
            has_for(access, before, Permission::Unarchive, observer)
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
    create_observed(access, ticket, observer).is_ok()
}

/// What all policies for UPDATE say of a ticket that is to become another.
pub fn decide_update(
    access: &Access,
    before: &Ticket,
    after: &Ticket,
    observer: &mut impl Observer,
) -> bool {
    let modified = decide(access, before, Action::Change(Change::Modify), observer);
    and(modified, observer, |observer| {
        update_observed(access, before, after, observer).is_ok()
    })
}

impl Check {
    /// The permissions of which any one passes this check.
    pub fn permissions(self) -> Vec<Permission> {
        match self {
            Check::Permission(permission, _) => vec![permission],
            Check::Action(action, relations, _) => relations
                .iter()
                .map(|relation: Relation| Permission::to(action, relation))
                .collect(),
            _ => vec![],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::tests::{grants, group};
    use crate::grants::{CategoryAccess, Grants, Group, PermissionAccess, Scope};
    use crate::ticket::Status;

    const MODIFY: Action = Action::Change(Change::Modify);
    const DELETE: Action = Action::Change(Change::Delete);

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
            requested: false,
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
                Check::Permission(Permission::Use, None),
                Check::Silo { category: Some(1) },
                Check::Department {
                    department: Some(1),
                    level: Level::Full
                },
                Check::Permission(Permission::View(Relation::Unassigned), None),
                Check::Action(MODIFY, relations, place(&ticket(), Level::Full)),
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
                Check::Action(MODIFY, unassigned, place(&archived, Level::Full)),
                silo,
                assign,
                Check::Permission(Permission::Unarchive, Some(place(&archived, Level::Full))),
                Check::Action(DELETE, unassigned, place(&archived, Level::Full)),
            ]
        );
        assert_eq!(
            failed(&|mut observer| decide_new(&access, &moved, &mut observer)),
            [
                Check::Permission(Permission::Create, None),
                silo,
                assign,
                // Spam is what one may delete.
                silo,
                Check::Department {
                    department: Some(9),
                    level: Level::Full
                },
                Check::Action(DELETE, unassigned, place(&moved, Level::Full)),
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
                let inside = silo(&access, new);
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

    /// Agent 7: a manager in department 1, with 3 below it, and a trainee in 9.
    fn manager_and_trainee() -> Grants {
        let mut groups = vec![];
        let all = Permission::all().map(|permission| permission.name());
        for (name, department, permissions) in [
            ("Manager in 1", 1, all.collect::<Vec<_>>()),
            (
                "Trainee in 9",
                9,
                ["ticket.use", "ticket.view.own"].map(String::from).into(),
            ),
        ] {
            let mut group = group(name);
            group.scope = Scope::Granted;
            group.held.departments.insert(department, Level::Full);
            group.held.permissions.extend(permissions);
            groups.push(group);
        }
        grants(groups)
    }

    fn without_category(department: i64) -> Ticket {
        Ticket {
            category: Column::Absent,
            department: value(department),
            ..ticket()
        }
    }

    #[test]
    fn permissions_of_scoped_groups_hold_in_their_departments() {
        let grants = manager_and_trainee();
        let access = Access::compile(&grants);
        let at = without_category;
        let own = |department| Ticket {
            assignee: value(7),
            ..at(department)
        };
        for action in Action::ALL {
            assert!(may(&grants, at(3), action), "{action:?}");
            assert!(!may(&grants, at(9), action));
            assert_eq!(may(&grants, own(9), action), action == Action::View);
            assert!(!may(&grants, own(404), action));
        }
        for permission in Permission::all() {
            assert!(!access.has(permission));
        }
        assert_eq!(create(&access, &at(3)), Ok(()));
        let create_missing = Refusal::Permission(Permission::Create);
        assert_eq!(create(&access, &at(9)), Err(create_missing));
        let nowhere = Refusal::Place(place(&at(404), Level::Assign));
        assert_eq!(create(&access, &at(404)), Err(nowhere));
        assert_eq!(update(&access, &at(3), &at(9)), Ok(()));
        assert_eq!(update(&access, &at(3), &at(404)), Err(nowhere));
        let status = |archived, department| Ticket {
            status: Status {
                archived,
                spam: !archived,
            },
            ..own(department)
        };
        assert_eq!(update(&access, &status(true, 3), &status(false, 3)), Ok(()));
        let unarchive = update(&access, &status(true, 9), &status(false, 9));
        assert_eq!(unarchive, Err(Refusal::Unarchive));
        assert_eq!(
            update(&access, &own(9), &status(false, 9)),
            Err(Refusal::Spam)
        );
    }

    #[test]
    fn a_scoped_group_of_the_level_assign_takes_tickets_and_shows_none() {
        let mut front_desk = group("Front desk");
        front_desk.scope = Scope::Granted;
        front_desk.held.departments.insert(9, Level::Assign);
        let mut grants = grants(vec![front_desk]);
        // The permissions may hold everywhere, and the departments are those of the group.
        let permissions = ["ticket.use", "ticket.create", "ticket.view.unassigned"];
        grants
            .held
            .permissions
            .extend(permissions.map(String::from));
        let access = Access::compile(&grants);
        let (inside, outside) = (without_category(9), without_category(404));
        assert_eq!(create(&access, &inside), Ok(()));
        assert_eq!(update(&access, &outside, &inside), Ok(()));
        let nowhere = Refusal::Place(place(&outside, Level::Assign));
        assert_eq!(create(&access, &outside), Err(nowhere));
        assert_eq!(update(&access, &inside, &outside), Err(nowhere));
        assert!(!may(&grants, inside, Action::View));
    }

    #[test]
    fn a_department_that_is_granted_everywhere_takes_tickets_of_who_may_use_them_everywhere() {
        let mut grants = manager_and_trainee();
        grants.held.departments.insert(404, Level::Assign);
        let move_out = |grants: &Grants| {
            let (here, there) = (without_category(3), without_category(404));
            update(&Access::compile(grants), &here, &there)
        };
        let nowhere = Refusal::Place(place(&without_category(404), Level::Assign));
        assert_eq!(move_out(&grants), Err(nowhere));
        grants.held.permissions.insert("ticket.use".into());
        assert_eq!(move_out(&grants), Ok(()));
    }

    #[test]
    fn own_tickets_are_seen_by_scoped_groups_where_these_say_so() {
        let mut grants = manager_and_trainee();
        grants.groups.remove(0);
        let others = Ticket {
            assignee: value(8),
            ..without_category(9)
        };
        let own = Ticket {
            assignee: value(7),
            confidential: true,
            ..others
        };
        assert!(may(&grants, own, Action::View));
        assert!(!may(
            &grants,
            Ticket {
                followed: true,
                ..others
            },
            Action::View
        ));
        assert!(!may(&grants, others, Action::View));
        let mut unused = grants.clone();
        let mut group = (*unused.groups[0].group).clone();
        group.held.permissions = Default::default();
        group.held.permissions.insert("ticket.view.own".into());
        unused.groups[0].group = group.into();
        assert!(!may(&unused, own, Action::View));
        // With the use of tickets everywhere, own ones are seen everywhere, and followed ones, too.
        grants.held.permissions.insert("ticket.use".into());
        let elsewhere = Ticket {
            department: value(404),
            ..own
        };
        assert!(may(&grants, elsewhere, Action::View));
        assert!(may(
            &grants,
            Ticket {
                followed: true,
                ..others
            },
            Action::View
        ));
        assert!(!may(&grants, others, Action::View));
    }

    #[test]
    fn a_scoped_group_covers_its_categories_or_those_of_an_agent_with_access_of_its_own() {
        let mut grants = manager_and_trainee();
        let at = |category| Ticket {
            category,
            ..without_category(3)
        };
        let (one, none) = (value(1), Column::Value(None));
        let sees = |grants: &Grants, category| {
            let ticket = at(category);
            let access = Access::compile(grants);
            let seen = may(grants, ticket, Action::View);
            assert_eq!(
                seen,
                silo(&access, &ticket) && past_silo(&access, &ticket, Action::View)
            );
            seen
        };
        assert!(!sees(&grants, one) && !sees(&grants, none));
        let with = |change: fn(&mut Group)| {
            let mut member = grants.groups[0].clone();
            let mut group = (*member.group).clone();
            change(&mut group);
            member.group = group.into();
            Grants {
                groups: vec![member, grants.groups[1].clone()],
                ..grants.clone()
            }
        };
        let mut granted = with(|group| group.held.categories.insert(1));
        assert!(sees(&granted, one) && !sees(&granted, value(2)) && !sees(&granted, none));
        granted.category_access = Some(CategoryAccess::Silo);
        assert!(sees(&granted, one));
        let mut open = with(|group| group.category_access = CategoryAccess::Open);
        assert!(sees(&open, one) && sees(&open, none));
        open.category_access = Some(CategoryAccess::Silo);
        assert!(!sees(&open, one) && !sees(&open, none));
        grants.category_access = Some(CategoryAccess::Open);
        assert!(sees(&grants, one) && sees(&grants, none));
    }

    #[test]
    fn requested_tickets_are_seen_everywhere_with_the_permission_for_them() {
        let customer = [
            "ticket.use",
            "ticket.view.requested",
            "ticket.reply.requested",
        ];
        let reply = Action::Change(Change::Reply);
        let requested = |requester, requester_team, requested| Ticket {
            department: value(9),
            confidential: true,
            requester: Column::Value(requester),
            requester_team: Column::Value(requester_team),
            requested,
            ..ticket()
        };
        for one in [
            requested(Some(7), None, false),
            requested(None, Some(70), false),
            requested(Some(8), Some(71), true),
        ] {
            assert!(may(&staff(&customer), one, Action::View));
            assert!(may(&staff(&customer), one, reply));
            assert!(!may(&staff(&customer), one, MODIFY));
            assert!(!may(&staff(&customer[..1]), one, Action::View));
            assert!(!may(&staff(&customer[1..]), one, Action::View));
            let outside = Ticket {
                category: value(2),
                ..one
            };
            assert!(!may(&staff(&customer), outside, Action::View));
        }
        assert!(!may(
            &staff(&customer),
            requested(Some(8), Some(71), false),
            Action::View
        ));
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
                        silo(&access, &ticket) && past_silo(&access, &ticket, action)
                    );
                }
            }
        }
    }
}
