//! Random help desks, and one made by hand: every way to ask and every command must agree with the
//! oracle.
//!
//! DESKGUARD_CASES (or PROPTEST_CASES) sets how many; DESKGUARD_SEED where to start: the help
//! desk of seed S is always the same, and a run tries the seeds S, S + 1, …

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{Read as _, Write as _};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use deskguard_tests::help_desk::{
    Access, Case, DANGLING, HelpDesk, Id, KeyForm, Kind, Level, Part, Partitioning, Principal,
    Ticket, TicketChange, cases, catalog,
};
use deskguard_tests::oracle::{ACTIONS, Granter, RELATIONS, Refusal};
use deskguard_tests::server::{APP, Database, MAPPED, OWNER};
use deskguard_tests::{ident, literal, worked};
use postgres::error::SqlState;
use postgres::{Client, Row, SimpleQueryMessage};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use serde_json::{Value, json};

type Outcome<T = ()> = Result<T, TestCaseError>;

/// A follower row: ticket, agent.
type Follower = (Option<Id>, Option<Id>);

/// The rules as literals of the plan, as calls for each row, and as what the length of lists makes
/// of them: all the same to who asks.
const PLANS: [&str; 4] = [
    "SET deskguard.fold = on; RESET deskguard.fold_limit",
    "SET deskguard.fold = off; RESET deskguard.fold_limit",
    "SET deskguard.fold = on; SET deskguard.fold_limit = 0",
    "SET deskguard.fold = on; SET deskguard.fold_limit = 1",
];

/// No ticket has this id.
const NO_TICKET: Id = 31_000;

#[test]
fn random_help_desks_are_answered_as_by_the_oracle() {
    let cases_wanted = number("DESKGUARD_CASES")
        .or(number("PROPTEST_CASES"))
        .unwrap_or(300);
    let first_seed = number("DESKGUARD_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        // Short enough to be typed.
        now.as_micros() as u64 % 1_000_000_000
    });
    say(&format!(
        "oracle: {cases_wanted} random help desks from seed {first_seed}"
    ));

    let start = Instant::now();
    let mut labs = Labs::default();
    let mut counts = Counts::default();
    run_worked(&mut labs, &mut counts);
    for seed in first_seed..first_seed + cases_wanted {
        run_seed(seed, &mut labs, &mut counts);
    }
    say(&format!(
        "oracle: {cases_wanted} help desks in {:.0} s; {} pairs of agent and ticket, \
         {} allowed, {} denied; {} commands tried in sessions",
        start.elapsed().as_secs_f32(),
        counts.get("view allowed") + counts.get("view denied"),
        counts.get("view allowed"),
        counts.get("view denied"),
        counts.get("commands tried"),
    ));
    say(&format!("oracle: {counts}"));
    // A few help desks may miss a rare rule; a real run may not.
    if cases_wanted >= 200 {
        counts.assert_nothing_missed();
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{variable} is not a number: {text:?}")))
}

/// Past the test harness, which keeps what a passing test prints.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

fn run_worked(labs: &mut Labs, counts: &mut Counts) {
    for case in worked::KINDS.map(worked::case) {
        let lab = labs.of(case.desk.default_category_access);
        if let Err(reason) = check(lab, &case, counts) {
            panic!(
                "the help desk made by hand fails:\n{}",
                told(&case, &reason)
            );
        }
    }
}

/// A help desk, what was tried on it, and what went wrong.
fn told(case: &Case, reason: &dyn std::fmt::Display) -> String {
    format!(
        "{}{}\ntried on it: {:?} {:?} {:?}\n\n{reason}",
        case.desk.load_sql(),
        case.desk.table.protect_sql(),
        case.new_tickets,
        case.changes,
        case.follows,
    )
}

fn run_seed(seed: u64, labs: &mut Labs, counts: &mut Counts) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: 1,
        failure_persistence: None,
        max_shrink_iters: 1500,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    // The runner wants a Fn; one thread only, so that these cells are never borrowed twice.
    let labs = std::cell::RefCell::new(labs);
    let counts = std::cell::RefCell::new(counts);
    let result = TestRunner::new_with_rng(config, rng).run(&cases(), |case| {
        let mut labs = labs.borrow_mut();
        let lab = labs.of(case.desk.default_category_access);
        check(lab, &case, &mut counts.borrow_mut())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Abort(reason)) => panic!("seed {seed}: no help desk: {reason}"),
        Err(TestError::Fail(reason, case)) => panic!(
            "the smallest help desk found that fails, with \
             deskguard.default_category_access = {:?}:\n\n{}\n\n\
             To repeat: DESKGUARD_SEED={seed} DESKGUARD_CASES=1 \
             cargo test -p deskguard-tests --test oracle",
            case.desk.default_category_access,
            told(&case, &reason),
        ),
    }
}

// ---- counting, so that a generator that makes nothing of interest is found out ----

#[derive(Default)]
struct Counts(BTreeMap<String, u64>);

impl Counts {
    fn add(&mut self, what: impl Into<String>) {
        *self.0.entry(what.into()).or_default() += 1;
    }

    fn either(&mut self, yes: bool, what: &str) {
        self.add(format!("{what} {}", if yes { "allowed" } else { "denied" }));
    }

    fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    fn assert_nothing_missed(&self) {
        let mut wanted: Vec<String> = Vec::new();
        let mut both = |what: &str| {
            wanted.push(format!("{what} allowed"));
            wanted.push(format!("{what} denied"));
        };
        both("view");
        for relation in RELATIONS {
            both(&format!("view {}", relation.name()));
            for action in &ACTIONS[1..] {
                both(&format!("{action} {}", relation.name()));
            }
        }
        for what in [
            "view confidential",
            "view perhaps confidential",
            "insert",
            "insert of spam",
            "department move",
            "category move",
            "unarchive",
            "spam",
            "follow oneself",
            "follow another",
            "unfollow oneself",
            "unfollow another",
            "audit",
            "view unmapped Agent",
            "view unmapped Team",
            "view unmapped Department",
            "view unmapped Category",
            "view without a key",
            "view by Uuid",
            "view by Number",
            "view by Words",
        ] {
            both(what);
        }
        for form in FORMS {
            both(&format!("change by {form:?}"));
        }
        for form in MASS_FORMS {
            both(&format!("changes by {form:?}"));
        }
        for form in INSERT_FORMS {
            both(&format!("insert by {form:?}"));
        }
        for kind in ["delete", "update"] {
            both(&format!("{kind}s by merge"));
        }
        for refusal in [
            Refusal::NoIdentity,
            Refusal::UnknownAgent,
            Refusal::InactiveAgent,
            Refusal::MayNotUse,
            Refusal::Silo,
            Refusal::Kind,
            Refusal::Department,
            Refusal::Confidential,
        ] {
            wanted.push(format!("refused by {refusal:?}"));
        }
        for reason in [
            "seen by openness",
            "seen by an agent's category",
            "seen by a group's category",
            "seen by the department itself",
            "seen by an ancestor",
            "seen by all departments",
            "change out of sight",
            "spam followed allowed",
            "spam followed denied",
            "spam with another id allowed",
            "spam with another id denied",
            "insert returning out of sight",
            "mapped sessions",
        ] {
            wanted.push(reason.into());
        }
        wanted.retain(|what| self.get(what) == 0);
        assert!(wanted.is_empty(), "the help desks never had: {wanted:?}");
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|(what, n)| format!("{what} {n}"))
            .collect();
        write!(f, "{}", parts.join(", "))
    }
}

