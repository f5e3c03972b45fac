//! The arguments of the functions that protect tables.

use std::ffi::CStr;

use pgrx::prelude::*;

use crate::pg::error;

pub fn given(name: Option<&CStr>) -> Option<String> {
    name.map(|name| name.to_string_lossy().into_owned())
}

pub fn needed(name: Option<&CStr>, what: &str) -> String {
    given(name).unwrap_or_else(|| {
        error::raise(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            format!("{what} must not be NULL"),
            "Leave it out for its default, or name a column.",
        )
    })
}
