//! What PostgreSQL's catalogs say of a table, as of now: whatever the isolation level is, a partition that
//! was committed since the transaction began counts.

use std::ffi::CString;

use pgrx::prelude::*;
use pgrx::spi::{quote_literal, quote_qualified_identifier};
use pgrx::{PgRelation, pg_sys};

use crate::pg::error;
use crate::pg::scan::{ScanKey, scan_system};

/// What pg_class says of a table.
#[derive(Clone, Copy)]
pub struct Class {
    pub kind: u8,
    pub is_temporary: bool,
    /// Or was so once.
    pub has_children: bool,
    pub row_security: bool,
    pub forced: bool,
    pub schema: pg_sys::Oid,
    pub row_type: pg_sys::Oid,
    /// Of a table that was created with OF, whose columns are renamed with that type's.
    pub of_type: pg_sys::Oid,
}

impl Class {
    /// None if there is no such table.
    pub fn of(table: pg_sys::Oid) -> Option<Class> {
        // SAFETY: a look-up in the system cache.
        unsafe {
            let cache = pg_sys::SysCacheIdentifier::RELOID as i32;
            let row = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(table));
            if row.is_null() {
                return None;
            }
            let class = &*pg_sys::heap_tuple_get_struct::<pg_sys::FormData_pg_class>(row);
            let found = Class {
                kind: class.relkind as u8,
                is_temporary: class.relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP,
                has_children: class.relhassubclass,
                row_security: class.relrowsecurity,
                forced: class.relforcerowsecurity,
                schema: class.relnamespace,
                row_type: class.reltype,
                of_type: class.reloftype,
            };
            pg_sys::ReleaseSysCache(row);
            Some(found)
        }
    }

    /// Can it have rows of its own, or partitions?
    pub fn is_table(&self) -> bool {
        matches!(
            self.kind,
            pg_sys::RELKIND_RELATION
                | pg_sys::RELKIND_PARTITIONED_TABLE
                | pg_sys::RELKIND_FOREIGN_TABLE
        )
    }
}

const TO_READ: pg_sys::LOCKMODE = pg_sys::AccessShareLock as pg_sys::LOCKMODE;

/// Opens a table that was there a moment ago. It may be dropped while this waits for its lock: PostgreSQL
/// would call that an internal error.
pub fn open(table: pg_sys::Oid) -> PgRelation {
    // SAFETY: what is opened here is closed here, after it was opened once more.
    unsafe {
        let first = pg_sys::try_relation_open(table, TO_READ);
        if first.is_null() {
            error::raise(
                PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
                format!(
                    "the table with the OID {} was dropped meanwhile",
                    table.to_u32()
                ),
                "Run the command again.",
            );
        }
        let relation = PgRelation::with_lock(table, TO_READ);
        pg_sys::relation_close(first, TO_READ);
        relation
    }
}

/// Waits for who changes a table. From then on it keeps its name and its columns until the transaction ends.
pub fn hold(table: pg_sys::Oid) {
    // SAFETY: a lock as a query takes it.
    unsafe { pg_sys::LockRelationOid(table, TO_READ) }
}

const PG_INHERITS: u32 = 2611;
const BY_CHILD: u32 = 2680;
const BY_PARENT: u32 = 2187;
const CHILD: i16 = 1;
const PARENT: i16 = 2;

/// The tables that a table is a partition or child of: several only by inheritance.
pub fn parents(table: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let mut found = vec![];
    // SAFETY: a catalog with its index.
    unsafe {
        scan_system(
            (PG_INHERITS, BY_CHILD),
            &[ScanKey::oid(CHILD, table)],
            |row| found.push(row.required(PARENT)),
        );
    }
    found
}

/// Its partitions, those too that are being detached, and its child tables.
pub fn children(table: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    if !Class::of(table).is_some_and(|class| class.has_children) {
        return vec![];
    }
    let mut found = vec![];
    // SAFETY: a catalog with its index.
    unsafe {
        scan_system(
            (PG_INHERITS, BY_PARENT),
            &[ScanKey::oid(PARENT, table)],
            |row| found.push(row.required(CHILD)),
        );
    }
    found.sort_unstable_by_key(|child: &pg_sys::Oid| child.to_u32());
    found
}

