//! What protects a table: its policies and triggers as they should be, and whether they are there.
//! May use: pg, tables, signals.

pub mod error_detail;
pub mod exposed;
pub mod features;
pub mod kind;
pub mod kinds;
pub mod policies;
pub mod rule_functions;
pub mod table_policies;
pub mod trigger;
pub mod whole;
