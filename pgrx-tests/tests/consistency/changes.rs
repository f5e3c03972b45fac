//! Every kind of change of rights, seen through every kind of statement.

use deskguard_tests::lab::{app, is_retry, run};
use deskguard_tests::server::{Database, MAPPED};
use postgres::Client;

use crate::desk::{
    ALL, ANN, Asker, BY_ANN, BY_BOB, Fold, Kind, NOTHING, PROTECT, desk, keyed_desk, roles_stay,
};

/// A change, and what Ann sees after it; before it she sees `BY_ANN`.
struct Change {
    what: &'static str,
    make: &'static str,
    undo: &'static str,
    /// Seen by the application that acts for Ann, and by the role that is Ann.
    app_sees: &'static [i64],
    role_sees: &'static [i64],
    /// What it needs besides.
    needs: Needs,
}

#[derive(PartialEq, Eq)]
enum Needs {
    Nothing,
    /// Begins and ends transactions itself.
    NoTransaction,
    /// Nobody else may be in a transaction that has used the tables.
    TablesAlone,
    /// The tickets are not protected meanwhile.
    NoQuestions,
}

const fn change(
    what: &'static str,
    make: &'static str,
    undo: &'static str,
    sees: &'static [i64],
) -> Change {
    Change {
        what,
        make,
        undo,
        app_sees: sees,
        role_sees: sees,
        needs: Needs::Nothing,
    }
}

const RIGHTS_OF_ANN: &str = "
    INSERT INTO deskguard.agent (id, name, db_role) VALUES (1, 'Ann', 'deskguard_test_report');
    INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (100, 1);
    INSERT INTO deskguard.agent_permission (agent_id, permission) VALUES (1, 'ticket.view.assigned');
    INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (1, 1, 'full');
    INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 1)";

const GROUP_PERMISSIONS: &str = "
    INSERT INTO deskguard.group_permission (group_id, permission)
    SELECT 100, unnest(ARRAY['ticket.use', 'ticket.create', 'ticket.view.unassigned',
        'ticket.modify.own', 'ticket.modify.followed', 'ticket.modify.unassigned',
        'ticket.modify.assigned'])";

const GRANT_CATEGORY: &str =
    "INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 1)";

const UNTRUSTED: &str = "a role is no longer trusted";

