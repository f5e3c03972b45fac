//! pg_dump and pg_restore.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use deskguard_tests::server::Database;

pub fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[derive(Clone, Copy)]
pub enum Format {
    Script,
    Archive,
}

pub fn dump_and_restore(database: &Database, format: Format) -> Database {
    let restored = Database::empty("restored");
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.dump", database.name()));
    let (kind, program) = match format {
        Format::Script => ("--format=plain", "psql"),
        Format::Archive => ("--format=custom", "pg_restore"),
    };
    run(database
        .program("pg_dump")
        .arg(kind)
        .arg("--file")
        .arg(&file));
    let mut restore = restored.program(program);
    match format {
        Format::Script => {
            restore.args(["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-f"])
        }
        Format::Archive => restore.args(["--exit-on-error", "--dbname", restored.name()]),
    };
    run(restore.arg(&file));
    fs::remove_file(&file).unwrap();
    restored
}

/// Dumps a database with the programs of its server, and restores it with those of the other one's.
pub fn restore_into(original: &Database, restored: &Database, options: &[&str]) {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.dump", restored.name()));
    run(original
        .program("pg_dump")
        .arg("--format=custom")
        .arg("--file")
        .arg(&file));
    run(restored
        .program("pg_restore")
        .args(["--exit-on-error", "--dbname", restored.name()])
        .args(options)
        .arg(&file));
    fs::remove_file(&file).unwrap();
}
