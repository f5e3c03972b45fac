//! Reads the help desk's own tables, with the rights of their owners, as foreign-key checks do.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::CString;
use std::rc::Rc;

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::call_info::ResultRows;
use crate::pg::datum::text_datum;
use crate::pg::error;
use crate::pg::memory;
use crate::pg::run_as_owner::RunAsOwner;
use crate::rights::own_query::{Acting, OwnQuery};
use crate::tables::key::{ColumnKey, Key, KeyRef};

/// How many plans a backend keeps: some for each protected table, and not those of former names for ever.
const MOST_PLANS: usize = 64;

thread_local! {
    /// Kept, since parsing and planning takes ten times as long as a look-up
    /// by key. PostgreSQL itself replans when the table or its owner changes.
    static PLANS: RefCell<HashMap<QueryWithTypes, Rc<KeptPlan>>> = RefCell::default();
    static USES: Cell<u64> = const { Cell::new(0) };
}

type QueryWithTypes = (String, Vec<pg_sys::Oid>);

struct KeptPlan {
    plan: pg_sys::SPIPlanPtr,
    /// How many run it at this moment, one within the other.
    running: Cell<usize>,
    last_used: Cell<u64>,
}

/// While it lives, the plan is not freed.
struct Running(Rc<KeptPlan>);

impl Running {
    fn begin(kept: Rc<KeptPlan>) -> Running {
        kept.running.set(kept.running.get() + 1);
        USES.set(USES.get() + 1);
        kept.last_used.set(USES.get());
        Running(kept)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
    }
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
    args: &[ColumnKey],
    mut each: impl FnMut(&SqlRow),
) {
    let _owner = RunAsOwner::to_read(table);
    let _own = OwnQuery::begin(table, query, Acting::Owner(None));
    // SAFETY: SPI as its documentation asks for it: connect, execute, free, finish. After an error
    // PostgreSQL cleans up itself.
    unsafe {
        pg_sys::SPI_connect();
        let (types, mut datums): (Vec<_>, Vec<_>) = args.iter().map(|key| key.argument()).unzip();
        let running = kept(query, types);
        // Read-only: with the snapshot of the statement that asks.
        let (plan, nulls) = (running.0.plan, std::ptr::null());
        if pg_sys::SPI_execute_plan(plan, datums.as_mut_ptr(), nulls, true, 0) < 0 {
            failed(query);
        }
        read(&mut each);
        pg_sys::SPI_finish();
    }
}

/// How many rows are held in memory at a time, of many.
const BATCH: std::ffi::c_long = 1000;

