//! Reads the extension's own tables.
//!
//! They are read like PostgreSQL's catalogs: without SQL, so that neither the caller's privileges nor
//! its search_path matter, and with the latest snapshot whatever the isolation level is, so that a
//! right is gone as soon as its removal is committed. Own uncommitted changes count.

use std::ffi::{CStr, CString};

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::error;
use crate::pg::scan::{Row, ScanKey, scan};

/// The schema of what users call, and of the tables that they write.
const SCHEMA: &CStr = c"deskguard";

/// The schema of the rest: what policies, plans and triggers call, and the tables that only deskguard writes.
const INTERNAL_SCHEMA: &CStr = c"deskguard_internal";

/// The tables that the registry of protected tables consists of.
pub const REGISTRY: [&CStr; 5] = [
    c"protected_table",
    c"ticket_table",
    c"message_table",
    c"shared_table",
    c"protected_feature",
];

/// The other tables of the internal schema.
const OTHERS: [&CStr; 4] = [
    c"rights_signal",
    c"external_key_signal",
    c"mirror",
    c"mirrored_row",
];

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

/// Is there a table of this name? Not with the SQL of a version that had it not yet, nor without the extension.
pub fn exists(name: &CStr) -> bool {
    // SAFETY: a look-up in the system cache.
    unsafe { pg_sys::get_relname_relid(name.as_ptr(), namespace_of(name)) != pg_sys::InvalidOid }
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
pub fn own_function_name(function: pg_sys::Oid) -> Option<CString> {
    // SAFETY: look-ups in the system cache; the name is a palloc'd copy.
    unsafe {
        let name = pg_sys::get_func_name(function);
        let is_own = !name.is_null() && is_own_schema(pg_sys::get_func_namespace(function));
        is_own.then(|| CStr::from_ptr(name).to_owned())
    }
}

/// The library runs with the SQL of the version before from its installation until the extension is updated.
pub fn refuse_former_sql() -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        "the extension deskguard of this database is of an older version than its library",
        "Run ALTER EXTENSION deskguard UPDATE in this database, as a superuser.",
    )
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
    if REGISTRY.contains(&table) || OTHERS.contains(&table) {
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
