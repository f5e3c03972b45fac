//! What an episode may do in a step, but for the plain statements.

use deskguard_tests::help_desk::Id;

use super::{Episode, changes};
use crate::desk::{AGENTS, APP, EVE, OTHER_NAMES};
use crate::generator::HELPERS;
use crate::session::{Terms, Way};

impl Episode<'_, '_> {
    pub(super) fn copy(&mut self) {
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

    pub(super) fn cursor(&mut self) {
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

    pub(super) fn prepared(&mut self) {
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
    pub(super) fn portal(&mut self) {
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
    pub(super) fn block(&mut self) {
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

    pub(super) fn share(&mut self) {
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
    pub(super) fn question(&mut self) {
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
    pub(super) fn own_table(&mut self) {
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
    pub(super) fn helper(&mut self) {
        let random = &mut self.generator.random;
        let helper = *random.pick(&HELPERS);
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
