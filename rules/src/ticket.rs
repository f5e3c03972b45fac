//! A ticket as the rules see it, and how an agent stands to it.

use crate::access::Access;
use crate::columns::Columns;
use crate::permission::{Permission, Relation};

/// What a value stands for that is nobody's external_key. The tables forbid it as an id, so no one has
/// a right on it.
pub const UNMAPPED: i64 = i64::MIN;

/// The value of a column of the ticket table, if it has the column at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The table has no such column.
    Absent,
    Value(Option<i64>),
}

impl Column {
    /// NULL and a column that is not there have no value.
    pub fn value(self) -> Option<i64> {
        match self {
            Column::Absent => None,
            Column::Value(value) => value,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub category: Column,
    pub department: Column,
    /// NULL where the column has the value that the help desk uses for "unassigned".
    pub assignee: Column,
    pub team: Column,
    pub requester: Column,
    pub requester_team: Column,
    /// Does a row of the follower table say that the agent follows it?
    pub followed: bool,
    /// Does one say that the agent asked for it?
    pub requested: bool,
    pub confidential: bool,
    pub status: Status,
}

/// What a ticket table has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    pub columns: Columns<bool>,
    pub followers: bool,
    /// The follower table says who asked for a ticket.
    pub requesters: bool,
}

/// What hides a ticket from others than those it concerns, unless they hold a permission. A new one is a
/// variant here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restriction {
    Confidential,
}

impl Restriction {
    pub const ALL: [Restriction; 1] = [Restriction::Confidential];

    /// Who holds it sees such tickets like others.
    pub fn permission(self) -> Permission {
        match self {
            Restriction::Confidential => Permission::ViewConfidential,
        }
    }

    pub fn is_on(self, ticket: &Ticket) -> bool {
        match self {
            Restriction::Confidential => ticket.confidential,
        }
    }

    pub(crate) fn put_on(self, ticket: &mut Ticket) {
        match self {
            Restriction::Confidential => ticket.confidential = true,
        }
    }

    /// May a ticket of such a table have it?
    pub(crate) fn is_possible(self, shape: Shape) -> bool {
        match self {
            Restriction::Confidential => shape.columns.confidential,
        }
    }
}

/// What a status may mean to the rules. A new one is a variant here, and a field of [`Statuses`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    Archived,
    Spam,
}

impl Meaning {
    pub const ALL: [Meaning; 2] = [Meaning::Archived, Meaning::Spam];
}

/// Something for each meaning: the statuses that have it, or whether a ticket's has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statuses<T> {
    pub archived: T,
    pub spam: T,
}

/// What the rules ask of a ticket's status.
pub type Status = Statuses<bool>;

impl<T> Statuses<T> {
    pub fn each(mut of: impl FnMut(Meaning) -> T) -> Statuses<T> {
        Statuses {
            archived: of(Meaning::Archived),
            spam: of(Meaning::Spam),
        }
    }

    pub fn get(&self, meaning: Meaning) -> &T {
        match meaning {
            Meaning::Archived => &self.archived,
            Meaning::Spam => &self.spam,
        }
    }
}

impl Statuses<Vec<String>> {
    /// What a status means.
    pub fn of(&self, status: Option<&str>) -> Status {
        Statuses::each(|meaning| {
            let mut list = self.get(meaning).iter();
            list.any(|one| Some(one.as_str()) == status)
        })
    }
}

/// The relations that hold between an agent and a ticket; there is always at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relations {
    pub own: bool,
    pub followed: bool,
    pub requested: bool,
    /// No assignee and no team; if not, and not own either, it is assigned to others.
    pub unassigned: bool,
}

impl Relations {
    pub fn between(access: &Access, ticket: &Ticket) -> Relations {
        let (assignee, team) = (ticket.assignee.value(), ticket.team.value());
        let is_one_of = |agent: Option<i64>, team: Option<i64>| {
            agent == Some(access.agent) || team.is_some_and(|team| access.team(team))
        };
        let requester = ticket.requester.value();
        Relations {
            own: is_one_of(assignee, team),
            followed: ticket.followed,
            requested: ticket.requested || is_one_of(requester, ticket.requester_team.value()),
            unassigned: assignee.is_none() && team.is_none(),
        }
    }

    pub fn holds(self, relation: Relation) -> bool {
        match relation {
            Relation::Own => self.own,
            Relation::Followed => self.followed,
            Relation::Requested => self.requested,
            Relation::Unassigned => self.unassigned,
            Relation::Assigned => !self.unassigned && !self.own,
        }
    }

    /// Does it concern the agent, so that it is confidential to others?
    pub(crate) fn concern(relation: Relation) -> bool {
        match relation {
            Relation::Own | Relation::Followed | Relation::Requested => true,
            Relation::Unassigned | Relation::Assigned => false,
        }
    }

    pub fn iter(self) -> impl Iterator<Item = Relation> {
        Relation::ALL
            .into_iter()
            .filter(move |relation| self.holds(*relation))
    }
}
