//! Who hears of a change: those whose rights it changes, and nobody else. Whoever hears must retry what
//! it runs in an open transaction, and loads its rights anew; all others go on as if nothing had been.

use deskguard_tests::lab::{app, ids, is_retry, run};
use deskguard_tests::server::{APP, Database, MAPPED};
use deskguard_tests::{ident, literal};
use postgres::Client;

use crate::desk::{
    ANN, Asker, BOB, BY_ANN, Fold, Kind, MAX, NOTHING, alone, desk, keyed_desk, roles_change,
    roles_stay,
};

/// In All Non-Destructive Permissions.
const NAN: i64 = 8;
const AGENTS: [i64; 4] = [ANN, BOB, MAX, NAN];
const NOBODY: &[i64] = &[];

/// A session in an open transaction, with a plan that it keeps.
struct Session {
    who: String,
    agent: i64,
    client: Client,
    asker: Asker,
}

impl Session {
    fn new(mut client: Client, agent: i64, who: &str) -> Session {
        let asker = Asker::new(&mut client, Kind::Generic);
        let who = format!("{who} {agent}");
        Session {
            who,
            agent,
            client,
            asker,
        }
    }

    fn begin(&mut self, isolation: &str) {
        // What it has to load is loaded before, so that it keeps no locks.
        run(&mut self.client, "ROLLBACK");
        self.asker.ask(&mut self.client).unwrap();
        run(
            &mut self.client,
            &format!("BEGIN ISOLATION LEVEL {isolation}"),
        );
        self.asker.ask(&mut self.client).unwrap();
    }

    /// How often rights were loaded and forgotten.
    fn work(&mut self) -> [i64; 2] {
        let sql = "SELECT ARRAY[loads, invalidations] FROM deskguard.cache_stats()";
        let row = self.client.query_one(sql, &[]).unwrap();
        row.get::<_, Vec<i64>>(0).try_into().unwrap()
    }

    /// Does it have to retry, or at least to load its rights anew? Else it goes on as before.
    fn is_told(&mut self, [loads, invalidations]: [i64; 2]) -> Result<bool, String> {
        match self.asker.ask(&mut self.client) {
            Err(error) if is_retry(&error) => Ok(true),
            Err(error) => Err(format!("{error:?}")),
            Ok(_) => match self.work() {
                // It may have heard before it took its plan from the cache.
                [_, now] if now != invalidations => Ok(true),
                [now, _] if now != loads => Err(format!("{loads} loads, then {now}")),
                _ => Ok(false),
            },
        }
    }
}

