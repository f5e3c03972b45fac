//! Other extensions' hooks above and below those of deskguard, and errors that jump over them. An error that
//! is caught, a cancel or a timeout leaves nobody's rights behind, and every error is what it would be without
//! deskguard.

use std::thread;
use std::time::Duration;

use deskguard_tests::lab::value;
use deskguard_tests::server::{Cluster, Database, has_library};
use postgres::Client;
use postgres::error::SqlState;

const ANN: &str = "hooks_ann";
const BOSS: &str = "hooks_boss";
const APP: &str = "hooks_app";

/// pg_stat_statements, auto_explain and pgaudit, as far as the server has them.
fn others() -> String {
    let all = ["pg_stat_statements", "auto_explain", "pgaudit"];
    let here = all.into_iter().filter(|name| has_library(name));
    here.collect::<Vec<_>>().join(",")
}

/// How deskguard and the others are loaded: hooks of what is loaded last are called first.
fn arrangements() -> Vec<(&'static str, Vec<String>)> {
    let others = others();
    let settings = [
        "auto_explain.log_min_duration=0",
        "auto_explain.log_analyze=on",
        "auto_explain.log_nested_statements=on",
        "pg_stat_statements.track=all",
        "pgaudit.log=all",
    ];
    let with = |libraries: String| {
        let mut all = vec![format!("shared_preload_libraries={libraries}")];
        all.extend(settings.map(String::from));
        all
    };
    let mut arrangements = vec![("alone", vec!["shared_preload_libraries=".to_string()])];
    if others.is_empty() {
        println!("this server has no pg_stat_statements, auto_explain or pgaudit");
    } else {
        arrangements.push(("below", with(others.clone())));
        arrangements.push((
            "below, all at the start",
            with(format!("{others},deskguard")),
        ));
        arrangements.push(("above", with(format!("deskguard,{others}"))));
    }
    arrangements
}

fn for_each_arrangement(test: impl Fn(&Cluster)) {
    for (name, settings) in arrangements() {
        println!("{name}");
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        test(&Cluster::start(&settings));
    }
}

