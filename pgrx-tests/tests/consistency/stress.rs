//! Many sessions ask while others change rights all the time. Every answer must be right for one of
//! the states between the statement's start and its end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::env;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use deskguard_tests::help_desk::{
    Access, Agent, Column, Department, Group, HelpDesk, Id, KeyForm, Kind as Integer, Level,
    Partitioning, Scope, Ticket, TicketTable, Time, catalog,
};
use deskguard_tests::lab::{is_retry, run, simple_ids};
use deskguard_tests::server::{APP, Database, OWNER};
use postgres::{Client, Error, Statement};

use crate::desk::{Fold, roles_stay};

const AGENTS: i64 = 6;
const CATEGORIES: i64 = 6;
const DEPARTMENTS: i64 = 7;
const TEAMS: i64 = 2;
const TICKETS: i64 = 60;
const GROUPS: [&str; 3] = ["One", "Two", "Three"];
const PERMISSIONS: [&str; 3] = [
    "ticket.use",
    "ticket.view.unassigned",
    "ticket.view.assigned",
];

/// A small generator of random numbers (xorshift), so that a seed tells what was tried; what came of
/// it is up to the scheduler.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Random {
        // The state may not be zero.
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, limit: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 16) % limit as u64) as i64
    }

    /// From 1 to the limit.
    fn id(&mut self, limit: i64) -> i64 {
        1 + self.below(limit)
    }

    fn percent(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as i64) as usize]
    }

    fn maybe(&mut self, limit: i64) -> Option<i64> {
        self.percent(70).then(|| self.id(limit))
    }
}

fn help_desk(random: &mut Random) -> HelpDesk {
    let column = |name| Column {
        name,
        kind: Integer::Int8,
    };
    HelpDesk {
        default_category_access: Access::Silo,
        agents: (1..=AGENTS)
            .map(|id| Agent {
                id,
                active: true,
                db_role: None,
                category_access: None,
            })
            .collect(),
        teams: (1..=TEAMS).collect(),
        team_members: BTreeSet::new(),
        departments: (1..=DEPARTMENTS)
            .map(|id| Department {
                id,
                parent: (id > 3).then_some(id / 2),
            })
            .collect(),
        categories: (1..=CATEGORIES).collect(),
        external_keys: BTreeMap::new(),
        permissions: catalog(),
        groups: GROUPS
            .map(|name| Group {
                name,
                scope: Scope::Everywhere,
                category_access: Access::Silo,
                all_departments: false,
            })
            .into(),
        group_members: (1..=AGENTS)
            .map(|agent| (GROUPS[agent as usize % 3], agent))
            .collect(),
        group_permissions: GROUPS
            .iter()
            .flat_map(|group| PERMISSIONS.map(|permission| (*group, permission.to_string())))
            .collect(),
        agent_permissions: BTreeSet::new(),
        group_departments: [(("One", 1), Level::Full), (("Two", 2), Level::Full)].into(),
        agent_departments: (1..=AGENTS)
            .map(|agent| ((agent, 1 + agent % DEPARTMENTS), Level::Full))
            .collect(),
        group_categories: [("One", 1), ("Three", 2)].into(),
        agent_categories: (1..=AGENTS)
            .map(|agent| (agent, 1 + agent % CATEGORIES))
            .collect(),
        table: TicketTable {
            schema: "desk",
            name: "ticket",
            id: column("id"),
            department: Some(column("department_id")),
            category: Some(column("category_id")),
            assignee: Some(column("assignee_id")),
            team: Some(column("team_id")),
            requester: None,
            requester_team: None,
            confidential: None,
            status: None,
            status_type: "",
            follower: None,
            unassigned_value: None,
            agent_form: KeyForm::Words,
            partitioning: Partitioning::None,
            indexed: true,
            protected_by_owner: true,
            named_in_calls: true,
        },
        tickets: (1..=TICKETS)
            .map(|id| Ticket {
                id,
                department: random.maybe(DEPARTMENTS),
                category: random.maybe(CATEGORIES),
                assignee: random.maybe(AGENTS).filter(|_| id % 2 == 0),
                team: random.maybe(TEAMS).filter(|_| id % 5 == 0),
                ..Ticket::default()
            })
            .collect(),
        followers: vec![],
        times: vec![Time::Always],
    }
}

