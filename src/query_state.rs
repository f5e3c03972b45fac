//! What is kept for one query while it runs, whichever of its parts asks: each partition of a table has
//! its own calls of a policy's functions.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use deskguard_rules::Action;
use pgrx::memcxt::PgMemoryContexts;
use pgrx::pg_sys;

use crate::allowed::Allowed;
use crate::key::OwnedKey;
use crate::plan_mark::running_query;

thread_local! {
    static QUERIES: RefCell<HashMap<*mut pg_sys::QueryDesc, Rc<QueryState>>> = RefCell::default();
}

pub struct QueryState {
    query: *mut pg_sys::QueryDesc,
    is_over: Cell<bool>,
    /// What the agent may do, by parent table.
    pub allowed: RefCell<HashMap<(pg_sys::Oid, Action), Rc<Allowed>>>,
    /// The ticket that the query replies to, by ticket table.
    pub replied: RefCell<HashMap<pg_sys::Oid, OwnedKey>>,
}

impl QueryState {
    /// Of the query that is running; none outside of one.
    pub fn current() -> Option<Rc<QueryState>> {
        let query = running_query()?;
        if let Some(state) = QUERIES.with_borrow(|queries| queries.get(&query).cloned()) {
            return Some(state);
        }
        let state = Rc::new(QueryState {
            query,
            is_over: Cell::new(false),
            allowed: RefCell::default(),
            replied: RefCell::default(),
        });
        QUERIES.with_borrow_mut(|queries| queries.insert(query, state.clone()));
        // SAFETY: a query that runs has its state of execution. It goes with the query, also after an
        // error.
        unsafe {
            PgMemoryContexts::For((*(*query).estate).es_query_cxt)
                .leak_and_drop_on_delete(Forget(state.clone()));
        }
        Some(state)
    }

    /// Is this still the query that is running? An expression of PL/pgSQL outlives it.
    pub fn is_current(&self) -> bool {
        !self.is_over.get() && running_query() == Some(self.query)
    }
}

struct Forget(Rc<QueryState>);

impl Drop for Forget {
    fn drop(&mut self) {
        self.0.is_over.set(true);
        QUERIES.with_borrow_mut(|queries| queries.remove(&self.0.query));
    }
}
