//! deskguard.protect_feature(): rows that need a permission.

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg::error::{self, refuse_read_only};
use crate::pg::relation::display_name;
use crate::protect::advice::advise_preload;
use crate::protect::apply::{add_with_parts, rebuild};
use crate::protect::arguments::not_null;
use crate::protect::check::check_kind;
use crate::protect::lock::lock_all;
use crate::protect::own_work::OwnWork;
use crate::protect::registry::add_feature;
use crate::protection::features::COMMANDS;
use crate::protection::kinds::{self, FeatureTable};
use crate::rights::load::Loader;
use crate::tables::catalog::Catalog;
use crate::tables::registry::root_of;

#[pg_extern(sql = false)]
fn protect_feature(
    feature_table: Option<pg_sys::Oid>,
    permission: Option<&str>,
    command: Option<&str>,
) -> Result<(), SpiError> {
    let table = not_null(feature_table, "feature_table", "Name the table.");
    let hint = "Name the permission that its rows need.";
    let permission = not_null(permission, "permission", hint);
    let command = not_null(command, "command", "Leave it out for all commands.");
    let command = command.to_ascii_uppercase();
    check_command(&command);
    Loader::now().check_permission(permission);
    refuse_read_only("deskguard.protect_feature");
    check_kind(table)?;
    lock_all(|| vec![table]);
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
    add_feature(table, &command, permission)?;
    if root.is_none() {
        add_with_parts(&FeatureTable(table), table)?;
    } else if let Some(kind) = kinds::find(&catalog, table) {
        rebuild(&*kind, table)?;
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
