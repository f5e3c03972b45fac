//! Why an agent may or may not run a command on a row.

use std::rc::Rc;

use deskguard_rules::{
    Action, Asked, Change, Command, Explanation, Message, RowId, Subject, TableOf, Ticket,
    follower_action,
};
use pgrx::prelude::*;
use pgrx::{AnyElement, JsonB, pg_sys};

use crate::pg::datum::jsonb_text;
use crate::pg::error;
use crate::pg::relation::display_name;
use crate::protection::whole::is_whole;
use crate::questions::ask::json;
use crate::questions::asker::{check_may_ask, may_ask_about_others, ticket_tables};
use crate::rights::known_tables;
use crate::rows::children::ChildRow;
use crate::rows::explanation::{About, Besides, explain_new_ticket, explain_ticket, row_id};
use crate::rows::given::Given;
use crate::tables::catalog::Catalog;
use crate::tables::child_table::{ChildTable, Parent};
use crate::tables::key::OwnedKey;
use crate::tables::principal::Principal;
use crate::tables::registry::{FEATURE, kind_of};
use crate::tables::shared_table::SharedTable;
use crate::tables::ticket_table::{FollowerTable, TicketTable};

#[pg_extern(sql = false)]
fn explain_command(
    agent_id: Option<i64>,
    command: Option<&str>,
    protected_table: Option<pg_sys::Oid>,
    old_row: Option<AnyElement>,
    new_row: Option<AnyElement>,
) -> JsonB {
    let command = parse_command(command);
    let Some(table) = protected_table else {
        error::raise(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            "protected_table is NULL",
            "Name a table of deskguard.protected_table.",
        );
    };
    let asked = Row {
        agent: agent_id,
        command,
        old: (old_row.map(text), "old_row"),
        new: (new_row.map(text), "new_row"),
    };
    json(&asked.explain(table))
}

fn text(row: AnyElement) -> String {
    // SAFETY: SQL declares a jsonb.
    unsafe { jsonb_text(row.datum()) }
}

fn parse_command(command: Option<&str>) -> Command {
    let name = command.unwrap_or("NULL");
    Command::from_name(name).unwrap_or_else(|| {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            format!("unknown command \"{name}\""),
            format!("Commands: {}.", Command::ALL.map(Command::name).join(", ")),
        )
    })
}

