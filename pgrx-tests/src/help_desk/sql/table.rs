//! The user's tables: how they are made, protected and dropped.

use crate::help_desk::{Column, Part, Partitioning, TicketTable, WordKind};
use crate::server::{APP, MAPPED, OWNER};
use crate::{ident, literal};

/// The columns that no rule asks, and that are searched.
const SEARCHED: &str = "subject text, doc tsvector, meta jsonb";

impl TicketTable {
    pub(super) fn create_sql(&self) -> String {
        [
            format!("CREATE SCHEMA IF NOT EXISTS {};\n", ident(self.schema)),
            self.create_enum_sql(),
            self.create_follower_enums_sql(),
            self.create_table_sql(),
            self.create_follower_sql(),
            self.create_indexes_sql(),
            self.grant_sql(),
        ]
        .concat()
    }

    fn create_enum_sql(&self) -> String {
        let Some(status) = self.status.as_ref().filter(|_| self.is_enum()) else {
            return String::new();
        };
        let labels = status.kind.values().map(literal).join(", ");
        format!("CREATE TYPE {} AS ENUM ({labels});\n", self.enum_sql())
    }

    fn create_table_sql(&self) -> String {
        let define = |(part, name): &(Part, String)| {
            let not_null = if *part == Part::Id { " NOT NULL" } else { "" };
            format!("{name} {}{not_null}", self.type_of(*part))
        };
        let mut columns: Vec<String> = self.columns().iter().map(define).collect();
        let forward = columns.join(", ");
        columns.reverse();
        let backward = columns.join(", ");
        let (table, id) = (self.sql(), ident(self.id.name));
        let key = match self.partitioning {
            Partitioning::ByDepartment => self.department.as_ref().map(|c| ("LIST", c)),
            Partitioning::ByCategory => self.category.as_ref().map(|c| ("LIST", c)),
            Partitioning::ById => Some(("HASH", &self.id)),
            Partitioning::None => None,
        };
        // A dropped column makes column numbers of a table and its partitions differ.
        let Some((strategy, Column { name, kind })) = key else {
            return format!(
                "CREATE TABLE {table} (gone text, {forward}, {SEARCHED}, PRIMARY KEY ({id}));\n\
                 ALTER TABLE {table} DROP COLUMN gone;\n"
            );
        };
        let values = [1, 2].map(|id| kind.literal(id)).join(", ");
        let (unique, bounds) = if strategy == "HASH" {
            let bound = |rest| format!("FOR VALUES WITH (MODULUS 2, REMAINDER {rest})");
            (format!(", PRIMARY KEY ({id})"), [0, 1].map(bound))
        } else {
            let in_first = format!("FOR VALUES IN (NULL, {values})");
            (String::new(), [in_first, "DEFAULT".into()])
        };
        let key = ident(name);
        let partitions = self.partitions();
        let (first, second) = (&partitions[0], &partitions[1]);
        let [first_bound, second_bound] = bounds;
        format!(
            "CREATE TABLE {table} ({forward}, {SEARCHED}{unique}) \
             PARTITION BY {strategy} ({key});\n\
             CREATE TABLE {first} PARTITION OF {table} {first_bound};\n\
             CREATE TABLE {second} (gone int, {SEARCHED}, {backward}{unique});\n\
             ALTER TABLE {second} DROP COLUMN gone;\n\
             ALTER TABLE {table} ATTACH PARTITION {second} {second_bound};\n"
        )
    }

    fn create_indexes_sql(&self) -> String {
        let columns = self.columns().into_iter().filter(|_| self.indexed);
        let table = self.sql();
        // The second for tickets in order: of a category, of a department and so on.
        let id = ident(self.id.name);
        let mut sql: String = columns
            .map(|(_, column)| {
                format!(
                    "CREATE INDEX ON {table} ({column}); CREATE INDEX ON {table} ({column}, {id});\n"
                )
            })
            .collect();
        for searched in ["USING gin (doc)", "USING gin (meta)", "((meta ->> 'word'))"] {
            sql += &format!("CREATE INDEX ON {table} {searched};\n");
        }
        sql
    }

    fn grant_sql(&self) -> String {
        let app = [APP].into_iter().chain(MAPPED).map(ident);
        let app = app.collect::<Vec<_>>().join(", ");
        let tables = self.tables().into_iter().map(|table| {
            format!(
                "ALTER TABLE {table} OWNER TO {OWNER};\n\
                 GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {app};\n"
            )
        });
        let schema = format!("GRANT USAGE ON SCHEMA {} TO PUBLIC;\n", ident(self.schema));
        schema + &tables.collect::<String>()
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
            ("requester_column", &self.requester),
            ("requester_team_column", &self.requester_team),
        ] {
            if let Some(column) = column {
                arguments.push(format!("{argument} => {}", literal(column.name)));
            }
        }
        arguments.extend(self.follower_arguments());
        if let Some(column) = self.confidential {
            arguments.push(format!("confidential_column => {}", literal(column)));
        }
        if let Some(status) = &self.status {
            let column = literal(status.name);
            arguments.push(format!("status_column => {column}"));
            for (argument, values) in &status.lists {
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
        let of_followers = self.drop_follower_enums_sql();
        format!(
            "{follower}DROP TABLE {};\n{status}{of_followers}",
            self.sql()
        )
    }

    fn enum_sql(&self) -> String {
        format!("{}.{}", ident(self.schema), ident(self.status_type))
    }

    fn is_enum(&self) -> bool {
        let status = self.status.as_ref();
        status.is_some_and(|status| status.kind == WordKind::Enum)
    }

    fn type_of(&self, part: Part) -> String {
        match part {
            Part::Id => self.id.kind.sql().into(),
            Part::Department
            | Part::Category
            | Part::Assignee
            | Part::Team
            | Part::Requester
            | Part::RequesterTeam => {
                let column = self.key_column(part);
                column.map_or("", |column| column.kind.sql()).into()
            }
            Part::Confidential => "boolean".into(),
            Part::Status => match self.status.as_ref().map(|status| status.kind) {
                Some(WordKind::Integer(kind)) => kind.sql().into(),
                Some(WordKind::Enum) => self.enum_sql(),
                Some(WordKind::Text) | None => "text".into(),
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
