//! What the permission tables say about one agent, and who gave it each right.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// May an agent see every category, or only those granted to it?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CategoryAccess {
    Silo,
    Open,
}

/// What a grant on a department allows; a higher level includes the lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// The rights given to one holder, an agent or a group.
#[derive(Clone, Debug, Default)]
pub struct Held {
    pub permissions: BTreeSet<String>,
    pub departments: BTreeMap<i64, Level>,
    pub categories: BTreeSet<i64>,
}

#[derive(Clone, Debug)]
pub struct Group {
    pub name: String,
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
}

/// All facts about one active agent.
#[derive(Clone, Debug)]
pub struct Grants {
    pub agent: i64,
    /// The agent's own setting, which overrules its groups.
    pub category_access: Option<CategoryAccess>,
    /// What holds for an agent in no group: the setting deskguard.default_category_access.
    pub default_category_access: CategoryAccess,
    pub held: Held,
    pub groups: Vec<Rc<Group>>,
    pub teams: BTreeSet<i64>,
    pub tree: Rc<DepartmentTree>,
    /// All permissions, and whether they are destructive.
    pub catalog: Rc<BTreeMap<String, bool>>,
}

/// Who gave a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source<'a> {
    Agent(i64),
    Group(&'a str),
    /// deskguard.default_category_access
    DefaultSetting,
}

/// Who gave access to a department.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepartmentSource<'a> {
    pub source: Source<'a>,
    /// The department of the grant: the one asked for or an ancestor; none for a group of all departments.
    pub department: Option<i64>,
}

impl Grants {
    fn held_by(&self) -> impl Iterator<Item = (Source<'_>, &Held)> {
        std::iter::once((Source::Agent(self.agent), &self.held)).chain(
            self.groups
                .iter()
                .map(|group| (Source::Group(&group.name), &group.held)),
        )
    }

    /// Those who give the agent a permission. Rights are additive: one is enough.
    pub fn permission_sources<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Source<'a>> {
        let destructive = self.catalog.get(name).copied();
        let direct = self
            .held
            .permissions
            .contains(name)
            .then_some(Source::Agent(self.agent));
        direct
            .into_iter()
            .chain(self.groups.iter().filter_map(move |group| {
                let gives = match group.permission_access {
                    PermissionAccess::Granted => group.held.permissions.contains(name),
                    PermissionAccess::NonDestructive => destructive == Some(false),
                    PermissionAccess::All => destructive.is_some(),
                };
                gives.then_some(Source::Group(&group.name))
            }))
    }

    /// Those who open the agent to tickets of every category and of none. The agent's own setting
    /// overrules its groups, and without either the default setting holds.
    pub fn open_sources(&self) -> Vec<Source<'_>> {
        match self.category_access {
            Some(CategoryAccess::Open) => vec![Source::Agent(self.agent)],
            Some(CategoryAccess::Silo) => vec![],
            None if self.groups.is_empty() => match self.default_category_access {
                CategoryAccess::Open => vec![Source::DefaultSetting],
                CategoryAccess::Silo => vec![],
            },
            None => self
                .groups
                .iter()
                .filter(|group| group.category_access == CategoryAccess::Open)
                .map(|group| Source::Group(&group.name))
                .collect(),
        }
    }

    /// Those who grant a category.
    pub fn category_sources(&self, category: i64) -> impl Iterator<Item = Source<'_>> {
        self.held_by()
            .filter_map(move |(source, held)| held.categories.contains(&category).then_some(source))
    }

    /// The groups of all departments.
    pub fn all_departments_sources(&self) -> impl Iterator<Item = DepartmentSource<'_>> {
        self.groups
            .iter()
            .filter(|group| group.all_departments)
            .map(|group| DepartmentSource {
                source: Source::Group(&group.name),
                department: None,
            })
    }

    /// The highest level at which each department of the tree is granted, itself or by an ancestor:
    /// what [`department_sources`](Self::department_sources) says of all of them, without walking up
    /// from each.
    pub fn department_levels(&self) -> BTreeMap<i64, Level> {
        let mut levels: BTreeMap<i64, Option<Level>> = BTreeMap::new();
        for id in self.tree.0.keys() {
            let above: Vec<i64> = self
                .tree
                .path(*id)
                .take_while(|id| !levels.contains_key(id))
                .collect();
            for id in above.into_iter().rev() {
                let parent = self.tree.0.get(&id).copied().flatten();
                let inherited = parent.and_then(|parent| levels.get(&parent).copied().flatten());
                let granted = self
                    .held_by()
                    .filter_map(|(_, held)| held.departments.get(&id).copied())
                    .max();
                levels.insert(id, granted.max(inherited));
            }
        }
        levels
            .into_iter()
            .filter_map(|(id, level)| Some((id, level?)))
            .collect()
    }

    /// Those who grant a department or an ancestor of it at this level or a higher one.
    pub fn department_sources(
        &self,
        department: i64,
        level: Level,
    ) -> impl Iterator<Item = DepartmentSource<'_>> {
        self.tree.path(department).flat_map(move |granted| {
            self.held_by().filter_map(move |(source, held)| {
                let enough = held.departments.get(&granted).is_some_and(|l| *l >= level);
                enough.then_some(DepartmentSource {
                    source,
                    department: Some(granted),
                })
            })
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn group(name: &str) -> Group {
        Group {
            name: name.into(),
            category_access: CategoryAccess::Silo,
            all_departments: false,
            permission_access: PermissionAccess::Granted,
            held: Held::default(),
        }
    }

    pub(crate) fn grants(groups: Vec<Group>) -> Grants {
        Grants {
            agent: 7,
            category_access: None,
            default_category_access: CategoryAccess::Silo,
            held: Held::default(),
            groups: groups.into_iter().map(Rc::new).collect(),
            teams: BTreeSet::new(),
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
        assert_eq!(held.open_sources(), [Source::Group("Open")]);
        held.category_access = Some(CategoryAccess::Silo);
        assert_eq!(held.open_sources(), []);
        held.category_access = Some(CategoryAccess::Open);
        assert_eq!(held.open_sources(), [Source::Agent(7)]);
    }

    #[test]
    fn the_default_holds_only_for_an_agent_in_no_group() {
        let mut held = grants(vec![]);
        assert_eq!(held.open_sources(), []);
        held.default_category_access = CategoryAccess::Open;
        assert_eq!(held.open_sources(), [Source::DefaultSetting]);
        held.groups.push(Rc::new(group("Silo")));
        assert_eq!(held.open_sources(), []);
    }

    #[test]
    fn a_department_is_granted_through_its_ancestors_at_its_level_or_a_higher_one() {
        let mut parent = group("Parent");
        parent.held.departments.insert(1, Level::Assign);
        let mut held = grants(vec![parent]);
        held.held.departments.insert(3, Level::Full);
        let of = |department, level| {
            held.department_sources(department, level)
                .map(|s| (s.source, s.department))
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
        let levels = held.department_levels();
        for id in held.tree.0.keys() {
            for level in [Level::Assign, Level::Full] {
                assert_eq!(
                    levels.get(id).is_some_and(|l| *l >= level),
                    held.department_sources(*id, level).next().is_some(),
                    "{id} {level:?}"
                );
            }
        }
        assert_eq!(levels.len(), 4);
    }

    #[test]
    fn a_cycle_of_departments_ends() {
        let tree = DepartmentTree([(1, Some(2)), (2, Some(1))].into());
        assert_eq!(tree.path(1).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(DepartmentTree::default().path(5).collect::<Vec<_>>(), [5]);
    }
}
