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
mod cache;
mod catalog;
mod child_policy;
mod child_table;
mod compat;
mod concern;
mod departments;
mod error;
mod error_detail;
mod estimate;
mod explain;
mod expression;
mod external_key;
mod feature;
mod fold;
mod foreign_keys;
mod generation;
mod guards;
mod hooks;
mod identity;
mod key;
mod leader;
mod literal;
mod load;
mod new_id;
mod owner_sql;
mod plan_mark;
mod planner_support;
mod policy;
mod protect;
mod protected;
mod relation;
mod settings;
mod shared;
mod single_row;
mod statement;
mod table_policies;
mod tickets;
mod trigger_call;
mod unique;
mod write;

use pgrx::prelude::*;

::pgrx::pg_module_magic!(name, version);

extension_sql_file!(
    "../sql/preconditions.sql",
    name = "preconditions",
    bootstrap
);
extension_sql_file!(
    "../sql/principals.sql",
    name = "principals",
    requires = ["preconditions"]
);
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
    "../sql/groups.sql",
    name = "groups",
    requires = ["permissions"]
);
extension_sql_file!("../sql/grants.sql", name = "grants", requires = ["groups"]);
extension_sql_file!(
    "../sql/registry.sql",
    name = "registry",
    requires = ["grants"]
);
extension_sql_file!(
    "../sql/sharing.sql",
    name = "sharing",
    requires = ["registry"]
);
extension_sql_file!(
    "../sql/signals.sql",
    name = "signals",
    requires = ["sharing"]
);
extension_sql_file!("../sql/guards.sql", name = "guards", requires = ["signals"]);
extension_sql_file!(
    "../sql/functions/protect.sql",
    name = "functions_protect",
    requires = ["guards"]
);
extension_sql_file!(
    "../sql/functions/help_desk.sql",
    name = "functions_help_desk",
    requires = ["functions_protect"]
);
extension_sql_file!(
    "../sql/functions/identity.sql",
    name = "functions_identity",
    requires = ["functions_help_desk"]
);
extension_sql_file!(
    "../sql/functions/questions.sql",
    name = "functions_questions",
    requires = ["functions_identity"]
);
extension_sql_file!(
    "../sql/functions/sharing.sql",
    name = "functions_sharing",
    requires = ["functions_questions"]
);
extension_sql_file!(
    "../sql/functions/external_keys.sql",
    name = "functions_external_keys",
    requires = ["functions_sharing"]
);
extension_sql_file!(
    "../sql/rules/base.sql",
    name = "rules_base",
    requires = ["functions_external_keys"]
);
extension_sql_file!(
    "../sql/rules/tickets.sql",
    name = "rules_tickets",
    requires = ["rules_base"]
);
extension_sql_file!(
    "../sql/rules/children.sql",
    name = "rules_children",
    requires = ["rules_tickets"]
);
extension_sql_file!(
    "../sql/rules/new_ids.sql",
    name = "rules_new_ids",
    requires = ["rules_children"]
);
extension_sql_file!(
    "../sql/rules/features.sql",
    name = "rules_features",
    requires = ["rules_new_ids"]
);
extension_sql_file!(
    "../sql/rules/shared.sql",
    name = "rules_shared",
    requires = ["rules_features"]
);
extension_sql_file!(
    "../sql/rules/lists.sql",
    name = "rules_lists",
    requires = ["rules_shared"]
);
extension_sql_file!(
    "../sql/ddl_watch.sql",
    name = "ddl_watch",
    requires = ["rules_lists"]
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
    protect::register_callbacks();
    hooks::install();
}