/// Ann sees 100 of 2,000 tickets, the boss all; helpers of the boss and of nobody in particular catch errors.
const HELP_DESK: &str = "
    CREATE EXTENSION deskguard;
    CREATE ROLE hooks_boss LOGIN; CREATE ROLE hooks_ann LOGIN; CREATE ROLE hooks_app LOGIN;
    CREATE SCHEMA desk;
    CREATE TABLE desk.ticket (id bigint PRIMARY KEY, subject text, dept int);
    CREATE TABLE desk.message (id bigint PRIMARY KEY, ticket_id bigint NOT NULL, body text);
    CREATE INDEX ON desk.message (ticket_id);
    CREATE TABLE desk.tag (id int PRIMARY KEY, name text UNIQUE);
    INSERT INTO desk.tag VALUES (1, 'vip');
    INSERT INTO desk.ticket SELECT n, 'Ticket ' || n, CASE WHEN n > 1900 THEN 3 ELSE 1 END FROM generate_series(1, 2000) AS n;
    INSERT INTO desk.message SELECT n, 1 + n / 2, 'Message ' || n FROM generate_series(1, 3999) AS n;
    SELECT deskguard.protect_tickets('desk.ticket', department_column => 'dept');
    SELECT deskguard.protect_messages('desk.message', 'desk.ticket');
    INSERT INTO deskguard.department (id, name) VALUES (1, 'Support'), (3, 'Sales');
    INSERT INTO deskguard.agent (id, name, db_role) VALUES (1, 'Boss', 'hooks_boss'), (7, 'Ann', 'hooks_ann');
    INSERT INTO deskguard.group_member VALUES (1, 1);
    INSERT INTO deskguard.permission_group (id, name, category_access) VALUES (100, 'Sales staff', 'open');
    INSERT INTO deskguard.group_permission (group_id, permission)
        SELECT 100, unnest(ARRAY['ticket.use', 'ticket.view.unassigned', 'ticket.view.assigned']);
    INSERT INTO deskguard.group_department (group_id, department_id, level) VALUES (100, 3, 'full');
    INSERT INTO deskguard.group_member VALUES (100, 7);
    INSERT INTO deskguard.trusted_role VALUES ('hooks_app');
    GRANT USAGE ON SCHEMA desk TO hooks_boss, hooks_ann, hooks_app;
    GRANT CREATE ON SCHEMA desk TO hooks_boss;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA desk TO hooks_boss, hooks_ann, hooks_app;
    SET ROLE hooks_boss;
    -- A unique violation.
    CREATE FUNCTION desk.tags() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        WITH n AS (SELECT count(*) FROM desk.ticket) INSERT INTO desk.tag SELECT 1, 'vip' FROM n;
        RETURN true;
    EXCEPTION WHEN unique_violation THEN RETURN false;
    END $$;
    -- An error in the middle of a query.
    CREATE FUNCTION desk.divides() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        PERFORM 1 / (id - 1950) FROM desk.ticket;
        RETURN true;
    EXCEPTION WHEN division_by_zero THEN RETURN false;
    END $$;
    -- An error while a query is planned.
    CREATE FUNCTION desk.plans() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        EXECUTE 'SELECT 1 / 0, count(*) FROM desk.ticket';
        RETURN true;
    EXCEPTION WHEN division_by_zero THEN RETURN false;
    END $$;
    -- An error when a query is about to start.
    CREATE FUNCTION desk.starts() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        PERFORM (SELECT count(*) FROM desk.ticket), rolpassword FROM pg_authid;
        RETURN true;
    EXCEPTION WHEN insufficient_privilege THEN RETURN false;
    END $$;
    -- An error within the loop over a query, which is still open.
    CREATE FUNCTION desk.loops() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE
        of record;
    BEGIN
        FOR of IN SELECT * FROM desk.ticket LOOP
            PERFORM 1 / (of.id - 1950) FROM desk.message LIMIT 1;
        END LOOP;
        RETURN true;
    EXCEPTION WHEN division_by_zero THEN RETURN false;
    END $$;
    -- A cancel, too, can be caught.
    CREATE FUNCTION desk.sleeps() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        PERFORM count(*), pg_sleep(60) FROM desk.ticket;
        RETURN true;
    EXCEPTION WHEN query_canceled THEN RETURN false;
    END $$;
    RESET ROLE;
    -- With nothing of deskguard in it.
    CREATE FUNCTION desk.own() RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO desk.tag VALUES (1, 'vip');
        RETURN true;
    EXCEPTION WHEN unique_violation THEN RETURN false;
    END $$;
    ANALYZE";

const HELPERS: [&str; 6] = [
    "desk.tags()",
    "desk.divides()",
    "desk.plans()",
    "desk.starts()",
    "desk.loops()",
    "desk.own()",
];

/// Ann sees her rows, and no others, by every way.
fn sees_her_rows(client: &mut Client, after: &str) {
    for (sql, rows) in [
        ("SELECT count(*) FROM desk.ticket", 100),
        ("SELECT count(*) FROM desk.message", 200),
        ("SELECT count(*) FROM deskguard.visible_tickets(7)", 100),
        ("SELECT count(*) FROM desk.ticket WHERE id = 5", 0),
        (
            "SELECT count(*) FROM desk.message WHERE ticket_id IN (5, 1950)",
            2,
        ),
        ("SELECT coalesce(deskguard.current_agent(), 0)", 7),
    ] {
        assert_eq!(value::<i64>(client, sql), rows, "{sql}, after {after}");
    }
    let told = "DO $$ BEGIN IF deskguard_internal.parent_seen('desk.message', 5::bigint) OR NOT deskguard_internal.parent_seen('desk.message', 1950::bigint) \
                THEN RAISE 'another''s rights'; END IF; END $$";
    client
        .batch_execute(told)
        .unwrap_or_else(|error| panic!("{error:?}, after {after}"));
}