/// Makes the changes one after the other; each is told to these agents and to no others.
fn check(database: &Database, sessions: &mut [Session], changes: &[(&str, &[i64])]) {
    let mut superuser = database.superuser();
    let mut wrong = vec![];
    for (n, (change, told)) in changes.iter().enumerate() {
        let isolation = ["READ COMMITTED", "REPEATABLE READ"][n % 2];
        let mut work = vec![];
        for session in &mut *sessions {
            session.begin(isolation);
            work.push(session.work());
        }
        run(&mut superuser, change);
        for (session, before) in sessions.iter_mut().zip(work) {
            let expected = told.contains(&session.agent);
            let is_told = session.is_told(before);
            if is_told != Ok(expected) {
                wrong.push(format!(
                    "{change}: {}: {is_told:?} instead of {expected}",
                    session.who
                ));
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

fn sessions_of(database: &Database) -> Vec<Session> {
    let of = |agent: &i64| Session::new(app(database, *agent), *agent, "the application for");
    let mut sessions: Vec<Session> = AGENTS.iter().map(of).collect();
    let by_role = database.connect(MAPPED[0]);
    sessions.push(Session::new(by_role, ANN, "the role of"));
    sessions
}

/// Autovacuum does the same. What sessions know of the tickets' table they may load again, but no rights.
#[test]
fn vacuum_and_analyze_change_no_rights() {
    let _alone = alone();
    let database = desk(Fold::On);
    let mut superuser = database.superuser();
    let mut session = Session::new(app(&database, ANN), ANN, "the application for");
    for command in ["ANALYZE", "VACUUM (FREEZE, ANALYZE)"] {
        session.begin("READ COMMITTED");
        let [_, before] = session.work();
        run(&mut superuser, command);
        session.asker.ask(&mut session.client).unwrap();
        assert_eq!(session.work()[1], before, "{command}");
    }
}

const MORE: &str = "
    INSERT INTO deskguard.agent (id, name) VALUES (8, 'Nan');
    INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (2, 8);
    CREATE TABLE desk.filter (id bigint PRIMARY KEY, owner_id bigint);
    SELECT deskguard.protect_shared('desk.filter', owner_column => 'owner_id');";

/// In this order: some need what others have made.
const CHANGES: &[(&str, &[i64])] = &[
    // Agents.
    ("INSERT INTO deskguard.agent (id, name, external_key) VALUES (50, 'New', 'x')", NOBODY),
    ("UPDATE deskguard.agent SET name = name || '!'", NOBODY),
    ("UPDATE deskguard.agent SET active = active, category_access = category_access, id = id", NOBODY),
    ("UPDATE deskguard.agent SET external_key = 'y' WHERE id = 50", NOBODY),
    ("UPDATE deskguard.agent SET active = false WHERE id = 2", &[BOB]),
    ("UPDATE deskguard.agent SET active = true WHERE id = 2", &[BOB]),
    ("UPDATE deskguard.agent SET category_access = 'silo' WHERE id = 9", &[MAX]),
    ("UPDATE deskguard.agent SET category_access = NULL WHERE id = 9", &[MAX]),
    ("UPDATE deskguard.agent SET id = 51 WHERE id = 50", NOBODY),
    ("DELETE FROM deskguard.agent WHERE id = 51", NOBODY),
    // What agents have.
    ("INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 2)", &[ANN]),
    ("UPDATE deskguard.agent_category SET category_id = category_id", NOBODY),
    ("UPDATE deskguard.agent_category SET agent_id = 2, category_id = 1 WHERE agent_id = 1 AND category_id = 2", &[ANN, BOB]),
    ("UPDATE deskguard.agent_category SET valid_until = 'infinity' WHERE agent_id = 2 AND category_id = 1", &[BOB]),
    ("DELETE FROM deskguard.agent_category WHERE agent_id = 2 AND category_id = 1", &[BOB]),
    ("INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (2, 1, 'assign')", &[BOB]),
    ("UPDATE deskguard.agent_department SET level = 'full' WHERE agent_id = 2", &[BOB]),
    ("DELETE FROM deskguard.agent_department WHERE agent_id = 2 AND department_id = 1", &[BOB]),
    ("INSERT INTO deskguard.agent_permission (agent_id, permission) VALUES (8, 'report.view')", &[NAN]),
    ("UPDATE deskguard.agent_permission SET permission = 'ticket.use' WHERE agent_id = 8", &[NAN]),
    ("DELETE FROM deskguard.agent_permission WHERE agent_id = 8", &[NAN]),
    ("INSERT INTO deskguard.team_member (team_id, agent_id) VALUES (1, 2)", &[BOB]),
    ("DELETE FROM deskguard.team_member", &[BOB]),
    // Groups, with what they have and whom.
    ("INSERT INTO deskguard.permission_group (id, name) VALUES (150, 'New')", NOBODY),
    ("UPDATE deskguard.permission_group SET name = 'Newer', category_access = 'open' WHERE id = 150", NOBODY),
    ("INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (150, 1)", &[ANN]),
    ("UPDATE deskguard.permission_group SET name = 'Newest' WHERE id = 150", NOBODY),
    ("UPDATE deskguard.permission_group SET category_access = 'silo' WHERE id = 150", &[ANN]),
    ("UPDATE deskguard.permission_group SET department_access = 'all' WHERE id = 150", &[ANN]),
    ("UPDATE deskguard.permission_group SET scope = 'granted' WHERE id = 150", &[ANN]),
    ("UPDATE deskguard.permission_group SET external_key = 'x', scope = scope WHERE id = 150", NOBODY),
    ("UPDATE deskguard.group_member SET agent_id = 9 WHERE group_id = 150", &[ANN, MAX]),
    ("UPDATE deskguard.group_member SET valid_from = '2100-01-01' WHERE group_id = 150", &[MAX]),
    // One that is a member later hears, too.
    ("INSERT INTO deskguard.group_category (group_id, category_id) VALUES (150, 2)", &[MAX]),
    ("INSERT INTO deskguard.group_department (group_id, department_id, level) VALUES (150, 2, 'full')", &[MAX]),
    ("INSERT INTO deskguard.group_permission (group_id, permission) VALUES (150, 'report.view')", &[MAX]),
    ("UPDATE deskguard.group_permission SET permission = permission", NOBODY),
    ("UPDATE deskguard.permission_group SET id = 151 WHERE id = 150", &[MAX]),
    ("DELETE FROM deskguard.permission_group WHERE id = 151", &[MAX]),
    ("INSERT INTO deskguard.group_permission (group_id, permission) VALUES (100, 'report.view')", &[ANN, BOB]),
    ("DELETE FROM deskguard.group_permission WHERE permission = 'report.view'", &[ANN, BOB]),
    ("INSERT INTO deskguard.group_category (group_id, category_id) VALUES (100, 2)", &[ANN, BOB]),
    ("UPDATE deskguard.group_category SET category_id = 1", &[ANN, BOB]),
    ("UPDATE deskguard.group_category SET group_id = 101", &[ANN, BOB]),
    ("DELETE FROM deskguard.group_category", NOBODY),
    ("INSERT INTO deskguard.group_department (group_id, department_id, level) VALUES (101, 2, 'full')", NOBODY),
    ("DELETE FROM deskguard.group_department", NOBODY),
    // The catalog.
    ("INSERT INTO deskguard.permission (name) VALUES ('coffee.make')", &[MAX, NAN]),
    ("UPDATE deskguard.permission SET description = 'Make coffee' WHERE name = 'coffee.make'", NOBODY),
    ("UPDATE deskguard.permission SET destructive = true WHERE name = 'coffee.make'", &[NAN]),
    ("UPDATE deskguard.permission SET name = 'tea.make' WHERE name = 'coffee.make'", &[MAX, NAN]),
    ("DELETE FROM deskguard.permission WHERE name = 'tea.make'", &[MAX, NAN]),
    // Structure.
    ("INSERT INTO deskguard.category (id, name, external_key) VALUES (50, 'New', 'x')", NOBODY),
    ("UPDATE deskguard.category SET name = 'Newer', external_key = 'y' WHERE id = 50", NOBODY),
    ("DELETE FROM deskguard.category WHERE id = 50", NOBODY),
    ("INSERT INTO deskguard.team (id, name, external_key) VALUES (50, 'New', 'x')", NOBODY),
    ("UPDATE deskguard.team SET name = 'Newer', external_key = 'y' WHERE id = 50", NOBODY),
    ("DELETE FROM deskguard.team WHERE id = 50", NOBODY),
    ("INSERT INTO deskguard.department (id, name, external_key) VALUES (50, 'New', 'x')", NOBODY),
    ("UPDATE deskguard.department SET name = 'Newer', external_key = 'y' WHERE id = 50", NOBODY),
    ("INSERT INTO deskguard.department (id, name, parent_id) VALUES (51, 'Newest', 50)", &AGENTS),
    ("UPDATE deskguard.department SET parent_id = 1 WHERE id = 51", &AGENTS),
    ("DELETE FROM deskguard.department WHERE id = 51", &AGENTS),
    // Things that are shared.
    ("INSERT INTO deskguard.shared_visibility (object_table, object_id, agent_id) VALUES ('desk.filter', 1, 2)", &[BOB]),
    ("UPDATE deskguard.shared_visibility SET object_id = object_id", NOBODY),
    ("UPDATE deskguard.shared_visibility SET object_id = 2", &[BOB]),
    ("UPDATE deskguard.shared_visibility SET agent_id = NULL, group_id = 2", &[BOB, NAN]),
    ("UPDATE deskguard.shared_visibility SET group_id = NULL, everyone = true", &AGENTS),
    ("DELETE FROM deskguard.shared_visibility", &AGENTS),
    ("INSERT INTO deskguard.shared_visibility (object_table, object_id, group_id) VALUES ('desk.filter', 1, 101)", NOBODY),
    // What is protected.
    ("SET session_replication_role = replica;
      UPDATE deskguard_internal.ticket_table SET unassigned_value = 0;
      RESET session_replication_role", &AGENTS),
    ("CREATE TABLE desk.other (id bigint PRIMARY KEY, team bigint);
         SELECT deskguard.protect_tickets('desk.other', team_column => 'team')", &AGENTS),
    ("SELECT deskguard.unprotect('desk.other')", &AGENTS),
    // Several at once, and none.
    ("BEGIN; DELETE FROM deskguard.agent_permission; ROLLBACK", NOBODY),
    ("BEGIN; SAVEPOINT a; DELETE FROM deskguard.agent_permission WHERE agent_id = 1; ROLLBACK TO a;
      INSERT INTO deskguard.team_member (team_id, agent_id) VALUES (1, 2); COMMIT", &[BOB]),
    ("INSERT INTO deskguard.agent (id, name) SELECT n, 'Many' FROM generate_series(1001, 1090) AS n", NOBODY),
    // So many that it concerns everyone.
    ("INSERT INTO deskguard.agent (id, name) SELECT n, 'Many' FROM generate_series(1101, 1300) AS n", &AGENTS),
    ("TRUNCATE deskguard.agent_category", &AGENTS),
    ("TRUNCATE deskguard.group_permission", &AGENTS),
];

#[test]
fn a_change_is_told_to_whom_it_concerns() {
    let _alone = alone();
    let database = desk(Fold::On);
    run(&mut database.superuser(), MORE);
    check(&database, &mut sessions_of(&database), CHANGES);
}

/// Of a help desk with keys that are not numbers.
#[test]
fn external_keys_are_told_to_whoever_needs_them() {
    let _alone = alone();
    let database = keyed_desk(Fold::On);
    run(&mut database.superuser(), MORE);
    // Who has all permissions has plans without keys.
    let changes: &[(&str, &[i64])] = &[
        (
            "INSERT INTO deskguard.agent (id, name) VALUES (50, 'New')",
            NOBODY,
        ),
        (
            "UPDATE deskguard.agent SET name = 'Newer' WHERE id = 1",
            NOBODY,
        ),
        ("UPDATE deskguard.category SET name = 'Newer'", NOBODY),
        (
            "UPDATE deskguard.agent SET external_key = NULL WHERE id = 1",
            &[ANN, BOB],
        ),
        (
            "UPDATE deskguard.category SET external_key = 'z' WHERE id = 1",
            &[ANN, BOB],
        ),
        (
            "UPDATE deskguard.department SET external_key = 'z' WHERE id = 1",
            &[ANN, BOB],
        ),
        (
            "UPDATE deskguard.team SET external_key = 'z' WHERE id = 1",
            &[ANN, BOB],
        ),
    ];
    check(&database, &mut sessions_of(&database), changes);
}

/// Roles belong to the whole cluster, and their passwords change every minute.
#[test]
fn roles_are_told_to_nobody_unless_an_agent_changes() {
    let _roles = roles_change();
    let database = desk(Fold::On);
    run(&mut database.superuser(), MORE);
    let mut sessions = sessions_of(&database);
    let name = format!("deskguard_test_{}_told", std::process::id());
    let [ann, other] = MAPPED.map(ident);
    let changes = [
        format!("CREATE ROLE {name}"),
        format!("ALTER ROLE {APP} PASSWORD 'x'"),
        format!("ALTER ROLE {APP} PASSWORD NULL CONNECTION LIMIT 1000"),
        format!("ALTER ROLE {ann} PASSWORD 'x'"),
        format!("ALTER ROLE {ann} PASSWORD NULL"),
        format!("ALTER ROLE {name} RENAME TO {name}_2"),
        format!("UPDATE deskguard.agent SET db_role = '{name}_2' WHERE id = 2"),
        format!("INSERT INTO deskguard.agent (id, name, db_role) VALUES (50, 'New', {})", literal(MAPPED[1])),
        "DELETE FROM deskguard.agent WHERE id = 50; UPDATE deskguard.agent SET db_role = NULL WHERE id = 2".into(),
        format!("INSERT INTO deskguard.trusted_role (role_name) VALUES ('{name}_2')"),
        "DELETE FROM deskguard.trusted_role WHERE role_name LIKE '%told_2'".into(),
        format!("GRANT {other} TO {name}_2"),
        format!("DROP ROLE {name}_2"),
    ];
    // The agents whose role it is that changes hear, but those are no sessions here.
    let bob = [BOB];
    let changes: Vec<(&str, &[i64])> = changes
        .iter()
        .map(|change| (change.as_str(), &bob[..0]))
        .collect();
    check(&database, &mut sessions, &changes);

    // Of all roles it is the application's that is not trusted any more.
    for session in &mut sessions {
        session.begin("REPEATABLE READ");
    }
    let work: Vec<[i64; 2]> = sessions.iter_mut().map(Session::work).collect();
    let distrust = format!("DELETE FROM deskguard.trusted_role WHERE role_name = '{APP}'");
    run(&mut database.superuser(), &distrust);
    for (session, before) in sessions.iter_mut().zip(work) {
        let expected = session.who.starts_with("the application");
        assert_eq!(session.is_told(before), Ok(expected), "{}", session.who);
    }
}

/// Whoever changes a group does not know who joins it meanwhile.
#[test]
fn a_group_is_told_to_members_who_join_meanwhile() {
    let _roles = roles_stay();
    for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
        for fold in Fold::ALL {
            let database = desk(fold);
            let (mut first, mut second) = (database.superuser(), database.superuser());
            let mut ann = app(&database, ANN);
            let asker = Asker::new(&mut ann, Kind::Generic);
            run(
                &mut first,
                "DELETE FROM deskguard.group_member WHERE agent_id = 1",
            );
            assert_eq!(asker.ask(&mut ann).unwrap(), NOTHING);
            run(&mut first, &format!("BEGIN ISOLATION LEVEL {isolation}"));
            run(&mut first, "SELECT FROM deskguard.group_member");
            run(
                &mut first,
                "DELETE FROM deskguard.group_permission WHERE permission = 'ticket.use'",
            );
            let join = "INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (100, 1)";
            run(&mut second, join);
            assert_eq!(asker.ask(&mut ann).unwrap(), BY_ANN, "{isolation}: joined");
            run(&mut first, "COMMIT");
            assert_eq!(
                asker.ask(&mut ann).unwrap(),
                NOTHING,
                "{isolation}: revoked"
            );
            let grant = "INSERT INTO deskguard.group_permission (group_id, permission) VALUES (100, 'ticket.use')";
            run(&mut first, grant);
            assert_eq!(asker.ask(&mut ann).unwrap(), BY_ANN, "{isolation}: granted");
        }
    }
}

/// What runs within a command that changes many rows sees those that are changed already.
#[test]
fn a_command_sees_its_own_changes_row_by_row() {
    let _roles = roles_stay();
    for fold in Fold::ALL {
        let database = desk(fold);
        let mut superuser = database.superuser();
        run(
            &mut superuser,
            "CREATE FUNCTION desk.count_as(agent bigint) RETURNS bigint LANGUAGE plpgsql AS $$
             DECLARE n bigint;
             BEGIN
                 PERFORM deskguard.set_agent(agent);
                 SET LOCAL ROLE deskguard_test_app;
                 SELECT count(*) INTO n FROM desk.ticket;
                 RESET ROLE;
                 RETURN n;
             END $$;
             INSERT INTO deskguard.category (id, name) VALUES (3, 'Phones'), (4, 'Desks');
             INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 3), (1, 4)",
        );
        let counts = ids(
            &mut superuser,
            "DELETE FROM deskguard.agent_category WHERE agent_id = 1 RETURNING desk.count_as(1)",
        );
        // Categories 1, 3 and 4, in the order in which they were granted.
        assert_eq!(counts, [0, 0, 0]);
        let counts = ids(
            &mut superuser,
            "INSERT INTO deskguard.agent_category (agent_id, category_id)
             VALUES (1, 4), (1, 1), (1, 3), (1, 2) RETURNING desk.count_as(1)",
        );
        assert_eq!(counts, [0, 3, 3, 5]);
    }
}

/// A trigger of one's own may change more rights, and catch an error of that.
#[test]
fn a_trigger_that_catches_errors_changes_more_rights() {
    let _roles = roles_stay();
    let database = desk(Fold::On);
    let mut superuser = database.superuser();
    run(&mut superuser, MORE);
    run(
        &mut superuser,
        "CREATE FUNCTION desk.more() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             BEGIN
                 INSERT INTO deskguard.team_member (team_id, agent_id) VALUES (1, NEW.agent_id);
             EXCEPTION WHEN unique_violation THEN NULL;
             END;
             RETURN NEW;
         END $$;
         CREATE TRIGGER more BEFORE INSERT ON deskguard.agent_category FOR EACH ROW EXECUTE FUNCTION desk.more();
         CREATE TRIGGER z_more BEFORE INSERT ON deskguard.agent_category FOR EACH ROW EXECUTE FUNCTION desk.more();
         INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (9, 1), (9, 2), (8, 1), (8, 2)
             ON CONFLICT DO NOTHING",
    );
}

/// A trigger of one's own may change the row after deskguard has looked at it.
#[test]
fn a_row_that_another_trigger_changes_is_told() {
    let _roles = roles_stay();
    let database = desk(Fold::On);
    let mut superuser = database.superuser();
    run(
        &mut superuser,
        "CREATE FUNCTION desk.leave() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN NEW.active := NEW.name <> 'Gone'; RETURN NEW; END $$;
         CREATE TRIGGER z_leave BEFORE UPDATE ON deskguard.agent FOR EACH ROW EXECUTE FUNCTION desk.leave()",
    );
    let mut ann = app(&database, ANN);
    let asker = Asker::new(&mut ann, Kind::Generic);
    assert_eq!(asker.ask(&mut ann).unwrap(), BY_ANN);
    let leave = "UPDATE deskguard.agent SET name = 'Gone' WHERE id = 1";
    run(&mut superuser, leave);
    assert_eq!(asker.ask(&mut ann).unwrap(), NOTHING);
}
