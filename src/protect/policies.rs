//! The policies and the trigger of a protected table.

use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_identifier};

use super::feature;
use super::registry::features_of;
use crate::catalog::{Catalog, ScanKey};
use crate::child_table::{ChildTable, Parent};
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
    function: &'static str,
    /// Also for what is replicated.
    always: bool,
}

const UPDATE: &str = "deskguard_update";
const SHARED_DELETE: &str = "deskguard_shared_delete";
const SHARED_UPDATE: &str = "deskguard_shared_update";
const SHARED_TRUNCATE: &str = "deskguard_shared_truncate";

/// A trigger that forgets with whom objects were shared that are gone, however they go.
fn object_gone(name: &'static str, event: &'static str, condition: &str) -> Trigger {
    Trigger {
        name,
        event,
        condition: condition.into(),
        function: "object_gone",
        always: true,
    }
}

/// The triggers of a table that a partition has from its partitioned table.
pub fn row_triggers(protection: &Protection) -> Vec<Trigger> {
    match protection {
        Protection::Tickets(_) => vec![Trigger {
            name: UPDATE,
            event: "BEFORE UPDATE",
            condition: "FOR EACH ROW".into(),
            function: "note_ticket",
            always: false,
        }],
        Protection::Shared(shared) => {
            let id = quote_identifier(&shared.id);
            let moved = format!(
                "FOR EACH ROW WHEN ((OLD.{id} OPERATOR(pg_catalog.=) NEW.{id}) IS NOT TRUE)"
            );
            vec![
                object_gone(SHARED_DELETE, "AFTER DELETE", "FOR EACH ROW"),
                object_gone(SHARED_UPDATE, "AFTER UPDATE", &moved),
            ]
        }
        _ => vec![],
    }
}

