//! What comes from the library of an extension. Only superusers make functions in C, so that nobody else can pretend.

use std::ffi::{CStr, c_int};

use pgrx::{FromDatum, pg_sys};

const C_LANGUAGE: pg_sys::Oid = pg_sys::Oid::from_u32(13);

/// Is it the function in C that this library has by this name?
pub fn is_function_of_library(
    function: pg_sys::Oid,
    library: &str,
    is_name: impl FnOnce(&str) -> bool,
) -> bool {
    const LIBRARY: c_int = pg_sys::Anum_pg_proc_probin as c_int;
    const NAME: c_int = pg_sys::Anum_pg_proc_prosrc as c_int;
    // SAFETY: a look-up in the system cache; the row is there until it is released.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::PROCOID as c_int;
        let row = pg_sys::SearchSysCache1(cache, function.into());
        if row.is_null() {
            return false;
        }
        let language = (*pg_sys::heap_tuple_get_struct::<pg_sys::FormData_pg_proc>(row)).prolang;
        let text = |column: c_int| {
            let mut is_null = false;
            let value = pg_sys::SysCacheGetAttr(cache, row, column as _, &mut is_null);
            String::from_datum(value, is_null)
        };
        let is = language == C_LANGUAGE
            && text(LIBRARY).is_some_and(|found| found == library)
            && text(NAME).is_some_and(|found| is_name(&found));
        pg_sys::ReleaseSysCache(row);
        is
    }
}

/// Is it an object of the extension of this name?
pub fn is_of_extension(class: pg_sys::Oid, object: pg_sys::Oid, extension: &CStr) -> bool {
    // SAFETY: look-ups in the catalogs.
    unsafe {
        let found = pg_sys::get_extension_oid(extension.as_ptr(), true);
        found != pg_sys::InvalidOid && pg_sys::getExtensionOfObject(class, object) == found
    }
}

/// Are all support functions of this family of operators PostgreSQL's own, or in C in this library?
pub fn is_family_of_library(family: pg_sys::Oid, library: &str) -> bool {
    let functions = support_functions(family);
    !functions.is_empty()
        && functions.into_iter().all(|function| {
            function.to_u32() < pg_sys::FirstNormalObjectId
                || is_function_of_library(function, library, |_| true)
        })
}

fn support_functions(family: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let none = pg_sys::Datum::from(0);
    // SAFETY: a look-up in the system cache; the rows are there until the list is released.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::AMPROCNUM as c_int;
        let list = pg_sys::SearchSysCacheList(cache, 1, family.into(), none, none);
        let members = (*list).members.as_ptr();
        let found = (0..(*list).n_members as usize).map(|n| {
            let row = &raw mut (**members.add(n)).tuple;
            (*pg_sys::heap_tuple_get_struct::<pg_sys::FormData_pg_amproc>(row)).amproc
        });
        let found = found.collect();
        pg_sys::ReleaseCatCacheList(list);
        found
    }
}