const CHANGES: &[Change] = &[
    change(
        "a category is revoked",
        "DELETE FROM deskguard.agent_category WHERE agent_id = 1",
        GRANT_CATEGORY,
        NOTHING,
    ),
    change(
        "a category is granted",
        "INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 2)",
        "DELETE FROM deskguard.agent_category WHERE agent_id = 1 AND category_id = 2",
        &[1, 2, 4, 5, 10],
    ),
    change(
        "a grant is changed to another category",
        "UPDATE deskguard.agent_category SET category_id = 2 WHERE agent_id = 1",
        "UPDATE deskguard.agent_category SET category_id = 1 WHERE agent_id = 1",
        &[4, 5],
    ),
    change(
        "a department is revoked",
        "DELETE FROM deskguard.agent_department WHERE agent_id = 1",
        "INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (1, 1, 'full')",
        &[10],
    ),
    change(
        "a department is granted",
        "INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (1, 3, 'full')",
        "DELETE FROM deskguard.agent_department WHERE agent_id = 1 AND department_id = 3",
        &[1, 2, 3, 7, 10],
    ),
    change(
        "a department's level is lowered",
        "UPDATE deskguard.agent_department SET level = 'assign' WHERE agent_id = 1",
        "UPDATE deskguard.agent_department SET level = 'full' WHERE agent_id = 1",
        &[10],
    ),
    change(
        "an agent's permission is revoked",
        "DELETE FROM deskguard.agent_permission WHERE agent_id = 1",
        "INSERT INTO deskguard.agent_permission (agent_id, permission) VALUES (1, 'ticket.view.assigned')",
        &[1, 10],
    ),
    change(
        "a group's permission is revoked",
        "DELETE FROM deskguard.group_permission WHERE permission = 'ticket.use'",
        "INSERT INTO deskguard.group_permission (group_id, permission) VALUES (100, 'ticket.use')",
        NOTHING,
    ),
    change(
        "another permission of a group is revoked",
        "DELETE FROM deskguard.group_permission WHERE permission = 'ticket.view.unassigned'",
        "INSERT INTO deskguard.group_permission (group_id, permission) VALUES (100, 'ticket.view.unassigned')",
        &[2, 10],
    ),
    change(
        "a group gets a category",
        "INSERT INTO deskguard.group_category (group_id, category_id) VALUES (100, 2)",
        "DELETE FROM deskguard.group_category",
        &[1, 2, 4, 5, 10],
    ),
    change(
        "a group gets a department",
        "INSERT INTO deskguard.group_department (group_id, department_id, level) VALUES (100, 3, 'full')",
        "DELETE FROM deskguard.group_department",
        &[1, 2, 3, 7, 10],
    ),
    change(
        "a group is opened",
        "UPDATE deskguard.permission_group SET category_access = 'open' WHERE id = 100",
        "UPDATE deskguard.permission_group SET category_access = 'silo' WHERE id = 100",
        &[1, 2, 4, 5, 6, 10],
    ),
    change(
        "a group gets all departments",
        "UPDATE deskguard.permission_group SET department_access = 'all' WHERE id = 100",
        "UPDATE deskguard.permission_group SET department_access = 'granted' WHERE id = 100",
        &[1, 2, 3, 7, 8, 10],
    ),
    change(
        "a group is deleted",
        "DELETE FROM deskguard.permission_group WHERE id = 100",
        "INSERT INTO deskguard.permission_group (id, name) OVERRIDING SYSTEM VALUE VALUES (100, 'Desk');
         INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (100, 1), (100, 2);
         INSERT INTO deskguard.group_permission (group_id, permission)
         SELECT 100, unnest(ARRAY['ticket.use', 'ticket.create', 'ticket.view.unassigned',
             'ticket.modify.own', 'ticket.modify.followed', 'ticket.modify.unassigned',
             'ticket.modify.assigned'])",
        NOTHING,
    ),
    change(
        "an agent leaves a group",
        "DELETE FROM deskguard.group_member WHERE agent_id = 1",
        "INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (100, 1)",
        NOTHING,
    ),
    change(
        "an agent joins an open group",
        "INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (101, 1)",
        "DELETE FROM deskguard.group_member WHERE group_id = 101",
        ALL,
    ),
    change(
        "an agent joins All Permissions",
        "INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (1, 1)",
        "DELETE FROM deskguard.group_member WHERE group_id = 1 AND agent_id = 1",
        ALL,
    ),
    change(
        "a department is moved away",
        "UPDATE deskguard.department SET parent_id = NULL WHERE id = 2",
        "UPDATE deskguard.department SET parent_id = 1 WHERE id = 2",
        &[1, 10],
    ),
    change(
        "a department is moved in",
        "UPDATE deskguard.department SET parent_id = 2 WHERE id = 3",
        "UPDATE deskguard.department SET parent_id = NULL WHERE id = 3",
        &[1, 2, 3, 7, 10],
    ),
    change(
        "a department is deleted",
        "DELETE FROM deskguard.department WHERE id = 2",
        "INSERT INTO deskguard.department (id, name, parent_id) VALUES (2, 'Support EU', 1)",
        &[1, 10],
    ),
    change(
        "a category is deleted",
        "DELETE FROM deskguard.category WHERE id = 1",
        "INSERT INTO deskguard.category (id, name) VALUES (1, 'Network');
         INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 1)",
        NOTHING,
    ),
    change(
        "an agent joins a team",
        "INSERT INTO deskguard.team_member (team_id, agent_id) VALUES (1, 1)",
        "DELETE FROM deskguard.team_member",
        &[1, 2, 7, 10],
    ),
    change(
        "an agent joins a team that is then deleted",
        "INSERT INTO deskguard.team_member (team_id, agent_id) VALUES (1, 1)",
        "DELETE FROM deskguard.team; INSERT INTO deskguard.team (id, name) VALUES (1, 'Night shift')",
        &[1, 2, 7, 10],
    ),
    change(
        "an agent is deactivated",
        "UPDATE deskguard.agent SET active = false WHERE id = 1",
        "UPDATE deskguard.agent SET active = true WHERE id = 1",
        NOTHING,
    ),
    change(
        "an agent is opened",
        "UPDATE deskguard.agent SET category_access = 'open' WHERE id = 1",
        "UPDATE deskguard.agent SET category_access = NULL WHERE id = 1",
        &[1, 2, 4, 5, 6, 10],
    ),
    change(
        "an agent is deleted",
        "DELETE FROM deskguard.agent WHERE id = 1",
        RIGHTS_OF_ANN,
        NOTHING,
    ),
    Change {
        role_sees: BY_ANN,
        ..change(
            UNTRUSTED,
            "DELETE FROM deskguard.trusted_role",
            "INSERT INTO deskguard.trusted_role (role_name) VALUES ('deskguard_test_app')",
            NOTHING,
        )
    },
    Change {
        role_sees: NOTHING,
        ..change(
            "an agent is no role any more",
            "UPDATE deskguard.agent SET db_role = NULL WHERE id = 1",
            "UPDATE deskguard.agent SET db_role = 'deskguard_test_report' WHERE id = 1",
            BY_ANN,
        )
    },
    Change {
        role_sees: BY_BOB,
        ..change(
            "a role is another agent",
            "UPDATE deskguard.agent SET db_role = NULL WHERE id = 1;
             UPDATE deskguard.agent SET db_role = 'deskguard_test_report' WHERE id = 2",
            "UPDATE deskguard.agent SET db_role = NULL WHERE id = 2;
             UPDATE deskguard.agent SET db_role = 'deskguard_test_report' WHERE id = 1",
            BY_ANN,
        )
    },
    change(
        "no trigger but ours fires",
        "SET session_replication_role = replica;
         DELETE FROM deskguard.agent_category WHERE agent_id = 1;
         RESET session_replication_role",
        "SET session_replication_role = replica;
         INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 1);
         RESET session_replication_role",
        NOTHING,
    ),
    change(
        "a MERGE revokes",
        "MERGE INTO deskguard.agent_category AS c USING (VALUES (1)) AS v (id) ON c.agent_id = v.id
         WHEN MATCHED THEN DELETE",
        "MERGE INTO deskguard.agent_category AS c USING (VALUES (1)) AS v (id) ON c.agent_id = v.id
         WHEN NOT MATCHED THEN INSERT (agent_id, category_id) VALUES (1, 1)",
        NOTHING,
    ),
    change(
        "a MERGE changes a grant",
        "MERGE INTO deskguard.agent_category AS c USING (VALUES (1)) AS v (id) ON c.agent_id = v.id
         WHEN MATCHED THEN UPDATE SET category_id = 2",
        "MERGE INTO deskguard.agent_category AS c USING (VALUES (1)) AS v (id) ON c.agent_id = v.id
         WHEN MATCHED THEN UPDATE SET category_id = 1",
        &[4, 5],
    ),
    change(
        "an upsert changes a grant",
        "INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (1, 1, 'assign')
         ON CONFLICT (agent_id, department_id) DO UPDATE SET level = excluded.level",
        "INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES (1, 1, 'full')
         ON CONFLICT (agent_id, department_id) DO UPDATE SET level = excluded.level",
        &[10],
    ),
    change(
        "a grant is copied in",
        "COPY deskguard.agent_category (agent_id, category_id) FROM PROGRAM 'echo 1,2' (FORMAT csv)",
        "DELETE FROM deskguard.agent_category WHERE agent_id = 1 AND category_id = 2",
        &[1, 2, 4, 5, 10],
    ),
    // Only the cascade to the grants changes rights.
    change(
        "a category gets another id",
        "UPDATE deskguard.category SET id = 3 WHERE id = 1",
        "UPDATE deskguard.category SET id = 1 WHERE id = 3",
        NOTHING,
    ),
    Change {
        needs: Needs::NoTransaction,
        ..change(
            "several rights change together",
            "BEGIN; DELETE FROM deskguard.agent_category WHERE agent_id = 1;
             INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 2);
             UPDATE deskguard.agent_department SET department_id = 3 WHERE agent_id = 1; COMMIT",
            "BEGIN; DELETE FROM deskguard.agent_category WHERE agent_id = 1;
             INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 1);
             UPDATE deskguard.agent_department SET department_id = 1 WHERE agent_id = 1; COMMIT",
            BY_BOB,
        )
    },
    Change {
        needs: Needs::NoTransaction,
        ..change(
            "part of a transaction is rolled back",
            "BEGIN; SAVEPOINT a; INSERT INTO deskguard.group_member VALUES (1, 1); ROLLBACK TO a;
             DELETE FROM deskguard.agent_category WHERE agent_id = 1; RELEASE a; COMMIT",
            "BEGIN; SAVEPOINT a; INSERT INTO deskguard.group_member VALUES (1, 1);
             SAVEPOINT b; INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 1); RELEASE b;
             ROLLBACK TO a; INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 1); COMMIT",
            NOTHING,
        )
    },
    Change {
        needs: Needs::TablesAlone,
        ..change(
            "a grant table is truncated",
            "TRUNCATE deskguard.agent_category",
            "INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 1), (2, 2)",
            NOTHING,
        )
    },
    Change {
        needs: Needs::TablesAlone,
        ..change(
            "categories are truncated with all that refers to them",
            "TRUNCATE deskguard.category CASCADE",
            "INSERT INTO deskguard.category (id, name) VALUES (1, 'Network'), (2, 'Printers');
             INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 1), (2, 2)",
            NOTHING,
        )
    },
    Change {
        needs: Needs::TablesAlone,
        ..change(
            "grants are replaced by a copy",
            "TRUNCATE deskguard.agent_category;
             COPY deskguard.agent_category (agent_id, category_id) FROM PROGRAM 'echo 1,2' (FORMAT csv, FREEZE)",
            "TRUNCATE deskguard.agent_category;
             COPY deskguard.agent_category (agent_id, category_id) FROM PROGRAM 'echo 1,1; echo 2,2' (FORMAT csv)",
            &[4, 5],
        )
    },
    Change {
        needs: Needs::TablesAlone,
        ..change(
            "a grant table is truncated, and no trigger but ours fires",
            "SET session_replication_role = replica; TRUNCATE deskguard.group_permission;
             RESET session_replication_role",
            GROUP_PERMISSIONS,
            NOTHING,
        )
    },
    Change {
        needs: Needs::TablesAlone,
        ..change(
            "the table is protected without its categories",
            "SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id',
                 assignee_column => 'assignee_id', team_column => 'team_id',
                 follower_table => 'desk.follower', drop_rules => true)",
            PROTECT,
            &[1, 2, 4, 5, 6, 10],
        )
    },
    Change {
        needs: Needs::NoQuestions,
        ..change(
            "the table is not protected for a while",
            "SELECT deskguard.unprotect('desk.ticket')",
            PROTECT,
            ALL,
        )
    },
];

