//! What is checked before a table is protected.

use deskguard_rules::Meaning;
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg::relation::{Class, attribute, display_name, parents, table_name};
use crate::pg::{compat, error};
use crate::protect::arguments::refuse_given_twice;
use crate::tables::catalog::{Catalog, is_own_schema};
use crate::tables::child_table::ChildTable;
use crate::tables::columns::ticket_table;
use crate::tables::key::KeyType;
use crate::tables::registry::{FEATURE, FOLLOWERS, TICKETS, kind_of};
use crate::tables::row_type::RowType;
use crate::tables::ticket_table::{FollowerTable, TicketTable};

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
    let Some(class) = Class::of(table) else {
        return Ok(());
    };
    let wrong = |problem: &str, hint: &str| -> ! {
        error::raise(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("{} {problem}", display_name(table)),
            hint,
        )
    };
    match class.kind {
        pg_sys::RELKIND_RELATION | pg_sys::RELKIND_PARTITIONED_TABLE => {}
        pg_sys::RELKIND_VIEW | pg_sys::RELKIND_MATVIEW => wrong(
            "is a view, which has no row-level security",
            "Protect the tables behind it. A view shows what its owner may see, or with security_invoker what its user may see; a materialized view shows all rows.",
        ),
        _ => wrong(
            "is not an ordinary or partitioned table",
            "Row-level security works on ordinary and partitioned tables.",
        ),
    }
    if class.is_temporary {
        wrong("is temporary", "Protect a permanent table.");
    }
    if !parents(table).is_empty() {
        wrong(
            "is a partition or child of another table, through which its rows would be seen",
            "Protect the table above; its partitions and children are protected with it.",
        );
    }
    // SAFETY: look-ups in the system cache.
    let own = unsafe {
        is_own_schema(pg_sys::get_rel_namespace(table)) || pg_sys::IsCatalogRelationOid(table)
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

/// A column of keys, and of which type they are.
pub fn check_column(table: pg_sys::Oid, column: &str) -> Result<KeyType, SpiError> {
    let found = column_type(table, column)?.name;
    let Some(key_type) = KeyType::of_column(table, column) else {
        wrong_type(
            table,
            column,
            &found,
            "The columns of the rules are smallint, integer, bigint, uuid, text or varchar.",
        )
    };
    check_collation(table, column);
    Ok(key_type)
}

/// What is compared byte by byte in one place must be so in all.
fn check_collation(table: pg_sys::Oid, column: &str) {
    // SAFETY: look-ups in the system cache.
    let is_deterministic = unsafe {
        let (mut type_oid, mut modifier, mut collation) =
            (pg_sys::InvalidOid, 0, pg_sys::InvalidOid);
        if let Some(number) = attribute(table, column) {
            pg_sys::get_atttypetypmodcoll(
                table,
                number,
                &mut type_oid,
                &mut modifier,
                &mut collation,
            );
        }
        collation == pg_sys::InvalidOid || pg_sys::get_collation_isdeterministic(collation)
    };
    if !is_deterministic {
        error::raise(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!(
                "column \"{column}\" of {} has a nondeterministic collation",
                display_name(table)
            ),
            "Keys are compared byte by byte; give the column a deterministic collation.",
        );
    }
}

/// A column that has the keys of another one.
pub fn check_reference(
    (table, column): (pg_sys::Oid, &str),
    (parent, id): (pg_sys::Oid, &str),
) -> Result<(), SpiError> {
    if check_column(table, column)? != check_column(parent, id)? {
        let found = column_type(table, column)?.name;
        let wanted = column_type(parent, id)?.name;
        wrong_type(
            table,
            column,
            &found,
            &format!(
                "It refers to column \"{id}\" of {}, which has type {wanted}.",
                display_name(parent)
            ),
        );
    }
    Ok(())
}

/// A status can be a number, a text, or a value of an enum; each given value must be possible.
fn check_statuses(table: &TicketTable) -> Result<(), SpiError> {
    let are_given = Meaning::ALL
        .iter()
        .any(|meaning| !table.statuses.get(*meaning).is_empty());
    if table.columns.status.is_some() != are_given {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "status_column and its values belong together",
            format!(
                "Give status_column with one or more of {}, or none of them.",
                Meaning::ALL.map(|of| ticket_table::values(of).1).join(", ")
            ),
        );
    }
    let Some(status) = &table.columns.status else {
        return Ok(());
    };
    let values = Meaning::ALL
        .into_iter()
        .flat_map(|meaning| table.statuses.get(meaning));
    check_values(table.oid, status, values, "A status column")
}

