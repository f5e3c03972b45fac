//! A hot standby of the server under test.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::thread;
use std::time::{Duration, Instant};

use deskguard_tests::server::{APP, Database, MAPPED};
use postgres::{Client, Config, NoTls};

use crate::desk::{
    ALL, ANN, Asker, BY_ANN, BY_BOB, Fold, Kind, MAX, NOTHING, act_for, assert_rows_or_retry, desk,
    ids, roles_stay, run,
};

/// Not that of the server under test, which is in another folder anyway.
const PORT: u16 = 5433;

struct Standby {
    folder: PathBuf,
    /// Whom the server under test runs as.
    user: (u32, u32),
}

impl Standby {
    fn start() -> Result<Standby, String> {
        let primary = env::var("PGHOST").expect("PGHOST is the server's socket folder");
        let data = fs::metadata(Path::new(&primary).join("data"))
            .or_else(|_| fs::metadata(&primary))
            .map_err(|error| format!("{primary}: {error}"))?;
        // The path of a socket must be short.
        let folder = PathBuf::from(format!("/tmp/deskguard-standby-{}", process::id()));
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let standby = Standby {
            folder,
            user: (data.uid(), data.gid()),
        };
        let owned = fs::set_permissions(&standby.folder, fs::Permissions::from_mode(0o700))
            .and_then(|()| chown(&standby.folder, Some(data.uid()), Some(data.gid())));
        owned.map_err(|error| format!("{}: {error}", standby.folder.display()))?;

        let data = standby.data();
        standby.run(
            "pg_basebackup",
            &["-R", "-c", "fast", "-X", "stream", "-D", &data],
        )?;
        let socket = standby.folder.display();
        // No statement is to be cancelled because the primary has vacuumed.
        let options = format!(
            "-p {PORT} -k {socket} -c listen_addresses='' -c hot_standby=on \
             -c hot_standby_feedback=on -c wal_receiver_status_interval=1"
        );
        let log = format!("{socket}/log");
        standby
            .run(
                "pg_ctl",
                &["-D", &data, "-l", &log, "-o", &options, "-w", "start"],
            )
            .map_err(|error| {
                let log = fs::read_to_string(&log).unwrap_or_default();
                format!("{error}\n{log}")
            })?;
        Ok(standby)
    }

    fn data(&self) -> String {
        format!("{}/data", self.folder.display())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<(), String> {
        let bin = env::var("DESKGUARD_PG_BIN").expect("DESKGUARD_PG_BIN is the folder of pg_ctl");
        let mut command = Command::new(Path::new(&bin).join(program));
        command.args(arguments).current_dir("/");
        // What pg_ctl starts must not keep the pipes of this process open.
        let output = self.folder.join("output");
        let to = |file: io::Result<fs::File>| file.map_err(|error| error.to_string());
        let file = to(fs::File::create(&output))?;
        command.stdout(to(file.try_clone())?).stderr(file);
        // PostgreSQL does not run as root.
        if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
            command.uid(self.user.0).gid(self.user.1);
        }
        let status = command
            .status()
            .map_err(|error| format!("{program}: {error}"))?;
        if status.success() {
            return Ok(());
        }
        let output = fs::read_to_string(&output).unwrap_or_default();
        Err(format!("{program}: {status}\n{output}"))
    }

    fn connect(&self, database: &Database, role: &str) -> Client {
        Config::new()
            .host_path(&self.folder)
            .port(PORT)
            .user(role)
            .dbname(database.name())
            .connect(NoTls)
            .unwrap_or_else(|error| panic!("connecting to the standby as {role}: {error:?}"))
    }
}

