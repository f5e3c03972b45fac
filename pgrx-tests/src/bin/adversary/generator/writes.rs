//! Statements that change rows.

use super::{Generator, Item};
use crate::desk::{Columns, Ty};

impl Generator<'_> {
    pub(super) fn returning(&mut self) -> String {
        match self.random.below(10) {
            0..3 => String::new(),
            3..6 => " RETURNING *".into(),
            _ => {
                let list: Vec<String> = (0..2)
                    .map(|_| {
                        let ty = self.ty();
                        self.expression(ty, 2)
                    })
                    .collect();
                format!(" RETURNING {}", list.join(", "))
            }
        }
    }

    pub(super) fn assignments(&mut self, columns: Columns, with_excluded: bool) -> String {
        let mut parts = Vec::new();
        for _ in 0..1 + self.random.below(2) {
            let (name, ty) = *self.random.pick(columns);
            if parts
                .iter()
                .any(|part: &String| part.starts_with(&format!("{name} =")))
            {
                continue;
            }
            let value = match self.random.below(6) {
                0 if with_excluded => format!("EXCLUDED.{name}"),
                0..3 => self.value_for(name, ty),
                _ => self.expression(ty, 1),
            };
            parts.push(format!("{name} = {value}"));
        }
        parts.join(", ")
    }

    pub(super) fn new_row(&mut self, columns: Columns) -> String {
        let values: Vec<String> = columns
            .iter()
            .map(|(name, ty)| {
                let value = self.value_for(name, *ty);
                let cast = match ty {
                    Ty::Int
                        if ["dept", "cat", "assignee", "team", "requester", "org"]
                            .contains(name) =>
                    {
                        "int"
                    }
                    ty => ty.sql(),
                };
                format!("({value})::{cast}")
            })
            .collect();
        values.join(", ")
    }

    /// A statement that changes rows.
    pub fn change(&mut self) -> String {
        self.scope.clear();
        let (name, columns, _) = loop {
            let relation = self.relation();
            if relation.0 != "desk.joined_view" {
                break relation;
            }
        };
        let alias = self.alias();
        let item = Item {
            alias: alias.clone(),
            columns: Self::columns_of(columns),
            lockable: true,
        };
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let sql = match self.random.below(10) {
            0..3 => {
                let source = if self.random.percent(75) {
                    format!("VALUES ({})", self.new_row(columns))
                } else {
                    let types: Vec<Ty> = columns.iter().map(|(_, ty)| *ty).collect();
                    self.select(1, Some(&types)).0
                };
                self.scope.push(item);
                let key = if columns[1].0 == "agent_id" {
                    "ticket_id, agent_id"
                } else {
                    columns[0].0
                };
                let conflict = match self.random.below(10) {
                    0..5 => String::new(),
                    5 => " ON CONFLICT DO NOTHING".into(),
                    6 => format!(" ON CONFLICT ({key}) DO NOTHING"),
                    _ => {
                        let set = self.assignments(columns, true);
                        let filter = if self.random.percent(40) {
                            format!(" WHERE {}", self.condition(1))
                        } else {
                            String::new()
                        };
                        format!(" ON CONFLICT ({key}) DO UPDATE SET {set}{filter}")
                    }
                };
                let returning = self.returning();
                format!("INSERT INTO {name} AS {alias} ({names}) {source}{conflict}{returning}")
            }
            3..6 => {
                self.scope.push(item);
                let set = self.assignments(columns, false);
                let from = if self.random.percent(25) {
                    let kept = std::mem::take(&mut self.scope);
                    let from = self.table_item(1, false);
                    let mut scope = kept;
                    scope.append(&mut self.scope);
                    self.scope = scope;
                    format!(" FROM {from}")
                } else {
                    String::new()
                };
                let filter = self.condition(2);
                let returning = self.returning();
                format!("UPDATE {name} AS {alias} SET {set}{from} WHERE {filter}{returning}")
            }
            6..8 => {
                self.scope.push(item);
                let filter = self.condition(2);
                let returning = self.returning();
                format!("DELETE FROM {name} AS {alias} WHERE {filter}{returning}")
            }
            _ if name.contains("view") => format!("DELETE FROM {name} WHERE lair.tell(subject)"),
            _ => self.merge(&name, columns, item),
        };
        self.scope.clear();
        if sql.starts_with("MERGE") || self.random.percent(85) {
            return sql;
        }
        if sql.contains("RETURNING") {
            let outer = self.select(1, None).0;
            format!(
                "WITH changed AS ({sql}) SELECT changed.*, (SELECT count(*) FROM ({outer}) AS o) FROM changed"
            )
        } else {
            format!("WITH changed AS ({sql}) {}", self.select(1, None).0)
        }
    }

    pub(super) fn merge(&mut self, name: &str, columns: Columns, item: Item) -> String {
        let alias = item.alias.clone();
        let source = self.table_item(1, false);
        let of = self.scope.last().expect("the source").clone();
        self.scope.push(item);
        // It must be the last one that is joined.
        let on = {
            let (column, ty) = self.random.pick(columns);
            let fitting: Vec<&(String, Ty)> =
                of.columns.iter().filter(|(_, of)| of == ty).collect();
            match fitting.first() {
                Some((other, _)) => format!("{alias}.{column} = {}.{other}", of.alias),
                None => format!("{alias}.{} IS NOT NULL", columns[0].0),
            }
        };
        let matched = match self.random.below(3) {
            0 => "DELETE".to_string(),
            1 => "DO NOTHING".to_string(),
            _ => {
                let set = self.assignments(columns, false);
                format!("UPDATE SET {set}")
            }
        };
        let condition = if self.random.percent(50) {
            format!(" AND {}", self.condition(1))
        } else {
            String::new()
        };
        let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
        let row = self.new_row(columns);
        let returning = if self.version >= 170_000 {
            " RETURNING *"
        } else {
            ""
        };
        format!(
            "MERGE INTO {name} AS {alias} USING {source} ON {on} WHEN MATCHED{condition} THEN {matched} \
             WHEN NOT MATCHED THEN INSERT ({}) VALUES ({row}){returning}",
            names.join(", ")
        )
    }
}
