//! Follower tables, which are protected with their ticket table.

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::protection::kind::{Holds, Kind, Policy};
use crate::protection::policies::{CREATE, DELETE, MODIFY, VIEW};
use crate::tables::catalog::Catalog;
use crate::tables::registry::FOLLOWERS;
use crate::tables::rule_function::RuleFunction;
use crate::tables::ticket_table::{FollowerTable, TicketTable};

pub fn find(catalog: &Catalog, root: pg_sys::Oid) -> Option<Box<dyn Kind>> {
    let tickets = TicketTable::find_by_followers(catalog, root)?;
    Some(Box::new(tickets.followers?))
}

impl Kind for FollowerTable {
    fn kind(&self) -> &'static str {
        FOLLOWERS
    }

    fn root(&self) -> pg_sys::Oid {
        self.oid
    }

    fn policies(&self, table: pg_sys::Oid, _: bool) -> Vec<Policy> {
        let seen = self.call(RuleFunction::ParentSeen, table);
        let change = self.call(RuleFunction::Follower, table);
        vec![
            Policy::new(VIEW, "SELECT", format!("USING ({seen})")),
            Policy::new(CREATE, "INSERT", format!("WITH CHECK ({change})")),
            Policy::new(MODIFY, "UPDATE", "USING (false)".into()),
            Policy::new(DELETE, "DELETE", format!("USING ({change})")),
        ]
    }

    fn columns(&self) -> Vec<(&str, Holds)> {
        vec![(&self.ticket, Holds::Keys), (&self.agent, Holds::Keys)]
    }

    /// The row of the ticket table names it.
    fn register(&self) -> Result<(), SpiError> {
        Ok(())
    }
}
