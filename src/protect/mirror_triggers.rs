//! The triggers by which mirrors hear of changes.

use std::collections::{BTreeSet, HashMap};

use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_identifier};

use crate::mirrors::below::{Columns, below, column_name};
use crate::mirrors::registry::Mirror;
use crate::mirrors::shape::Shape;
use crate::pg::relation::{Class, attribute, display_name};
use crate::pg::run_as_owner::RunAsOwner;
use crate::pg::settings::Settings;
use crate::protect::own_work::OwnWork;

/// With operators and types that are PostgreSQL's.
pub fn own_path() -> Settings {
    let settings = Settings::begin();
    settings.set(c"search_path", c"pg_catalog, pg_temp");
    settings
}

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
                    .filter_map(|one| attribute(table, one.source()))
                    .collect(),
            )
        } else {
            read.tables[&table].clone()
        };
        let there = there.get(&table).unwrap_or(&none);
        if !are_right(mirror.id, &columns, there) {
            drop_on(table, there.keys())?;
            create_on(mirror.id, table, &triggers_for(mirror.id, table, &columns))?;
        }
    }
    // The other triggers of partitions are those of the tables above them.
    let truncate = format!("{}_truncate", trigger_name(mirror.id));
    for partition in &read.partitions {
        let is_there = there
            .get(partition)
            .is_some_and(|all| all.contains_key(&truncate));
        // PostgreSQL has no triggers on TRUNCATE of foreign tables.
        let is_foreign =
            Class::of(*partition).is_none_or(|class| class.kind == pg_sys::RELKIND_FOREIGN_TABLE);
        if !is_there && !is_foreign {
            create_on(mirror.id, *partition, &[truncate_trigger(mirror.id)])?;
        }
    }
    for (table, names) in &there {
        let is_partition = read.partitions.contains(table);
        if !read.tables.contains_key(table) && !is_partition {
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

/// A trigger to make: its name, the event, and how it is called.
type NewTrigger = (String, &'static str, String);

fn truncate_trigger(mirror: i64) -> NewTrigger {
    let name = format!("{}_truncate", trigger_name(mirror));
    (name, "AFTER TRUNCATE", "FOR EACH STATEMENT".into())
}

fn triggers_for(mirror: i64, table: pg_sys::Oid, columns: &Columns) -> Vec<NewTrigger> {
    let name = trigger_name(mirror);
    let mut wanted = vec![
        (
            name.clone(),
            "AFTER INSERT OR DELETE",
            "FOR EACH ROW".to_string(),
        ),
        truncate_trigger(mirror),
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
    wanted
}

fn create_on(mirror: i64, table: pg_sys::Oid, wanted: &[NewTrigger]) -> Result<(), SpiError> {
    let on = display_name(table);
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

/// Takes the triggers of a mirror off all tables.
pub fn drop_triggers(mirror: i64) -> Result<(), SpiError> {
    for (table, names) in triggers_of(mirror)? {
        drop_on(table, names.keys())?;
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