// ---- a database with sessions that last for many help desks ----

/// One for each value of deskguard.default_category_access, which sessions get at their start.
#[derive(Default)]
struct Labs {
    silo: Option<Lab>,
    open: Option<Lab>,
}

impl Labs {
    fn of(&mut self, access: Access) -> &mut Lab {
        let lab = match access {
            Access::Silo => &mut self.silo,
            Access::Open => &mut self.open,
        };
        // A crash of the server must not hide behind "connection closed" while shrinking.
        if lab.as_ref().is_some_and(|lab| lab.superuser.is_closed()) {
            *lab = None;
        }
        lab.get_or_insert_with(|| Lab::new(access))
    }
}

struct Lab {
    superuser: Client,
    owner: Client,
    app: Client,
    mapped: Vec<Client>,
    _database: Database,
}

/// Notes which rows a command really changed, whatever its session may see of them.
const PROBE: &str = "
CREATE SCHEMA probe;
CREATE TABLE probe.touched (id text);
CREATE FUNCTION probe.touch() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO probe.touched VALUES
        (to_jsonb(CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END) ->> TG_ARGV[0]);
    RETURN NULL;
END $$;
GRANT USAGE ON SCHEMA probe TO PUBLIC;
GRANT SELECT ON probe.touched TO PUBLIC;";

impl Lab {
    fn new(access: Access) -> Self {
        let database = Database::with_deskguard("oracle");
        let mut superuser = database.superuser();
        let access = match access {
            Access::Silo => "silo",
            Access::Open => "open",
        };
        superuser
            .batch_execute(&format!(
                "ALTER DATABASE {} SET deskguard.default_category_access = '{access}'; {PROBE}",
                database.name()
            ))
            .unwrap();
        let rows = superuser
            .query(
                "SELECT name::text, destructive FROM deskguard.permission ORDER BY 1",
                &[],
            )
            .unwrap();
        let found: BTreeMap<String, bool> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
        let wanted = catalog().into_iter().map(|p| (p.name, p.destructive));
        assert_eq!(found, wanted.collect(), "the starting catalog");
        Lab {
            // Anew, for the setting just made.
            superuser: database.superuser(),
            owner: database.connect(OWNER),
            app: database.connect(APP),
            mapped: MAPPED.map(|role| database.connect(role)).into(),
            _database: database,
        }
    }

    fn load(&mut self, desk: &HelpDesk) -> Outcome {
        let table = &desk.table;
        run(&mut self.superuser, &desk.load_sql())?;
        let protector = if table.protected_by_owner {
            &mut self.owner
        } else {
            &mut self.superuser
        };
        run(protector, &table.protect_sql())?;
        run(
            &mut self.superuser,
            &format!(
                "CREATE TRIGGER probe AFTER INSERT OR UPDATE OR DELETE ON {} \
                 FOR EACH ROW EXECUTE FUNCTION probe.touch({})",
                table.sql(),
                literal(table.id.name)
            ),
        )
    }

    /// Also after a failed case, and whatever that left.
    fn clean(&mut self, case: &Case) -> Outcome {
        for client in [&mut self.superuser, &mut self.owner, &mut self.app]
            .into_iter()
            .chain(&mut self.mapped)
        {
            run(client, "ROLLBACK; RESET ROLE; RESET deskguard.agent_id")?;
        }
        let table = &case.desk.table;
        let there = "SELECT to_regclass($1) IS NOT NULL";
        if query(&mut self.superuser, there, &[&table.sql()])?[0].get(0) {
            if case.unprotect {
                run(&mut self.superuser, &table.unprotect_sql())?;
                self.assert_unprotected(&case.desk)?;
            }
            run(&mut self.superuser, &table.drop_sql())?;
        }
        run(&mut self.superuser, HelpDesk::clean_sql())?;
        let left = query(
            &mut self.superuser,
            "SELECT * FROM deskguard.protected_table",
            &[],
        )?;
        same(
            "rows of protected_table after the table is gone",
            left.len(),
            0,
        )
    }

    fn assert_unprotected(&mut self, desk: &HelpDesk) -> Outcome {
        let left = query(
            &mut self.superuser,
            "SELECT 'policy ' || polname FROM pg_policy \
             UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid \
             WHERE NOT tgisinternal AND tgname <> 'probe' AND c.relnamespace = $1::text::regnamespace \
             UNION ALL SELECT 'row security of ' || relname FROM pg_class \
             WHERE relrowsecurity OR relforcerowsecurity",
            &[&ident(desk.table.schema)],
        )?;
        let left: Vec<String> = left.iter().map(|row| row.get(0)).collect();
        same("left by unprotect", left, Vec::new())
    }
}

// ---- small helpers ----

fn fail(reason: impl std::fmt::Display) -> TestCaseError {
    TestCaseError::fail(reason.to_string())
}

fn broken(sql: &str, error: &postgres::Error) -> TestCaseError {
    match error.as_db_error() {
        Some(e) => fail(format!(
            "{} {}: {}\n{sql}",
            e.code().code(),
            e.message(),
            e.where_().unwrap_or_default()
        )),
        None => fail(format!("{error:?}\n{sql}")),
    }
}

fn run(client: &mut Client, sql: &str) -> Outcome {
    client
        .batch_execute(sql)
        .map_err(|error| broken(sql, &error))
}

type Parameters<'a> = &'a [&'a (dyn postgres::types::ToSql + Sync)];

fn query(client: &mut Client, sql: &str, parameters: Parameters) -> Outcome<Vec<Row>> {
    client
        .query(sql, parameters)
        .map_err(|error| broken(sql, &error))
}

/// The ids of tickets in a query's first column, a text; each may come once.
fn ids(client: &mut Client, desk: &HelpDesk, sql: &str) -> Outcome<BTreeSet<Id>> {
    let rows = query(client, sql, &[])?;
    let ids: BTreeSet<Id> = rows.iter().map(|row| id_of(desk, row)).collect();
    same(
        &format!("rows and different ids of {sql}"),
        rows.len(),
        ids.len(),
    )?;
    Ok(ids)
}

fn id_of(desk: &HelpDesk, row: &Row) -> Id {
    desk.table.id.kind.id_of(row.get(0))
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, oracle: T) -> Outcome {
    if got == oracle {
        return Ok(());
    }
    Err(fail(format!(
        "{what}\n     got: {got:?}\n  oracle: {oracle:?}"
    )))
}

/// How many rows each statement of a script counts.
fn counted(client: &mut Client, script: &str) -> Result<Vec<u64>, postgres::Error> {
    let messages = client.simple_query(script)?;
    Ok(messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::CommandComplete(rows) => Some(*rows),
            _ => None,
        })
        .collect())
}

