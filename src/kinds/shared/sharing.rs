//! deskguard.share() and unshare().

use std::rc::Rc;

use pgrx::datum::DatumWithOid;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_identifier};

use crate::kinds::shared::visibility::{Audience, write_visibility};
use crate::pg::error::{self, refuse_read_only};
use crate::pg::relation::{display_name, table_name};
use crate::pg::run_as_owner::RunAsOwner;
use crate::pg::unique::is_unique;
use crate::rights::identity::current_agent;
use crate::rights::known_tables;
use crate::rights::owner_sql::{as_of_now, for_each_row};
use crate::tables::catalog::Catalog;
use crate::tables::columns::shared_table;
use crate::tables::key::{KeyRef, OwnedKey};
use crate::tables::key_functions::for_key_types;
use crate::tables::shared_table::SharedTable;

impl SharedTable {
    /// The table that a caller names.
    fn resolve(named: Option<pg_sys::Oid>) -> Rc<SharedTable> {
        let Some(oid) = named else {
            error::raise(
                PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
                "object_table must not be NULL",
                "Name the table of the object.",
            )
        };
        known_tables::held_shared_table(oid).unwrap_or_else(|| {
            let mut names = vec![];
            Catalog::now().scan(c"shared_table", None, &[], |row| {
                names.extend(table_name(row.required(shared_table::TABLE_ID)));
            });
            names.sort();
            error::raise(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("{} is not a table of shared objects", display_name(oid)),
                if names.is_empty() {
                    "Protect one: SELECT deskguard.protect_shared('your_table', ...).".into()
                } else {
                    format!("Tables of shared objects: {}.", names.join(", "))
                },
            )
        })
    }

    /// Is there an object with the id, also one of this command's making?
    pub fn has_object(&self, object: KeyRef) -> Result<bool, SpiError> {
        let _owner = RunAsOwner::of(self.oid);
        Ok(self.find_object(object, "")? > 0)
    }

    /// How many rows the current user finds with the id.
    fn find_object(&self, object: KeyRef, lock: &str) -> Result<usize, SpiError> {
        let query = format!(
            "SELECT FROM {} WHERE {} OPERATOR(pg_catalog.=) $1 {lock}",
            display_name(self.oid),
            quote_identifier(&self.id),
        );
        let Some(object) = self.id_type.takes(object) else {
            return Ok(0);
        };
        let (type_oid, value) = object.argument();
        // SAFETY: the value is of the type.
        let object = unsafe { DatumWithOid::new(value, type_oid) };
        Spi::connect_mut(|client| Ok(client.update(&query, None, &[object])?.len()))
    }

    /// Are these all the rows with the id, whoever may see them? With whom an object is shared is said by
    /// its id.
    fn has_no_more(&self, object: KeyRef, rows: usize) -> bool {
        if is_unique(self.oid, &self.id) {
            return true;
        }
        let query = format!(
            "SELECT 1 FROM {} WHERE {} OPERATOR(pg_catalog.=) $1",
            display_name(self.oid),
            quote_identifier(&self.id),
        );
        let Some(object) = self.id_type.takes(object) else {
            return false;
        };
        let mut all = 0;
        as_of_now(|| for_each_row(self.oid, &query, &[object], |_| all += 1));
        all == rows
    }
}

impl Audience {
    fn new(group: Option<i64>, agent: Option<i64>, everyone: Option<bool>) -> Audience {
        let audience = Audience {
            group,
            agent,
            everyone: everyone == Some(true),
        };
        let given = [
            audience.group.is_some(),
            audience.agent.is_some(),
            audience.everyone,
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            error::raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                "exactly one of group_id, agent_id and everyone must be given",
                "Call it once for each: deskguard.share('filters', 42, group_id => 100).",
            );
        }
        audience
    }
}

/// The object, if the current user may change it, locked; its privileges and policies decide. If its id
/// stands for several rows, all of them.
fn changeable(table: &SharedTable, object: Option<KeyRef>) -> Result<OwnedKey, SpiError> {
    let id = object.map(|id| id.for_column(table.id_type, table.oid, &table.id));
    if let Some(id) = &id {
        let found = table.find_object(id.borrowed(), "FOR UPDATE")?;
        if found > 0 && table.has_no_more(id.borrowed(), found) {
            return Ok(id.clone());
        }
    }
    error::raise(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!(
            "{} may not change an object {} of {}",
            current_agent().map_or("nobody".into(), |id| format!("agent {id}")),
            id.map_or("NULL".into(), |id| id.to_string()),
            display_name(table.oid),
        ),
        "Its owner may, and agents with the permission shared.manage.",
    )
}

/// A function, and what it does.
type Act = (&'static str, &'static str);

const SHARE: Act = (
    "deskguard.share",
    "INSERT INTO deskguard.shared_visibility
        (object_table, object_id, object_key, group_id, agent_id, everyone)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
);

const UNSHARE: Act = (
    "deskguard.unshare",
    "DELETE FROM deskguard.shared_visibility
    WHERE object_table::pg_catalog.oid OPERATOR(pg_catalog.=) $1
      AND (object_id OPERATOR(pg_catalog.=) $2 OR object_key OPERATOR(pg_catalog.=) $3)
      AND (group_id OPERATOR(pg_catalog.=) $4 OR agent_id OPERATOR(pg_catalog.=) $5
           OR everyone AND $6)",
);

fn change_visibility(
    (function, query): Act,
    table: Option<pg_sys::Oid>,
    object: Option<KeyRef>,
    audience: Audience,
) -> Result<(), SpiError> {
    refuse_read_only(function);
    let table = SharedTable::resolve(table);
    let object = changeable(&table, object)?;
    write_visibility(query, &table, object.borrowed(), &audience)
}

for_key_types!(
    |$name, $key, $act|
    [share, share_uuid, share_text] with SHARE,
    [unshare, unshare_uuid, unshare_text] with UNSHARE =>
    #[pg_extern(sql = false)]
    fn $name(
        object_table: Option<pg_sys::Oid>,
        object_id: Option<$key>,
        group_id: Option<i64>,
        agent_id: Option<i64>,
        everyone: Option<bool>,
    ) -> Result<(), SpiError> {
        let audience = Audience::new(group_id, agent_id, everyone);
        change_visibility($act, object_table, object_id.map(KeyRef::from), audience)
    }
);
