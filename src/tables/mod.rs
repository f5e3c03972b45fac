//! deskguard's own tables, read like catalogs, and how the help desk's tables are mapped to them.
//! May use: pg.

pub mod catalog;
pub mod child_table;
pub mod columns;
pub mod department_tree;
pub mod foreign_keys;
pub mod key;
pub mod key_functions;
pub mod names;
pub mod policy_sql;
pub mod principal;
pub mod references;
pub mod registry;
pub mod role_guard;
pub mod row_type;
pub mod rule_function;
pub mod shared_table;
pub mod ticket_table;
pub mod trigger_call;
pub mod tuple;
