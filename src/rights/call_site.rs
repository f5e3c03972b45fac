//! What calls in policies ask of their statement, and what a call site keeps of it.

use std::ffi::CStr;
use std::ops::Deref;
use std::rc::Rc;

use pgrx::pg_sys;

use crate::pg::call_info::CallInfo;
use crate::rights::cache::Agent;
use crate::rights::identity::current_agent;
use crate::rights::statement::{Statement, of_call, query_of_call};

/// The statement whose call this is, or the session as it is now.
pub fn asking(fcinfo: CallInfo) -> Rc<Statement> {
    of_call(fcinfo).unwrap_or_else(|| Rc::new(Statement::now()))
}

/// The agent of the statement whose call this is, if that has asked the rules, or of the session.
pub fn agent_of_call(fcinfo: CallInfo) -> Option<i64> {
    match query_of_call(fcinfo) {
        Some((_, Some(statement))) => statement.agent,
        _ => current_agent(),
    }
}

/// What a call site finds out at its first call in a statement, and keeps for the others.
pub enum Site<'call, T> {
    Kept(&'call T),
    Once(T),
}

impl<T> Deref for Site<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Site::Kept(kept) => kept,
            Site::Once(found) => found,
        }
    }
}

/// What the site of a call knows about a table. It is found out once for a statement, if the call always
/// names the same table, and each time where there is no statement.
pub fn at_site<'call, T: 'static>(
    fcinfo: CallInfo<'call>,
    named: Option<pg_sys::Oid>,
    find_out: impl FnOnce(&Rc<Statement>) -> T,
) -> Site<'call, T> {
    if let Some(kept) = fcinfo.kept(named) {
        return Site::Kept(kept);
    }
    let Some(statement) = of_call(fcinfo) else {
        return Site::Once(find_out(&Rc::new(Statement::now())));
    };
    match fcinfo.keep(named, find_out(&statement)) {
        Ok(kept) => Site::Kept(kept),
        Err(found) => Site::Once(found),
    }
}

/// What an agent may do, as a call asks for it.
pub fn rights_of_call(fcinfo: CallInfo<'_>) -> Site<'_, Option<Rc<Agent>>> {
    at_site(fcinfo, None, |statement| statement.rights.clone())
}

/// What the query does whose call this is, if it writes rows. A SELECT does it with a writing WITH.
pub fn writer_of_call(fcinfo: CallInfo) -> Option<pg_sys::CmdType::Type> {
    let (query, _) = query_of_call(fcinfo)?;
    // SAFETY: the query is under way, with its plan.
    let (operation, plan) = unsafe { ((*query).operation, (*query).plannedstmt.as_ref()?) };
    (operation != pg_sys::CmdType::CMD_SELECT || plan.hasModifyingCTE).then_some(operation)
}

/// Is a row asked about that the query found before, waited for, and finds changed? PostgreSQL then asks its
/// conditions again, of the row as it is now, in an EState within that of the query.
pub fn is_recheck(fcinfo: CallInfo) -> bool {
    let Some((query, _)) = query_of_call(fcinfo) else {
        return false;
    };
    // SAFETY: the memory of the call is part of the query's, and has a name.
    unsafe {
        let mut memory = fcinfo.memory();
        while memory != (*(*query).estate).es_query_cxt {
            if CStr::from_ptr((*memory).name) == c"ExecutorState" {
                return true;
            }
            memory = (*memory).parent;
        }
    }
    false
}
