//! What the rules ask of a ticket's columns for one agent, as a condition for a query.
//!
//! The rules are not written again here: they are asked about a ticket of each kind at each sort of place, and the
//! simplest condition that says the same is put together.

use std::collections::BTreeMap;

use crate::access::{Access, Categories};
use crate::columns::TicketColumn;
use crate::decision::{past_silo, silo};
use crate::grants::Level;
use crate::id_set::IdSet;
use crate::permission::Action;
use crate::ticket::{Column, Restriction, Shape, Status, Ticket};

/// A condition on the columns of a ticket, for one agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    Constant(bool),
    /// The category is one of those that the agent has everywhere.
    Category,
    /// The agent has full access to the department, everywhere.
    Department,
    /// The department or the category is one of these.
    OneOf(TicketColumn, IdSet),
    Own,
    NotOwn,
    Unassigned,
    NotUnassigned,
    Followed,
    Requested,
    /// The ticket has not this restriction.
    Without(Restriction),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

impl Condition {
    /// Is this a part of it? Not for parts that have parts.
    pub fn asks(&self, one: &Condition) -> bool {
        match self {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().any(|part| part.asks(one))
            }
            _ => self == one,
        }
    }

    /// The memory of the ids that it lists, in bytes.
    pub fn bytes_of_ids(&self) -> usize {
        match self {
            Condition::OneOf(_, ids) => ids.bytes(),
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().map(Condition::bytes_of_ids).sum()
            }
            _ => 0,
        }
    }
}

/// What [`silo`] asks, as a condition.
pub fn silo_condition(access: &Access, shape: Shape) -> Condition {
    let ticket = Ticket {
        category: present(shape.columns.category),
        ..blank(shape)
    };
    // Only an open agent has uncategorized tickets.
    if silo(access, &ticket) {
        return Condition::Constant(true);
    }
    let mut all = access.categories_with_rights().peekable();
    match all.peek() {
        None => Condition::Constant(false),
        Some(_) => one_of(access, TicketColumn::Category, all),
    }
}

/// What [`past_silo`] asks, as a condition.
pub fn past_silo_condition(access: &Access, shape: Shape, action: Action) -> Condition {
    Asked::new(access, shape, action, false).condition()
}

/// A condition that holds for each ticket that the agent may view with these rights, or with less of them.
pub fn past_silo_condition_at_least(access: &Access, shape: Shape) -> Condition {
    // Who may do something with a ticket may view it.
    Asked::new(access, shape, Action::View, true).condition()
}

/// Something that an agent may do with tickets of a table.
struct Asked<'a> {
    access: &'a Access,
    shape: Shape,
    action: Action,
    /// What is the agent's own may get assigned to others.
    may_leave_teams: bool,
    departments: Classes,
    /// They matter past the silo to scoped groups only.
    categories: Classes,
}

/// What more rights than others a ticket may give, besides its place.
type Ties = u8;
const FOLLOWED: Ties = 1;
const REQUESTED: Ties = 2;

/// Places at which an agent has the same rights: departments, and categories; none for any of them, also of those that
/// are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PlaceClass {
    department: Option<usize>,
    category: Option<usize>,
}

impl PlaceClass {
    /// It and those that contain it.
    fn wider(self) -> [PlaceClass; 4] {
        let (department, category) = (None, None);
        [
            ANYWHERE,
            PlaceClass { category, ..self },
            PlaceClass { department, ..self },
            self,
        ]
    }
}

const ANYWHERE: PlaceClass = PlaceClass {
    department: None,
    category: None,
};

/// The ids with which an agent has the same rights, by these.
type Classes = Vec<Vec<i64>>;

/// The kinds of tickets for which ties and a place are enough.
type Enough = BTreeMap<(Ties, PlaceClass), u8>;

