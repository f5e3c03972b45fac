//! Keys as constants of plans. A constant is made here only, and only where the kind of the key is that of
//! the SQL type: a key of another kind equals no value of the type.

use std::ffi::{c_char, c_int};

use pgrx::pg_sys;

use crate::pg::datum::{text_datum, uuid_datum};
use crate::pg::node::Node;
use crate::tables::key::{Key, KeyRef, KeyType};

/// A type of columns of keys, in plans: varchar stands there as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    Int2,
    Int4,
    Int8,
    Uuid,
    Text,
}

/// The families of operators that the indexes on columns of keys have.
pub const INTEGER_BTREE: u32 = 1976;
pub const UUID_BTREE: u32 = 2968;
pub const TEXT_BTREE: u32 = 1994;

impl ColumnType {
    pub fn of(node: Node) -> Option<ColumnType> {
        match node.type_oid() {
            pg_sys::INT2OID => Some(ColumnType::Int2),
            pg_sys::INT4OID => Some(ColumnType::Int4),
            pg_sys::INT8OID => Some(ColumnType::Int8),
            pg_sys::UUIDOID => Some(ColumnType::Uuid),
            pg_sys::TEXTOID => Some(ColumnType::Text),
            _ => None,
        }
    }

    /// What its values are as keys.
    pub fn key_type(self) -> KeyType {
        match self {
            ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 => KeyType::Number,
            ColumnType::Uuid => KeyType::Uuid,
            ColumnType::Text => KeyType::Text,
        }
    }

    pub fn oid(self) -> pg_sys::Oid {
        match self {
            ColumnType::Int2 => pg_sys::INT2OID,
            ColumnType::Int4 => pg_sys::INT4OID,
            ColumnType::Int8 => pg_sys::INT8OID,
            ColumnType::Uuid => pg_sys::UUIDOID,
            ColumnType::Text => pg_sys::TEXTOID,
        }
    }

    fn array(self) -> pg_sys::Oid {
        match self {
            ColumnType::Int2 => pg_sys::INT2ARRAYOID,
            ColumnType::Int4 => pg_sys::INT4ARRAYOID,
            ColumnType::Int8 => pg_sys::INT8ARRAYOID,
            ColumnType::Uuid => pg_sys::UUIDARRAYOID,
            ColumnType::Text => pg_sys::TEXTARRAYOID,
        }
    }

    /// The operators "=" and "<>".
    pub fn operator(self, negated: bool) -> pg_sys::Oid {
        let (equal, not_equal) = match self {
            ColumnType::Int2 => (94, 519),
            ColumnType::Int4 => (96, 518),
            ColumnType::Int8 => (410, 411),
            ColumnType::Uuid => (2972, 2973),
            ColumnType::Text => (98, 531),
        };
        pg_sys::Oid::from(if negated { not_equal } else { equal })
    }

    /// The family of its indexes; the operator by which they compare it with the values of a long list, which
    /// are bigint for all integers; the type of the list; and what the names of the functions end with that
    /// give such lists.
    pub fn long_list(self) -> (u32, pg_sys::Oid, pg_sys::Oid, &'static str) {
        let numbers = |operator: u32| (INTEGER_BTREE, operator.into(), pg_sys::INT8ARRAYOID, "");
        match self {
            ColumnType::Int2 => numbers(1862),
            ColumnType::Int4 => numbers(15),
            ColumnType::Int8 => numbers(410),
            ColumnType::Uuid => (UUID_BTREE, self.operator(false), self.array(), "_uuid"),
            ColumnType::Text => (TEXT_BTREE, self.operator(false), self.array(), "_text"),
        }
    }

    fn length(self) -> i16 {
        match self {
            ColumnType::Int2 => 2,
            ColumnType::Int4 => 4,
            ColumnType::Int8 => 8,
            ColumnType::Uuid => 16,
            ColumnType::Text => -1,
        }
    }

    fn is_by_value(self) -> bool {
        match self {
            ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 => true,
            ColumnType::Uuid | ColumnType::Text => false,
        }
    }

    fn alignment(self) -> u8 {
        match self {
            ColumnType::Int2 => pg_sys::TYPALIGN_SHORT,
            ColumnType::Int4 | ColumnType::Text => pg_sys::TYPALIGN_INT,
            ColumnType::Int8 => pg_sys::TYPALIGN_DOUBLE,
            ColumnType::Uuid => pg_sys::TYPALIGN_CHAR,
        }
    }

    /// Of literals, as they are written without one.
    fn collation(self) -> pg_sys::Oid {
        match self {
            ColumnType::Text => pg_sys::DEFAULT_COLLATION_OID,
            ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 | ColumnType::Uuid => {
                pg_sys::InvalidOid
            }
        }
    }
}

/// A key as a value of a type. None if no value of the type equals it: it is of another kind, or too large a number.
fn value(of: ColumnType, key: KeyRef) -> Option<pg_sys::Datum> {
    Some(match (of, key) {
        (ColumnType::Int2, Key::Number(number)) => i16::try_from(number).ok()?.into(),
        (ColumnType::Int4, Key::Number(number)) => i32::try_from(number).ok()?.into(),
        (ColumnType::Int8, Key::Number(number)) => number.into(),
        (ColumnType::Uuid, Key::Uuid(uuid)) => uuid_datum(uuid),
        (ColumnType::Text, Key::Text(text)) => text_datum(text),
        (ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8, Key::Uuid(_) | Key::Text(_))
        | (ColumnType::Uuid, Key::Number(_) | Key::Text(_))
        | (ColumnType::Text, Key::Number(_) | Key::Uuid(_)) => return None,
    })
}

/// Keys as constants.
pub enum Literals<'p> {
    None,
    One(Node<'p>),
    /// An array of them.
    Several(Node<'p>),
}

impl<'p> Literals<'p> {
    /// Those of the keys that a value of the type can equal. They live as long as the column beside them.
    pub fn new<'a>(
        _column: Node<'p>,
        of: ColumnType,
        keys: impl IntoIterator<Item = KeyRef<'a>>,
    ) -> Literals<'p> {
        let mut values: Vec<_> = keys.into_iter().filter_map(|key| value(of, key)).collect();
        // SAFETY: the values are of the type, and were made here and now.
        unsafe {
            match values.as_mut_slice() {
                [] => Literals::None,
                [one] => Literals::One(Node::made(pg_sys::makeConst(
                    of.oid(),
                    -1,
                    of.collation(),
                    of.length().into(),
                    *one,
                    false,
                    of.is_by_value(),
                ))),
                several => {
                    let array = pg_sys::construct_array(
                        several.as_mut_ptr(),
                        several.len() as c_int,
                        of.oid(),
                        of.length().into(),
                        of.is_by_value(),
                        of.alignment() as c_char,
                    );
                    Literals::Several(Node::made(pg_sys::makeConst(
                        of.array(),
                        -1,
                        of.collation(),
                        -1,
                        pg_sys::Datum::from(array),
                        false,
                        false,
                    )))
                }
            }
        }
    }
}
