//! deskguard: row-level security for help desks.
//!
//! [`protect`] puts policies and triggers on a help desk's tables. They call functions of [`kinds`], which find out
//! whose rights their statement has and apply the rules of the crate `deskguard_rules`. The planner asks [`kinds`],
//! too, and puts the rules into the plan in place of the calls. [`questions`] answers with the same rules.
//!
//! The rooms, from the bottom to the top. Each may use those above it in this list, and none below it;
//! `tools/rooms` sees to that, and that no file uses one that uses it.
//!
//! 1. [`pg`]: what pgrx lacks of PostgreSQL
//! 2. [`tables`]: deskguard's own tables, and how a help desk's tables are mapped
//! 3. [`signals`]: who hears of which change
//! 4. [`protection`]: what protects a table, and whether it is there
//! 5. [`rights`]: who acts, and what it may do
//! 6. [`plan`]: conditions in plans
//! 7. [`rows`]: reads the help desk's rows
//! 8. [`kinds`]: what policies and plans ask, by kind of table
//! 9. [`protect`]: puts protection on tables, and takes it off
//! 10. [`questions`]: answers about agents and tickets
//! 11. [`hooks`]: what PostgreSQL calls while it plans and runs statements

#![deny(ffi_unwind_calls)]

mod hooks;
mod kinds;
mod pg;
mod plan;
mod protect;
mod protection;
mod questions;
mod rights;
mod rows;
mod signals;
mod tables;

use pgrx::prelude::*;

::pgrx::pg_module_magic!(name, version);

extension_sql_file!("../sql/principals.sql", name = "principals", bootstrap);
extension_sql_file!(
    "../sql/structure.sql",
    name = "structure",
    requires = ["principals"]
);
extension_sql_file!(
    "../sql/permissions.sql",
    name = "permissions",
    requires = ["structure"]
);
extension_sql_file!(
    "../sql/grants.sql",
    name = "grants",
    requires = ["permissions"]
);
extension_sql_file!(
    "../sql/protected_table.sql",
    name = "protected_table",
    requires = ["grants"]
);
extension_sql_file!(
    "../sql/guards.sql",
    name = "guards",
    requires = ["protected_table"]
);
extension_sql_file!(
    "../sql/functions.sql",
    name = "functions",
    requires = ["guards"]
);
extension_sql_file!("../sql/atoms.sql", name = "atoms", requires = ["functions"]);
extension_sql_file!(
    "../sql/help_desk.sql",
    name = "help_desk",
    requires = ["atoms"]
);
extension_sql_file!(
    "../sql/ddl_watch.sql",
    name = "ddl_watch",
    requires = ["help_desk"]
);
extension_sql_file!(
    "../sql/privileges.sql",
    name = "privileges",
    requires = ["ddl_watch"],
    finalize
);

#[pg_guard]
pub extern "C-unwind" fn _PG_init() {
    rights::settings::register();
    signals::generation::register_callbacks();
    hooks::register_callbacks();
    hooks::install();
}