/// How many rows a statement changes, or why it may not. Nothing of it stays.
fn attempt(client: &mut Client, sql: &str, counts: &mut Counts) -> Outcome<Result<u64, SqlState>> {
    counts.add("commands tried");
    let result = counted(client, &format!("BEGIN; {sql}"));
    run(client, "ROLLBACK")?;
    match result {
        Ok(rows) => Ok(Ok(rows[1])),
        Err(error) => match error.code() {
            Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => Ok(Err(code.clone())),
            // Of a ticket that is hidden, and has followers that no foreign key holds.
            Some(code)
                if *code == SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
                    && sql.contains("ON CONFLICT") =>
            {
                Ok(refused())
            }
            _ => Err(broken(sql, &error)),
        },
    }
}

/// The tickets that a statement changes. Nothing of it stays.
fn touched(
    client: &mut Client,
    desk: &HelpDesk,
    sql: &str,
    counts: &mut Counts,
) -> Outcome<BTreeSet<Id>> {
    let mut transaction = client.transaction().map_err(|e| broken("BEGIN", &e))?;
    counts.add("commands tried");
    let changed = transaction.execute(sql, &[]).map_err(|e| broken(sql, &e))?;
    let probe = "SELECT id FROM probe.touched";
    let rows = transaction
        .query(probe, &[])
        .map_err(|e| broken(probe, &e))?;
    let ids: BTreeSet<Id> = rows.iter().map(|row| id_of(desk, row)).collect();
    same(
        &format!("rows counted and touched by {sql}"),
        changed,
        ids.len() as u64,
    )?;
    Ok(ids)
}

fn refused<T>() -> Result<T, SqlState> {
    Err(SqlState::INSUFFICIENT_PRIVILEGE)
}

// ---- one help desk ----

fn check(lab: &mut Lab, case: &Case, counts: &mut Counts) -> Outcome {
    lab.load(&case.desk)?;
    let result = check_loaded(lab, case, counts);
    let cleaned = lab.clean(case);
    result.and(cleaned)
}

fn check_loaded(lab: &mut Lab, case: &Case, counts: &mut Counts) -> Outcome {
    let desk = &case.desk;
    count(desk, counts);

    let mut agents: Vec<Id> = desk.agents.iter().map(|agent| agent.id).collect();
    // Nobody has this id, though tickets and follower rows may.
    agents.push(DANGLING);
    for &agent in &agents {
        answers_about(lab, desk, agent)?;
    }
    who_can(lab, desk)?;

    for (index, &agent) in agents.iter().enumerate() {
        // Two ways to say who one is.
        let enter = if index % 2 == 0 {
            format!("SET deskguard.agent_id = '{agent}'")
        } else {
            format!("SELECT deskguard.set_agent({agent}, false)")
        };
        let name = format!("agent {agent}");
        session(&mut lab.app, &name, &enter, Some(agent), case, counts)?;
    }
    let nobody = "RESET deskguard.agent_id";
    session(&mut lab.app, "nobody", nobody, None, case, counts)?;

    for (role, client) in MAPPED.into_iter().zip(&mut lab.mapped) {
        let mapped = desk.agents.iter().find(|agent| agent.db_role == Some(role));
        let who = mapped.map(|agent| agent.id);
        if who.is_none() {
            continue;
        }
        counts.add("mapped sessions");
        let name = format!("role {role}, agent {who:?}");
        session(client, &name, "RESET ROLE", who, case, counts)?;
        let enter = format!("RESET deskguard.agent_id; SET ROLE {}", ident(role));
        session(
            &mut lab.app,
            &format!("SET ROLE {name}"),
            &enter,
            who,
            case,
            counts,
        )?;
        run(&mut lab.app, "RESET ROLE")?;
    }
    Ok(())
}

/// What a superuser or the table's owner is told about an agent.
fn answers_about(lab: &mut Lab, desk: &HelpDesk, agent: Id) -> Outcome {
    let table = desk.table.argument();
    let asker = if desk.table.protected_by_owner {
        &mut lab.owner
    } else {
        &mut lab.superuser
    };

    let kind = desk.table.id.kind;
    let expected = desk.tickets.iter().filter(|t| desk.view(agent, t));
    let expected: BTreeSet<Id> = expected.map(|t| t.id).collect();
    let sql = format!("SELECT deskguard.visible_ticket_keys({agent}, {table})");
    same(&sql, &ids(asker, desk, &sql)?, &expected)?;
    let sql = format!("SELECT deskguard.visible_tickets({agent}, {table})::text");
    if kind.is_integer() {
        same(&sql, ids(asker, desk, &sql)?, expected)?;
    } else {
        let error = asker.query(&sql, &[]).err();
        let code = error.and_then(|error| error.code().cloned());
        same(&sql, code, Some(SqlState::DATATYPE_MISMATCH))?;
    }

    let ticket_ids = asked_ids(desk);
    let id = id_form(kind, agent);
    let actions: Vec<String> = ACTIONS
        .iter()
        .map(|action| {
            format!(
                "deskguard.agent_can({agent}, '{action}', {id}, {table}), \
                 deskguard.explain_access({agent}, {id}, '{action}', {table})"
            )
        })
        .collect();
    let sql = format!(
        "SELECT id, format('%I.%I', {}, {}), deskguard.agent_can_view({agent}, {id}, {table}), {} \
         FROM unnest($1::text[]) AS id",
        literal(desk.table.schema),
        literal(desk.table.name),
        actions.join(", ")
    );
    for row in query(asker, &sql, &[&ticket_ids])? {
        let table: &str = row.get(1);
        let id = id_of(desk, &row);
        let ticket = desk.ticket(id);
        let about = format!("agent {agent}, ticket {id}");
        let viewed = ticket.is_some_and(|ticket| desk.view(agent, ticket));
        same(&format!("agent_can_view: {about}"), row.get(2), viewed)?;
        for (index, action) in ACTIONS.iter().enumerate() {
            let about = format!("{about}, {action}");
            let allowed = ticket.is_some_and(|ticket| desk.act(agent, ticket, action));
            same(
                &format!("agent_can: {about}"),
                row.get(3 + 2 * index),
                allowed,
            )?;
            let explained: Value = row.get(4 + 2 * index);
            let head = [
                ("agent", Value::from(agent)),
                (
                    "ticket",
                    match kind.is_integer() {
                        true => id.into(),
                        false => kind.text(id).into(),
                    },
                ),
                ("table", table.into()),
                ("action", (*action).into()),
                ("allowed", allowed.into()),
            ];
            for (key, value) in head {
                same(
                    &format!("explain_access: {about}: {explained}"),
                    &explained[key],
                    &value,
                )?;
            }
            reasons(desk, agent, ticket, &explained).map_err(|reason| {
                fail(format!("explain_access: {about}: {reason}: {explained}"))
            })?;
        }
    }

    let superuser = &mut lab.superuser;
    let sql = format!(
        "SELECT name::text, deskguard.agent_has_permission({agent}, name) FROM deskguard.permission"
    );
    for row in query(superuser, &sql, &[])? {
        let name: &str = row.get(0);
        let about = format!("agent_has_permission({agent}, {name})");
        same(&about, row.get(1), desk.has(agent, name))?;
    }
    let sql = format!(
        "SELECT permission, granted_by, locked FROM deskguard.effective_permissions({agent}) \
         ORDER BY permission COLLATE \"C\", granted_by COLLATE \"C\", locked"
    );
    let rows = query(superuser, &sql, &[])?;
    let rows = rows.iter().map(|row| (row.get(0), row.get(1), row.get(2)));
    same(&sql, rows.collect(), desk.effective_permissions(agent))
}

