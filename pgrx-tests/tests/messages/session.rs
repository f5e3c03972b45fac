//! What a session sees and changes.

use std::collections::BTreeSet;

use deskguard_tests::help_desk::{DANGLING, Id, Kind};
use deskguard_tests::lab::{Counts, Outcome, attempt, query, refused, same};
use deskguard_tests::{ident, literal};
use postgres::Client;
use postgres::error::SqlState;

use crate::desk::Desk;
use crate::sql::{INTERNAL, TICKET, boolean};

pub struct Session<'a> {
    pub client: &'a mut Client,
    pub desk: &'a Desk,
    pub who: Option<Id>,
    pub counts: &'a mut Counts,
}

impl Session<'_> {
    /// `expected`: none if it is to be refused.
    fn tries(&mut self, what: &str, sql: &str, expected: Option<usize>) -> Outcome {
        self.counts.either(expected.is_some(), what);
        let expected = expected.map_or(refused(), |rows| Ok(rows as u64));
        same(sql, attempt(self.client, sql)?, expected)
    }

    /// `kind`: of the column of ids that the query returns as texts.
    fn ids(&mut self, kind: Kind, sql: &str, expected: &BTreeSet<Id>) -> Outcome {
        let rows = query(self.client, sql, &[])?;
        let mut got: Vec<Id> = rows.iter().map(|row| kind.id_of(row.get(0))).collect();
        got.sort();
        same(sql, got, expected.iter().copied().collect())
    }

    pub fn reads(&mut self) -> Outcome {
        let desk = self.desk;
        let (message, attachment) = (desk.message(), desk.attachment());
        let seen = desk.messages_that_allow(self.who, "view");
        let kind = desk.kinds.message;
        let select = format!("SELECT id::text FROM {message}");
        self.ids(kind, &select, &seen)?;
        let tickets = &desk.help_desk().table;
        self.ids(
            kind,
            &format!(
                "SELECT m.id::text FROM {message} AS m JOIN {} AS t ON t.{} = m.{TICKET}",
                tickets.sql(),
                ident(tickets.id.name)
            ),
            // What is left alone may have the number of a hidden ticket.
            &seen
                .iter()
                .filter(|id| desk.may(self.who, "view", desk.ticket_of(**id)))
                .copied()
                .collect(),
        )?;
        let notes = desk.notes.iter().zip(1..);
        let notes =
            notes.filter(|((internal, _), id)| *internal != Some(false) && seen.contains(id));
        let notes = notes.map(|(_, id)| id).collect();
        self.ids(
            kind,
            &format!("{select} WHERE internal IS NOT FALSE"),
            &notes,
        )?;
        self.ids(
            Kind::Int4,
            &format!("SELECT id::text FROM {attachment}"),
            &desk.attachments_that_allow(self.who, "view"),
        )?;
        for (_, ticket) in &desk.messages {
            let Some(ticket) = ticket else { continue };
            let of_ticket = |(id, t): &(Id, Option<Id>)| {
                (*t == Some(*ticket) && seen.contains(id)).then_some(*id)
            };
            let expected = desk.messages.iter().filter_map(of_ticket).collect();
            let ticket = desk.kinds.ticket.literal(*ticket);
            let sql = format!("{select} WHERE {TICKET} = {ticket}");
            self.ids(kind, &sql, &expected)?;
        }
        Ok(())
    }

    /// What explain_command says that the agent may do.
    pub fn explains(&mut self) -> Outcome {
        let desk = self.desk;
        let is_active = |id: &Id| {
            desk.help_desk()
                .agents
                .iter()
                .any(|a| a.id == *id && a.active)
        };
        let Some(agent) = self.who.filter(is_active) else {
            return Ok(());
        };
        let (message, attachment) = (desk.message(), desk.attachment());
        for (command, action) in [
            ("SELECT", "view"),
            ("UPDATE", "edit_messages"),
            ("DELETE", "edit_messages"),
        ] {
            let by_id = |id: &Id| {
                let id = desk.kinds.message.literal(*id);
                format!("({id}, {id})")
            };
            let messages = desk.messages.iter().map(|(id, _)| id);
            let rows: Vec<String> = messages.chain([&DANGLING]).map(by_id).collect();
            let seen = desk.messages_that_allow(self.who, action);
            let sql = |rows: Vec<String>, table: &str, old: &str| {
                format!(
                    "SELECT id::text FROM (VALUES {}) AS v (id, key) WHERE (deskguard.explain_command(\
                     {agent}, '{command}', {}, {old}) -> 'allowed')::boolean",
                    rows.join(", "),
                    literal(table)
                )
            };
            let old = "jsonb_build_object('id', key)";
            self.ids(desk.kinds.message, &sql(rows, &message, old), &seen)?;
            // These have no unique id: they are named by their message, and their type.
            let by_parent = |((id, parent), of): (&(Id, Option<Id>), &Option<&str>)| {
                let parent = parent.map(|id| desk.kinds.parent.literal(id));
                let kind = desk.kinds.parent.sql();
                let mut key = format!("'message_id', {}::{kind}", parent.unwrap_or("NULL".into()));
                if let Some(types) = &desk.types.attachment {
                    let of = of.map_or("NULL".into(), literal);
                    key += &format!(", {}, {of}", literal(types.column.name));
                }
                format!("({id}, jsonb_build_object({key}))")
            };
            let attachments = desk.attachments.iter().zip(&desk.types.attachments);
            let rows: Vec<String> = attachments.map(by_parent).collect();
            if !rows.is_empty() {
                let seen = desk.attachments_that_allow(self.who, action);
                self.ids(Kind::Int4, &sql(rows, &attachment, "key"), &seen)?;
            }
        }
        let mut explain = |table: &str, new: &str, may: bool| {
            let sql = format!(
                "SELECT deskguard.explain_command({agent}, 'INSERT', {}, \
                 new_row => jsonb_build_object({new})) ->> 'allowed'",
                literal(table)
            );
            let allowed: &str = &query(self.client, &sql, &[])?[0].get::<_, String>(0);
            same(&sql, allowed, if may { "true" } else { "false" })
        };
        for (id, ticket) in &desk.messages {
            let replies = desk.may(Some(agent), "reply", *ticket);
            let may_write = |internal| desk.may_write(Some(agent), *ticket, internal);
            let may = replies && may_write(desk.default);
            let ticket = desk.ticket_sql(*ticket);
            explain(&message, &format!("'Ticket''s', {ticket}"), may)?;
            for internal in INTERNAL.into_iter().filter(|_| *id <= 5) {
                let new = format!("'Ticket''s', {ticket}, 'internal', {}", boolean(internal));
                let may = replies && may_write(internal);
                explain(&message, &new, may)?;
            }
            let by_another = format!(
                "'Ticket''s', {ticket}, 'author', {}",
                desk.kinds.author.literal(77)
            );
            if desk.kinds.author.holds(77) {
                explain(&message, &by_another, may && !desk.author)?;
            }
            if let Some((types, other)) = desk.other_type().filter(|_| *id <= 3) {
                let (column, other) = (literal(types.column.name), literal(other));
                let new = format!("'Ticket''s', {ticket}, {column}, {other}");
                explain(&message, &new, types.is_open())?;
            }
            let may = replies && desk.is_message(*id) && desk.is_open(Some(agent), "reply", *id);
            let id = desk.kinds.parent.literal(*id);
            explain(&attachment, &format!("'message_id', {id}"), may)?;
        }
        for (id, to) in &desk.moves {
            let ids = desk.messages_that_allow(Some(agent), "edit_messages");
            let may = ids.contains(id) && desk.may_move(Some(agent), *id, *to);
            let sql = format!(
                "SELECT deskguard.explain_command({agent}, 'UPDATE', {}, jsonb_build_object('id', {}), \
                 jsonb_build_object('Ticket''s', {})) ->> 'allowed'",
                literal(&message),
                desk.kinds.message.literal(*id),
                desk.ticket_sql(*to)
            );
            let allowed: &str = &query(self.client, &sql, &[])?[0].get::<_, String>(0);
            same(&sql, allowed, if may { "true" } else { "false" })?;
        }
        Ok(())
    }

    pub fn replies(&mut self) -> Outcome {
        let desk = self.desk;
        let message = desk.message();
        for tickets in &desk.replies {
            let may = desk.may_reply(self.who, tickets);
            let expected = may.then_some(tickets.len());
            let values: Vec<String> = tickets
                .iter()
                .map(|id| format!("({})", desk.ticket_sql(*id)))
                .collect();
            let values = values.join(", ");
            let insert = format!("INSERT INTO {message} ({TICKET})");
            let what = if tickets.len() > 1 {
                "mass reply"
            } else {
                "reply"
            };
            for sql in [
                format!("{insert} VALUES {values}"),
                format!("{insert} SELECT t FROM (VALUES {values}) AS v (t)"),
                format!("{insert} VALUES {values} RETURNING id"),
                format!(
                    "MERGE INTO {message} AS m USING (VALUES {values}) AS v (t) ON false \
                     WHEN NOT MATCHED THEN INSERT ({TICKET}) VALUES (v.t)"
                ),
                format!("WITH new AS ({insert} VALUES {values} RETURNING id) SELECT FROM new"),
            ] {
                self.tries(what, &sql, expected)?;
            }
            let unread =
                format!("WITH new AS ({insert} VALUES {values}) SELECT FROM (VALUES (1)) AS v");
            self.tries("unread reply", &unread, may.then_some(1))?;
            let new = match desk.kinds.message.is_integer() {
                true => "3000 + row_number() OVER ()",
                false => desk.new_id(),
            };
            let conflict = format!(
                "INSERT INTO {message} (id, {TICKET}) SELECT {new}, t \
                 FROM (VALUES {values}) AS v (t) ON CONFLICT (id) DO UPDATE SET body = 'new'"
            );
            self.tries("ON CONFLICT", &conflict, expected)?;
            if let Some((types, other)) = desk.other_type() {
                let column = ident(types.column.name);
                let [own, other] = [types.values[0], other].map(|word| desk.type_sql(types, word));
                let insert = format!("INSERT INTO {message} ({TICKET}, {column})");
                let sql = format!("{insert} SELECT t, {other} FROM (VALUES {values}) AS v (t)");
                let others = types.is_open().then_some(tickets.len());
                self.tries("another type", &sql, others)?;
                // A reply, and what is none: of as many tickets as one likes.
                let may = types.is_open() && desk.may_reply(self.who, &tickets[..1]);
                let first = desk.ticket_sql(tickets[0]);
                let sql = format!(
                    "{insert} SELECT t, {other} FROM (VALUES {values}) AS v (t) \
                     UNION ALL SELECT {first}, {own}"
                );
                self.tries("reply among others", &sql, may.then_some(tickets.len() + 1))?;
            }
            for internal in INTERNAL {
                let [ticket] = tickets[..] else {
                    continue;
                };
                let may = desk.may(self.who, "reply", ticket)
                    && desk.may_write(self.who, ticket, internal);
                let internal = boolean(internal);
                let sql = format!(
                    "INSERT INTO {message} ({TICKET}, internal) SELECT t, {internal} FROM (VALUES {values}) AS v (t) \
                     RETURNING internal"
                );
                self.tries("note", &sql, may.then_some(1))?;
            }
            for author in [self.who, Some(77)] {
                let kind = desk.kinds.author;
                let Some(author) = author.filter(|id| kind.holds(*id)) else {
                    continue;
                };
                let may = may && (!desk.author || desk.is_by(self.who, author));
                let author = kind.literal(author);
                let sql = format!(
                    "INSERT INTO {message} ({TICKET}, author) SELECT t, {author} FROM (VALUES {values}) AS v (t)"
                );
                self.tries("author", &sql, may.then_some(tickets.len()))?;
            }
        }
        for (id, ticket) in desk.messages.iter().take(6) {
            let may = desk.may(self.who, "reply", *ticket)
                && desk.is_message(*id)
                && desk.is_open(self.who, "reply", *id);
            let id = desk.kinds.parent.literal(*id);
            let sql = format!("INSERT INTO {} VALUES (9, {id})", desk.attachment());
            self.tries("attach", &sql, may.then_some(1))?;
            let types = desk.types.attachment.as_ref();
            if let Some((types, other)) = types.and_then(|of| Some((of, of.other()?))) {
                let sql = format!(
                    "INSERT INTO {} (id, message_id, {}) VALUES (9, {id}, {})",
                    desk.attachment(),
                    ident(types.column.name),
                    literal(other)
                );
                self.tries("attach another type", &sql, types.is_open().then_some(1))?;
            }
        }
        let mine = desk.own_messages_that_allow(self.who, "reply");
        let seen = desk.messages_that_allow(self.who, "view");
        // Attachments are no replies: to as many as one likes.
        let sql = format!(
            "INSERT INTO {} SELECT 9, id FROM {message}",
            desk.attachment()
        );
        self.tries("attach to all", &sql, (mine == seen).then_some(mine.len()))
    }

    pub fn edits(&mut self) -> Outcome {
        let desk = self.desk;
        let message = desk.message();
        let seen = desk.messages_that_allow(self.who, "view");
        let edited = desk.messages_that_allow(self.who, "edit_messages");
        let kind = desk.kinds.message;
        let filter = format!("WHERE {}", kind.any_sql("id"));
        for filter in ["", &filter] {
            self.tries(
                "update",
                &format!("UPDATE {message} SET body = 'new' {filter}"),
                Some(edited.len()),
            )?;
            self.tries(
                "delete",
                &format!("DELETE FROM {message} {filter}"),
                Some(edited.len()),
            )?;
        }
        let attachments = desk.attachments_that_allow(self.who, "edit_messages");
        let attachment = desk.attachment();
        self.tries(
            "update",
            &format!("UPDATE {attachment} SET name = 'new'"),
            Some(attachments.len()),
        )?;
        self.tries(
            "delete",
            &format!("DELETE FROM {attachment}"),
            Some(attachments.len()),
        )?;
        // MERGE refuses to change a row that is seen and may not be changed. It looks only at rows that
        // are seen if it reads a column.
        for action in ["UPDATE SET body = 'new'", "DELETE"] {
            let sql = format!(
                "MERGE INTO {message} AS m USING (VALUES (0)) AS v (n) ON {} WHEN MATCHED THEN {action}",
                kind.any_sql("m.id")
            );
            self.tries("merge", &sql, (seen == edited).then_some(edited.len()))?;
        }
        for (id, to) in &desk.moves {
            let target = desk.ticket_sql(*to);
            let expected = match edited.contains(id) {
                true => desk.may_move(self.who, *id, *to).then_some(1),
                false => Some(0),
            };
            let may = edited.iter().all(|id| desk.may_move(self.who, *id, *to));
            let id = kind.literal(*id);
            let sql = format!("UPDATE {message} SET {TICKET} = {target} WHERE id = {id}");
            self.tries("move", &sql, expected)?;
            let sql =
                format!("UPDATE {message} SET {TICKET} = v.t FROM (VALUES ({target})) AS v (t)");
            self.tries("move all", &sql, may.then_some(edited.len()))?;
        }
        self.types(&edited)?;
        for internal in INTERNAL {
            let who = self.who;
            let may = |id: &Id| desk.may_mark(who, *id, internal);
            let set = format!("UPDATE {message} SET internal = {}", boolean(internal));
            let expected = edited.iter().all(may).then_some(edited.len());
            self.tries("mark all", &set, expected)?;
            for (id, _) in desk.messages.iter().take(4) {
                let expected = match edited.contains(id) {
                    true => may(id).then_some(1),
                    false => Some(0),
                };
                let sql = format!("{set} WHERE id = {} RETURNING id", kind.literal(*id));
                self.tries("mark", &sql, expected)?;
                if internal.is_some() {
                    continue;
                }
                let author = self.who.filter(|id| desk.kinds.author.holds(*id));
                let Some(author) = author.map(|id| desk.kinds.author.literal(id)) else {
                    continue;
                };
                let sql = format!(
                    "UPDATE {message} SET author = {author} WHERE id = {} RETURNING body",
                    kind.literal(*id)
                );
                self.tries("take over", &sql, Some(edited.contains(id).into()))?;
            }
        }
        Ok(())
    }

    /// Changes of the type: of messages, and of rows that are none.
    fn types(&mut self, edited: &BTreeSet<Id>) -> Outcome {
        let desk = self.desk;
        let Some((types, other)) = desk.other_type() else {
            return Ok(());
        };
        let (message, column) = (desk.message(), ident(types.column.name));
        for of in [types.values[0], other] {
            let what = match of == other {
                true => "made another type",
                false => "made a message",
            };
            let set = format!("UPDATE {message} SET {column} = {}", literal(of));
            let refusals = edited.iter();
            let refusals: Vec<SqlState> = refusals
                .filter_map(|id| desk.refusal_of_type(self.who, *id, of))
                .collect();
            self.counts.either(refusals.is_empty(), "all of a type");
            match attempt(self.client, &set)? {
                // Which row comes first is not said.
                Err(code) if refusals.contains(&code) => {}
                other => {
                    let all = refusals.is_empty().then_some(Ok(edited.len() as u64));
                    same(&set, Some(other), all)?;
                }
            }
            for (id, _) in desk.messages.iter().take(8) {
                let refusal = desk.refusal_of_type(self.who, *id, of);
                let is_found = edited.contains(id);
                if is_found && desk.is_message(*id) == (of == other) {
                    self.counts.either(refusal.is_none(), what);
                }
                let expected = match refusal {
                    Some(code) if is_found => Err(code),
                    _ => Ok(is_found.into()),
                };
                let key = desk.kinds.message.literal(*id);
                let sql = format!("{set} WHERE id = {key}");
                same(&sql, attempt(self.client, &sql)?, expected)?;
            }
        }
        Ok(())
    }
}
