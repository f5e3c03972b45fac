//! Calls of deskguard's functions.

use super::Generator;
use crate::desk::Ty;
use crate::session::Function;

impl Generator<'_> {
    /// A call of a function of deskguard that gives this type.
    pub(super) fn call(&mut self, ty: Ty, depth: usize) -> Option<String> {
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

    pub(super) fn argument(&mut self, ty: &str, depth: usize) -> String {
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
                    "'ticket.view.internal'",
                    "'invoice.view'",
                    "'SELECT'",
                    "'INSERT'",
                    "'UPDATE'",
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
            "jsonb" => self.row_as_json(),
            other => format!("NULL::{other}"),
        }
    }

    /// A row that is told, as it is there or made up.
    fn row_as_json(&mut self) -> String {
        let aliases: Vec<String> = self.scope.iter().map(|item| item.alias.clone()).collect();
        if !aliases.is_empty() && self.random.percent(60) {
            return format!("to_jsonb({})", self.random.pick(&aliases));
        }
        let table = self.random.below(self.desk.tables.len());
        let columns = self.desk.tables[table].columns;
        let mut parts = Vec::new();
        for _ in 0..1 + self.random.below(3) {
            let (name, ty) = *self.random.pick(columns);
            parts.push(format!("'{name}', {}", self.value_for(name, ty)));
        }
        format!("jsonb_build_object({})", parts.join(", "))
    }

    /// A function that gives an array of ids, where it is there.
    pub(super) fn set_call(&mut self, name: &str, table: &str, agent: i64) -> String {
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
}
