//! The follower table: what its rows say, and who sees and changes them.

use crate::help_desk::{Follower, Following, HelpDesk, Id, Principal, RowType, Ticket};

impl HelpDesk {
    /// The agent that a follower row names.
    pub fn follower(&self, row: &Follower) -> Option<Id> {
        let columns = self.table.follower.as_ref()?;
        self.meant_by(Principal::Agent, columns.agent.kind, row.agent?)
    }

    /// The types of the follower table, if it has several, where the row is of another one than tickets.
    fn other_type(&self, row: &Follower) -> Option<&RowType> {
        let types = self.table.follower.as_ref()?.row_type.as_ref();
        types.filter(|of| !of.has(row.row_type))
    }

    /// Does the row belong to the ticket that has its number?
    pub fn is_of_ticket(&self, row: &Follower) -> bool {
        self.other_type(row).is_none()
    }

    /// Is it of another type, and left alone?
    pub fn is_left_alone(&self, row: &Follower) -> bool {
        self.other_type(row).is_some_and(RowType::is_open)
    }

    /// What a follower row says of its agent; nothing, if it is of a kind that nobody was told of, or of no ticket.
    pub fn says(&self, row: &Follower) -> Option<Following> {
        if !self.is_of_ticket(row) {
            return None;
        }
        match &self.table.follower.as_ref()?.kinds {
            None => Some(Following::Followed),
            Some(kinds) => kinds.meanings.get(row.kind?).copied(),
        }
    }

    fn follows_as(&self, what: Following, a: Id, t: &Ticket) -> bool {
        let followers = self.followers.iter();
        let mut of_ticket = followers.filter(|row| row.ticket == Some(t.id));
        of_ticket.any(|row| self.says(row) == Some(what) && self.follower(row) == Some(a))
    }

    pub fn followed(&self, a: Id, t: &Ticket) -> bool {
        self.follows_as(Following::Followed, a, t)
    }

    /// By a follower row, rather than by a column.
    pub fn requested_by_kind(&self, a: Id, t: &Ticket) -> bool {
        self.follows_as(Following::Requested, a, t)
    }

    fn ticket_of(&self, row: &Follower) -> Option<&Ticket> {
        self.ticket(row.ticket.filter(|_| self.is_of_ticket(row))?)
    }

    pub fn sees_follower(&self, who: Option<Id>, row: &Follower) -> bool {
        let seen = who.zip(self.ticket_of(row));
        self.is_left_alone(row) || seen.is_some_and(|(agent, ticket)| self.view(agent, ticket))
    }

    /// May it add or remove this row?
    pub fn changes_follower(&self, who: Option<Id>, row: &Follower) -> bool {
        if self.is_left_alone(row) {
            return true;
        }
        let Some((agent, ticket)) = who.zip(self.ticket_of(row)) else {
            return false;
        };
        // With any other kind it might get more than it has.
        if self.follower(row) == who && self.says(row) == Some(Following::Followed) {
            self.view(agent, ticket)
        } else {
            self.act(agent, ticket, "modify")
        }
    }
}
