//! What an agent's grants come to, in the form that a check per row wants.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};

use crate::grants::{Grants, Level};
use crate::id_set::IdSet;
use crate::permission::{Permission, PermissionSet};
use crate::ticket::Column;
use crate::time::{Moment, Validity};

/// The tickets that the silo rule lets an agent see, by category.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Categories {
    /// Every ticket, also uncategorized ones.
    Open,
    /// Only those of these categories.
    Only(IdSet),
}

impl Categories {
    fn bytes(&self) -> usize {
        match self {
            Categories::Open => 0,
            Categories::Only(ids) => ids.bytes(),
        }
    }

    fn cover(&self, category: Column) -> bool {
        match (self, category) {
            (_, Column::Absent) | (Categories::Open, _) => true,
            (Categories::Only(_), Column::Value(None)) => false,
            (Categories::Only(granted), Column::Value(Some(id))) => granted.contains(id),
        }
    }

    fn of(grants: &Grants, mut valid: impl FnMut(Validity) -> bool) -> Categories {
        if grants.open_given().any(|given| valid(given.validity))
            || grants.open_by_default(&mut valid)
        {
            return Categories::Open;
        }
        let granted = grants
            .categories_given()
            .filter(|(_, given)| valid(given.validity))
            .map(|(id, _)| id);
        Categories::Only(granted.collect())
    }
}

/// The departments that an agent has, with their descendants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Departments {
    All,
    Only { full: IdSet, assign: IdSet },
}

impl Departments {
    fn bytes(&self) -> usize {
        match self {
            Departments::All => 0,
            Departments::Only { full, assign } => full.bytes() + assign.bytes(),
        }
    }

    fn of(grants: &Grants, mut valid: impl FnMut(Validity) -> bool) -> Departments {
        let has_all_departments = grants
            .all_departments_given()
            .any(|given| valid(given.validity));
        if has_all_departments {
            Departments::All
        } else {
            let levels = grants.department_levels(&mut valid);
            let at = |level| {
                levels
                    .iter()
                    .filter(|(_, granted)| **granted >= level)
                    .map(|(id, _)| *id)
                    .collect()
            };
            Departments::Only {
                full: at(Level::Full),
                assign: at(Level::Assign),
            }
        }
    }

    fn cover(&self, department: Column, level: Level) -> bool {
        match (self.at(level), department) {
            (_, Column::Absent) | (None, _) => true,
            (Some(_), Column::Value(None)) => false,
            (Some(granted), Column::Value(Some(id))) => granted.contains(id),
        }
    }

    /// Those of a level or a higher one; none if all.
    pub(crate) fn at(&self, level: Level) -> Option<&IdSet> {
        match (self, level) {
            (Departments::All, _) => None,
            (Departments::Only { full, .. }, Level::Full) => Some(full),
            (Departments::Only { assign, .. }, Level::Assign) => Some(assign),
        }
    }
}

impl PermissionSet {
    fn of(grants: &Grants, mut valid: impl FnMut(Validity) -> bool) -> PermissionSet {
        let has = |permission: &Permission| {
            let name = permission.name();
            let mut given = grants.permission_given(&name);
            given.any(|given| valid(given.validity))
        };
        Permission::all().filter(has).collect()
    }
}

/// What scoped groups with the same permissions and categories give, for tickets in their departments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scoped {
    permissions: PermissionSet,
    categories: Categories,
    departments: Departments,
}

