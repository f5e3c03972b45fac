//! Makes the rows of a mirror equal to those of its source: reads the source as its owner, compares, and writes what
//! differs.

use std::ffi::CStr;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use pgrx::pg_sys::panic::CaughtError;
use pgrx::prelude::*;
use pgrx::spi::{SpiError, quote_identifier, quote_literal};

use crate::mirrors::guard::Writing;
use crate::mirrors::journal;
use crate::mirrors::registry::{Mirror, mirrors};
use crate::mirrors::shape::{Given, Reference, Shape};
use crate::mirrors::staged::{Staged, first_row, run};
use crate::pg::error;
use crate::pg::relation::display_name;
use crate::pg::run_as_owner::RunAsOwner;
use crate::pg::settings::Settings;
use crate::tables::catalog::own_table;

/// What the rows of a mirror are to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Source,
    /// As if the source gave no rows any more.
    Nothing,
}

const SOURCE: &CStr = c"deskguard_source";
const DIFFERENCE: &CStr = c"deskguard_difference";
const CHANGE: &CStr = c"deskguard_change";

/// While it lives, what runs is not subject to the caller's settings.
fn own_settings() -> Settings {
    let settings = Settings::begin();
    settings.set(c"search_path", c"pg_catalog, pg_temp");
    // Rows are compared in memory.
    const ENOUGH: i32 = 64 * 1024;
    // SAFETY: reads a setting.
    if unsafe { pg_sys::work_mem } < ENOUGH {
        settings.set(c"work_mem", c"64MB");
    }
    settings
}

pub fn refresh(mirror: Mirror, wanted: Wanted) -> Result<(), SpiError> {
    // Of what changes meanwhile it has to be told again.
    journal::refreshed(mirror.id);
    if !lock(mirror.id) {
        return Ok(());
    }
    let outcome = PgTryBuilder::new(AssertUnwindSafe(|| write(mirror, wanted)))
        .catch_others(|caught| refuse(mirror, caught))
        .execute()?;
    // What is gone may have left others behind that refer to it, or that give the same rows.
    for other in mirrors() {
        let is_left = outcome.is_key_gone && other.target.depends_on(mirror.target);
        let is_next = outcome.is_given_by_others && other.target.name == mirror.target.name;
        if (is_left || is_next) && other.id != mirror.id {
            journal::changed(other.id);
        }
    }
    Ok(())
}

/// One transaction refreshes a mirror at a time, and then sees what those before it have written. REPEATABLE READ does
/// not, and PostgreSQL refuses it with 40001. False if the mirror is no more.
fn lock(mirror: i64) -> bool {
    let _owner = RunAsOwner::of(own_table(c"mirror"));
    let _settings = own_settings();
    let row = first_row(
        &format!("SELECT id FROM deskguard_internal.mirror WHERE id = {mirror} FOR NO KEY UPDATE"),
        &[],
    );
    row.is_some()
}

#[derive(Clone, Copy, Default)]
struct Outcome {
    is_key_gone: bool,
    is_given_by_others: bool,
}