impl<'a> Asked<'a> {
    fn new(access: &'a Access, shape: Shape, action: Action, may_leave_teams: bool) -> Asked<'a> {
        let mut asked = Asked {
            access,
            shape,
            action,
            may_leave_teams,
            departments: vec![],
            categories: vec![],
        };
        if shape.columns.department {
            asked.departments = classes(asked.rights().map(|(departments, _)| departments));
        }
        if shape.columns.category && !access.scoped().is_empty() {
            asked.categories = classes(asked.rights().map(|(_, categories)| listed(categories)));
        }
        asked
    }

    fn condition(&self) -> Condition {
        let (unrestricted, _) = self.ways(&[], &Enough::new());
        // Those that stop this agent; it does not matter which of them a ticket has.
        let mut stopping = Restriction::ALL.to_vec();
        stopping.retain(|one| {
            one.is_possible(self.shape) && self.ways(&[*one], &Enough::new()).0 != unrestricted
        });
        if stopping.is_empty() {
            return any(unrestricted);
        }
        // What is enough for a restricted ticket is enough for any.
        let (mut enough, known) = self.ways(&stopping, &Enough::new());
        let (others, _) = self.ways(&[], &known);
        let mut parts: Vec<_> = stopping.into_iter().map(Condition::Without).collect();
        parts.push(any(others));
        enough.push(all(parts));
        any(enough)
    }

    /// The ways to come past the silo with a ticket that has these restrictions, besides what is known to be
    /// enough; and that, with what is enough now.
    fn ways(&self, restrictions: &[Restriction], known: &Enough) -> (Vec<Condition>, Enough) {
        let kinds = self.possible_kinds();
        let places = self.places();
        let ties = self.possible_ties();
        // The kinds of tickets for which this is enough.
        let enough_at = |place: PlaceClass, ties: Ties| -> u8 {
            let id = |classes: &Classes, class: Option<usize>| {
                class.and_then(|class| classes[class].first().copied())
            };
            let enough = [OWN, UNASSIGNED, ASSIGNED]
                .into_iter()
                .filter(|kind| kinds & kind != 0)
                .filter(|kind| {
                    let mut ticket = Ticket {
                        department: self.column(
                            TicketColumn::Department,
                            id(&self.departments, place.department),
                        ),
                        category: self
                            .column(TicketColumn::Category, id(&self.categories, place.category)),
                        followed: ties & FOLLOWED != 0,
                        requested: ties & REQUESTED != 0,
                        ..self.ticket_of_kind(*kind)
                    };
                    restrictions.iter().for_each(|one| one.put_on(&mut ticket));
                    past_silo(self.access, &ticket, self.action)
                })
                .fold(0, |all, kind| all | kind);
            match self.may_leave_teams && enough & ASSIGNED != 0 {
                true => enough | OWN,
                false => enough,
            }
        };
        let mut known = known.clone();
        let mut terms = vec![];
        for ties in ties {
            // Where the same kinds are enough, by what is needed and what is allowed.
            let mut alike: Vec<((u8, u8), Vec<PlaceClass>)> = vec![];
            for place in &places {
                let enough = enough_at(*place, ties);
                // More rights never hide a ticket, so what is enough alone is enough with more.
                let fewer = (0..=ties).filter(|fewer| fewer & !ties == 0);
                let fewer = fewer.flat_map(|ties| place.wider().map(|place| (ties, place)));
                let covered = fewer
                    .filter_map(|fewer| known.get(&fewer))
                    .fold(0, |all, kinds| all | kinds);
                known.insert((ties, *place), enough);
                let needed = enough & !covered;
                if needed == 0 {
                    continue;
                }
                match alike
                    .iter_mut()
                    .find(|(kinds, _)| *kinds == (needed, enough))
                {
                    Some((_, places)) => places.push(*place),
                    None => alike.push(((needed, enough), vec![*place])),
                }
            }
            for ((needed, enough), places) in alike {
                for mut parts in self.place_conditions(&places) {
                    if ties & FOLLOWED != 0 {
                        parts.push(Condition::Followed);
                    }
                    if ties & REQUESTED != 0 {
                        parts.push(Condition::Requested);
                    }
                    parts.push(kind_condition(kinds, needed, enough));
                    terms.push(all(parts));
                }
            }
        }
        (terms, known)
    }

    /// All sets of what the agent may be to a ticket, each after those that it contains.
    fn possible_ties(&self) -> Vec<Ties> {
        let columns = self.shape.columns;
        let requested = self.shape.requesters
            || columns.requester
            || columns.requester_team && !self.access.teams().is_empty();
        let possible =
            if self.shape.followers { FOLLOWED } else { 0 } | if requested { REQUESTED } else { 0 };
        (0..=FOLLOWED | REQUESTED)
            .filter(|ties| ties & !possible == 0)
            .collect()
    }

    /// All places that differ in what the agent has there, each after those that are wider.
    fn places(&self) -> Vec<PlaceClass> {
        let (departments, categories) = (&self.departments, &self.categories);
        let mut places = vec![ANYWHERE];
        places.extend((0..departments.len()).map(|class| PlaceClass {
            department: Some(class),
            category: None,
        }));
        places.extend((0..categories.len()).map(|class| PlaceClass {
            department: None,
            category: Some(class),
        }));
        // Both matter where a right is for neither any department nor any category.
        // What is one's own is seen everywhere inside the silo, in any department.
        let own = (None, self.access.silo());
        let rights = || self.rights().chain([own]);
        let lists_of_departments: Vec<_> = rights().map(|(of, _)| of).collect();
        let lists_of_categories: Vec<_> = rights().map(|(_, of)| listed(of)).collect();
        let of_categories = categories.iter().enumerate();
        let of_categories: Vec<(usize, Vec<bool>)> = of_categories
            .map(|(class, ids)| (class, lists_with(&lists_of_categories, ids)))
            .collect();
        for (department, ids) in departments.iter().enumerate() {
            let of_department = lists_with(&lists_of_departments, ids);
            for (category, of_category) in &of_categories {
                let both = |right: &usize| of_department[*right] && of_category[*right];
                let needs = |lists: &[Option<&IdSet>]| {
                    let mut rights = (0..lists.len()).filter(both);
                    rights.any(|right| lists[right].is_some())
                };
                if needs(&lists_of_departments) && needs(&lists_of_categories) {
                    places.push(PlaceClass {
                        department: Some(department),
                        category: Some(*category),
                    });
                }
            }
        }
        places
    }

    /// Departments of full access, and the categories beside them: everywhere, and of each scoped group.
    fn rights(&self) -> impl Iterator<Item = (Option<&IdSet>, &Categories)> {
        let everywhere = (
            self.access.departments().at(Level::Full),
            self.access.silo(),
        );
        let scoped = self.access.scoped().iter();
        let scoped = scoped.map(|scoped| (scoped.departments_at(Level::Full), scoped.categories()));
        std::iter::once(everywhere).chain(scoped)
    }

    /// That a ticket is at one of the places, as conditions of which one must hold.
    fn place_conditions(&self, places: &[PlaceClass]) -> Vec<Vec<Condition>> {
        // The departments by category, and then the categories by their departments.
        let mut by_category: BTreeMap<Option<usize>, Vec<Option<usize>>> = BTreeMap::new();
        for place in places {
            let beside = by_category.entry(place.category).or_default();
            beside.push(place.department);
        }
        let mut by_departments: Vec<(Vec<_>, Vec<Option<usize>>)> = vec![];
        for (category, beside) in by_category {
            match by_departments
                .iter_mut()
                .find(|(others, _)| *others == beside)
            {
                Some((_, categories)) => categories.push(category),
                None => by_departments.push((beside, vec![category])),
            }
        }
        let is_one_of = |column, classes: &Classes, of: Vec<Option<usize>>| {
            let of: Option<Vec<usize>> = of.into_iter().collect();
            // One of them is any.
            let ids = of?
                .into_iter()
                .flat_map(|class| classes[class].iter().copied());
            Some(one_of(self.access, column, ids))
        };
        let conditions = by_departments
            .into_iter()
            .map(|(of_departments, of_categories)| {
                let of_categories =
                    is_one_of(TicketColumn::Category, &self.categories, of_categories);
                let of_departments =
                    is_one_of(TicketColumn::Department, &self.departments, of_departments);
                of_departments.into_iter().chain(of_categories).collect()
            });
        conditions.collect()
    }

    fn possible_kinds(&self) -> u8 {
        let columns = self.shape.columns;
        let own = columns.assignee || columns.team && !self.access.teams().is_empty();
        let assigned = columns.assignee || columns.team;
        UNASSIGNED | if own { OWN } else { 0 } | if assigned { ASSIGNED } else { 0 }
    }

    fn column(&self, column: TicketColumn, id: Option<i64>) -> Column {
        match self.shape.columns.get(column) {
            true => Column::Value(id),
            false => Column::Absent,
        }
    }

    fn ticket_of_kind(&self, kind: u8) -> Ticket {
        let access = self.access;
        let mut ticket = blank(self.shape);
        let other_team = || (0..).find(|id| !access.team(*id));
        match kind {
            OWN if self.shape.columns.assignee => {
                ticket.assignee = Column::Value(Some(access.agent))
            }
            OWN => ticket.team = Column::Value(access.teams().sorted().first().copied()),
            ASSIGNED if self.shape.columns.assignee => {
                ticket.assignee = Column::Value(Some(access.agent.wrapping_add(1)));
            }
            ASSIGNED => ticket.team = Column::Value(other_team()),
            _ => {}
        }
        ticket
    }
}

/// The list; none if it has all.
fn listed(categories: &Categories) -> Option<&IdSet> {
    match categories {
        Categories::Open => None,
        Categories::Only(ids) => Some(ids),
    }
}

/// Which of the lists have the ids of a class.
fn lists_with(lists: &[Option<&IdSet>], class: &[i64]) -> Vec<bool> {
    let has = |ids: &IdSet| class.first().is_some_and(|id| ids.contains(*id));
    lists.iter().map(|list| list.is_none_or(has)).collect()
}

/// The ids by the lists in which they are. A list that is none has all, and tells none from another.
fn classes<'a>(lists: impl Iterator<Item = Option<&'a IdSet>>) -> Classes {
    let lists: Vec<&IdSet> = lists.flatten().filter(|ids| !ids.is_empty()).collect();
    // It may be long.
    if let [all] = *lists {
        return vec![all.sorted().to_vec()];
    }
    let mut of_ids: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (list, ids) in lists.iter().enumerate() {
        for id in ids.sorted() {
            of_ids.entry(*id).or_default().push(list);
        }
    }
    let mut classes: BTreeMap<Vec<usize>, Vec<i64>> = BTreeMap::new();
    for (id, lists) in of_ids {
        classes.entry(lists).or_default().push(id);
    }
    classes.into_values().collect()
}

