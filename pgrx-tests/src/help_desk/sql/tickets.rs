//! Commands that write tickets.

use super::nullable;
use crate::help_desk::ALL_PARTS;
use crate::help_desk::{Part, Ticket, TicketTable};
use crate::{ident, literal};

impl Ticket {
    /// The word that its texts have.
    pub fn word(&self) -> String {
        format!("word{}", self.id.rem_euclid(3))
    }
}

impl TicketTable {
    /// The names and the values of a ticket's columns, as lists.
    fn row(&self, ticket: &Ticket) -> (String, String) {
        let columns = self.columns();
        let values: Vec<String> = columns
            .iter()
            .map(|(part, _)| self.value(*part, ticket))
            .collect();
        let names: Vec<String> = columns.into_iter().map(|(_, name)| name).collect();
        let (names, values) = (names.join(", "), values.join(", "));
        let word = ticket.word();
        (
            format!("{names}, subject, doc, meta"),
            format!(
                "{values}, 'About {word}', to_tsvector('simple', '{word} all'), '{{\"word\": \"{word}\"}}'"
            ),
        )
    }

    /// The value of one of a ticket's columns.
    fn value(&self, part: Part, ticket: &Ticket) -> String {
        match part {
            Part::Id => self.id.kind.literal(ticket.id),
            Part::Confidential => nullable(ticket.confidential),
            Part::Status => nullable(ticket.status.map(literal)),
            Part::Department
            | Part::Category
            | Part::Assignee
            | Part::Team
            | Part::Requester
            | Part::RequesterTeam => {
                let literal = |value| Some(self.key_column(part)?.kind.literal(value));
                nullable(ticket.key(part).and_then(literal))
            }
        }
    }

    /// `INSERT` of one new ticket.
    pub fn insert_sql(&self, ticket: &Ticket) -> String {
        let (names, values) = self.row(ticket);
        format!("INSERT INTO {} ({names}) VALUES ({values})", self.sql())
    }

    pub fn insert_select_sql(&self, ticket: &Ticket) -> String {
        let (names, values) = self.row(ticket);
        format!("INSERT INTO {} ({names}) SELECT {values}", self.sql())
    }

    /// `INSERT` as the part of a MERGE.
    pub fn merge_insert_sql(&self, ticket: &Ticket) -> String {
        let (names, values) = self.row(ticket);
        format!("INSERT ({names}) VALUES ({values})")
    }

    /// The list of `UPDATE … SET` that gives these columns the ticket's values.
    pub fn set_sql(&self, parts: &[Part], ticket: &Ticket) -> String {
        let columns = self.columns().into_iter();
        columns
            .filter(|(part, _)| parts.contains(part))
            .map(|(part, name)| format!("{name} = {}", self.value(part, ticket)))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The values of these columns as a JSON object.
    pub fn json_sql(&self, parts: &[Part], ticket: &Ticket) -> String {
        let columns = self.columns().into_iter();
        let values: Vec<String> = columns
            .filter_map(|(part, _)| {
                let name = self.column(part).filter(|_| parts.contains(&part))?;
                Some(format!("{}, {}", literal(name), self.value(part, ticket)))
            })
            .collect();
        format!("jsonb_build_object({})", values.join(", "))
    }

    /// All of them.
    pub fn row_json_sql(&self, ticket: &Ticket) -> String {
        self.json_sql(&ALL_PARTS, ticket)
    }

    /// Its columns, quoted, in one order; of several meanings the first.
    pub(super) fn columns(&self) -> Vec<(Part, String)> {
        let first = |part: &Part| self.meanings(*part).first() == Some(part);
        let quoted = |part| Some((part, ident(self.column(part)?)));
        ALL_PARTS
            .into_iter()
            .filter(first)
            .filter_map(quoted)
            .collect()
    }
}