/// All tables above, each once.
pub fn ancestors(table: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    reached(table, parents)
}

/// All tables below, each once, those above before those below them.
pub fn descendants(table: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    reached(table, children)
}

fn reached(from: pg_sys::Oid, next: impl Fn(pg_sys::Oid) -> Vec<pg_sys::Oid>) -> Vec<pg_sys::Oid> {
    let mut known = std::collections::HashSet::from([from]);
    let mut found = vec![];
    let mut waiting = std::collections::VecDeque::from([from]);
    while let Some(table) = waiting.pop_front() {
        for other in next(table) {
            if known.insert(other) {
                found.push(other);
                waiting.push_back(other);
            }
        }
    }
    found
}

/// The columns by which others find a table: schema and name, unquoted.
pub fn full_name(table: pg_sys::Oid) -> Option<(String, String)> {
    // SAFETY: look-ups in the system cache; the answers are palloc'd copies.
    unsafe {
        let name = text(pg_sys::get_rel_name(table))?;
        Some((schema_name(pg_sys::get_rel_namespace(table))?, name))
    }
}

/// A schema's name.
pub fn schema_name(schema: pg_sys::Oid) -> Option<String> {
    // SAFETY: a look-up in the system cache; the answer is a palloc'd copy.
    unsafe { text(pg_sys::get_namespace_name(schema)) }
}

/// # Safety
/// A C string or NULL.
pub unsafe fn text(text: *const std::ffi::c_char) -> Option<String> {
    // SAFETY: not null, and so a C string, as the caller promises.
    let text = (!text.is_null()).then(|| unsafe { std::ffi::CStr::from_ptr(text) })?;
    Some(text.to_string_lossy().into_owned())
}

/// A table's name, qualified and quoted; none if it does not exist.
pub fn table_name(oid: pg_sys::Oid) -> Option<String> {
    // SAFETY: look-ups in the system cache; the answers are palloc'd copies.
    unsafe {
        let name = pg_sys::get_rel_name(oid);
        let schema = pg_sys::get_namespace_name(pg_sys::get_rel_namespace(oid));
        if name.is_null() || schema.is_null() {
            return None;
        }
        Some(quote_qualified_identifier(
            std::ffi::CStr::from_ptr(schema).to_string_lossy(),
            std::ffi::CStr::from_ptr(name).to_string_lossy(),
        ))
    }
}

/// A table's name for messages.
pub fn display_name(oid: pg_sys::Oid) -> String {
    table_name(oid).unwrap_or_else(|| format!("table {}", oid.to_u32()))
}

/// A table as a literal of SQL.
pub fn regclass(table: pg_sys::Oid) -> String {
    let name = table_name(table).unwrap_or_else(|| table.to_u32().to_string());
    format!("{}::pg_catalog.regclass", quote_literal(name))
}

/// The table that a command names, if there is one.
///
/// # Safety
/// It is not null.
pub unsafe fn named(table: *mut pg_sys::RangeVar) -> pg_sys::Oid {
    // SAFETY: as the caller promises.
    unsafe {
        pg_sys::RangeVarGetRelidExtended(
            table,
            pg_sys::NoLock as pg_sys::LOCKMODE,
            pg_sys::RVROption::RVR_MISSING_OK,
            None,
            std::ptr::null_mut(),
        )
    }
}

/// A column's number.
pub fn attribute(table: pg_sys::Oid, column: &str) -> Option<pg_sys::AttrNumber> {
    let name = CString::new(column).ok()?;
    // SAFETY: a look-up in the system cache.
    let number = unsafe { pg_sys::get_attnum(table, name.as_ptr()) };
    (number != pg_sys::InvalidAttrNumber as pg_sys::AttrNumber).then_some(number)
}

/// Do the policies of a table apply to the current user? Not to those who bypass row-level
/// security, nor to foreign-key actions.
pub fn policies_apply(table: pg_sys::Oid) -> bool {
    // SAFETY: look-ups in the system cache.
    unsafe {
        pg_sys::check_enable_rls(table, pg_sys::InvalidOid, true)
            == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32
    }
}
