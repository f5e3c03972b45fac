//! Random sessions: each episode is a transaction of one role with random settings, statements by all ways
//! that there are, changes of identity, cancels, and errors. Nothing is kept: it ends with a rollback.

use std::time::Instant;

use deskguard_tests::help_desk::Id;

use crate::desk::{AGENTS, ANN, ANN_ID, APP, BOB, BOB_ID, DUAL, EVE, NOBODY, OTHER_NAMES};
use crate::generator::Generator;
use crate::random::Random;
use crate::session::{Session, Terms, Way, World, agent_of};
use crate::twins;
use crate::wire::Reply;

/// When to stop.
#[derive(Clone, Copy)]
pub struct Limit {
    pub statements: u64,
    pub until: Option<Instant>,
    /// Also when there are so many alarms that begin like this.
    pub alarms: u64,
    pub like: &'static str,
}

impl Limit {
    pub fn reached(&self, world: &World, ran: u64) -> bool {
        ran >= self.statements
            || self.until.is_some_and(|until| Instant::now() > until)
            || world.watch.alarms_like(self.like) >= self.alarms
    }
}

const ROLES: [&str; 6] = [ANN, BOB, EVE, APP, DUAL, NOBODY];

/// Runs episodes, or one only.
pub fn run(world: &World, part: &str, limit: Limit, only: Option<u64>) {
    let mut sessions: Vec<Session> = ROLES.map(|role| Session::new(world, role)).into();
    let mut ran = 0;
    let mut number = only.unwrap_or(0);
    while !limit.reached(world, ran) {
        let mut random = Random::new(world.seed, part, number);
        let session = &mut sessions[random.weighted(&[20, 15, 20, 27, 12, 6])];
        session.start(format!("part {part}, episode {number}"));
        let generator = Generator::new(random, &world.desk, &world.functions, world.version);
        ran += Episode {
            session,
            generator,
            cancelled: false,
            ran: 0,
            names: 0,
            prepared: Vec::new(),
        }
        .run();
        if only.is_some() {
            break;
        }
        number += 1;
    }
}

struct Episode<'s, 'w> {
    session: &'s mut Session<'w>,
    generator: Generator<'w>,
    cancelled: bool,
    ran: u64,
    names: usize,
    /// Prepared statements: name and whether it changes rows.
    prepared: Vec<(String, bool)>,
}

impl Episode<'_, '_> {
    fn random(&mut self) -> &mut Random {
        &mut self.generator.random
    }

    fn run(mut self) -> u64 {
        let level = *self.random().pick(&[
            "READ COMMITTED",
            "READ COMMITTED",
            "REPEATABLE READ",
            "SERIALIZABLE",
        ]);
        self.quick(&format!("BEGIN ISOLATION LEVEL {level}"));
        self.switch();
        for _ in 0..self.generator.random.weighted(&[35, 35, 20, 10]) {
            let setting = self.generator.setting();
            self.quick(&setting);
        }
        if self.random().percent(4) {
            let wait = 1 + self.random().below(15);
            self.quick(&format!("SET LOCAL statement_timeout = {wait}"));
        }
        let steps = 2 + self.random().below(9);
        for _ in 0..steps {
            self.step();
            // Lost with a crash, or ended by a statement of its own.
            if !self.session.in_transaction() {
                break;
            }
        }
        // What is held for after the transaction is read there.
        let held: Vec<(String, Option<Id>)> = self
            .session
            .cursors
            .iter()
            .filter(|(name, _)| name.starts_with("hold"))
            .map(|(name, opened_for)| (name.clone(), *opened_for))
            .collect();
        if let (Some((name, runs_for)), true) = (held.first().cloned(), self.session.unchanged) {
            let fetch = format!("FETCH ALL FROM {name}");
            // The commit runs what is left of all of them, each for whom it was opened.
            let terms = Terms {
                also_for: held.iter().map(|(_, opened_for)| *opened_for).collect(),
                ..Terms::of("COMMIT")
            };
            self.ran += 1;
            self.session.query("COMMIT", &terms);
            let terms = Terms {
                runs_for: Some(runs_for),
                ..Terms::of("held cursor")
            };
            self.session.query(&fetch, &terms);
            self.quick(&format!("CLOSE {name}"));
        } else {
            self.quick("ROLLBACK");
        }
        if !self.prepared.is_empty() {
            self.quick("DEALLOCATE ALL");
        }
        self.session.forget();
        if self.cancelled || self.random().percent(4) {
            // For whom the transaction ended; with it what was set for it ended, too.
            if self.session.role == APP {
                let agent = *self.random().pick(&AGENTS);
                self.session.agent = Some(agent);
            } else if self.session.role == DUAL {
                self.session.agent = None;
            }
            self.session.census();
        }
        self.ran
    }

