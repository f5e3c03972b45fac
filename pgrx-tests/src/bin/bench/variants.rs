//! The ways to guard a ticket table that are compared. Each has a role and a connection of its own.

use deskguard_tests::server::{APP, Database};

use crate::desk::{self, Agent};
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

    fn role(self, desk: Desk) -> String {
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

/// A help desk: whether followers count in it, and the schema of the table that deskguard protects.
/// The limit reads this table, too; the other policies are on one with the same content.
#[derive(Clone, Copy)]
pub struct Desk {
    pub schema: &'static str,
    pub followers: bool,
}

pub const DESK: Desk = Desk {
    schema: "desk",
    followers: false,
};
pub const FOLLOWED: Desk = Desk {
    schema: "followed",
    followers: true,
};

impl Desk {
    pub fn variants(&self) -> Vec<Variant> {
        let mut variants = vec![Variant::Limit, Variant::Deskguard, Variant::LiteralPolicy];
        if self.followers {
            variants.insert(1, Variant::LimitAny);
        }
        variants.extend(Variant::POLICIES);
        variants
    }

    /// The tickets that an agent follows, if that counts.
    fn followed_by(&self, agent: &Agent, schema: &str) -> Option<String> {
        self.followers.then(|| {
            format!(
                "SELECT f.ticket_id FROM {schema}.ticket_follower AS f WHERE f.agent_id = {}",
                agent.id
            )
        })
    }

    /// Creates the table that deskguard protects.
    pub fn protect(&self) -> String {
        let schema = self.schema;
        let mut sql = format!(
            "CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO PUBLIC; {};",
            desk::copy(&format!("{schema}.ticket"), "true")
        );
        let mut mapping = desk::MAPPING.to_string();
        if self.followers {
            let table = format!("{schema}.ticket_follower");
            sql += &desk::copy_followers(&table);
            mapping += &format!(", follower_table => '{table}'");
        }
        sql += &format!("; SELECT deskguard.protect_tickets('{schema}.ticket', {mapping})");
        if !self.followers {
            sql += &format!("; {}", desk::protect_messages(schema));
        }
        sql
    }

    /// Creates the policies of the other variants, on the plain table. Only the compared agents have
    /// policies of their own.
    pub fn policies(&self, compared: &[&Agent]) -> String {
        let followed = |them: &str| {
            if self.followers {
                them.to_string()
            } else {
                String::new()
            }
        };
        let any = format!(
            "category_id = ANY (ARRAY(SELECT c.category_id FROM acl.agent_category AS c WHERE c.agent_id = {ME}))
             AND (assignee_id = {ME}
                 OR team_id = ANY (ARRAY(SELECT g.team_id FROM acl.agent_team AS g WHERE g.agent_id = {ME}))
                 {}
                 OR department_id = ANY (ARRAY(
                     SELECT d.department_id FROM acl.agent_department AS d
                     WHERE d.agent_id = {ME} AND d.views_assigned))
                 OR department_id = ANY (ARRAY(
                     SELECT d.department_id FROM acl.agent_department AS d
                     WHERE d.agent_id = {ME} AND NOT d.views_assigned))
                     AND assignee_id IS NULL AND team_id IS NULL)",
            followed(&format!(
                "OR id = ANY (ARRAY(SELECT f.ticket_id FROM plain.ticket_follower AS f WHERE f.agent_id = {ME}))"
            )),
        );
        let exists = exists(
            self.followers,
            [
                "ticket.id",
                "ticket.department_id",
                "ticket.category_id",
                "ticket.assignee_id",
                "ticket.team_id",
            ],
        );
        let function = format!("acl.{}_may_view", self.schema);
        let body = exists_body(self.followers);
        let mut sql = format!(
            "CREATE FUNCTION {function}(id bigint, department_id integer, category_id integer, assignee_id bigint, team_id integer)
             RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER AS $$ SELECT {body} $$;"
        );
        for (variant, condition) in [
            (Variant::AnyArray, any),
            (Variant::Exists, exists),
            (
                Variant::Function,
                format!("{function}(id, department_id, category_id, assignee_id, team_id)"),
            ),
        ] {
            let role = variant.role(*self);
            sql += &format!(
                "CREATE ROLE {role} LOGIN;
                 CREATE POLICY {role} ON plain.ticket TO {role} USING ({condition});"
            );
        }
        let login = Variant::LiteralPolicy.role(*self);
        sql += &format!("CREATE ROLE {login} LOGIN;");
        for agent in compared {
            let role = format!("{login}_{}", agent.id);
            let or_true = |condition: Option<String>| condition.unwrap_or_else(|| "true".into());
            let seen = or_true(agent.past_silo(self.followed_by(agent, "plain").map(any_of)));
            let silo = or_true(agent.silo());
            let inside = or_true(agent.inside());
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
                sql += &format!("CREATE POLICY {role}_{name} ON plain.ticket {policy};");
            }
        }
        sql
    }
}

