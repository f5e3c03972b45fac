//! Queries of deskguard's own, which act for somebody: only that very text, planned and run once.
//!
//! An ERROR does not end them. They are taken back with the (sub)transaction that failed.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_char, c_int};
use std::rc::Rc;

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::error;
use crate::pg::relation::display_name;
use crate::rights::cache::Agent;

/// A query of deskguard's own that is about to be planned and run. Only that very plan and its QueryDesc
/// act for it: not what the planner or the executor calls meanwhile.
pub struct Own {
    pub table: pg_sys::Oid,
    text: String,
    pub acting: Acting,
    is_planned: Cell<bool>,
    /// By which its plan is known.
    pub serial: Cell<Option<u32>>,
}

/// As whom and for whom a query of deskguard's own runs.
#[derive(Clone)]
pub enum Acting {
    /// As the owner of its table, without policies. Rules that it calls for that table are asked for the
    /// agent.
    Owner(Option<Rc<Agent>>),
    /// As the user who calls, under all policies of its table, with these rights; the user needs no
    /// privilege on the table.
    Caller(Rc<Agent>),
}

thread_local! {
    /// With the level of the transaction in which each began.
    static OWN: RefCell<Vec<(c_int, Rc<Own>)>> = const { RefCell::new(vec![]) };
}

/// The innermost that has begun.
pub fn innermost() -> Option<Rc<Own>> {
    OWN.with_borrow(|own| own.last().map(|(_, own)| own.clone()))
}

/// The innermost, if a query with this text is it, and is planned for the first time.
///
/// # Safety
/// The text is null or a string.
pub unsafe fn about_to_be_planned(text: *const c_char) -> Option<Rc<Own>> {
    innermost().filter(|own| {
        // SAFETY: as the caller promises.
        let is_it = unsafe { own.is_called(text) };
        is_it && !own.is_planned.replace(true)
    })
}

/// None that began in a transaction of this level, or deeper, is under way any more.
pub fn forget_from(level: c_int) {
    OWN.with_borrow_mut(|all| {
        let keep = all.iter().take_while(|(began, _)| *began < level).count();
        all.truncate(keep);
    });
}

/// While it lives, a query of deskguard's own may be planned and run once.
pub struct OwnQuery {
    depth: usize,
    /// Settings of the user that print parse trees and plans: of deskguard's own they would tell that it looks
    /// something up, and so that there is a row.
    printed: [bool; 3],
}

impl OwnQuery {
    pub fn begin(table: pg_sys::Oid, text: &str, acting: Acting) -> OwnQuery {
        if let Acting::Caller(_) = acting {
            refuse_recursion(table);
        }
        // SAFETY: reads the state of the transaction.
        let level = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
        let own = Own {
            table,
            text: text.into(),
            acting,
            is_planned: Cell::new(false),
            serial: Cell::new(None),
        };
        // SAFETY: settings of this backend, which drop() puts back.
        let printed = unsafe {
            [
                (&raw mut pg_sys::Debug_print_parse).replace(false),
                (&raw mut pg_sys::Debug_print_rewritten).replace(false),
                (&raw mut pg_sys::Debug_print_plan).replace(false),
            ]
        };
        OWN.with_borrow_mut(|all| {
            all.push((level, Rc::new(own)));
            OwnQuery {
                depth: all.len() - 1,
                printed,
            }
        })
    }
}

/// A policy of the owner's own that asks for rows that belong to those of its table, which ask for these.
fn refuse_recursion(table: pg_sys::Oid) {
    let is_asked = OWN.with_borrow(|all| {
        all.iter()
            .any(|(_, own)| own.table == table && matches!(own.acting, Acting::Caller(_)))
    });
    if is_asked {
        let name = display_name(table);
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_OBJECT_DEFINITION,
            format!("infinite recursion detected in policies for {name}"),
            format!(
                "A policy on {name} reads rows that belong to its rows, which are seen by the policies on {name}. Let it read them by a function with SECURITY DEFINER of a role that bypasses row-level security."
            ),
        );
    }
}

impl Drop for OwnQuery {
    fn drop(&mut self) {
        OWN.with_borrow_mut(|all| all.truncate(self.depth));
        // SAFETY: as begin() found them.
        unsafe {
            [
                pg_sys::Debug_print_parse,
                pg_sys::Debug_print_rewritten,
                pg_sys::Debug_print_plan,
            ] = self.printed;
        }
    }
}

impl Own {
    /// # Safety
    /// The text is null or a string.
    unsafe fn is_called(&self, text: *const c_char) -> bool {
        // SAFETY: as the caller promises.
        !text.is_null() && unsafe { CStr::from_ptr(text) }.to_bytes() == self.text.as_bytes()
    }
}

/// A statement is analysed, of which nothing is rewritten yet. What runs within a query of deskguard's own
/// is code of others: it must not be free of policies as that is.
///
/// # Safety
/// The text is null or a string.
pub unsafe fn before_rewrite(text: *const c_char) {
    let Some(own) = innermost() else { return };
    // SAFETY: reads and sets the state of the transaction, which whoever began the query puts back.
    unsafe {
        if pg_sys::InNoForceRLSOperation() && !own.is_called(text) {
            let (mut user, mut context) = (pg_sys::InvalidOid, 0);
            pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
            let context = context & !(pg_sys::SECURITY_NOFORCE_RLS as c_int);
            pg_sys::SetUserIdAndSecContext(user, context);
        }
    }
}
