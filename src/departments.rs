//! Keeps the departments a tree.

use std::collections::BTreeSet;

use pgrx::prelude::*;

use crate::catalog::{Catalog, ScanKey, own_table};
use crate::error;
use crate::load::department::{ID, PARENT_ID};

/// Trigger: refuses a department that would be its own ancestor.
#[pg_trigger(sql = false)]
fn guard_department_tree<'a>(
    trigger: &'a pgrx::PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, impl WhoAllocated>>, Box<dyn std::error::Error>> {
    let new = trigger.new();
    let Some(id) = (match &new {
        Some(row) => row.get_by_name::<i64>("id")?,
        None => None,
    }) else {
        return Ok(new);
    };
    // One at a time: two sessions that each close half of a cycle must not miss each other. The
    // lock is on the table as an object, which nothing else takes.
    // SAFETY: a lock that ends with the transaction.
    unsafe {
        pg_sys::LockDatabaseObject(
            pg_sys::RelationRelationId,
            own_table(c"department"),
            0,
            pg_sys::ExclusiveLock as pg_sys::LOCKMODE,
        );
    }
    let catalog = Catalog::now();
    let parent_of = |id| {
        catalog
            .find(
                c"department",
                c"department_pkey",
                &[ScanKey::bigint(ID, id)],
                |row| row.get::<i64>(PARENT_ID),
            )
            .flatten()
    };
    let mut seen = BTreeSet::from([id]);
    if std::iter::successors(parent_of(id), |id| parent_of(*id)).any(|above| !seen.insert(above)) {
        error::raise(
            PgSqlErrorCode::ERRCODE_CHECK_VIOLATION,
            format!("department {id} would be its own ancestor"),
            "Choose a parent_id that is not below the department itself.",
        );
    }
    Ok(new)
}
