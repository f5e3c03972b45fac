//! The help desk in the database.

use deskguard_tests::help_desk::{Column, Id, Kind};

use super::{APP, Desk, KEY_SHIFT, Row, Rule, Table, Ty};

impl Desk {
    /// The tables with their rows, not yet protected. A superuser runs it.
    pub fn load_sql(&self, partitioning: PartKey) -> String {
        let mut sql = self.desks[0].rights_sql();
        sql += &format!("INSERT INTO deskguard.trusted_role VALUES ('{APP}');\n");
        sql += SCHEMAS;
        sql += partitioning.sql();
        for place in 0..self.tables.len() {
            sql += &self.rows_sql(place);
        }
        sql
    }

    /// Protects the tables, and shares what is shared.
    pub fn protect_sql(&self) -> String {
        let mut sql = String::from(PROTECT);
        for (place, id, with) in &self.shared {
            let table = &self.tables[*place];
            let column = match table.id_kind {
                Kind::Uuid => "object_key",
                _ => "object_id",
            };
            let (who, whom) = match with {
                Some(agent) => ("agent_id", agent.to_string()),
                None => ("everyone", "true".into()),
            };
            sql += &format!(
                "INSERT INTO deskguard.shared_visibility (object_table, {column}, {who}) VALUES ('{}', '{}', {whom});\n",
                table.name,
                table.id_kind.text(*id),
            );
        }
        sql
    }

    fn rows_sql(&self, place: usize) -> String {
        let table = &self.tables[place];
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        let rows = table.rows.iter().map(|row| {
            let values = names.iter().map(|name| self.value(table, row, name));
            format!("({})", values.collect::<Vec<_>>().join(", "))
        });
        format!(
            "INSERT INTO {} ({}) VALUES\n{};\n",
            table.name,
            names.join(", "),
            rows.collect::<Vec<_>>().join(",\n")
        )
    }

    fn value(&self, table: &Table, row: &Row, column: &str) -> String {
        if column == table.text {
            return format!("'{}'", row.text);
        }
        if column == table.number {
            return row.number.to_string();
        }
        let ticket = match table.rule {
            Rule::Ticket(desk) => Some((desk, self.desks[desk].ticket(row.of).expect("a ticket"))),
            _ => None,
        };
        let null_or = |value: Option<String>| value.unwrap_or_else(|| "NULL".into());
        let keyed = |column: &Option<Column>, value: Option<Id>| {
            let kind = column.as_ref().map_or(Kind::Int8, |column| column.kind);
            null_or(value.map(|value| kind.literal(value)))
        };
        if let Some((desk, of)) = ticket {
            let shape = &self.desks[desk].table;
            let (named, value) = match column {
                "dept" => (&shape.department, of.department),
                "cat" => (&shape.category, of.category),
                "assignee" => (&shape.assignee, of.assignee),
                "team" => (&shape.team, of.team),
                "requester" => (&shape.requester, of.requester),
                "org" => (&shape.requester_team, of.requester_team),
                _ => (&None, None),
            };
            if named.is_some() {
                return keyed(named, value);
            }
        }
        match (column, ticket) {
            ("id", _) => format!("'{}'", row.id),
            ("conf", Some((_, of))) => null_or(of.confidential.map(|is| is.to_string())),
            ("status", Some((_, of))) => format!("'{}'", of.status.unwrap_or("open")),
            ("kind" | "type", _) => null_or(row.label.map(|label| format!("'{label}'"))),
            ("internal", _) => null_or(row.internal.map(|is| is.to_string())),
            ("deleted", _) => self.deleted.contains(&row.of).to_string(),
            // Old ones in the first partition, new ones in the second.
            ("created", _) => {
                let year = if row.of % 2 == 0 { 2026 } else { 2027 };
                format!("'{year}-01-01'::date + {}", row.of)
            }
            ("ticket_id", _) => {
                let kind = match table.columns.iter().find(|(name, _)| *name == column) {
                    Some((_, Ty::Uuid)) => Kind::Uuid,
                    _ => Kind::Int8,
                };
                kind.literal(row.of)
            }
            ("agent_id", _) => {
                let kind = if table.id_kind == Kind::Uuid {
                    Kind::Uuid
                } else {
                    Kind::Int8
                };
                null_or(row.agent.map(|agent| kind.literal(agent)))
            }
            ("owner", _) if table.id_kind == Kind::Uuid => {
                null_or(row.agent.map(|agent| Kind::Uuid.literal(agent + KEY_SHIFT)))
            }
            ("owner" | "author" | "message_id", _) => {
                null_or(row.agent.map(|agent| agent.to_string()))
            }
            _ => unreachable!("{}.{column}", table.name),
        }
    }
}

/// How the partitioned ticket table is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKey {
    /// PRIMARY KEY (id, created), by created: an id may stand for several rows.
    Created,
    /// By id, where deskguard refuses the other.
    Id,
}

impl PartKey {
    fn sql(self) -> &'static str {
        match self {
            PartKey::Created => {
                "CREATE TABLE part.ticket (id bigint, created date NOT NULL, subject text, secret bigint, dept int, assignee int,
                    PRIMARY KEY (id, created)) PARTITION BY RANGE (created);
                 CREATE TABLE part.ticket_1 PARTITION OF part.ticket FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
                 CREATE TABLE part.ticket_2 PARTITION OF part.ticket FOR VALUES FROM ('2027-01-01') TO ('2100-01-01');
                 ALTER TABLE part.ticket OWNER TO deskguard_adversary_owner;
                 ALTER TABLE part.ticket_1 OWNER TO deskguard_adversary_owner;
                 ALTER TABLE part.ticket_2 OWNER TO deskguard_adversary_owner;
                 GRANT SELECT, INSERT, UPDATE, DELETE ON part.ticket, part.ticket_1, part.ticket_2 TO deskguard_adversary_user;\n"
            }
            PartKey::Id => {
                "CREATE TABLE part.ticket (id bigint PRIMARY KEY, created date NOT NULL, subject text, secret bigint, dept int, assignee int)
                    PARTITION BY RANGE (id);
                 CREATE TABLE part.ticket_1 PARTITION OF part.ticket FOR VALUES FROM (MINVALUE) TO (16);
                 CREATE TABLE part.ticket_2 PARTITION OF part.ticket FOR VALUES FROM (16) TO (MAXVALUE);
                 ALTER TABLE part.ticket OWNER TO deskguard_adversary_owner;
                 ALTER TABLE part.ticket_1 OWNER TO deskguard_adversary_owner;
                 ALTER TABLE part.ticket_2 OWNER TO deskguard_adversary_owner;
                 GRANT SELECT, INSERT, UPDATE, DELETE ON part.ticket, part.ticket_1, part.ticket_2 TO deskguard_adversary_user;\n"
            }
        }
    }
}

const SCHEMAS: &str = include_str!("desk.sql");
const PROTECT: &str = include_str!("protect.sql");
