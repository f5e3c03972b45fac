//! Ticket tables.

pub mod by_key;
pub mod calls;
mod former;
pub mod plan;
pub mod refused;
pub mod runtime_lists;
pub mod update;
pub mod written_rows;
