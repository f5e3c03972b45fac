//! What pgrx lacks of PostgreSQL. It knows no help desk.

pub mod call_info;
pub mod compat;
pub mod datum;
pub mod error;
pub mod extension;
pub mod index;
pub mod memory;
pub mod node;
pub mod ordered_scans;
pub mod planned_table;
pub mod planner;
pub mod policy;
pub mod relation;
pub mod restore;
pub mod restrict_info;
pub mod run_as_owner;
pub mod scan;
pub mod settings;
pub mod statistics;
pub mod support;
pub mod unique;
pub mod value_list;
