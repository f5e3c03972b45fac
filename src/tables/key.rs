//! What the help desk's own tables call their rows: numbers, uuids or texts.

use std::collections::HashSet;
use std::fmt::{self, Display};
use std::hash::Hash;

use deskguard_rules::IdSet;
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use crate::pg::datum::{text_datum, uuid_datum};
use crate::pg::error;
use crate::pg::relation::{attribute, display_name};

/// What a column of keys holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// smallint, integer or bigint
    Number,
    Uuid,
    /// text or varchar
    Text,
}

impl KeyType {
    pub fn of_type(type_oid: pg_sys::Oid) -> Option<KeyType> {
        match type_oid {
            pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => Some(KeyType::Number),
            pg_sys::UUIDOID => Some(KeyType::Uuid),
            pg_sys::TEXTOID | pg_sys::VARCHAROID => Some(KeyType::Text),
            _ => None,
        }
    }

    /// None if there is no such column, or it holds no keys.
    pub fn of_column(table: pg_sys::Oid, column: &str) -> Option<KeyType> {
        let number = attribute(table, column)?;
        // SAFETY: a look-up in the system cache.
        KeyType::of_type(unsafe { pg_sys::get_atttype(table, number) })
    }

    /// For messages.
    pub fn plural(self) -> &'static str {
        match self {
            KeyType::Number => "integers",
            KeyType::Uuid => "uuids",
            KeyType::Text => "texts",
        }
    }
}

/// The key of a row: borrowed, as it comes from PostgreSQL, or owned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key<T> {
    Number(i64),
    Uuid(Uuid),
    Text(T),
}

pub type KeyRef<'a> = Key<&'a str>;
pub type OwnedKey = Key<Box<str>>;

/// A key of the kind that a column holds. SQL compares a column with such a key only.
#[derive(Clone, Copy)]
pub struct ColumnKey<'a>(KeyRef<'a>);

impl KeyType {
    /// None for a key of another kind, which no value of the column equals.
    pub fn takes(self, key: KeyRef<'_>) -> Option<ColumnKey<'_>> {
        (key.key_type() == self).then_some(ColumnKey(key))
    }
}

impl ColumnKey<'_> {
    /// As an argument of a query, with its type.
    pub fn argument(self) -> (pg_sys::Oid, pg_sys::Datum) {
        match self.0 {
            Key::Number(number) => (pg_sys::INT8OID, number.into()),
            Key::Uuid(uuid) => (pg_sys::UUIDOID, uuid_datum(uuid)),
            Key::Text(text) => (pg_sys::TEXTOID, text_datum(text)),
        }
    }
}

impl<'a> KeyRef<'a> {
    /// A value of a type that keys have.
    ///
    /// # Safety
    /// The datum is of the type, and lives as long as the key.
    pub unsafe fn from_datum(datum: pg_sys::Datum, type_oid: pg_sys::Oid) -> Option<KeyRef<'a>> {
        Some(match type_oid {
            pg_sys::INT2OID => Key::Number((datum.value() as i16).into()),
            pg_sys::INT4OID => Key::Number((datum.value() as i32).into()),
            pg_sys::INT8OID => Key::Number(datum.value() as i64),
            // SAFETY: as the caller promises.
            pg_sys::UUIDOID => Key::Uuid(Uuid::from_bytes(unsafe { *datum.cast_mut_ptr() })),
            pg_sys::TEXTOID | pg_sys::VARCHAROID => {
                // SAFETY: as the caller promises.
                Key::Text(unsafe { <&str>::from_datum(datum, false) }?)
            }
            _ => return None,
        })
    }

    pub fn to_owned(self) -> OwnedKey {
        match self {
            Key::Number(number) => Key::Number(number),
            Key::Uuid(uuid) => Key::Uuid(uuid),
            Key::Text(text) => Key::Text(text.into()),
        }
    }

    pub fn key_type(self) -> KeyType {
        match self {
            Key::Number(_) => KeyType::Number,
            Key::Uuid(_) => KeyType::Uuid,
            Key::Text(_) => KeyType::Text,
        }
    }

    /// As a key of this column of a table. Raises an error if it cannot be read as one.
    pub fn for_column(self, to: KeyType, table: pg_sys::Oid, column: &str) -> OwnedKey {
        self.converted(to).unwrap_or_else(|| {
            let table = display_name(table);
            let (code, message) = match self {
                Key::Text(text) => (
                    PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
                    format!("\"{text}\" is no id of {table}"),
                ),
                Key::Number(_) | Key::Uuid(_) => (
                    PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
                    format!("{self} is no id of {table}"),
                ),
            };
            let hint = format!("Its column \"{column}\" holds {}.", to.plural());
            error::raise(code, message, hint)
        })
    }

    /// As a key of a column of this type; none if it cannot be read as one.
    pub fn converted(self, to: KeyType) -> Option<OwnedKey> {
        Some(match (to, self) {
            (KeyType::Number, Key::Number(_)) | (KeyType::Uuid, Key::Uuid(_)) => self.to_owned(),
            (KeyType::Number, Key::Text(text)) => Key::Number(text.trim().parse().ok()?),
            (KeyType::Uuid, Key::Text(text)) => Key::Uuid(Uuid::try_parse(text.trim()).ok()?),
            (KeyType::Text, key) => Key::Text(key.to_string().into()),
            (KeyType::Number, Key::Uuid(_)) | (KeyType::Uuid, Key::Number(_)) => return None,
        })
    }
}

