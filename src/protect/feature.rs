//! deskguard.protect_feature(): rows that need a permission.

use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_literal};

use super::lock::lock_all;
use super::own_work::OwnWork;
use super::partitions::with_protection;
use super::policies::Protection;
use super::registry::add_feature;
use super::{add_with_parts, advise_preload, check_kind, rebuild};
use crate::catalog::Catalog;
use crate::error;
use crate::load::Loader;
use crate::protected::{display_name, root_of};

/// The commands that may need a permission, and the name of the policy for each.
pub const COMMANDS: [(&str, &str); 5] = [
    ("ALL", "deskguard_feature_all"),
    ("SELECT", "deskguard_feature_select"),
    ("INSERT", "deskguard_feature_insert"),
    ("UPDATE", "deskguard_feature_update"),
    ("DELETE", "deskguard_feature_delete"),
];

#[pg_extern(sql = false)]
fn protect_feature(
    feature_table: Option<pg_sys::Oid>,
    permission: Option<&str>,
    command: Option<&str>,
) -> Result<(), SpiError> {
    let null = |what: &str, hint: &str| -> ! {
        error::raise(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            format!("{what} must not be NULL"),
            hint,
        )
    };
    let Some(table) = feature_table else {
        null("feature_table", "Name the table.")
    };
    let Some(permission) = permission else {
        null("permission", "Name the permission that its rows need.")
    };
    let Some(command) = command else {
        null("command", "Leave it out for all commands.")
    };
    let command = command.to_ascii_uppercase();
    check_command(&command);
    Loader::now().check_permission(permission);
    check_kind(table)?;
    let catalog = Catalog::now();
    let root = root_of(&catalog, table);
    if let Some(root) = root.filter(|root| *root != table) {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "{} is protected with {}, which it was detached from",
                display_name(table),
                display_name(root)
            ),
            "Unprotect it first.",
        );
    }
    let _work = OwnWork::begin();
    lock_all(&[table]);
    add_feature(table, &command, permission)?;
    if root.is_none() {
        add_with_parts(&Protection::Feature(table), table)?;
    } else if let Some(outcome) =
        with_protection(&catalog, table, |protection| rebuild(protection, table))
    {
        outcome?;
    } else {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "{} belongs to a ticket table that is gone",
                display_name(table)
            ),
            "Unprotect it first.",
        );
    }
    advise_preload();
    Ok(())
}

fn check_command(command: &str) {
    if !COMMANDS.iter().any(|(name, _)| *name == command) {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("unknown command \"{command}\""),
            format!("Commands: {}.", COMMANDS.map(|(name, _)| name).join(", ")),
        );
    }
}

/// The policies for what the rows of a table need: name, command and expressions.
pub fn policies(features: &[(String, String)]) -> Vec<(&'static str, &'static str, String)> {
    COMMANDS
        .iter()
        .filter_map(|(command, policy)| {
            let calls: Vec<String> = features
                .iter()
                .filter(|(of, _)| of == command)
                .map(|(_, permission)| {
                    format!(
                        "deskguard_internal.feature_ok({})",
                        quote_literal(permission)
                    )
                })
                .collect();
            let clause = if *command == "INSERT" {
                "WITH CHECK"
            } else {
                "USING"
            };
            let expression = format!("{clause} ({})", calls.join(" AND "));
            (!calls.is_empty()).then_some((*policy, *command, expression))
        })
        .collect()
}
