//! What the permission tables say about one agent, and who gave it each right.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde::Serialize;

use crate::access::Place;
use crate::ticket::Column;
use crate::time::{Moment, Validity};

/// May an agent see every category, or only those granted to it?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CategoryAccess {
    Silo,
    Open,
}

/// What a grant on a department allows; a higher level includes the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Tickets may be created there and handed over to it.
    Assign,
    /// Its tickets may be seen, too.
    Full,
}

impl Level {
    pub fn name(self) -> &'static str {
        match self {
            Level::Assign => "assign",
            Level::Full => "full",
        }
    }
}

/// Where the permissions of a group hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Everywhere,
    /// For the tickets that the group itself covers, by its departments and categories.
    Granted,
}

impl Scope {
    pub fn name(self) -> &'static str {
        match self {
            Scope::Everywhere => "everywhere",
            Scope::Granted => "granted",
        }
    }
}

/// Which permissions a group gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionAccess {
    /// Those granted to it.
    Granted,
    /// All in the catalog but the destructive ones.
    NonDestructive,
    /// All in the catalog.
    All,
}

/// Rights of one kind, each with the time that it is given for.
#[derive(Clone, Debug)]
pub struct Timed<K, V = ()>(BTreeMap<K, (V, Validity)>);

impl<K, V> Default for Timed<K, V> {
    fn default() -> Self {
        Timed(BTreeMap::new())
    }
}

impl<K: Ord, V: Copy> Timed<K, V> {
    pub fn give(&mut self, what: K, how: V, validity: Validity) {
        self.0.insert(what, (how, validity));
    }

    fn get<Q: Ord + ?Sized>(&self, what: &Q) -> Option<(V, Validity)>
    where
        K: Borrow<Q>,
    {
        self.0.get(what).copied()
    }

    /// The time that something is given for; none if it never is.
    pub fn validity(&self, what: &K) -> Option<Validity> {
        self.get(what).map(|(_, validity)| validity)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, Validity)> {
        self.0.iter().map(|(what, (_, validity))| (what, *validity))
    }
}

/// The rights given to one holder, an agent or a group.
#[derive(Clone, Debug, Default)]
pub struct Held {
    pub permissions: Timed<String>,
    pub departments: Timed<i64, Level>,
    pub categories: Timed<i64>,
}

#[derive(Clone, Debug)]
pub struct Group {
    pub name: String,
    pub scope: Scope,
    pub category_access: CategoryAccess,
    pub all_departments: bool,
    pub permission_access: PermissionAccess,
    pub held: Held,
}

/// The departments and their parents.
#[derive(Clone, Debug, Default)]
pub struct DepartmentTree(pub BTreeMap<i64, Option<i64>>);

impl DepartmentTree {
    /// A department and its ancestors, nearest first. Ends even where the parents form a cycle,
    /// which the table refuses.
    pub fn path(&self, department: i64) -> impl Iterator<Item = i64> {
        std::iter::successors(Some(department), |id| self.0.get(id).copied().flatten())
            .take(self.0.len().max(1))
    }

    /// Those of these departments that a grant covers, by the department that it is on: each covers itself and those
    /// below it.
    pub fn covered(&self, departments: &BTreeSet<i64>) -> BTreeMap<i64, Vec<i64>> {
        let mut covered: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for department in departments {
            for above in self.path(*department) {
                covered.entry(above).or_default().push(*department);
            }
        }
        covered
    }

    /// Each department with those right below it.
    fn children(&self) -> BTreeMap<i64, Vec<i64>> {
        let mut children: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (id, parent) in &self.0 {
            if let Some(parent) = parent {
                children.entry(*parent).or_default().push(*id);
            }
        }
        children
    }
}

/// That an agent is in a group.
#[derive(Clone, Debug)]
pub struct Membership {
    pub id: i64,
    pub group: Rc<Group>,
    pub validity: Validity,
}