/// In a help desk whose columns have other keys than numbers.
const KEY_CHANGES: &[Change] = &[
    change(
        "a category gets another key",
        "UPDATE deskguard.category SET external_key = 'another' WHERE id = 1",
        "UPDATE deskguard.category SET external_key = 'category 1' WHERE id = 1",
        NOTHING,
    ),
    change(
        "a category gets another key by an upsert",
        "INSERT INTO deskguard.category (id, name) VALUES (1, 'Network')
         ON CONFLICT (id) DO UPDATE SET external_key = excluded.external_key",
        "UPDATE deskguard.category SET external_key = 'category 1' WHERE id = 1",
        NOTHING,
    ),
    change(
        "categories exchange their keys",
        "UPDATE deskguard.category SET external_key = NULL;
         UPDATE deskguard.category SET external_key = 'category ' || (3 - id)",
        "UPDATE deskguard.category SET external_key = NULL;
         UPDATE deskguard.category SET external_key = 'category ' || id",
        &[4, 5],
    ),
    change(
        "a department gets another key",
        "UPDATE deskguard.department SET external_key = desk.key(77) WHERE id = 2",
        "UPDATE deskguard.department SET external_key = desk.key(2) WHERE id = 2",
        &[1, 10],
    ),
    change(
        "departments exchange their keys",
        "UPDATE deskguard.department SET external_key = NULL WHERE id <> 2;
         UPDATE deskguard.department SET external_key = desk.key(4 - id) WHERE id <> 2",
        "UPDATE deskguard.department SET external_key = NULL WHERE id <> 2;
         UPDATE deskguard.department SET external_key = desk.key(id) WHERE id <> 2",
        &[2, 3, 7, 10],
    ),
    change(
        "an agent gets another key",
        "UPDATE deskguard.agent SET external_key = desk.key(77) WHERE id = 1",
        "UPDATE deskguard.agent SET external_key = desk.key(1) WHERE id = 1",
        &[1, 2],
    ),
    change(
        "an agent has no key any more",
        "UPDATE deskguard.agent SET external_key = NULL WHERE id = 1",
        "UPDATE deskguard.agent SET external_key = desk.key(1) WHERE id = 1",
        &[1, 2],
    ),
    change(
        "a team takes the key of another",
        "UPDATE deskguard.team SET external_key = NULL WHERE id = 1;
         UPDATE deskguard.team SET external_key = 'team 1' WHERE id = 2",
        "UPDATE deskguard.team SET external_key = 'team 2' WHERE id = 2;
         UPDATE deskguard.team SET external_key = 'team 1' WHERE id = 1",
        &[1, 2, 7, 10],
    ),
    change(
        "a key is changed, and no trigger but ours fires",
        "SET session_replication_role = replica;
         UPDATE deskguard.category SET external_key = NULL WHERE id = 1;
         RESET session_replication_role",
        "UPDATE deskguard.category SET external_key = 'category 1' WHERE id = 1",
        NOTHING,
    ),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    /// The application, which acts for Ann.
    App,
    /// The role that is Ann.
    Role,
}

