//! The rows of deskguard's own tables.

use super::{group_id, insert, nullable, rows};
use crate::help_desk::{HelpDesk, Id, Principal, catalog};
use crate::literal;

impl HelpDesk {
    /// The rows of deskguard's own tables: who there is and who may do what.
    pub fn rights_sql(&self) -> String {
        let mut sql = insert(
            "deskguard.agent (id, name, active, db_role, category_access, external_key)",
            rows(&self.agents, |agent| {
                format!(
                    "{0}, 'Agent {0}', {1}, {2}, {3}, {4}",
                    agent.id,
                    agent.active,
                    nullable(agent.db_role.map(literal)),
                    nullable(agent.category_access.map(|access| literal(access.sql()))),
                    self.key_sql(Principal::Agent, agent.id),
                )
            }),
        );
        sql += &insert(
            "deskguard.team (id, name, external_key)",
            rows(&self.teams, |id| {
                let key = self.key_sql(Principal::Team, *id);
                format!("{id}, 'Team {id}', {key}")
            }),
        );
        sql += &insert(
            "deskguard.team_member (team_id, agent_id, valid_from, valid_until)",
            rows(&self.team_members, |(team, agent)| {
                let time = self.time("team_member", team, agent).sql();
                format!("{team}, {agent}, {time}")
            }),
        );
        sql += &insert(
            "deskguard.department (id, name, parent_id, external_key)",
            rows(&self.departments, |department| {
                let parent = nullable(department.parent);
                let key = self.key_sql(Principal::Department, department.id);
                format!("{0}, 'Department {0}', {parent}, {key}", department.id)
            }),
        );
        sql += &insert(
            "deskguard.category (id, name, external_key)",
            rows(&self.categories, |id| {
                let key = self.key_sql(Principal::Category, *id);
                format!("{id}, 'Category {id}', {key}")
            }),
        );
        sql += &insert(
            "deskguard.permission (name, description, destructive)",
            rows(&self.permissions[catalog().len()..], |permission| {
                let name = literal(&permission.name);
                format!("{name}, 'one of the user', {}", permission.destructive)
            }),
        );
        sql += &insert(
            "deskguard.permission_group (name, category_access, department_access)",
            rows(&self.groups, |group| {
                let departments = if group.all_departments {
                    "all"
                } else {
                    "granted"
                };
                format!(
                    "{}, '{}', '{departments}'",
                    literal(group.name),
                    group.category_access.sql()
                )
            }),
        );
        sql += &insert(
            "deskguard.group_member (group_id, agent_id, valid_from, valid_until)",
            rows(&self.group_members, |(group, agent)| {
                let time = self.time("group_member", group, agent).sql();
                format!("{}, {agent}, {time}", group_id(group))
            }),
        );
        sql += &insert(
            "deskguard.group_permission (group_id, permission, valid_from, valid_until)",
            rows(&self.group_permissions, |(group, permission)| {
                let time = self.time("group_permission", group, permission).sql();
                format!("{}, {}, {time}", group_id(group), literal(permission))
            }),
        );
        sql += &insert(
            "deskguard.agent_permission (agent_id, permission, valid_from, valid_until)",
            rows(&self.agent_permissions, |(agent, permission)| {
                let time = self.time("agent_permission", agent, permission).sql();
                format!("{agent}, {}, {time}", literal(permission))
            }),
        );
        sql += &insert(
            "deskguard.group_department (group_id, department_id, level, valid_from, valid_until)",
            rows(&self.group_departments, |((group, department), level)| {
                let time = self.time("group_department", group, department).sql();
                format!(
                    "{}, {department}, '{}', {time}",
                    group_id(group),
                    level.sql()
                )
            }),
        );
        sql += &insert(
            "deskguard.agent_department (agent_id, department_id, level, valid_from, valid_until)",
            rows(&self.agent_departments, |((agent, department), level)| {
                let time = self.time("agent_department", agent, department).sql();
                format!("{agent}, {department}, '{}', {time}", level.sql())
            }),
        );
        sql += &insert(
            "deskguard.group_category (group_id, category_id, valid_from, valid_until)",
            rows(&self.group_categories, |(group, category)| {
                let time = self.time("group_category", group, category).sql();
                format!("{}, {category}, {time}", group_id(group))
            }),
        );
        sql += &insert(
            "deskguard.agent_category (agent_id, category_id, valid_from, valid_until)",
            rows(&self.agent_categories, |(agent, category)| {
                let time = self.time("agent_category", agent, category).sql();
                format!("{agent}, {category}, {time}")
            }),
        );
        sql
    }

    fn key_sql(&self, principal: Principal, id: Id) -> String {
        let key = self.external_keys.get(&(principal, id));
        nullable(key.map(|key| literal(key)))
    }
}
