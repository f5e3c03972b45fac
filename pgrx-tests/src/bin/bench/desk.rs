//! The help desk that is measured: its agents, what they may see, and the SQL that loads it.

use std::fmt::Write as _;

use crate::keys::Keys;

pub const CATEGORIES: i32 = 200;
pub const DEPARTMENTS: i32 = 40;
/// The first ones are at the top; each has four below it.
const TOP_DEPARTMENTS: i32 = 8;
pub const TEAMS: i32 = 30;

/// The columns are in this order in all tables.
pub const COLUMNS: &str =
    "id, subject, status, department_id, category_id, assignee_id, team_id, created_at, updated_at";
const FIRST_DAY: &str = "timestamptz '2024-01-01 00:00:00+00'";
const DAYS: i32 = 730;
/// A week in the middle.
pub const WEEK: &str =
    "created_at >= '2025-01-06 00:00:00+00' AND created_at < '2025-01-13 00:00:00+00'";

pub struct Agent {
    pub id: i64,
    pub name: String,
    /// None: open, with tickets of every category.
    pub categories: Option<Vec<i32>>,
    /// Those granted with level full; None: all.
    pub departments: Option<Vec<i32>>,
    /// Does it view tickets of its departments that are assigned to others, or only unassigned ones?
    pub views_assigned: bool,
    pub teams: Vec<i32>,
    /// Does the last of its categories end, in a year?
    pub temporary: bool,
}

/// How many agents are compared.
pub const COMPARED: usize = 6;

fn compared() -> [Agent; COMPARED] {
    let agent = |id, name: &str, categories| Agent {
        id,
        name: name.into(),
        categories,
        departments: None,
        views_assigned: true,
        teams: vec![],
        temporary: false,
    };
    let medium = |id, name: &str| Agent {
        departments: Some(vec![2, 3]),
        teams: vec![3, 8],
        ..agent(id, name, Some((1..=20).map(|n| n * 5).collect()))
    };
    [
        agent(1, "narrow", Some(vec![190, 199])),
        medium(2, "medium"),
        Agent {
            teams: vec![5],
            ..agent(
                3,
                "wide",
                Some((1..=CATEGORIES).filter(|n| n % 4 != 0).collect()),
            )
        },
        // Sees what waits in its department, and what it or its team works on.
        Agent {
            departments: Some(vec![4]),
            views_assigned: false,
            teams: vec![12],
            ..agent(4, "trainee", None)
        },
        agent(5, "all", None),
        Agent {
            temporary: true,
            ..medium(6, "temporary")
        },
    ]
}

/// The first agents are the ones that are compared, the others make up the numbers.
pub fn agents(count: i64) -> Vec<Agent> {
    let mut agents = Vec::from(compared());
    let mut random = Random(42);
    for id in agents.len() as i64 + 1..=count {
        let siloed = random.below(5) > 0;
        let somewhere = random.below(5) > 0;
        let categories = 1 + random.below(60);
        let departments = 1 + random.below(3);
        let teams = 1 + random.below(3);
        agents.push(Agent {
            id,
            name: format!("agent {id}"),
            categories: siloed.then(|| random.some_of(CATEGORIES, categories)),
            departments: somewhere.then(|| random.some_of(DEPARTMENTS, departments)),
            views_assigned: random.below(10) < 7,
            teams: random.some_of(TEAMS, teams),
            temporary: false,
        });
    }
    agents
}

/// Always the same numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: i32) -> i32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % limit as u64) as i32
    }

    fn some_of(&mut self, limit: i32, count: i32) -> Vec<i32> {
        let mut chosen: Vec<i32> = (0..count).map(|_| 1 + self.below(limit)).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }
}

impl Agent {
    /// The departments whose tickets it sees: those granted and the ones below.
    pub fn all_departments(&self) -> Option<Vec<i32>> {
        self.departments.as_ref().map(|granted| {
            (1..=DEPARTMENTS)
                .filter(|d| granted.contains(d) || granted.contains(&above(*d)))
                .collect()
        })
    }

    pub fn seen_categories(&self) -> Vec<i32> {
        self.categories
            .clone()
            .unwrap_or_else(|| (1..=CATEGORIES).collect())
    }

    pub fn seen_departments(&self) -> Vec<i32> {
        self.all_departments()
            .unwrap_or_else(|| (1..=DEPARTMENTS).collect())
    }

