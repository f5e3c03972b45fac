//! Things that agents share.

use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_identifier};

use crate::protection::kind::{Holds, Kind, Policy};
use crate::protection::policies::{CREATE, DELETE, MODIFY, VIEW};
use crate::protection::trigger::{OBJECT_GONE, Trigger};
use crate::tables::catalog::Catalog;
use crate::tables::registry::SHARED;
use crate::tables::rule_function::RuleFunction;
use crate::tables::shared_table::SharedTable;

pub fn find(catalog: &Catalog, root: pg_sys::Oid) -> Option<Box<dyn Kind>> {
    Some(Box::new(SharedTable::find(catalog, root)?))
}

impl Kind for SharedTable {
    fn kind(&self) -> &'static str {
        SHARED
    }

    fn root(&self) -> pg_sys::Oid {
        self.oid
    }

    fn policies(&self, table: pg_sys::Oid, _: bool) -> Vec<Policy> {
        let seen = self.call(RuleFunction::SharedSeen, table);
        let change = self.call(RuleFunction::SharedChange, table);
        let new_id = self.call(RuleFunction::NewId, table);
        vec![
            Policy::new(VIEW, "SELECT", format!("USING ({seen})")),
            Policy::new(
                CREATE,
                "INSERT",
                format!("WITH CHECK ({change} AND {new_id})"),
            ),
            // Of the row as it was, and of what becomes of it.
            Policy::new(MODIFY, "UPDATE", format!("USING ({change})")),
            Policy::new(DELETE, "DELETE", format!("USING ({change})")),
        ]
    }

    fn row_triggers(&self) -> Vec<Trigger> {
        use pg_sys::{TRIGGER_TYPE_DELETE, TRIGGER_TYPE_ROW, TRIGGER_TYPE_UPDATE};
        let id = quote_identifier(&self.id);
        let moved =
            format!("FOR EACH ROW WHEN ((OLD.{id} OPERATOR(pg_catalog.=) NEW.{id}) IS NOT TRUE)");
        let (deleted, updated) = (
            TRIGGER_TYPE_ROW | TRIGGER_TYPE_DELETE,
            TRIGGER_TYPE_ROW | TRIGGER_TYPE_UPDATE,
        );
        vec![
            object_gone(
                "deskguard_shared_delete",
                "AFTER DELETE",
                "FOR EACH ROW",
                deleted,
            ),
            object_gone("deskguard_shared_update", "AFTER UPDATE", &moved, updated),
        ]
    }

    fn statement_triggers(&self) -> Vec<Trigger> {
        vec![object_gone(
            "deskguard_shared_truncate",
            "AFTER TRUNCATE",
            "FOR EACH STATEMENT",
            pg_sys::TRIGGER_TYPE_TRUNCATE,
        )]
    }

    fn columns(&self) -> Vec<(&str, Holds)> {
        let columns = std::iter::once(&self.id).chain(&self.owner);
        columns
            .map(|column| (column.as_str(), Holds::Keys))
            .collect()
    }

    fn register(&self) -> Result<(), SpiError> {
        Spi::run_with_args(
            "INSERT INTO deskguard_internal.shared_table
             VALUES ($1, $2::pg_catalog.name, $3::pg_catalog.name)",
            &[
                self.oid.into(),
                self.id.as_str().into(),
                self.owner.as_deref().into(),
            ],
        )
    }
}

/// A trigger that forgets with whom objects were shared that are gone, however they go.
fn object_gone(name: &'static str, event: &'static str, condition: &str, kind: u32) -> Trigger {
    Trigger {
        name,
        event,
        condition: condition.into(),
        function: OBJECT_GONE,
        kind,
        has_condition: condition.contains(" WHEN "),
        always: true,
    }
}
