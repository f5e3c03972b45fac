//! Random SQL over the tables of the help desk. It is typed, so that most of it runs, and grows no larger
//! than a few tables; a part of it fails on purpose, since errors tell things, too.

use std::fmt::Write as _;

use crate::desk::{AGENTS, Columns, Desk, OTHER_NAMES, Ty};
use crate::random::Random;
use crate::session::Function;

pub struct Generator<'a> {
    pub random: Random,
    desk: &'a Desk,
    functions: &'a [Function],
    version: u32,
    /// Tables that can be referred to, innermost last.
    scope: Vec<Item>,
    names: usize,
    /// Parameters of the statement, if it may have some: their types are int8, text and uuid.
    parameters: bool,
}

#[derive(Clone, Debug)]
struct Item {
    alias: String,
    columns: Vec<(String, Ty)>,
    /// A table whose rows can be locked.
    lockable: bool,
}

const TYPES: [Ty; 5] = [Ty::Int, Ty::Text, Ty::Bool, Ty::Uuid, Ty::Time];

fn type_name(ty: Ty) -> &'static str {
    match ty {
        Ty::Int => "bigint",
        Ty::Text => "text",
        Ty::Bool => "boolean",
        Ty::Uuid => "uuid",
        Ty::Time => "date",
    }
}

