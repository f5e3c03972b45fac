//! Foreign keys of protected tables are checked against all rows.
//!
//! PostgreSQL checks a key that the owner adds, validates or enforces, and those of a partition that is
//! attached, with a query as the owner. Under FORCE the owner is nobody there: clean rows would fail, and
//! rows without a parent would pass. PostgreSQL's own triggers switch the force off for that; here it is
//! switched off around the command, and only if that runs nothing else that reads tables.
#![allow(ffi_unwind_calls)] // Each is in a frame that holds nothing.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};

use pgrx::pg_sys::panic::pgrx_extern_c_guard;
use pgrx::prelude::*;

use crate::pg::compat::{altered_constraint, owns_table};
use crate::pg::error;
use crate::pg::node::items;
use crate::pg::relation::{ancestors, attribute, text};
use crate::pg::scan::{ScanKey, scan_system};
use crate::protection::exposed::refuse_exposed_table;
use crate::tables::catalog::{Catalog, is_installed};
use crate::tables::registry::root_of;

thread_local! {
    /// Has this backend run a command through the hook?
    static IN_PLACE: Cell<bool> = const { Cell::new(false) };
    static NEXT: Cell<pg_sys::ProcessUtility_hook_type> = const { Cell::new(None) };
}

pub fn register_hook() {
    // SAFETY: while the library is loaded.
    unsafe {
        NEXT.set(pg_sys::ProcessUtility_hook);
        pg_sys::ProcessUtility_hook = Some(process_utility);
    }
}

unsafe extern "C-unwind" {
    /// Called as it is: pgrx's wrapper would catch an error and raise it again without its fields.
    #[allow(clippy::too_many_arguments)]
    fn standard_ProcessUtility(
        statement: *mut pg_sys::PlannedStmt,
        text: *const c_char,
        is_read_only: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        parameters: pg_sys::ParamListInfo,
        environment: *mut pg_sys::QueryEnvironment,
        destination: *mut pg_sys::DestReceiver,
        completion: *mut pg_sys::QueryCompletion,
    );
}

/// Holds nothing to drop while the command runs: an error jumps over it. What was switched off is put back
/// by the abort of the (sub)transaction then, as of any change of the user.
///
/// # Safety
/// Called as PostgreSQL calls the hook.
#[allow(clippy::too_many_arguments)]
unsafe extern "C-unwind" fn process_utility(
    statement: *mut pg_sys::PlannedStmt,
    text: *const c_char,
    is_read_only: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    parameters: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: called for a command to be run, as the next one is.
    unsafe {
        let before = pgrx_extern_c_guard(|| prepare((*statement).utilityStmt));
        match NEXT.get() {
            Some(next) => next(
                statement,
                text,
                is_read_only,
                context,
                parameters,
                environment,
                destination,
                completion,
            ),
            None => standard_ProcessUtility(
                statement,
                text,
                is_read_only,
                context,
                parameters,
                environment,
                destination,
                completion,
            ),
        }
        if let Some(before) = before {
            // Of whoever is the user now.
            let (mut user, mut context) = (pg_sys::InvalidOid, 0);
            pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
            pg_sys::SetUserIdAndSecContext(user, before);
        }
    }
}

/// Switches the force off if the command wants it. Gives the security context to put back after it.
///
/// # Safety
/// A parse tree, or null.
unsafe fn prepare(command: *mut pg_sys::Node) -> Option<c_int> {
    IN_PLACE.set(true);
    // SAFETY: the tag tells the type.
    unsafe {
        match command.as_ref()?.type_ {
            pg_sys::NodeTag::T_AlterTableStmt => {
                let checks = Checks::of(&*command.cast())?;
                if !checks.is_nothing_else {
                    refuse(
                        "a foreign key of a protected table cannot be checked together with that",
                        "Give it in an ALTER TABLE of its own; a partition with expressions of your own is attached by a role that bypasses row-level security.",
                    );
                }
                let (mut user, mut context) = (pg_sys::InvalidOid, 0);
                pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
                pg_sys::SetUserIdAndSecContext(
                    user,
                    context | pg_sys::SECURITY_NOFORCE_RLS as c_int,
                );
                Some(context)
            }
            pg_sys::NodeTag::T_CopyStmt => {
                // What has no policies is copied without a plan.
                let copy = &*command.cast::<pg_sys::CopyStmt>();
                if !copy.relation.is_null() {
                    refuse_exposed_table(named(copy.relation), false, pg_sys::GetUserId());
                }
                None
            }
            _ => None,
        }
    }
}

