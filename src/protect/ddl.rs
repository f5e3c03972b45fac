//! The event trigger after DDL: follows what changes of protected tables, and refuses what would open them.
//!
//! It looks at what the command touched, and at nothing else, so that others neither wait nor fail.

use std::collections::HashSet;

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::pg::call_info::{CallInfo, version_1};
use crate::pg::error;
use crate::pg::node::items;
use crate::pg::relation::{Class, children, display_name, parents};
use crate::pg::run_as_owner::RunAsOwner;
use crate::protect::apply::protect_parts;
use crate::protect::columns::{follow_column, refuse_other_key};
use crate::protect::event_rows::{command_of, finish, for_each_event_row};
use crate::protect::foreign_key_checks::refuse_unchecked;
use crate::protect::mirror_ddl;
use crate::protect::names::{note_former_name, warn_of_taken_name};
use crate::protect::own_triggers::put_back;
use crate::protect::own_work::OwnWork;
use crate::protect::partitions::{refuse_below_unprotected, restore_triggers};
use crate::protect::rename::Rename;
use crate::protection::kinds;
use crate::protection::policies::{self, is_policy_name};
use crate::tables::catalog::{Catalog, is_own_schema, is_own_schema_name, own_table};
use crate::tables::registry::{is_protected, protected_tables, root_of};

const PG_CLASS: u32 = 1259;
const PG_NAMESPACE: u32 = 2615;
const PG_POLICY: u32 = 3256;

version_1!(after_ddl);

/// Event trigger at the end of DDL.
#[unsafe(no_mangle)]
#[pg_guard]
pub extern "C-unwind" fn after_ddl(fcinfo: CallInfo) -> pg_sys::Datum {
    let command = command_of(fcinfo, "after_ddl").parsetree;
    // SAFETY: the tree of the command that has been run.
    unsafe {
        if !OwnWork::is_going_on() && !makes_temporary_table(command) {
            finish(look_at(command));
        }
    }
    pg_sys::Datum::from(0)
}

/// Only its own session can read one, and it cannot be above a table that others read.
///
/// # Safety
/// A parse tree, or null.
unsafe fn makes_temporary_table(command: *mut pg_sys::Node) -> bool {
    // SAFETY: the tag tells the type.
    unsafe {
        let Some(node) = command.as_ref() else {
            return false;
        };
        let table = match node.type_ {
            pg_sys::NodeTag::T_CreateStmt => (*command.cast::<pg_sys::CreateStmt>()).relation,
            pg_sys::NodeTag::T_CreateTableAsStmt => {
                (*(*command.cast::<pg_sys::CreateTableAsStmt>()).into).rel
            }
            _ => return false,
        };
        (*table).relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP
    }
}

/// What a command touched.
struct Touched {
    catalog: u32,
    object: pg_sys::Oid,
    column: i32,
}

fn touched() -> Vec<Touched> {
    let mut all = vec![];
    for_each_event_row(
        c"SELECT classid, objid, objsubid, schema_name FROM pg_catalog.pg_event_trigger_ddl_commands()",
        |row| {
            // SAFETY: of these types.
            let (catalog, object, column, schema) = unsafe {
                (
                    row.get::<pg_sys::Oid>(1),
                    row.get::<pg_sys::Oid>(2),
                    row.get::<i32>(3),
                    row.get::<&str>(4),
                )
            };
            if let (Some(catalog), Some(object)) = (catalog, object)
                && schema != Some("pg_temp")
            {
                all.push(Touched {
                    catalog: catalog.to_u32(),
                    object,
                    column: column.unwrap_or_default(),
                });
            }
        },
    );
    all
}