fn write(mirror: Mirror, wanted: Wanted) -> Result<Outcome, SpiError> {
    let began = Instant::now();
    let shape = match wanted {
        Wanted::Source => Some(Shape::of(mirror.target, mirror.source)?),
        Wanted::Nothing => None,
    };
    let source = shape.as_ref().map(|shape| read_source(mirror, shape));
    let _owner = RunAsOwner::of(own_table(c"mirror"));
    let settings = own_settings();
    // Foreign keys count, also where changes are replicated.
    settings.set(c"session_replication_role", c"origin");
    let _writing = Writing::begin();
    let names = Names::of(mirror);
    if let (Some(shape), Some(source)) = (&shape, &source) {
        check(shape, source);
    }
    let difference = match (&shape, &source) {
        (Some(shape), Some(source)) => Staged::of(DIFFERENCE, &names.difference(shape), &[source]),
        _ => Staged::of(DIFFERENCE, &names.all_gone(), &[]),
    };
    let mut outcome = Outcome::default();
    if difference.count() > 0 {
        let change = Staged::of(CHANGE, &names.change(), &[&difference]);
        let counts = first_row(&names.apply(shape.as_ref()), &[&change]).unwrap_or_default();
        let count = |n: usize| -> i64 {
            let text = counts.get(n).and_then(Option::as_deref);
            text.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        let (gone, removed, rekeyed) = (count(0), count(1), count(2));
        outcome.is_key_gone = mirror.target.is_principal() && removed + rekeyed > 0;
        outcome.is_given_by_others = gone > removed;
    }
    run(&format!(
        "UPDATE deskguard_internal.mirror
         SET rows = {}, last_refresh = clock_timestamp(), duration = make_interval(secs => {:.6})
         WHERE id = {}",
        source.map_or(0, |source| source.count()),
        began.elapsed().as_secs_f64(),
        mirror.id
    ));
    // What was written counts from now on, and the signals are heard.
    // SAFETY: in a transaction.
    unsafe { pg_sys::CommandCounterIncrement() };
    Ok(outcome)
}

/// As REFRESH MATERIALIZED VIEW does: with the rights of its owner, and nobody else's.
fn read_source(mirror: Mirror, shape: &Shape) -> Staged {
    let _owner = RunAsOwner::to_read(mirror.source);
    let settings = own_settings();
    // Policies for the owner would give a part of the rows: an error rather than that.
    settings.set(c"row_security", c"off");
    let columns: Vec<_> = shape
        .given
        .iter()
        .map(|one| {
            let name = quote_identifier(one.source());
            format!("CAST(s.{name} AS {}) AS {name}", one.kind())
        })
        .collect();
    let query = format!(
        "SELECT DISTINCT {} FROM {} AS s",
        columns.join(", "),
        display_name(mirror.source)
    );
    Staged::of(SOURCE, &query, &[])
}

/// Refuses what constraints cannot, or not with a name.
fn check(shape: &Shape, source: &Staged) {
    let quoted: Vec<_> = shape.source_key().iter().map(quote_identifier).collect();
    let is_null: Vec<_> = quoted.iter().map(|key| format!("{key} IS NULL")).collect();
    let row = "deskguard_source::text";
    let query = format!(
        "SELECT {row} FROM deskguard_source WHERE {} LIMIT 1",
        is_null.join(" OR ")
    );
    if let Some(found) = first_row(&query, &[source]) {
        error::raise(
            PgSqlErrorCode::ERRCODE_NOT_NULL_VIOLATION,
            format!(
                "the row {} has no value in {}",
                text_of(&found),
                shape.source_key().join(", ")
            ),
            "",
        );
    }
    if !shape.values().is_empty() {
        let keys = quoted.join(", ");
        let query = format!(
            "SELECT ROW({keys})::text FROM deskguard_source GROUP BY {keys} HAVING count(*) > 1 LIMIT 1"
        );
        if let Some(found) = first_row(&query, &[source]) {
            error::raise(
                PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION,
                format!(
                    "it gives several rows that differ for the same {}: {}",
                    shape.source_key().join(", "),
                    text_of(&found)
                ),
                "",
            );
        }
    }
    if shape.target.name == "permission_group" {
        let by = shape.known_by.unwrap_or("id");
        let query = format!(
            "SELECT g.name FROM deskguard_source AS s
             JOIN deskguard.permission_group AS g ON g.{by} = s.{by} WHERE g.builtin LIMIT 1"
        );
        if let Some(found) = first_row(&query, &[source]) {
            error::raise(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("the group \"{}\" is built in", text_of(&found)),
                "",
            );
        }
    }
    for reference in shape.references() {
        let Reference {
            source: column,
            table,
            by,
            ..
        } = reference;
        let column = quote_identifier(column);
        let itself = if *table == shape.target.name && shape.gives(by) {
            format!("AND NOT EXISTS (SELECT FROM deskguard_source AS o WHERE o.{by} = s.{column})")
        } else {
            String::new()
        };
        let query = format!(
            "SELECT s.{column} FROM deskguard_source AS s
             WHERE s.{column} IS NOT NULL
                 AND NOT EXISTS (SELECT FROM deskguard.{table} AS t WHERE t.{by} = s.{column}) {itself}
             LIMIT 1"
        );
        if let Some(found) = first_row(&query, &[source]) {
            error::raise(
                PgSqlErrorCode::ERRCODE_FOREIGN_KEY_VIOLATION,
                format!(
                    "there is no row in deskguard.{table} with {by} = {}",
                    quote_literal(text_of(&found))
                ),
                "",
            );
        }
    }
}

fn text_of(row: &[Option<String>]) -> &str {
    row.first().and_then(Option::as_deref).unwrap_or_default()
}

/// The SQL of one mirror.
struct Names {
    mirror: i64,
    target: String,
    name: &'static str,
    key: &'static [&'static str],
    /// The other mirrors of the same target.
    others: Vec<i64>,
}

