//! Random sessions: each episode is a transaction of one role with random settings, statements by all ways
//! that there are, changes of identity, cancels, and errors. Nothing is kept: it ends with a rollback. Between
//! them the rights turn, and what the rows say of themselves.

mod steps;

use std::time::Instant;

use deskguard_tests::help_desk::Id;

use crate::desk::{AGENTS, ANN, ANN_ID, APP, BOB, BOB_ID, DUAL, EVE, NOBODY};
use crate::generator::Generator;
use crate::random::Random;
use crate::session::{Session, Terms, Way, World, agent_of, connect};
use crate::twins;
use crate::wire::{Reply, Wire};
use crate::world::Place;

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
/// After so many episodes something turns.
const BETWEEN_TURNS: u64 = 8;

/// Runs episodes, or one only.
pub fn run(place: &mut Place, part: &str, limit: Limit, only: Option<u64>) {
    let mut wires: Vec<Wire> = ROLES.map(|role| connect(&place.world, role)).into();
    let (mut ran, mut number) = (0, 0);
    while !limit.reached(&place.world, ran) && only.is_none_or(|only| number <= only) {
        if number > 0 {
            let mut random = Random::new(place.world.seed, "turn", number);
            place.turn(&mut random);
        }
        let world = &place.world;
        let with_wires = ROLES.into_iter().zip(wires);
        let mut sessions: Vec<Session> = with_wires
            .map(|(role, wire)| Session::over(world, role, wire))
            .collect();
        let mut random = Random::new(world.seed, "census", number);
        let session = random.below(sessions.len());
        sessions[session].start(format!("part {part}, before episode {number}"));
        census(&mut sessions[session], &mut random);
        for number in number..number + BETWEEN_TURNS {
            if only.is_none_or(|only| number == only) && !limit.reached(world, ran) {
                ran += episode(world, &mut sessions, part, number);
            }
        }
        wires = sessions.into_iter().map(Session::into_wire).collect();
        number += BETWEEN_TURNS;
    }
}

/// Of what the role sees, or any agent that it may act for.
fn census(session: &mut Session, random: &mut Random) {
    if session.role == APP {
        session.agent = Some(*random.pick(&AGENTS));
    } else if session.role == DUAL {
        // What was set ended with the transaction.
        session.agent = None;
    }
    session.census();
}

fn episode<'w>(world: &'w World, sessions: &mut [Session<'w>], part: &str, number: u64) -> u64 {
    let mut random = Random::new(world.seed, part, number);
    let session = &mut sessions[random.weighted(&[20, 15, 20, 27, 12, 6])];
    session.start(format!("part {part}, episode {number}"));
    let generator = Generator::new(random, &world.desk, &world.functions, world.version);
    Episode {
        session,
        generator,
        cancelled: false,
        ran: 0,
        names: 0,
        prepared: Vec::new(),
    }
    .run()
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
            census(self.session, &mut self.generator.random);
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
}

fn changes(kind: &'static str) -> Terms {
    Terms {
        changes: true,
        ..Terms::of(kind)
    }
}