    /// Those that tickets may be created in: one of them.
    pub fn a_department(&self) -> i32 {
        self.departments.as_ref().map_or(1, |granted| granted[0])
    }

    pub fn a_category(&self) -> i32 {
        self.categories.as_ref().map_or(1, |granted| granted[0])
    }

    /// What an expert writes after WHERE for this agent; none if it sees everything.
    /// `followed`: that it follows the ticket, where that counts.
    pub fn literal(&self, keys: Keys, followed: Option<String>) -> Option<String> {
        let parts = [self.silo(keys), self.past_silo(keys, followed)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(" AND "))
    }

    pub fn past_silo(&self, keys: Keys, followed: Option<String>) -> Option<String> {
        let me = keys.of("agent", self.id);
        let mut own = vec![format!("assignee_id = {}", keys.quoted(&me))];
        own.extend(one_of(keys, "team", &self.teams));
        own.extend(followed);
        let nobodys = "assignee_id IS NULL AND team_id IS NULL";
        match (self.all_departments(), self.views_assigned) {
            (None, true) => None,
            (None, false) => Some(format!("({nobodys} OR {})", own.join(" OR "))),
            (Some(list), all) => {
                let inside = one_of(keys, "department", &list).unwrap_or_else(|| "false".into());
                let nobodys = if all {
                    String::new()
                } else {
                    format!(" AND {nobodys}")
                };
                Some(format!("({inside}{nobodys} OR {})", own.join(" OR ")))
            }
        }
    }

    /// The condition for tickets that it may create; none if it may create any.
    pub fn may_create(&self, keys: Keys) -> Option<String> {
        let parts = [self.silo(keys), self.inside(keys)];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(" AND "))
    }

    /// The condition for departments that it may assign tickets to.
    pub fn inside(&self, keys: Keys) -> Option<String> {
        let list = self.all_departments()?;
        Some(one_of(keys, "department", &list).unwrap_or_else(|| "false".into()))
    }

    pub fn silo(&self, keys: Keys) -> Option<String> {
        let list = self.categories.as_ref()?;
        Some(one_of(keys, "category", list).unwrap_or_else(|| "false".into()))
    }

    /// Do followed tickets add to what it sees?
    pub fn gains_by_following(&self) -> bool {
        self.departments.is_some() || !self.views_assigned
    }
}

pub fn above(department: i32) -> i32 {
    match department > TOP_DEPARTMENTS {
        true => (department - TOP_DEPARTMENTS - 1) / 4 + 1,
        false => 0,
    }
}

/// None if there is no value.
fn one_of(keys: Keys, kind: &str, values: &[i32]) -> Option<String> {
    let values: Vec<String> = values.iter().map(|value| keys.of(kind, *value)).collect();
    match values.as_slice() {
        [] => None,
        [one] => Some(format!("{kind}_id = {}", keys.quoted(one))),
        // IN (...) gives the same plan, but takes longer to parse.
        _ => Some(format!("{kind}_id = ANY ('{{{}}}')", values.join(","))),
    }
}

/// SQL for a number from 1 to `count`, where a few are frequent and most are rare. `random`: SQL for
/// a number from 0 to 1.
pub fn zipf(random: &str, count: i64, exponent: f64) -> String {
    let weights: Vec<f64> = (1..=count).map(|n| (n as f64).powf(-exponent)).collect();
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    let bounds: Vec<String> = weights[..weights.len() - 1]
        .iter()
        .map(|weight| {
            sum += weight / total;
            format!("{sum:.7}")
        })
        .collect();
    format!(
        "(1 + width_bucket({random}, '{{{}}}'::float8[]))",
        bounds.join(",")
    )
}

