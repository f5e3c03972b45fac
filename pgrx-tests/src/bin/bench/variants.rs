//! The ways to guard a ticket table that are compared. Each has a role and a connection of its own.

use deskguard_tests::server::{APP, Database};

use crate::desk::{self, Agent};
use crate::keys::Keys;
use crate::measure::Connection;
use crate::queries::Query;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variant {
    /// The literal WHERE that an expert writes, by a role that bypasses row-level security.
    Limit,
    /// The other way to write a condition on followers; the limit is the faster one.
    LimitAny,
    /// The literals as parameters of a statement that is prepared once for all agents.
    LimitPrepared,
    Deskguard,
    /// Policies as deskguard's that are the literals, for a role that is one agent: what row-level security
    /// itself costs.
    LiteralPolicy,
    /// Policies with `= ANY (ARRAY(SELECT ...))`, the usual advice.
    AnyArray,
    /// Policies with EXISTS sub-selects.
    Exists,
    /// Policies that call a SECURITY DEFINER function of SQL.
    Function,
}

impl Variant {
    pub const POLICIES: [Variant; 3] = [Variant::AnyArray, Variant::Exists, Variant::Function];

    pub fn name(self) -> &'static str {
        match self {
            Variant::Limit => "limit",
            Variant::LimitAny => "limit (ANY)",
            Variant::LimitPrepared => "limit prepared",
            Variant::Deskguard => "deskguard",
            Variant::LiteralPolicy => "literal policy",
            Variant::AnyArray => "= ANY (ARRAY)",
            Variant::Exists => "EXISTS",
            Variant::Function => "function",
        }
    }

    pub fn is_limit(self) -> bool {
        matches!(
            self,
            Variant::Limit | Variant::LimitAny | Variant::LimitPrepared
        )
    }

    pub fn role(self, desk: Desk) -> String {
        let role = match self {
            Variant::Limit | Variant::LimitAny | Variant::LimitPrepared => return LIMIT.into(),
            Variant::Deskguard => return APP.into(),
            Variant::LiteralPolicy => "bench_literal",
            Variant::AnyArray => "bench_any",
            Variant::Exists => "bench_exists",
            Variant::Function => "bench_function",
        };
        format!("{role}_{}", desk.schema)
    }
}

const LIMIT: &str = "bench_limit";

/// A help desk: what keys it has, whether followers count in it, and the schema of the table that
/// deskguard protects. The limit reads this table, too; the other policies are on one with the same content.
#[derive(Clone, Copy)]
pub struct Desk {
    pub schema: &'static str,
    pub keys: Keys,
    pub followers: bool,
    pub purpose: Purpose,
}

/// What a table is there for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    All,
    /// It has columns to be searched, with their indexes.
    Search,
    /// It has the indexes of queues and dashboards.
    Queues,
}

pub const DESK: Desk = Desk {
    schema: "desk",
    keys: Keys::Integer,
    followers: false,
    purpose: Purpose::All,
};
pub const FOLLOWED: Desk = Desk {
    schema: "followed",
    keys: Keys::Integer,
    followers: true,
    purpose: Purpose::All,
};
pub const UUID: Desk = Desk {
    schema: "desk_uuid",
    keys: Keys::Uuid,
    followers: false,
    purpose: Purpose::All,
};
pub const UUID_FOLLOWED: Desk = Desk {
    schema: "followed_uuid",
    keys: Keys::Uuid,
    followers: true,
    purpose: Purpose::All,
};

pub const SEARCH: Desk = Desk {
    schema: "search",
    keys: Keys::Integer,
    followers: false,
    purpose: Purpose::Search,
};

pub const QUEUES: Desk = Desk {
    schema: "queues",
    keys: Keys::Integer,
    followers: false,
    purpose: Purpose::Queues,
};

impl Desk {
    pub fn variants(&self) -> Vec<Variant> {
        let mut variants = vec![Variant::Limit, Variant::Deskguard, Variant::LiteralPolicy];
        if self.followers {
            variants.insert(1, Variant::LimitAny);
        }
        match self.keys {
            // The others are slower still.
            Keys::Integer if self.purpose == Purpose::Search => variants.push(Variant::AnyArray),
            // The function takes seconds where there are many tickets.
            Keys::Integer if self.purpose == Purpose::Queues => {
                variants.extend([Variant::AnyArray, Variant::Exists]);
            }
            Keys::Integer => variants.extend(Variant::POLICIES),
            // The others are not faster with these keys.
            Keys::Uuid => variants.push(Variant::AnyArray),
        }
        variants
    }

