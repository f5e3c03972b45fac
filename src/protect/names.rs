//! Names of protected tables that other tables take: a copy that is put in the place of a protected table
//! is not protected, as nobody who reads the names would think.

use std::cell::RefCell;
use std::collections::HashMap;

use pgrx::pg_sys;
use pgrx::spi::quote_qualified_identifier;

use crate::pg::error;
use crate::pg::relation::{Class, display_name, full_name, schema_name};
use crate::protect::rename::Rename;
use crate::tables::catalog::Catalog;
use crate::tables::columns::protected_table;
use crate::tables::registry::is_protected;

thread_local! {
    /// Names, of a schema and in it, that protected tables had in this session. A change that was rolled
    /// back may be among them: then the protected table has its name again, and nobody can take it.
    static FORMER: RefCell<HashMap<(String, String), pg_sys::Oid>> = RefCell::default();
}

/// A table was renamed, or moved to another schema.
pub fn note_former_name(table: pg_sys::Oid, rename: &Rename) {
    if !is_protected(table) {
        return;
    }
    let (Some(now), Some(former)) = (full_name(table), rename.table.clone()) else {
        return;
    };
    let schema = now.0.clone();
    // Where it was moved from is known only if the command says so; a renamed table stays there.
    let was_moved = rename.to.is_none();
    let schemas = match &rename.schema {
        Some(named) => vec![named.clone()],
        None if was_moved => searched_schemas(),
        None => vec![schema],
    };
    FORMER.with_borrow_mut(|names| {
        let former = |schema| ((schema, former.clone()), table);
        names.extend(schemas.into_iter().map(former));
        names.remove(&now);
    });
}

fn searched_schemas() -> Vec<String> {
    // SAFETY: a list of OIDs, in this context.
    unsafe {
        let path = pg_sys::fetch_search_path(false);
        (0..pg_sys::list_length(path))
            .filter_map(|n| schema_name(pg_sys::list_nth_oid(path, n)))
            .collect()
    }
}

/// A schema was renamed.
pub fn schema_renamed(schema: pg_sys::Oid, rename: &Rename) {
    let (Some(from), Some(to)) = (&rename.from, &rename.to) else {
        return;
    };
    let mut left = vec![];
    Catalog::now().scan(c"protected_table", None, &[], |row| {
        let table: pg_sys::Oid = row.required(protected_table::TABLE_ID);
        if Class::of(table).is_some_and(|class| class.schema == schema) {
            left.extend(full_name(table).map(|(_, name)| ((from.clone(), name), table)));
        }
    });
    let taken = FORMER.with_borrow(|names| {
        let of_schema = names.keys().filter(|(former, _)| former == to);
        of_schema.map(|(_, name)| name.clone()).collect::<Vec<_>>()
    });
    FORMER.with_borrow_mut(|names| names.extend(left));
    for name in taken {
        let Ok(name) = std::ffi::CString::new(name) else {
            continue;
        };
        // SAFETY: a look-up in the system cache.
        let table = unsafe { pg_sys::get_relname_relid(name.as_ptr(), schema) };
        if table != pg_sys::InvalidOid && !is_protected(table) {
            warn_of_taken_name(table);
        }
    }
}

/// A table that is not protected was made, renamed or altered.
pub fn warn_of_taken_name(table: pg_sys::Oid) {
    if FORMER.with_borrow(HashMap::is_empty) {
        return;
    }
    let Some(name) = full_name(table) else {
        return;
    };
    // Once.
    let former = FORMER.with_borrow_mut(|names| names.remove(&name));
    if former.is_some_and(is_protected) {
        let (schema, relation) = name;
        error::warn(
            format!(
                "{} is not protected, and a protected table had that name before",
                quote_qualified_identifier(schema, relation)
            ),
            format!(
                "If {} takes its place, protect it: the protection belongs to a table, not to a name.",
                display_name(table)
            ),
        );
    }
}