/// # Safety
/// The parse tree of the command that has just been run.
unsafe fn look_at(command: *mut pg_sys::Node) -> Result<(), SpiError> {
    // SAFETY: as the caller promises.
    unsafe { refuse_unchecked(command) };
    // SAFETY: as the caller promises.
    let rename = unsafe { Rename::of(command) };
    // SAFETY: as the caller promises.
    let altered = unsafe { alterations(command) };
    let mut seen = HashSet::new();
    for touched in touched() {
        match touched.catalog {
            PG_CLASS => {
                if let Some(rename) = &rename {
                    match touched.column {
                        0 => note_former_name(touched.object, rename),
                        _ => follow_column(touched.object, rename)?,
                    }
                }
                if seen.insert(touched.object) {
                    look_at_table(touched.object, altered)?;
                }
            }
            PG_POLICY => refuse_policy(touched.object, rename.as_ref(), command),
            PG_NAMESPACE => {
                if let Some(rename) = &rename {
                    refuse_own_schema(rename);
                    super::names::schema_renamed(touched.object, rename);
                }
            }
            _ => {}
        }
    }
    mirror_ddl::look_at(&seen)?;
    // SAFETY: as the caller promises.
    for partition in unsafe { detached(command) } {
        let _owner = RunAsOwner::of(own_table(c"protected_table"));
        let _work = OwnWork::begin();
        restore_triggers(partition)?;
    }
    Ok(())
}

fn look_at_table(table: pg_sys::Oid, altered: Alterations) -> Result<(), SpiError> {
    let Some(class) = Class::of(table).filter(|class| class.is_table() && !class.is_temporary)
    else {
        return Ok(());
    };
    let catalog = Catalog::now();
    let above = parents(table);
    let root = root_of(&catalog, table);
    let protected_above = above.iter().find_map(|parent| root_of(&catalog, *parent));
    match (root, protected_above) {
        (Some(_), _) => {
            if let Some(open) = above.iter().find(|parent| !is_protected(**parent)) {
                refuse_below_unprotected(table, *open);
            }
            if altered.opens {
                refuse_to_open(table);
            }
            refuse_other_key(&catalog, table);
        }
        (None, Some(root)) => protect(&catalog, root, [table])?,
        (None, None) => warn_of_taken_name(table),
    }
    let root = root.or(protected_above);
    let mut below = children(table);
    if !below.is_empty() {
        let protected = protected_tables(&catalog);
        if let Some(root) = root {
            below.retain(|child| !protected.contains(child));
            protect(&catalog, root, below)?;
        } else if let Some(child) = below.iter().find(|child| protected.contains(child)) {
            refuse_below_unprotected(*child, table);
        }
    }
    if root.is_some() || is_own_schema(class.schema) || altered.switches {
        put_back(table)?;
    }
    Ok(())
}

/// Protects new parts. As the extension's owner: whoever alters a table may not write the registry.
fn protect(
    catalog: &Catalog,
    root: pg_sys::Oid,
    parts: impl IntoIterator<Item = pg_sys::Oid>,
) -> Result<(), SpiError> {
    let _owner = RunAsOwner::of(own_table(c"protected_table"));
    let _work = OwnWork::begin();
    // Where the table above is gone, nobody sees the rows any more.
    kinds::find(catalog, root).map_or(Ok(()), |kind| protect_parts(&*kind, parts))
}

fn refuse_to_open(table: pg_sys::Oid) -> ! {
    let root = root_of(&Catalog::now(), table).unwrap_or(table);
    error::raise(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "row-level security of {} cannot be disabled, nor not be forced: the table is protected",
            display_name(table)
        ),
        format!(
            "SELECT deskguard.unprotect({});",
            pgrx::spi::quote_literal(display_name(root))
        ),
    )
}

/// What ALTER TABLE did, as far as it matters here.
#[derive(Clone, Copy, Default)]
struct Alterations {
    /// DISABLE or NO FORCE ROW LEVEL SECURITY
    opens: bool,
    /// ENABLE or DISABLE TRIGGER: pg_restore --data-only does so before the registry is restored.
    switches: bool,
}

