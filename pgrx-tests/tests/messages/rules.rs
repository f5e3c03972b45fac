//! The rules of messages, in their words.

use std::collections::BTreeSet;

use deskguard_tests::help_desk::{HelpDesk, Id, Principal, RowType};
use postgres::error::SqlState;

use crate::desk::Desk;

impl Desk {
    pub fn help_desk(&self) -> &HelpDesk {
        &self.case.desk
    }

    pub fn may(&self, who: Option<Id>, action: &str, ticket: Option<Id>) -> bool {
        let desk = self.help_desk();
        let ticket = ticket.and_then(|id| desk.ticket(id));
        who.zip(ticket)
            .is_some_and(|(agent, ticket)| desk.act(agent, ticket, action))
    }

    /// The messages whose ticket allows it, and what is none and is left alone.
    pub fn messages_that_allow(&self, who: Option<Id>, action: &str) -> BTreeSet<Id> {
        let messages = self.messages.iter().map(|(id, _)| *id);
        let left_alone = messages.filter(|id| self.is_left_alone(*id));
        let mut allowed = self.own_messages_that_allow(who, action);
        allowed.extend(left_alone);
        allowed
    }

    /// Of the rows that are messages of tickets.
    pub fn own_messages_that_allow(&self, who: Option<Id>, action: &str) -> BTreeSet<Id> {
        let messages = self.messages.iter();
        let allowed = messages.filter(|(id, ticket)| {
            self.is_message(*id) && self.may(who, action, *ticket) && self.is_open(who, action, *id)
        });
        allowed.map(|(id, _)| *id).collect()
    }

    /// Is the row with this id, which is there, a message of the ticket that it names?
    pub fn is_message(&self, id: Id) -> bool {
        let of = self.types.message.as_ref();
        of.is_none_or(|of| of.has(self.types.messages[id as usize - 1]))
    }

    /// Is it a row of another type that deskguard lets pass?
    pub fn is_left_alone(&self, id: Id) -> bool {
        !self.is_message(id) && self.types.message.as_ref().is_some_and(RowType::is_open)
    }

    /// The types of messages, and one of what is none.
    pub fn other_type(&self) -> Option<(&RowType, &'static str)> {
        let types = self.types.message.as_ref()?;
        Some((types, types.other()?))
    }

    /// Why a row that it may change may not become one of this type.
    pub fn refusal_of_type(&self, who: Option<Id>, id: Id, of: &str) -> Option<SqlState> {
        let types = self.types.message.as_ref()?;
        let ticket = self.ticket_of(id);
        let (internal, _) = self.notes[id as usize - 1];
        let may = match types.has(Some(of)) {
            true => self.may(who, "edit_messages", ticket) && self.may_write(who, ticket, internal),
            false => types.is_open(),
        };
        let is_new = types.has(Some(of)) && !self.is_message(id);
        if !may {
            Some(SqlState::INSUFFICIENT_PRIVILEGE)
        } else if is_new && self.is_attached_to(id) {
            // What belonged to nothing would be seen with it.
            Some(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE)
        } else {
            None
        }
    }

    /// Is there an attachment that names this message?
    fn is_attached_to(&self, id: Id) -> bool {
        let types = self.types.attachment.as_ref();
        let mut attachments = self.attachments.iter().zip(&self.types.attachments);
        attachments.any(|((_, message), of)| {
            *message == Some(id) && types.is_none_or(|types| types.has(*of))
        })
    }

    /// Has it a permission that is asked of the ticket?
    pub fn has_for(&self, who: Option<Id>, ticket: Option<Id>, permission: &str) -> bool {
        let desk = self.help_desk();
        let ticket = ticket.and_then(|id| desk.ticket(id));
        who.zip(ticket)
            .is_some_and(|(agent, ticket)| desk.has_for(agent, ticket, permission))
    }

    pub fn sees_internal(&self, who: Option<Id>, ticket: Option<Id>) -> bool {
        self.has_for(who, ticket, "ticket.view.internal")
    }

    /// The ticket of a message, which is there.
    pub fn ticket_of(&self, id: Id) -> Option<Id> {
        self.messages[id as usize - 1].1
    }

    /// May a message that it may edit become one of this ticket?
    pub fn may_move(&self, who: Option<Id>, id: Id, to: Option<Id>) -> bool {
        let (internal, _) = self.notes[id as usize - 1];
        self.is_left_alone(id)
            || self.may(who, "edit_messages", to) && self.may_write(who, to, internal)
    }

    /// Is a message, which is there, none that is kept from the agent since it is internal?
    pub fn is_open(&self, who: Option<Id>, action: &str, id: Id) -> bool {
        let (internal, author) = self.notes[id as usize - 1];
        let wrote = || self.author && author.is_some_and(|author| self.is_by(who, author));
        !self.internal
            || internal == Some(false)
            || self.sees_internal(who, self.ticket_of(id))
            || action == "view" && wrote()
    }

    /// May it write what has this in the column?
    pub fn may_write(&self, who: Option<Id>, ticket: Option<Id>, internal: Option<bool>) -> bool {
        !self.internal || internal == Some(false) || self.sees_internal(who, ticket)
    }

    /// May a message that it may edit be marked so?
    pub fn may_mark(&self, who: Option<Id>, id: Id, internal: Option<bool>) -> bool {
        self.is_left_alone(id) || self.may_write(who, self.ticket_of(id), internal)
    }

    /// Those of messages that allow it, and what is none and is left alone.
    pub fn attachments_that_allow(&self, who: Option<Id>, action: &str) -> BTreeSet<Id> {
        let messages = self.own_messages_that_allow(who, action);
        let attachments = self.attachments.iter().zip(&self.types.attachments);
        let allowed = attachments.filter(|((_, message), of)| match &self.types.attachment {
            Some(types) if !types.has(**of) => types.is_open(),
            _ => message.is_some_and(|id| messages.contains(&id)),
        });
        allowed.map(|((id, _), _)| *id).collect()
    }

    pub fn is_by(&self, who: Option<Id>, author: Id) -> bool {
        let desk = self.help_desk();
        who.is_some() && desk.meant_by(Principal::Agent, self.kinds.author, author) == who
    }

    /// One command that replies to all of these.
    pub fn may_reply(&self, who: Option<Id>, tickets: &[Option<Id>]) -> bool {
        let different: BTreeSet<_> = tickets.iter().collect();
        tickets.iter().all(|ticket| {
            self.may(who, "reply", *ticket)
                && self.may_write(who, *ticket, self.default)
                && (different.len() < 2 || self.has_for(who, *ticket, "ticket.mass_reply"))
        })
    }
}
