//! The mirrors that there are.

use pgrx::pg_sys;

use crate::mirrors::target::Target;
use crate::pg::scan::ScanKey;
use crate::tables::catalog::{Catalog, exists};
use crate::tables::columns::mirror;

#[derive(Clone, Copy)]
pub struct Mirror {
    pub id: i64,
    pub target: &'static Target,
    /// A view or table; it may be gone.
    pub source: pg_sys::Oid,
}

fn read(keys: &[ScanKey]) -> Vec<Mirror> {
    // With the SQL of a version before there are none.
    if !exists(c"mirror") {
        return vec![];
    }
    let mut found = vec![];
    let index = (!keys.is_empty()).then_some(c"mirror_pkey");
    Catalog::now().scan(c"mirror", index, keys, |row| {
        found.extend(
            Target::find(row.required(mirror::TARGET)).map(|target| Mirror {
                id: row.required(mirror::ID),
                target,
                source: row.required(mirror::SOURCE),
            }),
        );
    });
    found.sort_by_key(|mirror| (mirror.target.rank(), mirror.id));
    found
}

/// All, in the order in which they are refreshed.
pub fn mirrors() -> Vec<Mirror> {
    read(&[])
}

pub fn find(id: i64) -> Option<Mirror> {
    read(&[ScanKey::bigint(mirror::ID, id)]).pop()
}
