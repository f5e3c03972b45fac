//! Keeps the rows of mirrors equal to their sources: notes what changes, and refreshes before anybody asks.
//! May use: pg, tables, signals.

pub mod below;
pub mod guard;
pub mod journal;
pub mod keep;
pub mod refresh;
pub mod registry;
pub mod shape;
mod staged;
pub mod target;
