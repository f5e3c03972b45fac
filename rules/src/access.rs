//! What an agent's grants come to, in the form that a check per row wants.

use serde::{Deserialize, Serialize};

use crate::grants::{Grants, Level};
use crate::id_set::IdSet;
use crate::permission::{Permission, PermissionSet};
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

/// What one active agent may do at a moment. An agent that is unknown, inactive or nobody has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    pub agent: i64,
    permissions: PermissionSet,
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
        let has_all_departments = grants
            .all_departments_given()
            .any(|given| valid(given.validity));
        let departments = if has_all_departments {
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
        };
        Access {
            agent: grants.agent,
            permissions: Permission::all()
                .filter(|permission| {
                    grants
                        .permission_given(&permission.name())
                        .any(|given| valid(given.validity))
                })
                .collect(),
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
            departments,
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
            + self.categories().bytes()
            + self.departments_at(Level::Full).bytes()
            + self.departments_at(Level::Assign).bytes()
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
        match (&self.departments, level) {
            (Departments::All, _) => &NONE,
            (Departments::Only { full, .. }, Level::Full) => full,
            (Departments::Only { assign, .. }, Level::Assign) => assign,
        }
    }

    pub(crate) fn departments(&self) -> &Departments {
        &self.departments
    }

    /// The groups of the agent.
    pub fn groups(&self) -> &IdSet {
        &self.groups
    }

    /// The teams of the agent.
    pub fn teams(&self) -> &IdSet {
        &self.teams
    }

    pub(crate) fn category(&self, category: Option<i64>) -> bool {
        match (&self.categories, category) {
            (Categories::Open, _) => true,
            (Categories::Only(_), None) => false,
            (Categories::Only(granted), Some(id)) => granted.contains(id),
        }
    }

    pub(crate) fn department(&self, department: Option<i64>, level: Level) -> bool {
        match (&self.departments, department) {
            (Departments::All, _) => true,
            (Departments::Only { .. }, None) => false,
            (Departments::Only { full, assign }, Some(id)) => match level {
                Level::Full => full,
                Level::Assign => assign,
            }
            .contains(id),
        }
    }

    pub(crate) fn team(&self, team: i64) -> bool {
        self.teams.contains(team)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::tests::{grants, group};
    use crate::grants::{CategoryAccess, PermissionAccess};

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
        assert!(!access.has(Permission::ViewAssigned));
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
        for held in [held, ending, grants(vec![open]), grants(vec![])] {
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
        assert!(!access.category(None));
        assert!(!access.department(None, Level::Assign));
        let mut all = group("All");
        all.category_access = CategoryAccess::Open;
        all.all_departments = true;
        all.permission_access = PermissionAccess::All;
        let access = Access::compile(&grants(vec![all]));
        assert!(access.category(None) && access.category(Some(404)));
        assert!(access.department(None, Level::Full) && access.department(Some(404), Level::Full));
    }
}
