//! deskguard.protect_shared(): things that agents share.

use std::ffi::CStr;

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg::error::refuse_read_only;
use crate::protect::advice::{advise, advise_preload};
use crate::protect::apply::{add_with_parts, remove};
use crate::protect::arguments::{ONE_MEANING, given, needed, not_null, refuse_given_twice};
use crate::protect::check::{check_column, check_kind, check_not_otherwise};
use crate::protect::dropped_rules::{dropped_rules_of_shared, refuse_dropped_rules};
use crate::protect::lock::lock_all;
use crate::protect::own_work::OwnWork;
use crate::tables::catalog::Catalog;
use crate::tables::registry::SHARED;
use crate::tables::shared_table::SharedTable;

#[pg_extern(sql = false)]
fn protect_shared(
    object_table: Option<pg_sys::Oid>,
    id_column: Option<&CStr>,
    owner_column: Option<&CStr>,
    drop_rules: Option<bool>,
) -> Result<(), SpiError> {
    let oid = not_null(
        object_table,
        "object_table",
        "Name the table of the objects.",
    );
    let id = needed(id_column, "id_column");
    refuse_read_only("deskguard.protect_shared");
    check_kind(oid)?;
    lock_all(|| vec![oid]);
    check_kind(oid)?;
    check_not_otherwise(oid, SHARED);
    let table = SharedTable {
        oid,
        id_type: check_column(oid, &id)?,
        id,
        owner: given(owner_column),
    };
    if let Some(owner) = &table.owner {
        check_column(oid, owner)?;
        if *owner == table.id {
            refuse_given_twice(owner, ONE_MEANING);
        }
    }
    if let Some(former) = SharedTable::find(&Catalog::now(), oid) {
        let dropped = dropped_rules_of_shared(&former, &table);
        refuse_dropped_rules(oid, &dropped, drop_rules == Some(true));
    }
    let _work = OwnWork::begin();
    remove(oid)?;
    add_with_parts(&table, oid)?;
    let columns = std::iter::once(&table.id).chain(&table.owner);
    let wanted: Vec<_> = columns.map(|column| (oid, column.as_str(), None)).collect();
    advise(&wanted)?;
    advise_preload();
    Ok(())
}
