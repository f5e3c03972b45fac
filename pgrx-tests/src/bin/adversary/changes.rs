//! Is a change that the database tells of one that the agent may make?

use deskguard_tests::help_desk::{Follower, Id, Kind, Ticket};
use serde_json::Value;

use crate::desk::{Desk, Place, Row, Rule, Table};

/// What the trigger of the help desk tells of a row. The old row is null for an INSERT, the new one for a DELETE.
#[derive(Debug)]
pub struct Change {
    table: String,
    old: Value,
    new: Value,
}

/// The changes of a command, each as `table|command|rows`, rows being the old one, the new one, or both. A row
/// that moves to another partition is told as deleted there and inserted here: that is one change.
pub fn read(told: &[&str]) -> Result<Vec<Change>, &'static str> {
    let mut changes: Vec<Change> = Vec::new();
    for change in told {
        let change = read_one(change).ok_or("a change that cannot be read")?;
        let is_of_moved = |before: &&mut Change| {
            before.table == "part.ticket"
                && change.table == before.table
                && before.new.is_null()
                && change.old.is_null()
                && change.new.get("id") == before.old.get("id")
        };
        match changes.iter_mut().find(is_of_moved) {
            Some(before) => before.new = change.new,
            None => changes.push(change),
        }
    }
    Ok(changes)
}

fn read_one(change: &str) -> Option<Change> {
    let mut parts = change.splitn(3, '|');
    let (table, command, rows) = (parts.next()?, parts.next()?, parts.next()?);
    let (old, new) = match (command, values(rows).as_slice()) {
        ("INSERT", [new]) => (Value::Null, new.clone()),
        ("DELETE", [old]) => (old.clone(), Value::Null),
        (_, [old, new]) => (old.clone(), new.clone()),
        _ => return None,
    };
    Some(Change {
        table: table.into(),
        old,
        new,
    })
}

/// `first`: nothing was changed before, so that the rules can be asked about the rows as they were.
pub fn judge(
    desk: &Desk,
    change: &Change,
    first: bool,
    viewers: &[Option<Id>],
) -> Result<(), &'static str> {
    let place = desk.table(&change.table);
    let table = &desk.tables[place];
    // A row of the help desk that was there: only one that somebody who acts here sees.
    let known = row_of(desk, place, &change.old);
    if let Some(row) = known
        && !viewers
            .iter()
            .any(|viewer| desk.sees(*viewer, row) || goes_with_ticket(desk, change, row, *viewer))
    {
        return Err("a hidden row was changed");
    }
    if is_open(table, change) {
        return Ok(());
    }
    let [viewer] = viewers else {
        return Ok(());
    };
    let Some(agent) = *viewer else {
        return Err("nobody changed a row");
    };
    if !first || may(desk, table, agent, known, &change.new) {
        Ok(())
    } else {
        Err("the agent may not do this")
    }
}

/// Is the row of a type that is left to everybody, before and after?
fn is_open(table: &Table, change: &Change) -> bool {
    let is_other = |row: &Value| row.is_null() || !table.is_of_tickets(label(row));
    table.leaves_others_open() && is_other(&change.old) && is_other(&change.new)
}

/// An internal message that is hidden goes with its ticket all the same, by its foreign key.
fn goes_with_ticket(desk: &Desk, change: &Change, row: Place, viewer: Option<Id>) -> bool {
    let (Some(agent), Rule::Message(of)) = (viewer, desk.tables[row.table].rule) else {
        return false;
    };
    change.new.is_null() && desk.acts(of, agent, desk.row(row).of, "delete")
}

/// Does a notice tell that a hidden row goes with its ticket?
pub fn is_told_of_gone(desk: &Desk, notice: &str, row: Place, viewers: &[Option<Id>]) -> bool {
    let change = notice.strip_prefix("changed|").and_then(read_one);
    change.is_some_and(|change| {
        let goes = |viewer: &Option<Id>| goes_with_ticket(desk, &change, row, *viewer);
        viewers.iter().any(goes)
    })
}

/// `old` is None for an INSERT, `new` null for a DELETE.
fn may(desk: &Desk, table: &Table, agent: Id, old: Option<Place>, new: &Value) -> bool {
    let row = old.map(|place| desk.row(place));
    let is_attachment = desk.messages_of(table).is_some();
    match (table.rule, row) {
        (Rule::Ticket(of), None) => desk.desks[of].create(agent, &ticket(desk, of, new)),
        (Rule::Ticket(of), Some(row)) if new.is_null() => desk.acts(of, agent, row.of, "delete"),
        (Rule::Ticket(of), Some(row)) => {
            let before = desk.ticket_for(of, agent, row.of);
            let before = before.expect("a ticket of the model");
            desk.sees_ticket(of, agent, row.of)
                && desk.desks[of].may_update(agent, &before, &ticket(desk, of, new))
        }
        (Rule::Message(of), None) => {
            let ticket = ticket_of_message(desk, table, of, new);
            // An attachment of a message that is new, too, is new in the name of that one's ticket.
            ticket.map_or(is_attachment, |ticket| {
                table.is_of_tickets(label(new))
                    && desk.acts(of, agent, ticket, "reply")
                    && may_write_note(desk, table, agent, (of, ticket), new)
            })
        }
        // They also go with their ticket, by its foreign key.
        (Rule::Message(of), Some(row)) => {
            let may_edit = |ticket: Id| desk.acts(of, agent, ticket, "edit_messages");
            let may_note = |ticket: Id| desk.sees_notes(of, agent, ticket);
            let stays = || {
                let ticket = ticket_of_message(desk, table, of, new);
                table.is_of_tickets(label(new))
                    && ticket.map_or(is_attachment, |ticket| {
                        may_edit(ticket) && may_write_note(desk, table, agent, (of, ticket), new)
                    })
            };
            may_edit(row.of)
                && (!desk.is_note(table, row) || may_note(row.of))
                && (new.is_null() || stays())
                || new.is_null() && desk.acts(of, agent, row.of, "delete")
        }
        (Rule::Follower(of), None) => {
            let row = (id_in(new.get("ticket_id")), id_in(new.get("agent_id")));
            may_follow(
                desk,
                table,
                (of, row.0.unwrap_or(-1), row.1),
                agent,
                label(new),
            )
        }
        (Rule::Follower(of), Some(row)) if new.is_null() => {
            may_follow(desk, table, (of, row.of, row.agent), agent, row.label)
                || desk.acts(of, agent, row.of, "delete")
        }
        // They are not updated, but for those that are left to everybody.
        (Rule::Follower(_), Some(_)) => false,
        (Rule::Shared, Some(row)) => desk.changes_shared(agent, row.agent),
        (Rule::Shared, None) => {
            desk.changes_shared(agent, desk.owner(table, id_in(new.get("owner"))))
        }
        (Rule::Feature, _) => old.is_some() || desk.uses_invoices(agent),
    }
}

