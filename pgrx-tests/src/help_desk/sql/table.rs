//! The user's tables: how they are made, protected and dropped.

use std::fmt::Write as _;

use crate::help_desk::{Column, Part, Partitioning, StatusKind, TicketTable};
use crate::server::{APP, MAPPED, OWNER};
use crate::{ident, literal};

impl TicketTable {
    pub(super) fn create_sql(&self) -> String {
        let mut sql = format!("CREATE SCHEMA IF NOT EXISTS {};\n", ident(self.schema));
        if let Some(status) = self.status.as_ref().filter(|_| self.is_enum()) {
            let labels = status.kind.values().map(literal).join(", ");
            let _ = writeln!(sql, "CREATE TYPE {} AS ENUM ({labels});", self.enum_sql());
        }
        let define = |(part, name): &(Part, String)| {
            let not_null = if *part == Part::Id { " NOT NULL" } else { "" };
            format!("{name} {}{not_null}", self.type_of(*part))
        };
        let mut columns: Vec<String> = self.columns().iter().map(define).collect();
        let forward = columns.join(", ");
        columns.reverse();
        let backward = columns.join(", ");
        let table = self.sql();
        let id = ident(self.id.name);
        let key = match self.partitioning {
            Partitioning::ByDepartment => self.department.as_ref().map(|c| ("LIST", c)),
            Partitioning::ByCategory => self.category.as_ref().map(|c| ("LIST", c)),
            Partitioning::ById => Some(("HASH", &self.id)),
            Partitioning::None => None,
        };
        // A dropped column makes column numbers of a table and its partitions differ.
        match key {
            None => {
                let _ = writeln!(
                    sql,
                    "CREATE TABLE {table} (gone text, {forward}, subject text, PRIMARY KEY ({id}));\n\
                     ALTER TABLE {table} DROP COLUMN gone;"
                );
            }
            Some((strategy, Column { name, kind })) => {
                let unique = if strategy == "HASH" {
                    format!(", PRIMARY KEY ({id})")
                } else {
                    String::new()
                };
                let values = [1, 2].map(|id| kind.literal(id)).join(", ");
                let in_first = format!("FOR VALUES IN (NULL, {values})");
                let bounds = if strategy == "HASH" {
                    [
                        "FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
                        "FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
                    ]
                } else {
                    [in_first.as_str(), "DEFAULT"]
                };
                let key = ident(name);
                let partitions = self.partitions();
                let (first, second) = (&partitions[0], &partitions[1]);
                let (first_bound, second_bound) = (bounds[0], bounds[1]);
                let _ = writeln!(
                    sql,
                    "CREATE TABLE {table} ({forward}, subject text{unique}) \
                     PARTITION BY {strategy} ({key});\n\
                     CREATE TABLE {first} PARTITION OF {table} {first_bound};\n\
                     CREATE TABLE {second} (gone int, subject text, {backward}{unique});\n\
                     ALTER TABLE {second} DROP COLUMN gone;\n\
                     ALTER TABLE {table} ATTACH PARTITION {second} {second_bound};"
                );
            }
        }
        if let (Some(follower), Some(name)) = (&self.follower, self.follower_sql()) {
            let references = if follower.references {
                format!(" REFERENCES {table} ON DELETE CASCADE")
            } else {
                String::new()
            };
            let (ticket, agent) = (ident(follower.ticket.name), ident(follower.agent.name));
            let _ = writeln!(
                sql,
                "CREATE TABLE {name} ({ticket} {}{references}, {agent} {});",
                follower.ticket.kind.sql(),
                follower.agent.kind.sql(),
            );
            if self.indexed {
                let _ = writeln!(
                    sql,
                    "CREATE INDEX ON {name} ({ticket}, {agent}); CREATE INDEX ON {name} ({agent});"
                );
            }
        }
        if self.indexed {
            for (_, column) in self.columns() {
                let _ = writeln!(sql, "CREATE INDEX ON {table} ({column});");
            }
        }
        let app = [APP].into_iter().chain(MAPPED).map(ident);
        let app = app.collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            sql,
            "GRANT USAGE ON SCHEMA {} TO PUBLIC;",
            ident(self.schema)
        );
        for table in self.tables() {
            let _ = writeln!(
                sql,
                "ALTER TABLE {table} OWNER TO {OWNER};\n\
                 GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {app};"
            );
        }
        sql
    }

    pub fn protect_sql(&self) -> String {
        let mut arguments = vec![
            format!("ticket_table => {}", literal(&self.sql())),
            format!("id_column => {}", literal(self.id.name)),
        ];
        for (argument, column) in [
            ("department_column", &self.department),
            ("category_column", &self.category),
            ("assignee_column", &self.assignee),
            ("team_column", &self.team),
        ] {
            if let Some(column) = column {
                arguments.push(format!("{argument} => {}", literal(column.name)));
            }
        }
        if let (Some(follower), Some(name)) = (&self.follower, self.follower_sql()) {
            arguments.push(format!("follower_table => {}", literal(&name)));
            arguments.push(format!(
                "follower_ticket_column => {}",
                literal(follower.ticket.name)
            ));
            arguments.push(format!(
                "follower_agent_column => {}",
                literal(follower.agent.name)
            ));
        }
        if let Some(column) = self.confidential {
            arguments.push(format!("confidential_column => {}", literal(column)));
        }
        if let Some(status) = &self.status {
            let column = literal(status.name);
            arguments.push(format!("status_column => {column}"));
            for (argument, values) in [
                ("archived_values", &status.archived),
                ("spam_values", &status.spam),
            ] {
                let values: Vec<String> = values.iter().map(|value| literal(value)).collect();
                if !values.is_empty() {
                    let values = values.join(", ");
                    arguments.push(format!("{argument} => ARRAY[{values}]"));
                }
            }
        }
        if let Some(value) = self.unassigned_value {
            arguments.push(format!("unassigned_value => {value}"));
        }
        format!(
            "SELECT deskguard.protect_tickets({});\n",
            arguments.join(", ")
        )
    }

    pub fn unprotect_sql(&self) -> String {
        format!("SELECT deskguard.unprotect({});\n", literal(&self.sql()))
    }

    pub fn drop_sql(&self) -> String {
        let follower = self.follower_sql();
        let follower = follower.map_or(String::new(), |name| format!("DROP TABLE {name};\n"));
        let status = if self.is_enum() {
            format!("DROP TYPE {};\n", self.enum_sql())
        } else {
            String::new()
        };
        format!("{follower}DROP TABLE {};\n{status}", self.sql())
    }

    fn enum_sql(&self) -> String {
        format!("{}.{}", ident(self.schema), ident(self.status_type))
    }

    fn is_enum(&self) -> bool {
        let status = self.status.as_ref();
        status.is_some_and(|status| status.kind == StatusKind::Enum)
    }

    fn type_of(&self, part: Part) -> String {
        let of = |column: &Option<Column>| column.as_ref().map_or("", |c| c.kind.sql()).into();
        match part {
            Part::Id => self.id.kind.sql().into(),
            Part::Department => of(&self.department),
            Part::Category => of(&self.category),
            Part::Assignee => of(&self.assignee),
            Part::Team => of(&self.team),
            Part::Confidential => "boolean".into(),
            Part::Status => match self.status.as_ref().map(|status| status.kind) {
                Some(StatusKind::Integer(kind)) => kind.sql().into(),
                Some(StatusKind::Enum) => self.enum_sql(),
                Some(StatusKind::Text) | None => "text".into(),
            },
        }
    }

    fn tables(&self) -> Vec<String> {
        let mut tables = vec![self.sql()];
        tables.extend(self.partitions());
        tables.extend(self.follower_sql());
        tables
    }

    pub(super) fn partition(&self, number: usize) -> String {
        ident(&format!("{} part {number}", self.name))
    }
}
