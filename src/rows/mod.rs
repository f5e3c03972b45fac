//! Reads the help desk's rows: tickets, their followers, what belongs to them, and what of that an agent may see.
//! May use: what is above it in src/lib.rs.

pub mod allowed;
pub mod children;
pub mod estimate;
pub mod explanation;
pub mod followed;
pub mod given;
pub mod objects;
pub mod tickets;
