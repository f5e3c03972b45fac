//! A connection of somebody to the help desk. Whatever it is told is searched for what its agent must not see.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use deskguard_tests::help_desk::Id;

use crate::changes;
use crate::desk::{self, Desk, Place};
use crate::watch::{Watch, canaries, count};
use crate::wire::{Address, Reply, Report, Wire};

/// What all sessions of one database share.
pub struct World {
    pub address: Address,
    pub database: String,
    pub desk: Desk,
    pub watch: Arc<Watch>,
    pub seed: u64,
    /// server_version_num
    pub version: u32,
    /// Functions of deskguard by name, in all their forms.
    pub functions: Vec<Function>,
}

/// A function as pg_proc has it.
#[derive(Clone, Debug)]
pub struct Function {
    /// With its schema.
    pub name: String,
    pub arguments: Vec<String>,
    pub returns: String,
    pub set: bool,
    /// Ordinary roles may call it.
    pub public: bool,
}

const OPTIONS: &str =
    "-c statement_timeout=1500ms -c lock_timeout=10s -c idle_in_transaction_session_timeout=0";

pub struct Session<'w> {
    pub world: &'w World,
    pub role: &'static str,
    /// The agent that the next statement acts for.
    pub agent: Option<Id>,
    wire: Wire,
    /// What was run since the last `start`, for the story of an alarm.
    history: Vec<String>,
    /// What part of the test runs, for the story.
    pub part: String,
    /// Canaries that the session typed itself, and those of agents that have changed rows: they may have handed them over.
    known: BTreeSet<Place>,
    lent: Vec<Option<Id>>,
    /// Nothing was changed since the start, so that the rules can be asked about the rows as they are.
    pub unchanged: bool,
    /// By name of the cursor or portal, for whom it was opened.
    pub cursors: BTreeMap<String, Option<Id>>,
}

/// Of how a statement is judged.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// For whom it runs, if not for the agent of the session.
    pub runs_for: Option<Option<Id>>,
    /// Others for whom parts of it may run.
    pub also_for: Vec<Option<Id>>,
    /// It may change rows.
    pub changes: bool,
    /// It is cancelled after so many microseconds.
    pub cancel: Option<u64>,
    /// A label for statistics of alarms.
    pub kind: Cow<'static, str>,
}

impl Terms {
    pub fn of(kind: impl Into<Cow<'static, str>>) -> Terms {
        Terms {
            kind: kind.into(),
            ..Terms::default()
        }
    }
}

