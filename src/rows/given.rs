//! What a question gives of a row: values by the names of columns, as a JSON object.

use std::collections::HashMap;

use deskguard_rules::{TicketColumn, Unmapped};
use pgrx::prelude::*;
use serde_json::value::RawValue;

use crate::pg::error;
use crate::pg::relation::{attribute, display_name};
use crate::rights::external_keys::ExternalKeys;
use crate::rows::tickets::{TicketValues, unmapped};
use crate::tables::key::{Key, KeyType, OwnedKey};
use crate::tables::principal::{Principal, UNMAPPED};
use crate::tables::ticket_table::TicketTable;
use crate::tables::tuple::default_value;

pub struct Given {
    table: pg_sys::Oid,
    values: HashMap<String, Box<RawValue>>,
    /// Of a row that an INSERT writes, which has defaults in the other columns.
    is_new: bool,
}

/// A value as JSON has it.
enum Value {
    Null,
    Boolean(bool),
    Text(String),
    /// As it is written.
    Number(String),
    Other,
}

impl Value {
    fn of(raw: &RawValue) -> Value {
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'n') => Value::Null,
            Some(b't' | b'f') => Value::Boolean(text == "true"),
            Some(b'"') => serde_json::from_str(text).map_or(Value::Other, Value::Text),
            Some(b'-' | b'0'..=b'9') => Value::Number(text.into()),
            _ => Value::Other,
        }
    }
}

impl Given {
    /// `row`: a jsonb as text. Raises an error for what is no object, and for what is no column.
    pub fn of(table: pg_sys::Oid, row: Option<&str>, argument: &str, is_new: bool) -> Given {
        let values: HashMap<String, Box<RawValue>> = match row.map(serde_json::from_str) {
            None => HashMap::new(),
            Some(Ok(values)) => values,
            Some(Err(_)) => error::raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("{argument} is no JSON object"),
                "Give values by the names of columns, for example {\"id\": 42}.",
            ),
        };
        let is_column = |name: &&String| attribute(table, name).is_some_and(|number| number > 0);
        let mut names: Vec<&String> = values.keys().filter(|name| !is_column(name)).collect();
        names.sort();
        if let Some(name) = names.first() {
            error::raise(
                PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
                format!("{} has no column \"{name}\"", display_name(table)),
                format!("The keys of {argument} are names of columns of that table."),
            );
        }
        Given {
            table,
            values,
            is_new,
        }
    }

    pub fn has(&self, column: &str) -> bool {
        self.values.contains_key(column)
    }

    /// What a column of keys has in the row; None if that is not given.
    pub fn key(&self, column: &str) -> Option<Option<OwnedKey>> {
        let Some(value) = self.value(column) else {
            return self.is_new.then(|| default_value(self.table, column));
        };
        let key = match &value {
            Value::Null => return Some(None),
            Value::Text(text) => Some(Key::Text(text.as_str())),
            Value::Number(number) => number.parse().ok().map(Key::Number),
            Value::Boolean(_) | Value::Other => None,
        };
        let key_type = KeyType::of_column(self.table, column);
        let key = key.zip(key_type).and_then(|(key, to)| key.converted(to));
        if key.is_none() {
            self.refuse(column, key_type.map_or("keys", KeyType::plural));
        }
        Some(key)
    }

    /// What any other column has, as text.
    pub fn text(&self, column: &str) -> Option<Option<String>> {
        let Some(value) = self.value(column) else {
            let text = |key: OwnedKey| key.to_string();
            return self
                .is_new
                .then(|| default_value(self.table, column).map(text));
        };
        Some(match value {
            Value::Null => None,
            Value::Text(text) | Value::Number(text) => Some(text),
            Value::Boolean(is_true) => Some(is_true.to_string()),
            Value::Other => self.refuse(column, "texts"),
        })
    }

    pub fn boolean(&self, column: &str) -> Option<Option<bool>> {
        let Some(value) = self.value(column) else {
            let is_true = |key: OwnedKey| key != Key::Number(0);
            return self
                .is_new
                .then(|| default_value(self.table, column).map(is_true));
        };
        Some(match value {
            Value::Null => None,
            Value::Boolean(is_true) => Some(is_true),
            _ => self.refuse(column, "booleans"),
        })
    }

    fn value(&self, column: &str) -> Option<Value> {
        Some(Value::of(self.values.get(column)?))
    }

    fn refuse(&self, column: &str, holds: &str) -> ! {
        let value = self.values.get(column).map_or("NULL", |raw| raw.get());
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
            format!(
                "{value} is no value of the column \"{column}\" of {}",
                display_name(self.table)
            ),
            format!("The column holds {holds}."),
        )
    }

    /// What a column of keys names in the row.
    pub fn id(
        &self,
        principal: Principal,
        column: &str,
        keys: &ExternalKeys,
    ) -> Option<Option<i64>> {
        let key = self.key(column)?;
        Some(key.map(|key| keys.id(principal, key.borrowed())))
    }
}

impl TicketTable {
    /// What becomes of a ticket with these values that is given others; of no values, what is created.
    pub fn with_given(
        &self,
        mut values: TicketValues,
        given: &Given,
        keys: &ExternalKeys,
    ) -> TicketValues {
        let id = |of: TicketColumn| given.id(Principal::of_column(of)?, self.column(of)?, keys);
        let set = |value: &mut Option<i64>, of| {
            if let Some(given) = id(of) {
                *value = given;
            }
        };
        set(&mut values.department, TicketColumn::Department);
        set(&mut values.category, TicketColumn::Category);
        set(&mut values.assignee, TicketColumn::Assignee);
        set(&mut values.team, TicketColumn::Team);
        set(&mut values.requester, TicketColumn::Requester);
        set(&mut values.requester_team, TicketColumn::RequesterTeam);
        let confidential = self.column(TicketColumn::Confidential);
        if let Some(given) = confidential.and_then(|column| given.boolean(column)) {
            values.confidential = given.unwrap_or(TicketValues::UNKNOWN.confidential);
        }
        let status = self.column(TicketColumn::Status);
        if let Some(given) = status.and_then(|column| given.text(column)) {
            values.status = self.statuses.of(given.as_deref());
        }
        values
    }

    /// What of these values has no external key that says what it is.
    pub fn unmapped_given(&self, given: &Given, keys: &ExternalKeys) -> Vec<Unmapped> {
        let missing = |(column, principal)| {
            let column = self.column(column)?;
            let key = given.key(column)??;
            let is_missing = keys.id(principal, key.borrowed()) == UNMAPPED;
            is_missing.then(|| unmapped(principal, column, Some(key.to_string()), None))
        };
        Principal::columns().filter_map(missing).collect()
    }
}