impl Drop for Standby {
    fn drop(&mut self) {
        let data = self.data();
        if Path::new(&data).join("postmaster.pid").exists()
            && let Err(error) = self.run("pg_ctl", &["-D", &data, "-m", "immediate", "-w", "stop"])
        {
            eprintln!("the standby does not stop: {error}");
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Waits until the standby has replayed what the primary has committed.
fn replayed(primary: &mut Client, standby: &mut Client) {
    let at: String = primary
        .query_one("SELECT pg_current_wal_insert_lsn()::text", &[])
        .unwrap()
        .get(0);
    let since = Instant::now();
    let is = format!("SELECT pg_last_wal_replay_lsn() >= '{at}'::pg_lsn");
    while !standby.query_one(&is, &[]).unwrap().get::<_, bool>(0) {
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "the standby does not follow"
        );
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_hot_standby_obeys_what_it_has_replayed() {
    let _roles = roles_stay();
    let desks = Fold::ALL.map(desk);
    let standby = match Standby::start() {
        Ok(standby) => standby,
        Err(error) => {
            println!("skipped: no standby could be started: {error}");
            return;
        }
    };
    for database in &desks {
        let mut primary = database.superuser();
        let mut watcher = standby.connect(database, "postgres");
        let change = |primary: &mut Client, watcher: &mut Client, sql: &str| {
            run(primary, sql);
            replayed(primary, watcher);
        };
        replayed(&mut primary, &mut watcher);
        assert!(
            watcher
                .query_one("SELECT pg_is_in_recovery()", &[])
                .unwrap()
                .get::<_, bool>(0)
        );

        for isolation in [None, Some("READ COMMITTED"), Some("REPEATABLE READ")] {
            for kind in [
                Kind::Simple,
                Kind::Once,
                Kind::Custom,
                Kind::Generic,
                Kind::Execute,
                Kind::PlPgSql,
                Kind::VolatileSql,
                Kind::Parallel,
                Kind::AgentCanView,
                Kind::VisibleTickets,
            ] {
                let what = format!("{isolation:?}, {kind:?}");
                let mut app = standby.connect(database, APP);
                act_for(&mut app, ANN);
                let mut role = standby.connect(database, MAPPED[0]);
                for client in [&mut app, &mut role] {
                    let begin = |client: &mut Client| {
                        if let Some(level) = isolation {
                            run(client, &format!("BEGIN ISOLATION LEVEL {level}"));
                        }
                    };
                    let end = |client: &mut Client| {
                        if isolation.is_some() {
                            run(client, "ROLLBACK");
                        }
                    };
                    let asker = Asker::new(client, kind);
                    begin(client);
                    assert_eq!(asker.ask(client).unwrap(), BY_ANN, "{what}");
                    for (sql, back, expected) in [
                        (
                            "DELETE FROM deskguard.agent_category WHERE agent_id = 1",
                            "INSERT INTO deskguard.agent_category VALUES (1, 1)",
                            NOTHING,
                        ),
                        (
                            "UPDATE deskguard.agent SET active = false WHERE id = 1",
                            "UPDATE deskguard.agent SET active = true WHERE id = 1",
                            NOTHING,
                        ),
                        (
                            "INSERT INTO deskguard.group_member VALUES (1, 1)",
                            "DELETE FROM deskguard.group_member WHERE group_id = 1 AND agent_id = 1",
                            ALL,
                        ),
                        (
                            "BEGIN; SAVEPOINT a; INSERT INTO deskguard.group_member VALUES (1, 1); ROLLBACK TO a;
                             UPDATE deskguard.agent_category SET category_id = 2 WHERE agent_id = 1;
                             UPDATE deskguard.agent_department SET department_id = 3 WHERE agent_id = 1; COMMIT",
                            "BEGIN; UPDATE deskguard.agent_category SET category_id = 1 WHERE agent_id = 1;
                             UPDATE deskguard.agent_department SET department_id = 1 WHERE agent_id = 1; COMMIT",
                            BY_BOB,
                        ),
                    ] {
                        change(&mut primary, &mut watcher, sql);
                        let seen = asker.ask(client);
                        if isolation.is_none() {
                            assert_eq!(seen.unwrap(), expected, "{what}: {sql}");
                        } else {
                            assert_rows_or_retry(seen, expected, &format!("{what}: {sql}"));
                        }
                        end(client);
                        change(&mut primary, &mut watcher, back);
                        begin(client);
                        assert_eq!(asker.ask(client).unwrap(), BY_ANN, "{what}: {back}");
                    }
                    run(&mut primary, "BEGIN; DELETE FROM deskguard.agent_category");
                    change(&mut primary, &mut watcher, "ROLLBACK");
                    assert_eq!(asker.ask(client).unwrap(), BY_ANN, "{what}: rolled back");
                    end(client);
                }
            }
        }
        // Also where nothing can be written: another agent on the same connection, and TRUNCATE.
        let mut app = standby.connect(database, APP);
        let asker = Asker::new(&mut app, Kind::Generic);
        for (agent, expected) in [(ANN, BY_ANN), (MAX, ALL), (ANN, BY_ANN)] {
            run(
                &mut app,
                &format!("SELECT deskguard.set_agent({agent}, false)"),
            );
            assert_eq!(asker.ask(&mut app).unwrap(), expected);
        }
        run(
            &mut app,
            "BEGIN; DECLARE c CURSOR FOR SELECT id FROM desk.ticket ORDER BY id",
        );
        change(
            &mut primary,
            &mut watcher,
            "UPDATE deskguard.agent SET active = false WHERE id = 1",
        );
        assert_eq!(
            ids(&mut app, "FETCH ALL FROM c"),
            BY_ANN,
            "the cursor of an earlier state"
        );
        run(&mut app, "COMMIT");
        change(
            &mut primary,
            &mut watcher,
            "UPDATE deskguard.agent SET active = true WHERE id = 1",
        );
        assert_eq!(asker.ask(&mut app).unwrap(), BY_ANN);
        change(
            &mut primary,
            &mut watcher,
            "TRUNCATE deskguard.agent_category",
        );
        assert_eq!(asker.ask(&mut app).unwrap(), NOTHING, "truncated");
    }
}
