//! Messages of random help desks and of one made by hand, and what hangs on them: every command must agree with the oracle.
//!
//! DESKGUARD_CASES (or a fifth of PROPTEST_CASES) sets how many help desks; DESKGUARD_SEED where to start.

use std::collections::BTreeSet;

use deskguard_tests::help_desk::{
    Access, Case, DANGLING, HelpDesk, Id, KeyForm, Kind, Principal, cases, kind,
};
use deskguard_tests::lab::{
    Cases, Counts, Outcome, PLANS, act_for, attempt, both, fail, query, refused, same, try_run,
};
use deskguard_tests::server::{APP, Database, OWNER};
use deskguard_tests::{ident, literal, worked};
use postgres::Client;
use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Plans that use indexes wherever they can, and others, for each of `PLANS`.
const INDEXES: [&str; 4] = [
    "RESET enable_seqscan",
    "SET enable_seqscan = off",
    "RESET enable_seqscan",
    "SET enable_seqscan = off",
];

/// A help desk with messages.
#[derive(Clone, Debug)]
struct Desk {
    case: Case,
    kinds: Kinds,
    partitioned: bool,
    references: bool,
    author: bool,
    /// Is there a column for internal messages?
    internal: bool,
    /// What that column has of messages of which nothing else is said.
    default: Option<bool>,
    /// Is it internal, and who wrote it; of the messages in their order.
    notes: Vec<(Option<bool>, Option<Id>)>,
    /// Message, and the ticket that it names.
    messages: Vec<(Id, Option<Id>)>,
    /// Attachment, and the message that it names.
    attachments: Vec<(Id, Option<Id>)>,
    /// Lists of tickets to reply to.
    replies: Vec<Vec<Option<Id>>>,
    /// Messages, and the ticket that they are moved to.
    moves: Vec<(Id, Option<Id>)>,
}

/// Of its columns.
#[derive(Clone, Debug)]
struct Kinds {
    message: Kind,
    /// That name the ticket and the message.
    ticket: Kind,
    parent: Kind,
    author: Kind,
}

/// More than are looked up one by one.
const OF_NO_TICKET: std::ops::Range<Id> = 2001..2015;

fn desks() -> impl Strategy<Value = Desk> {
    (
        cases(),
        (message_kind(), kind(), kind(), kind()),
        (any::<bool>(), weighted(0.4), any::<bool>(), weighted(0.6)),
        picks(),
    )
        .prop_map(|(case, kinds, flags, picks)| with_messages(case, kinds, flags, &picks))
}

fn message_kind() -> impl Strategy<Value = Kind> {
    let integer = Kind::Int4;
    let text = Kind::Text(KeyForm::Words);
    select(vec![integer, integer, Kind::Uuid, text])
}

/// Whereto messages, attachments, replies and moves go.
#[derive(Clone, Debug)]
struct Picks {
    messages: Vec<usize>,
    attachments: Vec<usize>,
    replies: Vec<Vec<usize>>,
    moves: Vec<(usize, usize)>,
    default: Option<bool>,
    /// Is a message internal, and by whom is it? For as many as there are, again and again.
    notes: Vec<(Option<bool>, usize)>,
}

fn picks() -> impl Strategy<Value = Picks> {
    let nth = || 0..100usize;
    (
        vec(nth(), 0..16),
        vec(nth(), 0..16),
        vec(vec(nth(), 1..4), 2..5),
        vec((nth(), nth()), 2..5),
        select(vec![Some(false), Some(false), Some(true), None]),
        vec((select(vec![Some(false), Some(true), None]), nth()), 3..20),
    )
        .prop_map(
            |(messages, attachments, replies, moves, default, notes)| Picks {
                messages,
                attachments,
                replies,
                moves,
                default,
                notes,
            },
        )
}

/// The help desk made by hand, where each command is allowed to one and refused to another.
fn worked(kind: Kind) -> Desk {
    let picks = Picks {
        messages: Vec::new(),
        attachments: vec![1, 2, 3, 4],
        // Tickets 1 and 3 are followed by some; the sixth is none.
        replies: vec![vec![0], vec![0, 2], vec![0, 0], vec![5]],
        moves: vec![(0, 1), (1, 0), (3, 5)],
        default: Some(false),
        notes: vec![
            (Some(false), 0),
            (Some(true), 1),
            (None, 2),
            (Some(true), 3),
            (Some(false), 1),
        ],
    };
    let flags = (false, false, true, true);
    let message = match kind {
        Kind::Int8 => Kind::Int4,
        key => key,
    };
    let kinds = (message, kind, kind, kind);
    with_messages(worked::case(kind), kinds, flags, &picks)
}

