//! Rows of a query that wait until others of deskguard's own read them, under a name: as transition tables do.

use std::ffi::{CStr, CString};

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::call_info::store_receiver;
use crate::pg::error;
use crate::pg::node::items;
use crate::pg::relation::text;

pub struct Staged {
    name: &'static CStr,
    store: *mut pg_sys::Tuplestorestate,
    descriptor: pg_sys::TupleDesc,
}

impl Staged {
    /// The rows of a query, which sees all that is committed now. `read` are others that it names.
    pub fn of(name: &'static CStr, query: &str, read: &[&Staged]) -> Staged {
        // SAFETY: the store and the descriptor are made in memory that is there before SPI is connected. After an
        // error PostgreSQL cleans up itself.
        unsafe {
            let memory = pg_sys::CurrentMemoryContext;
            let store = pg_sys::tuplestore_begin_heap(true, false, pg_sys::work_mem);
            pg_sys::SPI_connect();
            let (plan, _relations) = prepare(query, read);
            let sources =
                items::<pg_sys::CachedPlanSource>(pg_sys::SPI_plan_get_plan_sources(plan));
            let Some(source) = sources.first() else {
                failed(query)
            };
            let here = pg_sys::MemoryContextSwitchTo(memory);
            let descriptor = pg_sys::CreateTupleDescCopy((**source).resultDesc);
            pg_sys::MemoryContextSwitchTo(here);
            let options = pg_sys::SPIExecuteOptions {
                must_return_tuples: true,
                dest: store_receiver(store, memory, descriptor, true),
                ..Default::default()
            };
            if pg_sys::SPI_execute_plan_extended(plan, &options) < 0 {
                failed(query);
            }
            pg_sys::SPI_finish();
            Staged {
                name,
                store,
                descriptor,
            }
        }
    }

    pub fn count(&self) -> i64 {
        // SAFETY: its store.
        unsafe { pg_sys::tuplestore_tuple_count(self.store) }
    }

    fn relation(&self) -> pg_sys::EphemeralNamedRelationData {
        pg_sys::EphemeralNamedRelationData {
            md: pg_sys::EphemeralNamedRelationMetadataData {
                name: self.name.as_ptr().cast_mut(),
                reliddesc: pg_sys::InvalidOid,
                tupdesc: self.descriptor,
                enrtype: pg_sys::EphemeralNameRelationType::ENR_NAMED_TUPLESTORE,
                enrtuples: self.count() as f64,
            },
            reldata: self.store.cast(),
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // While an error unwinds, its memory and files go with the transaction.
        if !std::thread::panicking() {
            // SAFETY: nobody reads it any more.
            unsafe { pg_sys::tuplestore_end(self.store) }
        }
    }
}

/// The first row of a query, as text; none if there is none.
pub fn first_row(query: &str, read: &[&Staged]) -> Option<Vec<Option<String>>> {
    // SAFETY: SPI as its documentation asks for it; the row is copied before it is freed.
    unsafe {
        pg_sys::SPI_connect();
        let (plan, _relations) = prepare(query, read);
        if pg_sys::SPI_execute_plan(plan, std::ptr::null_mut(), std::ptr::null(), false, 0) < 0 {
            failed(query);
        }
        let table = pg_sys::SPI_tuptable;
        let found = (!table.is_null() && pg_sys::SPI_processed > 0).then(|| {
            let (row, descriptor) = (*(*table).vals, (*table).tupdesc);
            let value = |column| text(pg_sys::SPI_getvalue(row, descriptor, column));
            (1..=(*descriptor).natts).map(value).collect()
        });
        pg_sys::SPI_finish();
        found
    }
}

/// Runs a command of deskguard's own.
pub fn run(command: &str) {
    first_row(command, &[]);
}

/// A plan, and what PostgreSQL refers to while SPI is connected.
///
/// # Safety
/// SPI is connected.
unsafe fn prepare(
    query: &str,
    read: &[&Staged],
) -> (pg_sys::SPIPlanPtr, Vec<pg_sys::EphemeralNamedRelationData>) {
    let Ok(query_text) = CString::new(query) else {
        failed(query)
    };
    let mut relations: Vec<_> = read.iter().map(|staged| staged.relation()).collect();
    // SAFETY: as the caller promises; the vector does not change any more.
    unsafe {
        for relation in &mut relations {
            if pg_sys::SPI_register_relation(relation) < 0 {
                failed(query);
            }
        }
        let plan = pg_sys::SPI_prepare(query_text.as_ptr(), 0, std::ptr::null_mut());
        if plan.is_null() {
            failed(query);
        }
        (plan, relations)
    }
}

fn failed(query: &str) -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        format!("could not run: {query}"),
        "Please report this.",
    )
}
