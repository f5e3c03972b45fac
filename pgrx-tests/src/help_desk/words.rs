//! Columns with words that say what a row is, such as the status of a ticket.

use super::Kind;
use crate::literal;

#[derive(Clone, Debug)]
pub struct WordColumn {
    pub name: &'static str,
    pub kind: WordKind,
}

/// Which rows of a table with several types are those that deskguard is told of.
#[derive(Clone, Debug)]
pub struct RowType {
    pub column: WordColumn,
    pub values: Vec<&'static str>,
    pub others: OtherTypes,
}

/// What is done with rows of other types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherTypes {
    Hidden,
    /// deskguard leaves them alone.
    Open,
}

impl OtherTypes {
    pub fn sql(self) -> &'static str {
        match self {
            OtherTypes::Hidden => "hidden",
            OtherTypes::Open => "open",
        }
    }
}

impl RowType {
    /// Is a row with this in the column one of them?
    pub fn has(&self, word: Option<&str>) -> bool {
        word.is_some_and(|word| self.values.contains(&word))
    }

    pub fn is_open(&self) -> bool {
        self.others == OtherTypes::Open
    }

    /// A type that is not one of them, if not all are.
    pub fn other(&self) -> Option<&'static str> {
        let mut words = self.column.kind.values().into_iter();
        words.find(|word| !self.has(Some(word)))
    }

    /// The values as SQL.
    pub fn values_sql(&self) -> String {
        let values: Vec<String> = self.values.iter().map(|value| literal(value)).collect();
        format!("ARRAY[{}]", values.join(", "))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordKind {
    Text,
    Enum,
    Integer(Kind),
}

impl WordKind {
    /// All words that such a column has.
    pub fn values(self) -> [&'static str; 5] {
        match self {
            // Alike, but not the same.
            WordKind::Text => ["open", "Open", "it's \"done\", {really}", "", "NULL"],
            WordKind::Enum => ["open", "on hold", "it's \"done\"", "Spam", "spam"],
            WordKind::Integer(_) => ["0", "1", "2", "-7", "32767"],
        }
    }
}
