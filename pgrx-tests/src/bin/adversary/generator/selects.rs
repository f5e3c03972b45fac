//! Queries.

use super::{Generator, Item};
use crate::desk::Ty;

impl Generator<'_> {
    /// A query with the columns that it gives: of these types, or of random ones.
    pub fn select(&mut self, depth: usize, types: Option<&[Ty]>) -> (String, Vec<(String, Ty)>) {
        let types: Vec<Ty> = match types {
            Some(types) => types.to_vec(),
            None => (0..1 + self.random.below(3)).map(|_| self.ty()).collect(),
        };
        let columns: Vec<(String, Ty)> = types
            .iter()
            .enumerate()
            .map(|(number, ty)| (format!("c{number}"), *ty))
            .collect();
        if depth > 0 && self.random.percent(8) {
            let operator =
                *self
                    .random
                    .pick(&["UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL"]);
            let (left, _) = self.select(depth - 1, Some(&types));
            let (right, _) = self.select(depth - 1, Some(&types));
            return (format!("({left}) {operator} ({right})"), columns);
        }
        let outer = self.scope.len();
        let mut with = String::new();
        if depth > 0 && self.random.percent(10) {
            let name = self.alias();
            let (select, of) = self.select(depth - 1, None);
            let kind = *self
                .random
                .pick(&["", "MATERIALIZED ", "NOT MATERIALIZED "]);
            with = format!("WITH {name} AS {kind}({select}) ");
            // Read by its name, once at least.
            let alias = self.alias();
            self.scope.push(Item {
                alias: alias.clone(),
                columns: of,
                lockable: false,
            });
            let from = format!("{name} AS {alias}");
            let sql = self.body(&from, depth, &types, outer);
            self.scope.truncate(outer);
            return (with + &sql, columns);
        }
        let from = self.tables(depth);
        let sql = self.body(&from, depth, &types, outer);
        self.scope.truncate(outer);
        with += &sql;
        (with, columns)
    }

    pub(super) fn body(&mut self, from: &str, depth: usize, types: &[Ty], outer: usize) -> String {
        let size = depth.min(2);
        let filter = if self.random.percent(65) {
            format!(" WHERE {}", self.condition(size + 1))
        } else {
            String::new()
        };
        match self.random.weighted(&[58, 20, 8, 8, 6]) {
            // Aggregates, over all or by groups.
            1 => {
                let list: Vec<String> = types.iter().map(|ty| self.aggregate(*ty)).collect();
                let list = named(&list);
                let group = match self.random.below(6) {
                    0..3 => String::new(),
                    kind => {
                        let a = self.column(Ty::Text).unwrap_or("()".into());
                        let b = self.column(Ty::Int).unwrap_or("()".into());
                        match kind {
                            _ if a == "()" || b == "()" => " GROUP BY ()".into(),
                            3 => format!(" GROUP BY {a}"),
                            4 => format!(" GROUP BY ROLLUP ({a}, {b})"),
                            _ => format!(" GROUP BY GROUPING SETS (({a}), ({b}), ())"),
                        }
                    }
                };
                let having = if !group.is_empty() && self.random.percent(30) {
                    " HAVING count(*) > 0 AND lair.tell(count(*))"
                } else {
                    ""
                };
                format!("SELECT {list} FROM {from}{filter}{group}{having}")
            }
            // Windows.
            2 => {
                let list: Vec<String> = types
                    .iter()
                    .map(|ty| {
                        let value = self.expression(*ty, 1);
                        let by = self.leaf(Ty::Int);
                        let order = self.leaf(Ty::Text);
                        let function =
                            *self
                                .random
                                .pick(&["first_value", "lag", "lead", "last_value"]);
                        format!("{function}({value}) OVER (PARTITION BY {by} ORDER BY {order})")
                    })
                    .collect();
                format!("SELECT {} FROM {from}{filter}", named(&list))
            }
            kind => {
                let list: Vec<String> = types.iter().map(|ty| self.typed(*ty, size)).collect();
                let list = named(&list);
                let distinct = if kind == 3 { "DISTINCT " } else { "" };
                let order = if self.random.percent(30) {
                    let direction = *self.random.pick(&["", " DESC", " NULLS FIRST"]);
                    format!(" ORDER BY 1{direction}")
                } else {
                    String::new()
                };
                let limit = if self.random.percent(25) {
                    format!(" LIMIT {}", 1 + self.random.below(10))
                } else {
                    String::new()
                };
                let lockable = self.scope[outer..].iter().find(|item| item.lockable);
                let lock = match lockable {
                    Some(item) if kind == 4 => {
                        let alias = item.alias.clone();
                        let strength =
                            *self
                                .random
                                .pick(&["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"]);
                        let skip = *self.random.pick(&["", " SKIP LOCKED", " NOWAIT"]);
                        format!(" FOR {strength} OF {alias}{skip}")
                    }
                    _ => String::new(),
                };
                format!("SELECT {distinct}{list} FROM {from}{filter}{order}{limit}{lock}")
            }
        }
    }

    /// Of exactly this type, for unions.
    pub(super) fn typed(&mut self, ty: Ty, depth: usize) -> String {
        let expression = self.expression(ty, depth);
        format!("({expression})::{}", ty.sql())
    }

    pub(super) fn aggregate(&mut self, ty: Ty) -> String {
        match ty {
            Ty::Int => match self.random.below(4) {
                0 => "count(*)".into(),
                1 => format!("max({})", self.expression(Ty::Int, 1)),
                2 => format!("min({})", self.expression(Ty::Int, 1)),
                _ => format!("count(DISTINCT {})", self.expression(Ty::Text, 1)),
            },
            Ty::Text => match self.random.below(4) {
                0 => format!("string_agg({}, ',')", self.expression(Ty::Text, 1)),
                1 => format!("array_agg({})::text", self.expression(Ty::Int, 1)),
                2 => format!("max({})", self.expression(Ty::Text, 1)),
                _ => format!("json_agg({})::text", self.expression(Ty::Text, 1)),
            },
            Ty::Bool => format!("bool_or({})", self.condition(1)),
            Ty::Uuid => format!("max(({})::text)::uuid", self.expression(Ty::Uuid, 1)),
            Ty::Time => format!("max({})", self.expression(Ty::Time, 1)),
        }
    }

    /// A query of one value, for an expression.
    pub(super) fn scalar(&mut self, ty: Ty, depth: usize) -> String {
        let outer = self.scope.len();
        let from = self.table_item(depth.min(1), false);
        // An aggregate of columns of the query around would be one of that query.
        let around: Vec<Item> = self.scope.drain(..outer).collect();
        let value = self.aggregate(ty);
        self.scope.splice(..0, around);
        let condition = self.condition(1);
        self.scope.truncate(outer);
        format!("SELECT {value} FROM {from} WHERE {condition}")
    }

    /// A query of one column, for IN.
    pub(super) fn plain_column(&mut self, ty: Ty, depth: usize) -> String {
        let outer = self.scope.len();
        let from = self.table_item(depth.min(1), false);
        let value = self.leaf(ty);
        let filter = if self.random.percent(60) {
            format!(" WHERE {}", self.condition(1))
        } else {
            String::new()
        };
        self.scope.truncate(outer);
        format!("SELECT {value} FROM {from}{filter}")
    }
}

fn named(list: &[String]) -> String {
    let list = list.iter().enumerate();
    list.map(|(number, value)| format!("{value} AS c{number}"))
        .collect::<Vec<_>>()
        .join(", ")
}