/// The ticket table a second time, in partitions, and a function.
const MORE: &str = "
CREATE TABLE desk.parts (LIKE desk.ticket) PARTITION BY LIST (category_id);
CREATE TABLE desk.parts_1 PARTITION OF desk.parts FOR VALUES IN (1, 2, 3);
CREATE TABLE desk.parts_2 PARTITION OF desk.parts FOR VALUES IN (4, 5);
CREATE TABLE desk.parts_3 PARTITION OF desk.parts DEFAULT;
INSERT INTO desk.parts SELECT * FROM desk.ticket;
CREATE FUNCTION desk.seen(after bigint) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN RETURN QUERY SELECT id FROM desk.ticket WHERE id > after; END $$;
CREATE FUNCTION desk.parts_seen(after bigint) RETURNS SETOF bigint LANGUAGE sql VOLATILE AS
'SELECT id FROM desk.parts WHERE id > after';
CREATE VIEW desk.seen_view AS SELECT id FROM desk.ticket;
SELECT deskguard.protect_tickets('desk.parts', department_column => 'department_id',
    category_column => 'category_id', assignee_column => 'assignee_id', team_column => 'team_id');";

type Tickets = Arc<Vec<i64>>;

/// All states that were ever committed. Commits come one after the other; the transactions do not.
struct History {
    states: Mutex<Vec<Arc<HelpDesk>>>,
    committing: Mutex<()>,
    /// The newest state whose COMMIT was sent, and the newest whose COMMIT has returned.
    sent: AtomicUsize,
    returned: AtomicUsize,
    /// What an agent sees in a state, as far as it was asked.
    seen: Mutex<HashMap<(usize, Id), Tickets>>,
}

impl History {
    fn state(&self, number: usize) -> Arc<HelpDesk> {
        self.states.lock().unwrap()[number].clone()
    }

    fn newest(&self) -> Arc<HelpDesk> {
        let states = self.states.lock().unwrap();
        states[states.len() - 1].clone()
    }

    fn visible(&self, number: usize, agent: Id) -> Tickets {
        if let Some(seen) = self.seen.lock().unwrap().get(&(number, agent)) {
            return seen.clone();
        }
        let desk = self.state(number);
        let tickets = desk.tickets.iter();
        let ids = tickets
            .filter(|ticket| desk.view(agent, ticket))
            .map(|ticket| ticket.id);
        let ids = Arc::new(ids.collect::<Vec<i64>>());
        self.seen
            .lock()
            .unwrap()
            .insert((number, agent), ids.clone());
        ids
    }
}

/// SQL that changes rights, and the help desk that it leads to.
struct Change {
    sql: String,
    desk: HelpDesk,
}

fn toggle<T: Ord>(set: &mut BTreeSet<T>, item: T) -> bool {
    set.remove(&item) || !set.insert(item)
}

fn quoted(access: Access) -> &'static str {
    match access {
        Access::Silo => "'silo'",
        Access::Open => "'open'",
    }
}

const LEVELS: [(Level, &str); 2] = [(Level::Assign, "'assign'"), (Level::Full, "'full'")];

impl Change {
    fn none(desk: &HelpDesk) -> Change {
        Change {
            sql: String::new(),
            desk: desk.clone(),
        }
    }

    fn row(&mut self, removed: bool, table: &str, columns: [&str; 2], values: [String; 2]) {
        let [a, b] = columns;
        let [x, y] = values;
        if removed {
            writeln!(
                self.sql,
                "DELETE FROM deskguard.{table} WHERE {a} = {x} AND {b} = {y};"
            )
        } else {
            writeln!(
                self.sql,
                "INSERT INTO deskguard.{table} ({a}, {b}) VALUES ({x}, {y});"
            )
        }
        .unwrap();
    }

