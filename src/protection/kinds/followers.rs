//! Follower tables, which are protected with their ticket table.

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg::relation::regclass;
use crate::protection::kind::{Holds, Kind, Policy};
use crate::protection::policies::{CREATE, DELETE, MODIFY, VIEW};
use crate::tables::catalog::Catalog;
use crate::tables::registry::FOLLOWERS;
use crate::tables::rule_function::{Argument, RuleFunction};
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
        let of_type = |asked: String| match &self.row_type {
            Some(of) => of.restrict(self.oid, &asked),
            None => asked,
        };
        let seen = of_type(self.call(RuleFunction::ParentSeen, table));
        let change = of_type(self.written_call(table));
        let of_others = match &self.row_type {
            // By a call, by which the policy is known as deskguard's: it is never true.
            Some(of) if of.are_others_open => of.restrict(
                self.oid,
                &RuleFunction::Follower.call(|argument| match argument {
                    Argument::Table => Some(regclass(table)),
                    _ => Some("NULL::pg_catalog.int8".into()),
                }),
            ),
            _ => "false".into(),
        };
        vec![
            Policy::new(VIEW, "SELECT", format!("USING ({seen})")),
            Policy::new(CREATE, "INSERT", format!("WITH CHECK ({change})")),
            Policy::new(MODIFY, "UPDATE", format!("USING ({of_others})")),
            Policy::new(DELETE, "DELETE", format!("USING ({change})")),
        ]
    }

    fn columns(&self) -> Vec<(&str, Holds)> {
        let keys = [&self.ticket, &self.agent].map(|column| (column.as_str(), Holds::Keys));
        let kind = self.kinds.iter().map(|kinds| &kinds.column);
        let others = kind.chain(self.row_type.iter().map(|of| &of.column));
        let others = others.map(|column| (column.as_str(), Holds::Anything));
        keys.into_iter().chain(others).collect()
    }

    /// The row of the ticket table names it.
    fn register(&self) -> Result<(), SpiError> {
        Ok(())
    }
}
