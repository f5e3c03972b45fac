//! deskguard.default_category_access decides what agents in no group see.

use deskguard_tests::lab::{act_for, app, code, is_retry, run, value, wait_until};
use deskguard_tests::server::{APP, Database, MAPPED};
use deskguard_tests::{ident, literal};
use postgres::Client;

use crate::desk::{Asker, Fold, Kind, desk, roles_change};

/// In no group, with what Ann has; the role `MAPPED[1]`.
const EVE: i64 = 3;
const SILOED: &[i64] = &[1, 2];
const OPENED: &[i64] = &[1, 2, 4, 6];

const ACCESS: &str = "deskguard.default_category_access";

fn desk_of_eve(fold: Fold) -> Database {
    let database = desk(fold);
    run(
        &mut database.superuser(),
        &format!(
            "INSERT INTO deskguard.agent (id, name, db_role) VALUES ({EVE}, 'Eve', {});
             INSERT INTO deskguard.agent_permission (agent_id, permission)
             SELECT {EVE}, unnest(ARRAY['ticket.use', 'ticket.view.unassigned', 'ticket.view.assigned',
                 'ticket.modify.unassigned', 'ticket.modify.assigned']);
             INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES ({EVE}, 1, 'full');
             INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES ({EVE}, 1);
             -- As the others', the function of her role is hers.
             GRANT CREATE ON SCHEMA desk TO {eve};
             ALTER FUNCTION desk.by_definer OWNER TO {eve};
             REVOKE CREATE ON SCHEMA desk FROM {eve}",
            literal(MAPPED[1]),
            eve = ident(MAPPED[1]),
        ),
    );
    database
}

/// The application that acts for Eve, and the role that is Eve.
fn sessions(database: &Database) -> [Client; 2] {
    [app(database, EVE), database.connect(MAPPED[1])]
}

/// What a statement sees, after a retry if it is asked for one in a transaction.
fn sees(client: &mut Client, asker: &Asker, isolation: Option<&str>) -> Result<Vec<i64>, String> {
    match asker.ask(client) {
        Err(error) if isolation.is_some() && is_retry(&error) => {
            roll_back(client, isolation);
            begin(client, isolation);
            asker.ask(client)
        }
        seen => seen,
    }
    .map_err(|error| format!("{error:?}"))
}

fn begin(client: &mut Client, isolation: Option<&str>) {
    if let Some(level) = isolation {
        run(client, &format!("BEGIN ISOLATION LEVEL {level}"));
    }
}

fn roll_back(client: &mut Client, isolation: Option<&str>) {
    if isolation.is_some() {
        run(client, "ROLLBACK");
    }
}

const ISOLATIONS: [Option<&str>; 3] = [None, Some("READ COMMITTED"), Some("REPEATABLE READ")];

/// Waits until the session has heard of the server's configuration: it is told after a while, but
/// from then on it obeys.
fn until_configured(client: &mut Client, access: &str) {
    let show = format!("SHOW {ACCESS}");
    wait_until("the configuration is read again", || {
        value::<String>(client, &show) == access
    });
}

/// Puts the configuration of the server under test back.
struct Configured<'a>(&'a Database);

impl Configured<'_> {
    fn set(&self, access: &str) {
        let mut superuser = self.0.superuser();
        run(
            &mut superuser,
            &format!("ALTER SYSTEM SET {ACCESS} = {access}"),
        );
        run(&mut superuser, "SELECT pg_reload_conf()");
    }
}

impl Drop for Configured<'_> {
    fn drop(&mut self) {
        let mut superuser = self.0.superuser();
        run(&mut superuser, &format!("ALTER SYSTEM RESET {ACCESS}"));
        run(&mut superuser, "SELECT pg_reload_conf()");
        until_configured(&mut superuser, "silo");
    }
}

#[test]
fn the_server_is_configured_anew() {
    // The configuration is that of all databases.
    let _roles = roles_change();
    for fold in Fold::ALL {
        let database = desk_of_eve(fold);
        let configured = Configured(&database);
        let mut wrong = vec![];
        for isolation in ISOLATIONS {
            // All at once, since the server takes a while to tell.
            let mut askers = vec![];
            for kind in Kind::ALL {
                // Two that lock tickets would have to wait for each other.
                if isolation.is_some() && kind.locks() {
                    continue;
                }
                for mut client in sessions(&database) {
                    let asker = Asker::new(&mut client, kind);
                    begin(&mut client, isolation);
                    askers.push((kind, client, asker));
                }
            }
            for (access, expected) in [("silo", SILOED), ("open", OPENED), ("silo", SILOED)] {
                configured.set(access);
                for (kind, client, asker) in &mut askers {
                    until_configured(client, access);
                    let seen = sees(client, asker, isolation);
                    if seen.as_deref() != Ok(expected) {
                        wrong.push(format!(
                            "{fold:?}, {isolation:?}, {kind:?}, {access}: {seen:?}"
                        ));
                        roll_back(client, isolation);
                        begin(client, isolation);
                    }
                }
            }
        }
        assert!(
            wrong.is_empty(),
            "{} wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }
}

/// Lets roles set it, as long as this value lasts.
struct Granted<'a>(&'a Database);

impl Granted<'_> {
    fn new(database: &Database) -> Granted<'_> {
        let eve = ident(MAPPED[1]);
        let grant = format!("GRANT SET ON PARAMETER {ACCESS} TO {APP}, {eve}");
        run(&mut database.superuser(), &grant);
        Granted(database)
    }
}

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        let eve = ident(MAPPED[1]);
        let revoke = format!("REVOKE SET ON PARAMETER {ACCESS} FROM {APP}, {eve}");
        run(&mut self.0.superuser(), &revoke);
    }
}

