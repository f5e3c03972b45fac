//! deskguard.mirror() and deskguard.unmirror()

use std::collections::{BTreeSet, HashMap};

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_identifier};

use crate::mirrors::below::{Below, Columns, below, column_name};
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
use crate::pg::settings::Settings;
use crate::protect::arguments::not_null;
use crate::protect::own_work::OwnWork;
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
    drop_triggers(mirror.id, None)?;
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

fn own_path() -> Settings {
    let settings = Settings::begin();
    settings.set(c"search_path", c"pg_catalog, pg_temp");
    settings
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

// Triggers

/// The trigger for rows that come and go; the others have its name with something after it.
pub fn trigger_name(mirror: i64) -> String {
    format!("deskguard_mirror_{mirror}")
}

/// The triggers of a mirror: by table, with the columns that one for UPDATE looks at.
type Triggers = HashMap<pg_sys::Oid, HashMap<String, BTreeSet<i16>>>;

fn triggers_of(mirror: i64) -> Result<Triggers, SpiError> {
    let _settings = own_path();
    let mut found = Triggers::new();
    Spi::connect(|client| {
        let rows = client.select(
            "SELECT t.tgrelid, t.tgname::text, d.refobjsubid::int2
             FROM pg_trigger AS t
             LEFT JOIN pg_depend AS d ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
                 AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.tgrelid AND d.refobjsubid > 0
             WHERE t.tgfoid = 'deskguard_internal.mirror_changed'::regproc AND t.tgparentid = 0
                 AND NOT t.tgisinternal AND t.tgargs = decode($1, 'escape')",
            None,
            &[format!("{mirror}\\000").into()],
        )?;
        for row in rows {
            let (table, name) = (row.get::<pg_sys::Oid>(1)?, row.get::<String>(2)?);
            if let (Some(table), Some(name)) = (table, name) {
                let columns = found.entry(table).or_default().entry(name).or_default();
                columns.extend(row.get::<i16>(3)?);
            }
        }
        Ok::<_, SpiError>(())
    })?;
    Ok(found)
}

/// Puts the triggers of a mirror on the tables below its source, and takes them off others.
pub fn put_triggers(mirror: Mirror) -> Result<(), SpiError> {
    let read = below(mirror.source);
    let own = Shape::of(mirror.target, mirror.source)?;
    let there = triggers_of(mirror.id)?;
    let none = HashMap::new();
    let mut tables: Vec<_> = read.tables.keys().copied().collect();
    tables.sort_unstable_by_key(|table| table.to_u32());
    for table in tables {
        let columns = if table == mirror.source {
            // Of a table as the source what it gives.
            Some(
                own.given
                    .iter()
                    .filter_map(|one| crate::pg::relation::attribute(table, one.source()))
                    .collect(),
            )
        } else {
            read.tables[&table].clone()
        };
        let there = there.get(&table).unwrap_or(&none);
        if !are_right(mirror.id, &columns, there) {
            drop_on(table, there.keys())?;
            create_on(mirror.id, table, &columns)?;
        }
    }
    for (table, names) in &there {
        if !read.tables.contains_key(table) {
            drop_on(*table, names.keys())?;
        }
    }
    Ok(())
}

fn are_right(mirror: i64, columns: &Columns, there: &HashMap<String, BTreeSet<i16>>) -> bool {
    let name = trigger_name(mirror);
    let update = there.get(&format!("{name}_update"));
    let is_update_right = match columns {
        Some(columns) if columns.is_empty() => update.is_none(),
        Some(columns) => update == Some(columns),
        None => update.is_some_and(BTreeSet::is_empty),
    };
    is_update_right && there.contains_key(&name) && there.contains_key(&format!("{name}_truncate"))
}

fn create_on(mirror: i64, table: pg_sys::Oid, columns: &Columns) -> Result<(), SpiError> {
    let (name, on) = (trigger_name(mirror), display_name(table));
    let mut wanted = vec![
        (
            name.clone(),
            "AFTER INSERT OR DELETE",
            "FOR EACH ROW".to_string(),
        ),
        (
            format!("{name}_truncate"),
            "AFTER TRUNCATE",
            "FOR EACH STATEMENT".into(),
        ),
    ];
    // Bit by bit, since equal values may print differently.
    let differs = match columns {
        Some(columns) if columns.is_empty() => None,
        Some(columns) => {
            let row = |of: &str| {
                let names = columns
                    .iter()
                    .filter_map(|number| column_name(table, *number));
                let all: Vec<_> = names
                    .map(|name| format!("{of}.{}", quote_identifier(name)))
                    .collect();
                format!("ROW({})", all.join(", "))
            };
            let (old, new) = (row("OLD"), row("NEW"));
            Some(format!("pg_catalog.record_image_ne({old}, {new})"))
        }
        None => Some("OLD.* OPERATOR(pg_catalog.*<>) NEW.*".into()),
    };
    if let Some(differs) = differs {
        wanted.push((
            format!("{name}_update"),
            "AFTER UPDATE",
            format!("FOR EACH ROW WHEN ({differs})"),
        ));
    }
    let _owner = RunAsOwner::of(table);
    let _work = OwnWork::begin();
    for (name, event, how) in wanted {
        Spi::run(&format!(
            "CREATE TRIGGER {name} {event} ON {on} {how}
                 EXECUTE FUNCTION deskguard_internal.mirror_changed('{mirror}')"
        ))?;
        // Also for what is replicated.
        Spi::run(&format!("ALTER TABLE {on} ENABLE ALWAYS TRIGGER {name}"))?;
    }
    Ok(())
}

/// Takes the triggers of a mirror off all tables, or off one.
fn drop_triggers(mirror: i64, of: Option<pg_sys::Oid>) -> Result<(), SpiError> {
    for (table, names) in triggers_of(mirror)? {
        if of.is_none_or(|of| of == table) {
            drop_on(table, names.keys())?;
        }
    }
    Ok(())
}

fn drop_on<'a>(
    table: pg_sys::Oid,
    names: impl Iterator<Item = &'a String>,
) -> Result<(), SpiError> {
    let _owner = RunAsOwner::of(table);
    let _work = OwnWork::begin();
    for name in names {
        Spi::run(&format!(
            "DROP TRIGGER {} ON {}",
            quote_identifier(name),
            display_name(table)
        ))?;
    }
    Ok(())
}
