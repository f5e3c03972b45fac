//! The ways to dump and to restore: in parallel, into a database that has it all, in pieces.

use std::fs;
use std::path::{Path, PathBuf};

use deskguard_tests::lab::{code, texts};
use deskguard_tests::server::Database;
use postgres::error::SqlState;

use crate::programs::run;
use crate::workplace::{build, build_without_key, is_closed, is_telling, picture, same};

/// A dump that is removed with this.
struct Dump(PathBuf);

impl Dump {
    fn of(database: &Database, options: &[&str]) -> Dump {
        let name = format!("{}-{}", database.name(), options.join(""));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name.replace('=', "-"));
        let dump = Dump(path);
        dump.remove();
        run(database
            .program("pg_dump")
            .args(options)
            .arg("--file")
            .arg(&dump.0));
        dump
    }

    fn path(&self) -> &Path {
        &self.0
    }

    fn remove(&self) {
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Drop for Dump {
    fn drop(&mut self) {
        self.remove();
    }
}

fn restore(dump: &Dump, into: &Database, options: &[&str]) {
    run(into
        .program("pg_restore")
        .args(["--exit-on-error", "--dbname", into.name()])
        .args(options)
        .arg(dump.path()));
}

fn run_script(dump: &Dump, into: &Database) {
    run(into
        .program("psql")
        .args(["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-f"])
        .arg(dump.path()));
}

fn original() -> (Database, Vec<String>) {
    original_of(build)
}

fn original_of(build: fn(&Database)) -> (Database, Vec<String>) {
    let database = Database::with_deskguard("ways");
    build(&database);
    let picture = picture(&database);
    is_telling(&picture);
    (database, picture)
}

/// Checks are back after a restore, and grants are obeyed.
fn lives_on(database: &Database) {
    let mut superuser = database.superuser();
    for sql in [
        "INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (100, 999)",
        "INSERT INTO deskguard.agent_department VALUES (1, 999, 'full')",
        "UPDATE deskguard.department SET parent_id = 999 WHERE id = 1",
        "INSERT INTO deskguard.shared_visibility (object_table, object_id, agent_id) VALUES ('desk.filter', 1, 999)",
        "INSERT INTO deskguard.shared_visibility (object_table, object_id, agent_id) VALUES ('pg_class', 1, 1)",
    ] {
        let refused = code(superuser.batch_execute(sql));
        assert_eq!(refused, SqlState::FOREIGN_KEY_VIOLATION, "{sql}");
    }
    // Mirrors follow what the help desk does, and give up nothing.
    superuser
        .batch_execute(
            "UPDATE desk.staff SET reads = NOT reads WHERE id IN (201, 202); DELETE FROM desk.shift;
             DELETE FROM desk.staff WHERE id IN (203, 204); INSERT INTO desk.staff VALUES (207, 'New', true)",
        )
        .unwrap();
    let agents = "SELECT concat_ws(' ', id, a.name, m.group_id) FROM deskguard.agent AS a
        LEFT JOIN deskguard.group_member AS m ON m.agent_id = a.id AND m.group_id = 101 WHERE a.id > 200 ORDER BY 1";
    assert_eq!(
        texts(&mut superuser, agents),
        [
            "201 Staff 201 101",
            "202 Staff 202",
            "204 Staff 204",
            "205 Staff 205",
            "206 Staff 206 101",
            "207 New 101"
        ]
    );
    let left = "SELECT count(*)::text FROM deskguard.group_member WHERE agent_id = 3";
    let mut transaction = superuser.transaction().unwrap();
    let sql = "DELETE FROM deskguard.agent WHERE id = 3";
    transaction.batch_execute(sql).unwrap();
    let rows = transaction.query(left, &[]).unwrap();
    assert_eq!(rows[0].get::<_, String>(0), "0", "references cascade");
}

#[test]
fn in_parallel() {
    let (original, before) = original();
    for format in ["--format=directory", "--format=custom"] {
        let dump = Dump::of(&original, &[format]);
        // What comes first is chance.
        for _ in 0..3 {
            let restored = Database::empty("parallel");
            restore(&dump, &restored, &["--jobs=8"]);
            same(&before, &picture(&restored));
            lives_on(&restored);
        }
    }
}

#[test]
fn dumped_in_parallel() {
    let (original, before) = original();
    let dump = Dump::of(&original, &["--format=directory", "--jobs=4"]);
    let restored = Database::empty("parallel");
    restore(&dump, &restored, &[]);
    same(&before, &picture(&restored));
}

#[test]
fn over_what_is_there() {
    let (original, before) = original_of(build_without_key);
    let dump = Dump::of(&original, &["--format=custom"]);
    let script = Dump::of(&original, &["--format=plain", "--clean", "--if-exists"]);
    for options in [
        &["--clean", "--if-exists", "--single-transaction"][..],
        &["--clean", "--if-exists"],
        &["--clean", "--if-exists", "--jobs=8"],
    ] {
        // What came meanwhile goes.
        original
            .superuser()
            .batch_execute(
                "UPDATE deskguard.agent SET active = true WHERE id = 4;
                 INSERT INTO deskguard.agent (id, name) VALUES (6, 'Eve');
                 INSERT INTO deskguard.group_member VALUES (1, 6), (1, 2)",
            )
            .unwrap();
        restore(&dump, &original, options);
        same(&before, &picture(&original));
        lives_on(&original);
    }
    // A script that does the same.
    run_script(&script, &original);
    same(&before, &picture(&original));
}

#[test]
fn as_inserts() {
    let (original, before) = original();
    let script = Dump::of(&original, &["--format=plain", "--inserts"]);
    let restored = Database::empty("inserts");
    run_script(&script, &restored);
    same(&before, &picture(&restored));
}

#[test]
fn the_schema_and_then_the_data() {
    let (original, before) = original();
    let schema = Dump::of(&original, &["--format=custom", "--schema-only"]);
    let data = Dump::of(&original, &["--format=custom", "--data-only"]);
    // Without their triggers: pg_dump gives the help desk's own foreign keys no order where one leads to a
    // partitioned table.
    for options in [
        &["--disable-triggers"][..],
        &["--disable-triggers", "--jobs=8"],
    ] {
        let restored = Database::empty("apart");
        restore(&schema, &restored, &[]);
        is_closed(&restored);
        restore(&data, &restored, options);
        same(&before, &picture(&restored));
        lives_on(&restored);
        // Triggers that were switched off are as they were.
        let sql =
            "SELECT concat_ws(' ', t.tgrelid::regclass, t.tgfoid::regproc, t.tgenabled, k.conname)
             FROM pg_trigger AS t LEFT JOIN pg_constraint AS k ON k.oid = t.tgconstraint
             WHERE t.tgrelid::regclass::text LIKE 'deskguard%' ORDER BY 1";
        assert_eq!(
            texts(&mut restored.superuser(), sql),
            texts(&mut original.superuser(), sql)
        );
    }
}

#[test]
fn in_sections() {
    let (original, before) = original();
    let dump = Dump::of(&original, &["--format=custom"]);
    let restored = Database::empty("sections");
    restore(&dump, &restored, &["--section=pre-data"]);
    restore(&dump, &restored, &["--section=data", "--jobs=8"]);
    // Without their policies.
    is_closed(&restored);
    restore(&dump, &restored, &["--section=post-data", "--jobs=8"]);
    same(&before, &picture(&restored));
}

/// What cannot be restored closes what needs it.
#[test]
fn what_is_missing_closes() {
    let (original, _) = original();
    let role = format!("deskguard_test_gone_{}", std::process::id());
    let mut superuser = original.superuser();
    superuser
        .batch_execute(&format!(
            "CREATE ROLE {role} LOGIN; UPDATE deskguard.agent SET db_role = '{role}' WHERE id = 2"
        ))
        .unwrap();
    let dump = Dump::of(&original, &["--format=custom"]);
    superuser
        .batch_execute(&format!(
            "UPDATE deskguard.agent SET db_role = NULL WHERE id = 2; DROP ROLE {role}"
        ))
        .unwrap();
    let restored = Database::empty("half");
    let mut command = restored.program("pg_restore");
    command
        .args(["--jobs=8", "--dbname", restored.name()])
        .arg(dump.path());
    let output = command.output().unwrap();
    assert!(!output.status.success());
    // No agent is there: the role of one is missing.
    is_closed(&restored);
    // After it was mended, the rest is restored.
    superuser
        .batch_execute(&format!("CREATE ROLE {role} LOGIN"))
        .unwrap();
    restore(
        &dump,
        &restored,
        &["--data-only", "--schema=deskguard", "--table=agent"],
    );
    superuser
        .batch_execute(&format!(
            "UPDATE deskguard.agent SET db_role = '{role}' WHERE id = 2"
        ))
        .unwrap();
    same(&picture(&original), &picture(&restored));
    for database in [&original, &restored] {
        let sql = "UPDATE deskguard.agent SET db_role = NULL WHERE id = 2";
        database.superuser().batch_execute(sql).unwrap();
    }
    superuser
        .batch_execute(&format!("DROP ROLE {role}"))
        .unwrap();
}