    fn quick(&mut self, sql: &str) -> Reply {
        self.ran += 1;
        self.session.quick(sql)
    }

    /// Runs a statement in a savepoint, so that an error does not end the episode.
    fn try_statement(&mut self, sql: &str, way: Way, mut terms: Terms) -> Reply {
        self.ran += 1;
        if self.generator.random.percent(3) {
            terms.cancel = Some(self.generator.random.below(3000) as u64);
        }
        let before = self.session.state();
        let reply = match way {
            Way::Simple => self.session.query(&format!("SAVEPOINT s; {sql}"), &terms),
            way => {
                self.session.quick("SAVEPOINT s");
                self.session.run(sql, way, &terms)
            }
        };
        if reply.code() == "57014" {
            self.cancelled = true;
        }
        if self.session.failed_transaction() {
            self.session.quick("ROLLBACK TO s");
            self.session.restore(before);
            self.find_agent();
        }
        if self.session.in_transaction() {
            self.session.quick("RELEASE s");
        }
        reply
    }

    /// After an error: a syntax error comes before its statement's own savepoint, and so takes back what was
    /// set since an older one. PostgreSQL is asked, and not deskguard, which is on trial.
    fn find_agent(&mut self) {
        if ![APP, DUAL].contains(&self.session.role) {
            return;
        }
        let ask = "SELECT current_setting('deskguard.agent_id', true), current_user";
        let reply = self.session.quick(ask);
        let Some([set, user]) = reply.rows.first().map(Vec::as_slice) else {
            self.session.quick("ROLLBACK");
            return;
        };
        self.session.agent = if self.session.role == APP {
            set.as_deref().and_then(|agent| agent.parse().ok())
        } else {
            agent_of(user.as_deref().unwrap_or_default())
        };
    }

    fn simple(&mut self, sql: &str, terms: Terms) -> Reply {
        self.try_statement(sql, Way::Simple, terms)
    }

    /// Parameters of the types int8, text and uuid.
    fn parameters(&mut self) -> Vec<Option<String>> {
        let desk = &self.session.world.desk;
        let random = &mut self.generator.random;
        let table = random.below(desk.tables.len());
        let row = random.below(desk.tables[table].rows.len());
        let row = &desk.tables[table].rows[row];
        vec![
            Some((1 + random.below(60)).to_string()),
            Some(row.text.clone()),
            random
                .percent(80)
                .then(|| format!("c0ffee00-0000-4000-0000-{:012x}", 1 + random.below(60))),
        ]
    }

    fn name(&mut self, start: &str) -> String {
        self.names += 1;
        format!("{start}{}", self.names)
    }

