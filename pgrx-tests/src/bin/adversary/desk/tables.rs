//! The columns of the tables.

use deskguard_tests::help_desk::Kind;

use super::{Columns, Rule, Table, Ty};

pub(super) const TICKET: Columns = &[
    ("id", Ty::Int),
    ("subject", Ty::Text),
    ("secret", Ty::Int),
    ("status", Ty::Text),
    ("dept", Ty::Int),
    ("cat", Ty::Int),
    ("assignee", Ty::Int),
    ("team", Ty::Int),
    ("conf", Ty::Bool),
    ("created", Ty::Time),
    ("requester", Ty::Int),
    ("org", Ty::Int),
];
pub(super) const FOLLOWER: Columns = &[
    ("ticket_id", Ty::Int),
    ("agent_id", Ty::Int),
    ("note", Ty::Text),
    ("code", Ty::Int),
    ("kind", Ty::Text),
];
pub(super) const PART_FOLLOWER: Columns = &[
    ("ticket_id", Ty::Int),
    ("agent_id", Ty::Int),
    ("note", Ty::Text),
    ("code", Ty::Int),
    ("type", Ty::Text),
];
pub(super) const MESSAGE: Columns = &[
    ("id", Ty::Int),
    ("ticket_id", Ty::Int),
    ("author", Ty::Int),
    ("body", Ty::Text),
    ("code", Ty::Int),
    ("internal", Ty::Bool),
];
pub(super) const ATTACHMENT: Columns = &[
    ("id", Ty::Int),
    ("message_id", Ty::Int),
    ("name", Ty::Text),
    ("size", Ty::Int),
];
pub(super) const PART_TICKET: Columns = &[
    ("id", Ty::Int),
    ("created", Ty::Time),
    ("subject", Ty::Text),
    ("secret", Ty::Int),
    ("dept", Ty::Int),
    ("assignee", Ty::Int),
];
pub(super) const PART_MESSAGE: Columns = &[
    ("id", Ty::Int),
    ("ticket_id", Ty::Int),
    ("body", Ty::Text),
    ("code", Ty::Int),
    ("type", Ty::Text),
];
pub(super) const KEYED_TICKET: Columns = &[
    ("id", Ty::Uuid),
    ("subject", Ty::Text),
    ("secret", Ty::Int),
    ("dept", Ty::Int),
    ("cat", Ty::Text),
    ("assignee", Ty::Uuid),
    ("deleted", Ty::Bool),
    ("requester", Ty::Uuid),
];
pub(super) const KEYED_FOLLOWER: Columns = &[
    ("ticket_id", Ty::Uuid),
    ("agent_id", Ty::Uuid),
    ("note", Ty::Text),
    ("code", Ty::Int),
    ("type", Ty::Text),
];
pub(super) const KEYED_MESSAGE: Columns = &[
    ("id", Ty::Int),
    ("ticket_id", Ty::Uuid),
    ("body", Ty::Text),
    ("code", Ty::Int),
    ("internal", Ty::Bool),
];
pub(super) const RESPONSE: Columns = &[
    ("id", Ty::Int),
    ("owner", Ty::Int),
    ("body", Ty::Text),
    ("code", Ty::Int),
];
pub(super) const FILTER: Columns = &[
    ("id", Ty::Uuid),
    ("owner", Ty::Uuid),
    ("body", Ty::Text),
    ("code", Ty::Int),
];
pub(super) const INVOICE: Columns = &[("id", Ty::Int), ("body", Ty::Text), ("code", Ty::Int)];

/// What a follower's row says of its kind: that it follows, that it has requested the ticket, and nothing that counts.
pub const KINDS: [Option<&str>; 6] = [
    Some("cc"),
    Some("cc"),
    Some("customer"),
    Some("watcher"),
    Some("CC"),
    None,
];
/// To what a row of a polymorphic table belongs: to a ticket, or to something else with a ticket's number.
pub const TYPES: [Option<&str>; 6] = [
    Some("Ticket"),
    Some("Ticket"),
    Some("Case"),
    Some("Article"),
    Some("ticket"),
    None,
];

/// Other names under which rows of the tables are read: partitions and views.
pub const OTHER_NAMES: [(&str, Columns); 5] = [
    ("part.ticket_1", PART_TICKET),
    ("part.ticket_2", PART_TICKET),
    ("desk.invoker_view", TICKET),
    ("desk.owner_view", TICKET),
    ("desk.joined_view", MESSAGE),
];

pub(super) fn empty(name: &'static str, letter: char, rule: Rule, columns: Columns) -> Table {
    let of_type = |ty| columns.iter().filter(move |(_, of)| *of == ty);
    let text =
        of_type(Ty::Text).find(|(name, _)| ["subject", "note", "body", "name"].contains(name));
    let number = of_type(Ty::Int).find(|(name, _)| ["secret", "code", "size"].contains(name));
    let (id, ty) = columns[0];
    Table {
        name,
        letter,
        rule,
        id,
        id_kind: if ty == Ty::Uuid {
            Kind::Uuid
        } else {
            Kind::Int8
        },
        columns,
        text: text.expect("a text column").0,
        number: number.expect("a column of numbers").0,
        rows: Vec::new(),
    }
}