    /// What agents have themselves: the first changer's.
    fn of_agents(&mut self, random: &mut Random) {
        let agent = random.id(AGENTS);
        match random.below(8) {
            0..=2 => {
                let category = random.id(CATEGORIES);
                let removed = toggle(&mut self.desk.agent_categories, (agent, category));
                let columns = ["agent_id", "category_id"];
                let values = [agent.to_string(), category.to_string()];
                self.row(removed, "agent_category", columns, values);
            }
            // Takes one category away and gives another, at once.
            3 => {
                let had: Vec<(Id, Id)> = self.desk.agent_categories.iter().copied().collect();
                for (agent, category) in had {
                    let next = 1 + category % CATEGORIES;
                    if toggle(&mut self.desk.agent_categories, (agent, next)) {
                        toggle(&mut self.desk.agent_categories, (agent, next));
                        continue;
                    }
                    self.desk.agent_categories.remove(&(agent, category));
                    writeln!(
                        self.sql,
                        "UPDATE deskguard.agent_category SET category_id = {next}
                         WHERE agent_id = {agent} AND category_id = {category};"
                    )
                    .unwrap();
                }
            }
            4 | 5 => {
                let department = random.id(DEPARTMENTS);
                let (level, word) = random.of(&LEVELS);
                let key = (agent, department);
                if self.desk.agent_departments.remove(&key).is_some() {
                    let columns = ["agent_id", "department_id"];
                    let values = [agent.to_string(), department.to_string()];
                    self.row(true, "agent_department", columns, values);
                } else {
                    self.desk.agent_departments.insert(key, level);
                    writeln!(
                        self.sql,
                        "INSERT INTO deskguard.agent_department (agent_id, department_id, level)
                         VALUES ({agent}, {department}, {word});"
                    )
                    .unwrap();
                }
            }
            6 => {
                let permission = random.of(&PERMISSIONS);
                let key = (agent, permission.to_string());
                let removed = toggle(&mut self.desk.agent_permissions, key);
                let columns = ["agent_id", "permission"];
                let values = [agent.to_string(), format!("'{permission}'")];
                self.row(removed, "agent_permission", columns, values);
            }
            _ => {
                let row = &mut self.desk.agents[agent as usize - 1];
                if random.percent(50) {
                    row.active = !row.active;
                } else {
                    row.category_access =
                        random.of(&[None, Some(Access::Silo), Some(Access::Open)]);
                }
                let (active, access) = (row.active, row.category_access.map_or("NULL", quoted));
                writeln!(
                    self.sql,
                    "UPDATE deskguard.agent SET active = {active}, category_access = {access}
                     WHERE id = {agent};"
                )
                .unwrap();
            }
        }
    }

    /// Groups, teams and departments: the second changer's.
    fn of_groups(&mut self, random: &mut Random) {
        let group = random.of(&GROUPS);
        let group_id =
            format!("(SELECT id FROM deskguard.permission_group WHERE name = '{group}')");
        let agent = random.id(AGENTS);
        match random.below(8) {
            0 | 1 => {
                let removed = toggle(&mut self.desk.group_members, (group, agent));
                let columns = ["group_id", "agent_id"];
                self.row(
                    removed,
                    "group_member",
                    columns,
                    [group_id, agent.to_string()],
                );
            }
            2 => {
                let removed = toggle(&mut self.desk.group_members, ("All Permissions", agent));
                let columns = ["group_id", "agent_id"];
                self.row(
                    removed,
                    "group_member",
                    columns,
                    ["1".into(), agent.to_string()],
                );
            }
            3 => {
                let category = random.id(CATEGORIES);
                let removed = toggle(&mut self.desk.group_categories, (group, category));
                let columns = ["group_id", "category_id"];
                self.row(
                    removed,
                    "group_category",
                    columns,
                    [group_id, category.to_string()],
                );
            }
            4 => {
                let permission = random.of(&PERMISSIONS);
                let key = (group, permission.to_string());
                let removed = toggle(&mut self.desk.group_permissions, key);
                let columns = ["group_id", "permission"];
                self.row(
                    removed,
                    "group_permission",
                    columns,
                    [group_id, format!("'{permission}'")],
                );
            }
            5 => {
                let team = random.id(TEAMS);
                let removed = toggle(&mut self.desk.team_members, (team, agent));
                let columns = ["team_id", "agent_id"];
                self.row(
                    removed,
                    "team_member",
                    columns,
                    [team.to_string(), agent.to_string()],
                );
            }
            6 => {
                let row = self
                    .desk
                    .groups
                    .iter_mut()
                    .find(|row| row.name == group)
                    .unwrap();
                row.category_access = random.of(&[Access::Silo, Access::Silo, Access::Open]);
                row.all_departments = random.percent(30);
                let departments = if row.all_departments {
                    "all"
                } else {
                    "granted"
                };
                writeln!(
                    self.sql,
                    "UPDATE deskguard.permission_group SET category_access = {},
                     department_access = '{departments}' WHERE name = '{group}';",
                    quoted(row.category_access)
                )
                .unwrap();
            }
            _ => {
                // Below a smaller id only, so that there is no cycle.
                let department = 1 + random.id(DEPARTMENTS - 1);
                let parent = random.maybe(department - 1);
                self.desk.departments[department as usize - 1].parent = parent;
                let parent = parent.map_or("NULL".into(), |id| id.to_string());
                writeln!(
                    self.sql,
                    "UPDATE deskguard.department SET parent_id = {parent} WHERE id = {department};"
                )
                .unwrap();
            }
        }
    }
}

