//! Puts policies and triggers on tables, and takes them off.

use std::collections::HashSet;
use std::ffi::CStr;

use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_identifier};
use pgrx::{PgRelation, pg_sys};

use crate::pg::error;
use crate::pg::node::Node;
use crate::pg::relation::{Class, descendants, display_name, parents, regclass, table_name};
use crate::pg::scan::{ScanKey, scan_system};
use crate::protect::registry::{forget, register, registered_with};
use crate::protection::kind::Kind;
use crate::protection::kinds::FeatureTable;
use crate::protection::policies::{BASE, has_children, is_policy_name, pg_policy, rule_policies};
use crate::protection::trigger::{Trigger, fires_always, triggers};
use crate::protection::whole::is_whole;
use crate::tables::catalog::Catalog;
use crate::tables::registry::{features_of, is_protected, root_of};
use crate::tables::rule_function::RuleFunction;

/// Follows the name of a trigger on a partition that was detached and has lost the former; another
/// name, since the partition could not be attached again otherwise.
const DETACHED: &str = "_detached";

pub fn add_triggers(kind: &dyn Kind, table: pg_sys::Oid) -> Result<(), SpiError> {
    for trigger in kind.statement_triggers() {
        create_trigger(&trigger, false, table)?;
    }
    // PostgreSQL gives a partition the others of its partitioned table.
    // SAFETY: a look-up in the system cache.
    if unsafe { pg_sys::get_rel_relispartition(table) } {
        return Ok(());
    }
    let is_detached = table != kind.root() && parents(table).is_empty();
    kind.row_triggers()
        .iter()
        .try_for_each(|trigger| create_trigger(trigger, is_detached, table))
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
                            let tree = Node::new(pg_sys::stringToNode(tree.as_ptr()).cast());
                            tree.is_some_and(|condition| condition.is_constant(false))
                        });
                named.push((name, row.required::<pg_sys::Oid>(pg_policy::OID), is_never));
            }
        });
        named.retain(|(_, policy, is_never)| *is_never || calls_deskguard(*policy));
    }
    named.into_iter().map(|(name, ..)| name).collect()
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

/// Creates the policies of a table: those that close it, and the one that opens it while they are all
/// there, if it is not opened by policies of its own already.
pub fn create_policies(kind: &dyn Kind, table: pg_sys::Oid, open: bool) -> Result<(), SpiError> {
    let catalog = Catalog::now();
    for (_, sql) in rule_policies(&catalog, kind, table, has_children(&catalog, kind)) {
        Spi::run(&sql)?;
    }
    if open {
        Spi::run(&format!(
            "CREATE POLICY {BASE} ON {} USING ({})",
            display_name(table),
            RuleFunction::Base.call(|_| Some(regclass(table)))
        ))?;
    }
    Ok(())
}

/// Protects tables, those above before those below them, and notes them in the registry.
fn add(kind: &dyn Kind, tables: &[(pg_sys::Oid, Class)]) -> Result<(), SpiError> {
    // Those of a protection that is not in the registry: of a dump without data, or what an
    // extension that was dropped left behind.
    tables
        .iter()
        .try_for_each(|(table, _)| drop_policies(*table))?;
    register(kind, tables)?;
    for (table, class) in tables {
        let open = !(kind.is_opened_by_others() && class.row_security);
        Spi::run(&format!(
            "ALTER TABLE {} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
            display_name(*table)
        ))?;
        create_policies(kind, *table, open)?;
        add_triggers(kind, *table)?;
    }
    Ok(())
}

/// Protects a table that was given to be protected, with its partitions and children.
pub fn add_with_parts(kind: &dyn Kind, table: pg_sys::Oid) -> Result<(), SpiError> {
    protect_parts(kind, [table])
}

/// Protects a table anew.
pub fn rebuild(kind: &dyn Kind, table: pg_sys::Oid) -> Result<(), SpiError> {
    remove(table)?;
    add_with_parts(kind, table)
}

/// Is all there that protecting a table, with its parts, would make?
pub fn is_made(kind: &dyn Kind) -> bool {
    let root = kind.root();
    std::iter::once(root).chain(descendants(root)).all(|table| {
        Class::of(table).is_none_or(|class| class.is_temporary)
            || root_of(&Catalog::now(), table) == Some(root)
                && is_whole(table)
                && own_policies(table).iter().any(|policy| policy == BASE)
    })
}

/// Ends the protection of a follower table, but for the features that it needs.
pub fn release(table: pg_sys::Oid) -> Result<(), SpiError> {
    remove(table)?;
    if features_of(&Catalog::now(), table).is_empty() {
        Ok(())
    } else {
        add_with_parts(&FeatureTable(table), table)
    }
}

/// Takes a protected table, its partitions and children out of the registry and removes what was
/// added to them.
pub fn remove(root: pg_sys::Oid) -> Result<(), SpiError> {
    let registered = registered_with(root);
    forget(&registered)?;
    for table in registered {
        let Some(name) = table_name(table.oid) else {
            continue;
        };
        drop_policies(table.oid)?;
        Spi::run(&format!(
            "ALTER TABLE {name} {} ROW LEVEL SECURITY, {} ROW LEVEL SECURITY",
            if table.had_row_security {
                "ENABLE"
            } else {
                "DISABLE"
            },
            if table.had_force { "FORCE" } else { "NO FORCE" },
        ))?;
    }
    Ok(())
}

/// Protects those of these tables, with what is below them, that are not protected yet.
pub fn protect_parts(
    kind: &dyn Kind,
    parts: impl IntoIterator<Item = pg_sys::Oid>,
) -> Result<(), SpiError> {
    let mut known = HashSet::new();
    let mut unprotected = vec![];
    for part in parts {
        for table in std::iter::once(part).chain(descendants(part)) {
            let Some(class) = Class::of(table) else {
                continue;
            };
            if class.is_temporary || !known.insert(table) || is_protected(table) {
                continue;
            }
            if class.kind == pg_sys::RELKIND_FOREIGN_TABLE {
                error::raise(
                    PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
                    format!(
                        "{} is a foreign table and cannot be protected",
                        display_name(table)
                    ),
                    format!(
                        "It cannot be a partition or child of {}.",
                        display_name(kind.root())
                    ),
                );
            }
            unprotected.push((table, class));
        }
    }
    if unprotected.is_empty() {
        return Ok(());
    }
    add(kind, &unprotected)
}
