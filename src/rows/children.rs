//! Reads the rows of tables that belong to others, and tells which rows of a parent an agent may do something with.

use std::collections::HashMap;
use std::rc::Rc;

use deskguard_rules::{Action, Message};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

use crate::pg::relation::display_name;
use crate::rights::cache::Agent;
use crate::rights::external_keys::ExternalKeys;
use crate::rights::own_query::Acting;
use crate::rights::owner_sql::{for_each_of_many, for_each_row};
use crate::tables::child_table::{ChildTable, Parent};
use crate::tables::key::{Key, KeyRef, KeySet, KeyType, OwnedKey};
use crate::tables::policy_sql::key_expression;
use crate::tables::principal::Principal;
use crate::tables::row_type::RowType;
use crate::tables::rule_function::RuleFunction;

/// A row of a table whose rows belong to others.
pub struct ChildRow {
    /// The row of the parent that it belongs to, if to one.
    pub parent: Option<OwnedKey>,
    pub message: Message,
    /// Of a type that deskguard leaves alone; it belongs to none.
    pub is_other: bool,
}

impl ChildTable {
    /// What is asked of the rows with which, as with their ticket, the agent that is asked for may do this; none
    /// if nobody asks that of messages.
    fn condition(&self, action: Action) -> Option<String> {
        let of_parent = self.call(RuleFunction::of_parent(action)?, self.oid);
        let internal = self.internal_call(RuleFunction::of_internal(action), self.oid);
        Some(match internal {
            Some(internal) => format!("{of_parent} AND {internal}"),
            None => of_parent,
        })
    }

    /// The rows with this id: one, where the id is unique; none if there is no such row.
    pub fn find_rows(&self, id: KeyRef, keys: &ExternalKeys) -> Vec<ChildRow> {
        let Some(key) = self.id.as_deref() else {
            return vec![];
        };
        let Some(id) = self.id_type.and_then(|id_type| id_type.takes(id)) else {
            return vec![];
        };
        let query = self.find_query.get_or_init(|| {
            let is_other = match &self.row_type {
                Some(of) => format!("({}) IS NOT TRUE", of.condition(self.oid)),
                None => "false".into(),
            };
            let mut columns = vec![
                key_expression(self.oid, &self.column),
                format!("({is_other})::pg_catalog.int4::pg_catalog.int8"),
            ];
            if let Some(internal) = &self.internal {
                let internal = quote_identifier(internal);
                columns.push(format!("{internal}::pg_catalog.int4::pg_catalog.int8"));
                let author = self.author.as_ref();
                columns.extend(author.map(|author| key_expression(self.oid, author)));
            }
            format!(
                "SELECT {} FROM {} WHERE {} OPERATOR(pg_catalog.=) $1",
                columns.join(", "),
                self.name(),
                quote_identifier(key)
            )
        });
        let mut found = vec![];
        for_each_row(self.oid, query, &[id], |row| {
            // The others are read of messages that may be internal only.
            let read = |column, is_there: bool| is_there.then(|| row.key(column))?;
            let has_internal = self.internal.is_some();
            let internal = match read(3, has_internal) {
                Some(Key::Number(number)) => Some(number != 0),
                _ => None,
            };
            let author = read(4, has_internal && self.author.is_some());
            let author = author.map(|key| keys.id(Principal::Agent, key));
            let is_other = row.number(2) != Some(0);
            let parent = row.key(1).filter(|_| !is_other);
            found.push(ChildRow {
                parent: parent.map(KeyRef::to_owned),
                message: self.message(internal, author),
                is_other,
            });
        });
        found
    }

    /// Is there a row that belongs to this row of the parent?
    pub fn has_row_of(&self, parent: KeyRef) -> bool {
        exists(self.oid, &self.column, parent, self.row_type.as_ref())
    }
}

/// Has the table a row with this key in a column, of these types?
fn exists(table: pg_sys::Oid, column: &str, key: KeyRef, row_type: Option<&RowType>) -> bool {
    let Some(key) = KeyType::of_column(table, column).and_then(|of| of.takes(key)) else {
        return false;
    };
    let of_type = row_type.map(|of| format!(" AND {}", of.condition(table)));
    let query = format!(
        "SELECT 1 FROM {} WHERE {} OPERATOR(pg_catalog.=) $1{} LIMIT 1",
        display_name(table),
        quote_identifier(column),
        of_type.unwrap_or_default()
    );
    let mut found = false;
    for_each_row(table, &query, &[key], |_| found = true);
    found
}