    /// Becomes somebody else, or tries to.
    fn switch(&mut self) {
        let random = &mut self.generator.random;
        match self.session.role {
            APP => {
                let agent = *random.pick(&AGENTS);
                let sql = match random.below(3) {
                    0 => format!("SELECT deskguard.set_agent({agent})"),
                    _ => format!("SET LOCAL deskguard.agent_id = {agent}"),
                };
                self.become_agent(&sql, Some(agent));
            }
            DUAL => {
                let (role, agent) =
                    *random.pick(&[(ANN, Some(ANN_ID)), (BOB, Some(BOB_ID)), ("none", None)]);
                self.become_agent(&format!("SET LOCAL ROLE {role}"), agent);
            }
            _ if random.percent(15) => {
                let sql = *random.pick(&[
                    "SET LOCAL deskguard.agent_id = 1",
                    "SELECT deskguard.set_agent(1)",
                    "SELECT deskguard.set_agent(1, false); RESET deskguard.agent_id",
                    "SET LOCAL ROLE deskguard_adversary_boss",
                    "SET SESSION AUTHORIZATION deskguard_adversary_boss",
                    "SET LOCAL session_replication_role = replica",
                ]);
                self.simple(sql, Terms::of("forgery"));
            }
            _ => {}
        }
    }

    fn become_agent(&mut self, sql: &str, agent: Option<Id>) {
        let terms = Terms {
            also_for: vec![agent],
            ..Terms::of("switch")
        };
        let reply = self.simple(sql, terms);
        if reply.error().is_none() && !reply.lost {
            self.session.agent = agent;
        }
    }

    fn step(&mut self) {
        match self
            .generator
            .random
            .weighted(&[30, 8, 7, 22, 4, 5, 5, 3, 5, 5, 3, 5, 4, 12, 5])
        {
            0 => {
                let query = self.generator.query();
                self.simple(&query, Terms::of("query"));
            }
            1 => {
                let query = self.generator.query_with_parameters();
                let parameters = self.parameters();
                self.try_statement(
                    &query,
                    Way::Extended(&parameters),
                    Terms::of("extended query"),
                );
            }
            2 => {
                let query = self.generator.query();
                let explain = self.generator.explain(&query);
                self.simple(&explain, Terms::of("EXPLAIN"));
            }
            3 => {
                let mut change = self.generator.change();
                if self.random().percent(8) {
                    change = self.generator.explain(&change);
                }
                self.simple(&change, changes("change"));
            }
            4 => self.copy(),
            5 => self.cursor(),
            6 => self.prepared(),
            7 => self.portal(),
            8 => self.block(),
            9 => self.switch(),
            10 => self.share(),
            11 => self.question(),
            12 => self.own_table(),
            13 => {
                self.ran += 2;
                twins::run(self.session, &mut self.generator);
            }
            _ => self.helper(),
        }
    }

    fn copy(&mut self) {
        let random = &mut self.generator.random;
        let desk = &self.session.world.desk;
        let sql = match random.below(4) {
            0 => {
                let table = random.below(desk.tables.len());
                format!("COPY {} TO STDOUT", desk.tables[table].name)
            }
            1 => format!("COPY {} TO STDOUT", random.pick(&OTHER_NAMES).0),
            2 => {
                let table = random.below(desk.tables.len());
                format!("COPY {} FROM STDIN", desk.tables[table].name)
            }
            _ => format!(
                "COPY ({}) TO STDOUT WITH (FORMAT csv)",
                self.generator.query()
            ),
        };
        self.simple(&sql, Terms::of("COPY"));
    }

    fn cursor(&mut self) {
        let hold = self.session.unchanged && self.random().percent(25);
        let name = self.name(if hold { "hold" } else { "c" });
        let query = self.generator.query();
        let scroll = *self.random().pick(&["", "SCROLL ", "NO SCROLL "]);
        let with = if hold { "WITH HOLD " } else { "" };
        let sql = format!("DECLARE {name} {scroll}CURSOR {with}FOR {query}");
        let declared = self.simple(&sql, Terms::of("cursor"));
        if declared.error().is_some() || declared.lost {
            return;
        }
        let opened_for = self.session.agent;
        self.session.cursors.insert(name.clone(), opened_for);
        for _ in 0..1 + self.generator.random.below(3) {
            if self.random().percent(50) {
                self.switch();
            }
            let fetch = *self.random().pick(&[
                "FETCH 3 FROM",
                "FETCH ALL FROM",
                "MOVE 2 IN",
                "FETCH BACKWARD 2 FROM",
                "FETCH FIRST FROM",
            ]);
            let terms = Terms {
                runs_for: Some(opened_for),
                also_for: self.nested(&query),
                ..Terms::of("FETCH")
            };
            self.simple(&format!("{fetch} {name}"), terms);
        }
    }

