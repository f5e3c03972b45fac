//! What is checked before a table is protected.

use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::catalog::{Catalog, own_table};
use crate::protected::{
    FEATURE, FOLLOWERS, FollowerTable, TICKETS, TicketTable, display_name, kind_of, table_name,
};
use crate::{compat, error};

pub fn check_owner(table: pg_sys::Oid) {
    check_exists(table);
    // SAFETY: reads the backend's state.
    if !compat::owns_table(table, unsafe { pg_sys::GetUserId() }) {
        error::raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("must be owner of {}", display_name(table)),
            "Only its owner may protect a table or end its protection.",
        );
    }
}

pub fn check_exists(table: pg_sys::Oid) {
    if table_name(table).is_none() {
        error::raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("there is no table with the OID {}", table.to_u32()),
            "Give the table by its name.",
        );
    }
}

/// An ordinary or partitioned table of the caller.
pub fn check_kind(table: pg_sys::Oid) -> Result<(), SpiError> {
    check_exists(table);
    let (kind, persistence, is_child) = Spi::get_three_with_args::<String, String, bool>(
        "SELECT c.relkind::pg_catalog.text, c.relpersistence::pg_catalog.text,
                EXISTS (SELECT FROM pg_catalog.pg_inherits AS i
                        WHERE i.inhrelid OPERATOR(pg_catalog.=) c.oid)
         FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) $1",
        &[table.into()],
    )?;
    let (kind, persistence) = (kind.unwrap_or_default(), persistence.unwrap_or_default());
    let wrong = |problem: &str, hint: &str| -> ! {
        error::raise(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("{} {problem}", display_name(table)),
            hint,
        )
    };
    match kind.as_str() {
        "r" | "p" => {}
        "v" | "m" => wrong(
            "is a view, which has no row-level security",
            "Protect the tables behind it. A view shows what its owner may see, or with security_invoker what its user may see; a materialized view shows all rows.",
        ),
        _ => wrong(
            "is not an ordinary or partitioned table",
            "Row-level security works on ordinary and partitioned tables.",
        ),
    }
    if persistence == "t" {
        wrong("is temporary", "Protect a permanent table.");
    }
    if is_child == Some(true) {
        wrong(
            "is a partition or child of another table, through which its rows would be seen",
            "Protect the table above; its partitions and children are protected with it.",
        );
    }
    // SAFETY: look-ups in the system cache.
    let own = unsafe {
        pg_sys::get_rel_namespace(table) == pg_sys::get_rel_namespace(own_table(c"agent"))
            || pg_sys::IsCatalogRelationOid(table)
    };
    if own {
        wrong(
            "belongs to PostgreSQL or deskguard",
            "Protect a table of the help desk.",
        );
    }
    check_owner(table);
    Ok(())
}

/// A table is protected in one way only, besides features.
pub fn check_not_otherwise(table: pg_sys::Oid, kind: &str) {
    let found = kind_of(&Catalog::now(), table);
    if let Some(found) = found.filter(|found| found != kind && found != FEATURE) {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("{} is protected as {found}", display_name(table)),
            "Unprotect it first: a table is protected in one way only, besides protect_feature().",
        );
    }
}

pub fn check_column(table: pg_sys::Oid, column: &str) -> Result<(), SpiError> {
    let type_name = Spi::connect(|client| {
        client
            .select(
                "SELECT pg_catalog.format_type(atttypid, atttypmod) FROM pg_catalog.pg_attribute
                 WHERE attrelid OPERATOR(pg_catalog.=) $1 AND attname OPERATOR(pg_catalog.=) $2::pg_catalog.name
                   AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped",
                Some(1),
                &[table.into(), column.into()],
            )?
            .map(|row| row.get::<String>(1))
            .next()
            .transpose()
    })?
    .flatten();
    match type_name.as_deref() {
        Some("smallint" | "integer" | "bigint") => Ok(()),
        Some(other) => error::raise(
            PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            format!(
                "column \"{column}\" of {} has type {other}",
                display_name(table)
            ),
            "The columns of the rules are smallint, integer or bigint.",
        ),
        None => error::raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
            format!(
                "column \"{column}\" of {} does not exist",
                display_name(table)
            ),
            "Column names are case-sensitive here; give them as the table has them.",
        ),
    }
}

pub fn check_ticket_table(table: &TicketTable) -> Result<(), SpiError> {
    check_kind(table.oid)?;
    let rule_columns = [
        &table.department,
        &table.category,
        &table.assignee,
        &table.team,
    ];
    let mut columns: Vec<&str> = rule_columns.iter().filter_map(|c| c.as_deref()).collect();
    if columns.is_empty() {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "no column for the rules was given",
            "Give at least one of department_column, category_column, assignee_column and team_column.",
        );
    }
    columns.push(&table.id);
    for column in &columns {
        check_column(table.oid, column)?;
    }
    columns.sort_unstable();
    if let Some(twice) = columns.windows(2).find(|pair| pair[0] == pair[1]) {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("column \"{}\" was given twice", twice[0]),
            "Each column has one meaning.",
        );
    }
    if table.unassigned_value.is_some() && table.assignee.is_none() {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "unassigned_value needs an assignee_column",
            "Give both or neither.",
        );
    }
    if let Some(tickets) = TicketTable::find_by_followers(&Catalog::now(), table.oid) {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "{} is the follower table of {}",
                table.name(),
                tickets.name()
            ),
            "A table is protected either as tickets or as followers.",
        );
    }
    check_not_otherwise(table.oid, TICKETS);
    Ok(())
}

pub fn check_follower_table(
    table: &TicketTable,
    followers: &FollowerTable,
) -> Result<(), SpiError> {
    check_kind(followers.oid)?;
    check_column(followers.oid, &followers.ticket)?;
    check_column(followers.oid, &followers.agent)?;
    let problem = if followers.ticket == followers.agent {
        Some("has the same column for the ticket and the agent".into())
    } else if followers.oid == table.oid {
        Some("is the ticket table itself".into())
    } else {
        let catalog = Catalog::now();
        match TicketTable::find_by_followers(&catalog, followers.oid) {
            Some(other) if other.oid != table.oid => {
                Some(format!("is the follower table of {}", other.name()))
            }
            _ => TicketTable::find(&catalog, followers.oid)
                .map(|_| "is a protected ticket table".into()),
        }
    };
    if let Some(problem) = problem {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!(
                "{} cannot be the follower table: it {problem}",
                display_name(followers.oid)
            ),
            "A follower table has a row for each ticket and agent, and belongs to one ticket table.",
        );
    }
    check_not_otherwise(followers.oid, FOLLOWERS);
    Ok(())
}