/// The triggers that each table has for itself.
fn statement_triggers(protection: &Protection) -> Vec<Trigger> {
    match protection {
        Protection::Shared(_) => vec![object_gone(
            SHARED_TRUNCATE,
            "AFTER TRUNCATE",
            "FOR EACH STATEMENT",
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
    fn has_children(&self) -> bool {
        let key = ScanKey::oid(protected_table::PARENT_TABLE, self.root());
        let index = c"protected_table_parent_table_idx";
        Catalog::now()
            .find(c"protected_table", index, &[key], |_| ())
            .is_some()
    }

    /// The policies that close a table: name, command and expressions.
    fn policies(&self, table: pg_sys::Oid) -> Vec<(&'static str, &'static str, String)> {
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
                let change = format!("deskguard.follower_ok({this}, {ticket}, {agent})");
                // The column as it is, so that its index is found.
                let seen = format!(
                    "deskguard.parent_seen({this}, {})",
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
                        "{reply} AND deskguard.new_message_ok({this}, {}, {})",
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
                if let Some(id) = messages.id.as_ref().filter(|_| self.has_children()) {
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
                let change = format!("deskguard.shared_ok({this}, {owner})");
                let new_id = id_call("new_id_ok", table, shared.oid, &shared.id);
                vec![
                    (
                        "deskguard_view",
                        "SELECT",
                        format!("USING (deskguard.shared_seen({this}, {id}, {owner}))"),
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
        "CREATE TRIGGER {name} {} ON {table} {} EXECUTE FUNCTION deskguard.{}()",
        trigger.event, trigger.condition, trigger.function,
    ))?;
    if trigger.always {
        Spi::run(&format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"))?;
    }
    Ok(())
}

/// Drops the policies and triggers that deskguard puts on tables, those that are there.
pub fn drop_policies(table: pg_sys::Oid) -> Result<(), SpiError> {
    let name = display_name(table);
    for policy in std::iter::once(BASE).chain(RULES) {
        if policy_oid(table, policy, Whose::Deskguards)?.is_some() {
            Spi::run(&format!("DROP POLICY {policy} ON {name}"))?;
        }
    }
    for trigger in [UPDATE, SHARED_DELETE, SHARED_UPDATE, SHARED_TRUNCATE]
        .into_iter()
        .flat_map(|name| [name.to_string(), format!("{name}{DETACHED}")])
    {
        let is_there = Spi::get_one_with_args::<bool>(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger
                            WHERE tgrelid OPERATOR(pg_catalog.=) $1
                              AND tgname OPERATOR(pg_catalog.=) $2::pg_catalog.name
                              AND tgparentid OPERATOR(pg_catalog.=) 0::pg_catalog.oid)",
            &[table.into(), trigger.as_str().into()],
        )?;
        if is_there == Some(true) {
            Spi::run(&format!("DROP TRIGGER {trigger} ON {name}"))?;
        }
    }
    Ok(())
}

/// Makes the policy that opens a table depend on those that close it: whatever drops one of them,
/// DROP EXTENSION ... CASCADE for one, leaves the table closed and not open.
#[pg_extern(sql = false)]
fn tie_policies(protected_table: pg_sys::Oid) -> Result<(), SpiError> {
    const POLICY_RELATION_ID: pg_sys::Oid = pg_sys::Oid::from_u32(3256);
    let address = |oid| pg_sys::ObjectAddress {
        classId: POLICY_RELATION_ID,
        objectId: oid,
        objectSubId: 0,
    };
    let Some(base) = policy_oid(protected_table, BASE, Whose::Any)?.map(address) else {
        return Ok(());
    };
    for name in RULES {
        let Some(rule) = policy_oid(protected_table, name, Whose::Any)?.map(address) else {
            continue;
        };
        let auto = pg_sys::DependencyType::DEPENDENCY_AUTO;
        // SAFETY: writes pg_depend; both policies exist.
        unsafe {
            pg_sys::deleteDependencyRecordsForSpecific(
                base.classId,
                base.objectId,
                auto as std::ffi::c_char,
                rule.classId,
                rule.objectId,
            );
            pg_sys::recordDependencyOn(&base, &rule, auto);
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Any,
    /// Not one of the user's own that has the name of one of ours.
    Deskguards,
}

fn policy_oid(
    table: pg_sys::Oid,
    name: &str,
    whose: Whose,
) -> Result<Option<pg_sys::Oid>, SpiError> {
    Spi::connect(|client| {
        client
            .select(
                "SELECT p.oid
                 FROM pg_catalog.pg_policy AS p,
                     LATERAL pg_catalog.pg_get_expr(
                         COALESCE(p.polqual, p.polwithcheck), p.polrelid) AS e (condition)
                 WHERE p.polrelid OPERATOR(pg_catalog.=) $1
                   AND p.polname OPERATOR(pg_catalog.=) $2::pg_catalog.name
                   AND (NOT $3 OR CASE
                       WHEN p.polpermissive THEN p.polname OPERATOR(pg_catalog.=) 'deskguard_base'
                           AND e.condition OPERATOR(pg_catalog.=) 'true'
                       ELSE pg_catalog.ltrim(e.condition, '(') OPERATOR(pg_catalog.~~) 'deskguard.%'
                           OR e.condition OPERATOR(pg_catalog.=) 'false'
                   END)",
                Some(1),
                &[
                    table.into(),
                    name.into(),
                    (whose == Whose::Deskguards).into(),
                ],
            )?
            .next()
            .map(|row| row.get(1))
            .transpose()
            .map(Option::flatten)
    })
}

/// Creates the policies of a table: first those that close it, and then the one that opens it, if it
/// is not opened by policies of its own already.
pub fn create_policies(
    protection: &Protection,
    table: pg_sys::Oid,
    open: bool,
) -> Result<(), SpiError> {
    let name = display_name(table);
    let mut policies = protection.policies(table);
    policies.extend(feature::policies(&features_of(protection.root())?));
    for (policy, command, expressions) in policies {
        Spi::run(&format!(
            "CREATE POLICY {policy} ON {name} AS RESTRICTIVE FOR {command} {expressions}"
        ))?;
    }
    if open {
        Spi::run(&format!("CREATE POLICY {BASE} ON {name} USING (true)"))?;
    }
    tie_policies(table)
}