/// Refuses a command that was run before the library was loaded, which its event trigger does.
///
/// # Safety
/// The parse tree of the command that has just been run.
pub unsafe fn refuse_unchecked(command: *mut pg_sys::Node) {
    // SAFETY: the tag tells the type.
    unsafe {
        let is_alter = command
            .as_ref()
            .is_some_and(|node| node.type_ == pg_sys::NodeTag::T_AlterTableStmt);
        if is_alter && !IN_PLACE.get() && Checks::of(&*command.cast()).is_some() {
            refuse(
                "a foreign key of a protected table was not checked, since deskguard was not loaded",
                "Run the command again: it is loaded now. Have it loaded at the start of each session: ALTER DATABASE ... SET session_preload_libraries = 'deskguard';",
            );
        }
    }
}

fn refuse(message: &str, hint: &str) -> ! {
    error::raise(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        message,
        hint,
    )
}

/// The table that a command names, if there is one.
///
/// # Safety
/// It is not null.
unsafe fn named(table: *mut pg_sys::RangeVar) -> pg_sys::Oid {
    // SAFETY: as the caller promises.
    unsafe {
        pg_sys::RangeVarGetRelidExtended(
            table,
            pg_sys::NoLock as pg_sys::LOCKMODE,
            pg_sys::RVROption::RVR_MISSING_OK,
            None,
            std::ptr::null_mut(),
        )
    }
}

/// An ALTER TABLE that checks foreign keys of a protected table as its owner.
struct Checks {
    /// And runs no expression of a user's.
    is_nothing_else: bool,
}

impl Checks {
    /// None if policies have no say in it.
    ///
    /// # Safety
    /// A parse tree.
    unsafe fn of(command: &pg_sys::AlterTableStmt) -> Option<Checks> {
        use pg_sys::AlterTableType::{
            AT_AddColumn, AT_AddConstraint, AT_AlterConstraint, AT_AttachPartition,
            AT_ValidateConstraint,
        };
        const MATTERS: [u32; 5] = [
            AT_AddColumn,
            AT_AddConstraint,
            AT_AlterConstraint,
            AT_AttachPartition,
            AT_ValidateConstraint,
        ];
        // SAFETY: the kind of a part tells the type of its definition.
        unsafe {
            let parts = items::<pg_sys::AlterTableCmd>(command.cmds);
            if !parts.iter().any(|part| MATTERS.contains(&(**part).subtype)) || !is_installed() {
                return None;
            }
            let table = named(command.relation);
            let user = pg_sys::GetUserId();
            if table == pg_sys::InvalidOid
                || !owns_table(table, user)
                || pg_sys::has_bypassrls_privilege(user)
            {
                return None;
            }
            let catalog = Catalog::now();
            let is_protected = |table: pg_sys::Oid| root_of(&catalog, table).is_some();
            let (mut is_concerned, mut is_nothing_else) = (false, true);
            let mut note = |concerned: bool, plain: bool| {
                is_concerned |= concerned;
                is_nothing_else &= plain;
            };
            for part in parts {
                let part = &**part;
                let kind = part.subtype;
                if kind == AT_AddConstraint {
                    let constraint = &*part.def.cast::<pg_sys::Constraint>();
                    let is_key = constraint.contype == pg_sys::ConstrType::CONSTR_FOREIGN;
                    let refers = || is_protected(table) || is_protected(named(constraint.pktable));
                    note(is_key && refers(), is_key);
                } else if kind == AT_ValidateConstraint || kind == AT_AlterConstraint {
                    let name = if kind == AT_ValidateConstraint {
                        part.name
                    } else {
                        altered_constraint(part.def)
                    };
                    let referred = referred_by(table, name);
                    let concerned =
                        referred.is_some_and(|to| is_protected(table) || is_protected(to));
                    note(concerned, referred.is_some());
                } else if kind == AT_AttachPartition {
                    let partition = named((*part.def.cast::<pg_sys::PartitionCmd>()).name);
                    if partition != pg_sys::InvalidOid {
                        let keys = referred_by_keys(table);
                        let concerned = !keys.is_empty()
                            && (is_protected(table) || keys.into_iter().any(is_protected));
                        note(concerned, is_plain(table, partition));
                    }
                } else if kind == AT_AddColumn {
                    // Without a value the key holds.
                    let (referred, has_value) = added_column(&*part.def.cast());
                    let refers =
                        || is_protected(table) || referred.iter().any(|to| is_protected(*to));
                    note(has_value && !referred.is_empty() && refers(), !has_value);
                } else {
                    note(false, false);
                }
            }
            is_concerned.then_some(Checks { is_nothing_else })
        }
    }
}

