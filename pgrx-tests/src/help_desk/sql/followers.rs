//! The follower table: how it is made and protected, and its rows.

use serde_json::{Map, Value};

use super::nullable;
use crate::help_desk::{Follower, FollowerTable, TicketTable, WordColumn, WordKind};
use crate::{ident, literal};

impl FollowerTable {
    /// Its columns of words.
    fn words(&self) -> impl Iterator<Item = &WordColumn> {
        let kinds = self.kinds.iter().map(|kinds| &kinds.column);
        kinds.chain(self.row_type.iter().map(|of| &of.column))
    }

    /// The names and values of a row's columns.
    fn cells(&self, row: &Follower) -> Vec<(&'static str, String)> {
        let ticket = row.ticket.map(|id| self.ticket.kind.literal(id));
        let agent = row.agent.map(|id| self.agent.kind.literal(id));
        let mut cells = vec![
            (self.ticket.name, nullable(ticket)),
            (self.agent.name, nullable(agent)),
        ];
        let word =
            |column: &WordColumn, word: Option<&str>| (column.name, nullable(word.map(literal)));
        cells.extend(self.kinds.iter().map(|of| word(&of.column, row.kind)));
        let row_type = self.row_type.iter();
        cells.extend(row_type.map(|of| word(&of.column, row.row_type)));
        cells
    }

    /// A row as a JSON object.
    pub fn json_sql(&self, row: &Follower) -> String {
        let cells = self.cells(row).into_iter();
        let cells: Vec<String> = cells
            .map(|(name, value)| format!("{}, {value}", literal(name)))
            .collect();
        format!("jsonb_build_object({})", cells.join(", "))
    }
}

impl WordColumn {
    /// As the tables in this schema have it, and where the type is an enum.
    pub fn type_sql(&self, schema: &str) -> String {
        match self.kind {
            WordKind::Text => "text".into(),
            WordKind::Integer(kind) => kind.sql().into(),
            WordKind::Enum => {
                format!("{}.{}", ident(schema), ident(&format!("a {}", self.name)))
            }
        }
    }

    pub fn create_enum_sql(&self, schema: &str) -> String {
        if self.kind != WordKind::Enum {
            return String::new();
        }
        let labels = self.kind.values().map(literal).join(", ");
        format!(
            "CREATE TYPE {} AS ENUM ({labels});\n",
            self.type_sql(schema)
        )
    }

    pub fn drop_enum_sql(&self, schema: &str) -> String {
        if self.kind != WordKind::Enum {
            return String::new();
        }
        format!("DROP TYPE {};\n", self.type_sql(schema))
    }
}

impl TicketTable {
    pub fn follower_sql(&self) -> Option<String> {
        let follower = self.follower.as_ref()?;
        Some(format!("{}.{}", ident(self.schema), ident(follower.name)))
    }

    pub(super) fn create_follower_enums_sql(&self) -> String {
        let columns = self.follower.iter().flat_map(FollowerTable::words);
        columns.map(|of| of.create_enum_sql(self.schema)).collect()
    }

    pub(super) fn drop_follower_enums_sql(&self) -> String {
        let columns = self.follower.iter().flat_map(FollowerTable::words);
        columns.map(|of| of.drop_enum_sql(self.schema)).collect()
    }

    pub(super) fn create_follower_sql(&self) -> String {
        let (Some(follower), Some(name)) = (&self.follower, self.follower_sql()) else {
            return String::new();
        };
        let references = if follower.references {
            format!(" REFERENCES {} ON DELETE CASCADE", self.sql())
        } else {
            String::new()
        };
        let (ticket, agent) = (ident(follower.ticket.name), ident(follower.agent.name));
        let words = follower
            .words()
            .map(|of| format!(", {} {}", ident(of.name), of.type_sql(self.schema)));
        let mut sql = format!(
            "CREATE TABLE {name} ({ticket} {}{references}, {agent} {}{});\n",
            follower.ticket.kind.sql(),
            follower.agent.kind.sql(),
            words.collect::<String>(),
        );
        if self.indexed {
            sql += &format!(
                "CREATE INDEX ON {name} ({ticket}, {agent}); CREATE INDEX ON {name} ({agent});\n"
            );
        }
        sql
    }

    /// What `protect_tickets()` is told of the followers.
    pub(super) fn follower_arguments(&self) -> Vec<String> {
        let (Some(follower), Some(name)) = (&self.follower, self.follower_sql()) else {
            return Vec::new();
        };
        let mut arguments = vec![
            ("follower_table", name),
            ("follower_ticket_column", follower.ticket.name.into()),
            ("follower_agent_column", follower.agent.name.into()),
        ];
        if let Some(kinds) = &follower.kinds {
            let meanings = kinds.meanings.iter();
            let meanings: Map<String, Value> = meanings
                .map(|(kind, meaning)| (kind.to_string(), meaning.name().into()))
                .collect();
            arguments.push(("follower_kind_column", kinds.column.name.into()));
            arguments.push(("follower_kinds", Value::Object(meanings).to_string()));
        }
        let mut types = Vec::new();
        if let Some(of) = &follower.row_type {
            arguments.push(("follower_type_column", of.column.name.into()));
            arguments.push(("other_follower_types", of.others.sql().into()));
            types.push(format!("follower_type_values => {}", of.values_sql()));
        }
        let arguments = arguments.into_iter();
        arguments
            // JSON has backslashes, which are nothing to such a string.
            .map(|(argument, value)| format!("{argument} => '{}'", value.replace('\'', "''")))
            .chain(types)
            .collect()
    }

    /// `INSERT` of one row of the follower table.
    pub fn insert_follower_sql(&self, row: &Follower) -> String {
        let (Some(follower), Some(name)) = (&self.follower, self.follower_sql()) else {
            return String::new();
        };
        let (names, values): (Vec<_>, Vec<_>) = follower.cells(row).into_iter().unzip();
        let names: Vec<String> = names.into_iter().map(ident).collect();
        format!(
            "INSERT INTO {name} ({}) VALUES ({})",
            names.join(", "),
            values.join(", ")
        )
    }
}
