//! Reads tables by their indexes, without SQL: PostgreSQL's catalogs, and what is read like them.

use std::ffi::CStr;

use pgrx::JsonB;
use pgrx::datum::FromDatum;
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::datum::text_datum;
use crate::pg::{error, memory};

/// The number of a column, in the order of the table's CREATE TABLE.
pub type Attribute = i16;

/// A condition on a column: that it equals a value, or is not NULL.
pub struct ScanKey {
    column: Attribute,
    procedure: u32,
    value: pg_sys::Datum,
    flags: u32,
    collation: pg_sys::Oid,
}

impl ScanKey {
    pub fn bigint(column: Attribute, value: i64) -> ScanKey {
        ScanKey {
            column,
            procedure: pg_sys::F_INT8EQ,
            value: value.into(),
            flags: 0,
            collation: pg_sys::C_COLLATION_OID,
        }
    }

    pub fn oid(column: Attribute, value: pg_sys::Oid) -> ScanKey {
        ScanKey {
            column,
            procedure: pg_sys::F_OIDEQ,
            value: value.into(),
            flags: 0,
            collation: pg_sys::C_COLLATION_OID,
        }
    }

    /// For a column without a collation of its own.
    pub fn default_text(column: Attribute, value: &str) -> ScanKey {
        ScanKey {
            collation: pg_sys::DEFAULT_COLLATION_OID,
            ..ScanKey::text(column, value)
        }
    }

    /// Not for the columns by which an index finds its place: it may have another collation.
    pub fn text(column: Attribute, value: &str) -> ScanKey {
        ScanKey {
            column,
            procedure: pg_sys::F_TEXTEQ,
            value: text_datum(value),
            flags: 0,
            collation: pg_sys::C_COLLATION_OID,
        }
    }

    pub fn not_null(column: Attribute) -> ScanKey {
        ScanKey {
            column,
            procedure: 0,
            value: 0.into(),
            flags: pg_sys::SK_ISNULL | pg_sys::SK_SEARCHNOTNULL,
            collation: pg_sys::C_COLLATION_OID,
        }
    }

    /// A column of type name equals the name of this role. None if there is no such role.
    pub fn role_name(column: Attribute, role: pg_sys::Oid) -> Option<ScanKey> {
        // SAFETY: looks the role up in the system cache; the answer is a palloc'd copy, padded to
        // the full width of a name by namestrcpy.
        let name = unsafe {
            let text = pg_sys::GetUserNameFromId(role, true);
            if text.is_null() {
                return None;
            }
            let name = pg_sys::palloc0(std::mem::size_of::<pg_sys::NameData>()).cast();
            pg_sys::namestrcpy(name, text);
            name
        };
        Some(ScanKey {
            column,
            procedure: pg_sys::F_NAMEEQ,
            value: pg_sys::Datum::from(name),
            flags: 0,
            collation: pg_sys::C_COLLATION_OID,
        })
    }
}

/// A row of one of the extension's tables.
pub struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

/// What a column is read as: a copy, or a part of the row, which cannot be kept longer than the row.
pub trait Column<'row>: FromDatum {}

impl Column<'_> for bool {}
impl Column<'_> for i8 {}
impl Column<'_> for i16 {}
impl Column<'_> for i32 {}
impl Column<'_> for i64 {}
impl Column<'_> for pg_sys::Oid {}
impl Column<'_> for String {}
impl Column<'_> for Vec<String> {}
impl Column<'_> for JsonB {}
impl<'row> Column<'row> for &'row str {}
impl<'row> Column<'row> for &'row CStr {}

impl Row {
    /// A row that a trigger has of one of these tables.
    ///
    /// # Safety
    /// The row is of the descriptor, and both are there as long as this.
    pub unsafe fn of(tuple: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc) -> Row {
        Row { tuple, descriptor }
    }

    /// NULL, too, is a column that the extension's SQL, not updated yet, has not.
    pub fn get<'row, T: Column<'row>>(&'row self, column: Attribute) -> Option<T> {
        let mut is_null = false;
        // SAFETY: tuple and descriptor come from the same open scan, and the callers name columns
        // of the tables that sql/*.sql creates, with their types.
        unsafe {
            if i32::from(column) > (*self.descriptor).natts {
                return None;
            }
            let datum =
                pg_sys::heap_getattr(self.tuple, column.into(), self.descriptor, &mut is_null);
            T::from_datum(datum, is_null)
        }
    }

    /// A column that is NOT NULL.
    pub fn required<'row, T: Column<'row>>(&'row self, column: Attribute) -> T {
        self.get(column).unwrap_or_else(|| {
            error::raise(
                PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
                "a deskguard table has NULL where its definition forbids it",
                "Were the extension's tables altered by hand?",
            )
        })
    }
}

/// Calls `each` with the rows of one of PostgreSQL's catalogs that fulfil the keys, as they are now.
///
/// # Safety
/// The index is of that catalog and has the columns of the keys first, which have these types.
pub unsafe fn scan_system(
    (table, index): (u32, u32),
    keys: &[ScanKey],
    mut each: impl FnMut(&Row),
) {
    // SAFETY: as the caller promises.
    unsafe {
        let latest = std::ptr::null_mut();
        scan(table.into(), index.into(), latest, keys, &mut each)
    }
}

/// # Safety
/// The keys, and the columns that are read, have the types of the table's columns.
pub unsafe fn scan(
    table: pg_sys::Oid,
    index: pg_sys::Oid,
    snapshot: pg_sys::Snapshot,
    keys: &[ScanKey],
    each: &mut dyn FnMut(&Row),
) {
    // SAFETY: the relation is opened and closed with its lock kept until the transaction ends; the
    // snapshot is registered, or the scan's own; rows are not used after the callback.
    unsafe {
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let relation = pg_sys::table_open(table, lock);
        // Only an index can tell what is NULL; without it, the callers do.
        let usable = |key: &&ScanKey| key.flags == 0 || index != pg_sys::InvalidOid;
        let mut scan_keys: Vec<pg_sys::ScanKeyData> = keys
            .iter()
            .filter(usable)
            .map(|key| {
                let mut entry = pg_sys::ScanKeyData::default();
                let strategy = match key.flags {
                    0 => pg_sys::BTEqualStrategyNumber,
                    _ => 0,
                };
                pg_sys::ScanKeyEntryInitialize(
                    &mut entry,
                    key.flags as i32,
                    key.column,
                    strategy as u16,
                    pg_sys::InvalidOid,
                    key.collation,
                    pg_sys::RegProcedure::from(key.procedure),
                    key.value,
                );
                entry
            })
            .collect();
        let scan = pg_sys::systable_beginscan(
            relation,
            index,
            index != pg_sys::InvalidOid,
            snapshot,
            scan_keys.len() as i32,
            scan_keys.as_mut_ptr(),
        );
        let descriptor = (*relation).rd_att;
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            each(&Row { tuple, descriptor });
            memory::check();
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
    }
}
