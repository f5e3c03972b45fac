//! Columns with words that say what a row is, such as the status of a ticket.

use super::Kind;

#[derive(Clone, Debug)]
pub struct WordColumn {
    pub name: &'static str,
    pub kind: WordKind,
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