impl OwnedKey {
    pub fn borrowed(&self) -> KeyRef<'_> {
        match self {
            Key::Number(number) => Key::Number(*number),
            Key::Uuid(uuid) => Key::Uuid(*uuid),
            Key::Text(text) => Key::Text(text),
        }
    }
}

impl<T: Display> Display for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Key::Number(number) => number.fmt(f),
            Key::Uuid(uuid) => uuid.fmt(f),
            Key::Text(text) => text.fmt(f),
        }
    }
}

impl From<i16> for KeyRef<'_> {
    fn from(number: i16) -> Self {
        Key::Number(number.into())
    }
}

impl From<i32> for KeyRef<'_> {
    fn from(number: i32) -> Self {
        Key::Number(number.into())
    }
}

impl From<i64> for KeyRef<'_> {
    fn from(number: i64) -> Self {
        Key::Number(number)
    }
}

impl From<pgrx::Uuid> for KeyRef<'_> {
    fn from(uuid: pgrx::Uuid) -> Self {
        Key::Uuid(Uuid::from_bytes(*uuid.as_bytes()))
    }
}

impl<'a> From<&'a str> for KeyRef<'a> {
    fn from(text: &'a str) -> Self {
        Key::Text(text)
    }
}

/// A uuid as PostgreSQL prints it; none for a text that is no uuid or is written in another way.
pub fn canonical_uuid(text: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(text).ok()?;
    let mut printed = [0; Hyphenated::LENGTH];
    (*uuid.hyphenated().encode_lower(&mut printed) == *text).then_some(uuid)
}

/// Keys of one column. Whether one is among them is told in constant time.
#[derive(Debug, Serialize, Deserialize)]
pub enum KeySet {
    Numbers(IdSet),
    Uuids(HashSet<Uuid>),
    Texts(HashSet<Box<str>>),
}

impl KeySet {
    pub const EMPTY: KeySet = KeySet::Numbers(IdSet::empty());

    pub fn contains(&self, key: KeyRef) -> bool {
        match (self, key) {
            (KeySet::Numbers(all), Key::Number(number)) => all.contains(number),
            (KeySet::Uuids(all), Key::Uuid(uuid)) => all.contains(&uuid),
            (KeySet::Texts(all), Key::Text(text)) => all.contains(text),
            _ => false,
        }
    }

    pub fn len(&self) -> usize {
        match self {
            KeySet::Numbers(all) => all.len(),
            KeySet::Uuids(all) => all.len(),
            KeySet::Texts(all) => all.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn sorted(&self) -> Vec<KeyRef<'_>> {
        let mut keys: Vec<KeyRef> = match self {
            KeySet::Numbers(all) => all.sorted().iter().map(|id| Key::Number(*id)).collect(),
            KeySet::Uuids(all) => all.iter().map(|uuid| Key::Uuid(*uuid)).collect(),
            KeySet::Texts(all) => all.iter().map(|text| Key::Text(&**text)).collect(),
        };
        keys.sort_unstable();
        keys
    }

    /// The memory that it takes besides itself, in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            KeySet::Numbers(all) => all.bytes(),
            KeySet::Uuids(all) => table_bytes::<Uuid>(all.capacity()),
            KeySet::Texts(all) => {
                table_bytes::<Box<str>>(all.capacity())
                    + all.iter().map(|text| text.len()).sum::<usize>()
            }
        }
    }
}