/// The tickets without any protection, in the schema plain.
pub fn tickets(tickets: i64, agents: i64) -> String {
    let department = zipf("c", DEPARTMENTS.into(), 0.8);
    let category = zipf("d", CATEGORIES.into(), 1.0);
    let assignee = zipf("e", agents, 0.5);
    let team = zipf("f", TEAMS.into(), 0.7);
    format!(
        "SET synchronize_seqscans = off;
         SELECT setseed(0.42);
         CREATE SCHEMA plain;
         CREATE TABLE plain.ticket (
             id bigint NOT NULL, subject text NOT NULL, status text NOT NULL,
             department_id integer, category_id integer, assignee_id bigint, team_id integer,
             created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL
         );
         INSERT INTO plain.ticket ({COLUMNS})
         SELECT n, 'Ticket ' || n || ': ' || left(md5(n::text), 24),
             (ARRAY['open', 'pending', 'solved', 'closed'])[1 + width_bucket(b, '{{0.2,0.3,0.5}}'::float8[])],
             {department} * 7 % ({DEPARTMENTS} + 1), {category},
             CASE WHEN a > 0.25 AND a < 0.9 THEN {assignee} END,
             CASE WHEN a > 0.5 THEN {team} END,
             {FIRST_DAY} + n * (interval '{DAYS} days' / {tickets}),
             {FIRST_DAY} + n * (interval '{DAYS} days' / {tickets}) + interval '20 days' * -ln(1 - g)
         FROM (
             SELECT n, random() AS a, random() AS b, random() AS c, random() AS d, random() AS e,
                 random() AS f, random() AS g
             FROM generate_series(1, {tickets}) AS n
         ) AS r;
         {};
         GRANT USAGE ON SCHEMA plain TO PUBLIC;
         GRANT SELECT, INSERT, UPDATE ON plain.ticket TO PUBLIC;",
        index("plain.ticket"),
    )
}

/// The tables around the tickets.
pub fn messages_and_followers(tickets: i64, agents: i64) -> String {
    format!(
        "CREATE TABLE plain.message (
             id bigint NOT NULL, ticket_id bigint NOT NULL, created_at timestamptz NOT NULL, body text NOT NULL
         );
         INSERT INTO plain.message (id, ticket_id, created_at, body)
         SELECT t.id * 2 + n, t.id, t.created_at + n * interval '1 hour', 'Message ' || md5((t.id * 2 + n)::text)
         FROM plain.ticket AS t CROSS JOIN generate_series(0, 1) AS n;
         {};
         CREATE TABLE plain.ticket_follower (ticket_id bigint NOT NULL, agent_id bigint NOT NULL);
         INSERT INTO plain.ticket_follower (ticket_id, agent_id)
         SELECT DISTINCT 1 + (random() * ({tickets} - 1))::bigint, agent
         FROM generate_series(1, {agents}) AS agent, generate_series(1, 200);
         {};
         GRANT SELECT ON plain.message, plain.ticket_follower TO PUBLIC;",
        index_messages("plain.message"),
        index_followers("plain.ticket_follower"),
    )
}

/// The same tickets with what is searched: a document, attributes, and a state of which one is rare.
pub fn searched(tickets: i64) -> String {
    format!(
        "CREATE EXTENSION pg_trgm;
         CREATE SCHEMA plain_search;
         CREATE TYPE plain_search.state AS ENUM ('open', 'pending', 'closed', 'merged');
         CREATE TABLE plain_search.ticket AS
         SELECT ticket.*, to_tsvector('simple', subject || ' word' || id * 7919 % ({tickets} / 40) || ' often' || id % 50) AS doc,
             jsonb_build_object('key', id * 7907 % ({tickets} / 40), 'source', 'mail') AS meta,
             (CASE WHEN id % 1000 = 1 THEN 'merged' ELSE 'closed' END)::plain_search.state AS state
         FROM plain.ticket ORDER BY ticket.id;
         {};
         {};
         ALTER TABLE plain_search.ticket ENABLE ROW LEVEL SECURITY;
         GRANT USAGE ON SCHEMA plain_search TO PUBLIC;
         GRANT SELECT ON plain_search.ticket TO PUBLIC;",
        index("plain_search.ticket"),
        search_indexes("plain_search.ticket"),
    )
}

/// The same tickets with the indexes of queues and dashboards.
pub fn queued() -> String {
    format!(
        "CREATE SCHEMA plain_queues;
         CREATE TABLE plain_queues.ticket AS SELECT * FROM plain.ticket ORDER BY id;
         {};
         {};
         ALTER TABLE plain_queues.ticket ENABLE ROW LEVEL SECURITY;
         GRANT USAGE ON SCHEMA plain_queues TO PUBLIC;
         GRANT SELECT ON plain_queues.ticket TO PUBLIC;",
        index("plain_queues.ticket"),
        queue_indexes("plain_queues.ticket"),
    )
}

