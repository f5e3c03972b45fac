//! deskguard.mirror() and deskguard.unmirror()

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::SpiError;

use crate::mirrors::below::{Below, below};
use crate::mirrors::guard::Writing;
use crate::mirrors::journal;
use crate::mirrors::keep::refresh_now;
use crate::mirrors::refresh::Wanted;
use crate::mirrors::registry::{Mirror, find, mirrors};
use crate::mirrors::shape::Shape;
use crate::mirrors::target::Target;
use crate::pg::compat::owns_table;
use crate::pg::error::{self, refuse_read_only};
use crate::pg::relation::{Class, display_name, open};
use crate::pg::run_as_owner::RunAsOwner;
use crate::protect::arguments::not_null;
use crate::protect::mirror_triggers::{drop_triggers, own_path, put_triggers};
use crate::tables::catalog::{is_own_schema, own_table};

#[pg_extern(sql = false)]
fn mirror(target: Option<&str>, source: Option<pg_sys::Oid>) -> Result<i64, SpiError> {
    let target = not_null(
        target,
        "target",
        "Name a table of deskguard, as 'team_member'.",
    );
    let source = not_null(source, "source", "Name a view, or a table.");
    refuse_read_only("deskguard.mirror");
    refuse_old_snapshot();
    let target = Target::named(target);
    check_user(target, source);
    check_source(target, source)?;
    let known = mirrors()
        .into_iter()
        .find(|known| known.target.name == target.name && known.source == source);
    let mirror = match known {
        Some(known) => known,
        None => Mirror {
            id: register(target, source)?,
            target,
            source,
        },
    };
    put_triggers(mirror)?;
    refresh_now(mirror, Wanted::Source);
    Ok(mirror.id)
}

#[pg_extern(sql = false)]
fn unmirror(mirror: Option<i64>, keep_rows: Option<bool>) -> Result<(), SpiError> {
    let id = not_null(
        mirror,
        "mirror",
        "Give its number, as deskguard.mirror shows it.",
    );
    refuse_read_only("deskguard.unmirror");
    let Some(mirror) = find(id) else {
        error::raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("there is no mirror {id}"),
            "SELECT * FROM deskguard.mirror; shows all.",
        )
    };
    check_user(mirror.target, mirror.source);
    forget(mirror, keep_rows == Some(true))
}

/// Ends a mirror.
pub fn forget(mirror: Mirror, keep_rows: bool) -> Result<(), SpiError> {
    drop_triggers(mirror.id)?;
    if !keep_rows {
        refresh_now(mirror, Wanted::Nothing);
    }
    let _owner = RunAsOwner::of(own_table(c"mirror"));
    let _settings = own_path();
    let _writing = Writing::begin();
    if keep_rows {
        // For the others that give them they are as those made by hand.
        Spi::run_with_args(
            "UPDATE deskguard_internal.mirrored_row AS o SET was_there = true
             FROM deskguard_internal.mirrored_row AS r, deskguard_internal.mirror AS m
             WHERE r.mirror = $1 AND m.id = o.mirror AND m.target = $2 AND o.mirror <> $1
                 AND (o.id, o.other_id, o.permission) = (r.id, r.other_id, r.permission)",
            &[mirror.id.into(), mirror.target.name.into()],
        )?;
    }
    for table in ["mirrored_row WHERE mirror", "mirror WHERE id"] {
        Spi::run(&format!(
            "DELETE FROM deskguard_internal.{table} = {}",
            mirror.id
        ))?;
    }
    journal::refreshed(mirror.id);
    Ok(())
}

fn register(target: &Target, source: pg_sys::Oid) -> Result<i64, SpiError> {
    let _owner = RunAsOwner::of(own_table(c"mirror"));
    let id = Spi::get_one_with_args(
        "INSERT INTO deskguard_internal.mirror (target, source) VALUES ($1, $2::pg_catalog.regclass) RETURNING id",
        &[target.name.into(), source.into()],
    )?;
    id.ok_or(SpiError::InvalidPosition)
}

/// What others commit after the snapshot of the transaction and before its locks would be missed.
fn refuse_old_snapshot() {
    // SAFETY: reads the state of the transaction.
    if unsafe { pg_sys::XactIsoLevel } >= pg_sys::XACT_REPEATABLE_READ as i32 {
        error::raise(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "deskguard.mirror() cannot run in a transaction that is REPEATABLE READ or SERIALIZABLE",
            "Run it in a transaction that is READ COMMITTED.",
        );
    }
}

/// Whoever may write the target by hand and owns the source.
fn check_user(target: &Target, source: pg_sys::Oid) {
    // SAFETY: reads the backend's state, and look-ups in the system cache.
    unsafe {
        if pg_sys::superuser() {
            return check_owner(source);
        }
        let user = pg_sys::GetUserId();
        let name = std::ffi::CString::new(target.name).unwrap_or_default();
        let table = own_table(&name);
        let may_write = [pg_sys::ACL_INSERT, pg_sys::ACL_UPDATE, pg_sys::ACL_DELETE]
            .into_iter()
            .all(|right| {
                pg_sys::pg_class_aclcheck(table, user, right as pg_sys::AclMode)
                    == pg_sys::AclResult::ACLCHECK_OK
            });
        if !may_write {
            error::raise(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("permission denied to mirror rows into {}", target.table()),
                format!(
                    "Whoever may INSERT, UPDATE and DELETE rows of {} can.",
                    target.table()
                ),
            );
        }
        check_owner(source);
    }
}

fn check_owner(relation: pg_sys::Oid) {
    if Class::of(relation).is_none() {
        error::raise(
            PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE,
            format!("there is no relation with the OID {}", relation.to_u32()),
            "Name a view, or a table.",
        );
    }
    // SAFETY: reads the backend's state.
    if !owns_table(relation, unsafe { pg_sys::GetUserId() }) {
        error::raise(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("must be owner of {}", display_name(relation)),
            "Who owns a source and all tables below it may have it mirrored.",
        );
    }
}

/// Refuses a source that does not fit, or of which changes could not be heard.
pub fn check_source(target: &'static Target, source: pg_sys::Oid) -> Result<Below, SpiError> {
    let refuse = |relation: pg_sys::Oid, why: &str| -> ! {
        error::raise(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("{} cannot be mirrored: {why}", display_name(relation)),
            "A source is a view on ordinary tables of the help desk, or such a table.",
        )
    };
    // Kept from changes until the transaction ends.
    let _relation = open(source);
    let read = below(source);
    if let Some(other) = read.others.first() {
        refuse(*other, "it is no table, and its changes cannot be heard of");
    }
    for table in read.tables.keys() {
        let Some(class) = Class::of(*table) else {
            continue;
        };
        if class.is_temporary {
            refuse(*table, "it is temporary");
        }
        if is_own_schema(class.schema) {
            refuse(
                *table,
                "it is one of deskguard's own tables; the key of what it refers to may be given instead",
            );
        }
        check_owner(*table);
    }
    if read.tables.is_empty() {
        refuse(source, "it reads no table");
    }
    Shape::of(target, source)?;
    Ok(read)
}
