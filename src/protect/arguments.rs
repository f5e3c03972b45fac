//! The arguments of the functions that protect tables.

use std::ffi::CStr;

use pgrx::prelude::*;

use crate::pg::error;
use crate::tables::row_type::{OTHERS_HIDDEN, OTHERS_OPEN, RowType};

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

/// For [`refuse_given_twice`], where it is so.
pub const ONE_MEANING: &str = "Each column has one meaning.";

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

pub fn refuse_given_twice(column: &str, hint: &str) -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("column \"{column}\" was given twice"),
        hint,
    )
}

/// A list of values of a column.
pub fn values(given: Option<Vec<Option<String>>>, what: &str, hint: &str) -> Vec<String> {
    let all = given.unwrap_or_default().into_iter().map(|value| {
        value.unwrap_or_else(|| {
            error::raise(
                PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                format!("{what} must not contain NULL"),
                hint,
            )
        })
    });
    all.collect()
}

/// How a function calls the arguments that say which rows of a polymorphic table are meant.
pub struct TypeArguments {
    pub column: &'static str,
    pub values: &'static str,
    pub others: &'static str,
}

/// Which rows of a polymorphic table are meant; none for all.
pub fn row_type(
    column: Option<String>,
    type_values: Option<Vec<Option<String>>>,
    others: Option<&str>,
    names: TypeArguments,
) -> Option<RowType> {
    let refuse = |message: String, hint: String| -> ! {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            message,
            hint,
        )
    };
    let values = values(
        type_values,
        names.values,
        "Name the types; NULL is another type.",
    );
    if column.is_some() == values.is_empty() {
        refuse(
            format!("{} and {} belong together", names.column, names.values),
            "Give both or neither.".into(),
        );
    }
    let are_others_open = match others {
        Some(OTHERS_HIDDEN) => false,
        Some(OTHERS_OPEN) => true,
        _ => refuse(
            format!("unknown {} \"{}\"", names.others, others.unwrap_or("NULL")),
            format!(
                "'{OTHERS_HIDDEN}' hides rows of other types, '{OTHERS_OPEN}' leaves them to policies of your own."
            ),
        ),
    };
    if column.is_none() && are_others_open {
        refuse(
            format!("{} needs {}", names.others, names.column),
            "Name the column that says of which type a row is.".into(),
        );
    }
    column.map(|column| RowType {
        column,
        values,
        are_others_open,
    })
}