/// A row as an argument, a JSON text, and the argument's name.
type Argument = (Option<String>, &'static str);

/// A row that a command touches, as it was and as it becomes.
struct Row {
    agent: Option<i64>,
    command: Command,
    old: Argument,
    new: Argument,
}

impl Row {
    fn explain(self, table: pg_sys::Oid) -> Explanation {
        let tickets = known_tables::ticket_tables();
        if tickets.iter().any(|tickets| tickets.oid == table)
            && let Some(tickets) = known_tables::held_ticket_table(table)
        {
            return self.of_tickets(&tickets);
        }
        if let Some(child) = known_tables::held_child_table(table)
            && child.oid == table
        {
            return self.of_child(&child);
        }
        if let Some(shared) = known_tables::held_shared_table(table)
            && shared.oid == table
        {
            return self.of_shared(&shared);
        }
        let is_of_features = kind_of(&Catalog::now(), table).as_deref() == Some(FEATURE);
        if is_of_features && is_whole(table) {
            return self.of_features(table);
        }
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("{} is not a protected table", display_name(table)),
            "Name a table that was given to a function that protects: SELECT DISTINCT root FROM deskguard.protected_table.",
        )
    }

    /// The agent, if who asks may ask about it.
    fn about(&self, tables: &[pg_sys::Oid]) -> About {
        check_may_ask(self.agent, tables);
        About::agent(self.agent, may_ask_about_others(tables))
    }

    fn of_tickets(self, table: &Rc<TicketTable>) -> Explanation {
        let about = self.about(&[table.oid]);
        let command = self.command;
        let (old, new) = self.rows(table.oid);
        if command == Command::Insert {
            return explain_new_ticket(about, table, &new);
        }
        let Some(id) = old.key(&table.id) else {
            not_named(old_columns(&table.id));
        };
        let asked = Asked::Command {
            command,
            row: id.as_ref().map(row_id),
        };
        let action = match command {
            Command::Update => Action::Change(Change::Modify),
            Command::Delete => Action::Change(Change::Delete),
            Command::Select | Command::Insert => Action::View,
        };
        let given = (command == Command::Update).then_some(&new);
        explain_ticket(about, table, id.as_ref(), (asked, action), given)
    }

    fn of_child(self, child: &Rc<ChildTable>) -> Explanation {
        let about = self.about(&child.named());
        let command = self.command;
        let (old, new) = self.rows(child.oid);
        let followers = child.followers();
        let mut besides = Besides::default();
        about.add_policies(&mut besides, child.oid, command);
        let row = child.id.as_ref().and_then(|id| old.key(id));
        let asked = Asked::Command {
            command,
            row: row.as_ref().and_then(|id| id.as_ref().map(row_id)),
        };
        let given = |row: &Given| row.key(&child.column);
        let message = |row: &Given| {
            let internal = row.boolean(child.internal.as_ref()?)?;
            let author = child.author.as_ref();
            let author = author.and_then(|author| row.id(Principal::Agent, author, &about.keys));
            Some(child.message(internal, author.flatten()))
        };
        // None if that is not given.
        let is_other = |row: &Given| match &child.row_type {
            Some(of) => Some(!of.is_of(row.text(&of.column)?.as_deref())),
            None => Some(false),
        };
        let of_given = |row: &Given, parent: Option<OwnedKey>, is_other: bool| ChildRow {
            parent: parent.filter(|_| !is_other),
            message: message(row).unwrap_or(Message::PUBLIC),
            is_other,
        };
        let rows = match (&row, given(&old)) {
            _ if command == Command::Insert => {
                // NULL, too, is another type.
                let is_other = is_other(&new).unwrap_or(true);
                vec![of_given(&new, given(&new).flatten(), is_other)]
            }
            (Some(None), _) => vec![],
            (Some(Some(id)), _) => {
                let rows = Parent::Messages(child.clone());
                match about.shows(&mut besides, &rows, id) {
                    true => child.find_rows(id.borrowed(), &about.keys),
                    false => vec![],
                }
            }
            (None, Some(parent)) => match (&child.internal, is_other(&old)) {
                (Some(internal), _) if !old.has(internal) => not_named(format!(
                    "the key of the row, or the column \"{internal}\", too: an internal row has rules of its own"
                )),
                (_, Some(is_other)) => vec![of_given(&old, parent, is_other)],
                (_, None) => not_named(format!(
                    "the column \"{}\", too: it says of which type the row is",
                    child.row_type.as_ref().map_or("", |of| &of.column)
                )),
            },
            (None, None) => not_named(match &child.id {
                Some(id) => old_columns(id),
                None => old_columns(&child.column),
            }),
        };
        let mut rows = rows;
        let becomes_other = command == Command::Update && is_other(&new) == Some(true);
        let are_others_open = child.row_type.as_ref().is_some_and(|of| of.are_others_open);
        // Of others nothing is asked where they are open.
        let were_there = !rows.is_empty();
        rows.retain(|row| !(row.is_other && are_others_open));
        if were_there
            && rows.is_empty()
            && (command != Command::Update || is_other(&new) != Some(false))
        {
            let of = (child.name(), TableOf::Children);
            return about.explain(of, asked, besides, (true, false), Some(Subject::AnyRow));
        }
        let messages = rows.iter().map(|row| (None, row.message));
        let mut messages: Vec<(Option<RowId>, Message)> = messages.collect();
        let mut parents: Vec<Option<OwnedKey>> = rows.into_iter().map(|row| row.parent).collect();
        // A row of which there is none belongs nowhere.
        if command == Command::Update && were_there {
            if message(&new).is_some_and(|message| message.internal) {
                messages
                    .iter_mut()
                    .for_each(|(_, message)| message.internal = true);
            }
            if becomes_other && !are_others_open {
                parents.push(None);
            } else if new.has(&child.column) && !becomes_other {
                parents.extend(given(&new));
            }
        }
        let follower = |table: &FollowerTable| {
            let row = if command == Command::Insert {
                &new
            } else {
                &old
            };
            let not_given = |column: &str| {
                if command == Command::Delete {
                    not_named(old_columns(column));
                }
            };
            let agent = row.id(Principal::Agent, &table.agent, &about.keys);
            if agent.is_none() {
                not_given(&table.agent);
            }
            let kind = table.kinds.as_ref().and_then(|kinds| {
                let kind = row.text(&kinds.column);
                if kind.is_none() {
                    not_given(&kinds.column);
                }
                kind.flatten()
            });
            (agent.flatten(), table.is_followed_by(kind.as_deref()))
        };
        let action = match (command, about.access()) {
            (Command::Select, _) => Action::View,
            (_, Some(access)) if let Some(followers) = followers => {
                let (agent, follows) = follower(followers);
                follower_action(access, agent, follows)
            }
            (Command::Insert, _) => Action::Change(Change::Reply),
            _ => Action::Change(Change::EditMessages),
        };
        let above = about.above(&mut besides, &child.parent, action, parents);
        let mut is_seen = true;
        let tickets = above.and_then(|above| {
            messages.extend(above.messages);
            let mut tickets = vec![];
            for id in above.tickets {
                let rows = about.tickets(child.tickets(), &id);
                let sees =
                    |(_, ticket): &(_, Ticket)| about.may(&Subject::Ticket(*ticket, Action::View));
                let by_rules = rows.iter().all(sees);
                is_seen &= about.sees_by_policies(&mut besides, child.tickets(), &id, by_rules);
                if rows.is_empty() {
                    return None;
                }
                let rows = rows.into_iter();
                tickets.extend(rows.map(|(_, ticket)| (row_id(&id), ticket)));
            }
            Some(tickets)
        });
        let author = child.author.as_ref().filter(|_| command == Command::Insert);
        let author = author.map(|column| new.id(Principal::Agent, column, &about.keys).flatten());
        let subject = tickets.map(|tickets| match (command, followers) {
            (Command::Update, Some(_)) => Subject::NotUpdated,
            _ => Subject::Child {
                action,
                tickets,
                messages,
                author,
            },
        });
        let of = (child.name(), TableOf::Children);
        let is_seen = is_seen && subject.is_some();
        about.explain(of, asked, besides, (is_seen, false), subject)
    }

    fn of_shared(self, table: &Rc<SharedTable>) -> Explanation {
        let about = self.about(&with_ticket_tables(table.oid));
        let command = self.command;
        let (old, new) = self.rows(table.oid);
        let mut besides = Besides::default();
        about.add_policies(&mut besides, table.oid, command);
        let new_owner = table.owner.as_ref().and_then(|owner| {
            let owner = new.id(Principal::Agent, owner, &about.keys)?;
            Some(table.owner(owner))
        });
        let mut id = None;
        let mut owners = vec![];
        if command != Command::Insert {
            id = match old.key(&table.id) {
                Some(id) => id,
                None => not_named(old_columns(&table.id)),
            };
            if let Some(id) = &id
                && about.shows_object(&mut besides, table, id)
            {
                owners = about.owners(table, id);
            }
        }
        let is_there = command == Command::Insert || !owners.is_empty();
        match command {
            Command::Insert => owners.push(new_owner.unwrap_or_else(|| table.owner(None))),
            Command::Update if is_there => owners.extend(new_owner),
            _ => {}
        }
        let rights = about.rights();
        let subject = is_there.then(|| Subject::Shared {
            owners,
            is_shared: id
                .as_ref()
                .zip(rights)
                .is_some_and(|(id, rights)| rights.shared(table.oid).now.contains(id.borrowed())),
            is_change: command != Command::Select,
            groups: match &id {
                Some(id) if about.is_told_all => about.loader.groups_shared_with(table, id),
                _ => vec![],
            },
        });
        let asked = Asked::Command {
            command,
            row: id.as_ref().map(row_id),
        };
        let of = (display_name(table.oid), TableOf::Others);
        about.explain(of, asked, besides, (is_there, false), subject)
    }

    fn of_features(self, table: pg_sys::Oid) -> Explanation {
        let about = self.about(&with_ticket_tables(table));
        let command = self.command;
        self.rows(table);
        let mut besides = Besides::default();
        about.add_policies(&mut besides, table, command);
        let asked = Asked::Command { command, row: None };
        let of = (display_name(table), TableOf::Others);
        let subject = Some(Subject::AnyRow);
        about.explain(of, asked, besides, (true, false), subject)
    }

    /// The old and the new row. Raises an error for one that the command does not have.
    fn rows(self, table: pg_sys::Oid) -> (Given, Given) {
        let unwanted = match self.command {
            Command::Insert => Some(&self.old),
            Command::Select | Command::Delete => Some(&self.new),
            Command::Update => None,
        };
        if let Some((Some(_), argument)) = unwanted {
            error::raise(
                PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
                format!("{} has no {argument}", self.command.name()),
                "SELECT and DELETE have an old_row, INSERT has a new_row, and UPDATE has both.",
            );
        }
        let of =
            |(row, argument): Argument, is_new| Given::of(table, row.as_deref(), argument, is_new);
        let is_new = self.command == Command::Insert;
        (of(self.old, false), of(self.new, is_new))
    }
}

/// A table that is about no tickets: to be told of agents by it one must own more, lest anyone make himself one.
fn with_ticket_tables(table: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let mut tables = ticket_tables();
    if !tables.is_empty() {
        tables.push(table);
    }
    tables
}

fn not_named(columns: String) -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
        "old_row does not say which row it is",
        format!("Give {columns}."),
    )
}

fn old_columns(column: &str) -> String {
    format!("the column \"{column}\" in it, for example old_row => '{{\"{column}\": 42}}'")
}
