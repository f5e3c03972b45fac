//! What protect_tickets() tells the DBA to do for speed and safety.

use std::ffi::CStr;

use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_identifier};

use crate::pg::error;
use crate::pg::relation::display_name;
use crate::tables::row_type::RowType;
use crate::tables::ticket_table::TicketTable;

/// A NOTICE with the CREATE INDEX statements that are missing for the columns of the rules.
pub fn advise_indexes(table: &TicketTable) -> Result<(), SpiError> {
    let keys = std::iter::once(table.id.as_str()).chain(table.key_columns());
    let mut wanted: Vec<_> = keys.map(|column| (table.oid, column, None)).collect();
    if let Some(f) = &table.followers {
        wanted.push((f.oid, &f.ticket, f.row_type.as_ref()));
        wanted.push((f.oid, &f.agent, None));
    }
    advise(&wanted)
}

/// The same for these columns of tables. The type of the row may come first.
pub fn advise(wanted: &[(pg_sys::Oid, &str, Option<&RowType>)]) -> Result<(), SpiError> {
    let mut statements = Vec::new();
    for &(table, column, row_type) in wanted {
        let row_type = row_type.map(|of| of.column.as_str());
        if !is_indexed(table, column, row_type)? {
            let columns: Vec<String> = row_type
                .into_iter()
                .chain([column])
                .map(quote_identifier)
                .collect();
            let statement = format!(
                "CREATE INDEX ON {} ({});",
                display_name(table),
                columns.join(", ")
            );
            // A column may have several meanings.
            if !statements.contains(&statement) {
                statements.push(statement);
            }
        }
    }
    if !statements.is_empty() {
        error::notice(
            "columns of the rules have no index",
            format!("Create them for speed:\n{}", statements.join("\n")),
        );
    }
    Ok(())
}

/// Is there an index, on all rows, that begins with the column, or with the type of the row and the column?
fn is_indexed(table: pg_sys::Oid, column: &str, row_type: Option<&str>) -> Result<bool, SpiError> {
    Ok(Spi::get_one_with_args(
        "SELECT EXISTS (
             SELECT FROM pg_catalog.pg_index AS i
             JOIN pg_catalog.pg_attribute AS a
               ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid
              AND a.attnum OPERATOR(pg_catalog.=) i.indkey[0]
             LEFT JOIN pg_catalog.pg_attribute AS b
               ON b.attrelid OPERATOR(pg_catalog.=) i.indrelid
              AND b.attnum OPERATOR(pg_catalog.=) i.indkey[1]
             WHERE i.indrelid OPERATOR(pg_catalog.=) $1 AND i.indisvalid AND i.indpred IS NULL
               AND (a.attname OPERATOR(pg_catalog.=) $2::pg_catalog.name
                    OR a.attname OPERATOR(pg_catalog.=) $3::pg_catalog.name
                    AND b.attname OPERATOR(pg_catalog.=) $2::pg_catalog.name))",
        &[table.into(), column.into(), row_type.into()],
    )?
    .unwrap_or_default())
}

/// Until the library is loaded, PostgreSQL takes any value for deskguard.agent_id.
pub fn advise_preload() {
    let preloaded = [c"shared_preload_libraries", c"session_preload_libraries"]
        .iter()
        .any(|setting| {
            // SAFETY: reads a setting's value, which is copied at once.
            let value = unsafe {
                pg_sys::GetConfigOption(setting.as_ptr(), true, false)
                    .as_ref()
                    .map(|value| CStr::from_ptr(value).to_string_lossy().into_owned())
            };
            value.is_some_and(|libraries| libraries.contains("deskguard"))
        });
    if !preloaded {
        error::notice(
            "deskguard is not preloaded: a session can set deskguard.agent_id to nonsense before it is loaded, which then counts as nobody",
            "Have it loaded at the start of each session: ALTER DATABASE ... SET session_preload_libraries = 'deskguard';",
        );
    }
}
