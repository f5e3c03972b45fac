//! The columns of a ticket table that the rules ask for.

/// One of these columns. A new one is a variant here, and a field of [`Columns`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketColumn {
    Department,
    Category,
    Assignee,
    Team,
    Requester,
    RequesterTeam,
    Confidential,
    Status,
}

impl TicketColumn {
    pub const ALL: [TicketColumn; 8] = [
        TicketColumn::Department,
        TicketColumn::Category,
        TicketColumn::Assignee,
        TicketColumn::Team,
        TicketColumn::Requester,
        TicketColumn::RequesterTeam,
        TicketColumn::Confidential,
        TicketColumn::Status,
    ];
}

/// Something for each of these columns: its name, whether a table has it, where a row has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns<T> {
    pub department: T,
    pub category: T,
    pub assignee: T,
    pub team: T,
    pub requester: T,
    pub requester_team: T,
    pub confidential: T,
    pub status: T,
}

impl<T> Columns<T> {
    pub fn each(mut of: impl FnMut(TicketColumn) -> T) -> Columns<T> {
        Columns {
            department: of(TicketColumn::Department),
            category: of(TicketColumn::Category),
            assignee: of(TicketColumn::Assignee),
            team: of(TicketColumn::Team),
            requester: of(TicketColumn::Requester),
            requester_team: of(TicketColumn::RequesterTeam),
            confidential: of(TicketColumn::Confidential),
            status: of(TicketColumn::Status),
        }
    }

    pub fn get(&self, column: TicketColumn) -> &T {
        match column {
            TicketColumn::Department => &self.department,
            TicketColumn::Category => &self.category,
            TicketColumn::Assignee => &self.assignee,
            TicketColumn::Team => &self.team,
            TicketColumn::Requester => &self.requester,
            TicketColumn::RequesterTeam => &self.requester_team,
            TicketColumn::Confidential => &self.confidential,
            TicketColumn::Status => &self.status,
        }
    }

    pub fn get_mut(&mut self, column: TicketColumn) -> &mut T {
        match column {
            TicketColumn::Department => &mut self.department,
            TicketColumn::Category => &mut self.category,
            TicketColumn::Assignee => &mut self.assignee,
            TicketColumn::Team => &mut self.team,
            TicketColumn::Requester => &mut self.requester,
            TicketColumn::RequesterTeam => &mut self.requester_team,
            TicketColumn::Confidential => &mut self.confidential,
            TicketColumn::Status => &mut self.status,
        }
    }
}

impl<T> Columns<Option<T>> {
    /// Those that are there.
    pub fn present(&self) -> impl Iterator<Item = (TicketColumn, &T)> {
        TicketColumn::ALL
            .into_iter()
            .filter_map(|column| Some((column, self.get(column).as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_has_a_place_of_its_own() {
        let mut columns = Columns::each(Some);
        for column in TicketColumn::ALL {
            assert_eq!(*columns.get(column), Some(column));
            assert_eq!(*columns.get_mut(column), Some(column));
        }
        *columns.get_mut(TicketColumn::Team) = None;
        assert_eq!(columns.team, None);
        assert_eq!(columns.present().count(), TicketColumn::ALL.len() - 1);
    }
}