impl Scoped {
    fn all(grants: &Grants, mut valid: impl FnMut(Validity) -> bool) -> Vec<Scoped> {
        let mut alike: BTreeMap<(PermissionSet, Option<Vec<i64>>), Grants> = BTreeMap::new();
        for mut group in grants.scoped() {
            group.groups.retain(|member| valid(member.validity));
            if group.groups.is_empty() {
                continue;
            }
            let categories = match Categories::of(&group, &mut valid) {
                Categories::Open => None,
                Categories::Only(ids) => Some(ids.sorted().to_vec()),
            };
            let permissions = PermissionSet::of(&group, &mut valid);
            match alike.entry((permissions, categories)) {
                Entry::Vacant(entry) => {
                    entry.insert(group);
                }
                Entry::Occupied(mut entry) => entry.get_mut().groups.append(&mut group.groups),
            }
        }
        let scoped = alike
            .into_iter()
            .map(|((permissions, categories), groups)| Scoped {
                permissions,
                categories: match categories {
                    Some(ids) => Categories::Only(ids.into_iter().collect()),
                    None => Categories::Open,
                },
                departments: Departments::of(&groups, &mut valid),
            });
        scoped.collect()
    }

    fn bytes(&self) -> usize {
        size_of::<Scoped>() + self.categories.bytes() + self.departments.bytes()
    }

    pub(crate) fn categories(&self) -> &Categories {
        &self.categories
    }

    /// Those at this level or a higher one; none if all.
    pub(crate) fn departments_at(&self, level: Level) -> Option<&IdSet> {
        self.departments.at(level)
    }

    pub(crate) fn covers(&self, place: Place) -> bool {
        self.departments.cover(place.department, place.level)
            && self.categories.cover(place.category)
    }
}

/// Where a ticket is, for what holds there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub department: Column,
    pub category: Column,
    /// Departments are asked for at this level.
    pub level: Level,
}

/// What one active agent may do at a moment. An agent that is unknown, inactive or nobody has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    pub agent: i64,
    permissions: PermissionSet,
    /// What holds at some places only, besides all else, which holds everywhere.
    scoped: Vec<Scoped>,
    /// The names of those that are no [`Permission`], sorted.
    other_permissions: Box<[Box<str>]>,
    categories: Categories,
    departments: Departments,
    groups: IdSet,
    teams: IdSet,
    /// For how long the categories stay these, and for how long the rest does.
    categories_time: Validity,
    rest_time: Validity,
    /// If they change: at least what it may do at each moment from this one on.
    from_now_on: Option<Box<Access>>,
}

static NONE: IdSet = IdSet::empty();

impl Access {
    pub fn compile(grants: &Grants) -> Access {
        let now = grants.now;
        let mut categories_time = Validity::ALWAYS;
        let mut rest_time = Validity::ALWAYS;
        let mut access = Access::of(
            grants,
            Categories::of(grants, |validity| categories_time.narrow(now, validity)),
            |validity| rest_time.narrow(now, validity),
        );
        // The silo asks for the categories of scoped groups, too.
        Scoped::all(grants, |validity| categories_time.narrow(now, validity));
        access.categories_time = categories_time;
        access.rest_time = rest_time;
        if access.time().until.is_some() {
            let is_not_over = |validity: Validity| validity.is_not_over(now);
            // One that leaves its last group may be opened by that.
            let stays = |validity: Validity| validity.contains(now) && validity.until.is_none();
            let categories = if grants.open_by_default(stays) {
                Categories::Open
            } else {
                Categories::of(grants, is_not_over)
            };
            access.from_now_on = Some(Box::new(Access::of(grants, categories, is_not_over)));
        }
        access
    }

    fn of(
        grants: &Grants,
        categories: Categories,
        mut valid: impl FnMut(Validity) -> bool,
    ) -> Access {
        Access {
            agent: grants.agent,
            permissions: PermissionSet::of(grants, &mut valid),
            scoped: Scoped::all(grants, &mut valid),
            other_permissions: grants
                .catalog
                .keys()
                .filter(|name| Permission::from_name(name).is_none())
                .filter(|name| {
                    grants
                        .permission_given(name)
                        .any(|given| valid(given.validity))
                })
                .map(|name| name.as_str().into())
                .collect(),
            categories,
            departments: Departments::of(grants, &mut valid),
            groups: grants
                .groups
                .iter()
                .filter(|member| valid(member.validity))
                .map(|member| member.id)
                .collect(),
            teams: grants
                .teams
                .iter()
                .filter(|(_, validity)| valid(*validity))
                .map(|(id, _)| *id)
                .collect(),
            categories_time: Validity::ALWAYS,
            rest_time: Validity::ALWAYS,
            from_now_on: None,
        }
    }

