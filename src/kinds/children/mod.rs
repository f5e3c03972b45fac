//! Messages, attachments, followers: tables whose rows belong to tickets.

pub mod calls;
pub mod plan;
pub mod refused;
