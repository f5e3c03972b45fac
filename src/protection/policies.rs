//! The policies and the triggers of a protected table.

use std::ffi::CStr;

use deskguard_rules::{Action, Change};
use pgrx::pg_sys;
use pgrx::spi::quote_identifier;

use crate::pg::relation::display_name;
use crate::pg::scan::{ScanKey, scan_system};
use crate::protection::features;
use crate::tables::catalog::{Catalog, own_function, own_function_name};
use crate::tables::child_table::{ChildTable, Parent};
use crate::tables::registry::{FEATURE, children_of, features_of, kind_of};
use crate::tables::rule_function::RuleFunction;
use crate::tables::shared_table::SharedTable;
use crate::tables::ticket_table::{FollowerTable, TicketTable};

/// The policy that opens a table, and those that close it again.
pub const BASE: &str = "deskguard_base";

const RULES: [&str; 10] = [
    features::COMMANDS[0].1,
    features::COMMANDS[1].1,
    features::COMMANDS[2].1,
    features::COMMANDS[3].1,
    features::COMMANDS[4].1,
    "deskguard_silo",
    "deskguard_view",
    "deskguard_create",
    "deskguard_modify",
    "deskguard_delete",
];

/// A trigger that deskguard puts on tables.
pub struct Trigger {
    pub name: &'static str,
    pub event: &'static str,
    pub condition: String,
    pub function: &'static CStr,
    /// As in pg_trigger.tgtype.
    kind: u32,
    has_condition: bool,
    /// Also for what is replicated.
    pub always: bool,
}

impl Trigger {
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Is it this one, and does it fire?
    pub fn is_on(&self, trigger: &pg_sys::Trigger) -> bool {
        own_function(self.function, &[]) == Some(trigger.tgfoid)
            && trigger.tgtype as u32 == self.kind
            && trigger.tgnattr == 0
            && trigger.tgqual.is_null() != self.has_condition
            && (trigger.tgenabled as u8 == ALWAYS
                || trigger.tgenabled as u8 == ORIGIN && !self.always)
    }
}

/// As in pg_trigger.tgenabled.
pub const ALWAYS: u8 = b'A';

pub const ORIGIN: u8 = b'O';

const UPDATE: &str = "deskguard_update";

const SHARED_DELETE: &str = "deskguard_shared_delete";

const SHARED_UPDATE: &str = "deskguard_shared_update";

const SHARED_TRUNCATE: &str = "deskguard_shared_truncate";

const NOTE_TICKET: &CStr = c"note_ticket";

const OBJECT_GONE: &CStr = c"object_gone";

/// Does a trigger of a protected table with this function fire for what is replicated, too? None if it is
/// not one of deskguard's.
pub fn fires_always(function: pg_sys::Oid) -> Option<bool> {
    let name = own_function_name(function)?;
    match name.as_c_str() {
        name if name == NOTE_TICKET => Some(false),
        name if name == OBJECT_GONE => Some(true),
        _ => None,
    }
}

/// A trigger that forgets with whom objects were shared that are gone, however they go.
fn object_gone(name: &'static str, event: &'static str, condition: &str, kind: u32) -> Trigger {
    Trigger {
        name,
        event,
        condition: condition.into(),
        function: OBJECT_GONE,
        kind,
        has_condition: condition.contains(" WHEN "),
        always: true,
    }
}

/// The triggers of a table that a partition has from its partitioned table.
pub fn row_triggers(protection: &Protection) -> Vec<Trigger> {
    use pg_sys::{TRIGGER_TYPE_BEFORE, TRIGGER_TYPE_DELETE, TRIGGER_TYPE_ROW, TRIGGER_TYPE_UPDATE};
    match protection {
        Protection::Tickets(_) => vec![Trigger {
            name: UPDATE,
            event: "BEFORE UPDATE",
            condition: "FOR EACH ROW".into(),
            function: NOTE_TICKET,
            kind: TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE | TRIGGER_TYPE_UPDATE,
            has_condition: false,
            always: false,
        }],
        Protection::Shared(shared) => {
            let id = quote_identifier(&shared.id);
            let moved = format!(
                "FOR EACH ROW WHEN ((OLD.{id} OPERATOR(pg_catalog.=) NEW.{id}) IS NOT TRUE)"
            );
            let (deleted, updated) = (
                TRIGGER_TYPE_ROW | TRIGGER_TYPE_DELETE,
                TRIGGER_TYPE_ROW | TRIGGER_TYPE_UPDATE,
            );
            vec![
                object_gone(SHARED_DELETE, "AFTER DELETE", "FOR EACH ROW", deleted),
                object_gone(SHARED_UPDATE, "AFTER UPDATE", &moved, updated),
            ]
        }
        _ => vec![],
    }
}