impl Names {
    fn of(mirror: Mirror) -> Names {
        let mut others = mirrors();
        others.retain(|other| other.target.name == mirror.target.name && other.id != mirror.id);
        Names {
            others: others.iter().map(|other| other.id).collect(),
            mirror: mirror.id,
            target: mirror.target.table(),
            name: mirror.target.name,
            key: mirror.target.key,
        }
    }

    /// A column of the primary key in mirrored_row.
    fn noted(&self, column: &str) -> &'static str {
        match column {
            "permission" => "permission",
            _ if column == self.key[0] => "id",
            _ => "other_id",
        }
    }

    /// Is the row of the target the one that is noted?
    fn is_row(&self, target: &str, noted: &str) -> String {
        let same = |column: &&str| format!("{target}.{column} = {noted}.{}", self.noted(column));
        let all: Vec<_> = self.key.iter().map(same).collect();
        all.join(" AND ")
    }

    /// The columns of mirrored_row, from those of the primary key.
    fn noted_columns(&self, of: &str) -> String {
        let column = |noted: &str, none: &str| {
            let found = self.key.iter().find(|column| self.noted(column) == noted);
            let value = found.map_or(none.into(), |column| format!("{of}.{column}"));
            format!("{value} AS {noted}")
        };
        [
            column("id", "0"),
            column("other_id", "0::int8"),
            column("permission", "''::text"),
        ]
        .join(", ")
    }

    /// Does one of these mirrors give the row that is noted? Each is looked up by the primary key.
    fn is_given_by(&self, mirrors: &[i64], noted: &str, and: &str) -> String {
        let given: Vec<_> = mirrors
            .iter()
            .map(|mirror| {
                format!(
                    "EXISTS (SELECT FROM deskguard_internal.mirrored_row AS o
                         WHERE o.mirror = {mirror} AND o.id = {noted}.id AND o.other_id = {noted}.other_id
                             AND o.permission = {noted}.permission {and})"
                )
            })
            .collect();
        if given.is_empty() {
            "false".into()
        } else {
            format!("({})", given.join(" OR "))
        }
    }

    /// All that the mirror gives, as if it gave nothing any more.
    fn all_gone(&self) -> String {
        format!(
            "SELECT '-' AS action, r.id, r.other_id, r.permission, false AS rekeyed
             FROM deskguard_internal.mirrored_row AS r WHERE r.mirror = {}",
            self.mirror
        )
    }

    /// What differs between what the source gives and what was noted of it.
    fn difference(&self, shape: &Shape) -> String {
        let target = &self.target;
        // Rows whose ids are not given have one, or get one.
        let numbered = match shape.known_by {
            None => "SELECT s.* FROM deskguard_source AS s".into(),
            Some(by) => {
                let sequence = match self.name {
                    "permission_group" => "deskguard.permission_group_id_seq",
                    _ => "deskguard_internal.mirrored_id_seq",
                };
                format!(
                    "SELECT s.*, coalesce(t.id, nextval('{sequence}')) AS id
                     FROM deskguard_source AS s LEFT JOIN {target} AS t ON t.{by} = s.{by}"
                )
            }
        };
        let (mut columns, mut joins) = (vec![], String::new());
        if shape.known_by.is_some() {
            columns.push("s.id".into());
        }
        for (n, one) in shape.given.iter().enumerate() {
            match one {
                Given::Itself { name, .. } => columns.push(format!("s.{}", quote_identifier(name))),
                Given::Reference(Reference {
                    source,
                    name,
                    table,
                    by,
                }) => {
                    let key = quote_identifier(source);
                    joins +=
                        &format!(" LEFT JOIN deskguard.{table} AS t{n} ON t{n}.{by} = s.{key}");
                    if *table == self.name && shape.gives(by) {
                        joins += &format!(" LEFT JOIN numbered AS s{n} ON s{n}.{by} = s.{key}");
                        columns.push(format!("coalesce(s{n}.id, t{n}.id) AS {name}"));
                    } else {
                        columns.push(format!("t{n}.id AS {name}"));
                    }
                }
            }
        }
        let columns = columns.join(", ");
        let values = value_names(shape);
        let list =
            |of: &str| -> String { values.iter().map(|name| format!(", {of}.{name}")).collect() };
        let differs: String = values
            .iter()
            .map(|name| format!(" OR w.{name} IS DISTINCT FROM h.{name}"))
            .collect();
        let rekeyed: Vec<_> = ["external_key", "name"]
            .iter()
            .filter(|name| shape.gives(name))
            .filter(|name| **name == "external_key" || self.name == "permission_group")
            .map(|name| format!("w.{name} IS DISTINCT FROM h.{name}"))
            .collect();
        let rekeyed = if rekeyed.is_empty() {
            "false".into()
        } else {
            format!(
                "h.is_there AND w.id IS NOT NULL AND ({})",
                rekeyed.join(" OR ")
            )
        };
        let (noted, is_row) = (self.noted_columns("w"), self.is_row("t", "r"));
        let same = |column: &&str| {
            let noted = self.noted(column);
            format!("w.{noted} = h.{noted}")
        };
        let is_noted: Vec<_> = self.key.iter().map(same).collect();
        let is_noted = is_noted.join(" AND ");
        let (key, mirror) = (self.key[0], self.mirror);
        let (w_values, t_values) = (list("w"), list("t"));
        format!(
            "WITH numbered AS ({numbered}),
             given AS (SELECT {columns} FROM numbered AS s{joins}),
             w AS (SELECT {noted}{w_values} FROM given AS w),
             h AS (
                 SELECT r.id, r.other_id, r.permission, t.{key} IS NOT NULL AS is_there{t_values}
                 FROM deskguard_internal.mirrored_row AS r LEFT JOIN {target} AS t ON {is_row}
                 WHERE r.mirror = {mirror}
             )
             SELECT CASE WHEN w.id IS NULL THEN '-' WHEN h.id IS NULL THEN '+' ELSE '~' END AS action,
                 coalesce(w.id, h.id) AS id, coalesce(w.other_id, h.other_id) AS other_id,
                 coalesce(w.permission, h.permission) AS permission, {rekeyed} AS rekeyed{w_values}
             FROM w FULL JOIN h ON {is_noted}
             WHERE w.id IS NULL OR h.id IS NULL OR NOT h.is_there{differs}"
        )
    }

    /// The same with what is known of each row before anything is written: is it in the target, and does it stay, or
    /// has it the values of another mirror?
    fn change(&self) -> String {
        let (target, mirror) = (&self.target, self.mirror);
        let t_is_d = self.is_row("t", "d");
        let is_there = format!("EXISTS (SELECT FROM {target} AS t WHERE {t_is_d})");
        let mut before = self.others.clone();
        before.retain(|other| *other < mirror);
        let is_given_before = self.is_given_by(&before, "d", "");
        let is_given = self.is_given_by(&self.others, "d", "");
        let is_made = self.is_given_by(&self.others, "d", "AND NOT o.was_there");
        let was_there = self.is_given_by(&[mirror], "d", "AND o.was_there");
        format!(
            "SELECT d.*, d.action <> '-' AND {is_there} AS is_there,
                 d.action = '-' AND ({is_given} OR {was_there}) AS stays,
                 d.action <> '-' AND {is_given_before} AS is_of_other,
                 d.action = '+' AND NOT {is_made} AS is_by_hand
             FROM deskguard_difference AS d"
        )
    }

    /// Writes what differs, in one statement: rows may refer to each other, or take the place of each other. A row that
    /// several mirrors give has the values of the first of them.
    fn apply(&self, shape: Option<&Shape>) -> String {
        let (target, mirror) = (&self.target, self.mirror);
        let t_is_d = self.is_row("t", "d");
        let gone = format!(
            "gone AS (
                 DELETE FROM deskguard_internal.mirrored_row AS r USING deskguard_change AS d
                 WHERE d.action = '-' AND r.mirror = {mirror} AND r.id = d.id AND r.other_id = d.other_id
                     AND r.permission = d.permission
                 RETURNING 1
             ),
             removed AS (
                 DELETE FROM {target} AS t USING deskguard_change AS d
                 WHERE d.action = '-' AND NOT d.stays AND {t_is_d} RETURNING 1
             )"
        );
        let counts = "(SELECT count(*) FROM gone), (SELECT count(*) FROM removed),
             (SELECT count(*) FROM deskguard_change AS d WHERE d.rekeyed)";
        let Some(shape) = shape else {
            return format!("WITH {gone} SELECT {counts}");
        };
        let values = value_names(shape);
        let changed = if values.is_empty() {
            "changed AS (SELECT 1 WHERE false)".into()
        } else {
            let set: Vec<_> = values
                .iter()
                .map(|name| format!("{name} = d.{name}"))
                .collect();
            let differs: Vec<_> = values
                .iter()
                .map(|name| format!("t.{name} IS DISTINCT FROM d.{name}"))
                .collect();
            format!(
                "changed AS (
                     UPDATE {target} AS t SET {} FROM deskguard_change AS d
                     WHERE d.is_there AND NOT d.is_of_other AND {t_is_d} AND ({}) RETURNING 1
                 )",
                set.join(", "),
                differs.join(" OR ")
            )
        };
        let keys = self.key.iter().map(|key| key.to_string());
        let mut columns: Vec<_> = keys.chain(values.clone()).collect();
        let from_key = self.key.iter().map(|key| format!("d.{}", self.noted(key)));
        let from_values = values.iter().map(|name| format!("d.{name}"));
        let mut from: Vec<_> = from_key.chain(from_values).collect();
        if shape.target.is_principal() && !shape.gives("name") {
            columns.push("name".into());
            from.push(match shape.known_by {
                Some(by) => format!("d.{by}"),
                None => "d.id::text".into(),
            });
        }
        format!(
            "WITH {gone}, {changed},
             noted AS (
                 INSERT INTO deskguard_internal.mirrored_row (mirror, id, other_id, permission, was_there)
                 SELECT {mirror}, d.id, d.other_id, d.permission, d.is_there AND d.is_by_hand
                 FROM deskguard_change AS d WHERE d.action = '+'
                 RETURNING 1
             ),
             added AS (
                 INSERT INTO {target} ({}) SELECT {} FROM deskguard_change AS d
                 WHERE d.action <> '-' AND NOT d.is_there
                 RETURNING 1
             )
             SELECT {counts}, (SELECT count(*) FROM changed), (SELECT count(*) FROM noted), (SELECT count(*) FROM added)",
            columns.join(", "),
            from.join(", ")
        )
    }
}