fn seconds() -> u64 {
    env::var("DESKGUARD_STRESS_SECONDS").map_or(10, |text| {
        text.parse()
            .expect("DESKGUARD_STRESS_SECONDS is a number of seconds")
    })
}

/// Changes rights, part of one kind only, so that the other changer's next commit stays right.
fn change_rights(
    database: &Database,
    history: &History,
    mut random: Random,
    of: fn(&mut Change, &mut Random),
    stop: &AtomicBool,
) -> usize {
    let mut client = database.superuser();
    let mut changes = 0;
    while !stop.load(Ordering::SeqCst) {
        // Nobody else changes what this one changes, but the rest may have become newer at commit.
        let mut steps: Vec<u64> = vec![];
        run(&mut client, "BEGIN");
        for _ in 0..random.id(3) {
            let seed = random.below(i64::MAX) as u64;
            let mut planned = Change::none(&history.newest());
            for step in &steps {
                of(&mut planned, &mut Random::new(*step));
            }
            planned.sql.clear();
            of(&mut planned, &mut Random::new(seed));
            if random.percent(25) {
                run(
                    &mut client,
                    &format!("SAVEPOINT s; {} ROLLBACK TO s", planned.sql),
                );
            } else {
                run(&mut client, &planned.sql);
                steps.push(seed);
            }
        }
        if random.percent(15) {
            run(&mut client, "ROLLBACK");
            continue;
        }
        let committing = history.committing.lock().unwrap();
        let mut change = Change::none(&history.newest());
        for step in steps {
            of(&mut change, &mut Random::new(step));
        }
        let number = {
            let mut states = history.states.lock().unwrap();
            states.push(Arc::new(change.desk));
            states.len() - 1
        };
        history.sent.store(number, Ordering::SeqCst);
        run(&mut client, "COMMIT");
        history.returned.store(number, Ordering::SeqCst);
        drop(committing);
        changes += 1;
        thread::sleep(Duration::from_micros(random.below(3000) as u64));
    }
    changes
}

/// What a session has found out.
#[derive(Default)]
struct Findings {
    statements: usize,
    /// How many had a change between their start and their end.
    overlapped: usize,
    retries: usize,
    retries_alone: usize,
    wrong: Vec<String>,
}

struct Session<'a> {
    history: &'a History,
    client: Client,
    /// The statements, prepared, by their text.
    prepared: HashMap<&'static str, Statement>,
    random: Random,
    name: String,
    agent: Id,
    findings: Findings,
}

const QUERIES: [&str; 8] = [
    "SELECT id FROM desk.ticket WHERE id > $1",
    "SELECT id FROM desk.ticket WHERE id > $1",
    "SELECT id FROM desk.parts WHERE id > $1",
    "SELECT id FROM desk.parts WHERE id > $1",
    "SELECT * FROM desk.seen($1)",
    "SELECT * FROM desk.parts_seen($1)",
    "SELECT id FROM desk.seen_view WHERE id > $1",
    "SELECT id FROM deskguard.current_agent() AS agent
     CROSS JOIN LATERAL deskguard.visible_tickets(agent, 'desk.ticket') AS id WHERE id > $1",
];

const UPDATE: &str =
    "UPDATE desk.ticket SET department_id = department_id WHERE id > $1 RETURNING id";

