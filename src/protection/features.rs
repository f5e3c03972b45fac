//! The policies for what the rows of a table need.

use pgrx::spi::quote_literal;

use crate::protection::kind::Policy;
use crate::tables::rule_function::RuleFunction;

/// The commands that may need a permission, and the name of the policy for each.
pub const COMMANDS: [(&str, &str); 5] = [
    ("ALL", "deskguard_feature_all"),
    ("SELECT", "deskguard_feature_select"),
    ("INSERT", "deskguard_feature_insert"),
    ("UPDATE", "deskguard_feature_update"),
    ("DELETE", "deskguard_feature_delete"),
];

/// The policies for what the rows of a table need: command and permission.
pub fn policies(features: &[(String, String)]) -> Vec<Policy> {
    COMMANDS
        .iter()
        .filter_map(|(command, policy)| {
            let calls: Vec<String> = features
                .iter()
                .filter(|(of, _)| of == command)
                .map(|(_, permission)| {
                    let permission = Some(quote_literal(permission));
                    RuleFunction::Feature.call(|_| permission.clone())
                })
                .collect();
            let clause = if *command == "INSERT" {
                "WITH CHECK"
            } else {
                "USING"
            };
            let expression = format!("{clause} ({})", calls.join(" AND "));
            (!calls.is_empty()).then(|| Policy::new(policy, command, expression))
        })
        .collect()
}
