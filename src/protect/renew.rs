//! Policies that ask other functions than those of the version before: an upgrade script makes them again.

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg::error;
use crate::pg::relation::table_name;
use crate::pg::run_as_owner::RunAsOwner;
use crate::protect::apply::{add_triggers, create_policies, drop_policies};
use crate::protect::lock::lock_all;
use crate::protect::own_work::OwnWork;
use crate::protect::registry::registered_with;
use crate::protection::kind::Kind;
use crate::protection::whole::missing_columns;
use crate::tables::catalog::Catalog;
use crate::tables::ticket_table::TicketTable;

/// Makes the policies and triggers of all ticket tables again. What is registered of them stays as it is.
#[pg_extern(sql = false)]
fn renew_ticket_policies() -> Result<(), SpiError> {
    let parts = || {
        let all = TicketTable::all(&Catalog::now()).into_iter();
        all.flat_map(|table| parts_of(&table)).collect::<Vec<_>>()
    };
    lock_all(parts);
    let _work = OwnWork::begin();
    for table in TicketTable::all(&Catalog::now()) {
        let parts = parts_of(&table);
        for part in &parts {
            let _owner = RunAsOwner::of(*part);
            drop_policies(*part)?;
        }
        // Where columns are missing it was closed, and stays so.
        let missing = parts.iter().flat_map(|part| missing_columns(&table, *part));
        if let Some(missing) = missing.into_iter().next() {
            error::warn(
                format!("{} stays closed: {missing}", table.name()),
                "Protect it again: SELECT deskguard.protect_tickets(...).",
            );
            continue;
        }
        for part in &parts {
            let _owner = RunAsOwner::of(*part);
            create_policies(&table, *part, !table.is_opened_by_others())?;
            add_triggers(&table, *part)?;
        }
    }
    Ok(())
}

/// A table and its partitions and children, also those that were detached, which are protected still.
fn parts_of(table: &TicketTable) -> Vec<pg_sys::Oid> {
    let mut parts: Vec<_> = registered_with(table.oid)
        .iter()
        .map(|part| part.oid)
        .collect();
    parts.retain(|part| table_name(*part).is_some());
    parts
}
