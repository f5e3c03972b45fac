//! Rows that belong to tickets: messages, attachments, followers.

use crate::access::Access;
use crate::permission::{Action, Change};

/// What an agent must be able to do with a ticket to add this follower, or to remove it: itself where it can
/// view the ticket, others where it may modify it.
pub fn follower_action(access: &Access, follower: Option<i64>) -> Action {
    if follower == Some(access.agent) {
        Action::View
    } else {
        Action::Change(Change::Modify)
    }
}

/// May the agent write a message that names this author, or none?
pub fn may_write_as(access: &Access, author: Option<i64>) -> bool {
    author.is_none_or(|author| author == access.agent)
}
