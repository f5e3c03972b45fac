//! Foreign keys of protected tables are checked against all rows.
//!
//! PostgreSQL checks a key that the owner adds, validates or enforces, and those of a partition that is
//! attached, with a query as the owner. Under FORCE the owner is nobody there: clean rows would fail, and
//! rows without a parent would pass. PostgreSQL's own triggers switch the force off for that; here it is
//! switched off around the command, and only if that runs nothing else that reads tables.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};

use pgrx::prelude::*;

use crate::pg::compat::{altered_constraint, owns_table};
use crate::pg::error;
use crate::pg::node::items;
use crate::pg::relation::{ancestors, attribute, descendants, named, text};
use crate::pg::scan::{ScanKey, scan_system};
use crate::tables::catalog::{Catalog, is_installed};
use crate::tables::registry::root_of;

thread_local! {
    /// Has this backend run an ALTER TABLE through the hook?
    static IN_PLACE: Cell<bool> = const { Cell::new(false) };
}

/// Switches the force off if an ALTER TABLE wants it. Gives the security context to put back after it.
///
/// # Safety
/// A parse tree.
pub unsafe fn switch_force_off(command: &pg_sys::AlterTableStmt) -> Option<c_int> {
    IN_PLACE.set(true);
    // SAFETY: as the caller promises.
    let checks = unsafe { Checks::of(command) }?;
    if !checks.is_nothing_else {
        refuse(
            "a foreign key of a protected table cannot be checked together with that",
            "Give it in an ALTER TABLE of its own; where that runs expressions of your own, a role that bypasses row-level security runs it.",
        );
    }
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: reads and sets the backend's state.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&mut user, &mut context);
        pg_sys::SetUserIdAndSecContext(user, context | pg_sys::SECURITY_NOFORCE_RLS as c_int);
    }
    Some(context)
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
            AT_AddColumn, AT_AddConstraint, AT_AlterColumnType, AT_AlterConstraint,
            AT_AttachPartition, AT_ValidateConstraint,
        };
        const MATTERS: [u32; 6] = [
            AT_AddColumn,
            AT_AddConstraint,
            AT_AlterColumnType,
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
                } else if kind == AT_AlterColumnType {
                    let concerned = keys_of_column(table, part.name)
                        .into_iter()
                        .any(|(from, to)| is_protected(from) || is_protected(to));
                    let plain = || {
                        let mut below = descendants(table);
                        below.push(table);
                        has_plain_type(&*part.def.cast())
                            && below.into_iter().all(|part| is_plain(table, part))
                    };
                    note(concerned, !concerned || plain());
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

/// Is the new type of a column one of PostgreSQL's, and no expression given that makes the new value of the old?
///
/// # Safety
/// A parse tree.
unsafe fn has_plain_type(column: &pg_sys::ColumnDef) -> bool {
    // SAFETY: as the caller promises.
    let new = unsafe { pg_sys::LookupTypeNameOid(std::ptr::null_mut(), column.typeName, true) };
    column.raw_default.is_null() && new.to_u32() < pg_sys::FirstNormalObjectId
}

const PG_CONSTRAINT: u32 = 2606;
const CONSTRAINTS_BY_RELATION: u32 = 2665;
const CONSTRAINTS_BY_OID: u32 = 2667;

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

/// The foreign keys that a column is a part of, from either side: the table that refers, and the one that it
/// refers to.
///
/// # Safety
/// The name is a C string, or null.
unsafe fn keys_of_column(
    table: pg_sys::Oid,
    column: *const c_char,
) -> Vec<(pg_sys::Oid, pg_sys::Oid)> {
    let attribute_of = |column| attribute(PG_CONSTRAINT.into(), column);
    // SAFETY: as the caller promises.
    let column = unsafe { text(column) }.and_then(|column| attribute(table, &column));
    let (Some(column), Some(kind), Some(from), Some(to)) = (
        column,
        attribute_of("contype"),
        attribute_of("conrelid"),
        attribute_of("confrelid"),
    ) else {
        return vec![];
    };
    let (mut constraints, mut found): (Vec<pg_sys::Oid>, _) = (vec![], vec![]);
    // SAFETY: catalogs with their indexes.
    unsafe {
        let keys = [ScanKey::oid(4, PG_CLASS.into()), ScanKey::oid(5, table)];
        scan_system((PG_DEPEND, BY_REFERENCED), &keys, |row| {
            if row.required::<i32>(6) == i32::from(column)
                && row.required::<pg_sys::Oid>(1) == PG_CONSTRAINT.into()
            {
                constraints.push(row.required(2));
            }
        });
        for constraint in constraints {
            let keys = [ScanKey::oid(1, constraint)];
            scan_system((PG_CONSTRAINT, CONSTRAINTS_BY_OID), &keys, |row| {
                if row.required::<i8>(kind) as u8 == b'f' {
                    found.push((row.required(from), row.required(to)));
                }
            });
        }
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
const BY_REFERENCED: u32 = 2674;
const PG_CLASS: u32 = 1259;

/// To attach a partition its rows are compared with the keys of the tables above, and indexes are made, as they are
/// for a column with another type. Do their expressions call nothing but PostgreSQL's own functions, on which nothing depends?
fn is_plain(table: pg_sys::Oid, partition: pg_sys::Oid) -> bool {
    const PG_TYPE: u32 = 1247;
    const PG_PROC: u32 = 1255;
    const PG_OPERATOR_CLASS: u32 = 2616;
    const PG_OPERATOR: u32 = 2617;
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
