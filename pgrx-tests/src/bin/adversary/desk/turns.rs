//! Turns of a help desk: what a superuser changes between transactions of those who attack it, with their
//! connections and what they remember.

use deskguard_tests::help_desk::{Id, Kind, Level, Scope};

use super::{Desk, KEY_SHIFT, KINDS, TYPES};
use crate::random::Random;

const SCOPED: [&str; 4] = ["sales", "shop", "clerks", "counter"];

impl Desk {
    /// Changes one thing here, and gives the SQL that changes it in the database.
    pub fn turn(&mut self, random: &mut Random) -> String {
        let sql = match random.below(8) {
            0 => self.turn_scope(random),
            1 | 2 => self.turn_department(random),
            3 => self.turn_permission(random),
            4 => self.turn_member(random),
            5 => self.turn_requester(random),
            6 => self.turn_label(random),
            _ => self.turn_note(random),
        };
        self.settle();
        sql
    }

    fn turn_scope(&mut self, random: &mut Random) -> String {
        let name = *random.pick(&SCOPED);
        let mut sql = String::new();
        for desk in &mut self.desks {
            let mut groups = desk.groups.iter_mut();
            let group = groups.find(|group| group.name == name).expect("a group");
            group.scope = match group.scope {
                Scope::Everywhere => Scope::Granted,
                Scope::Granted => Scope::Everywhere,
            };
            sql = format!(
                "UPDATE deskguard.permission_group SET scope = '{}' WHERE name = '{name}'",
                group.scope.sql()
            );
        }
        sql
    }

    /// A department of a group is another one, at any level.
    fn turn_department(&mut self, random: &mut Random) -> String {
        let granted: Vec<_> = self.desks[0].group_departments.keys().copied().collect();
        let (group, from) = *random.pick(&granted);
        let to = 1 + random.below(5) as Id;
        let level = *random.pick(&[Level::Assign, Level::Full, Level::Full]);
        for desk in &mut self.desks {
            desk.group_departments.remove(&(group, from));
            desk.group_departments.insert((group, to), level);
        }
        let id = group_id(group);
        format!(
            "DELETE FROM deskguard.group_department WHERE group_id = {id} AND department_id IN ({from}, {to});
             INSERT INTO deskguard.group_department (group_id, department_id, level) VALUES ({id}, {to}, '{}')",
            if level == Level::Full { "full" } else { "assign" }
        )
    }

    fn turn_permission(&mut self, random: &mut Random) -> String {
        let permissions = self.desks[0].permissions.iter();
        let names = permissions.map(|permission| permission.name.clone());
        let names: Vec<String> = names
            .filter(|name| name == "ticket.use" || name.starts_with("ticket.view."))
            .collect();
        let row = (*random.pick(&SCOPED), random.pick(&names).clone());
        for desk in &mut self.desks {
            if !desk.group_permissions.remove(&row) {
                desk.group_permissions.insert(row.clone());
            }
        }
        let (group, permission) = (row.0, &row.1);
        let granted = self.desks[0].group_permissions.contains(&row);
        toggle(
            "group_permission",
            "permission",
            group,
            &format!("'{permission}'"),
            granted,
        )
    }

    fn turn_member(&mut self, random: &mut Random) -> String {
        let row = (*random.pick(&SCOPED), 2 + random.below(10) as Id);
        for desk in &mut self.desks {
            if !desk.group_members.remove(&row) {
                desk.group_members.insert(row);
            }
        }
        let is_member = self.desks[0].group_members.contains(&row);
        toggle(
            "group_member",
            "agent_id",
            row.0,
            &row.1.to_string(),
            is_member,
        )
    }

    fn turn_requester(&mut self, random: &mut Random) -> String {
        let desk = *random.pick(&[0, 2]);
        let (kind, shift) = if desk == 0 {
            (Kind::Int4, 0)
        } else {
            (Kind::Uuid, KEY_SHIFT)
        };
        let requester = *random.pick(&[2, 3, 4, 9, 10, 11]) + shift;
        let of = random.below(self.desks[desk].tickets.len());
        let schema = self.desks[desk].table.schema;
        let ticket = &mut self.desks[desk].tickets[of];
        ticket.requester = Some(requester);
        let id = if desk == 0 { Kind::Int8 } else { Kind::Uuid };
        format!(
            "UPDATE {schema}.ticket SET requester = {} WHERE id = {}",
            kind.literal(requester),
            id.literal(ticket.id)
        )
    }

    /// The kind of a follower, or what a row belongs to.
    fn turn_label(&mut self, random: &mut Random) -> String {
        let tables = [
            "desk.follower",
            "part.follower",
            "part.message",
            "keyed.follower",
        ];
        let place = self.table(random.pick::<&str>(&tables));
        let table = &mut self.tables[place];
        let (column, labels) = if table.has("kind") {
            ("kind", &KINDS)
        } else {
            ("type", &TYPES)
        };
        let at = random.below(table.rows.len());
        let row = &mut table.rows[at];
        row.label = *random.pick(labels);
        let label = row
            .label
            .map_or("NULL".into(), |label| format!("'{label}'"));
        format!(
            "UPDATE {} SET {column} = {label} WHERE {} = '{}'",
            table.name, table.text, row.text
        )
    }

    fn turn_note(&mut self, random: &mut Random) -> String {
        let place = self.table(random.pick::<&str>(&["desk.message", "keyed.message"]));
        let table = &mut self.tables[place];
        let at = random.below(table.rows.len());
        let row = &mut table.rows[at];
        row.internal = *random.pick(&[Some(false), Some(true), None]);
        let internal = row.internal.map_or("NULL".into(), |is| is.to_string());
        format!(
            "UPDATE {} SET internal = {internal} WHERE {} = '{}'",
            table.name, table.text, row.text
        )
    }
}

fn group_id(name: &str) -> String {
    format!("(SELECT id FROM deskguard.permission_group WHERE name = '{name}')")
}

/// A row of a group, which is there now or not.
fn toggle(table: &str, column: &str, group: &str, value: &str, is_there: bool) -> String {
    let id = group_id(group);
    if is_there {
        format!("INSERT INTO deskguard.{table} (group_id, {column}) VALUES ({id}, {value})")
    } else {
        format!("DELETE FROM deskguard.{table} WHERE group_id = {id} AND {column} = {value}")
    }
}
