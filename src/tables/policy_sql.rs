//! What policies ask, as text of SQL.

use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

use crate::tables::key::KeyType;
use crate::tables::principal::Principal;

/// The id of what a column names, as a bigint expression of SQL; NULL if the table has none.
pub fn principal_expression(
    table: pg_sys::Oid,
    column: Option<&str>,
    principal: Principal,
) -> String {
    let Some(column) = column else {
        return "NULL::pg_catalog.int8".into();
    };
    let key = key_expression(table, column);
    match KeyType::of_column(table, column) {
        Some(KeyType::Uuid | KeyType::Text) => {
            format!("deskguard.{}({key})", principal.function())
        }
        Some(KeyType::Number) | None => key,
    }
}

/// A column of keys as an expression of SQL, of one type for all that are alike.
pub fn key_expression(table: pg_sys::Oid, column: &str) -> String {
    let name = quote_identifier(column);
    match KeyType::of_column(table, column) {
        Some(KeyType::Uuid) => name,
        Some(KeyType::Text) => format!("{name}::pg_catalog.text"),
        Some(KeyType::Number) | None => format!("{name}::pg_catalog.int8"),
    }
}