/// For each column of the rules: its tickets in order, and those of a status.
pub fn queue_indexes(table: &str) -> String {
    let columns = ["department_id", "category_id", "assignee_id", "team_id"];
    let indexes = columns.map(|column| {
        format!(
            "CREATE INDEX ON {table} ({column}, updated_at, id);
             CREATE INDEX ON {table} ({column}, status, updated_at, id)"
        )
    });
    format!(
        "{}; CREATE INDEX ON {table} (status, updated_at, id)",
        indexes.join("; ")
    )
}

pub fn search_indexes(table: &str) -> String {
    format!(
        "CREATE INDEX ON {table} USING gin (doc);
         CREATE INDEX ON {table} USING gin (subject gin_trgm_ops);
         CREATE INDEX ON {table} USING gin (meta);
         CREATE INDEX ON {table} (state)"
    )
}

/// The same tickets and what is around them with other keys, in the same order.
pub fn with_keys(keys: Keys) -> String {
    let plain = keys.schema("plain");
    let column = |kind: &str| format!("{} AS {kind}_id", keys.sql(kind, &format!("{kind}_id")));
    let assignee = format!("{} AS assignee_id", keys.sql("agent", "assignee_id"));
    let id = |kind: &str| format!("{} AS id", keys.sql(kind, "id"));
    format!(
        "CREATE SCHEMA {plain};
         CREATE TABLE {plain}.ticket AS
         SELECT {}, subject, status, {}, {}, {assignee}, {}, created_at, updated_at
         FROM plain.ticket ORDER BY ticket.id;
         {};
         CREATE TABLE {plain}.message AS
         SELECT {}, {}, created_at, body FROM plain.message ORDER BY message.id;
         {};
         CREATE TABLE {plain}.ticket_follower AS
         SELECT {}, {} FROM plain.ticket_follower;
         {};
         GRANT USAGE ON SCHEMA {plain} TO PUBLIC;
         GRANT SELECT ON ALL TABLES IN SCHEMA {plain} TO PUBLIC;
         GRANT INSERT, UPDATE ON {plain}.ticket TO PUBLIC;",
        id("ticket"),
        column("department"),
        column("category"),
        column("team"),
        index(&format!("{plain}.ticket")),
        id("message"),
        column("ticket"),
        index_messages(&format!("{plain}.message")),
        column("ticket"),
        column("agent"),
        index_followers(&format!("{plain}.ticket_follower")),
    )
}

/// Tells deskguard these keys.
pub fn external_keys(keys: Keys) -> String {
    let updates = ["agent", "team", "department", "category"].map(|kind| {
        format!(
            "UPDATE deskguard.{kind} SET external_key = {}",
            keys.sql(kind, "id")
        )
    });
    updates.join(";")
}

/// A table with the same rows in the same order, and the same indexes.
pub fn copy(plain: &str, table: &str, condition: &str) -> String {
    format!(
        "CREATE TABLE {table} (LIKE {plain}.ticket);
         INSERT INTO {table} SELECT * FROM {plain}.ticket WHERE {condition} ORDER BY created_at;
         {};
         GRANT SELECT, INSERT, UPDATE ON {table} TO PUBLIC",
        index(table)
    )
}

pub fn copy_followers(plain: &str, table: &str) -> String {
    format!(
        "CREATE TABLE {table} (LIKE {plain}.ticket_follower);
         INSERT INTO {table} SELECT * FROM {plain}.ticket_follower;
         {};
         GRANT SELECT ON {table} TO PUBLIC",
        index_followers(table)
    )
}

/// The same messages, protected.
pub fn protect_messages(plain: &str, schema: &str) -> String {
    let table = format!("{schema}.message");
    format!(
        "CREATE TABLE {table} (LIKE {plain}.message);
         INSERT INTO {table} SELECT * FROM {plain}.message;
         {};
         ALTER TABLE {table} ADD FOREIGN KEY (ticket_id) REFERENCES {schema}.ticket;
         GRANT SELECT ON {table} TO PUBLIC;
         SELECT deskguard.protect_messages('{table}', '{schema}.ticket')",
        index_messages(&table),
    )
}

fn index(table: &str) -> String {
    let columns = [
        "department_id",
        "category_id",
        "assignee_id",
        "team_id",
        "created_at",
        "updated_at, id",
    ];
    let indexes: Vec<String> = columns
        .iter()
        .map(|columns| format!("CREATE INDEX ON {table} ({columns})"))
        .collect();
    format!(
        "ALTER TABLE {table} ADD PRIMARY KEY (id); {}",
        indexes.join("; ")
    )
}