impl Change {
    fn seen_by(&self, who: Who, kind: Kind) -> &'static [i64] {
        match who {
            // The function's role is Ann, too.
            Who::App if self.what == UNTRUSTED && kind == Kind::Definer => BY_ANN,
            Who::App => self.app_sees,
            Who::Role => self.role_sees,
        }
    }
}

/// None: each statement is a transaction of its own.
type Isolation = Option<&'static str>;

const ISOLATIONS: [Isolation; 4] = [
    None,
    Some("READ COMMITTED"),
    Some("REPEATABLE READ"),
    Some("SERIALIZABLE"),
];

/// A session that asks the same question again and again while rights change.
struct Session {
    client: Client,
    asker: Asker,
    isolation: Isolation,
    retries: usize,
}

impl Session {
    fn begin(&mut self) {
        if let Some(level) = self.isolation {
            run(&mut self.client, &format!("BEGIN ISOLATION LEVEL {level}"));
        }
    }

    fn roll_back(&mut self) {
        if self.isolation.is_some() {
            run(&mut self.client, "ROLLBACK");
        }
    }

    /// What it sees, with at most one retry of the transaction.
    fn sees(&mut self) -> Result<Vec<i64>, String> {
        match self.asker.ask(&mut self.client) {
            Err(error) if is_retry(&error) => {
                self.retries += 1;
                if self.isolation.is_none() {
                    return Err("a retry in a transaction of its own".into());
                }
                self.roll_back();
                self.begin();
                let again = self.asker.ask(&mut self.client);
                again.map_err(|error| format!("after a retry: {error:?}"))
            }
            result => result.map_err(|error| format!("{error:?}")),
        }
    }
}

