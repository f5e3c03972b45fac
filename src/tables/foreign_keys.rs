//! Foreign keys of child tables: where one holds, each row has its ticket.

use pgrx::pg_sys;

use crate::pg::compat::is_enforced;
use crate::pg::node::items;
use crate::pg::relation::{attribute, open};
use crate::tables::child_table::{ChildTable, Parent};

/// Has each row of this table, which is the child table or a part of it, a ticket, unless its own column
/// is NULL? For a table that the planner has locked.
pub fn lead_to_tickets(table: pg_sys::Oid, child: &ChildTable) -> bool {
    let Some(id) = child.parent.id() else {
        return false;
    };
    refers_to(table, &child.column, child.parent.oid(), id)
        && match &child.parent {
            Parent::Tickets(_) => true,
            Parent::Messages(messages) => {
                messages.row_type.is_none()
                    && is_not_null(messages.oid, &messages.column)
                    && lead_to_tickets(messages.oid, messages)
            }
        }
}

/// Do all rows of a child table have the row of the parent that they name?
pub fn keeps(child: &ChildTable) -> bool {
    let parent = &child.parent;
    parent
        .id()
        .is_some_and(|id| refers_to(child.oid, &child.column, parent.oid(), id))
}

/// Is there a foreign key that holds for all rows?
fn refers_to(table: pg_sys::Oid, column: &str, parent: pg_sys::Oid, id: &str) -> bool {
    let (Some(column), Some(id)) = (attribute(table, column), attribute(parent, id)) else {
        return false;
    };
    // SAFETY: the relation is open; its list of keys belongs to its entry in the cache.
    unsafe {
        let relation = open(table);
        // Children by inheritance, unlike partitions, do not have the keys of the table above.
        let class = &*relation.rd_rel;
        let is_partitioned = class.relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE;
        if class.relhassubclass && !is_partitioned {
            return false;
        }
        let keys = pg_sys::RelationGetFKeyList(relation.as_ptr());
        items::<pg_sys::ForeignKeyCacheInfo>(keys)
            .iter()
            .any(|key| {
                let key = &**key;
                key.confrelid == parent
                    && key.nkeys == 1
                    && key.conkey[0] == column
                    && key.confkey[0] == id
                    && holds(key)
            })
    }
}

/// NOT VALID keys do not hold for the rows from before, NOT ENFORCED ones for none.
fn holds(key: &pg_sys::ForeignKeyCacheInfo) -> bool {
    if !is_enforced(key) {
        return false;
    }
    const CONSTRAINTS: pg_sys::Oid = pg_sys::Oid::from_u32(2606);
    let Some(is_valid) = attribute(CONSTRAINTS, "convalidated") else {
        return false;
    };
    // SAFETY: the row is held until it is released, and the column is a boolean.
    unsafe {
        let cache = pg_sys::SysCacheIdentifier::CONSTROID as i32;
        let row = pg_sys::SearchSysCache1(cache, pg_sys::Datum::from(key.conoid));
        if row.is_null() {
            return false;
        }
        let mut is_null = false;
        let is_valid = pg_sys::SysCacheGetAttr(cache, row, is_valid, &mut is_null);
        pg_sys::ReleaseSysCache(row);
        !is_null && is_valid.value() != 0
    }
}

fn is_not_null(table: pg_sys::Oid, column: &str) -> bool {
    let Some(number) = attribute(table, column) else {
        return false;
    };
    // SAFETY: a look-up in the system cache.
    unsafe {
        let row = pg_sys::SearchSysCache2(
            pg_sys::SysCacheIdentifier::ATTNUM as i32,
            pg_sys::Datum::from(table),
            pg_sys::Datum::from(number),
        );
        if row.is_null() {
            return false;
        }
        let column = pg_sys::heap_tuple_get_struct::<pg_sys::FormData_pg_attribute>(row);
        let is_not_null = (*column).attnotnull;
        pg_sys::ReleaseSysCache(row);
        is_not_null
    }
}