#[test]
fn a_caught_error_leaves_no_rights_behind() {
    for_each_arrangement(|cluster| {
        cluster.superuser().batch_execute(HELP_DESK).unwrap();
        for role in [ANN, APP] {
            let mut client = cluster.connect(role);
            if role == APP {
                client
                    .batch_execute("SELECT deskguard.set_agent(7, false)")
                    .unwrap();
            }
            sees_her_rows(&mut client, "nothing");
            for fold in ["on", "off"] {
                client
                    .batch_execute(&format!("SET deskguard.fold = {fold}"))
                    .unwrap();
                for helper in HELPERS {
                    // Of the query that goes on, ...
                    for (sql, rows) in [
                        (
                            "SELECT count(*) FROM (SELECT {} AS f OFFSET 0) AS f LEFT JOIN desk.message AS m ON NOT f.f",
                            200,
                        ),
                        (
                            "SELECT count(*) FROM (SELECT {} AS f OFFSET 0) AS f LEFT JOIN desk.ticket AS t ON NOT f.f",
                            100,
                        ),
                        (
                            "SELECT count(*) FROM (SELECT {} AS f OFFSET 0) AS f, LATERAL (SELECT 1 FROM desk.ticket AS t WHERE id = 5 AND NOT f.f) AS t",
                            0,
                        ),
                        (
                            "SELECT count(id) FROM (SELECT id, {} FROM desk.message WHERE ticket_id IN (5, 1950)) AS m",
                            2,
                        ),
                        (
                            "SELECT count(*) FROM desk.message WHERE NOT {} AND ticket_id IN (5, 1950, 6)",
                            2,
                        ),
                    ] {
                        let sql = sql.replace("{}", helper);
                        assert_eq!(value::<i64>(&mut client, &sql), rows, "{sql}, {role}");
                    }
                    // ... and of those after it, in the same transaction and in others.
                    client.batch_execute("BEGIN").unwrap();
                    value::<i64>(&mut client, &format!("SELECT count({helper})"));
                    sees_her_rows(&mut client, helper);
                    client.batch_execute("COMMIT").unwrap();
                    sees_her_rows(&mut client, helper);
                }
            }
        }
    });
}

#[test]
fn an_error_of_a_statement_leaves_no_rights_behind() {
    for_each_arrangement(|cluster| {
        cluster.superuser().batch_execute(HELP_DESK).unwrap();
        let mut client = cluster.connect(APP);
        for (sql, code) in [
            ("SELECT 1 / (id - id) FROM desk.tag", "22012"),
            ("SELECT 1 / 0, count(*) FROM desk.ticket", "22012"),
            ("SELECT 1 / (id - 1950) FROM desk.ticket", "22012"),
            ("SELECT * FROM desk.ticket, pg_authid", "42501"),
            ("INSERT INTO desk.tag VALUES (1, 'vip')", "23505"),
            ("INSERT INTO desk.message VALUES (1, 1, 'x')", "23505"),
            (
                "SELECT desk.divides(), 1 / (id - id) FROM desk.tag",
                "22012",
            ),
            (
                "SELECT count(*) FROM desk.message WHERE body::int > 0",
                "22P02",
            ),
            (
                "DECLARE c CURSOR FOR SELECT 1 / (id - 1990) FROM desk.ticket; FETCH ALL FROM c",
                "22012",
            ),
            (
                "PREPARE p AS SELECT 1 / (id - $1) FROM desk.ticket; EXECUTE p(1950)",
                "22012",
            ),
        ] {
            // Each by the boss, who sees all, and then Ann in the same session.
            for savepoint in [true, false] {
                client
                    .batch_execute("BEGIN; SELECT deskguard.set_agent(1); SAVEPOINT s")
                    .unwrap();
                let error = client.batch_execute(sql).expect_err(sql);
                assert_eq!(error.code(), Some(&SqlState::from_code(code)), "{sql}");
                if savepoint {
                    client
                        .batch_execute("ROLLBACK TO s; SELECT deskguard.set_agent(7)")
                        .unwrap();
                } else {
                    client
                        .batch_execute("ROLLBACK; BEGIN; SELECT deskguard.set_agent(7)")
                        .unwrap();
                }
                sees_her_rows(&mut client, sql);
                client.batch_execute("ROLLBACK; DEALLOCATE ALL").unwrap();
            }
        }
    });
}