/// A column that says of which kind or type a row is, and what is given of that.
fn check_kinds<'a>(
    table: pg_sys::Oid,
    column: &str,
    values: impl IntoIterator<Item = &'a String>,
) -> Result<(), SpiError> {
    check_values(table, column, values, "A column of kinds or types")?;
    check_collation(table, column);
    Ok(())
}

pub fn check_row_type(table: pg_sys::Oid, row_type: &Option<RowType>) -> Result<(), SpiError> {
    match row_type {
        Some(of) => check_kinds(table, &of.column, &of.values),
        None => Ok(()),
    }
}

/// A number, a text or an enum, that can have the values that are given as text.
fn check_values<'a>(
    table: pg_sys::Oid,
    name: &str,
    values: impl IntoIterator<Item = &'a String>,
    what: &str,
) -> Result<(), SpiError> {
    let column = column_type(table, name)?;
    let is_possible = |value: &str| match column.name.as_str() {
        "smallint" => value.parse::<i16>().is_ok_and(|n| n.to_string() == value),
        "integer" => value.parse::<i32>().is_ok_and(|n| n.to_string() == value),
        "bigint" => value.parse::<i64>().is_ok_and(|n| n.to_string() == value),
        _ => column.is_text() || column.labels.iter().any(|label| label == value),
    };
    if !column.is_integer() && !column.is_text() && column.labels.is_empty() {
        let hint = format!("{what} is a text, an enum or an integer.");
        wrong_type(table, name, &column.name, &hint);
    }
    if let Some(wrong) = values.into_iter().find(|value| !is_possible(value)) {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!(
                "column \"{name}\" of {} cannot be \"{wrong}\"",
                display_name(table)
            ),
            if column.is_integer() {
                format!("Give values of type {}, such as '3'.", column.name)
            } else {
                format!("Values of {}: {}.", column.name, column.labels.join(", "))
            },
        );
    }
    Ok(())
}

fn check_confidential(table: &TicketTable) -> Result<(), SpiError> {
    match &table.columns.confidential {
        Some(column) => check_boolean(table.oid, column, "confidential_column"),
        None => Ok(()),
    }
}

/// `argument`: that names the column.
pub fn check_boolean(table: pg_sys::Oid, column: &str, argument: &str) -> Result<(), SpiError> {
    let found = column_type(table, column)?.name;
    if found != "boolean" {
        let hint = format!("{argument} is boolean.");
        wrong_type(table, column, &found, &hint);
    }
    Ok(())
}

struct ColumnType {
    name: String,
    is_virtual: bool,
    /// Of an enum.
    labels: Vec<String>,
}

impl ColumnType {
    fn is_integer(&self) -> bool {
        ["smallint", "integer", "bigint"].contains(&self.name.as_str())
    }

    fn is_text(&self) -> bool {
        self.name == "text" || self.name.starts_with("character varying")
    }
}

fn wrong_type(table: pg_sys::Oid, column: &str, found: &str, hint: &str) -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
        format!(
            "column \"{column}\" of {} has type {found}",
            display_name(table)
        ),
        hint,
    )
}

