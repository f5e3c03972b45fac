//! The policies and the triggers of a protected table.

use std::ffi::CStr;

use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_identifier};
use pgrx::{PgRelation, pg_sys};

use super::feature;
use super::registry::features_of;
use crate::catalog::{Catalog, ScanKey, own_function, own_function_name, scan_system};
use crate::child_table::{ChildTable, Parent};
use crate::expression::is_constant;
use crate::external_key::Principal;
use crate::protected::{
    FollowerTable, TicketTable, display_name, id_call, key_expression, principal_expression,
    protected_table, regclass,
};
use crate::shared::SharedTable;

/// The policy that opens a table, and those that close it again.
const BASE: &str = "deskguard_base";
const RULES: [&str; 10] = [
    feature::COMMANDS[0].1,
    feature::COMMANDS[1].1,
    feature::COMMANDS[2].1,
    feature::COMMANDS[3].1,
    feature::COMMANDS[4].1,
    "deskguard_silo",
    "deskguard_view",
    "deskguard_create",
    "deskguard_modify",
    "deskguard_delete",
];
/// Follows the name of a trigger on a partition that was detached and has lost the former; another
/// name, since the partition could not be attached again otherwise.
const DETACHED: &str = "_detached";

/// A trigger that deskguard puts on tables.
pub struct Trigger {
    name: &'static str,
    event: &'static str,
    condition: String,
    function: &'static CStr,
    /// As in pg_trigger.tgtype.
    kind: u32,
    has_condition: bool,
    /// Also for what is replicated.
    always: bool,
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
    match own_function_name(function)? {
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
        let key = ScanKey::oid(protected_table::PARENT_TABLE, self.root());
        let index = c"protected_table_parent_table_idx";
        Catalog::now()
            .find(c"protected_table", index, &[key], |_| ())
            .is_some()
    }