    /// Statements of functions within a statement run for who the session is then.
    fn nested(&self, sql: &str) -> Vec<Option<Id>> {
        let runs_others = ["lair.look", "desk.subject_of", "desk.ticket_of"];
        if runs_others.iter().any(|function| sql.contains(function)) {
            vec![self.session.agent]
        } else {
            Vec::new()
        }
    }

    fn prepared(&mut self) {
        if self.prepared.is_empty() || self.random().percent(30) {
            let name = self.name("p");
            let changes_rows = self.random().percent(25);
            let statement = if changes_rows {
                self.generator.change()
            } else {
                self.generator.query_with_parameters()
            };
            let types = if changes_rows {
                ""
            } else {
                "(bigint, text, uuid)"
            };
            let sql = format!("PREPARE {name}{types} AS {statement}");
            let reply = self.simple(&sql, Terms::of("PREPARE"));
            if reply.error().is_some() || reply.lost {
                return;
            }
            self.prepared.push((name, changes_rows));
        }
        let (name, changes_rows) = self.generator.random.pick(&self.prepared).clone();
        for _ in 0..1 + self.generator.random.below(7) {
            if self.random().percent(40) {
                self.switch();
            }
            let sql = if changes_rows {
                format!("EXECUTE {name}")
            } else {
                let parameters = self.parameters();
                let quoted = parameters.iter().map(|parameter| match parameter {
                    Some(value) => format!("'{value}'"),
                    None => "NULL".into(),
                });
                let quoted: Vec<String> = quoted.collect();
                format!("EXECUTE {name}({})", quoted.join(", "))
            };
            let terms = Terms {
                changes: changes_rows,
                ..Terms::of("EXECUTE")
            };
            if self.simple(&sql, terms).lost {
                return;
            }
        }
    }

    /// Bound for one agent, run when the session acts for another.
    fn portal(&mut self) {
        let name = self.name("portal");
        let query = self.generator.query_with_parameters();
        let parameters = self.parameters();
        let bound = self.try_statement(&query, Way::Bind(&name, &parameters), Terms::of("Bind"));
        if bound.error().is_some() || bound.lost {
            return;
        }
        let bound_for = self.session.agent;
        self.switch();
        for rows in [2, 0] {
            let terms = Terms {
                runs_for: Some(bound_for),
                also_for: self.nested(&query),
                ..Terms::of("portal")
            };
            if self.try_statement("", Way::Fetch(&name, rows), terms).lost {
                return;
            }
        }
    }