#[test]
fn a_session_sets_it() {
    let _roles = roles_change();
    for fold in Fold::ALL {
        let database = desk_of_eve(fold);
        let set = |access: &str| format!("SET {ACCESS} = {access}");
        for mut client in sessions(&database) {
            let error = code(client.batch_execute(&set("open")));
            assert_eq!(
                error.code(),
                "42501",
                "agents must not open their own silos"
            );
        }
        // By roles whom a superuser lets do it, so that no change of the role makes plans anew.
        let _granted = Granted::new(&database);
        for kind in Kind::ALL {
            for mut client in sessions(&database) {
                let client = &mut client;
                let asker = Asker::new(client, kind);
                let check = |client: &mut Client, expected: &[i64], what: &str| {
                    let seen = asker.ask(client);
                    let seen = seen
                        .unwrap_or_else(|error| panic!("{fold:?}, {kind:?}, {what}: {error:?}"));
                    assert_eq!(seen, expected, "{fold:?}, {kind:?}, {what}");
                };
                check(client, SILOED, "at first");
                run(client, &set("open"));
                check(client, OPENED, "SET");
                run(client, &format!("RESET {ACCESS}"));
                check(client, SILOED, "RESET");
                for level in ["READ COMMITTED", "REPEATABLE READ"] {
                    run(client, &format!("BEGIN ISOLATION LEVEL {level}"));
                    check(client, SILOED, "in a transaction");
                    run(client, &format!("SAVEPOINT a; SET LOCAL {ACCESS} = open"));
                    check(client, OPENED, "SET LOCAL");
                    run(client, "ROLLBACK TO a");
                    check(client, SILOED, "back at the savepoint");
                    run(client, &set("open"));
                    check(client, OPENED, "SET in a transaction");
                    run(client, "ROLLBACK");
                    check(client, SILOED, "rolled back");
                    run(client, &format!("BEGIN; SET LOCAL {ACCESS} = open"));
                    check(client, OPENED, "SET LOCAL");
                    run(client, "COMMIT");
                    check(client, SILOED, "committed");
                }
            }
        }
    }
}

/// For a database or a role it is set for sessions to come; one that is there keeps its own.
#[test]
fn it_is_set_for_a_database_or_role() {
    let _roles = roles_change();
    for fold in Fold::ALL {
        let database = desk_of_eve(fold);
        let mut superuser = database.superuser();
        let eve = ident(MAPPED[1]);
        for whom in [
            format!("DATABASE {}", database.name()),
            format!("ROLE {APP} IN DATABASE {}", database.name()),
            format!("ROLE {eve} IN DATABASE {}", database.name()),
        ] {
            let of_app = !whom.contains(&eve);
            let of_role = !whom.contains(APP);
            let mut before = sessions(&database);
            let kept: Vec<Asker> = before
                .iter_mut()
                .map(|client| Asker::new(client, Kind::Generic))
                .collect();
            for (set, of_new) in [
                (format!("SET {ACCESS} = open"), OPENED),
                (format!("RESET {ACCESS}"), SILOED),
            ] {
                for (client, asker) in before.iter_mut().zip(&kept) {
                    assert_eq!(asker.ask(client).unwrap(), SILOED);
                }
                run(&mut superuser, &format!("ALTER {whom} {set}"));
                for kind in [
                    Kind::Simple,
                    Kind::Custom,
                    Kind::Generic,
                    Kind::PlPgSql,
                    Kind::Parallel,
                ] {
                    for (mut client, is_meant) in
                        sessions(&database).into_iter().zip([of_app, of_role])
                    {
                        let expected = if is_meant { of_new } else { SILOED };
                        let asker = Asker::new(&mut client, kind);
                        assert_eq!(
                            asker.ask(&mut client).unwrap(),
                            expected,
                            "{fold:?}, {kind:?}, {whom} {set}"
                        );
                        // What a pool does between two clients.
                        run(&mut client, "DISCARD ALL");
                        act_for(&mut client, EVE);
                        let asker = Asker::new(&mut client, kind);
                        assert_eq!(
                            asker.ask(&mut client).unwrap(),
                            expected,
                            "{fold:?}, {kind:?}, {whom} {set}"
                        );
                    }
                }
            }
        }
    }
}
