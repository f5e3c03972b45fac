//! What PostgreSQL tells an event trigger.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CStr;

use pgrx::prelude::*;
use pgrx::spi::SpiError;
use pgrx::{FromDatum, pg_sys};

use crate::pg::call_info::CallInfo;
use crate::pg::error;

thread_local! {
    /// Kept for the session, since DDL is to pay little.
    static PLANS: RefCell<HashMap<&'static CStr, pg_sys::SPIPlanPtr>> = RefCell::default();
}

/// A row of an answer, to be read before the next is.
pub struct EventRow {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl EventRow {
    /// A column, counted from 1.
    ///
    /// # Safety
    /// It has that type.
    pub unsafe fn get<T: FromDatum>(&self, column: i32) -> Option<T> {
        let mut is_null = false;
        // SAFETY: as the caller promises.
        unsafe {
            let value = pg_sys::SPI_getbinval(self.tuple, self.descriptor, column, &mut is_null);
            T::from_datum(value, is_null)
        }
    }
}

/// Calls `each` with the rows of a query without arguments. It names all with their schemas, also operators,
/// which the user's search_path could replace.
pub fn for_each_event_row(query: &'static CStr, mut each: impl FnMut(&EventRow)) {
    // SAFETY: SPI as its documentation asks for it. After an error PostgreSQL cleans up itself.
    unsafe {
        pg_sys::SPI_connect();
        let plan = PLANS
            .with_borrow(|plans| plans.get(query).copied())
            .unwrap_or_else(|| prepare(query));
        if pg_sys::SPI_execute_plan(plan, std::ptr::null_mut(), std::ptr::null(), false, 0) < 0 {
            failed(query);
        }
        let table = pg_sys::SPI_tuptable;
        for row in 0..pg_sys::SPI_processed as usize {
            each(&EventRow {
                tuple: *(*table).vals.add(row),
                descriptor: (*table).tupdesc,
            });
        }
        pg_sys::SPI_finish();
    }
}

/// # Safety
/// SPI is connected.
unsafe fn prepare(query: &'static CStr) -> pg_sys::SPIPlanPtr {
    // SAFETY: as the caller promises.
    unsafe {
        let plan = pg_sys::SPI_prepare(query.as_ptr(), 0, std::ptr::null_mut());
        if plan.is_null() || pg_sys::SPI_keepplan(plan) != 0 {
            failed(query);
        }
        PLANS.with_borrow_mut(|plans| plans.insert(query, plan));
        plan
    }
}

fn failed(query: &CStr) -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("could not run: {}", query.to_string_lossy()),
        "Please report this.",
    )
}

/// What an event trigger is told of the command.
pub fn command_of<'c>(fcinfo: CallInfo<'c>, function: &str) -> &'c pg_sys::EventTriggerData {
    fcinfo.event_trigger().unwrap_or_else(|| {
        error::raise(
            PgSqlErrorCode::ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED,
            format!("deskguard_internal.{function}() can only be called as an event trigger"),
            "CREATE EXTENSION makes the event trigger.",
        )
    })
}

pub fn finish(outcome: Result<(), SpiError>) {
    if let Err(problem) = outcome {
        error::raise(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("could not look after protected tables: {problem}"),
            "Please report this.",
        );
    }
}
