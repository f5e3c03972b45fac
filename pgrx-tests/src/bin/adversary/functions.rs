//! Every function of the schema called by everybody, with NULL, extremes, other tables and other kinds of
//! keys, wherever an expression can stand; and every trigger function as a trigger of every form.

use crate::desk::{ANN, APP, BARE, BOSS, EVE, NOBODY};
use crate::random::Random;
use crate::session::{Function, Session, Terms, World};
use crate::watch::count;

const CALLERS: [&str; 6] = [ANN, APP, BARE, BOSS, EVE, NOBODY];

const INTEGERS: [&str; 9] = [
    "NULL",
    "0",
    "1",
    "-1",
    "2",
    "17",
    "9223372036854775807",
    "(-9223372036854775808)",
    "2147483648",
];
const TEXTS: [&str; 15] = [
    "NULL",
    "''",
    "'view'",
    "'1'",
    "'ticket.use'",
    "'UPDATE'",
    "'hidden'",
    "'open'",
    "'granted'",
    "'agent'",
    "'group_member'",
    "'zqt1qz'",
    "'c0ffee00-0000-4000-0000-000000000001'",
    "repeat('x', 100000)",
    "E'it''s \\u2028 {\"1\",NULL}'",
];
const UUIDS: [&str; 4] = [
    "NULL",
    "'00000000-0000-0000-0000-000000000000'",
    "'c0ffee00-0000-4000-0000-000000000001'",
    "gen_random_uuid()",
];
const TABLES: [&str; 18] = [
    "NULL",
    "0",
    "4294967295",
    "'pg_class'",
    "'desk.tag'",
    "'desk.ticket'",
    "'desk.follower'",
    "'desk.message'",
    "'desk.attachment'",
    "'part.ticket'",
    "'part.ticket_1'",
    "'part.message'",
    "'keyed.follower'",
    "'keyed.ticket'",
    "'keyed.filter'",
    "'desk.response'",
    "'desk.invoker_view'",
    "'desk.ticket_pkey'",
];
const NAMES: [&str; 8] = [
    "NULL",
    "''",
    "'id'",
    "'subject'",
    "'ctid'",
    "'none'",
    "'requester'",
    "'type'",
];
const ROWS: [&str; 8] = [
    "NULL",
    "'null'",
    "'{}'",
    "'[1]'",
    "'{\"id\": 5}'",
    "'{\"id\": 5, \"internal\": true, \"ticket_id\": 7}'",
    "'{\"cc\": \"followed\", \"watcher\": \"requested\"}'",
    "'{\"id\": \"c0ffee00-0000-4000-0000-000000000001\", \"requester\": 4, \"dept\": 3}'",
];

fn argument(random: &mut Random, ty: &str) -> String {
    let of: &[&str] = match ty {
        "bigint" | "integer" | "smallint" => &INTEGERS,
        "text" => &TEXTS,
        "uuid" => &UUIDS,
        "regclass" => &TABLES,
        "name" => &NAMES,
        "jsonb" => &ROWS,
        "boolean" => &["NULL", "true", "false"],
        "text[]" => &["NULL", "'{}'", "'{open,NULL,\"\"}'", "'{{a},{b}}'"],
        "bigint[]" => &["NULL", "'{}'", "'{1,NULL,3}'", "'{{1},{2}}'"],
        _ => &["NULL"],
    };
    let value = random.pick(of);
    // Numbers do not fit each integer type; that is an error like others.
    format!("({value})::{ty}")
}

/// Tables whose rows are asked for by key, of each kind.
const KEYED: [&str; 7] = [
    "desk.ticket",
    "desk.message",
    "desk.response",
    "part.ticket",
    "keyed.ticket",
    "keyed.message",
    "keyed.filter",
];

/// A column of a protected table, of a type that fits or not.
fn column(random: &mut Random, ty: &str) -> String {
    let of: &[&str] = match ty {
        "bigint" => &["t.id", "t.secret", "t.dept::bigint", "NULL"],
        "text" => &["t.subject", "t.status", "t::text"],
        "uuid" => &["NULL::uuid", "md5(t.subject)::uuid"],
        "boolean" => &["t.conf"],
        "jsonb" => &["to_jsonb(t)", "jsonb_build_object('id', t.id)"],
        _ => return argument(random, ty),
    };
    random.pick(of).to_string()
}

/// Calls of all functions, so often by each role in each way.
pub fn call_all(world: &World, part: &str, rounds: usize) {
    let mut sessions: Vec<Session> = CALLERS.map(|role| Session::new(world, role)).into();
    let mut random = Random::new(world.seed, part, 0);
    for function in &world.functions {
        if ["trigger", "event_trigger"].contains(&function.returns.as_str()) {
            call_as_function(&mut sessions, function);
            continue;
        }
        for session in &mut sessions {
            let crashes = world.watch.alarms_like("crash");
            for _ in 0..rounds {
                call(session, function, &mut random);
            }
            if world.watch.alarms_like("crash") > crashes {
                // It is known then.
                break;
            }
        }
    }
}

