//! Reads objects that agents share.

use deskguard_rules::Column;
use pgrx::spi::quote_identifier;

use crate::pg::relation::display_name;
use crate::rights::own_query::Acting;
use crate::rights::owner_sql::{for_each_of_many, for_each_row};
use crate::rows::explanation::{About, Besides};
use crate::tables::key::OwnedKey;
use crate::tables::policy_sql::key_expression;
use crate::tables::principal::Principal;
use crate::tables::shared_table::SharedTable;

impl About {
    /// The owners of the objects with an id: of one, where that is unique.
    pub fn owners(&self, table: &SharedTable, id: &OwnedKey) -> Vec<Column> {
        let owner = match &table.owner {
            Some(owner) => key_expression(table.oid, owner),
            None => "NULL::pg_catalog.int8".into(),
        };
        let query = format!("SELECT {owner} {}", rows_of(table));
        let mut owners = vec![];
        if let Some(id) = table.id_type.takes(id.borrowed()) {
            for_each_row(table.oid, &query, &[id], |row| {
                let owner = row.key(1).map(|key| self.keys.id(Principal::Agent, key));
                owners.push(table.owner(owner));
            });
        }
        owners
    }

    /// Does who asks see the object? What it does not see is like what is not there.
    pub fn shows_object(&self, besides: &mut Besides, table: &SharedTable, id: &OwnedKey) -> bool {
        if self.is_told_all {
            return true;
        }
        besides.forget_read_policies(table.oid);
        let (Some(rights), Some(id)) = (self.rights(), table.id_type.takes(id.borrowed())) else {
            return false;
        };
        let mut is_seen = false;
        let query = format!("SELECT 1 {}", rows_of(table));
        let acting = Acting::Caller(rights);
        for_each_of_many(table.oid, &query, &[id], &acting, |_| is_seen = true);
        is_seen
    }
}

fn rows_of(table: &SharedTable) -> String {
    format!(
        "FROM {} WHERE {} OPERATOR(pg_catalog.=) $1",
        display_name(table.oid),
        quote_identifier(&table.id)
    )
}