/// All facts about one active agent: what is valid at a moment, what was and what will be.
#[derive(Clone, Debug)]
pub struct Grants {
    pub agent: i64,
    /// Groups of this scope count: what others give is asked of [`scoped`](Self::scoped).
    pub scope: Scope,
    /// The moment that is asked about.
    pub now: Moment,
    /// The agent's own setting, which overrules its groups.
    pub category_access: Option<CategoryAccess>,
    /// What holds for an agent in no group: the setting deskguard.default_category_access.
    pub default_category_access: CategoryAccess,
    pub held: Held,
    pub groups: Vec<Membership>,
    pub teams: Timed<i64>,
    pub tree: Rc<DepartmentTree>,
    /// All permissions, and whether they are destructive.
    pub catalog: Rc<BTreeMap<String, bool>>,
}

/// Who gave a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    Agent(i64),
    Group(&'a str),
}

/// A right that was given, at whatever time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given<'a> {
    pub by: Source<'a>,
    /// Access to a department is given with it or with an ancestor; none for other rights, and for
    /// a group of all departments.
    pub department: Option<i64>,
    /// Where it counts.
    pub scope: Scope,
    pub validity: Validity,
}

impl Grants {
    /// What the agent would have by being in this group only.
    pub fn of_member(&self, group: Rc<Group>) -> Grants {
        let membership = Membership {
            id: 0,
            group,
            validity: Validity::ALWAYS,
        };
        Grants {
            // Nobody gets what the default gives by being in a group.
            default_category_access: CategoryAccess::Silo,
            ..self.with_groups(self.scope, vec![membership])
        }
    }

    fn with_groups(&self, scope: Scope, groups: Vec<Membership>) -> Grants {
        Grants {
            scope,
            held: Held::default(),
            groups,
            teams: Timed::default(),
            tree: self.tree.clone(),
            catalog: self.catalog.clone(),
            ..*self
        }
    }

    /// What each scoped group gives where it covers a ticket. Its category access counts, unless the agent
    /// has one of its own.
    pub fn scoped(&self) -> impl Iterator<Item = Grants> {
        let is_scoped = |member: &&Membership| member.group.scope == Scope::Granted;
        self.groups
            .iter()
            .filter(is_scoped)
            .map(|member| self.alone(member))
    }

    /// What a scoped group gives.
    fn alone(&self, member: &Membership) -> Grants {
        Grants {
            default_category_access: CategoryAccess::Silo,
            ..self.with_groups(Scope::Granted, vec![member.clone()])
        }
    }

    /// The groups that count.
    fn members(&self) -> impl Iterator<Item = &Membership> {
        let counts = |member: &&Membership| member.group.scope == self.scope;
        self.groups.iter().filter(counts)
    }

    /// What the agent itself and its groups hold, and when it holds through them.
    fn held_by(&self) -> impl Iterator<Item = (Source<'_>, &Held, Validity)> {
        std::iter::once((Source::Agent(self.agent), &self.held, Validity::ALWAYS)).chain(
            self.members().map(|member| {
                let group = &*member.group;
                (Source::Group(&group.name), &group.held, member.validity)
            }),
        )
    }