    /// For how long the agent may do exactly this.
    pub fn time(&self) -> Validity {
        self.categories_time.and(self.rest_time)
    }

    /// If the categories change after this moment: when at the earliest, and an access that has at
    /// least those of each later moment.
    pub fn categories_to_come(&self) -> Option<(Moment, &Access)> {
        Some((self.categories_time.until?, self.from_now_on.as_deref()?))
    }

    /// If anything else changes: when at the earliest, and an access that has at least what the agent
    /// has at each later moment.
    pub fn rest_to_come(&self) -> Option<(Moment, &Access)> {
        Some((self.rest_time.until?, self.from_now_on.as_deref()?))
    }

    /// These, and at least those at each later moment.
    pub fn now_and_later(&self) -> impl Iterator<Item = &Access> {
        std::iter::once(self).chain(self.from_now_on.as_deref())
    }

    pub fn has(&self, permission: Permission) -> bool {
        self.permissions.contains(permission)
    }

    /// Does the agent have a permission of the catalog, one of deskguard's or of the user's own?
    pub fn has_named(&self, name: &str) -> bool {
        match Permission::from_name(name) {
            Some(permission) => self.has(permission),
            None => self
                .other_permissions
                .binary_search_by(|other| other.as_ref().cmp(name))
                .is_ok(),
        }
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        std::mem::size_of::<Access>()
            + self.categories.bytes()
            + self.departments.bytes()
            + self.scoped.iter().map(Scoped::bytes).sum::<usize>()
            + self.groups.bytes()
            + self.teams.bytes()
            + self
                .other_permissions
                .iter()
                .map(|name| std::mem::size_of::<Box<str>>() + name.len())
                .sum::<usize>()
            + self.from_now_on.as_ref().map_or(0, |access| access.bytes())
    }

    /// The categories granted to a siloed agent.
    pub fn categories(&self) -> &IdSet {
        match &self.categories {
            Categories::Open => &NONE,
            Categories::Only(granted) => granted,
        }
    }

    /// The departments granted at a level or a higher one, with their descendants; none are
    /// listed for an agent that has all.
    pub fn departments_at(&self, level: Level) -> &IdSet {
        self.departments.at(level).unwrap_or(&NONE)
    }

    pub(crate) fn departments(&self) -> &Departments {
        &self.departments
    }

    /// The categories that it has everywhere.
    pub(crate) fn silo(&self) -> &Categories {
        &self.categories
    }

    /// The groups of the agent.
    pub fn groups(&self) -> &IdSet {
        &self.groups
    }

    /// The teams of the agent.
    pub fn teams(&self) -> &IdSet {
        &self.teams
    }

    /// Do the categories that hold everywhere have this one?
    pub(crate) fn category(&self, category: Column) -> bool {
        self.categories.cover(category)
    }

    pub(crate) fn department(&self, department: Column, level: Level) -> bool {
        self.departments.cover(department, level)
    }

    pub(crate) fn scoped(&self) -> &[Scoped] {
        &self.scoped
    }

    /// The permissions that scoped groups give at a place, with those that hold everywhere; none if no
    /// group covers the place.
    fn scoped_permissions(&self, place: Place) -> Option<PermissionSet> {
        let covering = self.scoped.iter().filter(|scoped| scoped.covers(place));
        let given = covering.map(|scoped| scoped.permissions);
        Some(given.reduce(PermissionSet::and)?.and(self.permissions))
    }

