//! What is done before and after a command: the hook.
#![allow(ffi_unwind_calls)] // Each is in a frame that holds nothing.

use std::cell::Cell;
use std::ffi::{c_char, c_int};

use pgrx::pg_sys;
use pgrx::pg_sys::panic::pgrx_extern_c_guard as guard;

use crate::pg::memory::{self, Watch};
use crate::pg::relation::named;
use crate::protect::column_types;
use crate::protect::foreign_key_checks;
use crate::protection::exposed::refuse_exposed_table;
use crate::rights::{cache, external_keys, load};

thread_local! {
    static NEXT: Cell<pg_sys::ProcessUtility_hook_type> = const { Cell::new(None) };
}

pub fn register_hook() {
    // SAFETY: while the library is loaded.
    unsafe {
        NEXT.set(pg_sys::ProcessUtility_hook);
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

unsafe extern "C-unwind" {
    /// Called as it is: pgrx's wrapper would catch an error and raise it again without its fields.
    #[allow(clippy::too_many_arguments)]
    fn standard_ProcessUtility(
        statement: *mut pg_sys::PlannedStmt,
        text: *const c_char,
        is_read_only: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        parameters: pg_sys::ParamListInfo,
        environment: *mut pg_sys::QueryEnvironment,
        destination: *mut pg_sys::DestReceiver,
        completion: *mut pg_sys::QueryCompletion,
    );
}

/// Holds nothing to drop while the command runs: an error jumps over it. What was switched off is put back
/// by the abort of the (sub)transaction then, as of any change of the user.
///
/// # Safety
/// Called as PostgreSQL calls the hook.
#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn process_utility(
    statement: *mut pg_sys::PlannedStmt,
    text: *const c_char,
    is_read_only: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: called for a command to be run, as the next one is.
    unsafe {
        let mut watch = Watch::default();
        memory::watch(&mut watch);
        let before = guard(|| Before::prepare((*statement).utilityStmt));
        match NEXT.get() {
            Some(next) => next(
                statement,
                text,
                is_read_only,
                context,
                parameters,
                environment,
                destination,
                completion,
            ),
            None => standard_ProcessUtility(
                statement,
                text,
                is_read_only,
                context,
                parameters,
                environment,
                destination,
                completion,
            ),
        }
        if let Some(before) = before.security {
            // Of whoever is the user now.
            let (mut user, mut context) = (pg_sys::InvalidOid, 0);
            pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
            pg_sys::SetUserIdAndSecContext(user, before);
        }
        if let Some(table) = before.uncovered {
            guard(|| column_types::cover(table));
        }
        memory::unwatch(&watch);
    }
}

/// What was done before a command.
#[derive(Clone, Copy, Default)]
struct Before {
    /// The force was switched off: the security context from before.
    security: Option<c_int>,
    /// The policies of this table were taken off.
    uncovered: Option<pg_sys::Oid>,
}

impl Before {
    /// # Safety
    /// A parse tree, or null.
    unsafe fn prepare(command: *mut pg_sys::Node) -> Before {
        let mut before = Before::default();
        // SAFETY: the tag tells the type.
        unsafe {
            match command.as_ref().map(|node| node.type_) {
                Some(pg_sys::NodeTag::T_AlterTableStmt) => {
                    let command = &*command.cast::<pg_sys::AlterTableStmt>();
                    before.uncovered = column_types::uncover(command);
                    before.security = foreign_key_checks::switch_force_off(command);
                }
                Some(pg_sys::NodeTag::T_CopyStmt) => {
                    // What has no policies is copied without a plan.
                    let copy = &*command.cast::<pg_sys::CopyStmt>();
                    if !copy.relation.is_null() {
                        refuse_exposed_table(named(copy.relation), false, pg_sys::GetUserId());
                    }
                }
                Some(pg_sys::NodeTag::T_DiscardStmt) => {
                    let discard = &*command.cast::<pg_sys::DiscardStmt>();
                    if discard.target == pg_sys::DiscardMode::DISCARD_ALL {
                        cache::forget();
                        load::forget();
                        external_keys::forget();
                    }
                }
                _ => {}
            }
        }
        before
    }
}
