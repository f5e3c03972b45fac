//! What is tried on a help desk besides reading it.

use super::{Follower, HelpDesk, Ticket};

/// What to try on a help desk besides reading it.
#[derive(Clone, Debug)]
pub struct Case {
    pub desk: HelpDesk,
    /// To be inserted; their ids are free.
    pub new_tickets: Vec<Ticket>,
    pub changes: Vec<TicketChange>,
    /// Follower rows to be inserted.
    pub follows: Vec<Follower>,
    /// Unprotect the table when done, rather than drop it as it is.
    pub unprotect: bool,
}

/// An UPDATE of some of a ticket's columns, of those that exist.
#[derive(Clone, Debug)]
pub struct TicketChange {
    pub old: Ticket,
    pub new: Ticket,
    /// The columns that are set, changed or not.
    pub parts: Vec<Part>,
}

impl TicketChange {
    /// What it makes of another ticket.
    pub fn applied_to(&self, ticket: &Ticket) -> Ticket {
        let mut changed = ticket.clone();
        for part in &self.parts {
            match part {
                Part::Id => changed.id = self.new.id,
                Part::Department => changed.department = self.new.department,
                Part::Category => changed.category = self.new.category,
                Part::Assignee => changed.assignee = self.new.assignee,
                Part::Team => changed.team = self.new.team,
                Part::Requester => changed.requester = self.new.requester,
                Part::RequesterTeam => changed.requester_team = self.new.requester_team,
                Part::Confidential => changed.confidential = self.new.confidential,
                Part::Status => changed.status = self.new.status,
            }
        }
        changed
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Id,
    Department,
    Category,
    Assignee,
    Team,
    Requester,
    RequesterTeam,
    Confidential,
    Status,
}

pub(super) const ALL_PARTS: [Part; 9] = [
    Part::Id,
    Part::Department,
    Part::Category,
    Part::Assignee,
    Part::Team,
    Part::Requester,
    Part::RequesterTeam,
    Part::Confidential,
    Part::Status,
];
