//! Searches: what may use an index before the policies are asked, and what only looks so.

use super::Generator;
use crate::desk::Ty;

impl Generator<'_> {
    pub(super) fn search(&mut self) -> String {
        let text = self.leaf(Ty::Text);
        let word = self.literal(Ty::Text);
        // A ticket has columns that no other expression asks.
        let tickets = self.scope.iter().filter(|item| {
            let is_conf = |(name, _): &(String, Ty)| name == "conf";
            item.columns.iter().any(is_conf)
        });
        let tickets: Vec<String> = tickets.map(|item| item.alias.clone()).collect();
        let random = &mut self.random;
        let ticket = (!tickets.is_empty()).then(|| random.pick(&tickets).clone());
        match (random.below(14), ticket) {
            (0, _) => format!("{text} LIKE {word} || '%'"),
            (1, _) => format!("{text} ILIKE '%' || {word} || '%'"),
            (2, _) => {
                let pattern = *random.pick(&[
                    "'%\\'",
                    "'zq%\\'",
                    "'zq%'",
                    "'%t_'",
                    "'%ZQ%'",
                    "repeat('%q', 600)",
                    "lair.pattern()",
                ]);
                let operator = *random.pick(&["LIKE", "ILIKE", "NOT LIKE"]);
                format!("{text} {operator} {pattern}")
            }
            (3, _) => {
                let pattern = *random.pick(&[
                    "'^zq'",
                    "'zq.*qz$'",
                    "'(z)q.*\\1$'",
                    "'zq(?=t)'",
                    "'ZQ[a-z]+'",
                ]);
                let operator = *random.pick(&["~", "~*", "!~"]);
                format!("{text} {operator} {pattern}")
            }
            (4, _) => format!("lower({text}) LIKE 'zqt%'"),
            (5, _) => format!("lower({text}) = {word}"),
            (6, _) => format!("lair.lower({text}) = {word}"),
            (7, _) => format!("{text} OPERATOR(lair.~~) {word}"),
            (8, _) => format!("{text} % {word}"),
            (9, Some(ticket)) => format!("{ticket}.doc @@ plainto_tsquery('simple', {word})"),
            (10, Some(ticket)) => format!("{ticket}.doc OPERATOR(lair.@@) 'zq:*'"),
            (11, Some(ticket)) => format!("{ticket}.rank >= 20000000000"),
            (12, Some(ticket)) => {
                let number = self.number();
                format!("{ticket}.rank IN ({number}, 1)")
            }
            (13, Some(ticket)) => {
                format!("({ticket}.doc @@ 'zq:*' OR {ticket}.rank = {ticket}.id)")
            }
            _ => format!("lower({text}) LIKE {word} || '%'"),
        }
    }
}