/// The tables that a new column refers to, and whether rows that are there get a value in it.
///
/// # Safety
/// A parse tree.
unsafe fn added_column(column: &pg_sys::ColumnDef) -> (Vec<pg_sys::Oid>, bool) {
    use pg_sys::ConstrType::{CONSTR_FOREIGN, CONSTR_NOTNULL, CONSTR_NULL};
    // SAFETY: the list has such entries.
    unsafe {
        let constraints = items::<pg_sys::Constraint>(column.constraints);
        let keys = constraints
            .iter()
            .filter(|one| (***one).contype == CONSTR_FOREIGN);
        let referred: Vec<pg_sys::Oid> = keys.map(|key| named((**key).pktable)).collect();
        let is_without = [CONSTR_FOREIGN, CONSTR_NOTNULL, CONSTR_NULL];
        let has_value = !column.raw_default.is_null()
            || constraints
                .iter()
                .any(|one| !is_without.contains(&(**one).contype))
            || !referred.is_empty() && has_default(column.typeName);
        (referred, has_value)
    }
}

/// Has a type a default, as a domain may and serial, which is no type, has?
///
/// # Safety
/// It is not null.
unsafe fn has_default(name: *mut pg_sys::TypeName) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        let of_type = pg_sys::LookupTypeNameOid(std::ptr::null_mut(), name, true);
        of_type == pg_sys::InvalidOid || !pg_sys::get_typdefault(of_type).is_null()
    }
}

const PG_CONSTRAINT: u32 = 2606;
const CONSTRAINTS_BY_RELATION: u32 = 2665;

/// The foreign keys of a table: name, and the table that they refer to.
fn foreign_keys(table: pg_sys::Oid) -> Vec<(String, pg_sys::Oid)> {
    let number = |column| attribute(PG_CONSTRAINT.into(), column);
    // They differ between major versions.
    let (Some(name), Some(kind), Some(relation), Some(referred)) = (
        number("conname"),
        number("contype"),
        number("conrelid"),
        number("confrelid"),
    ) else {
        return vec![];
    };
    let mut found = vec![];
    // SAFETY: a catalog with its index.
    unsafe {
        let keys = [ScanKey::oid(relation, table)];
        scan_system((PG_CONSTRAINT, CONSTRAINTS_BY_RELATION), &keys, |row| {
            if row.required::<i8>(kind) as u8 == b'f' {
                let name: &CStr = row.required(name);
                found.push((name.to_string_lossy().into_owned(), row.required(referred)));
            }
        });
    }
    found
}

fn referred_by_keys(table: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    foreign_keys(table).into_iter().map(|(_, to)| to).collect()
}

/// The table that a foreign key refers to; none for another constraint.
///
/// # Safety
/// The name is a C string, or null.
unsafe fn referred_by(table: pg_sys::Oid, name: *const c_char) -> Option<pg_sys::Oid> {
    // SAFETY: as the caller promises.
    let name = unsafe { text(name) }?;
    let mut keys = foreign_keys(table).into_iter();
    keys.find(|(key, _)| *key == name).map(|(_, to)| to)
}

const PG_INDEX: u32 = 2610;
const INDEXES_BY_TABLE: u32 = 2678;
const INDEX: i16 = 1;
const INDEXED: i16 = 2;
const PG_DEPEND: u32 = 2608;
const BY_DEPENDER: u32 = 2673;

/// To attach a partition its rows are compared with the keys of the tables above, and indexes are made. Do
/// their expressions call nothing but PostgreSQL's own functions, on which nothing depends?
fn is_plain(table: pg_sys::Oid, partition: pg_sys::Oid) -> bool {
    const PG_TYPE: u32 = 1247;
    const PG_PROC: u32 = 1255;
    const PG_OPERATOR_CLASS: u32 = 2616;
    const PG_OPERATOR: u32 = 2617;
    const PG_CLASS: u32 = 1259;
    let mut all: Vec<pg_sys::Oid> = ancestors(table);
    all.extend([table, partition]);
    let mut is_plain = true;
    // SAFETY: catalogs with their indexes.
    unsafe {
        for table in all.clone() {
            let keys = [ScanKey::oid(INDEXED, table)];
            scan_system((PG_INDEX, INDEXES_BY_TABLE), &keys, |row| {
                all.push(row.required(INDEX));
            });
        }
        for relation in all {
            let keys = [ScanKey::oid(1, PG_CLASS.into()), ScanKey::oid(2, relation)];
            scan_system((PG_DEPEND, BY_DEPENDER), &keys, |row| {
                let (column, on): (i32, pg_sys::Oid) = (row.required(3), row.required(4));
                let runs = [PG_TYPE, PG_PROC, PG_OPERATOR_CLASS, PG_OPERATOR];
                is_plain &= column != 0 || !runs.contains(&on.to_u32());
            });
        }
    }
    is_plain
}
