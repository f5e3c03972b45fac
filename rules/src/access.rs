//! What an agent's grants come to, in the form that a check per row wants.

use crate::grants::{Grants, Level};
use crate::permission::{Permission, PermissionSet};

/// The tickets that the silo rule lets an agent see, by category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Categories {
    /// Every ticket, also uncategorized ones.
    Open,
    /// Only those of these categories, sorted.
    Only(Box<[i64]>),
}

/// The departments that an agent has, with their descendants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Departments {
    All,
    /// Sorted, each.
    Only {
        full: Box<[i64]>,
        assign: Box<[i64]>,
    },
}

/// What one active agent may do. An agent that is unknown, inactive or nobody has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub agent: i64,
    permissions: PermissionSet,
    categories: Categories,
    departments: Departments,
    /// Sorted.
    teams: Box<[i64]>,
}

impl Access {
    pub fn compile(grants: &Grants) -> Access {
        let categories = if !grants.open_sources().is_empty() {
            Categories::Open
        } else {
            let mut granted: Vec<i64> = std::iter::once(&grants.held)
                .chain(grants.groups.iter().map(|group| &group.held))
                .flat_map(|held| held.categories.iter().copied())
                .collect();
            granted.sort_unstable();
            granted.dedup();
            Categories::Only(granted.into())
        };
        let departments = if grants.all_departments_sources().next().is_some() {
            Departments::All
        } else {
            let levels = grants.department_levels();
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
                .filter(|p| grants.permission_sources(&p.name()).next().is_some())
                .collect(),
            categories,
            departments,
            teams: grants.teams.iter().copied().collect(),
        }
    }

    pub fn has(&self, permission: Permission) -> bool {
        self.permissions.contains(permission)
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        let ids = self.categories().len()
            + self.departments_at(Level::Full).len()
            + self.departments_at(Level::Assign).len()
            + self.teams.len();
        std::mem::size_of::<Access>() + ids * std::mem::size_of::<i64>()
    }

    /// The categories granted to a siloed agent, sorted.
    pub fn categories(&self) -> &[i64] {
        match &self.categories {
            Categories::Open => &[],
            Categories::Only(granted) => granted,
        }
    }

    /// The departments granted at a level or a higher one, with their descendants, sorted; none are
    /// listed for an agent that has all.
    pub fn departments_at(&self, level: Level) -> &[i64] {
        match (&self.departments, level) {
            (Departments::All, _) => &[],
            (Departments::Only { full, .. }, Level::Full) => full,
            (Departments::Only { assign, .. }, Level::Assign) => assign,
        }
    }

    pub(crate) fn departments(&self) -> &Departments {
        &self.departments
    }

    /// The teams of the agent, sorted.
    pub fn teams(&self) -> &[i64] {
        &self.teams
    }

    pub(crate) fn category(&self, category: Option<i64>) -> bool {
        match (&self.categories, category) {
            (Categories::Open, _) => true,
            (Categories::Only(_), None) => false,
            (Categories::Only(granted), Some(id)) => granted.binary_search(&id).is_ok(),
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
            .binary_search(&id)
            .is_ok(),
        }
    }

    pub(crate) fn team(&self, team: i64) -> bool {
        self.teams.binary_search(&team).is_ok()
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
