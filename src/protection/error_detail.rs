//! What the DETAIL of an error must not say.
//!
//! A foreign key that deletes or updates rows does so as the owner of their table, without policies. If a
//! constraint forbids that, PostgreSQL shows the row that failed: to whom its policies may hide it.

use std::ffi::c_int;

use pgrx::pg_sys;
use pgrx::pg_sys::panic::pgrx_extern_c_guard as guard;

use crate::tables::registry::is_protected;

// Not pgrx's, which make panics of errors.
unsafe extern "C-unwind" {
    fn pg_re_throw() -> !;
    fn ReThrowError(error: *mut pg_sys::ErrorData) -> !;
}

/// Does a query of a foreign key write rows of a protected table that the policies may hide from the user?
///
/// # Safety
/// The query is the executor's.
pub unsafe fn may_show_hidden_row(query: *mut pg_sys::QueryDesc) -> bool {
    // SAFETY: the plan, with its range table, is that of the executor's query.
    unsafe {
        if !pg_sys::InNoForceRLSOperation() {
            return false;
        }
        let plan = &*(*query).plannedstmt;
        let written = plan.resultRelations;
        (0..pg_sys::list_length(written)).any(|n| {
            let number = pg_sys::list_nth_int(written, n);
            let entry: *mut pg_sys::RangeTblEntry =
                pg_sys::list_nth(plan.rtable, number - 1).cast();
            let table = (*entry).relid;
            pg_sys::check_enable_rls(table, pg_sys::GetOuterUserId(), true)
                == pg_sys::CheckEnableRlsResult::RLS_ENABLED as c_int
                && is_protected(table)
        })
    }
}

/// Runs a query, or a part of it. The error of a constraint goes on without its DETAIL.
///
/// # Safety
/// The call and the callers hold nothing that would have to be dropped.
#[allow(ffi_unwind_calls)] // As in the hooks.
pub unsafe fn without_detail(call: impl FnOnce()) {
    // SAFETY: what is jumped over holds nothing, as the caller promises; the handlers are put back at once.
    unsafe {
        let memory = pg_sys::CurrentMemoryContext;
        let stack = pg_sys::PG_exception_stack;
        let context = pg_sys::error_context_stack;
        let jumped = cee_scape::call_with_sigsetjmp(false, |buffer| {
            pg_sys::PG_exception_stack = std::ptr::from_ref(buffer).cast_mut().cast();
            call();
            0
        });
        pg_sys::PG_exception_stack = stack;
        pg_sys::error_context_stack = context;
        if jumped == 0 {
            return;
        }
        let error = guard(|| {
            pg_sys::CurrentMemoryContext = memory;
            pg_sys::CopyErrorData()
        });
        // Such an error names the table, and the DETAIL its row.
        if (*error).table_name.is_null() {
            pg_re_throw();
        }
        (*error).detail = std::ptr::null_mut();
        (*error).detail_log = std::ptr::null_mut();
        guard(|| pg_sys::FlushErrorState());
        ReThrowError(error)
    }
}