    /// PL/pgSQL that catches errors and tells them.
    fn block(&mut self) {
        let (first, second) = (self.generator.query(), self.generator.query());
        let call = self.generator.condition(1);
        let agent = *self.random().pick(&AGENTS);
        let body = match self.random().below(6) {
            0 => format!("FOR r IN {first} LOOP RAISE NOTICE '%', r; END LOOP;"),
            1 => format!(
                "BEGIN FOR r IN {first} LOOP PERFORM 1 / 0; END LOOP; \
                 EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL, \
                 c = PG_EXCEPTION_CONTEXT; RAISE NOTICE '% % %', m, d, c; END; \
                 FOR r IN {second} LOOP RAISE NOTICE '%', r; END LOOP;"
            ),
            2 => format!(
                "b := {call}; RAISE NOTICE '%', b; BEGIN PERFORM 1 / (id - id) FROM desk.tag; \
                 EXCEPTION WHEN division_by_zero THEN NULL; END; b := {call}; RAISE NOTICE '%', b;"
            ),
            3 => format!(
                "EXECUTE $q$SELECT string_agg(q::text, ' ') FROM ({first}) AS q$q$ INTO m; RAISE NOTICE '%', m;"
            ),
            4 => format!(
                "FOR r IN {first} LOOP RAISE NOTICE '%', r; PERFORM deskguard.set_agent({agent}); END LOOP; \
                 FOR r IN {second} LOOP RAISE NOTICE '%', r; END LOOP;"
            ),
            _ => format!(
                "OPEN k FOR {first}; FETCH k INTO r; RAISE NOTICE '%', r; \
                 BEGIN PERFORM 1 / 0; EXCEPTION WHEN OTHERS THEN NULL; END; \
                 FETCH k INTO r; RAISE NOTICE '%', r; CLOSE k; b := {call};"
            ),
        };
        let sets = body.contains("set_agent") && self.session.role == APP;
        let sql = format!(
            "DO $d$ DECLARE r record; b boolean; m text; d text; c text; k refcursor; BEGIN {body} END $d$"
        );
        let terms = Terms {
            also_for: if sets { vec![Some(agent)] } else { Vec::new() },
            ..Terms::of("DO")
        };
        let reply = self.simple(&sql, terms);
        if sets && reply.error().is_none() && !reply.lost {
            // Only if there was a row.
            self.resolve_agent();
        }
    }

    /// Who the session acts for now, by its own word.
    fn resolve_agent(&mut self) {
        let reply = self.session.quick("SELECT deskguard.current_agent()");
        self.session.agent = reply.value().and_then(|value| value.parse().ok());
    }

    fn share(&mut self) {
        let random = &mut self.generator.random;
        let function = *random.pick(&["share", "share", "unshare"]);
        let (table, object) = if random.percent(60) {
            ("desk.response", (1 + random.below(42)).to_string())
        } else {
            let of = 1 + random.below(42);
            (
                "keyed.filter",
                format!("'c0ffee00-0000-4000-0000-{of:012x}'::uuid"),
            )
        };
        let with = match random.below(3) {
            0 => format!("agent_id => {}", random.pick(&AGENTS)),
            1 => "everyone => true".into(),
            _ => format!("group_id => {}", 100 + random.below(4)),
        };
        let sql = format!("SELECT deskguard.{function}('{table}', {object}, {with})");
        self.simple(&sql, changes("share"));
    }

    /// Any function that gives something, also of other agents.
    fn question(&mut self) {
        let functions = &self.session.world.functions;
        let asked: Vec<_> = functions
            .iter()
            .filter(|function| {
                !["void", "trigger", "event_trigger", "internal"]
                    .contains(&function.returns.as_str())
            })
            .collect();
        let function = (*self.generator.random.pick(&asked)).clone();
        let call = self.generator.call_of(&function, 0);
        let sql = if self.random().percent(20) {
            let table = self.generator.regclass();
            let agent = *self.random().pick(&AGENTS);
            let id = self.generator.id();
            format!("SELECT deskguard.explain_access({agent}, {id}, 'view', {table})")
        } else {
            format!("SELECT * FROM {call} AS q")
        };
        self.simple(&sql, Terms::of("question"));
    }

