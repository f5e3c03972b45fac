//! Reads the help desk's own tables, with the rights of their owners, as foreign-key checks do.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;

use pgrx::prelude::*;
use pgrx::{PgRelation, pg_sys};

use crate::error;
use crate::key::{Key, KeyRef};

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

/// How many plans a backend keeps: some for each protected table, and not those of former names for ever.
const MOST_PLANS: usize = 64;

thread_local! {
    /// Kept, since parsing and planning takes ten times as long as a look-up by key.
    /// PostgreSQL itself replans when the table or its owner changes.
    static PLANS: RefCell<HashMap<String, pg_sys::SPIPlanPtr>> = RefCell::default();
}

/// A row that a query gave.
pub struct SqlRow {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl SqlRow {
    /// A column, counted from 1, of a type that keys have.
    pub fn key(&self, column: i32) -> Option<KeyRef<'_>> {
        let mut is_null = false;
        // SAFETY: the row is there as long as this is.
        unsafe {
            let value = pg_sys::SPI_getbinval(self.tuple, self.descriptor, column, &mut is_null);
            if is_null {
                return None;
            }
            KeyRef::from_datum(value, pg_sys::SPI_gettypeid(self.descriptor, column))
        }
    }

    /// A column, counted from 1, that is an integer.
    pub fn number(&self, column: i32) -> Option<i64> {
        match self.key(column) {
            Some(Key::Number(number)) => Some(number),
            _ => None,
        }
    }
}

/// Runs a query on a table, by key, as its owner and calls `each` with its rows. The plan is kept for the
/// next time.
///
/// pgrx's Spi will not do: it takes a new snapshot in a transaction that has written.
pub fn for_each_row(
    table: pg_sys::Oid,
    query: &str,
    args: &[KeyRef],
    mut each: impl FnMut(&SqlRow),
) {
    let _owner = RunAsOwner::of(table);
    // SAFETY: SPI as its documentation asks for it: connect, execute, free, finish. After an error
    // PostgreSQL cleans up itself.
    unsafe {
        pg_sys::SPI_connect();
        let (types, mut datums): (Vec<_>, Vec<_>) = args.iter().map(|key| key.argument()).unzip();
        let plan = kept(query, &types);
        // Read-only: with the snapshot of the statement that asks.
        let nulls = std::ptr::null();
        if pg_sys::SPI_execute_plan(plan, datums.as_mut_ptr(), nulls, true, 0) < 0 {
            failed(query);
        }
        read(&mut each);
        pg_sys::SPI_finish();
    }
}

/// How many rows are held in memory at a time, of many.
const BATCH: std::ffi::c_long = 1000;

/// Runs a query on a table as its owner and calls `each` with its rows, however many. The plan is not
/// kept: it may depend on more than the query.
pub fn for_each_of_many(table: pg_sys::Oid, query: &str, mut each: impl FnMut(&SqlRow)) {
    let _owner = RunAsOwner::of(table);
    // SAFETY: as above, with a cursor.
    unsafe {
        pg_sys::SPI_connect();
        let (none, nulls) = (std::ptr::null_mut(), std::ptr::null());
        let portal = pg_sys::SPI_cursor_open(nulls, prepare(query, &[]), none, nulls, true);
        loop {
            pg_sys::SPI_cursor_fetch(portal, true, BATCH);
            let rows = pg_sys::SPI_processed;
            read(&mut each);
            if rows < BATCH as u64 {
                break;
            }
        }
        pg_sys::SPI_cursor_close(portal);
        pg_sys::SPI_finish();
    }
}

unsafe extern "C-unwind" {
    /// Of executor/tstoreReceiver.h.
    fn SetTuplestoreDestReceiverParams(
        receiver: *mut pg_sys::DestReceiver,
        store: *mut pg_sys::Tuplestorestate,
        context: pg_sys::MemoryContext,
        detoast: bool,
        descriptor: pg_sys::TupleDesc,
        mismatch: *const std::ffi::c_char,
    );
}

/// Runs a query on a table as its owner; its rows are the result of the set-returning function that is
/// being called. They go from the executor to a tuplestore, which holds work_mem of them in memory and
/// the rest in a file. The plan is not kept: it may depend on more than the query.
pub fn return_rows(fcinfo: pg_sys::FunctionCallInfo, table: pg_sys::Oid, query: &str) {
    // SAFETY: as PL/pgSQL does for RETURN QUERY.
    unsafe {
        let result = &*(*fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
        let _owner = RunAsOwner::of(table);
        pg_sys::SPI_connect();
        let receiver = pg_sys::CreateDestReceiver(pg_sys::CommandDest::DestTuplestore);
        pg_sys::ffi::pg_guard_ffi_boundary(|| {
            SetTuplestoreDestReceiverParams(
                receiver,
                result.setResult,
                (*result.econtext).ecxt_per_query_memory,
                false,
                std::ptr::null_mut(),
                std::ptr::null(),
            )
        });
        let options = pg_sys::SPIExecuteOptions {
            // With the snapshot of the statement that asks.
            read_only: true,
            must_return_tuples: true,
            dest: receiver,
            ..Default::default()
        };
        // Prepared so, it has no parallel workers, who would not know whom it asks for.
        if pg_sys::SPI_execute_plan_extended(prepare(query, &[]), &options) < 0 {
            failed(query);
        }
        pg_sys::SPI_finish();
    }
}

/// Calls `each` with the rows that SPI has just read, and frees them.
unsafe fn read(each: &mut impl FnMut(&SqlRow)) {
    unsafe {
        let table = pg_sys::SPI_tuptable;
        for row in 0..pg_sys::SPI_processed as usize {
            each(&SqlRow {
                tuple: *(*table).vals.add(row),
                descriptor: (*table).tupdesc,
            });
        }
        pg_sys::SPI_freetuptable(table);
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
unsafe fn kept(query: &str, types: &[pg_sys::Oid]) -> pg_sys::SPIPlanPtr {
    unsafe {
        if let Some(plan) = PLANS.with_borrow(|plans| plans.get(query).copied()) {
            // The type of a column may have been changed since.
            let fits = |(n, type_oid)| pg_sys::SPI_getargtypeid(plan, n) == type_oid;
            if (0..).zip(types.iter().copied()).all(fits) {
                return plan;
            }
            PLANS.with_borrow_mut(|plans| plans.remove(query));
            pg_sys::SPI_freeplan(plan);
        }
        let plan = prepare(query, types);
        if pg_sys::SPI_keepplan(plan) != 0 {
            failed(query);
        }
        PLANS.with_borrow_mut(|plans| {
            if plans.len() >= MOST_PLANS {
                for (_, plan) in plans.drain() {
                    pg_sys::SPI_freeplan(plan);
                }
            }
            plans.insert(query.into(), plan);
        });
        plan
    }
}

/// # Safety
/// SPI is connected.
unsafe fn prepare(query: &str, types: &[pg_sys::Oid]) -> pg_sys::SPIPlanPtr {
    // PostgreSQL's names have no NUL in them.
    let Ok(text) = CString::new(query) else {
        failed(query)
    };
    let mut types = types.to_vec();
    let plan =
        unsafe { pg_sys::SPI_prepare(text.as_ptr(), types.len() as i32, types.as_mut_ptr()) };
    if plan.is_null() {
        failed(query);
    }
    plan
}
