//! The types of the keys of a help desk. What is measured has the same content with each.

use md5::{Digest, Md5};
use postgres::types::ToSql;
use uuid::Uuid;

/// How tickets, messages, departments, categories, agents and teams are told apart in a help desk's tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keys {
    /// deskguard's own ids, and the numbers of tickets and messages.
    Integer,
    /// Digests of the same numbers: in no order that helps.
    Uuid,
}

impl Keys {
    /// The schema that has the same content as this one, with these keys.
    pub fn schema(self, name: &str) -> String {
        match self {
            Keys::Integer => name.into(),
            Keys::Uuid => format!("{name}_uuid"),
        }
    }

    /// The type of a column that would have this type with integers.
    pub fn column_type(self, integer: &str) -> &str {
        match self {
            Keys::Integer => integer,
            Keys::Uuid => "uuid",
        }
    }

    /// The key of something that has a number.
    pub fn of(self, kind: &str, number: impl Into<i64>) -> String {
        let number = number.into();
        match self {
            Keys::Integer => number.to_string(),
            Keys::Uuid => {
                let digest = Md5::digest(format!("{kind} {number}"));
                Uuid::from_bytes(digest.into()).to_string()
            }
        }
    }

    /// SQL for the key of something that has a number; `number` is SQL, too.
    pub fn sql(self, kind: &str, number: &str) -> String {
        match self {
            Keys::Integer => number.into(),
            Keys::Uuid => format!("md5('{kind} ' || {number})::uuid"),
        }
    }

    /// A key in SQL, where a column says what type it has.
    pub fn quoted(self, key: &str) -> String {
        match self {
            Keys::Integer => key.into(),
            Keys::Uuid => format!("'{key}'"),
        }
    }

    /// A key in SQL, where nothing else says what type it has.
    pub fn typed(self, key: &str) -> String {
        match self {
            Keys::Integer => key.into(),
            Keys::Uuid => format!("'{key}'::uuid"),
        }
    }

    /// A key for a statement that is prepared.
    pub fn parameter(self, key: &str) -> Box<dyn ToSql + Sync> {
        match self {
            Keys::Integer => Box::new(key.parse::<i64>().expect("the key is a number")),
            Keys::Uuid => Box::new(key.parse::<Uuid>().expect("the key is a uuid")),
        }
    }
}