/// # Safety
/// A parse tree, or null.
unsafe fn alterations(command: *mut pg_sys::Node) -> Alterations {
    use pg_sys::AlterTableType::{
        AT_DisableRowSecurity, AT_DisableTrig, AT_DisableTrigAll, AT_DisableTrigUser,
        AT_EnableReplicaTrig, AT_EnableTrig, AT_EnableTrigAll, AT_EnableTrigUser,
        AT_NoForceRowSecurity,
    };
    // SAFETY: as the caller promises.
    let all = unsafe { subcommands(command) };
    let has = |wanted: &[u32]| {
        // SAFETY: one of the list.
        let is_wanted =
            |part: &*mut pg_sys::AlterTableCmd| wanted.contains(unsafe { &(**part).subtype });
        all.iter().any(is_wanted)
    };
    Alterations {
        opens: has(&[AT_DisableRowSecurity, AT_NoForceRowSecurity]),
        switches: has(&[
            AT_EnableTrig,
            AT_EnableTrigAll,
            AT_EnableTrigUser,
            AT_EnableReplicaTrig,
            AT_DisableTrig,
            AT_DisableTrigAll,
            AT_DisableTrigUser,
        ]),
    }
}

/// The parts of an ALTER TABLE.
///
/// # Safety
/// A parse tree.
pub unsafe fn subcommands<'a>(command: *mut pg_sys::Node) -> &'a [*mut pg_sys::AlterTableCmd] {
    // SAFETY: the tag tells the type.
    unsafe {
        match command.as_ref() {
            Some(node) if node.type_ == pg_sys::NodeTag::T_AlterTableStmt => {
                items((*command.cast::<pg_sys::AlterTableStmt>()).cmds)
            }
            _ => &[],
        }
    }
}

/// The partitions that the command detached.
///
/// # Safety
/// The parse tree of a command that has been run, or null.
unsafe fn detached(command: *mut pg_sys::Node) -> Vec<pg_sys::Oid> {
    use pg_sys::AlterTableType::{AT_DetachPartition, AT_DetachPartitionFinalize};
    // SAFETY: a part that detaches has such a definition.
    unsafe {
        subcommands(command)
            .iter()
            .map(|part| &**part)
            .filter(|part| [AT_DetachPartition, AT_DetachPartitionFinalize].contains(&part.subtype))
            .map(|part| {
                let partition = &*part.def.cast::<pg_sys::PartitionCmd>();
                pg_sys::RangeVarGetRelidExtended(
                    partition.name,
                    pg_sys::NoLock as pg_sys::LOCKMODE,
                    pg_sys::RVROption::RVR_MISSING_OK,
                    None,
                    std::ptr::null_mut(),
                )
            })
            .filter(|partition| *partition != pg_sys::InvalidOid)
            .collect()
    }
}

/// Refuses ALTER POLICY of one that deskguard made.
fn refuse_policy(policy: pg_sys::Oid, rename: Option<&Rename>, command: *mut pg_sys::Node) {
    // SAFETY: a parse tree.
    let is_altered = rename.is_some()
        || unsafe { command.as_ref() }
            .is_some_and(|node| node.type_ == pg_sys::NodeTag::T_AlterPolicyStmt);
    if !is_altered {
        return;
    }
    let Some((table, name)) = policies::policy(policy) else {
        return;
    };
    let is_own = is_policy_name(&name)
        || rename.is_some_and(|rename| is_policy_name(rename.from.as_deref().unwrap_or("")));
    if is_own && is_protected(table) {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "policies of deskguard cannot be altered",
            "Protect the table anew, with other columns, or add policies of your own.",
        );
    }
}

/// Refuses to rename a schema of the extension, which is found by its name.
fn refuse_own_schema(rename: &Rename) {
    if let Some(from) = rename
        .from
        .as_deref()
        .filter(|name| is_own_schema_name(name))
    {
        error::raise(
            PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            format!("schema \"{from}\" cannot be renamed: it belongs to the extension deskguard"),
            "The extension and programs that use it find it by this name.",
        );
    }
}