/// What holds everywhere has a name of its own, since its list may be too long for a condition. A query may then ask
/// for the list of a later moment, which is enough where there is nothing else.
fn one_of(access: &Access, column: TicketColumn, ids: impl Iterator<Item = i64>) -> Condition {
    match column {
        TicketColumn::Department if access.scoped().is_empty() => Condition::Department,
        TicketColumn::Category if access.scoped().is_empty() => Condition::Category,
        _ => Condition::OneOf(column, ids.collect()),
    }
}

// Kinds of tickets: each ticket is of exactly one.
const OWN: u8 = 1;
const UNASSIGNED: u8 = 2;
/// Assigned to others.
const ASSIGNED: u8 = 4;

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
        requested: false,
        confidential: false,
        status: Status::default(),
    }
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
    use crate::decision::{Unobserved, decide};
    use crate::grants::tests::{grants, group};
    use crate::grants::{CategoryAccess, Grants, Held, Membership, Scope};
    use crate::permission::{Change, Permission, Relation};
    use crate::ticket::Relations;
    use crate::time::{Moment, Validity};

    fn holds(condition: &Condition, access: &Access, ticket: &Ticket) -> bool {
        let relations = Relations::between(access, ticket);
        match condition {
            Condition::Constant(value) => *value,
            Condition::Category => access.category(ticket.category),
            Condition::Department => access.department(ticket.department, Level::Full),
            Condition::OneOf(column, ids) => {
                let column = match column {
                    TicketColumn::Department => ticket.department,
                    TicketColumn::Category => ticket.category,
                    _ => unreachable!("{column:?}"),
                };
                column.value().is_some_and(|id| ids.contains(id))
            }
            Condition::Own => relations.own,
            Condition::NotOwn => !relations.own,
            Condition::Unassigned => relations.unassigned,
            Condition::NotUnassigned => !relations.unassigned,
            Condition::Followed => ticket.followed,
            Condition::Requested => relations.requested,
            Condition::Without(restriction) => !restriction.is_on(ticket),
            Condition::All(parts) => parts.iter().all(|part| holds(part, access, ticket)),
            Condition::Any(parts) => parts.iter().any(|part| holds(part, access, ticket)),
        }
    }

    /// Category, department, assignee, team, followers, confidential, requester, requester team, kinds of followers.
    fn shape(bits: u32) -> Shape {
        Shape {
            columns: Columns {
                category: bits & 1 != 0,
                department: bits & 2 != 0,
                assignee: bits & 4 != 0,
                team: bits & 8 != 0,
                confidential: bits & 32 != 0,
                requester: bits & 64 != 0,
                requester_team: bits & 128 != 0,
                status: false,
            },
            followers: bits & 16 != 0,
            requesters: bits & 256 != 0,
        }
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
                        let ticket = Ticket {
                            category,
                            department,
                            assignee,
                            team,
                            ..blank(shape)
                        };
                        all.push(ticket);
                    }
                }
            }
        }
        let with = |all: &mut Vec<Ticket>, possible: bool, put: &dyn Fn(&mut Ticket)| {
            let mut others = match possible {
                true => all.clone(),
                false => vec![],
            };
            others.iter_mut().for_each(put);
            all.extend(others);
        };
        let columns = shape.columns;
        for id in [7, 8] {
            with(&mut all, columns.requester, &|ticket| {
                ticket.requester = Column::Value(Some(id))
            });
        }
        for id in [70, 71] {
            with(&mut all, columns.requester_team, &|ticket| {
                ticket.requester_team = Column::Value(Some(id));
            });
        }
        with(&mut all, shape.followers, &|ticket| ticket.followed = true);
        with(&mut all, shape.requesters, &|ticket| {
            ticket.requested = true
        });
        for one in restrictions {
            with(&mut all, true, &|ticket| one.put_on(ticket));
        }
        all
    }

    /// Agents with every mixture of the rights that the rules ask for.
    fn agents() -> Vec<Grants> {
        let change = |relation| Permission::On(Change::Modify, relation);
        let mut permissions = vec![
            Permission::Use,
            Permission::View(Relation::Unassigned),
            Permission::View(Relation::Assigned),
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
            for shape in (0..64).map(shape) {
                let conditions = [
                    past_silo_condition(&access, shape, Action::View),
                    past_silo_condition(&access, shape, modify),
                    silo_condition(&access, shape),
                ];
                for ticket in tickets(shape) {
                    let rules = [
                        past_silo(&access, &ticket, Action::View),
                        past_silo(&access, &ticket, modify),
                        silo(&access, &ticket),
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
    struct Numbers {
        last: u64,
        /// Give rights for some time?
        timed: bool,
    }

    impl Numbers {
        fn below(&mut self, end: u64) -> u64 {
            self.last = self
                .last
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (self.last >> 33) % end
        }

        fn one_in(&mut self, many: u64) -> bool {
            self.below(many) == 0
        }

        /// Mostly with a bound or two.
        fn validity(&mut self) -> Validity {
            if !self.timed {
                return Validity::ALWAYS;
            }
            let mut bound = || (!self.one_in(3)).then(|| self.below(7) as i64);
            let (from, until) = (bound(), bound());
            Validity { from, until }
        }

        fn held(&mut self, held: &mut Held) {
            for permission in Permission::all() {
                if self.one_in(2) {
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
            let names = ["One", "Two", "Three", "Four"];
            let mut held = grants(vec![]);
            for name in &names[..self.below(5) as usize] {
                let mut group = group(name);
                if self.one_in(2) {
                    group.scope = Scope::Granted;
                }
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
            if self.one_in(2) {
                self.held(&mut held.held);
            }
            if self.one_in(3) {
                let access = [CategoryAccess::Silo, CategoryAccess::Open];
                held.category_access = Some(access[self.below(2) as usize]);
            }
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
        let mut numbers = Numbers {
            last: 1,
            timed: true,
        };
        let (mut same, mut changed) = (0, 0);
        for round in 0..60 {
            let mut held = numbers.grants();
            let mut at = |moment| {
                held.now = moment;
                Access::compile(&held)
            };
            let shapes = [
                0b11111,
                0b01111,
                0b110111,
                0b1100011,
                0b110010010,
                0b11000111,
            ];
            let shape = shape(shapes[round % shapes.len()]);
            let tickets = tickets(shape);
            for planned in 0..7 {
                let plan = at(planned);
                let (silo_end, from_now_on) = or_never(plan.categories_to_come(), &plan);
                let silo_wide = (from_now_on, silo_condition(from_now_on, shape));
                let (end, from_now_on) = or_never(plan.rest_to_come(), &plan);
                let view = past_silo_condition_at_least(from_now_on, shape);
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
                                // Outside of the silo it does not matter.
                                if rule && silo(&now, ticket) {
                                    // With its own lists, and with those of the moment.
                                    assert!(holds(&wide.1, wide.0, ticket), "{wide:?} {ticket:?}");
                                    assert!(holds(&wide.1, &now, ticket), "{wide:?} {ticket:?}");
                                }
                            };
                        right(
                            silo_condition(&plan, shape),
                            &silo_wide,
                            run < silo_end,
                            silo(&now, ticket),
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

    #[test]
    fn conditions_say_what_the_rules_say_of_scoped_groups() {
        let mut numbers = Numbers {
            last: 2,
            timed: false,
        };
        let mut by_place = 0;
        for round in 0..2000 {
            let mut held = numbers.grants();
            held.now = 3;
            let access = Access::compile(&held);
            let bits = numbers.below(1 << 9) as u32;
            let shape = shape(if round % 8 == 0 {
                bits
            } else {
                bits & !0b11000
            });
            let silo_is = silo_condition(&access, shape);
            for action in Action::ALL {
                let condition = past_silo_condition(&access, shape, action);
                by_place += usize::from(format!("{condition:?}").contains("OneOf"));
                for ticket in tickets(shape) {
                    let rule = past_silo(&access, &ticket, action);
                    let context = || format!("{condition:?} for {ticket:?} and {held:?}");
                    assert_eq!(holds(&condition, &access, &ticket), rule, "{}", context());
                    let inside = holds(&silo_is, &access, &ticket);
                    assert_eq!(inside, silo(&access, &ticket));
                    let all = decide(&access, &ticket, action, &mut Unobserved);
                    assert_eq!(inside && rule, all, "{}", context());
                }
            }
        }
        assert!(by_place > 200, "{by_place}");
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
            requesters: false,
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

    #[test]
    fn scoped_groups_make_as_few_terms_as_there_are_sorts_of_places() {
        let columns = Columns {
            department: true,
            assignee: true,
            ..Columns::default()
        };
        let shape = Shape {
            columns,
            ..Shape::default()
        };
        let view = ["own", "unassigned", "assigned"].map(|of| format!("ticket.view.{of}"));
        let modify = ["own", "unassigned", "assigned"].map(|of| format!("ticket.modify.{of}"));
        let mut groups = vec![];
        for department in 100..140 {
            let mut group = group(&format!("In {department}"));
            group.scope = Scope::Granted;
            group.held.departments.insert(department, Level::Full);
            let permissions = &mut group.held.permissions;
            permissions.insert("ticket.use".into());
            match department % 4 {
                0 => permissions.extend(view[..1].iter().cloned()),
                1 => permissions.extend(view.iter().chain(&modify).cloned()),
                _ => permissions.extend(view.iter().cloned()),
            }
            groups.push(group);
        }
        let access = Access::compile(&grants(groups));
        let departments = |of: fn(i64) -> bool| {
            Condition::OneOf(
                TicketColumn::Department,
                (100..140).filter(|id| of(*id)).collect(),
            )
        };
        use Condition::*;
        assert_eq!(
            past_silo_condition(&access, shape, Action::View),
            Any(vec![
                All(vec![departments(|id| id % 4 == 0), Own]),
                departments(|id| id % 4 != 0),
            ])
        );
        let confidential = Shape {
            columns: Columns {
                confidential: true,
                ..columns
            },
            ..shape
        };
        assert_eq!(
            past_silo_condition(&access, confidential, Action::View),
            Any(vec![
                All(vec![departments(|_| true), Own]),
                All(vec![
                    Without(Restriction::Confidential),
                    departments(|id| id % 4 != 0)
                ]),
            ])
        );
        assert_eq!(
            past_silo_condition(&access, shape, Action::Change(Change::Modify)),
            departments(|id| id % 4 == 1)
        );
    }
    #[test]
    fn what_is_seen_by_its_category_is_changed_by_its_department() {
        let mut staff = group("Staff");
        staff.held.permissions.insert("ticket.use".into());
        staff.held.categories.insert(1);
        let mut scoped = group("In 9");
        scoped.scope = Scope::Granted;
        scoped.category_access = CategoryAccess::Open;
        scoped.held.departments.insert(9, Level::Full);
        scoped.held.permissions.insert("ticket.modify.own".into());
        let access = Access::compile(&grants(vec![staff, scoped]));
        let shape = shape(0b111);
        let modify = Action::Change(Change::Modify);
        let condition = past_silo_condition(&access, shape, modify);
        let mut may = 0;
        for ticket in tickets(shape) {
            let rule = past_silo(&access, &ticket, modify);
            assert_eq!(holds(&condition, &access, &ticket), rule, "{ticket:?}");
            may += usize::from(rule);
        }
        assert_eq!(may, 1);
    }
}