#[test]
fn a_cancel_or_a_timeout_leaves_no_rights_behind() {
    for_each_arrangement(|cluster| {
        cluster.superuser().batch_execute(HELP_DESK).unwrap();
        let mut client = cluster.connect(ANN);
        let query = "SELECT count(*) FROM (SELECT desk.sleeps() AS f OFFSET 0) AS f LEFT JOIN desk.message AS m ON NOT f.f";
        // The timeout hits the helper, which catches it, ...
        client
            .batch_execute("SET statement_timeout = '300ms'")
            .unwrap();
        assert_eq!(value::<i64>(&mut client, query), 200);
        client.batch_execute("RESET statement_timeout").unwrap();
        sees_her_rows(&mut client, "a timeout that was caught");
        // ... so does a cancel from outside, ...
        let backend: i32 = value(&mut client, "SELECT pg_backend_pid()");
        let mut watch = cluster.superuser();
        let cancels = thread::spawn(move || {
            let sleeps = format!(
                "SELECT count(*) FROM pg_stat_activity WHERE pid = {backend} AND wait_event = 'PgSleep'"
            );
            while value::<i64>(&mut watch, &sleeps) == 0 {
                thread::sleep(Duration::from_millis(10));
            }
            // A request to cancel signals twice, and only one is caught.
            let is_told: bool = value(&mut watch, &format!("SELECT pg_cancel_backend({backend})"));
            assert!(is_told);
        });
        assert_eq!(value::<i64>(&mut client, query), 200);
        cancels.join().unwrap();
        sees_her_rows(&mut client, "a cancel that was caught");
        // ... and here nobody catches it.
        client
            .batch_execute("SET statement_timeout = '200ms'")
            .unwrap();
        for sql in [
            "SELECT count(*), pg_sleep(60) FROM desk.ticket",
            "SELECT pg_sleep(60) FROM desk.message",
            "SELECT count(*) FROM desk.message AS a, desk.message AS b, desk.message AS c, desk.message AS d WHERE a.body < b.body || d.body",
        ] {
            let error = client.query(sql, &[]).expect_err(sql);
            assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED), "{sql}");
            sees_her_rows(&mut client, sql);
        }
    });
}

