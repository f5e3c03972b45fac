//! Reads the help desk's own tables, with the rights of their owners, as foreign-key checks do.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;

use pgrx::prelude::*;
use pgrx::{PgRelation, pg_sys};

use crate::error;

/// While it lives, the current user is the owner of a table, for whom that table's policies do not
/// apply. SET ROLE is forbidden meanwhile.
pub struct RunAsOwner {
    user: pg_sys::Oid,
    context: std::ffi::c_int,
}

impl RunAsOwner {
    pub fn of(table: pg_sys::Oid) -> RunAsOwner {
        let (mut user, mut context) = (pg_sys::InvalidOid, 0);
        // SAFETY: the relation is open; an error's abort restores user and context, else drop does.
        unsafe {
            let relation =
                PgRelation::with_lock(table, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
            let owner = (*relation.rd_rel).relowner;
            pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
            pg_sys::SetUserIdAndSecContext(
                owner,
                context
                    | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32
                    | pg_sys::SECURITY_NOFORCE_RLS as i32,
            );
        }
        RunAsOwner { user, context }
    }
}

impl Drop for RunAsOwner {
    fn drop(&mut self) {
        // SAFETY: puts back what of() found.
        unsafe { pg_sys::SetUserIdAndSecContext(self.user, self.context) }
    }
}

/// How many rows are held in memory at a time, of many.
const BATCH: std::ffi::c_long = 1000;

/// What a query reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// By key: the plan is kept for the next time.
    Few,
    /// Read in batches. The plan is not kept: it may depend on more than the query.
    Many,
}

/// How many plans a backend keeps: some for each protected table, and not those of former names for ever.
const MOST_PLANS: usize = 64;

thread_local! {
    /// Kept, since parsing and planning takes ten times as long as a look-up by key.
    /// PostgreSQL itself replans when the table or its owner changes.
    static PLANS: RefCell<HashMap<CString, pg_sys::SPIPlanPtr>> = RefCell::default();
}

/// Runs a query on a table as its owner and calls `each` with its rows. Arguments and columns are
/// all bigint.
///
/// pgrx's Spi will not do: it takes a new snapshot in a transaction that has written.
pub fn for_each_row<const COLUMNS: usize>(
    table: pg_sys::Oid,
    query: &str,
    args: &[i64],
    rows: Rows,
    mut each: impl FnMut([Option<i64>; COLUMNS]),
) {
    let _owner = RunAsOwner::of(table);
    // SAFETY: SPI as its documentation asks for it: connect, open, fetch, free, close, finish.
    // After an error PostgreSQL cleans up itself.
    unsafe {
        pg_sys::SPI_connect();
        let plan = prepared(query, args.len(), rows);
        let mut datums: Vec<pg_sys::Datum> = args.iter().map(|arg| (*arg).into()).collect();
        // Read-only: with the snapshot of the statement that asks.
        if rows == Rows::Few {
            let nulls = std::ptr::null();
            if pg_sys::SPI_execute_plan(plan, datums.as_mut_ptr(), nulls, true, 0) < 0 {
                failed(query);
            }
            read_batch(&mut each);
        } else {
            let nulls = std::ptr::null();
            let portal = pg_sys::SPI_cursor_open(nulls, plan, datums.as_mut_ptr(), nulls, true);
            loop {
                pg_sys::SPI_cursor_fetch(portal, true, BATCH);
                if read_batch(&mut each) < BATCH as usize {
                    break;
                }
            }
            pg_sys::SPI_cursor_close(portal);
        }
        pg_sys::SPI_finish();
    }
}

/// Calls `each` with the rows that SPI has just read, and frees them.
unsafe fn read_batch<const COLUMNS: usize>(each: &mut impl FnMut([Option<i64>; COLUMNS])) -> usize {
    unsafe {
        let rows = pg_sys::SPI_processed as usize;
        let batch = pg_sys::SPI_tuptable;
        for row in 0..rows {
            let tuple = *(*batch).vals.add(row);
            each(std::array::from_fn(|column| {
                let mut is_null = false;
                let number = column as i32 + 1;
                let value = pg_sys::SPI_getbinval(tuple, (*batch).tupdesc, number, &mut is_null);
                (!is_null).then(|| value.value() as i64)
            }));
        }
        pg_sys::SPI_freetuptable(batch);
        rows
    }
}

fn failed(query: &str) -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("could not run: {query}"),
        "Please report this.",
    )
}

/// # Safety
/// SPI is connected.
unsafe fn prepared(query: &str, args: usize, rows: Rows) -> pg_sys::SPIPlanPtr {
    // PostgreSQL's names have no NUL in them.
    let Ok(text) = CString::new(query) else {
        failed(query)
    };
    if let Some(plan) = PLANS.with_borrow(|plans| plans.get(&text).copied()) {
        return plan;
    }
    let mut types = vec![pg_sys::INT8OID; args];
    unsafe {
        let prepared = pg_sys::SPI_prepare(text.as_ptr(), args as i32, types.as_mut_ptr());
        if prepared.is_null() || rows == Rows::Few && pg_sys::SPI_keepplan(prepared) != 0 {
            failed(query);
        }
        if rows == Rows::Few {
            PLANS.with_borrow_mut(|plans| {
                if plans.len() >= MOST_PLANS {
                    for (_, plan) in plans.drain() {
                        pg_sys::SPI_freeplan(plan);
                    }
                }
                plans.insert(text, prepared);
            });
        }
        prepared
    }
}
