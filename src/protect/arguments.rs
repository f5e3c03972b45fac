//! The arguments of the functions that protect tables.

use std::ffi::CStr;

use pgrx::prelude::*;

use crate::pg::error;

pub fn given(name: Option<&CStr>) -> Option<String> {
    name.map(|name| name.to_string_lossy().into_owned())
}

pub fn needed(name: Option<&CStr>, what: &str) -> String {
    not_null(
        given(name),
        what,
        "Leave it out for its default, or name a column.",
    )
}

/// An argument that must be there. `what` is its name, and `hint` says what to do without it.
pub fn not_null<T>(value: Option<T>, what: &str, hint: &str) -> T {
    value.unwrap_or_else(|| {
        error::raise(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            format!("{what} must not be NULL"),
            hint,
        )
    })
}

pub fn refuse_given_twice(column: &str) -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("column \"{column}\" was given twice"),
        "Each column has one meaning.",
    )
}