    pub(crate) fn is_covered(&self, place: Place) -> bool {
        self.scoped.iter().any(|scoped| scoped.covers(place))
    }

    /// Does the permission hold at this place?
    pub(crate) fn has_at(&self, place: Place, permission: Permission) -> bool {
        self.has(permission)
            || !self.scoped.is_empty()
                && self
                    .scoped_permissions(place)
                    .is_some_and(|permissions| permissions.contains(permission))
    }

    /// Does the permission hold at any place?
    pub fn has_somewhere(&self, permission: Permission) -> bool {
        let scoped = |scoped: &Scoped| scoped.permissions.contains(permission);
        self.has(permission) || self.scoped.iter().any(scoped)
    }

    /// Does the permission hold for a ticket? That is looked at only if it matters.
    pub fn holds(&self, permission: Permission, for_ticket: impl FnOnce() -> bool) -> bool {
        self.has(permission) || self.has_somewhere(permission) && for_ticket()
    }

    /// Is the category one of those that hold everywhere, or of a scoped group?
    pub(crate) fn any_category(&self, category: Column) -> bool {
        let scoped = || self.scoped.iter().map(|scoped| &scoped.categories);
        self.category(category) || scoped().any(|categories| categories.cover(category))
    }

    /// The departments and the categories on which the agent has rights, wherever these hold; some more than
    /// once. None are listed where all are given.
    pub fn departments_with_rights(&self) -> impl Iterator<Item = i64> {
        let scoped = self.scoped.iter().map(|scoped| &scoped.departments);
        std::iter::once(&self.departments)
            .chain(scoped)
            .filter_map(|departments| departments.at(Level::Assign))
            .flat_map(|ids| ids.sorted().iter().copied())
    }

    pub fn categories_with_rights(&self) -> impl Iterator<Item = i64> {
        let scoped = self.scoped.iter().map(|scoped| &scoped.categories);
        std::iter::once(&self.categories)
            .chain(scoped)
            .filter_map(|categories| match categories {
                Categories::Open => None,
                Categories::Only(ids) => Some(ids.sorted().iter().copied()),
            })
            .flatten()
    }