fn value_names(shape: &Shape) -> Vec<String> {
    let values = shape.values();
    values
        .iter()
        .map(|one| quote_identifier(one.name()))
        .collect()
}

/// Says whose mirror it is that fails, but for what a retry or a later attempt may mend.
fn refuse(mirror: Mirror, caught: CaughtError) -> ! {
    let report = match &caught {
        CaughtError::PostgresError(report)
        | CaughtError::ErrorReport(report)
        | CaughtError::RustPanic {
            ereport: report, ..
        } => report,
    };
    let code = report.sql_error_code();
    if is_passing(code) {
        caught.rethrow();
    }
    let detail = report.detail().map(str::to_string);
    error::raise_with_detail(
        code,
        format!(
            "mirror {} cannot make {} equal to {}: {}",
            mirror.id,
            mirror.target.table(),
            display_name(mirror.source),
            report.message()
        ),
        detail,
        format!(
            "Change what {} gives, or end the mirror: SELECT deskguard.unmirror({});",
            display_name(mirror.source),
            mirror.id
        ),
    )
}

fn is_passing(code: PgSqlErrorCode) -> bool {
    use PgSqlErrorCode::*;
    matches!(
        code,
        ERRCODE_T_R_SERIALIZATION_FAILURE
            | ERRCODE_T_R_DEADLOCK_DETECTED
            | ERRCODE_LOCK_NOT_AVAILABLE
            | ERRCODE_QUERY_CANCELED
            | ERRCODE_ADMIN_SHUTDOWN
            | ERRCODE_CRASH_SHUTDOWN
            | ERRCODE_OUT_OF_MEMORY
            | ERRCODE_DISK_FULL
            | ERRCODE_IDLE_IN_TRANSACTION_SESSION_TIMEOUT
    )
}
