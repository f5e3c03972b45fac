//! Answers questions about agents and tickets.
//! May use: all but protect and hooks.

pub mod ask;
pub mod asker;
pub mod command;
pub mod effective;