fn with_messages(
    case: Case,
    kinds: (Kind, Kind, Kind, Kind),
    flags: (bool, bool, bool, bool),
    picks: &Picks,
) -> Desk {
    let (message, ticket, parent, author) = kinds;
    let table = &case.desk.table;
    let kinds = Kinds {
        message,
        ticket: table.id.kind.referring(ticket),
        parent: message.referring(parent),
        author: table.agent_kind(author),
    };
    let (partitioned, references, author, internal) = flags;
    let references = references && table.has_unique_id();
    let holds = |id: &Id| kinds.ticket.holds(*id);
    let mut named: Vec<Option<Id>> = case.desk.tickets.iter().map(|t| Some(t.id)).collect();
    named.push(None);
    if !references {
        named.push(Some(DANGLING));
    }
    let mut tickets = named.clone();
    tickets.extend(picks.messages.iter().map(|nth| named[nth % named.len()]));
    if !references {
        tickets.extend(OF_NO_TICKET.map(Some));
    }
    tickets.retain(|id| id.as_ref().is_none_or(holds));
    let messages: Vec<(Id, Option<Id>)> = (1..).zip(tickets).collect();
    // Besides agents nobody, and somebody who is no agent.
    let mut authors: Vec<Option<Id>> = case.desk.agents.iter().map(|a| Some(a.id)).collect();
    authors.extend([None, Some(77)]);
    let author_of = |nth: &usize| authors[nth % authors.len()].filter(|id| kinds.author.holds(*id));
    let notes = picks.notes.iter().cycle().take(messages.len());
    let notes = notes.map(|(internal, nth)| (*internal, author_of(nth)));
    let target = |nth: &usize| named[nth % named.len()].filter(holds);
    let message = |nth: &usize| messages[nth % messages.len()].0;
    let attached = |nth: &usize| match nth % 9 {
        0 => None,
        1 => Some(DANGLING),
        _ => Some(message(nth)),
    };
    let targets = |list: &Vec<usize>| list.iter().map(target).collect();
    let moves = picks.moves.iter();
    Desk {
        attachments: (1..).zip(picks.attachments.iter().map(attached)).collect(),
        replies: picks.replies.iter().map(targets).collect(),
        moves: moves
            .map(|(which, to)| (message(which), target(to)))
            .collect(),
        notes: notes.collect(),
        default: picks.default,
        internal,
        case,
        kinds,
        partitioned,
        references,
        author,
        messages,
    }
}

// ---- the rules, in their words ----

impl Desk {
    fn help_desk(&self) -> &HelpDesk {
        &self.case.desk
    }

    fn may(&self, who: Option<Id>, action: &str, ticket: Option<Id>) -> bool {
        let desk = self.help_desk();
        let ticket = ticket.and_then(|id| desk.ticket(id));
        who.zip(ticket)
            .is_some_and(|(agent, ticket)| desk.act(agent, ticket, action))
    }

    /// The messages whose ticket allows it.
    fn messages_that_allow(&self, who: Option<Id>, action: &str) -> BTreeSet<Id> {
        let messages = self.messages.iter();
        let allowed = messages.filter(|(id, ticket)| {
            self.may(who, action, *ticket) && self.is_open(who, action, *id)
        });
        allowed.map(|(id, _)| *id).collect()
    }

    /// Has it a permission that is asked of the ticket?
    fn has_for(&self, who: Option<Id>, ticket: Option<Id>, permission: &str) -> bool {
        let desk = self.help_desk();
        let ticket = ticket.and_then(|id| desk.ticket(id));
        who.zip(ticket)
            .is_some_and(|(agent, ticket)| desk.has_for(agent, ticket, permission))
    }

    fn sees_internal(&self, who: Option<Id>, ticket: Option<Id>) -> bool {
        self.has_for(who, ticket, "ticket.view.internal")
    }

    /// The ticket of a message, which is there.
    fn ticket_of(&self, id: Id) -> Option<Id> {
        self.messages[id as usize - 1].1
    }

    /// May a message that it may edit become one of this ticket?
    fn may_move(&self, who: Option<Id>, id: Id, to: Option<Id>) -> bool {
        let (internal, _) = self.notes[id as usize - 1];
        self.may(who, "edit_messages", to) && self.may_write(who, to, internal)
    }

    /// Is a message, which is there, none that is kept from the agent since it is internal?
    fn is_open(&self, who: Option<Id>, action: &str, id: Id) -> bool {
        let (internal, author) = self.notes[id as usize - 1];
        let wrote = || self.author && author.is_some_and(|author| self.is_by(who, author));
        !self.internal
            || internal == Some(false)
            || self.sees_internal(who, self.ticket_of(id))
            || action == "view" && wrote()
    }

