//! A small help desk whose rights change, and the ways to talk to it.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;

use deskguard_tests::ident;
use deskguard_tests::lab::{is_retry, run, simple_ids, wait_until};
use deskguard_tests::server::{APP, Database, MAPPED, OWNER, STRANGER};
use postgres::{Client, Error, Statement};

/// Siloed in category 1, full on department 1; the role `MAPPED[0]`.
pub const ANN: i64 = 1;
/// Siloed in category 2, full on department 3.
pub const BOB: i64 = 2;
/// In All Permissions.
pub const MAX: i64 = 9;

pub const BY_ANN: &[i64] = &[1, 2, 10];
pub const BY_BOB: &[i64] = &[5, 9];
pub const ALL: &[i64] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
pub const NOTHING: &[i64] = &[];

const RIGHTS: &str = "
INSERT INTO deskguard.department (id, name, parent_id) VALUES
    (1, 'Support', NULL), (2, 'Support EU', 1), (3, 'Sales', NULL);
INSERT INTO deskguard.category (id, name) VALUES (1, 'Network'), (2, 'Printers');
INSERT INTO deskguard.agent (id, name) VALUES (1, 'Ann'), (2, 'Bob'), (9, 'Max');
UPDATE deskguard.agent SET db_role = 'deskguard_test_report' WHERE id = 1;
INSERT INTO deskguard.team (id, name) VALUES (1, 'Night shift');
INSERT INTO deskguard.permission_group (name, category_access, department_access) VALUES
    ('Desk', 'silo', 'granted'), ('Wide', 'open', 'all');
INSERT INTO deskguard.group_permission (group_id, permission)
    SELECT 100, unnest(ARRAY['ticket.use', 'ticket.create', 'ticket.view.unassigned',
        'ticket.modify.own', 'ticket.modify.followed', 'ticket.modify.unassigned',
        'ticket.modify.assigned']);
INSERT INTO deskguard.group_member (group_id, agent_id) VALUES (100, 1), (100, 2), (1, 9);
INSERT INTO deskguard.agent_permission (agent_id, permission) VALUES
    (1, 'ticket.view.assigned'), (2, 'ticket.view.assigned');
INSERT INTO deskguard.agent_department (agent_id, department_id, level) VALUES
    (1, 1, 'full'), (2, 3, 'full');
INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 1), (2, 2);";

/// The columns are named as in the layout.
const TICKETS: &str = "
(VALUES
    (1, 1, 1, NULL, NULL),
    (2, 2, 1, 9, NULL),
    (3, 3, 1, NULL, NULL),
    (4, 1, 2, NULL, NULL),
    (5, 3, 2, 1, NULL),
    (6, 1, NULL, NULL, NULL),
    (7, 3, 1, NULL, 1),
    (8, NULL, 1, NULL, NULL),
    (9, 3, 2, NULL, NULL),
    (10, 3, 1, 9, NULL)
) AS t (id, department, category, assignee, team)";

const FOLLOWER_ROWS: &str = "
INSERT INTO desk.follower (ticket_id, agent_id) VALUES (10, 1);
-- Of nobody, so that each ticket has one.
INSERT INTO desk.follower (ticket_id, agent_id) SELECT id, 77 FROM desk.ticket;";

/// How the tickets are stored.
struct Layout {
    create: &'static str,
    /// The columns of the table, from those of `TICKETS`.
    row: &'static str,
    /// What differs besides, before the table is protected.
    then: &'static str,
}

const NUMBERS: &str = "id, department, category, assignee, team";

const PLAIN: Layout = Layout {
    create: "
CREATE TABLE desk.ticket (id bigint PRIMARY KEY, department_id bigint, category_id bigint,
    assignee_id bigint, team_id bigint, subject text NOT NULL DEFAULT '') WITH (parallel_workers = 2);",
    row: NUMBERS,
    then: "",
};

/// Category 2 in a partition that is read last.
const PARTITIONED: Layout = Layout {
    create: "
CREATE TABLE desk.ticket (id bigint NOT NULL, department_id bigint, category_id bigint,
    assignee_id bigint, team_id bigint, subject text NOT NULL DEFAULT '') PARTITION BY LIST (category_id);
CREATE TABLE desk.ticket_network PARTITION OF desk.ticket FOR VALUES IN (1) WITH (parallel_workers = 2);
CREATE TABLE desk.ticket_printers PARTITION OF desk.ticket FOR VALUES IN (2) WITH (parallel_workers = 2);
CREATE TABLE desk.ticket_rest PARTITION OF desk.ticket DEFAULT WITH (parallel_workers = 2);",
    row: NUMBERS,
    then: "",
};