/// The triggers that each table has for itself.
pub fn statement_triggers(protection: &Protection) -> Vec<Trigger> {
    match protection {
        Protection::Shared(_) => vec![object_gone(
            SHARED_TRUNCATE,
            "AFTER TRUNCATE",
            "FOR EACH STATEMENT",
            pg_sys::TRIGGER_TYPE_TRUNCATE,
        )],
        _ => vec![],
    }
}

/// How a table is protected. Partitions and child tables have the columns of their root.
pub enum Protection<'a> {
    Tickets(&'a TicketTable),
    Followers(&'a FollowerTable),
    Messages(&'a ChildTable),
    Shared(&'a SharedTable),
    /// By nothing but features, which tables that are protected otherwise may have, too.
    Feature(pg_sys::Oid),
}

impl Protection<'_> {
    pub fn root(&self) -> pg_sys::Oid {
        match self {
            Protection::Tickets(table) => table.oid,
            Protection::Followers(table) => table.oid,
            Protection::Messages(table) => table.oid,
            Protection::Shared(table) => table.oid,
            Protection::Feature(table) => *table,
        }
    }

    /// Do rows of other tables belong to its rows?
    pub fn has_children(&self) -> bool {
        !children_of(&Catalog::now(), self.root()).is_empty()
    }

    /// The policies that close a table: name, command and expressions. Messages that are a parent of others
    /// have more of it.
    fn policies(
        &self,
        table: pg_sys::Oid,
        is_parent: bool,
    ) -> Vec<(&'static str, &'static str, String)> {
        match self {
            Protection::Tickets(tickets) => {
                let may = |action| tickets.call(RuleFunction::Ticket(action), table);
                let view = may(Action::View);
                let modify = may(Action::Change(Change::Modify));
                let delete = may(Action::Change(Change::Delete));
                // The new row may be one that the agent cannot modify any more.
                let updated = tickets.call(RuleFunction::UpdateTicket, table);
                let create = tickets.call(RuleFunction::CreateTicket, table);
                let new_id = tickets.call(RuleFunction::NewId, table);
                let mut policies = vec![
                    ("deskguard_view", "SELECT", format!("USING ({view})")),
                    (
                        "deskguard_create",
                        "INSERT",
                        format!("WITH CHECK ({create} AND {new_id})"),
                    ),
                    (
                        "deskguard_modify",
                        "UPDATE",
                        format!("USING ({modify}) WITH CHECK ({updated})"),
                    ),
                    ("deskguard_delete", "DELETE", format!("USING ({delete})")),
                ];
                if let Some(silo) = tickets.silo_call(table) {
                    policies.push(("deskguard_silo", "ALL", format!("USING ({silo})")));
                }
                policies
            }
            Protection::Followers(followers) => {
                let seen = followers.call(RuleFunction::ParentSeen, table);
                let change = followers.call(RuleFunction::Follower, table);
                vec![
                    ("deskguard_view", "SELECT", format!("USING ({seen})")),
                    (
                        "deskguard_create",
                        "INSERT",
                        format!("WITH CHECK ({change})"),
                    ),
                    ("deskguard_modify", "UPDATE", "USING (false)".into()),
                    ("deskguard_delete", "DELETE", format!("USING ({change})")),
                ]
            }
            Protection::Messages(messages) => {
                let seen = messages.call(RuleFunction::ParentSeen, table);
                let reply = messages.call(RuleFunction::ParentReply, table);
                let edit = messages.call(RuleFunction::ParentEdit, table);
                let is_reply = matches!(messages.parent, Parent::Tickets(_));
                let mut create = if is_reply || messages.author.is_some() {
                    let new_message = messages.call(RuleFunction::NewMessage, table);
                    format!("{reply} AND {new_message}")
                } else {
                    reply
                };
                let mut updated = edit.clone();
                // Only then, since a column in a policy cannot be altered.
                if is_parent && messages.id.is_some() {
                    let new_id = messages.call(RuleFunction::NewId, table);
                    let updated_id = messages.call(RuleFunction::UpdatedId, table);
                    create = format!("{create} AND {new_id}");
                    updated = format!("{edit} AND {updated_id}");
                }
                vec![
                    ("deskguard_view", "SELECT", format!("USING ({seen})")),
                    (
                        "deskguard_create",
                        "INSERT",
                        format!("WITH CHECK ({create})"),
                    ),
                    // Of the row before and of the row after.
                    (
                        "deskguard_modify",
                        "UPDATE",
                        format!("USING ({edit}) WITH CHECK ({updated})"),
                    ),
                    ("deskguard_delete", "DELETE", format!("USING ({edit})")),
                ]
            }
            Protection::Shared(shared) => {
                let seen = shared.call(RuleFunction::SharedSeen, table);
                let change = shared.call(RuleFunction::SharedChange, table);
                let new_id = shared.call(RuleFunction::NewId, table);
                vec![
                    ("deskguard_view", "SELECT", format!("USING ({seen})")),
                    (
                        "deskguard_create",
                        "INSERT",
                        format!("WITH CHECK ({change} AND {new_id})"),
                    ),
                    // Of the row as it was, and of what becomes of it.
                    ("deskguard_modify", "UPDATE", format!("USING ({change})")),
                    ("deskguard_delete", "DELETE", format!("USING ({change})")),
                ]
            }
            Protection::Feature(_) => vec![],
        }
    }
}

/// Is this the name of a policy that deskguard makes?
pub fn is_policy_name(name: &str) -> bool {
    std::iter::once(BASE).chain(RULES).any(|own| own == name)
}

pub mod pg_policy {
    pub const TABLE: u32 = 3256;
    pub const BY_OID: u32 = 3257;
    pub const BY_RELATION: u32 = 3258;
    pub const OID: i16 = 1;
    pub const NAME: i16 = 2;
    pub const RELATION: i16 = 3;
    pub const PERMISSIVE: i16 = 5;
    pub const USING: i16 = 7;
}

/// Has the owner a policy that opens the table, too?
pub fn has_own_permissive_policy(table: pg_sys::Oid) -> bool {
    let mut found = false;
    // SAFETY: a catalog with its index.
    unsafe {
        let keys = [ScanKey::oid(pg_policy::RELATION, table)];
        scan_system((pg_policy::TABLE, pg_policy::BY_RELATION), &keys, |row| {
            found |= row.required::<bool>(pg_policy::PERMISSIVE)
                && row.required::<&CStr>(pg_policy::NAME).to_bytes() != BASE.as_bytes();
        });
    }
    found
}

/// The table of a policy, and its name.
pub fn policy(oid: pg_sys::Oid) -> Option<(pg_sys::Oid, String)> {
    let mut found = None;
    // SAFETY: a catalog with its index.
    unsafe {
        let keys = [ScanKey::oid(pg_policy::OID, oid)];
        scan_system((pg_policy::TABLE, pg_policy::BY_OID), &keys, |row| {
            let name: &CStr = row.required(pg_policy::NAME);
            let name = name.to_string_lossy().into_owned();
            found = Some((row.required(pg_policy::RELATION), name));
        });
    }
    found
}

/// # Safety
/// Not used after the relation is closed, or changed.
pub unsafe fn triggers(relation: &pg_sys::RelationData) -> &[pg_sys::Trigger] {
    // SAFETY: there are so many triggers, which stay as long as the caller promises.
    unsafe {
        match relation.trigdesc.as_ref() {
            Some(all) if all.numtriggers > 0 => {
                std::slice::from_raw_parts(all.triggers, all.numtriggers as usize)
            }
            _ => &[],
        }
    }
}

/// The commands that create the policies which close a table: name and command.
pub fn rule_policies(
    catalog: &Catalog,
    protection: &Protection,
    table: pg_sys::Oid,
    is_parent: bool,
) -> Vec<(&'static str, String)> {
    let name = display_name(table);
    let mut policies = protection.policies(table, is_parent);
    policies.extend(features::policies(&features_of(catalog, protection.root())));
    let command = |(policy, command, expressions)| {
        let sql =
            format!("CREATE POLICY {policy} ON {name} AS RESTRICTIVE FOR {command} {expressions}");
        (policy, sql)
    };
    policies.into_iter().map(command).collect()
}

/// Calls `then` with how a table is protected that was given to be protected; not if that is gone.
pub fn with_protection<T>(
    catalog: &Catalog,
    root: pg_sys::Oid,
    then: impl FnOnce(&Protection) -> T,
) -> Option<T> {
    if let Some(tickets) = TicketTable::find(catalog, root) {
        Some(then(&Protection::Tickets(&tickets)))
    } else if let Some(followers) =
        TicketTable::find_by_followers(catalog, root).and_then(|table| table.followers)
    {
        Some(then(&Protection::Followers(&followers)))
    } else if let Some(messages) = ChildTable::find(catalog, root) {
        Some(then(&Protection::Messages(&messages)))
    } else if let Some(shared) = SharedTable::find(catalog, root) {
        Some(then(&Protection::Shared(&shared)))
    } else if kind_of(catalog, root).as_deref() == Some(FEATURE) {
        Some(then(&Protection::Feature(root)))
    } else {
        None
    }
}