    /// May it write what has this in the column?
    fn may_write(&self, who: Option<Id>, ticket: Option<Id>, internal: Option<bool>) -> bool {
        !self.internal || internal == Some(false) || self.sees_internal(who, ticket)
    }

    fn attachments_that_allow(&self, who: Option<Id>, action: &str) -> BTreeSet<Id> {
        let messages = self.messages_that_allow(who, action);
        let attachments = self.attachments.iter();
        let allowed = attachments.filter(|(_, m)| m.is_some_and(|id| messages.contains(&id)));
        allowed.map(|(id, _)| *id).collect()
    }

    fn is_by(&self, who: Option<Id>, author: Id) -> bool {
        let desk = self.help_desk();
        who.is_some() && desk.meant_by(Principal::Agent, self.kinds.author, author) == who
    }

    /// One command that replies to all of these.
    fn may_reply(&self, who: Option<Id>, tickets: &[Option<Id>]) -> bool {
        let different: BTreeSet<_> = tickets.iter().collect();
        tickets.iter().all(|ticket| {
            self.may(who, "reply", *ticket)
                && self.may_write(who, *ticket, self.default)
                && (different.len() < 2 || self.has_for(who, *ticket, "ticket.mass_reply"))
        })
    }
}

// ---- SQL ----

const MESSAGE: &str = "\"the \"\"messages\"\"\"";
const TICKET: &str = "\"Ticket's\"";

impl Desk {
    fn schema(&self) -> String {
        ident(self.help_desk().table.schema)
    }

    fn message(&self) -> String {
        format!("{}.{MESSAGE}", self.schema())
    }

    fn attachment(&self) -> String {
        format!("{}.attachment", self.schema())
    }

    fn load_sql(&self) -> String {
        let (message, attachment) = (self.message(), self.attachment());
        let kind = self.kinds.ticket.sql();
        let (id, author) = (self.kinds.message.sql(), self.kinds.author.sql());
        let new = self.new_id();
        let default = boolean(self.default);
        let references = match self.references {
            true => format!(" REFERENCES {}", self.help_desk().table.sql()),
            false => String::new(),
        };
        let columns = format!(
            "id {id} DEFAULT {new} PRIMARY KEY, \
             {TICKET} {kind}{references}, author {author}, internal boolean DEFAULT {default}, body text"
        );
        let mut sql = match self.partitioned {
            // Identity columns of partitions differ between majors.
            false => {
                let identity = "GENERATED BY DEFAULT AS IDENTITY (START 5000)";
                let columns = match self.kinds.message.is_integer() {
                    true => columns.replace(&format!("DEFAULT {new}"), identity),
                    false => columns,
                };
                format!("CREATE TABLE {message} ({columns});")
            }
            true => {
                let part = |n| format!("{}.message_{n}", self.schema());
                format!(
                    "CREATE TABLE {message} ({columns}) PARTITION BY HASH (id); \
                     CREATE TABLE {} PARTITION OF {message} FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
                     CREATE TABLE {} (internal boolean DEFAULT {default}, body text, author {author}, {TICKET} {kind}, id {id} NOT NULL DEFAULT {new}); \
                     ALTER TABLE {message} ATTACH PARTITION {} FOR VALUES WITH (MODULUS 2, REMAINDER 1);",
                    part(1),
                    part(2),
                    part(2)
                )
            }
        };
        sql += &format!(
            "CREATE INDEX ON {message} ({TICKET}); \
             CREATE TABLE {attachment} (id int, message_id {}, name text); \
             CREATE INDEX ON {attachment} (message_id);",
            self.kinds.parent.sql()
        );
        let nullable =
            |kind: Kind, id: &Option<Id>| id.map_or("NULL".into(), |id| kind.literal(id));
        for ((id, ticket), (internal, author)) in self.messages.iter().zip(&self.notes) {
            let ticket = nullable(self.kinds.ticket, ticket);
            let author = nullable(self.kinds.author, author);
            let (id, internal) = (self.kinds.message.literal(*id), boolean(*internal));
            sql += &format!(
                "INSERT INTO {message} (id, {TICKET}, author, internal) \
                 VALUES ({id}, {ticket}, {author}, {internal});"
            );
        }
        for (id, message) in &self.attachments {
            sql += &format!(
                "INSERT INTO {attachment} VALUES ({id}, {});",
                nullable(self.kinds.parent, message)
            );
        }
        for table in [message, attachment] {
            sql += &format!(
                "ALTER TABLE {table} OWNER TO {OWNER}; GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {APP};"
            );
        }
        sql
    }