/// Trigger functions and others that are for no one to call.
fn call_as_function(sessions: &mut [Session], function: &Function) {
    for session in sessions {
        session.start(format!("calls of {}", function.name));
        session.query(&format!("SELECT {}()", function.name), &Terms::of("call"));
        count(&session.world.watch.counts.calls, 1);
    }
}

fn call(session: &mut Session, function: &Function, random: &mut Random) {
    let with = |random: &mut Random, argument: fn(&mut Random, &str) -> String| {
        let arguments: Vec<String> = function
            .arguments
            .iter()
            .map(|ty| argument(random, ty))
            .collect();
        format!("{}({})", function.name, arguments.join(", "))
    };
    let (plain, by_row) = (with(random, argument), with(random, column));
    let constant = with(random, argument);
    let returns = &function.returns;
    let is_bool = returns == "boolean";
    let condition = if is_bool {
        by_row.clone()
    } else {
        format!("({by_row}) IS NOT NULL")
    };
    let mut statements = vec![
        format!("SELECT {plain}"),
        format!("SELECT * FROM {constant} AS q"),
        format!(
            "DO $d$ DECLARE r text; BEGIN r := ({plain})::text; RAISE NOTICE '%', r; r := ({plain})::text; END $d$"
        ),
        format!("PREPARE q AS SELECT {plain}; EXECUTE q; EXECUTE q; DEALLOCATE q"),
    ];
    if function.set {
        statements.push(format!(
            "SELECT t.subject, q.* FROM desk.ticket AS t, LATERAL {by_row} AS q"
        ));
    } else {
        statements.push(format!(
            "SELECT t.subject FROM desk.ticket AS t WHERE {condition}"
        ));
        statements.push(format!(
            "EXPLAIN (VERBOSE) SELECT t.subject, {by_row} FROM desk.ticket AS t WHERE {condition}"
        ));
        statements.push(format!(
            "SELECT m.body FROM desk.message AS m WHERE {} IS NOT NULL",
            by_row
                .replace("t.", "m.")
                .replace("subject", "body")
                .replace("secret", "code")
        ));
        if session.role == EVE {
            let with = format!("{constant} IS NOT NULL");
            statements.push(format!("CREATE TABLE lair.calls (id bigint, CHECK ({with})); INSERT INTO lair.calls VALUES (1); SELECT * FROM lair.calls"));
            statements.push(format!("CREATE TABLE lair.calls (id bigint); CREATE INDEX ON lair.calls (id) WHERE {with}; INSERT INTO lair.calls VALUES (1)"));
            if !["void", "internal"].contains(&returns.as_str()) {
                statements.push(format!("CREATE TABLE lair.calls (id bigint, v {returns} DEFAULT {constant}); INSERT INTO lair.calls VALUES (1); SELECT * FROM lair.calls"));
                statements.push(format!("CREATE TABLE lair.calls (id bigint, v {returns} GENERATED ALWAYS AS ({constant}) STORED); INSERT INTO lair.calls VALUES (1)"));
            }
            statements.push(format!(
                "CREATE TABLE lair.calls (id bigint); ALTER TABLE lair.calls ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
                 CREATE POLICY p ON lair.calls USING ({with}); INSERT INTO lair.calls VALUES (1); SELECT * FROM lair.calls"
            ));
        }
    }
    statements.extend(calls_by_key(function, random));
    session.start(format!("calls of {}", function.name));
    for sql in statements {
        session.quick("BEGIN");
        if session.role == APP {
            let agent = 2 + random.below(7) as i64;
            if session
                .quick(&format!("SET LOCAL deskguard.agent_id = {agent}"))
                .error()
                .is_none()
            {
                session.agent = Some(agent);
            }
        }
        let mut terms = Terms::of(format!("call of {}", function.name));
        // They may hand rows over, and become somebody else.
        terms.changes = true;
        if function.name.ends_with(".set_agent") && session.role == APP {
            terms.also_for = crate::desk::AGENTS.map(Some).to_vec();
        }
        count(&session.world.watch.counts.calls, 1);
        let lost = session.query(&sql, &terms).lost;
        session.quick("ROLLBACK; DEALLOCATE ALL");
        session.start(format!("calls of {}", function.name));
        if lost {
            break;
        }
    }
}

/// What asks for rows by key, with keys that are there and of every kind, whatever the kind of the table's.
fn calls_by_key(function: &Function, random: &mut Random) -> Vec<String> {
    let is_key = |ty: &String| ["bigint", "uuid", "text"].contains(&ty.as_str());
    let arguments = &function.arguments;
    let has_table = arguments.iter().any(|ty| ty == "regclass");
    if function.set || !has_table || !arguments.iter().any(is_key) {
        return vec![];
    }
    let mut call = |table: &str, by_row: bool| {
        let one = |ty: &String| match ty.as_str() {
            "regclass" => format!("'{table}'::regclass"),
            "bigint" if by_row => "t.id".into(),
            "bigint" => format!("{}::bigint", 1 + random.below(20)),
            "uuid" if by_row => "md5(t.subject)::uuid".into(),
            "uuid" => "'c0ffee00-0000-4000-0000-000000000001'::uuid".into(),
            "text" if by_row => "t.subject".into(),
            "text" => "'1'::text".into(),
            ty => argument(random, ty),
        };
        let given: Vec<String> = arguments.iter().map(one).collect();
        format!("{}({})", function.name, given.join(", "))
    };
    KEYED
        .iter()
        .flat_map(|table| {
            let (constant, by_row) = (call(table, false), call(table, true));
            [
                format!("SELECT {constant}"),
                format!("EXPLAIN SELECT FROM desk.ticket AS t WHERE ({by_row}) IS NOT NULL"),
                format!("SELECT count(*) FROM desk.ticket AS t WHERE ({by_row}) IS NOT NULL"),
            ]
        })
        .collect()
}

