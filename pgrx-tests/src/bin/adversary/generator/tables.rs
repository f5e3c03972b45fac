//! What stands in FROM.

use std::fmt::Write as _;

use super::{Generator, Item};
use crate::desk::{AGENTS, Columns, OTHER_NAMES, Ty};

impl Generator<'_> {
    pub(super) fn relation(&mut self) -> (String, Columns, bool) {
        if self.random.percent(15) {
            let (name, columns) = *self.random.pick(&OTHER_NAMES);
            return (name.into(), columns, name != "desk.joined_view");
        }
        let table = &self.desk.tables[self.random.below(self.desk.tables.len())];
        (table.name.into(), table.columns, true)
    }

    pub(super) fn columns_of(columns: Columns) -> Vec<(String, Ty)> {
        columns
            .iter()
            .map(|(name, ty)| (name.to_string(), *ty))
            .collect()
    }

    /// An item of FROM, which comes into the scope.
    pub(super) fn table_item(&mut self, depth: usize, may_lateral: bool) -> String {
        let alias = self.alias();
        let (sql, columns, lockable) = match self.random.below(if depth == 0 { 10 } else { 16 }) {
            0..9 => {
                let (name, columns, lockable) = self.relation();
                let columns = Self::columns_of(columns);
                let only = if name == "part.ticket_1" && self.random.percent(30) {
                    "ONLY "
                } else {
                    ""
                };
                let sample = if lockable && !name.contains("view") && self.random.percent(5) {
                    let way = *self.random.pick(&[
                        "BERNOULLI (60)",
                        "SYSTEM (100)",
                        "BERNOULLI (100) REPEATABLE (7)",
                    ]);
                    format!(" TABLESAMPLE {way}")
                } else {
                    String::new()
                };
                (
                    format!("{only}{name} AS {alias}{sample}"),
                    columns,
                    lockable,
                )
            }
            9 => {
                let call = match self.random.below(4) {
                    0 => format!("desk.ticket_of({})", self.id()),
                    _ => {
                        let agent = *self.random.pick(&AGENTS);
                        let sets = ["visible_tickets", "visible_tickets", "followed_tickets"];
                        let set = *self.random.pick(&sets);
                        let table = self.regclass();
                        if set == "followed_tickets" {
                            format!("unnest({})", self.set_call(set, &table, agent))
                        } else {
                            format!("deskguard.{set}({agent}, {table})")
                        }
                    }
                };
                if call.starts_with("desk.") {
                    let columns = Self::columns_of(self.desk.tables[0].columns);
                    (format!("{call} AS {alias}"), columns, false)
                } else {
                    (
                        format!("{call} AS {alias}(v)"),
                        vec![("v".into(), Ty::Int)],
                        false,
                    )
                }
            }
            10 => {
                let value = self.literal(Ty::Text);
                let id = self.id();
                let columns = vec![("v".into(), Ty::Int), ("w".into(), Ty::Text)];
                (
                    format!("(VALUES ({id}::bigint, {value}), (3, 'x')) AS {alias}(v, w)"),
                    columns,
                    false,
                )
            }
            11 => {
                let columns = vec![("g".into(), Ty::Int)];
                (
                    format!(
                        "generate_series(1, {}) AS {alias}(g)",
                        1 + self.random.below(20)
                    ),
                    columns,
                    false,
                )
            }
            kind => {
                let lateral = may_lateral && kind < 14;
                // Without LATERAL the tables beside it are out of reach.
                let kept = if lateral {
                    Vec::new()
                } else {
                    std::mem::take(&mut self.scope)
                };
                let (select, columns) = self.select(depth - 1, None);
                if !lateral {
                    self.scope = kept;
                }
                let offset = if self.random.percent(25) {
                    " OFFSET 0"
                } else {
                    ""
                };
                let lateral = if lateral { "LATERAL " } else { "" };
                (
                    format!("{lateral}({select}{offset}) AS {alias}"),
                    columns,
                    false,
                )
            }
        };
        self.scope.push(Item {
            alias,
            columns,
            lockable,
        });
        sql
    }

    pub(super) fn tables(&mut self, depth: usize) -> String {
        let mut sql = self.table_item(depth, false);
        for _ in 0..self.random.weighted(&[55, 33, 12]) {
            // A table that is joined sees what is before it only if LATERAL.
            let kind = self.random.below(10);
            let item = self.table_item(depth, kind < 7);
            let join = match kind {
                0..4 => "JOIN",
                4..6 => "LEFT JOIN",
                6 => ",",
                7 => "RIGHT JOIN",
                8 => "FULL JOIN",
                _ => "CROSS JOIN",
            };
            if join == "," || join == "CROSS JOIN" {
                let join = if join == "," { "CROSS JOIN" } else { join };
                let _ = write!(sql, " {join} {item}");
            } else {
                let on = self.join_condition(join == "FULL JOIN");
                let _ = write!(sql, " {join} {item} ON {on}");
            }
        }
        sql
    }

    /// Mostly an equality of the last table with another.
    pub(super) fn join_condition(&mut self, simple: bool) -> String {
        let last = self.scope.last().expect("a table").clone();
        let (name, ty) = self.random.pick(&last.columns).clone();
        let before: Vec<Item> = self.scope[..self.scope.len() - 1].to_vec();
        let mut others = Vec::new();
        for item in &before {
            for (other, of) in &item.columns {
                if *of == ty {
                    others.push(format!("{}.{other}", item.alias));
                }
            }
        }
        if others.is_empty() {
            return if simple {
                "true".into()
            } else {
                self.condition(1)
            };
        }
        let equal = format!("{}.{name} = {}", last.alias, self.random.pick(&others));
        if simple || self.random.percent(70) {
            equal
        } else {
            format!("{equal} AND {}", self.condition(1))
        }
    }
}