/// The agent, for policies without deskguard.
const ME: &str = "(SELECT current_setting('app.agent_id')::bigint)";

fn exists(followers: bool, [id, department, category, assignee, team]: [&str; 5]) -> String {
    let followed = match followers {
        true => format!(
            "OR EXISTS (SELECT FROM plain.ticket_follower AS f WHERE f.agent_id = {ME} AND f.ticket_id = {id})"
        ),
        false => String::new(),
    };
    format!(
        "EXISTS (SELECT FROM acl.agent_category AS c WHERE c.agent_id = {ME} AND c.category_id = {category})
         AND ({assignee} = {ME}
             OR EXISTS (SELECT FROM acl.agent_team AS g WHERE g.agent_id = {ME} AND g.team_id = {team})
             {followed}
             OR EXISTS (
                 SELECT FROM acl.agent_department AS d
                 WHERE d.agent_id = {ME} AND d.department_id = {department}
                     AND (d.views_assigned OR {assignee} IS NULL AND {team} IS NULL)))"
    )
}

fn exists_body(followers: bool) -> String {
    exists(followers, ["$1", "$2", "$3", "$4", "$5"])
}

/// What the other policies look at: what each agent may see, with groups and the tree of departments
/// already worked out, as one would keep it for speed. It is in favour of these policies.
pub fn access_tables(agents: &[Agent]) -> String {
    let mut rows: [Vec<String>; 3] = Default::default();
    for agent in agents {
        let categories = agent.seen_categories();
        let departments = agent.seen_departments();
        rows[0].extend(categories.iter().map(|c| format!("({}, {c})", agent.id)));
        rows[1].extend(
            departments
                .iter()
                .map(|d| format!("({}, {d}, {})", agent.id, agent.views_assigned)),
        );
        rows[2].extend(agent.teams.iter().map(|t| format!("({}, {t})", agent.id)));
    }
    let [categories, departments, teams] = rows.map(|rows| rows.join(", "));
    format!(
        "CREATE SCHEMA acl;
         CREATE TABLE acl.agent_category (agent_id bigint, category_id integer, PRIMARY KEY (agent_id, category_id));
         INSERT INTO acl.agent_category VALUES {categories};
         CREATE TABLE acl.agent_department (
             agent_id bigint, department_id integer, views_assigned boolean NOT NULL, PRIMARY KEY (agent_id, department_id)
         );
         INSERT INTO acl.agent_department VALUES {departments};
         CREATE TABLE acl.agent_team (agent_id bigint, team_id integer, PRIMARY KEY (agent_id, team_id));
         INSERT INTO acl.agent_team VALUES {teams};
         GRANT USAGE ON SCHEMA acl TO PUBLIC;
         GRANT SELECT ON ALL TABLES IN SCHEMA acl TO PUBLIC;
         ALTER TABLE plain.ticket ENABLE ROW LEVEL SECURITY;
         CREATE ROLE {LIMIT} LOGIN BYPASSRLS;
         ALTER ROLE {APP} SET session_preload_libraries = 'deskguard';"
    )
}

/// A connection of a variant.
pub struct Session {
    pub variant: Variant,
    pub client: Connection,
    desk: Desk,
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
        self.variant.table(self.desk.schema)
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
            true => "plain.ticket".into(),
            false => self.table(),
        }
    }

    pub fn become_agent(&mut self, agent: &Agent) {
        let sql = match self.variant {
            Variant::LiteralPolicy => {
                format!("SET ROLE {}_{}", self.variant.role(self.desk), agent.id)
            }
            _ => format!("SET {} = '{}'", self.variant.setting(), agent.id),
        };
        self.client.batch_execute(&sql).unwrap();
    }

    /// The condition that the variant's statements need, if any.
    pub fn condition(&self, agent: &Agent) -> Option<String> {
        let followed = self.desk.followed_by(agent, self.desk.schema);
        match self.variant {
            Variant::Limit => agent.literal(followed.map(|them| format!("id IN ({them})"))),
            Variant::LimitAny => agent.literal(followed.map(any_of)),
            _ => None,
        }
    }
}

fn any_of(followed: String) -> String {
    format!("id = ANY (ARRAY({followed}))")
}

impl Variant {
    fn table(self, schema: &str) -> String {
        match self.is_limit() || self == Variant::Deskguard {
            true => format!("{schema}.ticket"),
            false => "plain.ticket".into(),
        }
    }

    /// The setting that names the agent.
    pub fn setting(self) -> &'static str {
        match self {
            Variant::Deskguard => "deskguard.agent_id",
            _ => "app.agent_id",
        }
    }
}
