//! Columns that say what a row is, as polymorphic tables have them, and what kind a follower is.

use pgrx::pg_sys;
use pgrx::spi::{quote_identifier, quote_literal};

use crate::pg::relation::attribute;
use crate::pg::scan::{Attribute, Row};
use crate::tables::registry::column_name;

/// Which rows of a table are deskguard's, where it has others, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowType {
    pub column: String,
    /// What the column has in these rows, as text.
    pub values: Vec<String>,
    /// The others are left to policies of the owner's own. Else they are hidden.
    pub are_others_open: bool,
}

/// How the registry and the functions that protect say what is done with rows of other types.
pub const OTHERS_HIDDEN: &str = "hidden";

pub const OTHERS_OPEN: &str = "open";

impl RowType {
    /// From three columns of the registry; none if the table has rows of one type only.
    pub fn read(row: &Row, [column, values, others]: [Attribute; 3]) -> Option<RowType> {
        Some(RowType {
            column: column_name(row, column)?,
            // None is none of ours.
            values: row.get(values).unwrap_or_default(),
            are_others_open: row.get::<&str>(others) == Some(OTHERS_OPEN),
        })
    }

    pub fn others(&self) -> &'static str {
        match self.are_others_open {
            true => OTHERS_OPEN,
            false => OTHERS_HIDDEN,
        }
    }

    /// Is a row one of them? As SQL; NULL, where the type is, is no.
    pub fn condition(&self, table: pg_sys::Oid) -> String {
        is_one_of(table, &self.column, &self.values)
    }

    /// What a policy asks in place of this, which it asks of rows of these types.
    pub fn restrict(&self, table: pg_sys::Oid, asked: &str) -> String {
        let is_ours = self.condition(table);
        match self.are_others_open {
            true => format!("({is_ours}) IS NOT TRUE OR {asked}"),
            false => format!("{is_ours} AND {asked}"),
        }
    }

    /// Is a row with this value one of them?
    pub fn is_of(&self, value: Option<&str>) -> bool {
        value.is_some_and(|value| self.values.iter().any(|one| one == value))
    }
}

/// Has a column one of these values, given as text? As SQL, for which the column's index is of use.
pub fn is_one_of(table: pg_sys::Oid, column: &str, values: &[String]) -> String {
    // SAFETY: a look-up in the system cache.
    let type_oid =
        attribute(table, column).map(|number| unsafe { pg_sys::get_atttype(table, number) });
    let name = quote_identifier(column);
    let is_number = matches!(
        type_oid,
        Some(pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID)
    );
    let (column, of) = match is_number {
        true => (name, "pg_catalog.int8"),
        false => (format!("{name}::pg_catalog.text"), "pg_catalog.text"),
    };
    match values {
        [value] => format!(
            "{column} OPERATOR(pg_catalog.=) {}::{of}",
            quote_literal(value)
        ),
        _ => {
            let values: Vec<String> = values.iter().map(quote_literal).collect();
            format!(
                "{column} OPERATOR(pg_catalog.=) ANY (ARRAY[{}]::{of}[])",
                values.join(", ")
            )
        }
    }
}