/// Runs a query on a table and calls `each` with its rows, however many. The plan is not kept: it may depend
/// on more than the query.
pub fn for_each_of_many(
    table: pg_sys::Oid,
    query: &str,
    args: &[ColumnKey],
    acting: &Acting,
    mut each: impl FnMut(&SqlRow),
) {
    let _user = user(table, acting);
    let _own = OwnQuery::begin(table, query, acting.clone());
    // SAFETY: as above, with a cursor.
    unsafe {
        pg_sys::SPI_connect();
        let (types, mut datums): (Vec<_>, Vec<_>) = args.iter().map(|key| key.argument()).unzip();
        let (plan, nulls) = (prepare(query, &types), std::ptr::null());
        let portal = pg_sys::SPI_cursor_open(nulls, plan, datums.as_mut_ptr(), nulls, true);
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

/// Who runs a query of deskguard's own.
fn user(table: pg_sys::Oid, acting: &Acting) -> Option<RunAsOwner> {
    match acting {
        Acting::Owner(_) => Some(RunAsOwner::to_read(table)),
        Acting::Caller(_) => None,
    }
}

/// Runs a query on a table, for the rows of a function that is being called. The plan is not kept: it may depend on
/// more than the query.
pub fn return_rows(result: ResultRows, table: pg_sys::Oid, query: &str, acting: &Acting) {
    let _user = user(table, acting);
    let _own = OwnQuery::begin(table, query, acting.clone());
    // SAFETY: as PL/pgSQL does for RETURN QUERY.
    unsafe {
        pg_sys::SPI_connect();
        let options = pg_sys::SPIExecuteOptions {
            // With the snapshot of the statement that asks.
            read_only: true,
            must_return_tuples: true,
            dest: result.receiver(),
            ..Default::default()
        };
        // Prepared so, it has no parallel workers.
        if pg_sys::SPI_execute_plan_extended(prepare(query, &[]), &options) < 0 {
            failed(query);
        }
        pg_sys::SPI_finish();
    }
}

/// Keys as the rows of a function that is being called, which returns ids or, as text, keys.
pub fn return_keys(result: ResultRows, keys: Vec<KeyRef>, as_text: bool) {
    for key in keys {
        let value = if as_text {
            Some((pg_sys::TEXTOID, text_datum(&key.to_string())))
        } else {
            key.key_type().takes(key).map(ColumnKey::argument)
        };
        if let Some(value) = value {
            // SAFETY: a value with its type.
            unsafe { result.add(value) };
        }
    }
}

/// Runs look-ups with the latest snapshot in place of the statement's: with all that is committed now.
pub fn as_of_now<T>(look_up: impl FnOnce() -> T) -> T {
    // SAFETY: a snapshot that PostgreSQL keeps.
    unsafe { as_of(pg_sys::GetLatestSnapshot(), look_up) }
}

/// Runs look-ups with another snapshot in place of the statement's.
///
/// # Safety
/// The snapshot exists.
pub unsafe fn as_of<T>(snapshot: pg_sys::Snapshot, look_up: impl FnOnce() -> T) -> T {
    // SAFETY: after an error PostgreSQL itself takes off what was put on.
    unsafe {
        pg_sys::PushActiveSnapshot(snapshot);
        let found = look_up();
        pg_sys::PopActiveSnapshot();
        found
    }
}

/// Calls `each` with the rows that SPI has just read, and frees them.
///
/// # Safety
/// SPI has just run a query.
unsafe fn read(each: &mut impl FnMut(&SqlRow)) {
    // SAFETY: SPI has so many rows in its table, until that is freed.
    unsafe {
        let table = pg_sys::SPI_tuptable;
        for row in 0..pg_sys::SPI_processed as usize {
            each(&SqlRow {
                tuple: *(*table).vals.add(row),
                descriptor: (*table).tupdesc,
            });
            memory::check();
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
unsafe fn kept(query: &str, types: Vec<pg_sys::Oid>) -> Running {
    // The type of a column may change.
    let key = (query.to_string(), types);
    if let Some(known) = PLANS.with_borrow(|plans| plans.get(&key).cloned()) {
        return Running::begin(known);
    }
    // SAFETY: SPI is connected, as the caller promises; a plan is freed that nobody runs.
    unsafe {
        let plan = prepare(query, &key.1);
        if pg_sys::SPI_keepplan(plan) != 0 {
            failed(query);
        }
        PLANS.with_borrow_mut(|plans| {
            if plans.len() >= MOST_PLANS {
                // The older half of those that nobody runs.
                let mut idle: Vec<_> = plans
                    .iter()
                    .filter(|(_, kept)| kept.running.get() == 0)
                    .map(|(key, kept)| (kept.last_used.get(), key.clone()))
                    .collect();
                idle.sort_unstable_by_key(|(last_used, _)| *last_used);
                for (_, key) in idle.drain(..idle.len().div_ceil(2)) {
                    if let Some(kept) = plans.remove(&key) {
                        pg_sys::SPI_freeplan(kept.plan);
                    }
                }
            }
            let kept = Rc::new(KeptPlan {
                plan,
                running: Cell::new(0),
                last_used: Cell::new(0),
            });
            plans.insert(key, kept.clone());
            Running::begin(kept)
        })
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
    // A generic plan: no value of a row that somebody must not see gets into one, as debug_print_plan shows it.
    let options = pg_sys::CURSOR_OPT_GENERIC_PLAN as std::ffi::c_int;
    // SAFETY: SPI is connected, as the caller promises, and gets as many types as it is told.
    let plan = unsafe {
        pg_sys::SPI_prepare_cursor(
            text.as_ptr(),
            types.len() as i32,
            types.as_mut_ptr(),
            options,
        )
    };
    if plan.is_null() {
        failed(query);
    }
    plan
}
