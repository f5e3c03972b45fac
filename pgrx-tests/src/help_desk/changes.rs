//! What is tried on a help desk besides reading it.

use super::{Follower, HelpDesk, Id, Principal, Ticket};

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
                Part::Confidential => changed.confidential = self.new.confidential,
                Part::Status => changed.status = self.new.status,
                Part::Department
                | Part::Category
                | Part::Assignee
                | Part::Team
                | Part::Requester
                | Part::RequesterTeam => changed.set_key(*part, self.new.key(*part)),
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

impl Part {
    /// Whom its column names.
    pub fn names(self) -> Option<Principal> {
        match self {
            Part::Assignee | Part::Requester => Some(Principal::Agent),
            Part::Team | Part::RequesterTeam => Some(Principal::Team),
            Part::Department => Some(Principal::Department),
            Part::Category => Some(Principal::Category),
            Part::Id | Part::Confidential | Part::Status => None,
        }
    }
}

impl Ticket {
    /// What it has in a column that names somebody.
    pub fn key(&self, part: Part) -> Option<Id> {
        match part {
            Part::Department => self.department,
            Part::Category => self.category,
            Part::Assignee => self.assignee,
            Part::Team => self.team,
            Part::Requester => self.requester,
            Part::RequesterTeam => self.requester_team,
            Part::Id | Part::Confidential | Part::Status => None,
        }
    }

    pub(super) fn set_key(&mut self, part: Part, value: Option<Id>) {
        match part {
            Part::Department => self.department = value,
            Part::Category => self.category = value,
            Part::Assignee => self.assignee = value,
            Part::Team => self.team = value,
            Part::Requester => self.requester = value,
            Part::RequesterTeam => self.requester_team = value,
            Part::Id | Part::Confidential | Part::Status => {}
        }
    }
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
