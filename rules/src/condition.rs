//! What the rules ask of a ticket's columns for one agent, as a condition for a query.
//!
//! The rules are not written again here: they are asked about a ticket of each kind, and the
//! simplest condition that says the same is put together.

use crate::access::{Access, Departments};
use crate::decision::{Unobserved, past_silo, silo};
use crate::grants::Level;
use crate::permission::Action;
use crate::ticket::{Column, Restriction, Shape, Status, Ticket};

/// A condition on the columns of a ticket, for one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    Constant(bool),
    /// The category is one of the agent's.
    Category,
    /// The agent has full access to the department.
    Department,
    Own,
    NotOwn,
    Unassigned,
    NotUnassigned,
    Followed,
    /// The ticket has not this restriction.
    Without(Restriction),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

impl Condition {
    /// Does it ask which tickets the agent follows?
    pub fn asks_followed(&self) -> bool {
        match self {
            Condition::Followed => true,
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().any(Condition::asks_followed)
            }
            _ => false,
        }
    }
}

/// The silo rule as a condition.
pub fn silo_condition(access: &Access, shape: Shape) -> Condition {
    let ticket = Ticket {
        category: present(shape.columns.category),
        ..blank(shape)
    };
    // Only an open agent has uncategorized tickets.
    if silo(access, &ticket, &mut Unobserved) {
        Condition::Constant(true)
    } else if access.categories().is_empty() {
        Condition::Constant(false)
    } else {
        Condition::Category
    }
}

/// What [`past_silo`] asks, as a condition.
pub fn past_silo_condition(access: &Access, shape: Shape, action: Action) -> Condition {
    let unrestricted = enough(access, shape, action, &[]);
    // Those that stop this agent; it does not matter which of them a ticket has.
    let mut stopping = Restriction::ALL.to_vec();
    stopping.retain(|one| {
        one.is_possible(shape) && enough(access, shape, action, &[*one]) != unrestricted
    });
    if stopping.is_empty() {
        return any(unrestricted);
    }
    // What is enough for a restricted ticket is enough for any.
    let mut enough = enough(access, shape, action, &stopping);
    let others = unrestricted.into_iter().filter(|way| !enough.contains(way));
    let mut parts: Vec<_> = stopping.into_iter().map(Condition::Without).collect();
    parts.push(any(others.collect()));
    enough.push(all(parts));
    any(enough)
}

/// The ways to come past the silo with a ticket that has these restrictions.
fn enough(
    access: &Access,
    shape: Shape,
    action: Action,
    restrictions: &[Restriction],
) -> Vec<Condition> {
    let kinds = possible_kinds(access, shape);
    let department_is = department_matters(access, shape);
    // The kinds of tickets for which these two are enough.
    let enough_for = |followed: bool, inside: bool| -> u8 {
        [OWN, UNASSIGNED, ASSIGNED]
            .into_iter()
            .filter(|kind| kinds & kind != 0)
            .filter(|kind| {
                let mut ticket = Ticket {
                    department: department(access, shape, department_is.unwrap_or(inside)),
                    followed,
                    ..ticket_of_kind(access, shape, *kind)
                };
                restrictions.iter().for_each(|one| one.put_on(&mut ticket));
                past_silo(access, &ticket, action)
            })
            .fold(0, |all, kind| all | kind)
    };
    let neither = enough_for(false, false);
    let followed = if shape.followers {
        enough_for(true, false)
    } else {
        neither
    };
    let inside = enough_for(false, true);
    let both = if shape.followers {
        enough_for(true, true)
    } else {
        inside
    };
    // More rights never hide a ticket, so what is enough alone is enough with more.
    let terms = [
        (neither, 0, vec![]),
        (inside, neither, vec![Condition::Department]),
        (followed, neither, vec![Condition::Followed]),
        (
            both,
            inside | followed,
            vec![Condition::Department, Condition::Followed],
        ),
    ];
    terms
        .into_iter()
        .filter(|(enough, covered, _)| enough & !covered != 0)
        .map(|(enough, covered, mut parts)| {
            parts.push(kind_condition(kinds, enough & !covered, enough));
            all(parts)
        })
        .collect()
}

// Kinds of tickets: each ticket is of exactly one.
const OWN: u8 = 1;
const UNASSIGNED: u8 = 2;
/// Assigned to others.
const ASSIGNED: u8 = 4;

fn possible_kinds(access: &Access, shape: Shape) -> u8 {
    let own = shape.columns.assignee || shape.columns.team && !access.teams().is_empty();
    let assigned = shape.columns.assignee || shape.columns.team;
    UNASSIGNED | if own { OWN } else { 0 } | if assigned { ASSIGNED } else { 0 }
}