    /// Those who give the agent a permission, now. Rights are additive: one is enough.
    pub fn permission_sources<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Source<'a>> {
        self.permission_given(name)
            .filter(|given| given.validity.contains(self.now))
            .map(|given| given.by)
    }

    /// Those who give the agent a permission, at any time.
    pub fn permission_given<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Given<'a>> {
        let destructive = self.catalog.get(name).copied();
        let direct = self.held.permissions.get(name).map(|((), validity)| Given {
            by: Source::Agent(self.agent),
            department: None,
            scope: self.scope,
            validity,
        });
        direct
            .into_iter()
            .chain(self.members().filter_map(move |member| {
                let group = &*member.group;
                let of_group = match group.permission_access {
                    PermissionAccess::Granted => group.held.permissions.get(name)?.1,
                    PermissionAccess::NonDestructive if destructive == Some(false) => {
                        Validity::ALWAYS
                    }
                    PermissionAccess::All if destructive.is_some() => Validity::ALWAYS,
                    PermissionAccess::NonDestructive | PermissionAccess::All => return None,
                };
                Some(member.gives(of_group))
            }))
    }

    /// Those who open the agent to tickets of every category and of none, at any time. The agent's own
    /// setting overrules its groups.
    pub fn open_given(&self) -> impl Iterator<Item = Given<'_>> {
        let own = (self.category_access == Some(CategoryAccess::Open)).then_some(Given {
            by: Source::Agent(self.agent),
            department: None,
            scope: self.scope,
            validity: Validity::ALWAYS,
        });
        let groups = self.members().filter(|member| {
            self.category_access.is_none() && member.group.category_access == CategoryAccess::Open
        });
        own.into_iter()
            .chain(groups.map(|member| member.gives(Validity::ALWAYS)))
    }

    /// Does the default setting open the agent? Only if it has no setting of its own, and when it is
    /// in no group.
    pub fn open_by_default(&self, mut valid: impl FnMut(Validity) -> bool) -> bool {
        self.category_access.is_none()
            && self.default_category_access == CategoryAccess::Open
            && !self.members().any(|member| valid(member.validity))
    }

    /// Those who grant a category, at any time.
    pub fn category_given(&self, category: i64) -> impl Iterator<Item = Given<'_>> {
        self.held_by().filter_map(move |(by, held, validity)| {
            let ((), granted) = held.categories.get(&category)?;
            Some(Given {
                by,
                department: None,
                scope: self.scope,
                validity: validity.and(granted),
            })
        })
    }

    /// All categories that are granted, and who grants them, at any time.
    pub fn categories_given(&self) -> impl Iterator<Item = (i64, Given<'_>)> {
        self.held_by().flat_map(move |(by, held, validity)| {
            held.categories.iter().map(move |(id, granted)| {
                let given = Given {
                    by,
                    department: None,
                    scope: self.scope,
                    validity: validity.and(granted),
                };
                (*id, given)
            })
        })
    }

    /// The groups of all departments, at any time.
    pub fn all_departments_given(&self) -> impl Iterator<Item = Given<'_>> {
        self.members()
            .filter(|member| member.group.all_departments)
            .map(|member| member.gives(Validity::ALWAYS))
    }

    /// By which of its departments each scoped group covers a place, at any time.
    fn covering(&self, place: Place) -> Vec<(&Membership, Option<i64>, Validity)> {
        let mut all = vec![];
        let is_scoped = |member: &&Membership| member.group.scope == Scope::Granted;
        for member in self.groups.iter().filter(is_scoped) {
            let group = self.alone(member);
            let by = |given: Given| (given.department, given.validity);
            let departments: Vec<_> = match place.department {
                Column::Absent => vec![(None, member.validity)],
                Column::Value(id) => {
                    let granted = id.into_iter();
                    let granted = granted.flat_map(|id| group.department_given(id, place.level));
                    let granted = group.all_departments_given().chain(granted);
                    granted.map(by).collect()
                }
            };
            let categories: Vec<_> = match place.category {
                Column::Absent => vec![(None, member.validity)],
                Column::Value(id) => {
                    let openers: Vec<_> = group.open_given().map(by).collect();
                    let granted = id.into_iter().flat_map(|id| group.category_given(id));
                    match openers.is_empty() {
                        true => granted.map(by).collect(),
                        // Who is open needs no category.
                        false => openers,
                    }
                }
            };
            for (department, validity) in departments {
                let beside = categories.iter();
                all.extend(beside.map(|(_, also)| (member, department, validity.and(*also))));
            }
        }
        all
    }

    /// The scoped groups that cover a place, at any time.
    pub(crate) fn scope_given(&self, place: Place) -> impl Iterator<Item = Given<'_>> {
        let covering = self.covering(place).into_iter();
        covering.map(|(member, department, validity)| Given {
            department,
            ..member.gives(validity)
        })
    }

    /// Those who give the agent a permission at a place, at any time: everywhere, or by a scoped group that
    /// covers it.
    pub(crate) fn permission_given_at<'a>(&'a self, name: &'a str, place: Place) -> Vec<Given<'a>> {
        let mut all: Vec<_> = self.permission_given(name).collect();
        for (member, _, validity) in self.covering(place) {
            let group = self.alone(member);
            let given = group.permission_given(name).next();
            let given = given.map(|given| member.gives(validity.and(given.validity)));
            all.extend(given.filter(|given| !all.contains(given)));
        }
        all
    }

    /// Each department that is granted, itself or by an ancestor, with its level and who grants it, at any
    /// time. Of groups of all departments, [`all_departments_given`](Self::all_departments_given) tells.
    pub fn departments_given(&self) -> Vec<(i64, Level, Given<'_>)> {
        let children = self.tree.children();
        let mut all = vec![];
        for (by, held, validity) in self.held_by() {
            for (granted, (level, granted_for)) in &held.departments.0 {
                let given = Given {
                    by,
                    department: Some(*granted),
                    scope: self.scope,
                    validity: validity.and(*granted_for),
                };
                // Even where the parents form a cycle, which the table refuses, each is listed once.
                let mut seen = BTreeSet::from([*granted]);
                let mut below = vec![*granted];
                while let Some(id) = below.pop() {
                    all.push((id, *level, given));
                    let children = children.get(&id).into_iter().flatten().copied();
                    below.extend(children.filter(|child| seen.insert(*child)));
                }
            }
        }
        all
    }

    /// The highest level at which each department of the tree is granted, itself or by an ancestor,
    /// by grants that are valid: what [`department_given`](Self::department_given) says of all of
    /// them, without walking up from each.
    pub fn department_levels(
        &self,
        mut valid: impl FnMut(Validity) -> bool,
    ) -> BTreeMap<i64, Level> {
        // What each department is granted itself.
        let mut granted: BTreeMap<i64, Option<Level>> = BTreeMap::new();
        for (_, held, validity) in self.held_by() {
            for (id, (level, granted_for)) in &held.departments.0 {
                let level = valid(validity.and(*granted_for)).then_some(*level);
                let known = granted.entry(*id).or_default();
                *known = level.max(*known);
            }
        }
        let mut levels: BTreeMap<i64, Option<Level>> = BTreeMap::new();
        // Also one that the tree does not have yet: it is at the top.
        for id in self.tree.0.keys().chain(granted.keys()) {
            let above: Vec<i64> = self
                .tree
                .path(*id)
                .take_while(|id| !levels.contains_key(id))
                .collect();
            for id in above.into_iter().rev() {
                let parent = self.tree.0.get(&id).copied().flatten();
                let inherited = parent.and_then(|parent| levels.get(&parent).copied().flatten());
                let granted = granted.get(&id).copied().flatten();
                levels.insert(id, granted.max(inherited));
            }
        }
        levels
            .into_iter()
            .filter_map(|(id, level)| Some((id, level?)))
            .collect()
    }

    /// Those who grant a department or an ancestor of it at this level or a higher one, at any time.
    pub fn department_given(
        &self,
        department: i64,
        level: Level,
    ) -> impl Iterator<Item = Given<'_>> {
        self.tree.path(department).flat_map(move |through| {
            self.held_by().filter_map(move |(by, held, validity)| {
                let (_, granted) = held
                    .departments
                    .get(&through)
                    .filter(|(granted, _)| *granted >= level)?;
                Some(Given {
                    by,
                    department: Some(through),
                    scope: self.scope,
                    validity: validity.and(granted),
                })
            })
        })
    }
}

