//! Messages, attachments and other tables whose rows belong to tickets.

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::protection::kind::{Holds, Kind, Policy};
use crate::protection::policies::{CREATE, DELETE, MODIFY, VIEW};
use crate::tables::catalog::Catalog;
use crate::tables::child_table::{ChildTable, Parent};
use crate::tables::registry::MESSAGES;
use crate::tables::rule_function::RuleFunction;

pub fn find(catalog: &Catalog, root: pg_sys::Oid) -> Option<Box<dyn Kind>> {
    Some(Box::new(ChildTable::find(catalog, root)?))
}

impl Kind for ChildTable {
    fn kind(&self) -> &'static str {
        MESSAGES
    }

    fn root(&self) -> pg_sys::Oid {
        self.oid
    }

    /// Messages that are a parent of others have more of it.
    fn policies(&self, table: pg_sys::Oid, is_parent: bool) -> Vec<Policy> {
        let seen = self.call(RuleFunction::ParentSeen, table);
        let reply = self.call(RuleFunction::ParentReply, table);
        let edit = self.call(RuleFunction::ParentEdit, table);
        let is_reply = matches!(self.parent, Parent::Tickets(_));
        let mut create = if is_reply || self.author.is_some() {
            let new_message = self.call(RuleFunction::NewMessage, table);
            format!("{reply} AND {new_message}")
        } else {
            reply
        };
        let mut updated = edit.clone();
        // Only then, since a column in a policy cannot be altered.
        if is_parent && self.id.is_some() {
            let new_id = self.call(RuleFunction::NewId, table);
            let updated_id = self.call(RuleFunction::UpdatedId, table);
            create = format!("{create} AND {new_id}");
            updated = format!("{edit} AND {updated_id}");
        }
        vec![
            Policy::new(VIEW, "SELECT", format!("USING ({seen})")),
            Policy::new(CREATE, "INSERT", format!("WITH CHECK ({create})")),
            // Of the row before and of the row after.
            Policy::new(
                MODIFY,
                "UPDATE",
                format!("USING ({edit}) WITH CHECK ({updated})"),
            ),
            Policy::new(DELETE, "DELETE", format!("USING ({edit})")),
        ]
    }

    fn columns(&self) -> Vec<(&str, Holds)> {
        let columns = std::iter::once(&self.column).chain(&self.author);
        columns
            .map(|column| (column.as_str(), Holds::Keys))
            .collect()
    }

    fn register(&self) -> Result<(), SpiError> {
        Spi::run_with_args(
            "INSERT INTO deskguard_internal.message_table
             VALUES ($1, $2, $3::pg_catalog.name, $4::pg_catalog.name, $5::pg_catalog.name)",
            &[
                self.oid.into(),
                self.parent.oid().into(),
                self.column.as_str().into(),
                self.id.as_deref().into(),
                self.author.as_deref().into(),
            ],
        )
    }
}
