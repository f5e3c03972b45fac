//! How columns name agents, teams, departments, categories and tickets: by id, or by a key.

use super::Id;
use crate::literal;

/// The type of a column of ids. Integers are the ids; others name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Int8,
    Int4,
    Int2,
    Uuid,
    Text(KeyForm),
    Varchar(KeyForm),
}

impl Kind {
    pub const INTEGERS: [Kind; 3] = [Kind::Int8, Kind::Int4, Kind::Int2];

    /// Each type once; texts in the form that is the hardest to quote.
    pub const ALL: [Kind; 6] = [
        Kind::Int8,
        Kind::Int4,
        Kind::Int2,
        Kind::Uuid,
        Kind::Text(KeyForm::Words),
        Kind::Varchar(KeyForm::Words),
    ];

    pub fn sql(self) -> &'static str {
        match self {
            Kind::Int8 => "int8",
            Kind::Int4 => "int4",
            Kind::Int2 => "int2",
            Kind::Uuid => "uuid",
            Kind::Text(_) => "text",
            Kind::Varchar(_) => "varchar",
        }
    }

    pub fn is_integer(self) -> bool {
        self.form().is_none()
    }

    /// None if it has the ids themselves.
    pub fn form(self) -> Option<KeyForm> {
        match self {
            Kind::Int8 | Kind::Int4 | Kind::Int2 => None,
            Kind::Uuid => Some(KeyForm::Uuid),
            Kind::Text(form) | Kind::Varchar(form) => Some(form),
        }
    }

    pub fn holds(self, value: Id) -> bool {
        match self {
            Kind::Int4 => i32::try_from(value).is_ok(),
            Kind::Int2 => i16::try_from(value).is_ok(),
            _ => true,
        }
    }

    /// How a column of it has the id, printed.
    pub fn text(self, id: Id) -> String {
        self.form().map_or(id.to_string(), |form| form.text(id))
    }

    /// How a column of it has the id, as SQL.
    pub fn literal(self, id: Id) -> String {
        if self.is_integer() {
            return id.to_string();
        }
        format!("{}::{}", literal(&self.text(id)), self.sql())
    }

    /// The id that a column of it has printed as this.
    pub fn id_of(self, text: &str) -> Id {
        let id = self
            .form()
            .map_or(text.parse().ok(), |form| form.id_of(text));
        id.unwrap_or_else(|| panic!("{text:?} is no id of a column of {self:?}"))
    }

    /// A condition that holds for all values in a column of it.
    pub fn any_sql(self, column: &str) -> String {
        if self.is_integer() {
            format!("{column} > 0")
        } else {
            format!("{column}::text <> ''")
        }
    }

    /// One that may refer to it, of a kind that was picked.
    pub fn referring(self, picked: Kind) -> Kind {
        match (self, picked) {
            (Kind::Uuid, _) => Kind::Uuid,
            (Kind::Text(form) | Kind::Varchar(form), Kind::Varchar(_)) => Kind::Varchar(form),
            (Kind::Text(form) | Kind::Varchar(form), _) => Kind::Text(form),
            _ => picked.as_integer(),
        }
    }

    pub(super) fn as_integer(self) -> Kind {
        match self {
            Kind::Uuid => Kind::Int8,
            Kind::Text(_) => Kind::Int4,
            Kind::Varchar(_) => Kind::Int2,
            integer => integer,
        }
    }

    pub(super) fn with_form(self, form: KeyForm) -> Kind {
        match self {
            Kind::Text(_) => Kind::Text(form),
            Kind::Varchar(_) => Kind::Varchar(form),
            other => other,
        }
    }
}

/// How texts name ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// As a uuid is printed.
    Uuid,
    /// To be mistaken for the id.
    Number,
    /// What must be quoted in strings and arrays.
    Words,
}

/// Has letters, so that it has an upper case.
const UUID_START: &str = "c0ffee00-0000-4000-";

impl KeyForm {
    pub const ALL: [KeyForm; 3] = [KeyForm::Uuid, KeyForm::Number, KeyForm::Words];

    pub(super) fn text(self, id: Id) -> String {
        match self {
            KeyForm::Uuid => {
                let bits = id as u64;
                let (high, low) = (bits >> 48, bits & 0xffff_ffff_ffff);
                format!("{UUID_START}{high:04x}-{low:012x}")
            }
            KeyForm::Number => id.to_string(),
            KeyForm::Words if id == 3 => "NULL".into(),
            KeyForm::Words => format!("it's {{{id}}}, \"so\""),
        }
    }

    fn id_of(self, text: &str) -> Option<Id> {
        match self {
            KeyForm::Uuid => {
                let bits = text.strip_prefix(UUID_START)?.replace('-', "");
                Some(u64::from_str_radix(&bits, 16).ok()? as Id)
            }
            KeyForm::Number => text.parse().ok(),
            KeyForm::Words if text == "NULL" => Some(3),
            KeyForm::Words => {
                let (_, rest) = text.split_once('{')?;
                rest.split_once('}')?.0.parse().ok()
            }
        }
    }
}
