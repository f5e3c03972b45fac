//! The rows of deskguard's own tables.

use std::fmt::Display;

use super::{group_id, insert, nullable, rows};
use crate::help_desk::{HelpDesk, Id, Principal, catalog};
use crate::literal;

impl HelpDesk {
    /// The rows of deskguard's own tables: who there is and who may do what.
    pub fn rights_sql(&self) -> String {
        [
            self.principals_sql(),
            self.permissions_sql(),
            self.members_sql(),
            self.granted_permissions_sql(),
            self.granted_tickets_sql(),
        ]
        .concat()
    }

    fn principals_sql(&self) -> String {
        let agents = rows(&self.agents, |agent| {
            format!(
                "{0}, 'Agent {0}', {1}, {2}, {3}, {4}",
                agent.id,
                agent.active,
                nullable(agent.db_role.map(literal)),
                nullable(agent.category_access.map(|access| literal(access.sql()))),
                self.key_sql(Principal::Agent, agent.id),
            )
        });
        let teams = rows(&self.teams, |id| {
            let key = self.key_sql(Principal::Team, *id);
            format!("{id}, 'Team {id}', {key}")
        });
        let departments = rows(&self.departments, |department| {
            let parent = nullable(department.parent);
            let key = self.key_sql(Principal::Department, department.id);
            format!("{0}, 'Department {0}', {parent}, {key}", department.id)
        });
        let categories = rows(&self.categories, |id| {
            let key = self.key_sql(Principal::Category, *id);
            format!("{id}, 'Category {id}', {key}")
        });
        [
            insert(
                "deskguard.agent (id, name, active, db_role, category_access, external_key)",
                agents,
            ),
            insert("deskguard.team (id, name, external_key)", teams),
            insert(
                "deskguard.department (id, name, parent_id, external_key)",
                departments,
            ),
            insert("deskguard.category (id, name, external_key)", categories),
        ]
        .concat()
    }

    /// The permissions of one's own, and the groups.
    fn permissions_sql(&self) -> String {
        let permissions = rows(&self.permissions[catalog().len()..], |permission| {
            let name = literal(&permission.name);
            format!("{name}, 'one of the user', {}", permission.destructive)
        });
        let groups = rows(&self.groups, |group| {
            let departments = if group.all_departments {
                "all"
            } else {
                "granted"
            };
            format!(
                "{}, '{}', '{departments}', '{}'",
                literal(group.name),
                group.category_access.sql(),
                group.scope.sql()
            )
        });
        [
            insert(
                "deskguard.permission (name, description, destructive)",
                permissions,
            ),
            insert(
                "deskguard.permission_group (name, category_access, department_access, scope)",
                groups,
            ),
        ]
        .concat()
    }

    fn members_sql(&self) -> String {
        let of_teams = rows(&self.team_members, |(team, agent)| {
            self.timed("team_member", team, agent, format!("{team}, {agent}"))
        });
        let of_groups = rows(&self.group_members, |(group, agent)| {
            let row = format!("{}, {agent}", group_id(group));
            self.timed("group_member", group, agent, row)
        });
        [
            insert_timed("team_member", "team_id, agent_id", of_teams),
            insert_timed("group_member", "group_id, agent_id", of_groups),
        ]
        .concat()
    }

    fn granted_permissions_sql(&self) -> String {
        let by_groups = rows(&self.group_permissions, |(group, permission)| {
            let row = format!("{}, {}", group_id(group), literal(permission));
            self.timed("group_permission", group, permission, row)
        });
        let by_agents = rows(&self.agent_permissions, |(agent, permission)| {
            let row = format!("{agent}, {}", literal(permission));
            self.timed("agent_permission", agent, permission, row)
        });
        [
            insert_timed("group_permission", "group_id, permission", by_groups),
            insert_timed("agent_permission", "agent_id, permission", by_agents),
        ]
        .concat()
    }

    fn granted_tickets_sql(&self) -> String {
        let group_departments = rows(&self.group_departments, |((group, department), level)| {
            let row = format!("{}, {department}, '{}'", group_id(group), level.sql());
            self.timed("group_department", group, department, row)
        });
        let agent_departments = rows(&self.agent_departments, |((agent, department), level)| {
            let row = format!("{agent}, {department}, '{}'", level.sql());
            self.timed("agent_department", agent, department, row)
        });
        let group_categories = rows(&self.group_categories, |(group, category)| {
            let row = format!("{}, {category}", group_id(group));
            self.timed("group_category", group, category, row)
        });
        let agent_categories = rows(&self.agent_categories, |(agent, category)| {
            let row = format!("{agent}, {category}");
            self.timed("agent_category", agent, category, row)
        });
        [
            (
                "group_department",
                "group_id, department_id, level",
                group_departments,
            ),
            (
                "agent_department",
                "agent_id, department_id, level",
                agent_departments,
            ),
            ("group_category", "group_id, category_id", group_categories),
            ("agent_category", "agent_id, category_id", agent_categories),
        ]
        .map(|(table, columns, rows)| insert_timed(table, columns, rows))
        .concat()
    }

    /// A row of members or grants, with when it counts.
    fn timed(&self, table: &str, holder: impl Display, thing: impl Display, row: String) -> String {
        format!("{row}, {}", self.time(table, holder, thing).sql())
    }

    fn key_sql(&self, principal: Principal, id: Id) -> String {
        let key = self.external_keys.get(&(principal, id));
        nullable(key.map(|key| literal(key)))
    }
}

fn insert_timed(table: &str, columns: &str, rows: Vec<String>) -> String {
    insert(
        &format!("deskguard.{table} ({columns}, valid_from, valid_until)"),
        rows,
    )
}