impl Membership {
    /// What the group has for some time, its member has while it is one.
    fn gives(&self, granted: Validity) -> Given<'_> {
        Given {
            by: Source::Group(&self.group.name),
            department: None,
            scope: self.group.scope,
            validity: self.validity.and(granted),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const NOW: Moment = 1000;

    // For good.
    impl<K: Ord> Timed<K> {
        pub(crate) fn insert(&mut self, what: K) {
            self.give(what, (), Validity::ALWAYS);
        }
    }

    impl Timed<i64, Level> {
        pub(crate) fn insert(&mut self, department: i64, level: Level) {
            self.give(department, level, Validity::ALWAYS);
        }
    }

    impl<K: Ord> Extend<K> for Timed<K> {
        fn extend<I: IntoIterator<Item = K>>(&mut self, all: I) {
            all.into_iter().for_each(|what| self.insert(what));
        }
    }

    pub(crate) fn member(group: Group) -> Membership {
        Membership {
            id: 100,
            group: Rc::new(group),
            validity: Validity::ALWAYS,
        }
    }

    /// Those that give now.
    fn now<'a>(
        grants: &'a Grants,
        given: impl Iterator<Item = Given<'a>>,
    ) -> impl Iterator<Item = Given<'a>> {
        given.filter(|given| given.validity.contains(grants.now))
    }

    fn openers(grants: &Grants) -> Vec<Source<'_>> {
        now(grants, grants.open_given())
            .map(|given| given.by)
            .collect()
    }

    pub(crate) fn group(name: &str) -> Group {
        Group {
            name: name.into(),
            scope: Scope::Everywhere,
            category_access: CategoryAccess::Silo,
            all_departments: false,
            permission_access: PermissionAccess::Granted,
            held: Held::default(),
        }
    }

    pub(crate) fn grants(groups: Vec<Group>) -> Grants {
        Grants {
            agent: 7,
            scope: Scope::Everywhere,
            now: NOW,
            category_access: None,
            default_category_access: CategoryAccess::Silo,
            held: Held::default(),
            groups: groups.into_iter().map(member).collect(),
            teams: Timed::default(),
            // 1 > 2 > 3, and 9 apart
            tree: Rc::new(DepartmentTree(
                [(1, None), (2, Some(1)), (3, Some(2)), (9, None)].into(),
            )),
            catalog: Rc::new(
                [
                    ("ticket.use".to_string(), false),
                    ("ticket.delete.own".to_string(), true),
                ]
                .into(),
            ),
        }
    }

    #[test]
    fn a_permission_comes_from_the_agent_and_from_any_group() {
        let mut staff = group("Staff");
        staff.held.permissions.insert("ticket.use".into());
        let mut held = grants(vec![group("Empty"), staff]);
        held.held.permissions.insert("ticket.use".into());
        let sources: Vec<_> = held.permission_sources("ticket.use").collect();
        assert_eq!(sources, [Source::Agent(7), Source::Group("Staff")]);
        assert_eq!(held.permission_sources("ticket.delete.own").count(), 0);
    }

    #[test]
    fn the_built_in_groups_give_the_catalog() {
        let mut all = group("All");
        all.permission_access = PermissionAccess::All;
        let mut safe = group("Safe");
        safe.permission_access = PermissionAccess::NonDestructive;
        let held = grants(vec![all, safe]);
        let of = |name| held.permission_sources(name).collect::<Vec<_>>();
        assert_eq!(
            of("ticket.use"),
            [Source::Group("All"), Source::Group("Safe")]
        );
        assert_eq!(of("ticket.delete.own"), [Source::Group("All")]);
        assert_eq!(of("no.such"), []);
    }

    #[test]
    fn the_agents_own_category_access_overrules_its_groups() {
        let mut open = group("Open");
        open.category_access = CategoryAccess::Open;
        let mut held = grants(vec![group("Silo"), open]);
        assert_eq!(openers(&held), [Source::Group("Open")]);
        held.category_access = Some(CategoryAccess::Silo);
        assert_eq!(openers(&held), []);
        held.category_access = Some(CategoryAccess::Open);
        assert_eq!(openers(&held), [Source::Agent(7)]);
    }

    #[test]
    fn the_default_holds_only_for_an_agent_in_no_group() {
        let by_default = |held: &Grants| held.open_by_default(|v| v.contains(held.now));
        let mut held = grants(vec![]);
        assert!(!by_default(&held));
        held.default_category_access = CategoryAccess::Open;
        assert!(by_default(&held));
        held.groups.push(member(group("Silo")));
        assert!(!by_default(&held));
        held.groups[0].validity.until = Some(NOW);
        assert!(by_default(&held));
        held.category_access = Some(CategoryAccess::Silo);
        assert!(!by_default(&held));
    }

    #[test]
    fn a_department_is_granted_through_its_ancestors_at_its_level_or_a_higher_one() {
        let mut parent = group("Parent");
        parent.held.departments.insert(1, Level::Assign);
        let mut held = grants(vec![parent]);
        held.held.departments.insert(3, Level::Full);
        let of = |department, level| {
            held.department_given(department, level)
                .map(|given| (given.by, given.department))
                .collect::<Vec<_>>()
        };
        assert_eq!(of(3, Level::Full), [(Source::Agent(7), Some(3))]);
        assert_eq!(
            of(3, Level::Assign),
            [
                (Source::Agent(7), Some(3)),
                (Source::Group("Parent"), Some(1))
            ]
        );
        assert_eq!(of(2, Level::Full), []);
        assert_eq!(of(9, Level::Assign), []);
        assert_eq!(of(404, Level::Assign), []);
    }

    #[test]
    fn the_levels_of_departments_are_those_of_their_sources() {
        let mut parent = group("Parent");
        parent.held.departments.insert(1, Level::Assign);
        parent.held.departments.insert(9, Level::Full);
        let mut held = grants(vec![parent]);
        held.held.departments.insert(2, Level::Full);
        let levels = held.department_levels(|_| true);
        for id in held.tree.0.keys() {
            for level in [Level::Assign, Level::Full] {
                assert_eq!(
                    levels.get(id).is_some_and(|l| *l >= level),
                    held.department_given(*id, level).next().is_some(),
                    "{id} {level:?}"
                );
            }
        }
        let all = held.tree.0.keys().copied().collect();
        let mut covered = BTreeMap::new();
        for (on, departments) in held.tree.covered(&all) {
            for (_, held, _) in held.held_by() {
                let Some((level, _)) = held.departments.get(&on) else {
                    continue;
                };
                for department in &departments {
                    let highest = covered.entry(*department).or_insert(level);
                    *highest = level.max(*highest);
                }
            }
        }
        assert_eq!(covered, levels);
        assert_eq!(levels.len(), 4);
    }

    #[test]
    fn a_new_department_that_the_tree_lacks_can_be_granted() {
        let mut held = grants(vec![]);
        held.held.departments.insert(404, Level::Full);
        let levels = held.department_levels(|_| true);
        assert_eq!(levels.into_iter().collect::<Vec<_>>(), [(404, Level::Full)]);
        assert!(held.department_given(404, Level::Full).next().is_some());
    }

    #[test]
    fn a_right_through_a_group_is_given_while_both_are_valid() {
        let time = |from, until| Validity { from, until };
        let mut staff = group("Staff");
        let all_day = time(Some(900), Some(1500));
        staff.held.categories.give(1, (), all_day);
        staff.held.departments.give(1, Level::Full, all_day);
        staff
            .held
            .permissions
            .give("ticket.use".into(), (), all_day);
        staff.category_access = CategoryAccess::Open;
        staff.all_departments = true;
        let mut held = grants(vec![staff]);
        for membership in [
            time(None, None),
            time(Some(1200), None),
            time(None, Some(NOW)),
            time(Some(NOW), Some(1001)),
        ] {
            held.groups[0].validity = membership;
            let both = membership.and(all_day);
            let given = [
                held.category_given(1).next(),
                held.department_given(3, Level::Full).next(),
                held.permission_given("ticket.use").next(),
            ];
            assert!(given.iter().all(|given| given.unwrap().validity == both));
            let of_group = [
                held.open_given().next(),
                held.all_departments_given().next(),
            ];
            assert!(
                of_group
                    .iter()
                    .all(|given| given.unwrap().validity == membership)
            );
            assert_eq!(
                held.permission_sources("ticket.use").count() == 1,
                both.contains(NOW)
            );
        }
    }

    #[test]
    fn a_cycle_of_departments_ends() {
        let tree = DepartmentTree([(1, Some(2)), (2, Some(1))].into());
        assert_eq!(tree.path(1).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(DepartmentTree::default().path(5).collect::<Vec<_>>(), [5]);
    }
}