    pub(crate) fn team(&self, team: i64) -> bool {
        self.teams.contains(team)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::tests::{grants, group};
    use crate::grants::{CategoryAccess, PermissionAccess, Scope};
    use crate::permission::Relation;

    #[test]
    fn grants_of_the_agent_and_its_groups_add_up() {
        let mut first = group("First");
        first.held.categories.extend([2, 5]);
        first.held.departments.insert(2, Level::Full);
        let mut second = group("Second");
        second.held.categories.extend([5, 1]);
        second.held.departments.insert(9, Level::Assign);
        second.held.permissions.insert("ticket.create".into());
        let mut held = grants(vec![first, second]);
        held.held.categories.insert(8);
        held.held.permissions.insert("ticket.use".into());
        let access = Access::compile(&held);
        assert_eq!(access.categories, Categories::Only([1, 2, 5, 8].into()));
        assert_eq!(
            access.departments,
            Departments::Only {
                full: [2, 3].into(),
                assign: [2, 3, 9].into()
            }
        );
        assert!(access.has(Permission::Use) && access.has(Permission::Create));
        assert!(!access.has(Permission::View(Relation::Assigned)));
    }

    #[test]
    fn scoped_groups_count_while_their_membership_lasts_and_leave_the_default_access() {
        use crate::grants::tests::NOW;

        let mut scoped = group("Scoped");
        scoped.scope = Scope::Granted;
        scoped.held.departments.insert(2, Level::Full);
        scoped.held.permissions.insert("ticket.use".into());
        let mut held = grants(vec![scoped]);
        held.default_category_access = CategoryAccess::Open;
        let place = Place {
            department: Column::Value(Some(2)),
            category: Column::Absent,
            level: Level::Full,
        };
        for (from, until, is_valid) in [
            (None, None, true),
            (None, Some(NOW), false),
            (Some(NOW + 1), None, false),
        ] {
            held.groups[0].validity = Validity { from, until };
            let access = Access::compile(&held);
            assert_eq!(access.has_at(place, Permission::Use), is_valid);
            assert_eq!(access.categories, Categories::Open);
        }
    }

    #[test]
    fn permissions_of_the_users_own_count_by_name() {
        let mut catalog: std::collections::BTreeMap<String, bool> = Permission::all()
            .map(|permission| (permission.name(), false))
            .collect();
        catalog.extend([
            ("invoice.view".into(), false),
            ("people.edit".into(), false),
            ("report.erase".into(), true),
        ]);
        let mut giving = group("Giving");
        giving.held.permissions.insert("people.edit".into());
        giving.held.permissions.insert("ticket.use".into());
        let mut held = grants(vec![giving]);
        held.held.permissions.insert("invoice.view".into());
        held.catalog = catalog.clone().into();
        let access = Access::compile(&held);
        let has = |names: &[&str]| names.iter().all(|name| access.has_named(name));
        assert!(has(&["invoice.view", "people.edit", "ticket.use"]));
        for name in [
            "report.erase",
            "ticket.create",
            "people",
            "people.editor",
            "",
        ] {
            assert!(!access.has_named(name), "{name}");
        }
        for (permission_access, erases) in [
            (PermissionAccess::All, true),
            (PermissionAccess::NonDestructive, false),
        ] {
            let mut all = group("All");
            all.permission_access = permission_access;
            let mut held = grants(vec![all]);
            held.catalog = catalog.clone().into();
            let access = Access::compile(&held);
            assert!(access.has_named("invoice.view") && access.has_named("shared.manage"));
            assert_eq!(access.has_named("report.erase"), erases);
            assert!(!access.has_named("never.heard.of"));
        }
    }

    #[test]
    fn rights_are_the_same_when_they_are_read_back() {
        use crate::grants::tests::NOW;

        let mut staff = group("Staff");
        staff.held.categories.extend(1..=500);
        staff.held.departments.insert(2, Level::Full);
        staff.held.permissions.insert("ticket.use".into());
        let mut held = grants(vec![staff]);
        held.held.categories.extend([i64::MIN, i64::MAX]);
        let until = Validity {
            from: None,
            until: Some(NOW + 1),
        };
        let mut ending = held.clone();
        ending.groups[0].validity = until;
        let mut open = group("Open");
        open.category_access = CategoryAccess::Open;
        open.all_departments = true;
        open.permission_access = PermissionAccess::All;
        let mut scoped = group("Scoped");
        scoped.scope = Scope::Granted;
        scoped.held.departments.insert(1, Level::Assign);
        let scoped = grants(vec![scoped]);
        for held in [held, ending, scoped, grants(vec![open]), grants(vec![])] {
            let access = Access::compile(&held);
            let written = serde_json::to_string(&access).unwrap();
            assert_eq!(serde_json::from_str::<Access>(&written).unwrap(), access);
            let ids = access.categories().len() + access.departments_at(Level::Assign).len();
            assert!(written.len() < 1000 + 2 * 20 * ids, "{written}");
        }
    }

    #[test]
    fn null_matches_only_the_open_and_those_of_all_departments() {
        let access = Access::compile(&grants(vec![group("None")]));
        assert!(!access.category(Column::Value(None)));
        assert!(!access.department(Column::Value(None), Level::Assign));
        let mut all = group("All");
        all.category_access = CategoryAccess::Open;
        all.all_departments = true;
        all.permission_access = PermissionAccess::All;
        let access = Access::compile(&grants(vec![all]));
        assert!(access.category(Column::Value(None)) && access.category(Column::Value(Some(404))));
        assert!(
            access.department(Column::Value(None), Level::Full)
                && access.department(Column::Value(Some(404)), Level::Full)
        );
    }
}