impl<'a> Generator<'a> {
    pub fn new(
        random: Random,
        desk: &'a Desk,
        functions: &'a [Function],
        version: u32,
    ) -> Generator<'a> {
        Generator {
            random,
            desk,
            functions,
            version,
            scope: Vec::new(),
            names: 0,
            parameters: false,
        }
    }

    fn alias(&mut self) -> String {
        self.names += 1;
        format!("x{}", self.names)
    }

    fn ty(&mut self) -> Ty {
        TYPES[self.random.weighted(&[35, 40, 10, 7, 8])]
    }

    // ---- values ----

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
    fn number(&mut self) -> String {
        let table = self.random.below(self.desk.tables.len());
        let rows = &self.desk.tables[table].rows;
        let row = self.random.below(rows.len());
        rows[row].number.to_string()
    }

    fn word(&mut self) -> String {
        let table = self.random.below(self.desk.tables.len());
        let rows = &self.desk.tables[table].rows;
        match self.random.below(10) {
            0 => "NULL::text".into(),
            1 => "''".into(),
            2 => self
                .random
                .pick(&[
                    "'open'", "'closed'", "'spam'", "'101'", "'view'", "'modify'",
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

    fn column(&mut self, ty: Ty) -> Option<String> {
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

    fn leaf(&mut self, ty: Ty) -> String {
        let column = if self.random.percent(80) {
            self.column(ty)
        } else {
            None
        };
        column.unwrap_or_else(|| self.literal(ty))
    }

    /// An expression of a type.
    pub fn expression(&mut self, ty: Ty, depth: usize) -> String {
        if depth == 0 || self.random.percent(25) {
            return self.leaf(ty);
        }
        let depth = depth - 1;
        if self.random.percent(7)
            && let Some(call) = self.call(ty, depth)
        {
            return call;
        }
        let of = |this: &mut Self, ty| this.expression(ty, depth);
        match (ty, self.random.below(12)) {
            (_, 0) => format!("COALESCE({}, {})", of(self, ty), of(self, ty)),
            (_, 1) => {
                let condition = self.condition(depth);
                format!(
                    "CASE WHEN {condition} THEN {} ELSE {} END",
                    of(self, ty),
                    of(self, ty)
                )
            }
            (_, 2) => {
                let select = self.scalar(ty, depth);
                format!("({select})")
            }
            (Ty::Int, 3) => format!("({} + {})", of(self, ty), of(self, ty)),
            (Ty::Int, 4) => format!("length({})::bigint", of(self, Ty::Text)),
            (Ty::Int, 5) => format!("({} / NULLIF({}, 0))", of(self, ty), of(self, ty)),
            (Ty::Int, 6) => format!("(1 / ({} - {}))", of(self, ty), of(self, ty)),
            (Ty::Int, 7) => format!("({})::bigint", of(self, Ty::Text)),
            (Ty::Int, 8) => format!("({})::int", of(self, ty)),
            (Ty::Int, 9) => format!("hashtext({})::bigint", of(self, Ty::Text)),
            (Ty::Int, 10) => "deskguard.current_agent()".into(),
            (Ty::Text, 3) => format!("({} || {})", of(self, ty), of(self, ty)),
            (Ty::Text, 4) => format!("upper({})", of(self, ty)),
            (Ty::Text, 5) => format!("({})::text", of(self, Ty::Int)),
            (Ty::Text, 6) => format!("format('%s-%s', {}, {})", of(self, ty), of(self, Ty::Int)),
            (Ty::Text, 7) => self.whole_row().unwrap_or_else(|| self.leaf(ty)),
            (Ty::Text, 8) => format!("({})::text", of(self, Ty::Uuid)),
            (Ty::Text, 9) => format!("left({}, 20)", of(self, ty)),
            (Ty::Text, 10) => format!("desk.subject_of({})", of(self, Ty::Int)),
            (Ty::Uuid, 3) => format!("({})::uuid", of(self, Ty::Text)),
            (Ty::Time, 3) => format!("(({}) + 1)", of(self, ty)),
            (Ty::Bool, _) => self.condition(depth),
            _ => self.leaf(ty),
        }
    }

    fn whole_row(&mut self) -> Option<String> {
        let aliases: Vec<String> = self.scope.iter().map(|item| item.alias.clone()).collect();
        if aliases.is_empty() {
            return None;
        }
        let alias = self.random.pick(&aliases).clone();
        Some(match self.random.below(3) {
            0 => format!("{alias}::text"),
            1 => format!("to_json({alias})::text"),
            _ => format!("ROW({alias}.*)::text"),
        })
    }

    /// A condition.
    pub fn condition(&mut self, depth: usize) -> String {
        let next = depth.saturating_sub(1);
        let of = |this: &mut Self, ty| this.expression(ty, next);
        if depth > 0
            && self.random.percent(12)
            && let Some(call) = self.call(Ty::Bool, next)
        {
            return call;
        }
        match self.random.below(if depth == 0 { 14 } else { 26 }) {
            0..4 => {
                let ty = self.ty();
                let operator = self
                    .random
                    .pick(&["=", "=", "=", "<>", "<", ">="])
                    .to_string();
                format!("{} {operator} {}", of(self, ty), of(self, ty))
            }
            4 => {
                let ty = self.ty();
                format!("{} IS NOT NULL", of(self, ty))
            }
            5 => format!("{} LIKE {}", of(self, Ty::Text), of(self, Ty::Text)),
            6 => format!("lair.tell({})", of(self, Ty::Text)),
            7 => format!("lair.tell({})", of(self, Ty::Int)),
            8 => {
                let teller =
                    *self
                        .random
                        .pick(&["lair.sure", "lair.sure", "lair.sure", "lair.fail"]);
                format!("{teller}({})", of(self, Ty::Text))
            }
            9 => format!(
                "{} OPERATOR(lair.===) {}",
                of(self, Ty::Text),
                of(self, Ty::Text)
            ),
            10 => format!(
                "{} OPERATOR(lair.<<<) {}",
                of(self, Ty::Int),
                of(self, Ty::Int)
            ),
            11 => {
                let helpers = [
                    "desk.boss_tags()",
                    "desk.boss_divides()",
                    "desk.boss_plans()",
                    "desk.boss_loops()",
                    "desk.own_tags()",
                    "desk.own_divides()",
                    "desk.own_plans()",
                    "lair.look()",
                ];
                self.random.pick(&helpers).to_string()
            }
            12 => format!("{} IS NULL", of(self, Ty::Int)),
            13 => of(self, Ty::Bool),
            14 | 15 => format!("({} AND {})", self.condition(next), self.condition(next)),
            16 | 17 => format!("({} OR {})", self.condition(next), self.condition(next)),
            18 => format!("NOT ({})", self.condition(next)),
            19 | 20 => {
                let not = if self.random.percent(30) { "NOT " } else { "" };
                let select = self.scalar(Ty::Int, next);
                format!("{not}EXISTS ({select})")
            }
            21 | 22 => {
                let ty = self.ty();
                let not = if self.random.percent(25) { "NOT " } else { "" };
                let left = of(self, ty);
                let select = self.plain_column(ty, next);
                format!("{left} {not}IN ({select})")
            }
            23 => {
                let ty = self.ty();
                let left = of(self, ty);
                let values: Vec<String> = (0..3).map(|_| self.literal(ty)).collect();
                format!(
                    "{left} = ANY (ARRAY[{}]::{}[])",
                    values.join(", "),
                    type_name(ty)
                )
            }
            24 => format!("{} ~ {}", of(self, Ty::Text), of(self, Ty::Text)),
            _ => format!(
                "({} BETWEEN {} AND {})",
                of(self, Ty::Int),
                of(self, Ty::Int),
                of(self, Ty::Int)
            ),
        }
    }

    // ---- functions of deskguard ----

    /// A call of a function of deskguard that gives this type.
    fn call(&mut self, ty: Ty, depth: usize) -> Option<String> {
        let returns = match ty {
            Ty::Int => "bigint",
            Ty::Text => "text",
            Ty::Bool => "boolean",
            _ => return None,
        };
        let functions = self.functions;
        let fitting: Vec<&Function> = functions
            .iter()
            .filter(|function| function.returns == returns && !function.set && function.public)
            .collect();
        if fitting.is_empty() {
            return None;
        }
        let function = *self.random.pick(&fitting);
        Some(self.call_of(function, depth))
    }

    pub fn call_of(&mut self, function: &Function, depth: usize) -> String {
        let arguments: Vec<String> = function
            .arguments
            .iter()
            .map(|ty| self.argument(ty, depth))
            .collect();
        format!("{}({})", function.name, arguments.join(", "))
    }

    pub fn regclass(&mut self) -> String {
        if self.random.percent(8) {
            let others = [
                "NULL::regclass",
                "'pg_class'::regclass",
                "0::regclass",
                "'desk.tag'::regclass",
                "'part.ticket_1'::regclass",
                "'desk.invoker_view'::regclass",
                "'desk.ticket_pkey'::regclass",
                "999999::regclass",
            ];
            return self.random.pick(&others).to_string();
        }
        let table = self.random.below(self.desk.tables.len());
        format!("'{}'::regclass", self.desk.tables[table].name)
    }

    fn argument(&mut self, ty: &str, depth: usize) -> String {
        match ty {
            "bigint" => self.expression(Ty::Int, depth),
            "integer" => format!("({})::int", self.expression(Ty::Int, depth)),
            "text" if self.random.percent(25) => {
                let words = [
                    "'view'",
                    "'modify'",
                    "'reply'",
                    "'delete'",
                    "'ticket.use'",
                    "'invoice.view'",
                ];
                self.random.pick(&words).to_string()
            }
            "text" => self.expression(Ty::Text, depth),
            "uuid" => self.expression(Ty::Uuid, depth),
            "boolean" => self.expression(Ty::Bool, depth),
            "regclass" => self.regclass(),
            "name" => self
                .random
                .pick(&["'id'::name", "NULL::name", "'dept'::name", "'body'::name"])
                .to_string(),
            "bigint[]" => format!("ARRAY[{}, {}]::bigint[]", self.id(), self.id()),
            "text[]" => format!("ARRAY[{}, {}]::text[]", self.word(), self.word()),
            "uuid[]" => format!("ARRAY[{}]::uuid[]", self.uuid()),
            other => format!("NULL::{other}"),
        }
    }

    // ---- queries ----

    fn relation(&mut self) -> (String, Columns, bool) {
        if self.random.percent(15) {
            let (name, columns) = *self.random.pick(&OTHER_NAMES);
            return (name.into(), columns, name != "desk.joined_view");
        }
        let table = &self.desk.tables[self.random.below(self.desk.tables.len())];
        (table.name.into(), table.columns, true)
    }

    fn columns_of(columns: Columns) -> Vec<(String, Ty)> {
        columns
            .iter()
            .map(|(name, ty)| (name.to_string(), *ty))
            .collect()
    }

    /// An item of FROM, which comes into the scope.
    fn table_item(&mut self, depth: usize, may_lateral: bool) -> String {
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

    /// A function that gives an array of ids, where it is there.
    fn set_call(&mut self, name: &str, table: &str, agent: i64) -> String {
        let functions = self.functions;
        let found = functions.iter().find(|function| {
            function.name.ends_with(&format!(".{name}")) && function.returns == "bigint[]"
        });
        match found {
            Some(function) => {
                let arguments = function.arguments.iter().map(|ty| match ty.as_str() {
                    "regclass" => table.to_string(),
                    "bigint" => agent.to_string(),
                    other => format!("NULL::{other}"),
                });
                let arguments: Vec<String> = arguments.collect();
                format!("{}({})", function.name, arguments.join(", "))
            }
            None => format!("ARRAY[{agent}]::bigint[]"),
        }
    }

    fn tables(&mut self, depth: usize) -> String {
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
    fn join_condition(&mut self, simple: bool) -> String {
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

    fn body(&mut self, from: &str, depth: usize, types: &[Ty], outer: usize) -> String {
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
    fn typed(&mut self, ty: Ty, depth: usize) -> String {
        let expression = self.expression(ty, depth);
        format!("({expression})::{}", type_name(ty))
    }

    fn aggregate(&mut self, ty: Ty) -> String {
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
    fn scalar(&mut self, ty: Ty, depth: usize) -> String {
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
    fn plain_column(&mut self, ty: Ty, depth: usize) -> String {
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

    // ---- statements ----

    /// A query at the top.
    pub fn query(&mut self) -> String {
        self.scope.clear();
        let depth = 1 + self.random.below(3);
        self.select(depth, None).0
    }

    /// One that has the parameters int8, text and uuid.
    pub fn query_with_parameters(&mut self) -> String {
        self.parameters = true;
        let query = self.query();
        self.parameters = false;
        // All of them, so that their types are known.
        format!("SELECT q.*, $1::bigint, $2::text, $3::uuid FROM ({query}) AS q")
    }

    fn returning(&mut self) -> String {
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

    fn assignments(&mut self, columns: Columns, with_excluded: bool) -> String {
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

    /// A value that fits what the column is for.
    fn value_for(&mut self, name: &str, ty: Ty) -> String {
        match name {
            "dept" => (1 + self.random.below(5)).to_string(),
            "cat" if ty == Ty::Int => (1 + self.random.below(8)).to_string(),
            "cat" => format!("'{}'", 101 + self.random.below(8)),
            "assignee" | "author" | "owner" | "agent_id" if ty == Ty::Int => {
                self.random.pick(&AGENTS).to_string()
            }
            "status" => self
                .random
                .pick(&["'open'", "'closed'", "'spam'"])
                .to_string(),
            "team" => self.random.pick(&["1", "2", "NULL"]).to_string(),
            "conf" | "deleted" => self.random.pick(&["true", "false"]).to_string(),
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

    fn new_row(&mut self, columns: Columns) -> String {
        let values: Vec<String> = columns
            .iter()
            .map(|(name, ty)| {
                let value = self.value_for(name, *ty);
                let cast = match ty {
                    Ty::Int if ["dept", "cat", "assignee", "team"].contains(name) => "int",
                    ty => type_name(*ty),
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

    fn merge(&mut self, name: &str, columns: Columns, item: Item) -> String {
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

    /// EXPLAIN of a statement, with what it can show.
    pub fn explain(&mut self, statement: &str) -> String {
        let mut options = vec!["ANALYZE", "VERBOSE"];
        for option in [
            "BUFFERS",
            "SETTINGS",
            "COSTS OFF",
            "TIMING OFF",
            "FORMAT JSON",
        ] {
            if self.random.percent(25) {
                options.push(option);
            }
        }
        format!("EXPLAIN ({}) {statement}", options.join(", "))
    }

    /// A setting that any user may change, for the transaction.
    pub fn setting(&mut self) -> String {
        let on_off = *self.random.pick(&["on", "off"]);
        let forced = if self.version >= 160_000 {
            "debug_parallel_query"
        } else {
            "force_parallel_mode"
        };
        let parallel = format!(
            "SET LOCAL {forced} = {on_off}; SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0; \
             SET LOCAL min_parallel_table_scan_size = 0"
        );
        match self.random.below(17) {
            0 | 1 => format!("SET LOCAL deskguard.fold = {on_off}"),
            2 | 3 => format!(
                "SET LOCAL deskguard.fold_limit = {}",
                self.random.pick(&[0, 1, 2, 5])
            ),
            4 => format!(
                "SET LOCAL plan_cache_mode = {}",
                self.random
                    .pick(&["force_generic_plan", "force_custom_plan"])
            ),
            5 | 6 => parallel,
            7 => format!("SET LOCAL enable_seqscan = {on_off}; SET LOCAL enable_bitmapscan = off"),
            8 => "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off".into(),
            9 => "SET LOCAL enable_nestloop = off; SET LOCAL enable_hashjoin = off".into(),
            10 => "SET LOCAL enable_memoize = off; SET LOCAL enable_material = off".into(),
            11 => "SET LOCAL constraint_exclusion = on".into(),
            12 => {
                let what = *self.random.pick(&[
                    "debug_print_plan",
                    "debug_print_rewritten",
                    "debug_print_parse",
                ]);
                format!(
                    "SET LOCAL {what} = on; SET LOCAL debug_pretty_print = {on_off}; SET LOCAL client_min_messages = log"
                )
            }
            13 => format!(
                "SET LOCAL search_path = {}",
                self.random.pick(&[
                    "lair, pg_catalog",
                    "deskguard, desk, pg_catalog",
                    "lair, deskguard, public"
                ])
            ),
            14 => "SET LOCAL work_mem = '64kB'".into(),
            15 => "SET LOCAL row_security = on; SET LOCAL client_min_messages = debug1".into(),
            _ => format!("SET LOCAL jit = {on_off}; SET LOCAL jit_above_cost = 0"),
        }
    }
}

fn named(list: &[String]) -> String {
    let list = list.iter().enumerate();
    list.map(|(number, value)| format!("{value} AS c{number}"))
        .collect::<Vec<_>>()
        .join(", ")
}
