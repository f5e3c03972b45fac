//! What policies call and what plans are told, one folder for each kind of protected table. No kind uses another;
//! new_id serves them all.
//! May use: what is above it in src/lib.rs.

pub mod children;
pub mod feature;
pub mod new_id;
pub mod shared;
pub mod tickets;