/// By which protocol.
pub enum Way<'a> {
    Simple,
    Extended(&'a [Option<String>]),
    /// Bind only, under this name; fetch all of it.
    Bind(&'a str, &'a [Option<String>]),
    Fetch(&'a str, i32),
}

/// Connects as soon as the server lets one in: after a crash it recovers first.
pub fn connect(world: &World, role: &str) -> Wire {
    let start = Instant::now();
    loop {
        match Wire::connect(&world.address, role, &world.database, OPTIONS) {
            Ok(wire) => return wire,
            Err(error) if start.elapsed() > Duration::from_secs(90) => {
                panic!("no connection as {role}: {error}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

impl<'w> Session<'w> {
    pub fn new(world: &'w World, role: &'static str) -> Session<'w> {
        Session::over(world, role, connect(world, role))
    }

    /// On a connection that is there.
    pub fn over(world: &'w World, role: &'static str, wire: Wire) -> Session<'w> {
        Session {
            world,
            role,
            agent: agent_of(role),
            wire,
            history: Vec::new(),
            part: String::new(),
            known: BTreeSet::new(),
            lent: Vec::new(),
            unchanged: true,
            cursors: BTreeMap::new(),
        }
    }

    pub fn into_wire(self) -> Wire {
        self.wire
    }

    /// The beginning of a story: nothing of what was before counts.
    pub fn start(&mut self, part: String) {
        self.part = part;
        self.history.clear();
        self.forget();
        self.agent = agent_of(self.role);
    }

    /// What was typed and changed is gone with the transaction.
    pub fn forget(&mut self) {
        self.known.clear();
        self.lent.clear();
        self.unchanged = true;
        self.cursors.clear();
    }

    /// What an error takes back.
    pub fn state(&self) -> (bool, usize) {
        (self.unchanged, self.lent.len())
    }

    pub fn restore(&mut self, (unchanged, lent): (bool, usize)) {
        self.unchanged = unchanged;
        self.lent.truncate(lent);
    }

    pub fn in_transaction(&self) -> bool {
        self.wire.status != 'I'
    }

    pub fn failed_transaction(&self) -> bool {
        self.wire.status == 'E'
    }

    /// Runs without looking at it further than for what is an alarm in any statement.
    pub fn quick(&mut self, sql: &str) -> Reply {
        self.run(sql, Way::Simple, &Terms::of("other"))
    }

    pub fn query(&mut self, sql: &str, terms: &Terms) -> Reply {
        self.run(sql, Way::Simple, terms)
    }

    pub fn run(&mut self, sql: &str, way: Way, terms: &Terms) -> Reply {
        let desk = &self.world.desk;
        self.history.push(match &way {
            Way::Simple => sql.to_string(),
            Way::Extended(parameters) => format!("{sql} -- with {parameters:?}"),
            Way::Bind(portal, parameters) => format!("bind {portal}: {sql} -- with {parameters:?}"),
            Way::Fetch(portal, rows) => format!("execute {portal} for {rows} rows"),
        });
        canaries(desk, sql, &mut self.known);
        if let Way::Extended(parameters) | Way::Bind(_, parameters) = &way {
            for parameter in parameters.iter().flatten() {
                canaries(desk, parameter, &mut self.known);
            }
        }
        let cancelled = terms
            .cancel
            .map(|wait| self.wire.cancel_after(Duration::from_micros(wait)));
        let reply = match way {
            Way::Simple => self.wire.query(sql),
            Way::Extended(parameters) => self.wire.extended(sql, parameters),
            Way::Bind(portal, parameters) => self.wire.bind(portal, sql, parameters),
            Way::Fetch(portal, rows) => self.wire.fetch(portal, rows),
        };
        if let Some(cancelled) = cancelled {
            let _ = cancelled.join();
        }
        self.world.watch.note(&reply);
        self.judge(&reply, terms);
        if reply.lost {
            self.lost(&reply, terms);
        }
        reply
    }

    fn judge(&mut self, reply: &Reply, terms: &Terms) {
        let world = self.world;
        let mut viewers = vec![terms.runs_for.unwrap_or(self.agent)];
        viewers.extend(&terms.also_for);
        if terms.changes && !self.lent.contains(&self.agent) {
            self.lent.push(self.agent);
        }
        let lent = self.lent.iter().filter(|agent| !viewers.contains(agent));
        let lent: Vec<Option<Id>> = lent.copied().collect();
        viewers.extend(lent);
        let mut found = BTreeSet::new();
        for (place, text) in reply.texts() {
            found.clear();
            canaries(&world.desk, text, &mut found);
            let hidden = found.iter().find(|found| {
                !self.known.contains(found)
                    && !viewers
                        .iter()
                        .any(|viewer| world.desk.sees(*viewer, **found))
                    && !changes::is_told_of_gone(&world.desk, text, **found, &viewers)
            });
            if let Some(hidden) = hidden {
                let row = world.desk.row(*hidden);
                let table = world.desk.tables[hidden.table].name;
                let kind = format!("leak in {place} of {} ({table})", terms.kind);
                world.watch.alarm(&kind, || {
                    let seen: String = text.chars().take(600).collect();
                    self.story(&format!(
                        "{} of row {} of {table} is hidden, and was in: {seen}",
                        row.text, row.id
                    ))
                });
                break;
            }
        }
        for report in &reply.errors {
            self.judge_error(report, terms);
        }
        let mut changed = Vec::new();
        for notice in &reply.notices {
            if let Some(change) = notice.message().strip_prefix("changed|") {
                changed.push(change);
            } else if notice.message().contains("Please report") {
                let kind = format!("impossible: {}", notice.message());
                world.watch.alarm(&kind, || self.story(notice.message()));
            }
        }
        count(&world.watch.counts.changes, changed.len() as u64);
        // What was changed first is judged by the rules; what comes later rests on that.
        let judged = changes::read(&changed).and_then(|changes| {
            let judge = |change| changes::judge(&world.desk, change, self.unchanged, &viewers);
            changes.iter().try_for_each(judge)
        });
        if let Err(fault) = judged {
            let kind = format!("write by {}: {fault}", terms.kind);
            world.watch.alarm(&kind, || {
                self.story(&format!("{fault}: {}", changed.join("\n")))
            });
        }
        if terms.changes {
            self.unchanged = false;
        }
    }

    fn judge_error(&self, report: &Report, terms: &Terms) {
        let message = report.message();
        // pgaudit's own, also without deskguard: a command while a portal on a partitioned table is open.
        if message == "pgaudit stack is not empty" {
            return;
        }
        let internal = report.code().starts_with("XX") || message.contains("Please report");
        // Other sessions' crashes end this one with 57P02; what begins with 57P0 otherwise is not asked for.
        let ended = ["57P01", "57P04"].contains(&report.code());
        if internal || ended {
            let short: String = message
                .chars()
                .map(|c| if c.is_ascii_digit() { '0' } else { c })
                .take(80)
                .collect();
            let kind = format!("{} in {}: {short}", report.code(), terms.kind);
            self.world
                .watch
                .alarm(&kind, || self.story(&format!("{report:?}")));
        }
    }

    /// Connects again. It is an alarm if the server did not say that another session crashed.
    fn lost(&mut self, reply: &Reply, terms: &Terms) {
        let reports = reply.errors.iter().chain(&reply.notices);
        let bystander = reports.into_iter().any(|report| report.code() == "57P02");
        if !bystander && self.world.watch.is_first_lost() {
            let kind = format!("crash by {}", terms.kind);
            self.world
                .watch
                .alarm(&kind, || self.story("the connection was lost"));
        }
        self.wire = connect(self.world, self.role);
        self.forget();
        self.agent = agent_of(self.role);
    }

    /// What led to something, to be run again.
    pub fn story(&self, what: &str) -> String {
        let mut story = format!(
            "{what}\nseed {}, {}; as {} for agent {:?}",
            self.world.seed, self.part, self.role, self.agent
        );
        let history: Vec<&String> = self
            .history
            .iter()
            .filter(|sql| *sql != "RELEASE s")
            .collect();
        let first = history.len().saturating_sub(25);
        for (number, sql) in history.iter().enumerate().skip(first) {
            let length = if number + 1 == history.len() {
                4000
            } else {
                300
            };
            let shown: String = sql.chars().take(length).collect();
            let _ = write!(story, "\n    {shown};");
        }
        story
    }

    /// All canaries that it can see with plain queries are those that it should see, no more and no less.
    pub fn census(&mut self) {
        if self.in_transaction() {
            self.quick("ROLLBACK");
        }
        self.forget();
        let world = self.world;
        // On a busy machine it takes its time; one that is ended is an alarm.
        let mut sql = String::from("BEGIN; SET LOCAL statement_timeout = '60s'; ");
        if self.role == desk::APP {
            let agent = self.agent.map_or("''".into(), |agent| agent.to_string());
            let _ = write!(sql, "SET LOCAL deskguard.agent_id = {agent}; ");
        }
        for (place, table) in world.desk.tables.iter().enumerate() {
            let union = if place > 0 { " UNION ALL " } else { "" };
            let _ = write!(
                sql,
                "{union}SELECT {place}, string_agg({} || '/' || {}, ',') FROM {}",
                table.text, table.number, table.name
            );
        }
        sql += "; COMMIT";
        let agent = self.agent;
        let reply = self.run(&sql, Way::Simple, &Terms::of("census"));
        if reply.lost || ["57P02", "40001"].contains(&reply.code()) {
            return;
        }
        if let Some(error) = reply.error() {
            let code = error.code();
            self.world
                .watch
                .alarm(&format!("census fails with {code}"), || {
                    self.story(&format!("{error:?}"))
                });
            return;
        }
        count(&world.watch.counts.censuses, 1);
        for (place, table) in world.desk.tables.iter().enumerate() {
            let listed = reply.rows.get(place).and_then(|row| row[1].as_deref());
            let listed: BTreeSet<&str> = listed.unwrap_or_default().split(',').collect();
            let expected = (0..table.rows.len()).filter(|row| {
                world.desk.sees(
                    agent,
                    Place {
                        table: place,
                        row: *row,
                    },
                )
            });
            let missing: Vec<&str> = expected
                .map(|row| &table.rows[row])
                .filter(|row| !listed.contains(format!("{}/{}", row.text, row.number).as_str()))
                .map(|row| row.text.as_str())
                .collect();
            if !missing.is_empty() {
                let kind = format!("rows missing in {}", table.name);
                world.watch.alarm(&kind, || {
                    self.story(&format!("agent {agent:?} should see {missing:?}"))
                });
            }
        }
    }
}

/// The agent that a role is before anything is set.
pub fn agent_of(role: &str) -> Option<Id> {
    match role {
        desk::BOSS => Some(desk::BOSS_ID),
        desk::ANN => Some(desk::ANN_ID),
        desk::BOB => Some(desk::BOB_ID),
        desk::EVE => Some(desk::EVE_ID),
        _ => None,
    }
}