/// Trigger functions on a table of somebody who may create tables; one of so many forms is tried.
pub fn attach_all(world: &World, part: &str, one_of: usize) {
    let mut session = Session::new(world, EVE);
    let triggers = world.functions.iter();
    let triggers: Vec<&Function> = triggers
        .filter(|function| function.returns == "trigger")
        .collect();
    let mut random = Random::new(world.seed, part, 0);
    let tables = [
        "CREATE TABLE lair.calls (id bigint PRIMARY KEY, dept bigint, status text, db_role name, group_id bigint, parent_id bigint)",
        "CREATE TABLE lair.calls (dept bigint, id bigint PRIMARY KEY); SELECT deskguard.protect_tickets('lair.calls', department_column => 'dept')",
        "CREATE TABLE lair.calls (id bigint PRIMARY KEY, owner bigint, dept bigint); SELECT deskguard.protect_shared('lair.calls', owner_column => 'owner')",
        "CREATE TABLE lair.calls (id bigint, dept bigint) PARTITION BY LIST (dept); CREATE TABLE lair.part PARTITION OF lair.calls DEFAULT",
        "CREATE TABLE lair.none (); CREATE TABLE lair.calls (dept text, id text)",
        "CREATE VIEW lair.calls AS SELECT 1::bigint AS id, 2::bigint AS dept",
    ];
    for function in triggers {
        for table in tables {
            for when in ["BEFORE", "AFTER", "INSTEAD OF"] {
                for (event, level) in [
                    ("INSERT", "ROW"),
                    ("UPDATE", "ROW"),
                    ("DELETE", "ROW"),
                    ("INSERT", "STATEMENT"),
                    ("UPDATE", "STATEMENT"),
                    ("DELETE", "STATEMENT"),
                    ("TRUNCATE", "STATEMENT"),
                    ("INSERT OR UPDATE OR DELETE", "ROW"),
                ] {
                    if random.below(one_of) > 0 {
                        continue;
                    }
                    let arguments =
                        *random.pick(&["", "", "'x'", "'lair.calls'", "'group_id', 'dept'"]);
                    let name = &function.name;
                    let create = format!(
                        "CREATE TRIGGER x {when} {event} ON lair.calls FOR EACH {level} EXECUTE FUNCTION {name}({arguments})"
                    );
                    if attach(&mut session, name, table, &create) {
                        // It is known then.
                        break;
                    }
                }
            }
            let deferred = format!(
                "CREATE CONSTRAINT TRIGGER x AFTER INSERT OR UPDATE OR DELETE ON lair.calls DEFERRABLE INITIALLY DEFERRED \
                 FOR EACH ROW EXECUTE FUNCTION {}()",
                function.name
            );
            attach(&mut session, &function.name, table, &deferred);
            let tables = format!(
                "CREATE TRIGGER x AFTER UPDATE ON lair.calls REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION {}()",
                function.name
            );
            attach(&mut session, &function.name, table, &tables);
        }
    }
}

/// True if the connection was lost.
fn attach(session: &mut Session, name: &str, table: &str, create: &str) -> bool {
    session.start(format!("trigger {name}"));
    session.quick("BEGIN");
    let terms = Terms::of(format!("trigger {name}"));
    session.query(
        &format!("{table}; INSERT INTO lair.calls (id, dept) SELECT 1, 1"),
        &terms,
    );
    if session.failed_transaction() {
        // Not one's own rows any more, or a view.
        session.quick("ROLLBACK");
        session.quick("BEGIN");
        session.query(table, &terms);
    }
    let created = session.query(create, &terms);
    if created.error().is_none() {
        for statement in [
            "INSERT INTO lair.calls (id, dept) VALUES (2, 1), (3, NULL)",
            "UPDATE lair.calls SET dept = '2'",
            "UPDATE lair.calls SET id = '4' WHERE id::text = '2'",
            "DELETE FROM lair.calls",
            "MERGE INTO lair.calls AS t USING (SELECT 5 AS id) AS s ON false WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
            "SET CONSTRAINTS ALL IMMEDIATE",
            "TRUNCATE lair.calls",
            "COPY lair.calls FROM STDIN",
        ] {
            count(&session.world.watch.counts.calls, 1);
            let reply = session.query(&format!("SAVEPOINT s; {statement}"), &terms);
            if reply.lost {
                return true;
            }
            if session.failed_transaction() {
                session.quick("ROLLBACK TO s");
            }
        }
    }
    created.lost || session.quick("ROLLBACK").lost
}