/// Columns with keys of other kinds than numbers. Ann has ticket 10 instead of following it, and is in
/// a team without tickets.
const KEYED: Layout = Layout {
    create: "
CREATE FUNCTION desk.key(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
'SELECT lpad(to_hex(n), 32, ''0'')::uuid';
CREATE TABLE desk.ticket (id bigint PRIMARY KEY, department_id uuid, category_id text,
    assignee_id uuid, team_id varchar(20), subject text NOT NULL DEFAULT '') WITH (parallel_workers = 2);",
    row: "id, desk.key(department), 'category ' || category, desk.key(assignee), 'team ' || team",
    then: "
UPDATE deskguard.agent SET external_key = desk.key(id);
UPDATE deskguard.department SET external_key = desk.key(id);
UPDATE deskguard.category SET external_key = 'category ' || id;
INSERT INTO deskguard.team (id, name) VALUES (2, 'Day shift');
INSERT INTO deskguard.team_member (team_id, agent_id) VALUES (2, 1);
UPDATE deskguard.team SET external_key = 'team ' || id;
UPDATE desk.ticket SET assignee_id = desk.key(1) WHERE id = 10;
DELETE FROM desk.follower WHERE agent_id = 1;",
};

pub const PROTECT: &str = "SELECT deskguard.protect_tickets('desk.ticket',
    department_column => 'department_id', category_column => 'category_id',
    assignee_column => 'assignee_id', team_column => 'team_id', follower_table => 'desk.follower')";

/// Ways to ask from within the server. `wait_*` hold their statement up where it is for as long as
/// another session holds the advisory lock.
const FUNCTIONS: &str = "
CREATE FUNCTION desk.by_plpgsql(after bigint) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN RETURN QUERY SELECT t.id FROM desk.ticket AS t WHERE t.id > after; END $$;
CREATE FUNCTION desk.by_definer(after bigint) RETURNS SETOF bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN RETURN QUERY SELECT t.id FROM desk.ticket AS t WHERE t.id > after; END $$;
CREATE FUNCTION desk.by_sql(after bigint) RETURNS SETOF bigint LANGUAGE sql STABLE AS
'SELECT t.id FROM desk.ticket AS t WHERE t.id > after';
CREATE FUNCTION desk.by_volatile_sql(after bigint) RETURNS SETOF bigint LANGUAGE sql VOLATILE AS
'SELECT t.id FROM desk.ticket AS t WHERE t.id > after';
CREATE FUNCTION desk.seen() RETURNS bigint[] LANGUAGE plpgsql AS $$
BEGIN RETURN ARRAY(SELECT t.id FROM desk.ticket AS t ORDER BY t.id); END $$;
CREATE VIEW desk.owners_view AS SELECT * FROM desk.ticket;
CREATE VIEW desk.invokers_view WITH (security_invoker) AS SELECT * FROM desk.ticket;
CREATE FUNCTION desk.wait() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_lock_shared(77);
    PERFORM pg_advisory_unlock_shared(77);
END $$;
CREATE FUNCTION desk.wait_at(id bigint, wanted bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF id = wanted THEN PERFORM desk.wait(); END IF;
    RETURN true;
END $$;
-- It lies, so as to be evaluated by the planner.
CREATE FUNCTION desk.wait_in_planner(value bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    PERFORM desk.wait();
    PERFORM deskguard.current_agent();
    RETURN value;
END $$;";

pub const SELECT: &str = "SELECT id FROM desk.ticket ORDER BY id";

/// Seen with the tickets.
pub const FOLLOWERS: &str =
    "SELECT ticket_id FROM desk.follower WHERE agent_id = 77 ORDER BY ticket_id";

pub const REVOKE_CATEGORY: &str = "DELETE FROM deskguard.agent_category WHERE agent_id = 1";
pub const GRANT_CATEGORY: &str =
    "INSERT INTO deskguard.agent_category (agent_id, category_id) VALUES (1, 1)";
/// Ann's tickets are then those of `AFTER_SWAP`.
pub const SWAP: &str = "UPDATE deskguard.agent_category SET category_id = 2 WHERE agent_id = 1";
pub const AFTER_SWAP: &[i64] = &[4, 5];

/// How the rules get into a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    On,
    Off,
    /// Folded, but for lists of ids, which are all too long.
    Limit,
}

impl Fold {
    pub const ALL: [Fold; 3] = [Fold::On, Fold::Off, Fold::Limit];

    pub fn setting(self) -> &'static str {
        match self {
            Fold::On => "deskguard.fold = on",
            Fold::Off => "deskguard.fold = off",
            Fold::Limit => "deskguard.fold_limit = 0",
        }
    }
}