    /// What a query of this help desk is called.
    pub fn named(&self, query: &str) -> String {
        let which = match (self.keys, self.followers) {
            (Keys::Integer, false) => "",
            (Keys::Integer, true) => ", followers",
            (Keys::Uuid, false) => ", uuid",
            (Keys::Uuid, true) => ", uuid followers",
        };
        format!("{query}{which}")
    }

    /// The schema of the same tables without deskguard.
    pub fn plain(&self) -> String {
        match self.purpose {
            Purpose::All => self.keys.schema("plain"),
            Purpose::Search => "plain_search".into(),
            Purpose::Queues => "plain_queues".into(),
        }
    }

    /// The tickets that an agent follows, if that counts.
    fn followed_by(&self, agent: &Agent, schema: &str) -> Option<String> {
        let me = self.keys.quoted(&self.keys.of("agent", agent.id));
        self.followers.then(|| {
            format!("SELECT f.ticket_id FROM {schema}.ticket_follower AS f WHERE f.agent_id = {me}")
        })
    }

    /// Creates the table that deskguard protects.
    pub fn protect(&self) -> String {
        let (schema, plain) = (self.schema, self.plain());
        let mut sql = format!(
            "CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO PUBLIC; {};",
            desk::copy(&plain, &format!("{schema}.ticket"), "true")
        );
        let table = format!("{schema}.ticket");
        match self.purpose {
            Purpose::All => {}
            Purpose::Search => sql += &format!("{};", desk::search_indexes(&table)),
            Purpose::Queues => sql += &format!("{};", desk::queue_indexes(&table)),
        }
        let mut mapping = desk::MAPPING.to_string();
        if self.followers {
            let table = format!("{schema}.ticket_follower");
            sql += &desk::copy_followers(&plain, &table);
            mapping += &format!(", follower_table => '{table}'");
        }
        sql += &format!("; SELECT deskguard.protect_tickets('{schema}.ticket', {mapping})");
        if !self.followers && self.purpose == Purpose::All {
            sql += &format!("; {}", desk::protect_messages(&plain, schema));
        }
        sql
    }

