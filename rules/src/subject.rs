//! What an explanation is about, and the rules that are asked of it.

use crate::access::{Access, Place};
use crate::children::{Message, is_open_to, may_write_as};
use crate::decision::{Check, Observer, decide, decide_new, decide_update, look, place};
use crate::explanation::RowId;
use crate::grants::Level;
use crate::permission::{Action, Permission};
use crate::shared::{may_change_shared, may_see_shared};
use crate::ticket::{Column, Ticket};

pub enum Subject {
    Ticket(Ticket, Action),
    NewTicket(Ticket),
    UpdatedTicket {
        before: Ticket,
        after: Ticket,
    },
    /// A row that belongs to tickets.
    Child {
        /// What is asked of each of them.
        action: Action,
        tickets: Vec<(RowId, Ticket)>,
        /// The row, as it is and as it becomes, and with their ids the messages that it belongs to.
        messages: Vec<(Option<RowId>, Message)>,
        /// Of a new one that may name who wrote it.
        author: Option<Option<i64>>,
    },
    /// A row of a table whose rows nobody updates.
    NotUpdated,
    Shared {
        /// As it is, and as it becomes.
        owners: Vec<Column>,
        /// With the agent.
        is_shared: bool,
        is_change: bool,
        /// The groups with which it is shared, for who is told all.
        groups: Vec<String>,
    },
    /// A row of which only features are asked.
    AnyRow,
}

impl Subject {
    pub fn decide(&self, access: &Access, observer: &mut impl Observer) -> bool {
        match self {
            Subject::Ticket(ticket, action) => decide(access, ticket, *action, observer),
            Subject::NewTicket(ticket) => decide_new(access, ticket, observer),
            Subject::UpdatedTicket { before, after } => {
                decide_update(access, before, after, observer)
            }
            Subject::Child {
                action,
                tickets,
                messages,
                author,
            } => {
                let mut allowed = !tickets.is_empty();
                for (nth, (_, ticket)) in tickets.iter().enumerate() {
                    look(observer, Check::OfTicket(nth), true);
                    allowed &= decide(access, ticket, *action, observer);
                }
                for (nth, (_, message)) in messages.iter().enumerate() {
                    if !message.internal {
                        continue;
                    }
                    // One that is moved is asked about with both tickets.
                    let places = tickets.iter().map(|(_, ticket)| place(ticket, Level::Full));
                    let is_open = |place: &Place| {
                        let holds = || access.has_at(*place, Permission::ViewInternal);
                        is_open_to(access, *message, *action, holds)
                    };
                    let closed = places.clone().find(|place| !is_open(place));
                    let Some(place) = closed.or(places.clone().next()) else {
                        continue;
                    };
                    let check = Check::Internal {
                        nth,
                        author: message.author,
                        action: *action,
                        place,
                    };
                    allowed &= look(observer, check, closed.is_none());
                }
                if let Some(author) = *author {
                    allowed &= look(
                        observer,
                        Check::Author(author),
                        may_write_as(access, author),
                    );
                }
                allowed
            }
            Subject::NotUpdated => look(observer, Check::NoUpdate, false),
            Subject::Shared {
                owners,
                is_shared,
                is_change,
                ..
            } => {
                let mut allowed = true;
                for owner in owners {
                    let (passed, shared) = match is_change {
                        true => (may_change_shared(access, *owner), None),
                        false => (may_see_shared(access, *owner, *is_shared), Some(*is_shared)),
                    };
                    let owner = owner.value();
                    allowed &= look(observer, Check::Shared { owner, shared }, passed);
                }
                allowed
            }
            Subject::AnyRow => true,
        }
    }

    /// The ticket that [`Check::OfTicket`] names.
    pub fn nth_ticket(&self, nth: usize) -> Option<&RowId> {
        match self {
            Subject::Child { tickets, .. } => tickets.get(nth).map(|(id, _)| id),
            _ => None,
        }
    }

    /// The message that [`Check::Internal`] names; none for the row itself.
    pub fn nth_message(&self, nth: usize) -> Option<&RowId> {
        match self {
            Subject::Child { messages, .. } => messages.get(nth)?.0.as_ref(),
            _ => None,
        }
    }
}