pub fn desk(fold: Fold) -> Database {
    desk_in(fold, PLAIN)
}

pub fn partitioned_desk(fold: Fold) -> Database {
    desk_in(fold, PARTITIONED)
}

pub fn keyed_desk(fold: Fold) -> Database {
    desk_in(fold, KEYED)
}

fn desk_in(fold: Fold, layout: Layout) -> Database {
    let Layout { create, row, then } = layout;
    let database = Database::with_deskguard("consistency");
    let [ann, other] = MAPPED.map(ident);
    let roles = format!("{APP}, {STRANGER}, {ann}, {other}");
    let mut superuser = database.superuser();
    superuser
        .batch_execute(&format!(
            "ALTER DATABASE {} SET {};
             CREATE SCHEMA desk AUTHORIZATION {OWNER};
             GRANT USAGE ON SCHEMA desk TO PUBLIC;
             SET ROLE {OWNER};
             {create}
             CREATE TABLE desk.follower (ticket_id bigint, agent_id bigint);
             {FUNCTIONS}
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA desk TO {roles};
             RESET ROLE;
             GRANT CREATE ON SCHEMA desk TO {ann};
             ALTER FUNCTION desk.by_definer OWNER TO {ann};
             REVOKE CREATE ON SCHEMA desk FROM {ann};
             {RIGHTS}
             INSERT INTO desk.ticket (id, department_id, category_id, assignee_id, team_id)
             SELECT {row} FROM {TICKETS};
             {FOLLOWER_ROWS}
             {then}
             ANALYZE",
            database.name(),
            fold.setting(),
        ))
        .unwrap();
    database.connect(OWNER).batch_execute(PROTECT).unwrap();
    database
}

/// Makes plans parallel even if the table is tiny, and leaves the rows to the workers.
pub const PARALLEL: &str = "
    SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
    SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off;
    SET enable_indexscan = off; SET enable_bitmapscan = off";

/// A statement that answers with the ids of tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By the simple protocol.
    Simple,
    /// By the extended protocol, prepared for this once.
    Once,
    Custom,
    Generic,
    /// Prepared by SQL's PREPARE.
    Execute,
    PlPgSql,
    Sql,
    VolatileSql,
    /// SECURITY DEFINER, of the role that is Ann.
    Definer,
    OwnersView,
    InvokersView,
    Update,
    ForUpdate,
    /// Their followers are seen with the tickets.
    Followers,
    Parallel,
    AgentCanView,
    VisibleTickets,
}

impl Kind {
    pub const ALL: [Kind; 17] = [
        Kind::Simple,
        Kind::Once,
        Kind::Custom,
        Kind::Generic,
        Kind::Execute,
        Kind::PlPgSql,
        Kind::Sql,
        Kind::VolatileSql,
        Kind::Definer,
        Kind::OwnersView,
        Kind::InvokersView,
        Kind::Update,
        Kind::ForUpdate,
        Kind::Followers,
        Kind::Parallel,
        Kind::AgentCanView,
        Kind::VisibleTickets,
    ];

    /// Does it lock the tickets that it gives?
    pub fn locks(self) -> bool {
        [Kind::Update, Kind::ForUpdate].contains(&self)
    }

