//! What a command dropped, as an event trigger is told.

use pgrx::pg_sys;

use crate::protect::event_rows::for_each_event_row;

const PG_CLASS: u32 = 1259;

/// What a command dropped, as far as it may matter.
#[derive(Default)]
pub struct Dropped {
    pub tables: Vec<pg_sys::Oid>,
    /// Of tables that stay, with their names for messages.
    pub columns: Vec<(pg_sys::Oid, String)>,
    /// Policies and triggers with names of deskguard's: kind, schema, table, name.
    pub parts: Vec<(String, [String; 3])>,
    pub views: Vec<pg_sys::Oid>,
    /// Did the command name a table, a view or a column, and not what it is in?
    pub is_of_relation: bool,
}

impl Dropped {
    pub fn now() -> Dropped {
        let mut dropped = Dropped::default();
        for_each_event_row(
            c"SELECT classid, objid, objsubid, object_type, object_identity, address_names, original
              FROM pg_catalog.pg_event_trigger_dropped_objects()
              WHERE NOT is_temporary AND object_type OPERATOR(pg_catalog.=) ANY (
                  '{table, foreign table, view, table column, policy, trigger}'::pg_catalog.text[])",
            |row| {
                // SAFETY: of these types.
                let (catalog, object, column, kind) = unsafe {
                    (
                        row.get::<pg_sys::Oid>(1),
                        row.get::<pg_sys::Oid>(2),
                        row.get::<i32>(3),
                        row.get::<&str>(4),
                    )
                };
                let (Some(catalog), Some(object), Some(kind)) = (catalog, object, kind) else {
                    return;
                };
                // SAFETY: a boolean.
                dropped.is_of_relation |= !["policy", "trigger"].contains(&kind)
                    && unsafe { row.get::<bool>(7) } == Some(true);
                match kind {
                    "view" => dropped.views.push(object),
                    "table" | "foreign table"
                        if catalog.to_u32() == PG_CLASS && column == Some(0) =>
                    {
                        dropped.tables.push(object);
                    }
                    "table column" => {
                        // SAFETY: a text.
                        let identity = unsafe { row.get::<&str>(5) }.unwrap_or_default();
                        dropped.columns.push((object, identity.into()));
                    }
                    "policy" | "trigger" => {
                        // SAFETY: an array of texts.
                        let names = unsafe { row.get::<Vec<Option<String>>>(6) };
                        let names: Option<Vec<String>> =
                            names.and_then(|names| names.into_iter().collect());
                        let names = names.and_then(|names| <[String; 3]>::try_from(names).ok());
                        dropped.parts.extend(
                            names
                                .filter(|[_, _, name]| name.starts_with("deskguard_"))
                                .map(|names| (kind.into(), names)),
                        );
                    }
                    _ => {}
                }
            },
        );
        dropped
    }
}