impl Session<'_> {
    fn ask(&mut self, sql: &'static str) -> Result<Vec<i64>, Error> {
        match self.random.below(3) {
            0 => simple_ids(&mut self.client, &sql.replace("$1", "0")),
            1 => {
                let rows = self.client.query(sql, &[&0i64])?;
                Ok(rows.iter().map(|row| row.get(0)).collect())
            }
            _ => {
                if !self.prepared.contains_key(sql) {
                    let statement = self.client.prepare(sql)?;
                    self.prepared.insert(sql, statement);
                }
                let rows = self.client.query(&self.prepared[sql], &[&0i64])?;
                Ok(rows.iter().map(|row| row.get(0)).collect())
            }
        }
    }

    /// Runs one statement and compares its rows with all states that may be right. False if the
    /// server wants a retry.
    fn check(&mut self, sql: &'static str, alone: bool) -> bool {
        let first = self.history.returned.load(Ordering::SeqCst);
        let answer = self.ask(sql);
        let last = self.history.sent.load(Ordering::SeqCst);
        let mut ids = match answer {
            Ok(ids) => ids,
            Err(error) if is_retry(&error) => {
                self.findings.retries += 1;
                self.findings.retries_alone += usize::from(alone);
                return false;
            }
            Err(error) => {
                self.findings
                    .wrong
                    .push(format!("{}: {sql}: {error:?}", self.name));
                return false;
            }
        };
        ids.sort_unstable();
        self.findings.statements += 1;
        self.findings.overlapped += usize::from(last > first);
        if !(first..=last).any(|state| *self.history.visible(state, self.agent) == ids) {
            let after = self.history.visible(last, self.agent);
            let before = (0..first)
                .rev()
                .find(|state| *self.history.visible(*state, self.agent) == ids);
            self.findings.wrong.push(format!(
                "{}, agent {}, alone {alone}: {sql}: {ids:?} is right in none of the states \
                 {first} to {last} (it was in {before:?}); in the last it would be {after:?}",
                self.name, self.agent
            ));
        }
        true
    }

    fn switch(&mut self, local: bool) {
        self.agent = self.random.id(AGENTS);
        let agent = self.agent;
        let sql = match (local, self.random.percent(50)) {
            (true, true) => format!("SET LOCAL deskguard.agent_id = {agent}"),
            (true, false) => format!("SELECT deskguard.set_agent({agent})"),
            (false, true) => format!("SET deskguard.agent_id = {agent}"),
            (false, false) => format!("SELECT deskguard.set_agent({agent}, false)"),
        };
        run(&mut self.client, &sql);
    }

    /// One statement by itself, or a transaction of a few.
    fn round(&mut self, queries: &[&'static str]) {
        let modes = ["auto", "force_generic_plan", "force_custom_plan"];
        let mode = self.random.of(&modes);
        run(&mut self.client, &format!("SET plan_cache_mode = {mode}"));
        if self.random.percent(40) {
            self.switch(false);
            for _ in 0..self.random.id(4) {
                let sql = self.random.of(queries);
                self.check(sql, true);
            }
            return;
        }
        let levels = ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"];
        let level = self.random.of(&levels);
        run(&mut self.client, &format!("BEGIN ISOLATION LEVEL {level}"));
        self.switch(true);
        for _ in 0..self.random.id(6) {
            let sql = self.random.of(queries);
            if !self.check(sql, false) {
                break;
            }
            if self.random.percent(20) {
                self.switch(true);
            }
        }
        run(&mut self.client, "ROLLBACK");
    }

    /// When rights no longer change, a single retry must do for each statement.
    fn settle(&mut self, queries: &[&'static str]) {
        for mode in ["force_generic_plan", "force_custom_plan"] {
            run(&mut self.client, &format!("SET plan_cache_mode = {mode}"));
            self.switch(false);
            for sql in queries {
                for _ in 0..10 {
                    if !self.check(sql, true) && !self.check(sql, true) {
                        self.findings
                            .wrong
                            .push(format!("{}: {sql}: retried for ever", self.name));
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn rows_are_right_while_rights_change() {
    let seed = env::var("DESKGUARD_STRESS_SEED").map_or_else(
        |_| {
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap()
                .subsec_nanos()
                .into()
        },
        |text| text.parse().expect("DESKGUARD_STRESS_SEED is a number"),
    );
    println!("DESKGUARD_STRESS_SEED={seed}");
    let _roles = roles_stay();
    let mut random = Random::new(seed);
    let desk = help_desk(&mut random);
    let database = Database::with_deskguard("stress");
    let mut superuser = database.superuser();
    run(
        &mut superuser,
        "CREATE SCHEMA desk; GRANT USAGE ON SCHEMA desk TO PUBLIC",
    );
    run(&mut superuser, &desk.load_sql());
    run(&mut superuser, &desk.table.protect_sql());
    run(&mut superuser, MORE);
    run(
        &mut superuser,
        &format!(
            "GRANT SELECT, UPDATE ON ALL TABLES IN SCHEMA desk TO {APP};
             GRANT SELECT ON desk.ticket TO {OWNER}; ALTER VIEW desk.seen_view OWNER TO {OWNER};
             -- So that whoever sees a ticket may update it.
             INSERT INTO deskguard.agent_permission (agent_id, permission)
             SELECT id, 'ticket.modify.' || relation FROM deskguard.agent,
                 unnest(ARRAY['own', 'followed', 'unassigned', 'assigned']) AS relation;
             ANALYZE"
        ),
    );
    let history = History {
        states: Mutex::new(vec![Arc::new(desk)]),
        committing: Mutex::new(()),
        sent: AtomicUsize::new(0),
        returned: AtomicUsize::new(0),
        seen: Mutex::default(),
    };

    let stop = AtomicBool::new(false);
    let changed = AtomicBool::new(false);
    let since = Instant::now();
    let (changes, findings) = thread::scope(|scope| {
        let changers: [fn(&mut Change, &mut Random); 2] = [Change::of_agents, Change::of_groups];
        let changers = changers.map(|of| {
            let random = Random::new(random.below(i64::MAX) as u64);
            let (database, history, stop) = (&database, &history, &stop);
            scope.spawn(move || change_rights(database, history, random, of, stop))
        });
        let folds = [
            Fold::On,
            Fold::On,
            Fold::On,
            Fold::On,
            Fold::Off,
            Fold::Off,
            Fold::Limit,
            Fold::Limit,
        ];
        let sessions: Vec<_> = folds
            .iter()
            .enumerate()
            .map(|(number, fold)| {
                let mut client = database.connect(APP);
                run(&mut client, &format!("SET {}", fold.setting()));
                let mut session = Session {
                    history: &history,
                    client,
                    prepared: HashMap::new(),
                    random: Random::new(random.below(i64::MAX) as u64),
                    name: format!("session {number}, fold {fold:?}"),
                    agent: 1,
                    findings: Findings::default(),
                };
                let mut queries = QUERIES.to_vec();
                // Two would have to wait for each other.
                if number == 0 {
                    queries.push(UPDATE);
                }
                let (stop, changed) = (&stop, &changed);
                scope.spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        session.round(&queries);
                    }
                    while !changed.load(Ordering::SeqCst) {
                        thread::sleep(Duration::from_millis(1));
                    }
                    session.settle(&queries);
                    session.findings
                })
            })
            .collect();
        thread::sleep(Duration::from_secs(seconds()));
        stop.store(true, Ordering::SeqCst);
        let changes: usize = changers.into_iter().map(|c| c.join().unwrap_or(0)).sum();
        changed.store(true, Ordering::SeqCst);
        let findings: Vec<Findings> = sessions.into_iter().map(|s| s.join().unwrap()).collect();
        (changes, findings)
    });

    let sum = |count: fn(&Findings) -> usize| findings.iter().map(count).sum::<usize>();
    println!(
        "{:.0} seconds: {} statements checked ({} with a change under way), {} retries \
         ({} outside of transactions), {changes} changes",
        since.elapsed().as_secs_f64(),
        sum(|f| f.statements),
        sum(|f| f.overlapped),
        sum(|f| f.retries),
        sum(|f| f.retries_alone),
    );
    let wrong: Vec<&String> = findings.iter().flat_map(|f| &f.wrong).collect();
    let some: Vec<String> = wrong.iter().take(20).map(ToString::to_string).collect();
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        some.join("\n")
    );
    assert!(changes > 0 && sum(|f| f.statements) > 0);
}
