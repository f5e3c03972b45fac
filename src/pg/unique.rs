//! Does an id stand for one row?

use pgrx::pg_sys;

use crate::pg::relation::{attribute, open};

/// Does an index see to it, at every moment, that each value of the column stands for one row at most?
/// For a partitioned table, an index of the table itself. A deferrable key does not: within a
/// transaction a value may stand for several rows.
pub fn is_unique(table: pg_sys::Oid, column: &str) -> bool {
    let Some(column) = attribute(table, column) else {
        return false;
    };
    // SAFETY: the relation is open; the list is a copy.
    unsafe {
        let relation = open(table);
        // Children by inheritance, unlike partitions, have indexes of their own.
        let class = &*relation.rd_rel;
        let is_partitioned = class.relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE;
        if class.relhassubclass && !is_partitioned {
            return false;
        }
        let indexes = pg_sys::RelationGetIndexList(relation.as_ptr());
        (0..pg_sys::list_length(indexes))
            .any(|n| is_unique_index_on(pg_sys::list_nth_oid(indexes, n), column))
    }
}

fn is_unique_index_on(index: pg_sys::Oid, column: pg_sys::AttrNumber) -> bool {
    // SAFETY: the row is of pg_index, has a column at least, and is held until it is released.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::INDEXRELID as i32;
        let row = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(index));
        if row.is_null() {
            return false;
        }
        let form = &*pg_sys::heap_tuple_get_struct::<pg_sys::FormData_pg_index>(row);
        let (predicate, descriptor) = (pg_sys::Anum_pg_index_indpred as i32, std::ptr::null_mut());
        let is_unique = form.indisunique
            && form.indimmediate
            && form.indisvalid
            && form.indisready
            && form.indnkeyatts == 1
            // The number of an expression is 0.
            && *form.indkey.values.as_ptr() == column
            && pg_sys::heap_attisnull(row, predicate, descriptor);
        pg_sys::ReleaseSysCache(row);
        is_unique
    }
}
