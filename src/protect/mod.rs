//! Puts policies and triggers on a help desk's tables, and takes them off again.
//! May use: all but questions and hooks.

mod advice;
mod apply;
mod arguments;
mod check;
mod column_types;
mod columns;
pub mod commands;
mod ddl;
mod dropped;
mod dropped_rules;
mod drops;
mod event_rows;
mod feature;
mod foreign_key_checks;
mod lock;
mod messages;
mod mirror;
mod mirror_ddl;
mod mirror_triggers;
mod names;
mod own_triggers;
mod own_work;
mod partitions;
mod registry;
mod registry_triggers;
mod rename;
mod renew;
mod shared;
mod tickets;
mod unprotect;
