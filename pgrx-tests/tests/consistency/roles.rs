//! Roles that change and go away.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use deskguard_tests::lab::{act_for, run};
use deskguard_tests::server::{APP, Database};

use crate::desk::{
    ALL, Asker, BY_ANN, Fold, Kind, MAX, NOTHING, assert_rows_or_retry, desk, roles_change,
};

/// A login role of this test alone.
struct Role<'a> {
    database: &'a Database,
    name: String,
}

impl Role<'_> {
    fn new<'a>(database: &'a Database, options: &str) -> Role<'a> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("deskguard_test_{}_{number}", process::id());
        run(
            &mut database.superuser(),
            &format!("CREATE ROLE {name} LOGIN {options}"),
        );
        Role { database, name }
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let sql = format!("DROP ROLE IF EXISTS {}", self.name);
        let _ = self.database.superuser().batch_execute(&sql);
    }
}

#[test]
fn a_role_that_is_an_agent_is_renamed_and_dropped() {
    let _roles = roles_change();
    for fold in Fold::ALL {
        let database = desk(fold);
        let superuser = &mut database.superuser();
        let role = Role::new(&database, "");
        let name = &role.name;
        let other = format!("{name}_renamed");
        run(
            superuser,
            &format!(
                "GRANT SELECT ON ALL TABLES IN SCHEMA desk TO PUBLIC;
                 UPDATE deskguard.agent SET db_role = '{name}' WHERE id = 1"
            ),
        );
        let mut login = database.connect(name);
        let mut switched = database.superuser();
        run(&mut switched, &format!("SET ROLE {name}"));
        let mut open = database.connect(name);
        let sessions = [&mut login, &mut switched];
        let askers = sessions.map(|client| Asker::new(client, Kind::Generic));
        let open_asker = Asker::new(&mut open, Kind::Generic);
        let mut check = |expected: &[i64], what: &str| {
            for (client, asker) in [&mut login, &mut switched].into_iter().zip(&askers) {
                let seen = asker.ask(client);
                let seen = seen.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                assert_eq!(seen, expected, "{what}");
            }
        };
        check(BY_ANN, "at first");
        run(&mut open, "BEGIN ISOLATION LEVEL REPEATABLE READ");
        assert_eq!(open_asker.ask(&mut open).unwrap(), BY_ANN);
        run(superuser, &format!("ALTER ROLE {name} RENAME TO {other}"));
        check(NOTHING, "renamed");
        assert_rows_or_retry(open_asker.ask(&mut open), NOTHING, "renamed");
        run(&mut open, "ROLLBACK");
        run(superuser, &format!("ALTER ROLE {other} RENAME TO {name}"));
        check(BY_ANN, "renamed back");
        run(
            superuser,
            &format!("BEGIN; ALTER ROLE {name} RENAME TO {other}"),
        );
        run(superuser, "ROLLBACK");
        check(BY_ANN, "not renamed");

        run(&mut open, "BEGIN ISOLATION LEVEL REPEATABLE READ");
        assert_eq!(open_asker.ask(&mut open).unwrap(), BY_ANN);
        run(superuser, &format!("DROP ROLE {name}"));
        for (client, asker) in [
            (&mut login, &askers[0]),
            (&mut switched, &askers[1]),
            (&mut open, &open_asker),
        ] {
            // PostgreSQL may say that there is no such role.
            let seen = asker.ask(client).unwrap_or_default();
            assert_eq!(seen, NOTHING, "dropped");
        }
    }
}

#[test]
fn a_login_role_is_no_longer_trusted() {
    let _roles = roles_change();
    for fold in Fold::ALL {
        let database = desk(fold);
        let superuser = &mut database.superuser();
        let trusted = Role::new(&database, "");
        let admin = Role::new(&database, "SUPERUSER");
        run(
            superuser,
            &format!(
                "GRANT SELECT ON ALL TABLES IN SCHEMA desk TO PUBLIC;
                 INSERT INTO deskguard.trusted_role (role_name) VALUES ('{}')",
                trusted.name
            ),
        );
        let (trusted, admin) = (&trusted.name, &admin.name);
        for (login, role, after, back) in [
            (
                trusted,
                "NONE",
                format!("ALTER ROLE {trusted} RENAME TO {trusted}_renamed"),
                format!("ALTER ROLE {trusted}_renamed RENAME TO {trusted}"),
            ),
            (
                admin,
                // A superuser would bypass the policies.
                APP,
                format!("ALTER ROLE {admin} NOSUPERUSER"),
                format!("ALTER ROLE {admin} SUPERUSER"),
            ),
        ] {
            for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
                let mut client = database.connect(login);
                act_for(&mut client, MAX);
                run(&mut client, &format!("SET ROLE {role}"));
                let asker = Asker::new(&mut client, Kind::Generic);
                assert_eq!(asker.ask(&mut client).unwrap(), ALL);
                run(superuser, &after);
                assert_eq!(asker.ask(&mut client).unwrap(), NOTHING, "{after}");
                run(superuser, &back);
                run(&mut client, &format!("BEGIN ISOLATION LEVEL {isolation}"));
                assert_eq!(asker.ask(&mut client).unwrap(), ALL, "{back}");
                run(superuser, &after);
                assert_rows_or_retry(asker.ask(&mut client), NOTHING, &after);
                run(&mut client, "ROLLBACK");
                run(superuser, &back);
            }
        }
    }
}