impl Parent {
    /// The ids with whose ticket an agent may do this: all rows with the id, if there are several.
    pub fn allowed_to(&self, action: Action, acting: &Acting) -> KeySet {
        let (Some(rows), Some(id)) = (self.rows(action, acting), self.id()) else {
            return KeySet::EMPTY;
        };
        let key = key_expression(self.oid(), id);
        let mut ids = vec![];
        if self.has_unique_ids() {
            let query = format!("SELECT {key} {rows}");
            for_each_of_many(self.oid(), &query, &[], acting, |row| {
                ids.extend(row.key(1).map(KeyRef::to_owned));
            });
        } else {
            let several = self.several_rows(&key);
            let query = format!("SELECT {key}, pg_catalog.count(*) {rows} GROUP BY 1");
            for_each_of_many(self.oid(), &query, &[], acting, |row| {
                let id = row.key(1).map(KeyRef::to_owned);
                let is_all = |id: &OwnedKey| row.number(2) == Some(*several.get(id).unwrap_or(&1));
                ids.extend(id.filter(is_all));
            });
        }
        ids.into_iter().collect()
    }

    /// The rows with whose ticket an agent may do this, as FROM and WHERE of a query. None if nothing
    /// refers to them, or nobody asks that of them.
    pub fn rows(&self, action: Action, acting: &Acting) -> Option<String> {
        let id = quote_identifier(self.id()?);
        let mut conditions = vec![format!("{id} IS NOT NULL")];
        // Also where policies let others pass: they have no ticket.
        if let Parent::Messages(messages) = self {
            let of_type = messages.row_type.iter();
            conditions.extend(of_type.map(|of| of.condition(messages.oid)));
        }
        // Under the policies sight is asked by them.
        if !matches!((acting, action), (Acting::Caller(_), Action::View)) {
            conditions.push(match self {
                Parent::Tickets(tickets) => tickets.condition(action),
                Parent::Messages(messages) => messages.condition(action)?,
            });
        }
        let name = display_name(self.oid());
        Some(format!("FROM {name} WHERE {}", conditions.join(" AND ")))
    }

    /// May the agent do this with the ticket of all rows with this id, under all policies of the table?
    pub fn allows(&self, access: &Rc<Agent>, action: Action, key: KeyRef) -> bool {
        let acting = Acting::Caller(access.clone());
        let rows = self.rows(action, &acting);
        rows.is_some_and(|rows| self.are_all_in(&rows, &acting, key))
    }

    /// Do all policies of the table show the agent all rows with this id, whatever they belong to?
    pub fn shows(&self, access: &Rc<Agent>, key: KeyRef) -> bool {
        let rows = format!("FROM {} WHERE true", display_name(self.oid()));
        self.are_all_in(&rows, &Acting::Caller(access.clone()), key)
    }

    /// Are there rows with this id, and are all of them in a FROM and WHERE?
    fn are_all_in(&self, rows: &str, acting: &Acting, key: KeyRef) -> bool {
        let Some(id) = self.id() else {
            return false;
        };
        let Some(key) = KeyType::of_column(self.oid(), id).and_then(|of| of.takes(key)) else {
            return false;
        };
        let is_it = format!("{} OPERATOR(pg_catalog.=) $1", quote_identifier(id));
        let (mut allowed, mut all) = (0, 0);
        let query = format!("SELECT 1 {rows} AND {is_it}");
        for_each_of_many(self.oid(), &query, &[key], acting, |_| allowed += 1);
        if allowed > 0 && !self.has_unique_ids() {
            let query = format!("SELECT 1 FROM {} WHERE {is_it}", display_name(self.oid()));
            for_each_row(self.oid(), &query, &[key], |_| all += 1);
        } else {
            all = allowed;
        }
        allowed > 0 && allowed == all
    }

    /// The ids that stand for several rows, and for how many.
    fn several_rows(&self, key: &str) -> HashMap<OwnedKey, i64> {
        let query = format!(
            "SELECT {key}, pg_catalog.count(*) FROM {} GROUP BY 1
             HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1",
            display_name(self.oid())
        );
        let mut found = HashMap::new();
        for_each_of_many(self.oid(), &query, &[], &Acting::Owner(None), |row| {
            found.extend(row.key(1).map(KeyRef::to_owned).zip(row.number(2)));
        });
        found
    }

    /// Is there a row with this id?
    pub fn has_row(&self, key: KeyRef) -> bool {
        self.id()
            .is_some_and(|id| exists(self.oid(), id, key, None))
    }
}