    /// Creates the policies of the other variants, on the plain table. Only the compared agents have
    /// policies of their own.
    pub fn policies(&self, compared: &[&Agent]) -> String {
        let (keys, plain, acl) = (self.keys, self.plain(), self.keys.schema("acl"));
        let variants = self.variants();
        let mut sql = String::new();
        for variant in Variant::POLICIES.iter().filter(|v| variants.contains(v)) {
            let condition = match variant {
                Variant::AnyArray => self.any(),
                Variant::Exists => self.exists([
                    "ticket.id",
                    "ticket.department_id",
                    "ticket.category_id",
                    "ticket.assignee_id",
                    "ticket.team_id",
                ]),
                _ => {
                    let function = format!("{acl}.{}_may_view", self.schema);
                    let [id, number] =
                        ["bigint", "integer"].map(|integer| keys.column_type(integer));
                    sql += &format!(
                        "CREATE FUNCTION {function}(
                             id {id}, department_id {number}, category_id {number}, assignee_id {id}, team_id {number}
                         )
                         RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT {} $$;",
                        self.exists(["$1", "$2", "$3", "$4", "$5"])
                    );
                    format!("{function}(id, department_id, category_id, assignee_id, team_id)")
                }
            };
            let role = variant.role(*self);
            sql += &format!(
                "CREATE ROLE {role} LOGIN;
                 CREATE POLICY {role} ON {plain}.ticket TO {role} USING ({condition});"
            );
        }
        let login = Variant::LiteralPolicy.role(*self);
        sql += &format!("CREATE ROLE {login} LOGIN;");
        for agent in compared {
            let role = format!("{login}_{}", agent.id);
            let or_true = |condition: Option<String>| condition.unwrap_or_else(|| "true".into());
            let seen = or_true(agent.past_silo(keys, self.followed_by(agent, &plain).map(any_of)));
            let silo = or_true(agent.silo(keys));
            let inside = or_true(agent.inside(keys));
            sql += &format!("CREATE ROLE {role}; GRANT {role} TO {login};");
            for (name, policy) in [
                ("base", format!("TO {role} USING (true)")),
                ("silo", format!("AS RESTRICTIVE TO {role} USING ({silo})")),
                (
                    "view",
                    format!("AS RESTRICTIVE FOR SELECT TO {role} USING ({seen})"),
                ),
                (
                    "create",
                    format!("AS RESTRICTIVE FOR INSERT TO {role} WITH CHECK ({inside})"),
                ),
                (
                    "modify",
                    format!("AS RESTRICTIVE FOR UPDATE TO {role} USING ({seen}) WITH CHECK (true)"),
                ),
            ] {
                sql += &format!("CREATE POLICY {role}_{name} ON {plain}.ticket {policy};");
            }
        }
        sql
    }

    /// The agent, for policies without deskguard.
    fn me(&self) -> String {
        let key = self.keys.column_type("bigint");
        format!("(SELECT current_setting('app.agent_id')::{key})")
    }

    fn any(&self) -> String {
        let (me, plain, acl) = (self.me(), self.plain(), self.keys.schema("acl"));
        let followed = match self.followers {
            true => format!(
                "OR id = ANY (ARRAY(SELECT f.ticket_id FROM {plain}.ticket_follower AS f WHERE f.agent_id = {me}))"
            ),
            false => String::new(),
        };
        format!(
            "category_id = ANY (ARRAY(SELECT c.category_id FROM {acl}.agent_category AS c WHERE c.agent_id = {me}))
             AND (assignee_id = {me}
                 OR team_id = ANY (ARRAY(SELECT g.team_id FROM {acl}.agent_team AS g WHERE g.agent_id = {me}))
                 {followed}
                 OR department_id = ANY (ARRAY(
                     SELECT d.department_id FROM {acl}.agent_department AS d
                     WHERE d.agent_id = {me} AND d.views_assigned))
                 OR department_id = ANY (ARRAY(
                     SELECT d.department_id FROM {acl}.agent_department AS d
                     WHERE d.agent_id = {me} AND NOT d.views_assigned))
                     AND assignee_id IS NULL AND team_id IS NULL)"
        )
    }

    fn exists(&self, [id, department, category, assignee, team]: [&str; 5]) -> String {
        let (me, plain, acl) = (self.me(), self.plain(), self.keys.schema("acl"));
        let followed = match self.followers {
            true => format!(
                "OR EXISTS (SELECT FROM {plain}.ticket_follower AS f WHERE f.agent_id = {me} AND f.ticket_id = {id})"
            ),
            false => String::new(),
        };
        format!(
            "EXISTS (SELECT FROM {acl}.agent_category AS c WHERE c.agent_id = {me} AND c.category_id = {category})
             AND ({assignee} = {me}
                 OR EXISTS (SELECT FROM {acl}.agent_team AS g WHERE g.agent_id = {me} AND g.team_id = {team})
                 {followed}
                 OR EXISTS (
                     SELECT FROM {acl}.agent_department AS d
                     WHERE d.agent_id = {me} AND d.department_id = {department}
                         AND (d.views_assigned OR {assignee} IS NULL AND {team} IS NULL)))"
        )
    }
}

