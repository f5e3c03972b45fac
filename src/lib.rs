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
//! 4. [`mirrors`]: keeps rows of deskguard's tables equal to the help desk's
//! 5. [`protection`]: what protects a table, and whether it is there
//! 6. [`rights`]: who acts, and what it may do
//! 7. [`plan`]: conditions in plans
//! 8. [`rows`]: reads the help desk's rows
//! 9. [`kinds`]: what policies and plans ask, by kind of table
//! 10. [`protect`]: puts protection on tables, and takes it off
//! 11. [`questions`]: answers about agents and tickets
//! 12. [`hooks`]: what PostgreSQL calls while it plans and runs statements

mod hooks;
mod kinds;
mod mirrors;
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
extension_sql_file!("../sql/mirror.sql", name = "mirror", requires = ["signals"]);
extension_sql_file!("../sql/guards.sql", name = "guards", requires = ["mirror"]);
extension_sql_file!(
    "../sql/references.sql",
    name = "references",
    requires = ["guards"]
);
extension_sql_file!(
    "../sql/functions/protect.sql",
    name = "functions_protect",
    requires = ["references"]
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
    "../sql/functions/suggest.sql",
    name = "functions_suggest",
    requires = ["functions_external_keys"]
);
extension_sql_file!(
    "../sql/rules/base.sql",
    name = "rules_base",
    requires = ["functions_suggest"]
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
    rights::settings::register();
    signals::generation::register_callbacks();
    hooks::register_callbacks();
    hooks::install();
}