/// The simplest condition that holds for the needed kinds and for no others than the allowed ones.
fn kind_condition(possible: u8, needed: u8, allowed: u8) -> Condition {
    use Condition::*;
    let conditions = [
        (OWN | UNASSIGNED | ASSIGNED, Constant(true)),
        (OWN, Own),
        (UNASSIGNED, Unassigned),
        (OWN | ASSIGNED, NotUnassigned),
        (UNASSIGNED | ASSIGNED, NotOwn),
        (OWN | UNASSIGNED, Any(vec![Own, Unassigned])),
        (ASSIGNED, All(vec![NotUnassigned, NotOwn])),
    ];
    conditions
        .into_iter()
        .find(|(kinds, _)| kinds & needed == needed && kinds & possible & !allowed == 0)
        .map_or(Constant(false), |(_, condition)| condition)
}

/// Always or never in a department of full access, whichever column value; or none if the value
/// matters.
fn department_matters(access: &Access, shape: Shape) -> Option<bool> {
    match access.departments() {
        _ if !shape.columns.department => Some(true),
        Departments::All => Some(true),
        Departments::Only { full, .. } if full.is_empty() => Some(false),
        Departments::Only { .. } => None,
    }
}

fn department(access: &Access, shape: Shape, inside: bool) -> Column {
    if !shape.columns.department {
        return Column::Absent;
    }
    Column::Value(if inside {
        access.departments_at(Level::Full).sorted().first().copied()
    } else {
        None
    })
}

fn present(has_column: bool) -> Column {
    if has_column {
        Column::Value(None)
    } else {
        Column::Absent
    }
}

/// A ticket with NULL in all columns that the table has.
fn blank(shape: Shape) -> Ticket {
    Ticket {
        category: present(shape.columns.category),
        department: present(shape.columns.department),
        assignee: present(shape.columns.assignee),
        team: present(shape.columns.team),
        requester: present(shape.columns.requester),
        requester_team: present(shape.columns.requester_team),
        followed: false,
        confidential: false,
        status: Status::default(),
    }
}

fn ticket_of_kind(access: &Access, shape: Shape, kind: u8) -> Ticket {
    let mut ticket = blank(shape);
    let other_team = || (0..).find(|id| !access.team(*id));
    match kind {
        OWN if shape.columns.assignee => ticket.assignee = Column::Value(Some(access.agent)),
        OWN => ticket.team = Column::Value(access.teams().sorted().first().copied()),
        ASSIGNED if shape.columns.assignee => {
            ticket.assignee = Column::Value(Some(access.agent.wrapping_add(1)));
        }
        ASSIGNED => ticket.team = Column::Value(other_team()),
        _ => {}
    }
    ticket
}

fn all(parts: Vec<Condition>) -> Condition {
    let mut kept: Vec<_> = parts
        .into_iter()
        .filter(|part| *part != Condition::Constant(true))
        .collect();
    match kept.len() {
        0 => Condition::Constant(true),
        1 => kept.remove(0),
        _ => Condition::All(kept),
    }
}