    /// An id that no message has.
    fn new_id(&self) -> &'static str {
        match self.kinds.message {
            Kind::Uuid => "gen_random_uuid()",
            Kind::Text(_) | Kind::Varchar(_) => "gen_random_uuid()::text",
            _ => "5000 + random() * 1000000",
        }
    }

    /// A ticket for a column `t` of VALUES.
    fn ticket_sql(&self, ticket: Option<Id>) -> String {
        let kind = self.kinds.ticket;
        match ticket {
            Some(id) if kind.is_integer() => format!("{id}::int8"),
            Some(id) => kind.literal(id),
            None if kind.is_integer() => "NULL::int8".into(),
            None => format!("NULL::{}", kind.sql()),
        }
    }

    fn protect_sql(&self) -> String {
        let author = if self.author { "'author'" } else { "NULL" };
        let internal = if self.internal { "'internal'" } else { "NULL" };
        format!(
            "SELECT deskguard.protect_messages({message}, {}, 'Ticket''s', {author}, internal_column => {internal}); \
             SELECT deskguard.protect_messages({}, {message}, 'message_id');",
            literal(&self.help_desk().table.sql()),
            literal(&self.attachment()),
            message = literal(&self.message()),
        )
    }

    fn unload_sql(&self) -> String {
        let (message, attachment) = (self.message(), self.attachment());
        format!(
            "SELECT deskguard.unprotect({}); SELECT deskguard.unprotect({}); DROP TABLE {attachment}, {message}; {}",
            literal(&attachment),
            literal(&message),
            self.help_desk().table.drop_sql()
        )
    }
}

fn boolean(value: Option<bool>) -> String {
    value.map_or("NULL".into(), |value| value.to_string())
}

const INTERNAL: [Option<bool>; 3] = [Some(false), Some(true), None];

// ---- asking ----

