//! Reads the extension's own tables.
//!
//! They are read like PostgreSQL's catalogs: without SQL, so that neither the caller's privileges nor
//! its search_path matter, and with the latest snapshot whatever the isolation level is, so that a
//! right is gone as soon as its removal is committed. Own uncommitted changes count.

use std::ffi::CStr;

use pgrx::datum::FromDatum;
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::error;
use crate::key::text_datum;

/// The schema of what users call, and of the tables that they write.
const SCHEMA: &CStr = c"deskguard";

/// The schema of the rest: what policies, plans and triggers call, and the tables that only deskguard writes.
const INTERNAL_SCHEMA: &CStr = c"deskguard_internal";

/// The tables of the internal schema.
const INTERNAL_TABLES: [&CStr; 4] = [
    c"protected_table",
    c"protected_feature",
    c"rights_signal",
    c"external_key_signal",
];

/// The number of a column, in the order of the table's CREATE TABLE.
pub type Attribute = i16;

/// A condition on a column: that it equals a value, or is not NULL.
pub struct ScanKey {
    column: Attribute,
    procedure: u32,
    value: pg_sys::Datum,
    flags: u32,
}

impl ScanKey {
    pub fn bigint(column: Attribute, value: i64) -> ScanKey {
        ScanKey {
            column,
            procedure: pg_sys::F_INT8EQ,
            value: value.into(),
            flags: 0,
        }
    }

    pub fn oid(column: Attribute, value: pg_sys::Oid) -> ScanKey {
        ScanKey {
            column,
            procedure: pg_sys::F_OIDEQ,
            value: value.into(),
            flags: 0,
        }
    }

    /// Not for the columns by which an index finds its place: it may have another collation.
    pub fn text(column: Attribute, value: &str) -> ScanKey {
        ScanKey {
            column,
            procedure: pg_sys::F_TEXTEQ,
            value: text_datum(value),
            flags: 0,
        }
    }

    pub fn not_null(column: Attribute) -> ScanKey {
        ScanKey {
            column,
            procedure: 0,
            value: 0.into(),
            flags: pg_sys::SK_ISNULL | pg_sys::SK_SEARCHNOTNULL,
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
        })
    }
}

/// A row of one of the extension's tables.
pub struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl Row {
    /// A row that a trigger has of one of these tables.
    pub fn of(tuple: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc) -> Row {
        Row { tuple, descriptor }
    }

    pub fn get<T: FromDatum>(&self, column: Attribute) -> Option<T> {
        let mut is_null = false;
        // SAFETY: tuple and descriptor come from the same open scan, and the callers name columns
        // of the tables that sql/*.sql creates, with their types.
        unsafe {
            let datum =
                pg_sys::heap_getattr(self.tuple, column.into(), self.descriptor, &mut is_null);
            T::from_datum(datum, is_null)
        }
    }

    /// A column that is NOT NULL.
    pub fn required<T: FromDatum>(&self, column: Attribute) -> T {
        self.get(column).unwrap_or_else(|| {
            error::raise(
                PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
                "a deskguard table has NULL where its definition forbids it",
                "Were the extension's tables altered by hand?",
            )
        })
    }
}

/// The extension's tables as of one moment.
pub struct Catalog {
    snapshot: pg_sys::Snapshot,
}

impl Catalog {
    /// The tables as they are now.
    pub fn now() -> Catalog {
        // SAFETY: plain catalog look-ups in a transaction. A registered copy of the catalog
        // snapshot stays the same for all scans of this Catalog; it can be had in parallel
        // workers, where GetLatestSnapshot cannot.
        unsafe {
            let agents = own_table(c"agent");
            Catalog {
                snapshot: pg_sys::RegisterSnapshot(pg_sys::GetCatalogSnapshot(agents)),
            }
        }
    }

    /// Calls `each` with the rows that fulfil the keys. The index, by name, must have the columns
    /// of the keys first; without one (or if it was dropped) the whole table is read.
    pub fn scan(
        &self,
        table: &CStr,
        index: Option<&CStr>,
        keys: &[ScanKey],
        mut each: impl FnMut(&Row),
    ) {
        // SAFETY: the callers name columns of the tables that sql/*.sql creates, with their types.
        unsafe {
            let namespace = namespace_of(table);
            let index = index.map_or(pg_sys::InvalidOid, |name| {
                pg_sys::get_relname_relid(name.as_ptr(), namespace)
            });
            let table = relation_oid(namespace, table);
            scan(table, index, self.snapshot, keys, &mut each)
        }
    }