fn any(mut parts: Vec<Condition>) -> Condition {
    match parts.len() {
        0 => Condition::Constant(false),
        1 => parts.remove(0),
        _ if parts.contains(&Condition::Constant(true)) => Condition::Constant(true),
        _ => Condition::Any(parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Columns;
    use crate::grants::tests::{grants, group};
    use crate::grants::{CategoryAccess, Grants, Held, Membership};
    use crate::permission::{Change, Permission, Relation};
    use crate::ticket::Relations;
    use crate::time::{Moment, Validity};

    fn holds(condition: &Condition, access: &Access, ticket: &Ticket) -> bool {
        let relations = Relations::between(access, ticket);
        match condition {
            Condition::Constant(value) => *value,
            Condition::Category => access.category(ticket.category.value()),
            Condition::Department => access.department(ticket.department.value(), Level::Full),
            Condition::Own => relations.own,
            Condition::NotOwn => !relations.own,
            Condition::Unassigned => relations.unassigned,
            Condition::NotUnassigned => !relations.unassigned,
            Condition::Followed => ticket.followed,
            Condition::Without(restriction) => !restriction.is_on(ticket),
            Condition::All(parts) => parts.iter().all(|part| holds(part, access, ticket)),
            Condition::Any(parts) => parts.iter().any(|part| holds(part, access, ticket)),
        }
    }

    fn shapes() -> Vec<Shape> {
        (0..64)
            .map(|bits| Shape {
                columns: Columns {
                    category: bits & 1 != 0,
                    department: bits & 2 != 0,
                    assignee: bits & 4 != 0,
                    team: bits & 8 != 0,
                    confidential: bits & 32 != 0,
                    ..Columns::default()
                },
                followers: bits & 16 != 0,
            })
            .collect()
    }

    /// All tickets that differ in what the rules look at.
    fn tickets(shape: Shape) -> Vec<Ticket> {
        let column = |has: bool, ids: &[i64]| {
            let mut values = vec![present(has)];
            if has {
                values.extend(ids.iter().map(|id| Column::Value(Some(*id))));
            }
            values
        };
        let mut restrictions = Restriction::ALL.to_vec();
        restrictions.retain(|one| one.is_possible(shape));
        let mut all = vec![];
        for category in column(shape.columns.category, &[1, 2]) {
            for department in column(shape.columns.department, &[1, 3, 9]) {
                for assignee in column(shape.columns.assignee, &[7, 8]) {
                    for team in column(shape.columns.team, &[70, 71]) {
                        for bits in 0..2 << restrictions.len() {
                            let followed = bits & 1 != 0;
                            if followed && !shape.followers {
                                continue;
                            }
                            let mut ticket = Ticket {
                                category,
                                department,
                                assignee,
                                team,
                                followed,
                                ..blank(shape)
                            };
                            for (one, bit) in restrictions.iter().zip(1..) {
                                if bits & 1 << bit != 0 {
                                    one.put_on(&mut ticket);
                                }
                            }
                            all.push(ticket);
                        }
                    }
                }
            }
        }
        all
    }

    /// Agents with every mixture of the rights that the rules ask for.
    fn agents() -> Vec<Grants> {
        let change = |relation| Permission::On(Change::Modify, relation);
        let mut permissions = vec![
            Permission::Use,
            Permission::ViewUnassigned,
            Permission::ViewAssigned,
            change(Relation::Own),
            change(Relation::Followed),
            change(Relation::Unassigned),
            change(Relation::Assigned),
        ];
        permissions.extend(Restriction::ALL.map(Restriction::permission));
        let mut all = vec![];
        for bits in 0..1 << permissions.len() {
            for departments in 0..4 {
                for categories in 0..3 {
                    let mut staff = group("Staff");
                    staff.held.permissions.extend(
                        permissions
                            .iter()
                            .enumerate()
                            .filter(|(n, _)| bits & (1 << n) != 0)
                            .map(|(_, p)| p.name()),
                    );
                    match departments {
                        0 => {}
                        1 => staff.all_departments = true,
                        2 => staff.held.departments.insert(2, Level::Full),
                        _ => staff.held.departments.insert(1, Level::Assign),
                    }
                    match categories {
                        0 => {}
                        1 => staff.category_access = CategoryAccess::Open,
                        _ => staff.held.categories.insert(1),
                    }
                    let mut held = grants(vec![staff]);
                    if bits & 1 == 0 || departments != 1 {
                        held.teams.insert(70);
                    }
                    all.push(held);
                }
            }
        }
        all
    }

    #[test]
    fn conditions_say_what_the_rules_say() {
        let modify = Action::Change(Change::Modify);
        for held in agents() {
            let access = Access::compile(&held);
            for shape in shapes() {
                let conditions = [
                    past_silo_condition(&access, shape, Action::View),
                    past_silo_condition(&access, shape, modify),
                    silo_condition(&access, shape),
                ];
                for ticket in tickets(shape) {
                    let rules = [
                        past_silo(&access, &ticket, Action::View),
                        past_silo(&access, &ticket, modify),
                        silo(&access, &ticket, &mut Unobserved),
                    ];
                    for (condition, rule) in conditions.iter().zip(rules) {
                        assert_eq!(
                            holds(condition, &access, &ticket),
                            rule,
                            "{condition:?} for {ticket:?} and {held:?}"
                        );
                    }
                }
            }
        }
    }

    /// Numbers that look random.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (self.0 >> 33) % end
        }

        fn one_in(&mut self, many: u64) -> bool {
            self.below(many) == 0
        }

        /// Mostly with a bound or two.
        fn validity(&mut self) -> Validity {
            let mut bound = || (!self.one_in(3)).then(|| self.below(7) as i64);
            let (from, until) = (bound(), bound());
            Validity { from, until }
        }

        fn held(&mut self, held: &mut Held) {
            for permission in Permission::all() {
                if !self.one_in(4) {
                    let validity = self.validity();
                    held.permissions.give(permission.name(), (), validity);
                }
            }
            for category in [1, 2] {
                if self.one_in(2) {
                    held.categories.give(category, (), self.validity());
                }
            }
            for department in [1, 3, 9] {
                if self.one_in(3) {
                    let level = [Level::Assign, Level::Full][self.below(2) as usize];
                    held.departments.give(department, level, self.validity());
                }
            }
        }

        fn grants(&mut self) -> Grants {
            let names = ["One", "Two"];
            let mut held = grants(vec![]);
            for name in &names[..self.below(3) as usize] {
                let mut group = group(name);
                group.all_departments = self.one_in(4);
                if self.one_in(4) {
                    group.category_access = CategoryAccess::Open;
                }
                self.held(&mut group.held);
                held.groups.push(Membership {
                    id: 100,
                    group: group.into(),
                    validity: self.validity(),
                });
            }
            self.held(&mut held.held);
            if self.one_in(2) {
                held.default_category_access = CategoryAccess::Open;
            }
            if self.one_in(2) {
                held.teams.give(70, (), self.validity());
            }
            held
        }
    }

    /// A plan has the conditions of the moment it is made at, and runs at a later one.
    #[test]
    fn conditions_stay_right_for_their_time_and_the_widest_ones_for_good() {
        let mut numbers = Numbers(1);
        let (mut same, mut changed) = (0, 0);
        for round in 0..60 {
            let mut held = numbers.grants();
            let mut at = |moment| {
                held.now = moment;
                Access::compile(&held)
            };
            let shape =
                [0b11111, 0b01111, 0b110111, 0b101011].map(|bits| shapes()[bits])[round % 4];
            let tickets = tickets(shape);
            for planned in 0..7 {
                let plan = at(planned);
                let (silo_end, from_now_on) = or_never(plan.categories_to_come(), &plan);
                let silo_wide = (from_now_on, silo_condition(from_now_on, shape));
                let (end, from_now_on) = or_never(plan.rest_to_come(), &plan);
                let view = past_silo_condition(from_now_on, shape, Action::View);
                let view_wide = (from_now_on, view);
                for run in planned..8 {
                    let now = at(run);
                    if run < end {
                        same += 1;
                    } else {
                        changed += 1;
                    }
                    for ticket in &tickets {
                        let right =
                            |condition: Condition, wide: &(&Access, Condition), is_same, rule| {
                                if is_same {
                                    assert_eq!(holds(&condition, &plan, ticket), rule);
                                }
                                if rule {
                                    // With its own lists, and with those of the moment.
                                    assert!(holds(&wide.1, wide.0, ticket), "{wide:?} {ticket:?}");
                                    assert!(holds(&wide.1, &now, ticket), "{wide:?} {ticket:?}");
                                }
                            };
                        right(
                            silo_condition(&plan, shape),
                            &silo_wide,
                            run < silo_end,
                            silo(&now, ticket, &mut Unobserved),
                        );
                        for action in [Action::View, Action::Change(Change::Modify)] {
                            right(
                                past_silo_condition(&plan, shape, action),
                                &view_wide,
                                run < end,
                                past_silo(&now, ticket, action),
                            );
                        }
                    }
                }
            }
        }
        assert!(same > 400 && changed > 400, "{same} {changed}");
    }

    fn or_never<'a>(
        to_come: Option<(Moment, &'a Access)>,
        access: &'a Access,
    ) -> (Moment, &'a Access) {
        to_come.unwrap_or((Moment::MAX, access))
    }

    #[test]
    fn conditions_are_as_simple_as_an_expert_would_write_them() {
        let ordinary = Columns {
            category: true,
            department: true,
            assignee: true,
            team: true,
            ..Columns::default()
        };
        let shape = Shape {
            columns: ordinary,
            followers: true,
        };
        let view_of = |shape: Shape, permissions: &[&str], all_departments: bool| {
            let mut staff = group("Staff");
            staff.all_departments = all_departments;
            staff.held.departments.insert(1, Level::Full);
            staff
                .held
                .permissions
                .extend(permissions.iter().map(|name| name.to_string()));
            let access = Access::compile(&grants(vec![staff]));
            past_silo_condition(&access, shape, Action::View)
        };
        let view = |permissions: &[&str], all| view_of(shape, permissions, all);
        let all = [
            "ticket.use",
            "ticket.view.unassigned",
            "ticket.view.assigned",
        ];
        use Condition::*;
        assert_eq!(view(&all, true), Constant(true));
        assert_eq!(view(&all[1..], true), Constant(false));
        assert_eq!(view(&all[..1], true), Any(vec![Own, Followed]));
        assert_eq!(view(&all, false), Any(vec![Own, Department, Followed]));
        assert_eq!(
            view(&all[..2], false),
            Any(vec![Own, All(vec![Department, Unassigned]), Followed])
        );
        let shape = Shape {
            columns: Columns {
                confidential: true,
                ..ordinary
            },
            ..shape
        };
        assert_eq!(
            view_of(shape, &all, true),
            Any(vec![Own, Followed, Without(Restriction::Confidential)])
        );
        assert_eq!(
            view_of(shape, &all, false),
            Any(vec![
                Own,
                Followed,
                All(vec![Without(Restriction::Confidential), Department])
            ])
        );
        let holder = [&all[..], &["ticket.view.confidential"]].concat();
        assert_eq!(view_of(shape, &holder, true), Constant(true));
    }
}
