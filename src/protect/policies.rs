//! The policies and the trigger of a protected table.

use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_identifier};

use crate::child_table::{ChildTable, Parent};
use crate::protected::{FollowerTable, TicketTable, bigint_expression, display_name, regclass};

/// The policy that opens a table, and those that close it again.
const BASE: &str = "deskguard_base";
const RULES: [&str; 5] = [
    "deskguard_silo",
    "deskguard_view",
    "deskguard_create",
    "deskguard_modify",
    "deskguard_delete",
];
/// The trigger that notes what a ticket was.
const TRIGGER: &str = "deskguard_update";
/// The same on a partition that was detached and has lost the former; another name, since the
/// partition could not be attached again otherwise.
pub const DETACHED_TRIGGER: &str = "deskguard_update_detached";

/// How a table is protected. Partitions and child tables have the columns of their root.
pub enum Protection<'a> {
    Tickets(&'a TicketTable),
    Followers(&'a FollowerTable),
    Messages(&'a ChildTable),
}

impl Protection<'_> {
    pub fn root(&self) -> pg_sys::Oid {
        match self {
            Protection::Tickets(table) => table.oid,
            Protection::Followers(table) => table.oid,
            Protection::Messages(table) => table.oid,
        }
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
                let updated = tickets.update_call(table).unwrap_or("true".into());
                let create = tickets.create_call(table);
                let mut policies = vec![
                    ("deskguard_view", "SELECT", format!("USING ({view})")),
                    (
                        "deskguard_create",
                        "INSERT",
                        format!("WITH CHECK ({create})"),
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
                let ticket = bigint_expression(Some(&followers.ticket));
                let agent = bigint_expression(Some(&followers.agent));
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
                let create = if is_reply || messages.author.is_some() {
                    format!(
                        "{reply} AND deskguard.new_message_ok({this}, {}, {})",
                        bigint_expression(Some(&messages.column)),
                        bigint_expression(messages.author.as_deref())
                    )
                } else {
                    reply
                };
                vec![
                    ("deskguard_view", "SELECT", format!("USING ({seen})")),
                    (
                        "deskguard_create",
                        "INSERT",
                        format!("WITH CHECK ({create})"),
                    ),
                    // Of the row before and of the row after.
                    ("deskguard_modify", "UPDATE", format!("USING ({edit})")),
                    ("deskguard_delete", "DELETE", format!("USING ({edit})")),
                ]
            }
        }
    }
}

pub fn add_trigger(tickets: &TicketTable, table: pg_sys::Oid) -> Result<(), SpiError> {
    // SAFETY: a look-up in the system cache.
    let is_partition = unsafe { pg_sys::get_rel_relispartition(table) };
    // PostgreSQL gives a partition the triggers of its partitioned table.
    if tickets.update_call(table).is_none() || is_partition {
        return Ok(());
    }
    create_trigger(TRIGGER, table)
}

pub fn create_trigger(trigger: &str, table: pg_sys::Oid) -> Result<(), SpiError> {
    Spi::run(&format!(
        "CREATE TRIGGER {trigger} BEFORE UPDATE ON {}
         FOR EACH ROW EXECUTE FUNCTION deskguard.note_ticket()",
        display_name(table)
    ))
}

/// Drops the policies and triggers that deskguard puts on tables, those that are there.
pub fn drop_policies(table: pg_sys::Oid) -> Result<(), SpiError> {
    let name = display_name(table);
    for policy in std::iter::once(BASE).chain(RULES) {
        if policy_oid(table, policy, Whose::Deskguards)?.is_some() {
            Spi::run(&format!("DROP POLICY {policy} ON {name}"))?;
        }
    }
    for trigger in [TRIGGER, DETACHED_TRIGGER] {
        let is_there = Spi::get_one_with_args::<bool>(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger
                            WHERE tgrelid OPERATOR(pg_catalog.=) $1
                              AND tgname OPERATOR(pg_catalog.=) $2::pg_catalog.name
                              AND tgparentid OPERATOR(pg_catalog.=) 0::pg_catalog.oid)",
            &[table.into(), trigger.into()],
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
                       ELSE e.condition OPERATOR(pg_catalog.~~) 'deskguard.%'
                           OR e.condition OPERATOR(pg_catalog.~~) '(deskguard.%'
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

/// Creates the policies of a table: first those that close it.
pub fn create_policies(protection: &Protection, table: pg_sys::Oid) -> Result<(), SpiError> {
    let name = display_name(table);
    for (policy, command, expressions) in protection.policies(table) {
        Spi::run(&format!(
            "CREATE POLICY {policy} ON {name} AS RESTRICTIVE FOR {command} {expressions}"
        ))?;
    }
    Spi::run(&format!("CREATE POLICY {BASE} ON {name} USING (true)"))?;
    tie_policies(table)
}
