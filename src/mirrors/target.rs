//! The tables of deskguard that a mirror may fill.

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg::error;

pub struct Target {
    pub name: &'static str,
    /// The columns of its primary key.
    pub key: &'static [&'static str],
}

/// In the order in which they are refreshed: what others refer to comes first.
pub const TARGETS: [Target; 13] = [
    of("agent", &["id"]),
    of("team", &["id"]),
    of("department", &["id"]),
    of("category", &["id"]),
    of("permission_group", &["id"]),
    of("team_member", &["team_id", "agent_id"]),
    of("group_member", &["group_id", "agent_id"]),
    of("group_permission", &["group_id", "permission"]),
    of("group_department", &["group_id", "department_id"]),
    of("group_category", &["group_id", "category_id"]),
    of("agent_permission", &["agent_id", "permission"]),
    of("agent_department", &["agent_id", "department_id"]),
    of("agent_category", &["agent_id", "category_id"]),
];

const fn of(name: &'static str, key: &'static [&'static str]) -> Target {
    Target { name, key }
}

/// What a column with an id refers to: the column, without its _id, and the table.
const REFERENCES: [(&str, &str); 6] = [
    ("agent", "agent"),
    ("team", "team"),
    ("department", "department"),
    ("category", "category"),
    ("group", "permission_group"),
    ("parent", "department"),
];

impl Target {
    pub fn find(name: &str) -> Option<&'static Target> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// The same, of a name that a user gave.
    pub fn named(name: &str) -> &'static Target {
        Target::find(name.strip_prefix("deskguard.").unwrap_or(name)).unwrap_or_else(|| {
            let all: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            error::raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("\"{name}\" is no table that a mirror can fill"),
                format!("Tables that it can: {}.", all.join(", ")),
            )
        })
    }

    /// Its place among [`TARGETS`].
    pub fn rank(&self) -> usize {
        let place = TARGETS.iter().position(|target| target.name == self.name);
        place.unwrap_or(TARGETS.len())
    }

    /// Agents, teams, departments, categories and groups: others refer to them.
    pub fn is_principal(&self) -> bool {
        self.key == ["id"]
    }

    /// Does the primary key refer to this table?
    pub fn depends_on(&self, other: &Target) -> bool {
        let refers = |column: &&str| {
            column
                .strip_suffix("_id")
                .and_then(referred)
                .is_some_and(|table| table == other.name)
        };
        self.key.iter().any(refers)
    }

    /// With its schema.
    pub fn table(&self) -> String {
        format!("deskguard.{}", self.name)
    }

    /// The columns that a source may give, with their types.
    pub fn columns(&self) -> Result<Vec<(String, String)>, SpiError> {
        Spi::connect(|client| {
            let rows = client.select(
                "SELECT a.attname::pg_catalog.text, pg_catalog.format_type(a.atttypid, a.atttypmod)
                 FROM pg_catalog.pg_attribute AS a
                 WHERE a.attrelid OPERATOR(pg_catalog.=) $1::pg_catalog.regclass
                     AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
                     AND a.attname OPERATOR(pg_catalog.<>) 'builtin'
                 ORDER BY a.attnum",
                None,
                &[self.table().into()],
            )?;
            let mut columns = vec![];
            for row in rows {
                columns.push((
                    row.get(1)?.unwrap_or_default(),
                    row.get(2)?.unwrap_or_default(),
                ));
            }
            Ok(columns)
        })
    }
}

/// The table that a column refers to, by its name without _id.
pub fn referred(stem: &str) -> Option<&'static str> {
    let found = REFERENCES.iter().find(|(column, _)| *column == stem);
    found.map(|(_, table)| *table)
}