/// What the other policies look at: what each agent may see, with groups and the tree of departments
/// already worked out, as one would keep it for speed. It is in favour of these policies.
pub fn access_tables(agents: &[Agent], keys: Keys) -> String {
    let mut rows: [Vec<String>; 3] = Default::default();
    for agent in agents {
        let key = |kind, number| keys.quoted(&keys.of(kind, number));
        let me = keys.quoted(&keys.of("agent", agent.id));
        let categories = agent.seen_categories();
        let departments = agent.seen_departments();
        rows[0].extend(
            categories
                .iter()
                .map(|c| format!("({me}, {})", key("category", *c))),
        );
        rows[1].extend(departments.iter().map(|d| {
            format!(
                "({me}, {}, {})",
                key("department", *d),
                agent.views_assigned
            )
        }));
        rows[2].extend(
            agent
                .teams
                .iter()
                .map(|t| format!("({me}, {})", key("team", *t))),
        );
    }
    let [categories, departments, teams] = rows.map(|rows| rows.join(", "));
    let [plain, acl] = ["plain", "acl"].map(|name| keys.schema(name));
    let [id, number] = ["bigint", "integer"].map(|integer| keys.column_type(integer));
    format!(
        "CREATE SCHEMA {acl};
         CREATE TABLE {acl}.agent_category (agent_id {id}, category_id {number}, PRIMARY KEY (agent_id, category_id));
         INSERT INTO {acl}.agent_category VALUES {categories};
         CREATE TABLE {acl}.agent_department (
             agent_id {id}, department_id {number}, views_assigned boolean NOT NULL,
             PRIMARY KEY (agent_id, department_id)
         );
         INSERT INTO {acl}.agent_department VALUES {departments};
         CREATE TABLE {acl}.agent_team (agent_id {id}, team_id {number}, PRIMARY KEY (agent_id, team_id));
         INSERT INTO {acl}.agent_team VALUES {teams};
         GRANT USAGE ON SCHEMA {acl} TO PUBLIC;
         GRANT SELECT ON ALL TABLES IN SCHEMA {acl} TO PUBLIC;
         ALTER TABLE {plain}.ticket ENABLE ROW LEVEL SECURITY;"
    )
}

/// The roles that do not belong to one help desk.
pub fn roles() -> String {
    format!(
        "CREATE ROLE {LIMIT} LOGIN BYPASSRLS;
         ALTER ROLE {APP} SET session_preload_libraries = 'deskguard';"
    )
}

/// A connection of a variant.
pub struct Session {
    pub variant: Variant,
    pub client: Connection,
    pub desk: Desk,
}

impl Session {
    pub fn open(database: &Database, variant: Variant, desk: Desk) -> Self {
        Session {
            variant,
            client: Connection::new(database.connect(&variant.role(desk))),
            desk,
        }
    }

    pub fn table(&self) -> String {
        let schema = match self.variant.is_limit() || self.variant == Variant::Deskguard {
            true => self.desk.schema.into(),
            false => self.desk.plain(),
        };
        format!("{schema}.ticket")
    }

    /// The table that a query reads: the tickets, or protected messages.
    pub fn table_for(&self, query: Query) -> String {
        match query {
            Query::Messages | Query::TicketMessages if self.variant == Variant::Deskguard => {
                format!("{}.message", self.desk.schema)
            }
            _ => self.table(),
        }
    }

    /// The table to be written. The one that deskguard protects has its trigger.
    pub fn written_table(&self) -> String {
        match self.variant.is_limit() {
            true => format!("{}.ticket", self.desk.plain()),
            false => self.table(),
        }
    }

    pub fn become_agent(&mut self, agent: &Agent) {
        let sql = match self.variant {
            Variant::LiteralPolicy => {
                format!("SET ROLE {}_{}", self.variant.role(self.desk), agent.id)
            }
            Variant::Deskguard => format!("SET {} = '{}'", self.variant.setting(), agent.id),
            _ => format!(
                "SET {} = '{}'",
                self.variant.setting(),
                self.desk.keys.of("agent", agent.id)
            ),
        };
        self.client.batch_execute(&sql).unwrap();
    }

    /// The condition that the variant's statements need, if any.
    pub fn condition(&self, agent: &Agent) -> Option<String> {
        let keys = self.desk.keys;
        let followed = self.desk.followed_by(agent, self.desk.schema);
        match self.variant {
            Variant::Limit => agent.literal(keys, followed.map(|them| format!("id IN ({them})"))),
            Variant::LimitAny => agent.literal(keys, followed.map(any_of)),
            _ => None,
        }
    }
}

fn any_of(followed: String) -> String {
    format!("id = ANY (ARRAY({followed}))")
}

impl Variant {
    /// The setting that names the agent.
    pub fn setting(self) -> &'static str {
        match self {
            Variant::Deskguard => "deskguard.agent_id",
            _ => "app.agent_id",
        }
    }
}
