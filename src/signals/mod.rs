//! Tells sessions what has changed, and when.
//! May use: pg, tables.

pub mod concern;
pub mod generation;
pub mod registry;
pub mod under_way;
