//! deskguard: row-level security for help desks.
//!
//! [`protect`] puts policies on a help desk's tables. The policies call [`policy`], which finds out
//! the agent ([`identity`]) and what it may do ([`cache`], [`load`], [`catalog`]) and applies the
//! rules of the crate `deskguard_rules`. At planning time [`fold`] puts the rules into the plan in
//! place of the calls ([`expression`]); [`plan_mark`] sees to it that no plan outlives a change of
//! rights. [`ask`] and [`explain`] answer questions with the same rules.

#![deny(ffi_unwind_calls)]

mod allowed;
mod ask;
mod atoms;
mod by_key;
mod cache;
mod catalog;
mod child_plan;
mod child_policy;
mod child_rows;
mod child_table;
mod columns;
mod compat;
mod concern;
mod condition;
mod datum;
mod departments;
mod error;
mod error_detail;
mod estimate;
mod explain;
mod exposed;
mod external_keys;
mod feature;
mod features;
mod fold;
mod folding;
mod followed;
mod foreign_keys;
mod fraction;
mod generation;
mod guards;
mod hooks;
mod identity;
mod key;
mod key_list;
mod known_tables;
mod leader;
mod literal;
mod load;
mod new_id;
mod node;
mod object_gone;
mod operand;
mod owner_sql;
mod plan_mark;
mod planner_support;
mod policies;
mod policy;
mod policy_sql;
mod principal;
mod protect;
mod protected;
mod registry;
mod registry_signal;
mod relation;
mod role;
mod run_as_owner;
mod scan;
mod session;
mod settings;
mod shared;
mod shared_list;
mod shared_plan;
mod shared_table;
mod sharing;
mod single_row;
mod statement;
mod table_policies;
mod ticket_update;
mod tickets;
mod trigger_call;
mod tuple;
mod unique;
mod until;
mod visibility;
mod whole;
mod write;

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
    settings::register();
    generation::register_callbacks();
    hooks::register_callbacks();
    hooks::install();
}
