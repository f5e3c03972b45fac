//! Parallel workers act for the agent of their leader's statement, with the same rights.
//!
//! A worker has no QueryDesc of its leader's and cannot be told by a plan, but it has the leader's settings. So the
//! leader puts into one of them for whom it runs and with which rights. What has changed since does not matter to a
//! worker: for its part of the statement it loads no rights itself.

use std::ffi::{CStr, CString, c_int};

use pgrx::pg_sys;
use pgrx::prelude::*;
use serde::{Deserialize, Serialize};

use crate::pg::error;
use crate::rights::cache::{Agent, HandedOver, Rights};
use crate::rights::marks::Asked;
use crate::rights::settings::{self, LEADER_NAME};

/// What a leader tells its workers.
#[derive(Serialize, Deserialize)]
struct Message<'a> {
    agent: Option<i64>,
    /// None: an agent without any rights, or nobody.
    rights: Option<HandedOver<'a>>,
    asked: Vec<Asked>,
}

/// What a worker was told.
pub struct Told {
    pub agent: Option<i64>,
    pub rights: Rights,
    pub asked: Vec<Asked>,
}

/// What this worker was told about its part of the leader's plan; none if this is not that query, in a leader, or if
/// the leader's statement asks nothing.
///
/// # Safety
/// The query is the executor's.
pub unsafe fn told(query: *mut pg_sys::QueryDesc) -> Option<Told> {
    // SAFETY: reads the state of the backend, and the query. A worker notes the text of the query that it is to run,
    // of which it has its own copy, as that of its statement.
    unsafe {
        let is_part = (*query).sourceText == pg_sys::debug_query_string;
        if pg_sys::ParallelWorkerNumber < 0 || !is_part {
            return None;
        }
    }
    let text = settings::leader()?;
    let message: Message = serde_json::from_slice(text.to_bytes()).unwrap_or_else(|_| {
        error::raise(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            "a parallel worker does not understand its leader",
            "Was the library replaced meanwhile? Connect again.",
        )
    });
    Some(Told {
        agent: message.agent,
        rights: message.rights.map(Agent::handed_over),
        asked: message.asked,
    })
}

/// What to tell workers.
pub fn message(agent: Option<i64>, rights: &Rights, asked: &[Asked]) -> CString {
    let shared = || {
        asked.iter().filter_map(|what| match what {
            Asked::Shared(table) => Some(*table),
            _ => None,
        })
    };
    let rights = rights.as_ref();
    let message = Message {
        agent,
        rights: rights.map(|agent| agent.hand_over(shared())),
        asked: asked.to_vec(),
    };
    let text = serde_json::to_string(&message).ok();
    // It escapes NUL.
    text.and_then(|text| CString::new(text).ok())
        .unwrap_or_default()
}

/// Tells the workers that are about to be started; gives what ends that.
pub fn tell_workers(message: &CStr) -> c_int {
    // SAFETY: as a function with SET does it. An error takes it back, too.
    unsafe {
        let level = pg_sys::NewGUCNestLevel();
        settings::while_telling(|| {
            pg_sys::set_config_option(
                LEADER_NAME.as_ptr(),
                message.as_ptr(),
                pg_sys::GucContext::PGC_SUSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SAVE,
                true,
                0,
                false,
            );
        });
        level
    }
}

/// Are workers told something, by a statement around this one?
pub fn is_telling() -> bool {
    settings::leader().is_some()
}

pub fn end_telling(level: c_int) {
    // SAFETY: the level that tell_workers() began.
    unsafe { pg_sys::AtEOXact_GUC(true, level) }
}
