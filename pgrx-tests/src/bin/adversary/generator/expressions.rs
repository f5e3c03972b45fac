//! Expressions and conditions.

use super::Generator;
use crate::desk::Ty;

/// Functions of the help desk that run statements, as their owner or as who calls, and catch errors.
pub const HELPERS: [&str; 7] = [
    "desk.boss_tags()",
    "desk.boss_divides()",
    "desk.boss_plans()",
    "desk.boss_loops()",
    "desk.own_tags()",
    "desk.own_divides()",
    "desk.own_plans()",
];

impl Generator<'_> {
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

    pub(super) fn whole_row(&mut self) -> Option<String> {
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
        if self.random.percent(12) {
            return self.search();
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
                let mut helpers = HELPERS.to_vec();
                helpers.push("lair.look()");
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
                    ty.sql()
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
}
