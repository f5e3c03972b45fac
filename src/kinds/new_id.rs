//! May a row get this id? What is asked of rows that agents write.
//!
//! What belongs to an id, as messages, followers and with whom an object is shared, is there for who may
//! see all rows that have it. A foreign key sees to it that nothing is left of a row that is gone, and a
//! unique index that there is no second row. Where one of them is missing, an agent must not write a row
//! with an id that stands for something already, nor be given one that somebody has prepared.

use std::rc::Rc;

use deskguard_rules::{Action, Change, Permission, Relation};
use pgrx::prelude::*;

use crate::pg::call_info::CallInfo;
use crate::pg::error;
use crate::pg::relation::{display_name, hold, table_name};
use crate::pg::unique::is_unique;
use crate::protection::whole;
use crate::rights::cache::Agent;
use crate::rights::call_site::{Site, at_site};
use crate::rights::known_tables;
use crate::rights::owner_sql::as_of_now;
use crate::rights::statement::Statement;
use crate::rows::allowed::Allowed;
use crate::tables::catalog::Catalog;
use crate::tables::child_table::{ChildTable, Parent};
use crate::tables::foreign_keys;
use crate::tables::key::{KeyRef, KeyType};
use crate::tables::key_functions::for_key_types;
use crate::tables::shared_table::SharedTable;

/// What may stand in the way of an id.
pub enum NewId {
    /// Nothing: the keys of the tables see to it.
    Free,
    Parent {
        parent: Parent,
        is_unique: bool,
        /// Those without a foreign key.
        children: Vec<ChildTable>,
    },
    /// Objects whose id is not unique.
    Shared(Rc<SharedTable>),
}

impl NewId {
    /// Of a protected table, or a part of one; none if it is not protected. It is kept until something
    /// changes of the tables, their indexes and their foreign keys.
    pub fn of_table(table: pg_sys::Oid) -> Option<Rc<NewId>> {
        known_tables::held(
            || known_tables::of_table(table, |catalog| NewId::find(catalog, table)),
            NewId::named,
        )
    }

    fn find(catalog: &Catalog, table: pg_sys::Oid) -> Option<NewId> {
        if let Some(shared) = known_tables::shared_table(table) {
            whole::watch(shared.oid);
            return Some(if is_unique(shared.oid, &shared.id) {
                NewId::Free
            } else {
                NewId::Shared(shared)
            });
        }
        let parent = match known_tables::ticket_table(table) {
            Some(tickets) => Parent::Tickets(tickets),
            None => Parent::Messages(known_tables::child_table(table)?),
        };
        let mut children = parent.children(catalog);
        whole::watch(parent.oid());
        children.iter().for_each(|child| whole::watch(child.oid));
        // Nothing is left in one that is dropped at this moment.
        children.iter().for_each(|child| hold(child.oid));
        children.retain(|child| table_name(child.oid).is_some() && !foreign_keys::keeps(child));
        Some(if children.is_empty() {
            NewId::Free
        } else {
            NewId::Parent {
                is_unique: parent.has_unique_ids(),
                parent,
                children,
            }
        })
    }

    /// The tables of which it has names.
    fn named(&self) -> Vec<pg_sys::Oid> {
        match self {
            NewId::Free => vec![],
            NewId::Parent {
                parent, children, ..
            } => {
                let children = children.iter().map(|child| child.oid);
                parent.named().into_iter().chain(children).collect()
            }
            NewId::Shared(table) => vec![table.oid],
        }
    }

    /// Refuses an id that a row must not get.
    pub fn check(&self, statement: &Statement, access: &Rc<Agent>, id: KeyRef) {
        match self {
            NewId::Free => {}
            NewId::Parent {
                parent,
                is_unique,
                children,
            } => {
                if !is_unique && as_of_now(|| parent.has_row(id)) {
                    refuse(
                        parent.oid(),
                        id,
                        "there is a row with that id, and no unique index on the id alone that forbids a second".into(),
                        "Take another id; what belongs to an id, as messages and followers, belongs to all its rows. To change the row that is there, use UPDATE or MERGE, not ON CONFLICT.".into(),
                    );
                }
                let left = children
                    .iter()
                    .find(|child| as_of_now(|| child.has_row_of(id)));
                // Those of a row that is there and can be seen. The index refuses a second one.
                let seen = || Allowed::of_statement(statement, access, parent, Action::View);
                let is_seen = || *is_unique && seen().contains(id);
                if let Some(left) = left.filter(|_| !is_seen()) {
                    let (child, parent) = (left.name(), parent.oid());
                    refuse(
                        parent,
                        id,
                        format!("{child} has rows that belong to that id already"),
                        format!(
                            "Take another id. With a foreign key from {child} to {} nothing is left of a row that is gone.",
                            display_name(parent)
                        ),
                    );
                }
            }
            NewId::Shared(table) => {
                if table.has_visibility(id) {
                    refuse(
                        table.oid,
                        id,
                        "an object with that id is shared, and no unique index on the id alone forbids a second".into(),
                        "Take another id: an object is shared by its id.".into(),
                    );
                }
            }
        }
    }
}