struct Session<'a> {
    client: &'a mut Client,
    desk: &'a Desk,
    who: Option<Id>,
    counts: &'a mut Counts,
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

    fn reads(&mut self) -> Outcome {
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
            &seen,
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
    fn explains(&mut self) -> Outcome {
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
            let sql = |rows: Vec<String>, table: &str, column: &str| {
                format!(
                    "SELECT id::text FROM (VALUES {}) AS v (id, key) WHERE (deskguard.explain_command(\
                     {agent}, '{command}', {}, jsonb_build_object('{column}', key)) -> 'allowed')::boolean",
                    rows.join(", "),
                    literal(table)
                )
            };
            self.ids(desk.kinds.message, &sql(rows, &message, "id"), &seen)?;
            // These have no unique id: they are named by their message.
            let by_parent = |(id, parent): &(Id, Option<Id>)| {
                let parent = parent.map(|id| desk.kinds.parent.literal(id));
                let kind = desk.kinds.parent.sql();
                format!("({id}, {}::{kind})", parent.unwrap_or("NULL".into()))
            };
            let rows: Vec<String> = desk.attachments.iter().map(by_parent).collect();
            if !rows.is_empty() {
                let seen = desk.attachments_that_allow(self.who, action);
                self.ids(Kind::Int4, &sql(rows, &attachment, "message_id"), &seen)?;
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
            let may = replies && desk.is_open(Some(agent), "reply", *id);
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

    fn replies(&mut self) -> Outcome {
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
            let may = desk.may(self.who, "reply", *ticket) && desk.is_open(self.who, "reply", *id);
            let id = desk.kinds.parent.literal(*id);
            let sql = format!("INSERT INTO {} VALUES (9, {id})", desk.attachment());
            self.tries("attach", &sql, may.then_some(1))?;
        }
        let mine = desk.messages_that_allow(self.who, "reply");
        let seen = desk.messages_that_allow(self.who, "view");
        // Attachments are no replies: to as many as one likes.
        let sql = format!(
            "INSERT INTO {} SELECT 9, id FROM {message}",
            desk.attachment()
        );
        self.tries("attach to all", &sql, (mine == seen).then_some(mine.len()))
    }

    fn edits(&mut self) -> Outcome {
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
        for internal in INTERNAL {
            let who = self.who;
            let may = |id: &Id| desk.may_write(who, desk.ticket_of(*id), internal);
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
}

struct Lab {
    database: Database,
    superuser: Client,
    app: Client,
}

impl Lab {
    fn new() -> Lab {
        let database = Database::with_deskguard("messages");
        Lab {
            superuser: database.superuser(),
            app: database.connect(APP),
            database,
        }
    }

    fn check(&mut self, desk: &Desk, counts: &mut Counts) -> Outcome {
        let help_desk = desk.help_desk();
        let setting = match help_desk.default_category_access {
            Access::Silo => "silo",
            Access::Open => "open",
        };
        try_run(
            &mut self.superuser,
            &format!(
                "ALTER ROLE {APP} IN DATABASE {} SET deskguard.default_category_access = '{setting}'",
                self.database.name()
            ),
        )?;
        self.app = self.database.connect(APP);
        try_run(&mut self.superuser, &help_desk.load_sql())?;
        try_run(&mut self.superuser, &desk.load_sql())?;
        try_run(&mut self.superuser, &help_desk.table.protect_sql())?;
        try_run(&mut self.superuser, &desk.protect_sql())?;
        let agents = help_desk.agents.iter().map(|agent| Some(agent.id));
        for who in agents.chain([Some(DANGLING), None]) {
            act_for(&mut self.app, who);
            for (plan, indexes) in PLANS.into_iter().zip(INDEXES) {
                try_run(&mut self.app, &format!("{plan}; {indexes}"))?;
                let mut session = Session {
                    client: &mut self.app,
                    desk,
                    who,
                    counts,
                };
                let outcome = session
                    .reads()
                    .and_then(|()| session.explains())
                    .and_then(|()| session.replies())
                    .and_then(|()| session.edits());
                outcome
                    .map_err(|error| fail(format!("{error}\nas {who:?} with {plan}; {indexes}")))?;
            }
        }
        Ok(())
    }

    fn check_and_clean(&mut self, desk: &Desk, counts: &mut Counts) -> Outcome {
        let result = self.check(desk, counts);
        let cleaned = self.clean(desk);
        result.and(cleaned)
    }

    fn clean(&mut self, desk: &Desk) -> Outcome {
        try_run(&mut self.superuser, "ROLLBACK")?;
        try_run(&mut self.superuser, &desk.unload_sql())?;
        try_run(&mut self.superuser, HelpDesk::clean_sql())
    }
}

#[test]
fn messages_of_random_help_desks_are_guarded_as_by_the_oracle() {
    let mut lab = Lab::new();
    let mut counts = Counts::default();
    for kind in worked::KINDS {
        if let Err(reason) = lab.check_and_clean(&worked(kind), &mut counts) {
            panic!("{reason}\n\non the help desk made by hand, of {kind:?}");
        }
    }
    let needed = both([
        "reply",
        "mass reply",
        "unread reply",
        "ON CONFLICT",
        "author",
        "attach",
        "attach to all",
        "merge",
        "move",
        "move all",
        "note",
        "mark",
        "mark all",
    ]);
    // Each takes as long as several of the oracle's.
    Cases::of("messages", 40, 5).check(
        &desks(),
        &mut counts,
        &needed,
        |desk, counts| lab.check_and_clean(desk, counts),
        |desk| {
            [
                desk.help_desk().load_sql(),
                desk.load_sql(),
                desk.help_desk().table.protect_sql(),
                desk.protect_sql(),
            ]
            .concat()
        },
    );
}

#[test]
fn unprotect_brings_messages_back_as_they_were() {
    let database = Database::with_deskguard("messages_unprotect");
    let mut client = database.superuser();
    client
        .batch_execute(
            "CREATE TABLE ticket (id int PRIMARY KEY, assignee int);
             CREATE TABLE message (id int PRIMARY KEY, ticket_id int REFERENCES ticket, author int);
             CREATE TABLE attachment (message_id int);
             CREATE TABLE note (ticket_id int8) PARTITION BY LIST (ticket_id);
             CREATE TABLE note_1 PARTITION OF note DEFAULT;
             ALTER TABLE message ENABLE ROW LEVEL SECURITY;
             CREATE POLICY mine ON message USING (author > 0);
             ALTER TABLE note_1 FORCE ROW LEVEL SECURITY",
        )
        .unwrap();
    let before = database.dump();
    client
        .batch_execute(
            "SELECT deskguard.protect_tickets('ticket', assignee_column => 'assignee');
             SELECT deskguard.protect_messages('message', 'ticket', author_column => 'author');
             SELECT deskguard.protect_messages('attachment', 'message', 'message_id');
             SELECT deskguard.protect_messages('note', 'ticket')",
        )
        .unwrap();
    assert_ne!(database.dump(), before);
    client
        .batch_execute(
            "SELECT deskguard.unprotect('attachment'); SELECT deskguard.unprotect('message');
             SELECT deskguard.unprotect('note'); SELECT deskguard.unprotect('ticket')",
        )
        .unwrap();
    assert_eq!(database.dump(), before);
}