fn index_messages(table: &str) -> String {
    format!("ALTER TABLE {table} ADD PRIMARY KEY (id); CREATE INDEX ON {table} (ticket_id)")
}

fn index_followers(table: &str) -> String {
    format!(
        "ALTER TABLE {table} ADD PRIMARY KEY (ticket_id, agent_id); \
         CREATE INDEX ON {table} (agent_id)"
    )
}

/// The mapping of the columns, as arguments of protect_tickets().
pub const MAPPING: &str = "department_column => 'department_id', category_column => 'category_id', \
     assignee_column => 'assignee_id', team_column => 'team_id'";

pub const VIEWS_ALL: i64 = 101;
const VIEWS_UNASSIGNED: i64 = 102;
const EVERYWHERE: i64 = 103;

/// Fills deskguard's tables.
pub fn permissions(agents: &[Agent]) -> String {
    let mut sql = format!(
        "INSERT INTO deskguard.category (id, name) SELECT n, 'Category ' || n FROM generate_series(1, {CATEGORIES}) AS n;
         INSERT INTO deskguard.department (id, name, parent_id)
         SELECT n, 'Department ' || n,
             CASE WHEN n > {TOP_DEPARTMENTS} THEN (n - {TOP_DEPARTMENTS} - 1) / 4 + 1 END
         FROM generate_series(1, {DEPARTMENTS}) AS n;
         INSERT INTO deskguard.team (id, name) SELECT n, 'Team ' || n FROM generate_series(1, {TEAMS}) AS n;
         INSERT INTO deskguard.permission_group (id, name, department_access)
         VALUES ({VIEWS_ALL}, 'Agents', 'granted'), ({VIEWS_UNASSIGNED}, 'Trainees', 'granted'),
             ({EVERYWHERE}, 'Everywhere', 'all');
         INSERT INTO deskguard.group_permission (group_id, permission)
         SELECT g, name FROM deskguard.permission, unnest(ARRAY[{VIEWS_ALL}, {VIEWS_UNASSIGNED}]) AS g
         WHERE name IN ('ticket.use', 'ticket.create', 'ticket.view.unassigned')
             OR name LIKE 'ticket.reply.%' OR name LIKE 'ticket.modify.%';
         INSERT INTO deskguard.group_permission (group_id, permission) VALUES ({VIEWS_ALL}, 'ticket.view.assigned');\n"
    );
    let mut rows: [Vec<String>; 5] = Default::default();
    for agent in agents {
        let id = agent.id;
        let access = agent.categories.as_ref().map_or("open", |_| "silo");
        rows[0].push(format!("({id}, '{}', '{access}')", agent.name));
        let mut groups = vec![if agent.views_assigned {
            VIEWS_ALL
        } else {
            VIEWS_UNASSIGNED
        }];
        if agent.departments.is_none() {
            groups.push(EVERYWHERE);
        }
        // Everything for everyone is the built-in group.
        if agent.categories.is_none() && agent.departments.is_none() && agent.views_assigned {
            groups = vec![1];
        }
        rows[1].extend(groups.iter().map(|group| format!("({group}, {id})")));
        rows[2].extend(agent.teams.iter().map(|team| format!("({team}, {id})")));
        let categories = agent.categories.iter().flatten();
        let last = agent.categories.as_ref().and_then(|all| all.last());
        rows[3].extend(categories.map(|category| {
            let ends = agent.temporary && Some(category) == last;
            let until = if ends {
                "now() + interval '1 year'"
            } else {
                "NULL"
            };
            format!("({id}, {category}, {until})")
        }));
        let departments = agent.departments.iter().flatten();
        rows[4].extend(departments.map(|department| format!("({id}, {department}, 'full')")));
    }
    let tables = [
        "agent (id, name, category_access)",
        "group_member (group_id, agent_id)",
        "team_member (team_id, agent_id)",
        "agent_category (agent_id, category_id, valid_until)",
        "agent_department (agent_id, department_id, level)",
    ];
    for (table, rows) in tables.iter().zip(&rows) {
        let _ = writeln!(
            sql,
            "INSERT INTO deskguard.{table} VALUES {};",
            rows.join(", ")
        );
    }
    sql
}
