//! A table of shared objects, and how the registry has it.

use deskguard_rules::Column;
use pgrx::pg_sys;

use crate::pg::relation::regclass;
use crate::pg::scan::{Row, ScanKey};
use crate::tables::catalog::Catalog;
use crate::tables::columns::{shared_table, shared_visibility};
use crate::tables::key::{Key, KeyRef, KeyType, OwnedKey, canonical_uuid};
use crate::tables::policy_sql::{key_expression, principal_expression};
use crate::tables::principal::Principal;
use crate::tables::registry::{column_name, root_of};
use crate::tables::rule_function::{Argument, RuleFunction};

/// A table of shared objects.
#[derive(Clone, Debug)]
pub struct SharedTable {
    pub oid: pg_sys::Oid,
    pub id: String,
    pub id_type: KeyType,
    pub owner: Option<String>,
}

impl SharedTable {
    /// The table of shared objects with this OID.
    pub fn find(catalog: &Catalog, oid: pg_sys::Oid) -> Option<SharedTable> {
        let read = |row: &Row| {
            let id = column_name(row, shared_table::ID_COLUMN)?;
            Some(SharedTable {
                oid,
                id_type: KeyType::of_column(oid, &id)?,
                id,
                owner: column_name(row, shared_table::OWNER_COLUMN),
            })
        };
        catalog
            .find(
                c"shared_table",
                c"shared_table_pkey",
                &[ScanKey::oid(shared_table::TABLE_ID, oid)],
                read,
            )
            .flatten()
    }

    /// The table of shared objects that this table is, or is a partition or child of.
    pub fn find_by_part(catalog: &Catalog, oid: pg_sys::Oid) -> Option<SharedTable> {
        SharedTable::find(catalog, root_of(catalog, oid)?)
    }

    /// What a policy asks of an object in a table, which is this one or a part of it.
    pub fn call(&self, function: RuleFunction, table: pg_sys::Oid) -> String {
        let owner = || principal_expression(self.oid, self.owner.as_deref(), Principal::Agent);
        function.call(|argument| match argument {
            Argument::Table => Some(regclass(table)),
            Argument::RowKey => Some(key_expression(self.oid, &self.id)),
            Argument::Agent => Some(owner()),
            _ => None,
        })
    }

    /// The owner of an object as the rules see it.
    pub fn owner(&self, owner: Option<i64>) -> Column {
        match self.owner {
            Some(_) => Column::Value(owner),
            None => Column::Absent,
        }
    }

    pub fn has_visibility(&self, object: KeyRef) -> bool {
        let keys = [
            ScanKey::oid(shared_visibility::OBJECT_TABLE, self.oid),
            match object {
                Key::Number(id) => ScanKey::bigint(shared_visibility::OBJECT_ID, id),
                Key::Uuid(_) | Key::Text(_) => {
                    ScanKey::text(shared_visibility::OBJECT_KEY, &object.to_string())
                }
            },
        ];
        let index = c"shared_visibility_key";
        Catalog::now()
            .find(c"shared_visibility", index, &keys, |_| ())
            .is_some()
    }

    /// The object that a row of shared_visibility is about.
    pub fn object_of(&self, row: &Row) -> Option<OwnedKey> {
        match self.id_type {
            KeyType::Number => row.get(shared_visibility::OBJECT_ID).map(Key::Number),
            KeyType::Uuid => {
                let key = row.get::<&str>(shared_visibility::OBJECT_KEY)?;
                canonical_uuid(key).map(Key::Uuid)
            }
            KeyType::Text => {
                let key = row.get::<&str>(shared_visibility::OBJECT_KEY)?;
                Some(Key::Text(key.into()))
            }
        }
    }
}
