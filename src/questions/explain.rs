//! What an explanation has of PostgreSQL's.

use deskguard_rules::{Explanation, Moment, TicketId};
use pgrx::prelude::*;
use pgrx::{JsonB, pg_sys};

use crate::pg::error;
use crate::tables::key::{Key, OwnedKey};

pub fn json(explanation: &Explanation) -> JsonB {
    match serde_json::to_value(explanation) {
        Ok(value) => JsonB(value),
        // Keys that are no strings, of which there are none.
        Err(problem) => error::raise(
            PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            format!("could not write an explanation: {problem}"),
            "Please report this.",
        ),
    }
}

pub fn ticket_id(key: &OwnedKey) -> TicketId {
    match key {
        Key::Number(id) => TicketId::Number(*id),
        Key::Uuid(_) | Key::Text(_) => TicketId::Text(key.to_string()),
    }
}

/// As in PostgreSQL's JSON.
pub fn timestamp(moment: Moment) -> String {
    let mut text = [0; pg_sys::MAXDATELEN as usize + 1];
    // SAFETY: MAXDATELEN is the most that it writes, before a null character.
    unsafe {
        pg_sys::JsonEncodeDateTime(
            text.as_mut_ptr(),
            moment.into(),
            pg_sys::TIMESTAMPTZOID,
            std::ptr::null(),
        );
        std::ffi::CStr::from_ptr(text.as_ptr())
            .to_string_lossy()
            .into_owned()
    }
}