/// Errors of planner, executor and functions, on tables that deskguard has nothing to do with.
const ERRORS_TABLES: &str = "
    CREATE SCHEMA plain;
    CREATE DOMAIN plain.positive AS int CONSTRAINT is_positive CHECK (VALUE > 0);
    CREATE TABLE plain.parent (id int CONSTRAINT parent_key PRIMARY KEY, name text NOT NULL CONSTRAINT named CHECK (name <> ''), size plain.positive);
    CREATE TABLE plain.child (id int PRIMARY KEY, parent int CONSTRAINT has_parent REFERENCES plain.parent DEFERRABLE, EXCLUDE USING btree (parent WITH =));
    INSERT INTO plain.parent VALUES (1, 'a', 1);
    INSERT INTO plain.child VALUES (1, 1);
    CREATE FUNCTION plain.divide(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN 1 / n; END $$;
    CREATE FUNCTION plain.nested() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT max(1 / (id - 1)) FROM plain.parent); END $$;
    CREATE FUNCTION plain.says() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION 'said' USING ERRCODE = 'UX001', DETAIL = 'the detail', HINT = 'the hint', COLUMN = 'c', CONSTRAINT = 'k', DATATYPE = 'd', TABLE = 't', SCHEMA = 's';
    END $$;
    CREATE FUNCTION plain.wrong() RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SELECT nothing FROM plain.parent'; RETURN 1; END $$;
    CREATE FUNCTION plain.inlined(n int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT 1 / n $$;
    CREATE FUNCTION plain.after() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.name = 'late' THEN PERFORM 1 / 0; END IF; RETURN NULL; END $$;
    CREATE TRIGGER late AFTER INSERT ON plain.parent FOR EACH ROW EXECUTE FUNCTION plain.after();
    CREATE TABLE plain.cut (id int) PARTITION BY RANGE (id);
    CREATE TABLE plain.cut_1 PARTITION OF plain.cut FOR VALUES FROM (1) TO (9);
    CREATE VIEW plain.checked AS SELECT * FROM plain.parent WHERE id < 100 WITH CHECK OPTION";

const ERRORS: [&str; 23] = [
    "INSERT INTO plain.parent VALUES (1, 'b', 1)",
    "INSERT INTO plain.parent VALUES (2, NULL, 1)",
    "INSERT INTO plain.parent VALUES (2, '', 1)",
    "INSERT INTO plain.parent VALUES (2, 'b', -1)",
    "INSERT INTO plain.parent VALUES (2, 'late', 1)",
    "INSERT INTO plain.child VALUES (2, 77)",
    "INSERT INTO plain.child VALUES (2, 1)",
    "DELETE FROM plain.parent",
    "UPDATE plain.parent SET id = 3",
    "INSERT INTO plain.checked VALUES (200, 'b', 1)",
    "INSERT INTO plain.cut VALUES (10)",
    "INSERT INTO plain.parent SELECT id + 1, NULL FROM plain.parent",
    "SELECT (-1)::plain.positive",
    "SELECT (id - 2)::plain.positive FROM plain.parent",
    "SELECT plain.divide(0)",
    "SELECT plain.divide(id - 1) FROM plain.parent",
    "SELECT plain.inlined(0), count(*) FROM plain.parent",
    "SELECT plain.nested()",
    "SELECT plain.says() FROM plain.parent",
    "SELECT plain.wrong()",
    "SELECT name::int FROM plain.parent",
    "SELECT 'x'::int + id FROM plain.parent",
    "EXPLAIN ANALYZE SELECT plain.divide(id - 1) FROM plain.parent",
];

/// Every field of the error but the place in PostgreSQL's source, where an error may be raised anew.
fn fields(client: &mut Client, sql: &str) -> Vec<(&'static str, String)> {
    let error = client.batch_execute(sql).expect_err(sql);
    let error = error
        .as_db_error()
        .unwrap_or_else(|| panic!("{sql}: {error:?}"));
    let text = |text: Option<&str>| text.unwrap_or_default().to_string();
    vec![
        ("severity", error.severity().into()),
        ("code", error.code().code().into()),
        ("message", error.message().into()),
        ("detail", text(error.detail())),
        ("hint", text(error.hint())),
        ("position", format!("{:?}", error.position())),
        ("context", text(error.where_())),
        ("schema", text(error.schema())),
        ("table", text(error.table())),
        ("column", text(error.column())),
        ("datatype", text(error.datatype())),
        ("constraint", text(error.constraint())),
        ("file", text(error.file())),
        ("line", format!("{:?}", error.line())),
        ("routine", text(error.routine())),
    ]
}

#[test]
fn errors_keep_all_their_fields() {
    let database = Database::empty("hooks");
    let mut without = database
        .try_connect("postgres", "-c session_preload_libraries=")
        .unwrap();
    without.batch_execute(ERRORS_TABLES).unwrap();
    let loaded = "SELECT count(*) FROM pg_settings WHERE name = 'deskguard.fold'";
    assert_eq!(value::<i64>(&mut without, loaded), 0);
    let wanted: Vec<_> = ERRORS.map(|sql| fields(&mut without, sql)).into();
    // They do have fields.
    let constraints = wanted.iter().flatten();
    let constraints = constraints.filter(|(name, text)| *name == "constraint" && !text.is_empty());
    assert!(constraints.count() >= 8);

    for_each_arrangement(|cluster| {
        let mut with = cluster.superuser();
        with.batch_execute(ERRORS_TABLES).unwrap();
        assert_eq!(value::<i64>(&mut with, loaded), 1);
        for (sql, wanted) in ERRORS.iter().zip(&wanted) {
            assert_eq!(&fields(&mut with, sql), wanted, "{sql}");
        }
    });
}

/// The names that programs go by are there for protected tables, too.
#[test]
fn errors_on_protected_tables_name_their_constraints() {
    for_each_arrangement(|cluster| {
        cluster.superuser().batch_execute(HELP_DESK).unwrap();
        let mut boss = cluster.connect(BOSS);
        for (sql, constraint) in [
            (
                "INSERT INTO desk.ticket VALUES (1, 'again', 1)",
                "ticket_pkey",
            ),
            (
                "INSERT INTO desk.message VALUES (1, 1, 'again')",
                "message_pkey",
            ),
            ("INSERT INTO desk.tag VALUES (2, 'vip')", "tag_name_key"),
        ] {
            let error = boss.batch_execute(sql).expect_err(sql);
            let error = error.as_db_error().unwrap();
            let names = (error.schema(), error.constraint());
            assert_eq!(names, (Some("desk"), Some(constraint)), "{sql}: {error:?}");
        }
    });
}