fn obeys_every_change(changes: &[Change], desk: fn(Fold) -> Database, fold: Fold) {
    let _roles = roles_stay();
    let database = desk(fold);
    let mut admin = database.superuser();
    let mut wrong = vec![];
    let mut statements = 0;
    let mut retries = 0;
    for who in [Who::App, Who::Role] {
        for kind in Kind::ALL {
            for isolation in ISOLATIONS {
                let mut client = match who {
                    Who::App => app(&database, ANN),
                    Who::Role => database.connect(MAPPED[0]),
                };
                let asker = Asker::new(&mut client, kind);
                let mut session = Session {
                    client,
                    asker,
                    isolation,
                    retries: 0,
                };
                session.begin();
                let mut check = |session: &mut Session, what: &str, expected: &[i64]| {
                    statements += 1;
                    let seen = session.sees();
                    if seen.as_deref() != Ok(expected) {
                        wrong.push(format!(
                            "{who:?}, {kind:?}, {isolation:?}: {what}: {seen:?} instead of {expected:?}"
                        ));
                        session.roll_back();
                        session.begin();
                    }
                };
                check(&mut session, "at first", BY_ANN);
                for change in changes {
                    match change.needs {
                        Needs::Nothing | Needs::NoTransaction => {}
                        Needs::TablesAlone if isolation.is_none() => {}
                        Needs::NoQuestions
                            if isolation.is_none()
                                && ![Kind::AgentCanView, Kind::VisibleTickets].contains(&kind) => {}
                        _ => continue,
                    }
                    run(&mut admin, change.make);
                    check(&mut session, change.what, change.seen_by(who, kind));
                    run(&mut admin, change.undo);
                    check(&mut session, &format!("undone: {}", change.what), BY_ANN);
                }
                retries += session.retries;
            }
        }
    }
    println!("fold {fold:?}: {statements} statements checked, {retries} retries");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), some(&wrong));
}

/// Not all of what may be very many lines.
fn some(lines: &[String]) -> String {
    lines[..lines.len().min(50)].join("\n")
}

