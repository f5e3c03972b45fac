//! Values: literals, columns, and what fits a column.

use super::Generator;
use crate::desk::{AGENTS, KINDS, TYPES, Ty};

impl Generator<'_> {
    /// An id of a ticket, an agent and so on, as a number.
    pub fn id(&mut self) -> String {
        match self.random.below(12) {
            0 => self
                .random
                .pick(&[
                    "0",
                    "-1",
                    "NULL::bigint",
                    "9223372036854775807",
                    "(-9223372036854775808)",
                ])
                .to_string(),
            1 | 2 => self.random.pick(&AGENTS).to_string(),
            3..6 => (1 + self.random.below(8)).to_string(),
            _ => (1 + self.random.below(48)).to_string(),
        }
    }

    /// The canary number of any row.
    pub(super) fn number(&mut self) -> String {
        let table = self.random.below(self.desk.tables.len());
        let rows = &self.desk.tables[table].rows;
        let row = self.random.below(rows.len());
        rows[row].number.to_string()
    }

    pub(super) fn word(&mut self) -> String {
        let table = self.random.below(self.desk.tables.len());
        let rows = &self.desk.tables[table].rows;
        match self.random.below(10) {
            0 => "NULL::text".into(),
            1 => "''".into(),
            2 => self
                .random
                .pick(&[
                    "'open'",
                    "'closed'",
                    "'spam'",
                    "'101'",
                    "'view'",
                    "'modify'",
                    "'cc'",
                    "'customer'",
                    "'Ticket'",
                    "'Article'",
                ])
                .to_string(),
            3 => self
                .random
                .pick(&["'zq'", "'%'", "'zqt%'", "'{}'", "'1'", "E'\\u2028'"])
                .to_string(),
            4 | 5 => format!("'{}'", rows[self.random.below(rows.len())].id),
            _ => format!("'{}'", rows[self.random.below(rows.len())].text),
        }
    }

    pub fn uuid(&mut self) -> String {
        match self.random.below(8) {
            0 => "NULL::uuid".into(),
            1 => "'00000000-0000-0000-0000-000000000000'::uuid".into(),
            _ => {
                let of = 1 + self.random.below(50);
                format!("'c0ffee00-0000-4000-0000-{of:012x}'::uuid")
            }
        }
    }

    pub fn literal(&mut self, ty: Ty) -> String {
        if self.parameters && self.random.percent(25) {
            match ty {
                Ty::Int => return "$1::bigint".into(),
                Ty::Text => return "$2::text".into(),
                Ty::Uuid => return "$3::uuid".into(),
                _ => {}
            }
        }
        match ty {
            Ty::Int if self.random.percent(15) => self.number(),
            Ty::Int => self.id(),
            Ty::Text => self.word(),
            Ty::Bool => self
                .random
                .pick(&["true", "false", "NULL::boolean"])
                .to_string(),
            Ty::Uuid => self.uuid(),
            Ty::Time => format!("'2026-01-01'::date + {}", self.random.below(430)),
        }
    }

    pub(super) fn column(&mut self, ty: Ty) -> Option<String> {
        let mut found: Vec<String> = Vec::new();
        for item in &self.scope {
            for (name, of) in &item.columns {
                if *of == ty {
                    found.push(format!("{}.{name}", item.alias));
                }
            }
        }
        (!found.is_empty()).then(|| self.random.pick(&found).clone())
    }

    pub(super) fn leaf(&mut self, ty: Ty) -> String {
        let column = if self.random.percent(80) {
            self.column(ty)
        } else {
            None
        };
        column.unwrap_or_else(|| self.literal(ty))
    }

    fn label(&mut self, labels: &[Option<&str>]) -> String {
        let label = *self.random.pick(labels);
        label.map_or("NULL".into(), |label| format!("'{label}'"))
    }

    /// A value that fits what the column is for.
    pub(super) fn value_for(&mut self, name: &str, ty: Ty) -> String {
        match name {
            "dept" => (1 + self.random.below(5)).to_string(),
            "cat" if ty == Ty::Int => (1 + self.random.below(8)).to_string(),
            "cat" => format!("'{}'", 101 + self.random.below(8)),
            "assignee" | "requester" | "author" | "owner" | "agent_id" if ty == Ty::Int => {
                self.random.pick(&AGENTS).to_string()
            }
            "status" => self
                .random
                .pick(&["'open'", "'closed'", "'spam'"])
                .to_string(),
            "team" | "org" => self.random.pick(&["1", "2", "3", "NULL"]).to_string(),
            "kind" => self.label(&KINDS),
            "type" => self.label(&TYPES),
            "conf" | "deleted" | "internal" => self.random.pick(&["true", "false"]).to_string(),
            "id" if ty == Ty::Int && self.random.percent(60) => {
                (100_000 + self.random.below(1_000_000)).to_string()
            }
            "id" if ty == Ty::Uuid && self.random.percent(60) => "gen_random_uuid()".into(),
            "created" => self
                .random
                .pick(&["'2026-05-05'", "'2027-05-05'"])
                .to_string(),
            _ => self.literal(ty),
        }
    }
}
