//! Keeps the departments a tree.

use std::cell::RefCell;
use std::collections::HashSet;

use pgrx::prelude::*;

use crate::pg::call_info::{CallInfo, version_1};
use crate::pg::error;
use crate::pg::scan::{Row, ScanKey};
use crate::tables::catalog::{Catalog, own_table};
use crate::tables::columns::department::{ID, PARENT_ID};
use crate::tables::trigger_call::{Form, TriggerCall};

version_1!(guard_department_tree);

/// Trigger: refuses a department that would be its own ancestor.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn guard_department_tree(fcinfo: CallInfo) -> pg_sys::Datum {
    let call = TriggerCall::new(
        fcinfo,
        "guard_department_tree",
        &[Form::AFTER_INSERT, Form::AFTER_UPDATE],
        "It is for deskguard.department, which has the trigger.",
    );
    call.check_table(c"department");
    // SAFETY: the row is one of the table, while the trigger runs.
    let row = unsafe { Row::of(call.new_row(), call.relation().rd_att) };
    let id = row.required(ID);
    // All rows of the command are there already, and another command that changes one meanwhile checks what it
    // changes. So what has been walked through once is in no cycle.
    match fcinfo.kept::<RefCell<HashSet<i64>>>(None) {
        Some(checked) => check_tree(id, &mut checked.borrow_mut()),
        None => {
            let mut checked = HashSet::new();
            check_tree(id, &mut checked);
            let _ = fcinfo.keep(None, RefCell::new(checked));
        }
    }
    pg_sys::Datum::null()
}

/// Departments that were checked before need not be walked through again.
fn check_tree(id: i64, checked: &mut HashSet<i64>) {
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
        pgrx::check_for_interrupts!();
        catalog
            .find(
                c"department",
                c"department_pkey",
                &[ScanKey::bigint(ID, id)],
                |row| row.get::<i64>(PARENT_ID),
            )
            .flatten()
    };
    let mut seen = vec![];
    let mut next = Some(id);
    while let Some(id) = next.filter(|id| checked.insert(*id)) {
        seen.push(id);
        next = parent_of(id);
    }
    if let Some(id) = next.filter(|id| seen.contains(id)) {
        error::raise(
            PgSqlErrorCode::ERRCODE_CHECK_VIOLATION,
            format!("department {id} would be its own ancestor"),
            "Choose a parent_id that is not below the department itself.",
        );
    }
}
