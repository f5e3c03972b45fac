//! Writes deskguard.shared_visibility as its owner.

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg::run_as_owner::RunAsOwner;
use crate::tables::catalog::own_table;
use crate::tables::key::{Key, KeyRef};
use crate::tables::shared_table::SharedTable;

/// With whom one object of a table was shared, or all of them.
pub fn forget_visibility(table: pg_sys::Oid, object: Option<KeyRef>) -> Result<(), SpiError> {
    let _owner = RunAsOwner::of(own_table(c"shared_visibility"));
    let (id, key) = object.map_or((None, None), stored);
    Spi::run_with_args(
        "DELETE FROM deskguard.shared_visibility
         WHERE object_table::pg_catalog.oid OPERATOR(pg_catalog.=) $1
           AND ($2::pg_catalog.int8 IS NULL AND $3::pg_catalog.text IS NULL
                OR object_id OPERATOR(pg_catalog.=) $2 OR object_key OPERATOR(pg_catalog.=) $3)",
        &[table.into(), id.into(), key.into()],
    )
}

/// An object as shared_visibility has it: object_id and object_key.
pub fn stored(object: KeyRef) -> (Option<i64>, Option<String>) {
    match object {
        Key::Number(id) => (Some(id), None),
        Key::Uuid(_) | Key::Text(_) => (None, Some(object.to_string())),
    }
}

/// Writes deskguard.shared_visibility as its owner. The arguments are the table, the object's id or key,
/// the group, the agent and everyone.
pub fn write_visibility(
    query: &str,
    table: &SharedTable,
    object: KeyRef,
    audience: &Audience,
) -> Result<(), SpiError> {
    let _owner = RunAsOwner::of(own_table(c"shared_visibility"));
    let (id, key) = stored(object);
    Spi::run_with_args(
        query,
        &[
            table.oid.into(),
            id.into(),
            key.into(),
            audience.group.into(),
            audience.agent.into(),
            audience.everyone.into(),
        ],
    )
}

/// With whom an object is shared.
pub struct Audience {
    pub group: Option<i64>,
    pub agent: Option<i64>,
    pub everyone: bool,
}
