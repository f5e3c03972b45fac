//! The rules of messages, in their words.

use std::collections::BTreeSet;

use deskguard_tests::help_desk::{HelpDesk, Id, Principal};

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

    /// The messages whose ticket allows it.
    pub fn messages_that_allow(&self, who: Option<Id>, action: &str) -> BTreeSet<Id> {
        let messages = self.messages.iter();
        let allowed = messages.filter(|(id, ticket)| {
            self.may(who, action, *ticket) && self.is_open(who, action, *id)
        });
        allowed.map(|(id, _)| *id).collect()
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
        self.may(who, "edit_messages", to) && self.may_write(who, to, internal)
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

    pub fn attachments_that_allow(&self, who: Option<Id>, action: &str) -> BTreeSet<Id> {
        let messages = self.messages_that_allow(who, action);
        let attachments = self.attachments.iter();
        let allowed = attachments.filter(|(_, m)| m.is_some_and(|id| messages.contains(&id)));
        allowed.map(|(id, _)| *id).collect()
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