#[test]
fn every_change_is_obeyed_by_folded_statements() {
    obeys_every_change(CHANGES, desk, Fold::On);
}

#[test]
fn every_change_is_obeyed_by_a_function_for_each_row() {
    obeys_every_change(CHANGES, desk, Fold::Off);
}

#[test]
fn every_change_is_obeyed_beyond_the_size_limit() {
    obeys_every_change(CHANGES, desk, Fold::Limit);
}

#[test]
fn every_change_of_a_key_is_obeyed() {
    for fold in Fold::ALL {
        obeys_every_change(KEY_CHANGES, keyed_desk, fold);
    }
}

/// A session that may change rights, and asks as the application would.
struct Changer {
    client: Client,
    asker: Asker,
}

impl Changer {
    fn new(database: &Database, kind: Kind) -> Changer {
        let mut client = database.superuser();
        run(&mut client, "SET deskguard.agent_id = '1'");
        let asker = Asker::new(&mut client, kind);
        Changer { client, asker }
    }

    /// What the application sees in this session; a change just made may cost a retry, but this
    /// would undo it.
    fn sees(&mut self) -> Result<Vec<i64>, String> {
        run(&mut self.client, "SET ROLE deskguard_test_app");
        let seen = self.asker.ask(&mut self.client);
        let _ = self.client.batch_execute("RESET ROLE");
        seen.map_err(|error| format!("{error:?}"))
    }

    fn run(&mut self, sql: &str) {
        run(&mut self.client, sql);
    }
}

/// One's own uncommitted change is seen by oneself and by nobody else; when it is rolled back, by
/// nobody at all.
fn uncommitted_changes(changes: &[Change], desk: fn(Fold) -> Database, fold: Fold) {
    let _roles = roles_stay();
    let database = desk(fold);
    let mut wrong = vec![];
    for kind in Kind::ALL {
        // They would have to wait for each other.
        let other_kind = if kind.locks() { Kind::Generic } else { kind };
        let mut other = app(&database, ANN);
        let other_asker = Asker::new(&mut other, other_kind);
        let mut other_sees = || {
            let seen = other_asker.ask(&mut other);
            seen.map_err(|error| format!("{error:?}"))
        };
        let mut own = Changer::new(&database, kind);
        for change in changes {
            match change.needs {
                Needs::NoTransaction => continue,
                Needs::NoQuestions
                    if [Kind::AgentCanView, Kind::VisibleTickets].contains(&kind) =>
                {
                    continue;
                }
                _ => {}
            }
            let mut check = |seen: Result<Vec<i64>, String>, when: &str, expected: &[i64]| {
                if seen.as_deref() != Ok(expected) {
                    wrong.push(format!(
                        "{kind:?}, {}: {when}: {seen:?} instead of {expected:?}",
                        change.what
                    ));
                }
            };
            // A superuser is trusted anyway.
            let sees = match change.what {
                UNTRUSTED => BY_ANN,
                _ => change.app_sees,
            };
            own.run("BEGIN");
            check(own.sees(), "before", BY_ANN);
            own.run("SAVEPOINT a");
            own.run(change.make);
            check(own.sees(), "own, uncommitted", sees);
            if [Needs::Nothing, Needs::NoTransaction].contains(&change.needs) {
                check(other_sees(), "another's, uncommitted", BY_ANN);
            }
            own.run("ROLLBACK TO a");
            check(own.sees(), "own, back at the savepoint", BY_ANN);
            own.run("SAVEPOINT b");
            own.run(change.make);
            own.run("RELEASE b");
            check(own.sees(), "own, savepoint released", sees);
            own.run("ROLLBACK");
            check(own.sees(), "own, rolled back", BY_ANN);
            check(other_sees(), "another's, rolled back", BY_ANN);
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), some(&wrong));
}

#[test]
fn uncommitted_changes_are_ones_own_when_folded() {
    uncommitted_changes(CHANGES, desk, Fold::On);
}

#[test]
fn uncommitted_changes_are_ones_own_by_function() {
    uncommitted_changes(CHANGES, desk, Fold::Off);
}

#[test]
fn uncommitted_changes_are_ones_own_beyond_the_size_limit() {
    uncommitted_changes(CHANGES, desk, Fold::Limit);
}

#[test]
fn uncommitted_changes_of_keys_are_ones_own() {
    for fold in Fold::ALL {
        uncommitted_changes(KEY_CHANGES, keyed_desk, fold);
    }
}