/// Tickets to ask about, as texts; the last is none.
fn asked_ids(desk: &HelpDesk) -> Vec<String> {
    let ids = desk.tickets.iter().map(|ticket| ticket.id);
    ids.chain([NO_TICKET])
        .map(|id| desk.table.id.kind.text(id))
        .collect()
}

/// The text `id` as the argument of functions, in one of the types that they take.
fn id_form(kind: Kind, turn: Id) -> &'static str {
    let other = match (kind, kind.form()) {
        (_, None | Some(KeyForm::Number)) => "id::bigint",
        (_, Some(KeyForm::Uuid)) => "id::uuid",
        (_, Some(KeyForm::Words)) => "id::varchar",
    };
    if turn % 2 == 0 { "id" } else { other }
}

/// What explain_access says of its reasons must be true.
fn reasons(
    desk: &HelpDesk,
    agent: Id,
    ticket: Option<&Ticket>,
    explained: &Value,
) -> Result<(), String> {
    let rules = explained["rules"].as_array().ok_or("rules is no array")?;
    let failed = rules.iter().find(|rule| rule["passed"] == false);
    if explained["summary"].as_str().is_none_or(str::is_empty) {
        return Err("no summary".into());
    }
    let Some(ticket) = ticket else {
        return Ok(());
    };
    unmapped(desk, agent, ticket, explained)?;
    if explained["allowed"] == false && failed.is_none() {
        return Err("a refusal without a failed rule".into());
    }
    let first_failed = failed.map_or(&Value::Null, |rule| &rule["rule"]);
    let refused_by = match desk.refusal(Some(agent), ticket) {
        Some(Refusal::UnknownAgent | Refusal::InactiveAgent) => Some("agent"),
        Some(Refusal::MayNotUse | Refusal::Confidential) => Some("permission"),
        Some(Refusal::Silo) => Some("silo"),
        // Several rules take part in the rest.
        _ => None,
    };
    if refused_by.is_some_and(|rule| first_failed != rule) {
        return Err(format!("the reason is {refused_by:?}, not {first_failed}"));
    }
    if desk.refusal(Some(agent), ticket) == Some(Refusal::Confidential) {
        let missing = failed.map_or(&Value::Null, |rule| &rule["permission"]);
        if missing != "ticket.view.confidential" {
            return Err(format!(
                "the reason is that it is confidential, not {missing}"
            ));
        }
    }
    for rule in rules {
        let granted_by = match rule.get("granted_by") {
            Some(list) => granters(list)?,
            None => continue,
        };
        let passed = rule["passed"] == true;
        let without_department = |(granter, _)| granter;
        match rule["rule"].as_str() {
            Some("permission") => {
                let name = rule["permission"].as_str().unwrap_or_default();
                let granted_by: BTreeSet<Granter> =
                    granted_by.into_iter().map(without_department).collect();
                if granted_by != desk.permission_granters(agent, name) {
                    return Err(format!("wrong granters of {name}"));
                }
            }
            Some("silo") => {
                if passed != desk.silo_ok(agent, ticket) {
                    return Err("the silo".into());
                }
                let granted_by: BTreeSet<Granter> =
                    granted_by.into_iter().map(without_department).collect();
                let by_category = desk
                    .category(ticket)
                    .map(|category| desk.category_granters(agent, category))
                    .unwrap_or_default();
                // An open agent needs no category: who opens it is named.
                let wanted = if desk.open(agent) {
                    desk.openers(agent)
                } else {
                    by_category
                };
                if granted_by != wanted {
                    return Err(format!("the silo is passed by {wanted:?}"));
                }
            }
            Some("department") => {
                let level = match rule["level"].as_str() {
                    Some("assign") => Level::Assign,
                    Some("full") => Level::Full,
                    _ => return Err("no level".into()),
                };
                if passed != desk.dept(agent, ticket, level) {
                    return Err("the department".into());
                }
                let Some(department) = desk.department(ticket) else {
                    continue;
                };
                let wanted = desk.department_granters(agent, department, level);
                let found: BTreeSet<(Granter, Id)> = granted_by
                    .into_iter()
                    .filter_map(|(granter, department)| Some((granter, department?)))
                    .collect();
                if !desk.all_departments(agent) && found != wanted {
                    return Err("wrong granters of the department".into());
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What no external key names is said to those who may ask about others, and nothing else is.
fn unmapped(desk: &HelpDesk, agent: Id, ticket: &Ticket, explained: &Value) -> Result<(), String> {
    let columns = desk.unmapped(ticket).into_iter();
    let mut wanted: Vec<Value> = columns
        .map(|(principal, column, value)| {
            let value = column.kind.text(value);
            json!({"column": column.name, "value": value, "table": principal.sql()})
        })
        .collect();
    if let Some(column) = &desk.table.assignee
        && desk.has_no_key(agent)
    {
        wanted.push(json!({
            "column": column.name, "value": null, "agent": agent, "table": Principal::Agent.sql(),
        }));
    }
    let found = explained["unmapped"].as_array().cloned();
    let mut found = found.unwrap_or_default();
    for list in [&mut wanted, &mut found] {
        list.sort_by_key(Value::to_string);
    }
    if wanted.is_empty() != explained["unmapped"].is_null() || wanted != found {
        return Err(format!("unmapped are {wanted:?}"));
    }
    Ok(())
}

/// The entries of "granted_by", with the granting department where one is named.
fn granters(list: &Value) -> Result<Vec<(Granter, Option<Id>)>, String> {
    let list = list.as_array().ok_or("granted_by is no array")?;
    list.iter()
        .map(|item| {
            let department = item["department"].as_i64();
            if let Some(name) = item["group"].as_str() {
                Ok((Granter::Group(name.into()), department))
            } else if let Some(id) = item["agent"].as_i64() {
                Ok((Granter::Agent(id), department))
            } else if item["setting"] == "deskguard.default_category_access" {
                Ok((Granter::Setting, department))
            } else {
                Err(format!("granted by {item}"))
            }
        })
        .collect()
}

fn who_can(lab: &mut Lab, desk: &HelpDesk) -> Outcome {
    let table = desk.table.argument();
    let turn = desk.tickets.len() as Id;
    let id = id_form(desk.table.id.kind, turn);
    let sql = format!(
        "SELECT id, action, ARRAY(SELECT deskguard.agents_who_can(action, {id}, {table})) \
         FROM unnest($1::text[]) AS id, unnest($2::text[]) AS action"
    );
    for row in query(
        &mut lab.superuser,
        &sql,
        &[&asked_ids(desk), &ACTIONS.as_slice()],
    )? {
        let (id, action): (Id, &str) = (id_of(desk, &row), row.get(1));
        let mut found: Vec<Id> = row.get(2);
        found.sort();
        let mut expected = Vec::new();
        if let Some(ticket) = desk.ticket(id) {
            let agents = desk.agents.iter().map(|agent| agent.id);
            expected.extend(agents.filter(|&agent| desk.act(agent, ticket, action)));
            expected.sort();
        }
        same(&format!("agents_who_can({action}, {id})"), found, expected)?;
    }
    Ok(())
}

/// What a session of an ordinary role sees and changes, as the agent `who`.
fn session(
    client: &mut Client,
    name: &str,
    enter: &str,
    who: Option<Id>,
    case: &Case,
    counts: &mut Counts,
) -> Outcome {
    run(client, enter)?;
    // Reads with all kinds of plan; which one the writes get differs from session to session.
    let turn =
        case.desk.tickets.len() + name.len() + who.unwrap_or_default().unsigned_abs() as usize;
    for nth in 1..=PLANS.len() {
        let plan = PLANS[(turn + nth) % PLANS.len()];
        run(client, plan)?;
        reads(client, &case.desk, who)
            .map_err(|error| fail(format!("as {name}, {plan}: {error}")))?;
    }
    let plan = PLANS[turn % PLANS.len()];
    let in_session = |error: TestCaseError| fail(format!("as {name}, {plan}: {error}"));
    identity(client, &case.desk, who).map_err(in_session)?;
    writes(client, &case.desk, who, counts).map_err(in_session)?;
    inserts(client, case, who, turn, counts).map_err(in_session)?;
    changes(client, case, who, turn, counts).map_err(in_session)?;
    follows(client, case, who, counts).map_err(in_session)?;
    audits(client, &case.desk, who, counts).map_err(in_session)
}

fn identity(client: &mut Client, desk: &HelpDesk, who: Option<Id>) -> Outcome {
    let sql = "SELECT deskguard.current_agent()";
    let current: Option<Id> = query(client, sql, &[])?[0].get(0);
    let active = who.filter(|&id| {
        desk.agents
            .iter()
            .any(|agent| agent.id == id && agent.active)
    });
    // Whether a number that is no active agent is somebody is left open: it may do nothing.
    if who.is_none() || active.is_some() {
        same(sql, current, active)?;
    }
    Ok(())
}

fn select_ids(desk: &HelpDesk, table: &str) -> String {
    format!("SELECT {}::text FROM {table}", ident(desk.table.id.name))
}

fn reads(client: &mut Client, desk: &HelpDesk, who: Option<Id>) -> Outcome {
    let seen: BTreeSet<Id> = desk
        .tickets
        .iter()
        .filter(|ticket| who.is_some_and(|agent| desk.view(agent, ticket)))
        .map(|ticket| ticket.id)
        .collect();
    let sql = select_ids(desk, &desk.table.sql());
    same(&sql, ids(client, desk, &sql)?, seen.clone())?;
    let sql = format!("SELECT count(*) FROM {}", desk.table.sql());
    let counted: i64 = query(client, &sql, &[])?[0].get(0);
    same(&sql, counted as usize, seen.len())?;
    if desk.table.partitioning == Partitioning::None {
        let sql = format!("COPY {} TO STDOUT", desk.table.sql());
        let mut copied = String::new();
        client
            .copy_out(sql.as_str())
            .map_err(|error| broken(&sql, &error))?
            .read_to_string(&mut copied)
            .map_err(fail)?;
        same(&sql, copied.lines().count(), seen.len())?;
    }
    if desk.table.partitioning != Partitioning::None {
        let mut in_partitions = BTreeSet::new();
        for partition in desk.table.partitions() {
            in_partitions.extend(ids(client, desk, &select_ids(desk, &partition))?);
        }
        same("rows of the partitions", in_partitions, seen)?;
    }

    if let (Some(columns), Some(table)) = (&desk.table.follower, desk.table.follower_sql()) {
        let sql = format!(
            "SELECT {}::text, {}::text FROM {table}",
            ident(columns.ticket.name),
            ident(columns.agent.name)
        );
        let rows = query(client, &sql, &[])?;
        let follower = |row: &Row| {
            let (ticket, agent): (Option<&str>, Option<&str>) = (row.get(0), row.get(1));
            (
                ticket.map(|text| columns.ticket.kind.id_of(text)),
                agent.map(|text| columns.agent.kind.id_of(text)),
            )
        };
        let mut rows: Vec<Follower> = rows.iter().map(follower).collect();
        rows.sort();
        let visible = |row: &&Follower| who.is_some_and(|agent| desk.sees_follower(agent, **row));
        let mut expected: Vec<Follower> = desk.followers.iter().filter(visible).copied().collect();
        expected.sort();
        same(&sql, rows, expected)?;
    }
    Ok(())
}

/// UPDATE and DELETE, with and without WHERE, on the table and on its partitions.
fn writes(client: &mut Client, desk: &HelpDesk, who: Option<Id>, counts: &mut Counts) -> Outcome {
    let can = |action: &str| -> BTreeSet<Id> {
        let allowed = |ticket: &&Ticket| who.is_some_and(|agent| desk.act(agent, ticket, action));
        desk.tickets
            .iter()
            .filter(allowed)
            .map(|ticket| ticket.id)
            .collect()
    };
    let (view, modify, delete) = (can("view"), can("modify"), can("delete"));
    let table = desk.table.sql();
    let (id, kind) = (ident(desk.table.id.name), desk.table.id.kind);
    let any = kind.any_sql(&id);
    let every = values(desk);
    for (sql, expected) in [
        (format!("UPDATE {table} SET subject = 'new'"), &modify),
        (format!("UPDATE {table} SET subject = subject"), &modify),
        (
            format!("UPDATE {table} SET subject = subject WHERE {any}"),
            &modify,
        ),
        (format!("DELETE FROM {table}"), &delete),
        (
            format!("UPDATE {table} SET subject = n::text FROM {every} WHERE {id} = n"),
            &modify,
        ),
        (format!("DELETE FROM {table} WHERE {any}"), &delete),
        (
            format!("DELETE FROM {table} USING {every} WHERE {id} = n"),
            &delete,
        ),
        (
            format!("WITH w AS (DELETE FROM {table} RETURNING *) SELECT FROM w"),
            &delete,
        ),
    ] {
        same(&sql, &touched(client, desk, &sql, counts)?, expected)?;
    }
    // MERGE fails where it finds a row that it may not change.
    for (command, kind, allowed) in [
        ("UPDATE SET subject = 'new'", "update", &modify),
        ("DELETE", "delete", &delete),
    ] {
        let sql =
            format!("MERGE INTO {table} USING {every} ON {id} = n WHEN MATCHED THEN {command}");
        let expected = if view == *allowed {
            Ok(view.len() as u64)
        } else {
            refused()
        };
        same(&sql, attempt(client, &sql, counts)?, expected.clone())?;
        if !view.is_empty() {
            counts.either(expected.is_ok(), &format!("{kind}s by merge"));
        }
    }
    let sql = format!("COPY {table} FROM STDIN");
    match client.batch_execute(&sql) {
        Err(error) if error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED) => {}
        other => return Err(fail(format!("{sql}: {other:?}"))),
    }
    if desk.table.partitioning != Partitioning::None {
        let (mut updated, mut deleted) = (BTreeSet::new(), BTreeSet::new());
        for partition in desk.table.partitions() {
            let update = format!("UPDATE {partition} SET subject = 'new'");
            updated.extend(touched(client, desk, &update, counts)?);
            deleted.extend(touched(
                client,
                desk,
                &format!("DELETE FROM {partition}"),
                counts,
            )?);
        }
        same("UPDATE of the partitions", updated, modify.clone())?;
        same("DELETE from the partitions", deleted, delete.clone())?;
    }

    // Each ticket by its key: one script, for there are many.
    let mut script = vec!["BEGIN".to_string()];
    let mut expected = vec![0];
    for ticket in &desk.tickets {
        for (command, allowed) in [
            (format!("UPDATE {table} SET subject = 'new'"), &modify),
            (format!("DELETE FROM {table}"), &delete),
        ] {
            script.push(format!(
                "{command} WHERE {id} = {}",
                kind.literal(ticket.id)
            ));
            expected.push(allowed.contains(&ticket.id) as u64);
            counts.add("commands tried");
        }
    }
    let joined = script.join("; ");
    let rows = counted(client, &joined).map_err(|error| broken(&joined, &error))?;
    run(client, "ROLLBACK")?;
    for ((sql, rows), expected) in script.iter().zip(rows).zip(expected) {
        same(sql, rows, expected)?;
    }
    Ok(())
}

/// A table `v` with the one column `n`: the ids of all tickets.
fn values(desk: &HelpDesk) -> String {
    let ids = desk.tickets.iter().map(|ticket| ticket.id);
    // One that no ticket has, so that it is never empty.
    let ids = ids.chain([NO_TICKET]);
    let row = |id| format!("({})", desk.table.id.kind.literal(id));
    let rows: Vec<String> = ids.map(row).collect();
    format!("(VALUES {}) AS v (n)", rows.join(", "))
}

/// Ways to write an INSERT.
#[derive(Clone, Copy, Debug)]
enum InsertForm {
    Select,
    With,
    Merge,
    OnConflictNothing,
    OnConflictUpdate,
}

const INSERT_FORMS: [InsertForm; 5] = [
    InsertForm::Select,
    InsertForm::With,
    InsertForm::Merge,
    InsertForm::OnConflictNothing,
    InsertForm::OnConflictUpdate,
];

impl InsertForm {
    fn sql(self, desk: &HelpDesk, ticket: &Ticket) -> String {
        let insert = desk.table.insert_sql(ticket);
        let id = ident(desk.table.id.name);
        match self {
            InsertForm::Select => desk.table.insert_select_sql(ticket),
            InsertForm::With => format!("WITH w AS ({insert} RETURNING *) SELECT FROM w"),
            InsertForm::Merge => format!(
                "MERGE INTO {} USING (VALUES ({})) AS v (n) ON {id} = n WHEN NOT MATCHED THEN {}",
                desk.table.sql(),
                desk.table.id.kind.literal(ticket.id),
                desk.table.merge_insert_sql(ticket)
            ),
            InsertForm::OnConflictNothing => format!("{insert} ON CONFLICT DO NOTHING"),
            InsertForm::OnConflictUpdate if desk.table.has_unique_id() => {
                format!("{insert} ON CONFLICT ({id}) DO UPDATE SET subject = 'there'")
            }
            InsertForm::OnConflictUpdate => insert,
        }
    }
}

fn inserts(
    client: &mut Client,
    case: &Case,
    who: Option<Id>,
    turn: usize,
    counts: &mut Counts,
) -> Outcome {
    let desk = &case.desk;
    for (nth, ticket) in case.new_tickets.iter().enumerate() {
        let sql = desk.table.insert_sql(ticket);
        let may = who.is_some_and(|agent| desk.create(agent, ticket));
        let expected = if may { Ok(1) } else { refused() };
        same(&sql, attempt(client, &sql, counts)?, expected.clone())?;
        counts.either(may, "insert");
        let of_the_day = Ticket {
            status: None,
            ..ticket.clone()
        };
        if desk.spam(ticket) && who.is_some_and(|agent| desk.create(agent, &of_the_day)) {
            counts.either(may, "insert of spam");
        }

        // One gets back what one wrote, also where one will not see it.
        let sql = format!("{sql} RETURNING *");
        same(&sql, attempt(client, &sql, counts)?, expected.clone())?;
        if may && !who.is_some_and(|agent| desk.view(agent, ticket)) {
            counts.add("insert returning out of sight");
        }

        let form = INSERT_FORMS[(turn + nth) % INSERT_FORMS.len()];
        let sql = form.sql(desk, ticket);
        same(&sql, attempt(client, &sql, counts)?, expected)?;
        counts.either(may, &format!("insert by {form:?}"));
    }
    Ok(())
}

/// Ways to write the change of one ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Update,
    Returning,
    From,
    With,
    Any,
    Merge,
    OnConflictUpdate,
    OnConflictNothing,
}

const FORMS: [Form; 8] = [
    Form::Update,
    Form::Returning,
    Form::From,
    Form::With,
    Form::Any,
    Form::Merge,
    Form::OnConflictUpdate,
    Form::OnConflictNothing,
];

/// Ways to write one change of many tickets.
#[derive(Clone, Copy, Debug)]
enum MassForm {
    Update,
    From,
    With,
    Merge,
}

const MASS_FORMS: [MassForm; 4] = [
    MassForm::Update,
    MassForm::From,
    MassForm::With,
    MassForm::Merge,
];

/// Changes of one ticket, each in another way than in the session before, and of all at once.
fn changes(
    client: &mut Client,
    case: &Case,
    who: Option<Id>,
    turn: usize,
    counts: &mut Counts,
) -> Outcome {
    for (nth, change) in case.changes.iter().enumerate() {
        let mut form = FORMS[(turn + nth) % FORMS.len()];
        let on_conflict = [Form::OnConflictUpdate, Form::OnConflictNothing];
        // ON CONFLICT cannot move a row to another partition.
        let sets_id = change.parts.contains(&Part::Id);
        if on_conflict.contains(&form) && (sets_id || !case.desk.table.has_unique_id()) {
            form = Form::Merge;
        }
        change_one(client, &case.desk, who, change, form, counts)?;
        if nth % 3 == 0 && !change.parts.contains(&Part::Id) {
            let form = MASS_FORMS[(turn + nth / 3) % MASS_FORMS.len()];
            change_all(client, &case.desk, who, change, form, counts)?;
        }
    }
    Ok(())
}

fn change_one(
    client: &mut Client,
    desk: &HelpDesk,
    who: Option<Id>,
    change: &TicketChange,
    form: Form,
    counts: &mut Counts,
) -> Outcome {
    let TicketChange { old, new, parts } = change;
    let sees = |ticket: &Ticket| who.is_some_and(|agent| desk.view(agent, ticket));
    let modifies = who.is_some_and(|agent| desk.act(agent, old, "modify"));
    let may = who.is_some_and(|agent| desk.may_update(agent, old, new));
    let (table, id, kind) = (
        desk.table.sql(),
        ident(desk.table.id.name),
        desk.table.id.kind,
    );
    let (key, none) = (kind.literal(old.id), kind.literal(NO_TICKET));
    let set = desk.table.set_sql(parts, new);
    let update = format!("UPDATE {table} SET {set}");
    let proposed = Ticket {
        id: old.id,
        ..new.clone()
    };
    let insert = desk.table.insert_sql(&proposed);
    let sql = match form {
        Form::Update => format!("{update} WHERE {id} = {key}"),
        Form::Returning => format!("{update} WHERE {id} = {key} RETURNING *"),
        Form::From => format!("{update} FROM (VALUES ({key})) AS v (n) WHERE {id} = n"),
        Form::With => {
            format!("WITH w AS ({update} WHERE {id} = {key} RETURNING *) SELECT FROM w")
        }
        Form::Any => format!("{update} WHERE {id} = ANY (ARRAY[{key}, {none}])"),
        Form::Merge => format!(
            "MERGE INTO {table} USING (VALUES ({key})) AS v (n) ON {id} = n \
             WHEN MATCHED THEN UPDATE SET {set}"
        ),
        Form::OnConflictUpdate => format!("{insert} ON CONFLICT ({id}) DO UPDATE SET {set}"),
        Form::OnConflictNothing => format!("{insert} ON CONFLICT ({id}) DO NOTHING"),
    };
    let creates = who.is_some_and(|agent| desk.create(agent, &proposed));
    // Something belongs to the id already, for all that this agent may know.
    let is_taken = !sees(old)
        && (desk.table.follower.as_ref()).is_some_and(|follower| !follower.references)
        && desk
            .followers
            .iter()
            .any(|(ticket, _)| *ticket == Some(old.id));
    // Whether one will see the new row does not matter.
    let expected = match form {
        Form::OnConflictNothing | Form::OnConflictUpdate if is_taken => refused(),
        Form::OnConflictNothing if creates => Ok(0),
        Form::OnConflictUpdate if creates && may => Ok(1),
        Form::OnConflictNothing | Form::OnConflictUpdate => refused(),
        Form::Merge if !sees(old) => Ok(0),
        Form::Merge if !modifies => refused(),
        _ if !modifies => Ok(0),
        _ if may => Ok(1),
        _ => refused(),
    };
    same(&sql, attempt(client, &sql, counts)?, expected.clone())?;

    match expected {
        Ok(0) if !matches!(form, Form::OnConflictNothing) => {}
        outcome => counts.either(outcome.is_ok(), &format!("change by {form:?}")),
    }
    if let Some(agent) = who
        && modifies
        && !matches!(form, Form::OnConflictNothing | Form::OnConflictUpdate)
    {
        count_change(desk, agent, old, new, counts);
    }
    Ok(())
}

/// Each rule is counted where nothing else refuses.
fn count_change(desk: &HelpDesk, agent: Id, old: &Ticket, new: &Ticket, counts: &mut Counts) {
    let refusals = desk.refusals_of_update(agent, old, new);
    if refusals.is_empty() && !desk.view(agent, new) {
        counts.add("change out of sight");
    }
    for (rule, asked) in [
        ("department move", old.department != new.department),
        ("category move", old.category != new.category),
        ("unarchive", desk.archived(old) && !desk.archived(new)),
        ("spam", desk.spam(new) && !desk.spam(old)),
    ] {
        if !asked || refusals.iter().any(|other| *other != rule) {
            continue;
        }
        counts.either(refusals.is_empty(), rule);
        if rule == "spam" && desk.followed(agent, old) {
            counts.either(refusals.is_empty(), "spam followed");
        }
        if rule == "spam" && old.id != new.id {
            counts.either(refusals.is_empty(), "spam with another id");
        }
    }
}

fn change_all(
    client: &mut Client,
    desk: &HelpDesk,
    who: Option<Id>,
    change: &TicketChange,
    form: MassForm,
    counts: &mut Counts,
) -> Outcome {
    let (table, id) = (desk.table.sql(), ident(desk.table.id.name));
    let every = values(desk);
    let set = desk.table.set_sql(&change.parts, &change.new);
    let update = format!("UPDATE {table} SET {set}");
    let sql = match form {
        MassForm::Update => update,
        MassForm::From => format!("{update} FROM {every} WHERE {id} = n"),
        MassForm::With => format!("WITH w AS ({update} RETURNING *) SELECT FROM w"),
        MassForm::Merge => {
            format!(
                "MERGE INTO {table} USING {every} ON {id} = n WHEN MATCHED THEN UPDATE SET {set}"
            )
        }
    };
    // MERGE fails where it finds a row that it may not change; an UPDATE leaves it as it is.
    let finds = match form {
        MassForm::Merge => "view",
        _ => "modify",
    };
    let found = |ticket: &&Ticket| who.is_some_and(|agent| desk.act(agent, ticket, finds));
    let found: Vec<&Ticket> = desk.tickets.iter().filter(found).collect();
    let may = |old: &&Ticket| {
        who.is_some_and(|agent| desk.may_update(agent, old, &change.applied_to(old)))
    };
    let expected = if found.iter().all(may) {
        Ok(found.len() as u64)
    } else {
        refused()
    };
    same(&sql, attempt(client, &sql, counts)?, expected.clone())?;
    if !found.is_empty() {
        counts.either(expected.is_ok(), &format!("changes by {form:?}"));
    }
    Ok(())
}

fn follows(client: &mut Client, case: &Case, who: Option<Id>, counts: &mut Counts) -> Outcome {
    let desk = &case.desk;
    let (Some(columns), Some(table)) = (&desk.table.follower, desk.table.follower_sql()) else {
        return Ok(());
    };
    let (on, by) = (ident(columns.ticket.name), ident(columns.agent.name));
    let changes = |row: Follower| who.is_some_and(|agent| desk.changes_follower(agent, row));
    let whom = |row: Follower| match desk.follower(row) {
        Some(agent) if who == Some(agent) => "oneself",
        Some(_) => "another",
        None => "nobody",
    };
    let values = |ticket: Id, agent: Id| {
        let (ticket_kind, agent_kind) = (columns.ticket.kind, columns.agent.kind);
        (ticket_kind.literal(ticket), agent_kind.literal(agent))
    };

    for &(ticket, agent) in &case.follows {
        let row = (Some(ticket), Some(agent));
        let (ticket, agent) = values(ticket, agent);
        let sql = format!("INSERT INTO {table} ({on}, {by}) VALUES ({ticket}, {agent})");
        let expected = if changes(row) { Ok(1) } else { refused() };
        same(&sql, attempt(client, &sql, counts)?, expected)?;
        counts.either(changes(row), &format!("follow {}", whom(row)));
    }

    let removable = desk.followers.iter().filter(|row| changes(**row)).count() as u64;
    let any = columns.ticket.kind.any_sql(&on);
    let first = columns.agent.kind.literal(1);
    for filter in [String::new(), format!(" WHERE {any}")] {
        let sql = format!("DELETE FROM {table}{filter}");
        same(&sql, attempt(client, &sql, counts)?, Ok(removable))?;
        let sql = format!("UPDATE {table} SET {by} = {first}{filter}");
        same(&sql, attempt(client, &sql, counts)?, Ok(0))?;
    }
    for &row in &desk.followers {
        if let (Some(ticket), Some(agent)) = row {
            let (ticket, agent) = values(ticket, agent);
            let sql = format!("DELETE FROM {table} WHERE {on} = {ticket} AND {by} = {agent}");
            let equal = desk.followers.iter().filter(|other| **other == row).count() as u64;
            let expected = if changes(row) { equal } else { 0 };
            same(&sql, attempt(client, &sql, counts)?, Ok(expected))?;
            counts.either(changes(row), &format!("unfollow {}", whom(row)));
        }
    }
    Ok(())
}

/// Only some may ask about others; everybody may ask about itself.
fn audits(client: &mut Client, desk: &HelpDesk, who: Option<Id>, counts: &mut Counts) -> Outcome {
    let table = desk.table.argument();
    let audits = who.is_some_and(|agent| desk.has(agent, "permission.audit"));
    let ticket = desk.tickets.first().map_or(NO_TICKET, |ticket| ticket.id);
    let kind = desk.table.id.kind;
    let (id, plain) = (kind.literal(ticket), literal(&kind.text(ticket)));
    let visible = match kind.is_integer() {
        true => "visible_tickets",
        false => "visible_ticket_keys",
    };
    let questions = |agent: Id| {
        [
            format!("SELECT deskguard.agent_can_view({agent}, {id}, {table})"),
            format!("SELECT deskguard.agent_can({agent}, 'reply', {plain}, {table})"),
            format!("SELECT deskguard.explain_access({agent}, {id}, 'view', {table})"),
            format!("SELECT count(*) FROM deskguard.{visible}({agent}, {table})"),
            format!("SELECT deskguard.agent_has_permission({agent}, 'ticket.use')"),
            format!("SELECT count(*) FROM deskguard.effective_permissions({agent})"),
        ]
    };
    let others = desk
        .agents
        .iter()
        .map(|agent| agent.id)
        .filter(|&id| Some(id) != who);
    for other in others.take(2) {
        for sql in questions(other) {
            let expected = if audits { Ok(1) } else { refused() };
            same(&sql, attempt(client, &sql, counts)?, expected)?;
            counts.either(audits, "audit");
        }
    }
    let sql = format!("SELECT count(*) FROM deskguard.agents_who_can('view', {id}, {table})");
    let expected = if audits { Ok(1) } else { refused() };
    same(&sql, attempt(client, &sql, counts)?, expected)?;

    if let Some(agent) = desk
        .agents
        .iter()
        .find(|agent| Some(agent.id) == who && agent.active)
    {
        for sql in questions(agent.id) {
            same(&sql, attempt(client, &sql, counts)?, Ok(1))?;
        }
        let seen = desk
            .ticket(ticket)
            .is_some_and(|ticket| desk.view(agent.id, ticket));
        let sql = &questions(agent.id)[0];
        same(sql, query(client, sql, &[])?[0].get(0), seen)?;
        if !audits {
            tells_little(client, desk, agent.id, counts)?;
        }
    }
    Ok(())
}

/// Of a ticket that it may not see an agent learns the first rule that failed, and of the ticket no more
/// than the category or department that this rule asked about.
fn tells_little(client: &mut Client, desk: &HelpDesk, agent: Id, counts: &mut Counts) -> Outcome {
    let table = desk.table.argument();
    let sql = format!(
        "SELECT id, deskguard.explain_access({agent}, {}, 'modify', {table}) FROM unnest($1::text[]) AS id",
        id_form(desk.table.id.kind, agent)
    );
    for row in query(client, &sql, &[&asked_ids(desk)])? {
        let Some(ticket) = desk.ticket(id_of(desk, &row)) else {
            continue;
        };
        if desk.view(agent, ticket) {
            continue;
        }
        let explained: Value = row.get(1);
        let rules = explained["rules"].as_array().cloned().unwrap_or_default();
        let told: BTreeSet<&str> = rules
            .iter()
            .filter_map(Value::as_object)
            .flat_map(|rule| rule.keys().map(String::as_str))
            .filter(|key| !["rule", "passed", "granted_by", "expired", "to_come"].contains(key))
            .collect();
        let told: Vec<&str> = told.into_iter().collect();
        let may_be = match rules.first().map(|rule| &rule["rule"]) {
            Some(Value::String(rule)) if rule == "silo" => vec!["category", "category_access"],
            Some(Value::String(rule)) if rule == "department" => vec!["department", "level"],
            // ticket.use says nothing of the ticket; others are not named.
            _ if rules[0]["permission"] == "ticket.use" => vec!["permission"],
            _ => vec![],
        };
        let what = format!(
            "what agent {agent} learns of ticket {}: {explained}",
            ticket.id
        );
        same(&what, (rules.len(), told), (1, may_be))?;
        counts.add("told little");
    }
    Ok(())
}

// ---- counting the pairs ----

fn count(desk: &HelpDesk, counts: &mut Counts) {
    let mut everyone: Vec<Option<Id>> = desk.agents.iter().map(|agent| Some(agent.id)).collect();
    everyone.extend([Some(DANGLING), None]);
    for who in everyone {
        for ticket in &desk.tickets {
            let refusal = desk.refusal(who, ticket);
            counts.either(refusal.is_none(), "view");
            if let Some(reason) = refusal {
                counts.add(format!("refused by {reason:?}"));
            }
            let Some(agent) = who.filter(|&id| id != DANGLING) else {
                continue;
            };
            let concerns = desk.own(agent, ticket) || desk.followed(agent, ticket);
            if desk.confidential(ticket)
                && !concerns
                && (refusal.is_none() || refusal == Some(Refusal::Confidential))
            {
                let perhaps = if ticket.confidential.is_none() {
                    "perhaps "
                } else {
                    ""
                };
                counts.either(refusal.is_none(), &format!("view {perhaps}confidential"));
            }
            for relation in RELATIONS {
                if !desk.holds(relation, agent, ticket) {
                    continue;
                }
                counts.either(refusal.is_none(), &format!("view {}", relation.name()));
                if refusal.is_none() {
                    for action in &ACTIONS[1..] {
                        let name = format!("{action} {}", relation.name());
                        counts.either(desk.act(agent, ticket, action), &name);
                    }
                }
            }
            for (principal, ..) in desk.unmapped(ticket) {
                counts.either(refusal.is_none(), &format!("view unmapped {principal:?}"));
            }
            if desk.has_no_key(agent) {
                counts.either(refusal.is_none(), "view without a key");
            }
            if let Some(form) = desk.table.id.kind.form() {
                counts.either(refusal.is_none(), &format!("view by {form:?}"));
            }
            if refusal.is_none() {
                count_reasons(desk, agent, ticket, counts);
            }
        }
    }
}

fn count_reasons(desk: &HelpDesk, agent: Id, ticket: &Ticket, counts: &mut Counts) {
    if desk.table.category.is_some() {
        if desk.open(agent) {
            counts.add("seen by openness");
        } else if let Some(category) = desk.category(ticket) {
            for granter in desk.category_granters(agent, category) {
                counts.add(match granter {
                    Granter::Agent(_) => "seen by an agent's category",
                    _ => "seen by a group's category",
                });
            }
        }
    }
    if desk.table.department.is_none() || desk.own(agent, ticket) || desk.followed(agent, ticket) {
        return;
    }
    if desk.all_departments(agent) {
        counts.add("seen by all departments");
    } else if let Some(department) = desk.department(ticket) {
        for (_, through) in desk.department_granters(agent, department, Level::Full) {
            counts.add(if through == department {
                "seen by the department itself"
            } else {
                "seen by an ancestor"
            });
        }
    }
}