    /// The first row that fulfils the keys, as `read` sees it.
    pub fn find<T>(
        &self,
        table: &CStr,
        index: &CStr,
        keys: &[ScanKey],
        read: impl Fn(&Row) -> T,
    ) -> Option<T> {
        let mut found = None;
        self.scan(table, Some(index), keys, |row| found = Some(read(row)));
        found
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
    unsafe {
        let latest = std::ptr::null_mut();
        scan(table.into(), index.into(), latest, keys, &mut each)
    }
}

/// # Safety
/// The keys, and the columns that are read, have the types of the table's columns.
unsafe fn scan(
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
                    pg_sys::C_COLLATION_OID,
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
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
    }
}

impl Drop for Catalog {
    fn drop(&mut self) {
        // While an error unwinds, the transaction's abort releases the snapshot.
        if !std::thread::panicking() {
            // SAFETY: registered in now(), on the same resource owner.
            unsafe { pg_sys::UnregisterSnapshot(self.snapshot) }
        }
    }
}

/// The OID of a table of the extension.
pub fn own_table(name: &CStr) -> pg_sys::Oid {
    relation_oid(namespace_of(name), name)
}

/// Is it one of the extension's schemas?
pub fn is_own_schema(schema: pg_sys::Oid) -> bool {
    schema != pg_sys::InvalidOid && [SCHEMA, INTERNAL_SCHEMA].map(namespace).contains(&schema)
}

/// The same of a name.
pub fn is_own_schema_name(schema: &str) -> bool {
    [SCHEMA, INTERNAL_SCHEMA]
        .iter()
        .any(|own| own.to_bytes() == schema.as_bytes())
}

/// Does this database have the extension? The library may be loaded in others, too.
pub fn is_installed() -> bool {
    // SAFETY: a look-up in the system cache.
    unsafe {
        let table = c"protected_table".as_ptr();
        pg_sys::get_relname_relid(table, namespace(INTERNAL_SCHEMA)) != pg_sys::InvalidOid
    }
}

/// The OID of a function that policies, plans or triggers call.
pub fn own_function(name: &CStr, arguments: &[pg_sys::Oid]) -> Option<pg_sys::Oid> {
    // SAFETY: look-ups in the system cache.
    let oid = unsafe {
        pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::PROCNAMEARGSNSP as i32,
            pg_sys::Anum_pg_proc_oid as i16,
            pg_sys::Datum::from(name.as_ptr()),
            pg_sys::Datum::from(pg_sys::buildoidvector(
                arguments.as_ptr(),
                arguments.len() as i32,
            )),
            namespace(INTERNAL_SCHEMA).into(),
            pg_sys::Datum::from(0),
        )
    };
    (oid != pg_sys::InvalidOid).then_some(oid)
}

/// The name of a function, if it is one of the extension.
pub fn own_function_name<'a>(function: pg_sys::Oid) -> Option<&'a CStr> {
    // SAFETY: look-ups in the system cache; the name is a palloc'd copy.
    unsafe {
        let name = pg_sys::get_func_name(function);
        let is_own = !name.is_null() && is_own_schema(pg_sys::get_func_namespace(function));
        is_own.then(|| CStr::from_ptr(name))
    }
}

/// A schema of the extension. InvalidOid without the extension, where nothing is found then.
fn namespace(schema: &CStr) -> pg_sys::Oid {
    // SAFETY: a look-up in the system cache.
    unsafe { pg_sys::get_namespace_oid(schema.as_ptr(), true) }
}

/// The schema that a table of the extension is in.
fn namespace_of(table: &CStr) -> pg_sys::Oid {
    namespace(schema_of(table))
}

fn schema_of(table: &CStr) -> &'static CStr {
    if INTERNAL_TABLES.contains(&table) {
        INTERNAL_SCHEMA
    } else {
        SCHEMA
    }
}

fn relation_oid(namespace: pg_sys::Oid, name: &CStr) -> pg_sys::Oid {
    // SAFETY: a look-up in the system cache.
    let oid = unsafe { pg_sys::get_relname_relid(name.as_ptr(), namespace) };
    if oid == pg_sys::InvalidOid {
        let (schema, name) = (schema_of(name).to_string_lossy(), name.to_string_lossy());
        error::raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("table {schema}.{name} does not exist"),
            "Run CREATE EXTENSION deskguard in this database.",
        );
    }
    oid
}
