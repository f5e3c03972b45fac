//! Things that agents share.

pub mod calls;
pub mod gone;
pub mod plan;
pub mod sharing;
pub mod visibility;
