//! Rows that belong to tickets: messages, attachments, followers.

use crate::access::Access;
use crate::permission::{Action, Change, Permission};

/// What an agent must be able to do with a ticket to add this follower, or to remove it: itself where it can
/// view the ticket, others where it may modify it. Also itself, unless the row `follows`, says that it follows the
/// ticket and nothing else: another might give more rights than sight.
pub fn follower_action(access: &Access, follower: Option<i64>, follows: bool) -> Action {
    if follows && follower == Some(access.agent) {
        Action::View
    } else {
        Action::Change(Change::Modify)
    }
}

/// May the agent write a message that names this author, or none?
pub fn may_write_as(access: &Access, author: Option<i64>) -> bool {
    author.is_none_or(|author| author == access.agent)
}

/// A message, as far as not its ticket alone decides about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Not for customers, who may be agents that see their own tickets.
    pub internal: bool,
    pub author: Option<i64>,
}

impl Message {
    /// Of a table that has no internal messages.
    pub const PUBLIC: Message = Message {
        internal: false,
        author: None,
    };

    /// If it is not known whether it is internal, it is.
    pub fn new(internal: Option<bool>, author: Option<i64>) -> Message {
        Message {
            internal: internal.unwrap_or(true),
            author,
        }
    }
}

/// May the agent do this with a message of a ticket with which it may do it, and with what belongs to the
/// message? An internal one needs the permission, which may hold for some tickets only: whether it does for this
/// one is asked last. Its author sees it without that, and no more.
pub fn is_open_to(
    access: &Access,
    message: Message,
    action: Action,
    holds_for_ticket: impl FnOnce() -> bool,
) -> bool {
    !message.internal
        || action == Action::View && message.author == Some(access.agent)
        || access.holds(Permission::ViewInternal, holds_for_ticket)
}

/// Does the ticket of a message matter to that rule, besides what may be done with it?
pub fn internal_asks_ticket(access: &Access) -> bool {
    access.has_somewhere(Permission::ViewInternal) && !access.has(Permission::ViewInternal)
}

/// What that rule asks of a message, for one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InternalCondition {
    Nothing,
    /// What is asked differs by ticket.
    ByTicket,
    Public,
    /// Or that the agent is its author.
    PublicOrOwn,
}

/// Asks the rule about a message of each kind. `has_authors`: the table says who wrote a message.
pub fn internal_condition(access: &Access, action: Action, has_authors: bool) -> InternalCondition {
    let is_open = |author, holds| is_open_to(access, Message::new(None, author), action, || holds);
    if is_open(None, false) {
        InternalCondition::Nothing
    } else if is_open(None, true) {
        InternalCondition::ByTicket
    } else if has_authors && is_open(Some(access.agent), false) {
        InternalCondition::PublicOrOwn
    } else {
        InternalCondition::Public
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::Scope;
    use crate::grants::tests::{grants, group};

    /// Agent 7.
    fn agent(permissions: &[&str]) -> Access {
        let mut held = grants(vec![]);
        let permissions = permissions.iter().map(|name| name.to_string());
        held.held.permissions.extend(permissions);
        Access::compile(&held)
    }

    const CHANGES: [Action; 4] = [
        Action::Change(Change::Reply),
        Action::Change(Change::Modify),
        Action::Change(Change::EditMessages),
        Action::Change(Change::Delete),
    ];

    #[test]
    fn only_what_means_followed_needs_no_more_than_sight() {
        let access = agent(&[]);
        let me = Some(access.agent);
        let modify = Action::Change(Change::Modify);
        assert_eq!(follower_action(&access, me, true), Action::View);
        assert_eq!(follower_action(&access, me, false), modify);
        for other in [None, Some(access.agent + 1)] {
            assert_eq!(follower_action(&access, other, true), modify);
            assert_eq!(follower_action(&access, other, false), modify);
        }
    }

    #[test]
    fn internal_messages_are_seen_by_holders_and_their_author_and_written_by_holders() {
        let (one, holder) = (
            agent(&["ticket.use", "ticket.edit_messages.own"]),
            agent(&["ticket.view.internal"]),
        );
        for (internal, is_internal) in [(Some(false), false), (Some(true), true), (None, true)] {
            for author in [None, Some(7), Some(8)] {
                let message = Message::new(internal, author);
                assert!(is_open_to(&holder, message, Action::View, || false));
                let is_seen = !is_internal || author == Some(7);
                assert_eq!(is_open_to(&one, message, Action::View, || true), is_seen);
                for change in CHANGES {
                    assert!(is_open_to(&holder, message, change, || false));
                    assert_eq!(is_open_to(&one, message, change, || true), !is_internal);
                }
            }
        }
        assert!(is_open_to(&one, Message::PUBLIC, CHANGES[0], || false));
    }

    #[test]
    fn conditions_say_what_the_rule_says_of_each_message() {
        let mut scoped = group("Scoped");
        scoped.scope = Scope::Granted;
        scoped
            .held
            .permissions
            .insert("ticket.view.internal".into());
        let scoped = Access::compile(&grants(vec![scoped]));
        // What holds somewhere is not enough.
        let note = Message::new(Some(true), Some(8));
        assert!(is_open_to(&scoped, note, Action::View, || true));
        assert!(!is_open_to(&scoped, note, Action::View, || false));
        let agents = [agent(&[]), agent(&["ticket.view.internal"]), scoped];
        for (access, holds) in agents.iter().flat_map(|one| [(one, false), (one, true)]) {
            for action in CHANGES.into_iter().chain([Action::View]) {
                for has_authors in [true, false] {
                    let condition = internal_condition(access, action, has_authors);
                    for internal in [Some(false), Some(true), None] {
                        let authors: &[Option<i64>] = match has_authors {
                            true => &[None, Some(7), Some(8)],
                            false => &[None],
                        };
                        for author in authors {
                            let is_public = internal == Some(false);
                            let by_condition = match condition {
                                InternalCondition::Nothing => true,
                                InternalCondition::ByTicket => {
                                    let is_own = *author == Some(7) && action == Action::View;
                                    assert!(internal_asks_ticket(access));
                                    is_public || is_own || holds
                                }
                                InternalCondition::Public => is_public,
                                InternalCondition::PublicOrOwn => is_public || *author == Some(7),
                            };
                            let message = Message::new(internal, *author);
                            assert_eq!(by_condition, is_open_to(access, message, action, || holds));
                        }
                    }
                }
            }
        }
    }
}