/// What the ids of a protected table are; none if nothing refers to its rows.
fn key_type(table: pg_sys::Oid) -> Option<KeyType> {
    if let Some(shared) = known_tables::shared_table(table) {
        return Some(shared.id_type);
    }
    if let Some(tickets) = known_tables::ticket_table(table) {
        return Some(tickets.id_type);
    }
    let messages = known_tables::child_table(table)?;
    KeyType::of_column(messages.oid, messages.id.as_deref()?)
}

fn refuse(table: pg_sys::Oid, id: KeyRef, why: String, hint: String) -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "a row of {} must not get the id {id}: {why}",
            display_name(table)
        ),
        hint,
    )
}

/// May the agent write rows of this table at all? Who may not learns nothing of its ids.
fn may_write(access: &Agent, table: &NewId) -> bool {
    match table {
        NewId::Free | NewId::Shared(_) => true,
        NewId::Parent { parent, .. } => match parent {
            Parent::Tickets(_) => access.has_somewhere(Permission::Create),
            Parent::Messages(_) => [Change::Reply, Change::EditMessages]
                .into_iter()
                .flat_map(|change| Relation::ALL.map(|relation| Permission::On(change, relation)))
                .any(|permission| access.has_somewhere(permission)),
        },
    }
}

struct Call {
    statement: Rc<Statement>,
    /// None: nobody, or a table that is not protected (any more). Then no row passes.
    who: Option<(Rc<Agent>, Rc<NewId>)>,
    key_type: Option<KeyType>,
}

impl Call {
    fn of(fcinfo: CallInfo<'_>, table: Option<pg_sys::Oid>) -> Site<'_, Call> {
        at_site(fcinfo, table, |statement| Call {
            statement: statement.clone(),
            who: statement
                .rights
                .clone()
                .zip(table.and_then(NewId::of_table)),
            key_type: table.and_then(key_type),
        })
    }
}

fn is_new_id_ok(
    fcinfo: CallInfo,
    table: Option<pg_sys::Oid>,
    id: Option<KeyRef>,
    is_kept: impl Fn(&Call, KeyRef) -> bool,
) -> bool {
    let call = Call::of(fcinfo, table);
    let Some((access, table)) = &call.who else {
        return false;
    };
    // Nothing belongs to what has no id.
    let Some(id) = id else {
        return true;
    };
    if call.key_type != Some(id.key_type()) {
        return false;
    }
    if matches!(**table, NewId::Free) || is_kept(&call, id) {
        return true;
    }
    if !may_write(access, table) {
        return false;
    }
    table.check(&call.statement, access, id);
    true
}

/// Is this the id of a row that is there and that the agent may change? Then an update may have kept it.
fn is_changeable(call: &Call, id: KeyRef) -> bool {
    const EDIT: Action = Action::Change(Change::EditMessages);
    let Some((access, new_id)) = &call.who else {
        return false;
    };
    match &**new_id {
        NewId::Parent { parent, .. } => {
            Allowed::of_statement(&call.statement, access, parent, EDIT).contains(id)
        }
        NewId::Free | NewId::Shared(_) => false,
    }
}

for_key_types!(
    |$name, $key| [new_id_ok, new_id_ok_uuid, new_id_ok_text] =>
    #[pg_extern(sql = false)]
    fn $name(protected_table: Option<pg_sys::Oid>, id: Option<$key>, fcinfo: CallInfo) -> bool {
        is_new_id_ok(fcinfo, protected_table, id.map(KeyRef::from), |_, _| false)
    }
);

for_key_types!(
    |$name, $key| [updated_id_ok, updated_id_ok_uuid, updated_id_ok_text] =>
    #[pg_extern(sql = false)]
    fn $name(message_table: Option<pg_sys::Oid>, id: Option<$key>, fcinfo: CallInfo) -> bool {
        is_new_id_ok(fcinfo, message_table, id.map(KeyRef::from), is_changeable)
    }
);