    /// The policies that close a table: name, command and expressions. Messages that are a parent of others
    /// have more of it.
    fn policies(
        &self,
        table: pg_sys::Oid,
        is_parent: bool,
    ) -> Vec<(&'static str, &'static str, String)> {
        let this = regclass(table);
        match self {
            Protection::Tickets(tickets) => {
                let view = tickets.action_call("view_ok", table);
                let modify = tickets.action_call("modify_ok", table);
                let delete = tickets.action_call("delete_ok", table);
                // The new row may be one that the agent cannot modify any more.
                let updated = tickets.update_call(table);
                let create = tickets.create_call(table);
                let new_id = id_call("new_id_ok", table, tickets.oid, &tickets.id);
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
                let ticket = key_expression(followers.oid, &followers.ticket);
                let agent =
                    principal_expression(followers.oid, Some(&followers.agent), Principal::Agent);
                let change = format!("deskguard_internal.follower_ok({this}, {ticket}, {agent})");
                // The column as it is, so that its index is found.
                let seen = format!(
                    "deskguard_internal.parent_seen({this}, {})",
                    quote_identifier(&followers.ticket)
                );
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
                let seen = messages.call("parent_seen", table);
                let reply = messages.call("parent_reply_ok", table);
                let edit = messages.call("parent_edit_ok", table);
                let is_reply = matches!(messages.parent, Parent::Tickets(_));
                let mut create = if is_reply || messages.author.is_some() {
                    format!(
                        "{reply} AND deskguard_internal.new_message_ok({this}, {}, {})",
                        key_expression(messages.oid, &messages.column),
                        principal_expression(
                            messages.oid,
                            messages.author.as_deref(),
                            Principal::Agent
                        )
                    )
                } else {
                    reply
                };
                let mut updated = edit.clone();
                // Only then, since a column in a policy cannot be altered.
                if let Some(id) = messages.id.as_ref().filter(|_| is_parent) {
                    let asks = |function| id_call(function, table, messages.oid, id);
                    create = format!("{create} AND {}", asks("new_id_ok"));
                    updated = format!("{edit} AND {}", asks("updated_id_ok"));
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
                let id = key_expression(shared.oid, &shared.id);
                let owner =
                    principal_expression(shared.oid, shared.owner.as_deref(), Principal::Agent);
                let change = format!("deskguard_internal.shared_ok({this}, {owner})");
                let new_id = id_call("new_id_ok", table, shared.oid, &shared.id);
                vec![
                    (
                        "deskguard_view",
                        "SELECT",
                        format!("USING (deskguard_internal.shared_seen({this}, {id}, {owner}))"),
                    ),
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

pub fn add_triggers(protection: &Protection, table: pg_sys::Oid) -> Result<(), SpiError> {
    // SAFETY: a look-up in the system cache.
    let is_partition = unsafe { pg_sys::get_rel_relispartition(table) };
    let mut triggers = statement_triggers(protection);
    // PostgreSQL gives a partition the others of its partitioned table.
    if !is_partition {
        triggers.extend(row_triggers(protection));
    }
    triggers
        .iter()
        .try_for_each(|trigger| create_trigger(trigger, false, table))
}

pub fn create_trigger(
    trigger: &Trigger,
    is_detached: bool,
    table: pg_sys::Oid,
) -> Result<(), SpiError> {
    let name = format!(
        "{}{}",
        trigger.name,
        if is_detached { DETACHED } else { "" }
    );
    let table = display_name(table);
    Spi::run(&format!(
        "CREATE TRIGGER {name} {} ON {table} {} EXECUTE FUNCTION deskguard_internal.{}()",
        trigger.event,
        trigger.condition,
        trigger.function.to_string_lossy(),
    ))?;
    if trigger.always {
        Spi::run(&format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"))?;
    }
    Ok(())
}

/// Drops the policies and triggers that deskguard put on a table, those that are there.
pub fn drop_policies(table: pg_sys::Oid) -> Result<(), SpiError> {
    let name = display_name(table);
    for policy in own_policies(table) {
        Spi::run(&format!(
            "DROP POLICY {} ON {name}",
            quote_identifier(policy)
        ))?;
    }
    for trigger in own_triggers(table) {
        Spi::run(&format!(
            "DROP TRIGGER {} ON {name}",
            quote_identifier(trigger)
        ))?;
    }
    Ok(())
}

/// Is this the name of a policy that deskguard makes?
pub fn is_policy_name(name: &str) -> bool {
    std::iter::once(BASE).chain(RULES).any(|own| own == name)
}

mod pg_policy {
    pub const TABLE: u32 = 3256;
    pub const BY_OID: u32 = 3257;
    pub const BY_RELATION: u32 = 3258;
    pub const OID: i16 = 1;
    pub const NAME: i16 = 2;
    pub const RELATION: i16 = 3;
    pub const PERMISSIVE: i16 = 5;
    pub const USING: i16 = 7;
}

mod pg_depend {
    pub const TABLE: u32 = 2608;
    pub const BY_DEPENDER: u32 = 2673;
    pub const CLASS: i16 = 1;
    pub const OBJECT: i16 = 2;
    pub const REFERENCED_CLASS: i16 = 4;
    pub const REFERENCED: i16 = 5;
}

const PG_PROC: pg_sys::Oid = pg_sys::Oid::from_u32(1255);

/// The policies of a table that deskguard made: not one of the user's own that has the name of one of them.
/// Told by what they call, and not by how that is printed, which depends on search_path.
fn own_policies(table: pg_sys::Oid) -> Vec<String> {
    let mut named = vec![];
    // SAFETY: a catalog with its index; the text of a policy is a tree that PostgreSQL wrote.
    unsafe {
        let keys = [ScanKey::oid(pg_policy::RELATION, table)];
        scan_system((pg_policy::TABLE, pg_policy::BY_RELATION), &keys, |row| {
            let name: &CStr = row.required(pg_policy::NAME);
            let name = name.to_string_lossy().into_owned();
            if is_policy_name(&name) {
                let is_never = !row.required::<bool>(pg_policy::PERMISSIVE)
                    && row
                        .get::<&str>(pg_policy::USING)
                        .and_then(|tree| std::ffi::CString::new(tree).ok())
                        .is_some_and(|tree| {
                            is_constant(pg_sys::stringToNode(tree.as_ptr()).cast(), false)
                        });
                named.push((name, row.required::<pg_sys::Oid>(pg_policy::OID), is_never));
            }
        });
        named.retain(|(_, policy, is_never)| *is_never || calls_deskguard(*policy));
    }
    named.into_iter().map(|(name, ..)| name).collect()
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

fn calls_deskguard(policy: pg_sys::Oid) -> bool {
    let mut calls = false;
    // SAFETY: a catalog with its index.
    unsafe {
        let extension = pg_sys::get_extension_oid(c"deskguard".as_ptr(), true);
        let keys = [
            ScanKey::oid(pg_depend::CLASS, pg_policy::TABLE.into()),
            ScanKey::oid(pg_depend::OBJECT, policy),
        ];
        scan_system((pg_depend::TABLE, pg_depend::BY_DEPENDER), &keys, |row| {
            calls |= row.required::<pg_sys::Oid>(pg_depend::REFERENCED_CLASS) == PG_PROC
                && extension != pg_sys::InvalidOid
                && pg_sys::getExtensionOfObject(PG_PROC, row.required(pg_depend::REFERENCED))
                    == extension;
        });
    }
    calls
}

/// The triggers of a table that deskguard made, without those that a partition has from the table above.
fn own_triggers(table: pg_sys::Oid) -> Vec<String> {
    // SAFETY: the relation is open; its triggers belong to its entry in the cache.
    unsafe {
        let relation = PgRelation::with_lock(table, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
        triggers(&relation)
            .iter()
            .filter(|trigger| !trigger.tgisclone && fires_always(trigger.tgfoid).is_some())
            .map(|trigger| {
                CStr::from_ptr(trigger.tgname)
                    .to_string_lossy()
                    .into_owned()
            })
            .filter(|name| name.starts_with("deskguard_"))
            .collect()
    }
}

/// # Safety
/// Not used after the relation is closed, or changed.
pub unsafe fn triggers(relation: &pg_sys::RelationData) -> &[pg_sys::Trigger] {
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
    policies.extend(feature::policies(&features_of(catalog, protection.root())));
    let command = |(policy, command, expressions)| {
        let sql =
            format!("CREATE POLICY {policy} ON {name} AS RESTRICTIVE FOR {command} {expressions}");
        (policy, sql)
    };
    policies.into_iter().map(command).collect()
}

/// Creates the policies of a table: those that close it, and the one that opens it while they are all
/// there, if it is not opened by policies of its own already.
pub fn create_policies(
    protection: &Protection,
    table: pg_sys::Oid,
    open: bool,
) -> Result<(), SpiError> {
    for (_, sql) in rule_policies(
        &Catalog::now(),
        protection,
        table,
        protection.has_children(),
    ) {
        Spi::run(&sql)?;
    }
    if open {
        Spi::run(&format!(
            "CREATE POLICY {BASE} ON {} USING (deskguard_internal.base_ok({}))",
            display_name(table),
            regclass(table)
        ))?;
    }
    Ok(())
}