    /// The attacker's own table, with code of its own in everything that a table can have.
    fn own_table(&mut self) {
        if self.session.role != EVE {
            return self.helper();
        }
        let query = self.generator.query();
        let condition = self.generator.condition(1);
        let agent = *self.random().pick(&AGENTS);
        let mut steps = vec![
            "CREATE TABLE lair.own (id bigint PRIMARY KEY, body text DEFAULT lair.look()::text, dept bigint)".to_string(),
        ];
        let choices = [
            "ALTER TABLE lair.own ADD CHECK (lair.spy(id))",
            "CREATE INDEX ON lair.own (id) WHERE lair.spy(1)",
            "CREATE INDEX ON lair.own ((lair.sure(body)))",
            "CREATE STATISTICS lair.own_statistics ON (lair.spy(id)), id FROM lair.own",
            "CREATE TRIGGER w BEFORE INSERT OR UPDATE ON lair.own FOR EACH ROW EXECUTE FUNCTION lair.watch()",
            "CREATE TRIGGER v AFTER INSERT ON lair.own FOR EACH ROW EXECUTE FUNCTION lair.watch()",
            "ALTER TABLE lair.own ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON lair.own USING (lair.look())",
            "ALTER TABLE lair.own ADD FOREIGN KEY (id) REFERENCES desk.tag",
        ];
        for _ in 0..1 + self.generator.random.below(3) {
            steps.push(self.random().pick(&choices).to_string());
        }
        if self.random().percent(50) {
            steps.push(
                "SELECT deskguard.protect_tickets('lair.own', department_column => 'dept')".into(),
            );
        }
        steps.push("SET LOCAL constraint_exclusion = on".into());
        steps.push(
            "INSERT INTO lair.own (id, body, dept) SELECT id, subject, dept FROM desk.ticket"
                .into(),
        );
        steps.push("ANALYZE lair.own".into());
        steps.push(format!("SELECT * FROM lair.own AS x1 WHERE {condition}"));
        steps.push(format!("SELECT * FROM lair.own, ({query}) AS q"));
        for question in [
            format!("SELECT * FROM deskguard.visible_tickets({agent}, 'lair.own')"),
            format!("SELECT deskguard.explain_access({agent}, 1, 'view', 'lair.own')"),
            "SELECT * FROM deskguard.agents_who_can('view', 1, 'lair.own')".into(),
        ] {
            if self.random().percent(40) {
                steps.push(question);
            }
        }
        self.quick("SAVEPOINT own");
        for sql in steps {
            let terms = if sql.starts_with("INSERT") {
                changes("own table")
            } else {
                Terms::of("own table")
            };
            if self.simple(&sql, terms).lost {
                return;
            }
        }
        if self.session.in_transaction() {
            self.quick("ROLLBACK TO own");
        }
    }

    /// An error that a function catches, in the middle of a statement.
    fn helper(&mut self) {
        let random = &mut self.generator.random;
        let helper = *random.pick(&[
            "desk.boss_tags()",
            "desk.boss_divides()",
            "desk.boss_plans()",
            "desk.boss_loops()",
            "desk.own_tags()",
            "desk.own_divides()",
            "desk.own_plans()",
        ]);
        let desk = &self.session.world.desk;
        let table = &desk.tables[random.below(desk.tables.len())];
        let (name, text) = (table.name, table.text);
        let sql = match random.below(5) {
            0 => format!(
                "SELECT x.{text} FROM (SELECT {helper} AS f OFFSET 0) AS f LEFT JOIN {name} AS x ON NOT f.f"
            ),
            1 => format!("SELECT {text}, {helper} FROM {name}"),
            2 => format!("SELECT {text} FROM {name} WHERE {helper} IS NOT NULL"),
            3 => format!(
                "SELECT f.f, t.{text} FROM (SELECT {helper} AS f OFFSET 0) AS f, LATERAL (SELECT * FROM {name} AS x WHERE NOT f.f) AS t"
            ),
            _ => format!(
                "DO $d$ DECLARE b boolean; t text; BEGIN b := {helper}; b := deskguard_internal.parent_seen('desk.message', 5::bigint); \
                 t := (SELECT string_agg({text}, ' ') FROM {name}); RAISE NOTICE '% %', b, t; END $d$"
            ),
        };
        self.simple(&sql, Terms::of("helper"));
    }
}

fn changes(kind: &'static str) -> Terms {
    Terms {
        changes: true,
        ..Terms::of(kind)
    }
}