/// The memory of a hash table: a power of two of places, each with a byte of its own, of which up to 7
/// of 8 are used.
pub fn table_bytes<T>(capacity: usize) -> usize {
    (capacity * 8 / 7).next_power_of_two() * (size_of::<T>() + 1)
}

impl FromIterator<OwnedKey> for KeySet {
    /// All of one type, as a column has them.
    fn from_iter<I: IntoIterator<Item = OwnedKey>>(keys: I) -> KeySet {
        let (mut numbers, mut uuids, mut texts) = (vec![], HashSet::new(), HashSet::new());
        for key in keys {
            match key {
                Key::Number(number) => numbers.push(number),
                Key::Uuid(uuid) => {
                    uuids.insert(uuid);
                }
                Key::Text(text) => {
                    texts.insert(text);
                }
            }
        }
        if !uuids.is_empty() {
            KeySet::Uuids(uuids)
        } else if !texts.is_empty() {
            KeySet::Texts(texts)
        } else {
            KeySet::Numbers(numbers.into_iter().collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "3b1f8a52-9a0b-4b0e-9f0c-0a4a4b3b7c1d";
    const UUID: Uuid = Uuid::from_u128(0x3b1f8a52_9a0b_4b0e_9f0c_0a4a4b3b7c1d);

    #[test]
    fn a_uuid_is_canonical_as_postgresql_prints_it_only() {
        assert_eq!(canonical_uuid(TEXT), Some(UUID));
        for other in [
            &*TEXT.to_uppercase(),
            &TEXT.replace('-', ""),
            &format!("{{{TEXT}}}"),
            &format!("urn:uuid:{TEXT}"),
            &format!(" {TEXT}"),
            "",
            "DE-1",
        ] {
            assert_eq!(canonical_uuid(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_key_is_read_as_what_its_column_holds_or_not_at_all() {
        let read = |key: KeyRef, to| key.converted(to);
        assert_eq!(
            read(Key::Text(" -7 "), KeyType::Number),
            Some(Key::Number(-7))
        );
        assert_eq!(
            read(Key::Text(&TEXT.to_uppercase()), KeyType::Uuid),
            Some(Key::Uuid(UUID))
        );
        assert_eq!(
            read(Key::Number(7), KeyType::Text),
            Some(Key::Text("7".into()))
        );
        assert_eq!(
            read(Key::Uuid(UUID), KeyType::Text),
            Some(Key::Text(TEXT.into()))
        );
        for (key, to) in [
            (Key::Text("9223372036854775808"), KeyType::Number),
            (Key::Text(""), KeyType::Number),
            (Key::Text("7"), KeyType::Uuid),
            (Key::Number(7), KeyType::Uuid),
            (Key::Uuid(UUID), KeyType::Number),
        ] {
            assert_eq!(read(key, to), None, "{key:?} {to:?}");
        }
    }

    #[test]
    fn a_set_has_the_keys_of_its_kind_that_are_in_it() {
        let other = Uuid::from_u128(1);
        for (keys, absent) in [
            ([Key::Number(7), Key::Number(-7)], Key::Number(8)),
            (
                [Key::Uuid(UUID), Key::Uuid(other)],
                Key::Uuid(Uuid::from_u128(2)),
            ),
            ([Key::Text("7"), Key::Text("")], Key::Text("-7")),
        ] {
            // Twice the first.
            let all = [keys[0], keys[1], keys[0]];
            let set: KeySet = all.into_iter().map(KeyRef::to_owned).collect();
            assert_eq!(set.len(), 2, "{set:?}");
            assert!(keys.iter().all(|key| set.contains(*key)), "{set:?}");
            assert!(!set.contains(absent), "{set:?}");
            assert_eq!(set.sorted(), [keys[1], keys[0]]);
            // What reads the same is another key.
            for stranger in [Key::Number(7), Key::Text("7"), Key::Text(TEXT)] {
                assert_eq!(set.contains(stranger), keys.contains(&stranger), "{set:?}");
            }
        }
        let none: KeySet = [].into_iter().collect();
        assert!(none.is_empty() && KeySet::EMPTY.is_empty() && !none.contains(Key::Number(0)));
    }
}