fn column_type(table: pg_sys::Oid, column: &str) -> Result<ColumnType, SpiError> {
    let found = Spi::connect(|client| {
        client
            .select(
                "SELECT pg_catalog.format_type(atttypid, atttypmod), attgenerated OPERATOR(pg_catalog.=) 'v',
                        ARRAY(SELECT e.enumlabel::pg_catalog.text FROM pg_catalog.pg_enum AS e
                              WHERE e.enumtypid OPERATOR(pg_catalog.=) atttypid ORDER BY e.enumsortorder)
                 FROM pg_catalog.pg_attribute
                 WHERE attrelid OPERATOR(pg_catalog.=) $1 AND attname OPERATOR(pg_catalog.=) $2::pg_catalog.name
                   AND attnum OPERATOR(pg_catalog.>) 0 AND NOT attisdropped",
                Some(1),
                &[table.into(), column.into()],
            )?
            .map(|row| {
                let (name, is_virtual) = (row.get::<String>(1)?, row.get(2)?);
                let labels = row.get(3)?.unwrap_or_default();
                Ok::<_, SpiError>(name.map(|name| ColumnType {
                    name,
                    is_virtual: is_virtual == Some(true),
                    labels,
                }))
            })
            .next()
            .transpose()
    })?
    .flatten();
    match found {
        // A trigger reads it as NULL, and so the rules would, where they compare a ticket with what it was.
        Some(found) if found.is_virtual => error::raise(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!(
                "column \"{column}\" of {} is a virtual generated column",
                display_name(table)
            ),
            "Make it GENERATED ALWAYS AS (...) STORED.",
        ),
        Some(found) => Ok(found),
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
    let keys: Vec<&str> = table.key_columns().collect();
    if keys.is_empty() {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "no column for the rules was given",
            "Give at least one of department_column, category_column, assignee_column, team_column, requester_column and requester_team_column.",
        );
    }
    for key in keys.into_iter().chain([table.id.as_str()]) {
        check_column(table.oid, key)?;
    }
    check_statuses(table)?;
    check_confidential(table)?;
    // Those of keys may have several meanings: who requested a ticket may be who has it.
    let mut columns: Vec<&str> = table.key_columns().collect();
    columns.sort_unstable();
    columns.dedup();
    let others = [&table.columns.confidential, &table.columns.status];
    columns.extend(others.into_iter().flatten().map(String::as_str));
    columns.push(&table.id);
    columns.sort_unstable();
    if let Some(twice) = columns.windows(2).find(|pair| pair[0] == pair[1]) {
        refuse_given_twice(
            twice[0],
            "id_column, status_column and confidential_column are columns of their own.",
        );
    }
    let assignee = table.columns.assignee.as_deref();
    let assignee_type = assignee.and_then(|column| KeyType::of_column(table.oid, column));
    if table.unassigned_value.is_some()
        && assignee_type.is_some_and(|found| found != KeyType::Number)
    {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "unassigned_value is for an assignee_column of integers",
            "In a uuid or text column NULL means that nobody is assigned.",
        );
    }
    if table.unassigned_value.is_some() && assignee.is_none() {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "unassigned_value needs an assignee_column",
            "Give both or neither.",
        );
    }
    let catalog = Catalog::now();
    let problem = if ChildTable::find(&catalog, table.oid).is_some() {
        Some("is a protected message table".into())
    } else {
        TicketTable::find_by_followers(&catalog, table.oid)
            .map(|tickets| format!("is the follower table of {}", tickets.name()))
    };
    if let Some(problem) = problem {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("{} {problem}", table.name()),
            "A table is protected in one way only.",
        );
    }
    check_not_otherwise(table.oid, TICKETS);
    Ok(())
}

/// The columns that say of which kind and type a follower is.
pub fn check_follower_kinds(followers: &FollowerTable) -> Result<(), SpiError> {
    if let Some(kinds) = &followers.kinds {
        let all = kinds.followed.iter().chain(&kinds.requested);
        check_kinds(followers.oid, &kinds.column, all)?;
    }
    check_row_type(followers.oid, &followers.row_type)
}

pub fn check_follower_table(
    table: &TicketTable,
    followers: &FollowerTable,
) -> Result<(), SpiError> {
    check_kind(followers.oid)?;
    check_reference((followers.oid, &followers.ticket), (table.oid, &table.id))?;
    check_column(followers.oid, &followers.agent)?;
    check_follower_kinds(followers)?;
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
            _ if ChildTable::find(&catalog, followers.oid).is_some() => {
                Some("is a protected message table".into())
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