    /// How plans are to be made for it.
    pub fn plans(self) -> &'static str {
        match self {
            Kind::Simple | Kind::Once => "SET plan_cache_mode = auto",
            Kind::Custom => "SET plan_cache_mode = force_custom_plan",
            _ => "SET plan_cache_mode = force_generic_plan",
        }
    }

    /// With one parameter, since PostgreSQL makes custom plans only for what has some.
    fn sql(self) -> &'static str {
        match self {
            Kind::Simple
            | Kind::Once
            | Kind::Custom
            | Kind::Generic
            | Kind::Execute
            | Kind::Parallel => "SELECT id FROM desk.ticket WHERE id > $1",
            Kind::PlPgSql => "SELECT * FROM desk.by_plpgsql($1)",
            Kind::Sql => "SELECT * FROM desk.by_sql($1)",
            Kind::VolatileSql => "SELECT * FROM desk.by_volatile_sql($1)",
            Kind::Definer => "SELECT * FROM desk.by_definer($1)",
            Kind::OwnersView => "SELECT id FROM desk.owners_view WHERE id > $1",
            Kind::InvokersView => "SELECT id FROM desk.invokers_view WHERE id > $1",
            Kind::Update => "UPDATE desk.ticket SET subject = 'x' WHERE id > $1 RETURNING id",
            Kind::ForUpdate => "SELECT id FROM desk.ticket WHERE id > $1 FOR UPDATE",
            Kind::Followers => {
                "SELECT ticket_id FROM desk.follower WHERE ticket_id > $1 AND agent_id = 77"
            }
            Kind::AgentCanView => {
                "SELECT id FROM generate_series(1, 10::bigint) AS id
                 WHERE id > $1 AND CASE WHEN deskguard.current_agent() IS NULL THEN false
                     ELSE deskguard.agent_can_view(deskguard.current_agent(), id) END"
            }
            Kind::VisibleTickets => {
                "SELECT id FROM deskguard.current_agent() AS agent
                 CROSS JOIN LATERAL deskguard.visible_tickets(agent) AS id
                 WHERE agent IS NOT NULL AND id > $1"
            }
        }
    }
}

/// A statement on one connection, as it is asked again and again.
pub struct Asker {
    pub kind: Kind,
    prepared: Option<Statement>,
}

impl Asker {
    pub fn new(client: &mut Client, kind: Kind) -> Asker {
        run(client, kind.plans());
        let mut prepared = None;
        match kind {
            Kind::Simple | Kind::Once => {}
            Kind::Execute => run(client, &format!("PREPARE asked (bigint) AS {}", kind.sql())),
            _ => {
                if kind == Kind::Parallel {
                    run(client, PARALLEL);
                }
                prepared = Some(client.prepare(kind.sql()).unwrap());
            }
        }
        Asker { kind, prepared }
    }

    /// The tickets that the statement gives, sorted.
    pub fn ask(&self, client: &mut Client) -> Result<Vec<i64>, Error> {
        let mut ids: Vec<i64> = match (&self.prepared, self.kind) {
            (Some(statement), _) => {
                let rows = client.query(statement, &[&0i64])?;
                rows.iter().map(|row| row.get(0)).collect()
            }
            (None, Kind::Once) => {
                let rows = client.query(self.kind.sql(), &[&0i64])?;
                rows.iter().map(|row| row.get(0)).collect()
            }
            (None, Kind::Execute) => simple_ids(client, "EXECUTE asked (0)")?,
            (None, _) => simple_ids(client, &self.kind.sql().replace("$1", "0"))?,
        };
        ids.sort_unstable();
        Ok(ids)
    }
}

/// Either the rows, or the request to retry.
pub fn assert_rows_or_retry(result: Result<Vec<i64>, Error>, rows: &[i64], what: &str) {
    match result {
        Ok(found) => assert_eq!(found, rows, "{what}"),
        Err(error) => assert!(is_retry(&error), "{what}: {error:?}"),
    }
}

/// Roles belong to the whole cluster: whenever one changes, agents may have changed everywhere, and
/// the statements of other tests would have to be retried.
static ROLES: RwLock<()> = RwLock::new(());

pub fn roles_stay() -> RwLockReadGuard<'static, ()> {
    ROLES.read().unwrap_or_else(PoisonError::into_inner)
}

pub fn roles_change() -> RwLockWriteGuard<'static, ()> {
    ROLES.write().unwrap_or_else(PoisonError::into_inner)
}

/// For tests that count what is to be retried: when others make databases, so many messages come that
/// PostgreSQL loses some, and a session that is told so forgets its rights as if all had changed.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    roles_change()
}

/// Runs statements in a session until they come to one of the functions `desk.wait…`, does something
/// else meanwhile, and lets them go on.
pub fn while_it_waits<T: Send>(
    database: &Database,
    client: &mut Client,
    statements: impl FnOnce(&mut Client) -> T + Send,
    meanwhile: impl FnOnce(),
) -> T {
    let mut gate = database.superuser();
    run(&mut gate, "SELECT pg_advisory_lock(77)");
    thread::scope(|scope| {
        let running = scope.spawn(move || statements(client));
        let waits = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
        wait_until("the statement waits", || {
            assert!(!running.is_finished(), "the statement did not wait");
            !gate.query(waits, &[]).unwrap().is_empty()
        });
        meanwhile();
        run(&mut gate, "SELECT pg_advisory_unlock(77)");
        running.join().unwrap()
    })
}