/// Is a new row no internal message of this ticket and no part of one, or may the agent write such?
fn may_write_note(desk: &Desk, table: &Table, agent: Id, ticket: (usize, Id), new: &Value) -> bool {
    let is_note = match message_of(desk, table, new) {
        Some((messages, message)) => desk.is_note(messages, message),
        None => {
            let internal = new.get("internal");
            internal.is_some_and(|internal| *internal != Value::Bool(false))
        }
    };
    !is_note || desk.sees_notes(ticket.0, agent, ticket.1)
}

/// The message of the generated data to which a row is attached.
fn message_of<'a>(desk: &'a Desk, table: &Table, new: &Value) -> Option<(&'a Table, &'a Row)> {
    let messages = desk.messages_of(table)?;
    let number = id_in(new.get("message_id"))?;
    Some((
        messages,
        messages.rows.get(usize::try_from(number - 1).ok()?)?,
    ))
}

/// The ticket that a new row belongs to, as far as the generated data has it. `of`: of which desk.
fn ticket_of_message(desk: &Desk, table: &Table, of: usize, new: &Value) -> Option<Id> {
    match message_of(desk, table, new) {
        // What is attached to a message of no ticket is nobody's.
        Some((messages, message)) if !messages.is_of_tickets(message.label) => Some(-1),
        Some((_, message)) => Some(message.of),
        None => id_in(new.get("ticket_id")).filter(|id| desk.desks[of].ticket(*id).is_some()),
    }
}

/// May the agent add or remove this row of followers? It is of a desk, a ticket and who follows.
fn may_follow(
    desk: &Desk,
    table: &Table,
    (of, ticket, follower): (usize, Id, Option<Id>),
    agent: Id,
    label: Option<&str>,
) -> bool {
    let own = desk.desks[of].follower(&Follower::of(ticket, follower)) == Some(agent);
    table.is_of_tickets(label)
        && (own && table.only_follows(label) && desk.sees_ticket(of, agent, ticket)
            || desk.acts(of, agent, ticket, "modify"))
}

/// What a row says of its kind or type.
fn label(row: &Value) -> Option<&str> {
    row.get("kind").or(row.get("type"))?.as_str()
}

/// JSON values with bars between them.
fn values(text: &str) -> Vec<Value> {
    let mut values = Vec::new();
    let mut rest = text;
    loop {
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        match stream.next() {
            Some(Ok(value)) => values.push(value),
            _ => return values,
        }
        rest = rest[stream.byte_offset()..].trim_start_matches('|');
    }
}

/// The row of the generated data that this is, by its canary.
fn row_of(desk: &Desk, table: usize, row: &Value) -> Option<Place> {
    let text = row.get(desk.tables[table].text)?.as_str()?;
    let place = desk.place_of_text(text)?;
    (place.table == table).then_some(place)
}

/// An id, or what a key of the test stands for; other keys are nobody's.
fn id_in(value: Option<&Value>) -> Option<Id> {
    match value? {
        Value::Null => None,
        Value::Number(number) => number.as_i64(),
        Value::String(text) if text.starts_with("c0ffee00-0000-4000-") => {
            Some(Kind::Uuid.id_of(text))
        }
        Value::String(text) => Some(text.parse().unwrap_or(-1)),
        _ => Some(-1),
    }
}

fn ticket(desk: &Desk, of: usize, row: &Value) -> Ticket {
    let status = row.get("status").and_then(Value::as_str);
    let table = &desk.desks[of].table;
    Ticket {
        id: id_in(row.get("id")).unwrap_or(-1),
        department: id_in(row.get("dept")),
        category: table.category.as_ref().and_then(|_| id_in(row.get("cat"))),
        assignee: id_in(row.get("assignee")),
        team: table.team.as_ref().and_then(|_| id_in(row.get("team"))),
        requester: table
            .requester
            .as_ref()
            .and_then(|_| id_in(row.get("requester"))),
        requester_team: table
            .requester_team
            .as_ref()
            .and_then(|_| id_in(row.get("org"))),
        confidential: row.get("conf").and_then(Value::as_bool),
        status: ["open", "closed", "spam"]
            .into_iter()
            .find(|known| Some(*known) == status),
    }
}
