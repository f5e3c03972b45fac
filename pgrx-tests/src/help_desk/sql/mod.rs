//! The SQL that loads a help desk.

mod followers;
mod rights;
mod table;
mod tickets;

use super::{Access, HelpDesk, Level, Partitioning, Scope, TicketTable};
use crate::{ident, literal};

impl Access {
    fn sql(self) -> &'static str {
        match self {
            Access::Silo => "silo",
            Access::Open => "open",
        }
    }
}

impl Scope {
    pub fn sql(self) -> &'static str {
        match self {
            Scope::Everywhere => "everywhere",
            Scope::Granted => "granted",
        }
    }
}

impl Level {
    fn sql(self) -> &'static str {
        match self {
            Level::Assign => "assign",
            Level::Full => "full",
        }
    }
}

impl TicketTable {
    /// The table's name as SQL has it.
    pub fn sql(&self) -> String {
        format!("{}.{}", ident(self.schema), ident(self.name))
    }

    /// The argument `ticket_table` in calls of functions.
    pub fn argument(&self) -> String {
        if self.named_in_calls {
            format!("{}::regclass", literal(&self.sql()))
        } else {
            "NULL::regclass".into()
        }
    }

    /// Partitions that hold rows, as SQL has them.
    pub fn partitions(&self) -> Vec<String> {
        if self.partitioning == Partitioning::None {
            return Vec::new();
        }
        (1..=2)
            .map(|number| format!("{}.{}", ident(self.schema), self.partition(number)))
            .collect()
    }
}

impl HelpDesk {
    /// Creates the user's tables and all rows; a superuser runs it. Nothing is protected yet.
    pub fn load_sql(&self) -> String {
        self.table.create_sql() + &self.rights_sql() + &self.rows_sql()
    }

    /// The rows of the user's tables.
    fn rows_sql(&self) -> String {
        let mut sql = String::new();
        for ticket in &self.tickets {
            sql += &(self.table.insert_sql(ticket) + ";\n");
        }
        for row in &self.followers {
            sql += &(self.table.insert_follower_sql(row) + ";\n");
        }
        sql
    }

    /// Takes out all rows of a help desk and leaves what belongs to the extension.
    pub fn clean_sql() -> &'static str {
        "DELETE FROM deskguard.agent;\n\
         DELETE FROM deskguard.team;\n\
         UPDATE deskguard.department SET parent_id = NULL;\n\
         DELETE FROM deskguard.department;\n\
         DELETE FROM deskguard.category;\n\
         DELETE FROM deskguard.permission_group WHERE NOT builtin;\n\
         DELETE FROM deskguard.permission WHERE NOT builtin;\n"
    }
}

pub(in crate::help_desk) fn nullable(value: Option<impl ToString>) -> String {
    value.map_or("NULL".into(), |value| value.to_string())
}

/// `INSERT` with many rows, or nothing where there are none.
fn insert(into: &str, rows: Vec<String>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    format!("INSERT INTO {into} VALUES ({});\n", rows.join("), ("))
}

/// The id of a group, known by its name.
fn group_id(name: &str) -> String {
    let name = literal(name);
    format!("(SELECT id FROM deskguard.permission_group WHERE name = {name})")
}

fn rows<T>(items: impl IntoIterator<Item = T>, row: impl FnMut(T) -> String) -> Vec<String> {
    items.into_iter().map(row).collect()
}
