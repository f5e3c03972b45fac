//! The kinds of protected tables, a file each. A new kind is a file and a line in the list.

mod feature;
mod followers;
mod messages;
mod shared;
mod tickets;

use pgrx::pg_sys;

pub use feature::FeatureTable;

use crate::protection::kind::Kind;
use crate::tables::catalog::Catalog;

/// Finds a table in the registry, by its root, if it is of this kind.
type Find = fn(&Catalog, pg_sys::Oid) -> Option<Box<dyn Kind>>;

const KINDS: [Find; 5] = [
    tickets::find,
    followers::find,
    messages::find,
    shared::find,
    feature::find,
];

/// How a table is protected that was given to be protected; None if that is gone.
pub fn find(catalog: &Catalog, root: pg_sys::Oid) -> Option<Box<dyn Kind>> {
    KINDS.iter().find_map(|find| find(catalog, root))
}
