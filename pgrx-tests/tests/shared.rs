//! Random tables of shared things, some of which need features: each command must do what a model
//! says, which works out sets of objects from the tables rather than asking for one object at a time.

use std::collections::{BTreeMap, BTreeSet};

use deskguard_tests::help_desk::{Id, KeyForm, Kind};
use deskguard_tests::lab::{
    Cases, Counts, Outcome, PLANS, act_for, app, attempt, attempt_ids, fail, refused, same,
    simple_ids, try_run,
};
use deskguard_tests::literal;
use deskguard_tests::server::{APP, Database, OWNER};
use postgres::Client;
use postgres::error::SqlState;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

const COMMANDS: [&str; 5] = ["ALL", "SELECT", "INSERT", "UPDATE", "DELETE"];
/// Of the catalog; of the user's own; of the user's own and destructive; to manage.
const PERMISSIONS: [&str; 4] = ["report.view", "thing.use", "thing.break", "shared.manage"];
const AGENTS: Id = 5;
const OBJECTS: Id = 7;
/// Owns things and is nobody.
const DANGLING: Id = 9;
/// The two that are built in, and two more.
const GROUPS: [Id; 4] = [1, 2, 100, 101];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Audience {
    Group(Id),
    Agent(Id),
    Everyone,
}

#[derive(Clone, Debug)]
struct World {
    inactive: BTreeSet<Id>,
    members: BTreeSet<(Id, Id)>,
    agent_permissions: BTreeSet<(Id, usize)>,
    group_permissions: BTreeSet<(Id, usize)>,
    owners: Vec<Option<Id>>,
    visibility: BTreeSet<(Id, Audience)>,
    features: BTreeSet<(usize, usize)>,
    has_owner_column: bool,
    id: Kind,
    owner: Kind,
    /// The external keys of agents.
    keys: BTreeMap<Id, String>,
    partitioned: bool,
    features_first: bool,
}

/// Integers as often as all others together.
fn kind() -> impl Strategy<Value = Kind> {
    let texts = vec![
        Kind::Text(KeyForm::Words),
        Kind::Text(KeyForm::Uuid),
        Kind::Varchar(KeyForm::Number),
    ];
    prop_oneof![
        3 => prop::sample::select(&Kind::INTEGERS[..]),
        2 => Just(Kind::Uuid),
        1 => prop::sample::select(texts),
    ]
}

/// An agent's key: mostly what the column for owners has for one of the agents, where that has keys.
fn key(owner: Kind, agent: Id, pick: usize) -> Option<String> {
    let named = match owner.form() {
        Some(_) => owner.text(agent),
        // Of no meaning to the column, so that it may mislead.
        None => (agent + 1).to_string(),
    };
    match pick {
        0 => None,
        1 => Some(named.to_uppercase()),
        _ => Some(named),
    }
}

fn worlds() -> impl Strategy<Value = World> {
    let agent = || 1..=AGENTS;
    let group = || prop::sample::select(&GROUPS[..]);
    let own_group = || 100..=101 as Id;
    let audience = prop_oneof![
        3 => group().prop_map(Audience::Group),
        3 => agent().prop_map(Audience::Agent),
        1 => Just(Audience::Everyone),
    ];
    let owner = prop::option::weighted(0.8, prop_oneof![9 => agent(), 1 => Just(DANGLING)]);
    let feature = (0..COMMANDS.len(), 0..3usize);
    (
        btree_set(agent(), 0..2),
        btree_set((group(), agent()), 0..6),
        btree_set((agent(), 0..4usize), 0..8),
        btree_set((own_group(), 0..4usize), 0..4),
        vec(owner, OBJECTS as usize),
        btree_set((1..=OBJECTS, audience), 0..10),
        prop_oneof![1 => btree_set(feature.clone(), 0..1), 1 => btree_set(feature, 1..4)],
        prop::bool::weighted(0.8),
        (kind(), kind(), vec(0..9usize, AGENTS as usize)),
        any::<(bool, bool)>(),
    )
        .prop_map(
            |(
                inactive,
                members,
                agent_permissions,
                group_permissions,
                owners,
                visibility,
                features,
                has_owner_column,
                (id, owner, keys),
                (partitioned, features_first),
            )| World {
                inactive,
                members,
                agent_permissions,
                group_permissions,
                owners,
                visibility,
                features,
                has_owner_column,
                id,
                owner,
                keys: (1..)
                    .zip(keys)
                    .filter_map(|(agent, pick)| Some((agent, key(owner, agent, pick)?)))
                    .collect(),
                partitioned,
                features_first,
            },
        )
}

/// What an agent may do, as the tables have it.
struct Allowed {
    seen: BTreeSet<Id>,
    changed: BTreeSet<Id>,
    manages: bool,
    agent: Option<Id>,
    /// By the name of the command, whether it has all that is needed.
    commands: BTreeMap<&'static str, bool>,
}

impl Allowed {
    fn all(&self, commands: &[&str]) -> bool {
        commands.iter().all(|command| self.commands[command])
    }

    fn if_all(&self, commands: &[&str], ids: &BTreeSet<Id>) -> BTreeSet<Id> {
        if self.all(commands) {
            ids.clone()
        } else {
            BTreeSet::new()
        }
    }

    fn makes(&self, owner: Option<Id>) -> bool {
        self.manages || (owner.is_some() && owner == self.agent)
    }
}

impl World {
    fn allowed(&self, who: Option<Id>) -> Allowed {
        let active = who.filter(|a| (1..=AGENTS).contains(a) && !self.inactive.contains(a));
        let groups: BTreeSet<Id> = self
            .members
            .iter()
            .filter(|(_, agent)| Some(*agent) == active)
            .map(|(group, _)| *group)
            .collect();
        let mut held: BTreeSet<usize> = BTreeSet::new();
        for (agent, permission) in &self.agent_permissions {
            if Some(*agent) == active {
                held.insert(*permission);
            }
        }
        for (group, permission) in &self.group_permissions {
            if groups.contains(group) {
                held.insert(*permission);
            }
        }
        if groups.contains(&1) {
            held.extend([0, 1, 2, 3]);
        }
        if groups.contains(&2) {
            held.extend([0, 1, 3]);
        }
        let manages = held.contains(&3);
        let mut changed: BTreeSet<Id> = BTreeSet::new();
        if self.has_owner_column && active.is_some() {
            let own = (1..).zip(&self.owners);
            let own = own.filter(|(_, owner)| self.named(**owner) == active);
            changed.extend(own.map(|(id, _)| id));
        }
        if manages {
            changed.extend(1..=OBJECTS);
        }
        let mut seen = changed.clone();
        for (object, audience) in &self.visibility {
            let reached = match audience {
                Audience::Group(group) => groups.contains(group),
                Audience::Agent(agent) => Some(*agent) == active,
                Audience::Everyone => active.is_some(),
            };
            if reached {
                seen.insert(*object);
            }
        }
        let mut commands: BTreeMap<&str, bool> = COMMANDS.map(|c| (c, true)).into();
        for (command, permission) in &self.features {
            if !held.contains(permission) {
                for (name, has) in &mut commands {
                    *has &= *command != 0 && COMMANDS[*command] != *name;
                }
            }
        }
        Allowed {
            seen,
            changed,
            manages,
            agent: active.filter(|_| self.has_owner_column),
            commands,
        }
    }

    /// The agent that a column for owners means by a value.
    fn named(&self, owner: Option<Id>) -> Option<Id> {
        let agents: BTreeMap<&str, Id> = self.keys.iter().map(|(id, key)| (&**key, *id)).collect();
        match self.owner.is_integer() {
            true => owner,
            false => agents.get(&*self.owner.text(owner?)).copied(),
        }
    }

    fn id_sql(&self, id: Id) -> String {
        self.id.literal(id)
    }

    fn owner_sql(&self, owner: Option<Id>) -> String {
        owner.map_or("NULL".into(), |id| self.owner.literal(id))
    }

    fn load_sql(&self) -> String {
        let mut sql = String::from(
            "INSERT INTO deskguard.permission (name, destructive) VALUES ('thing.use', false), ('thing.break', true);
             INSERT INTO deskguard.permission_group (id, name) VALUES (100, 'One'), (101, 'Two');",
        );
        for id in 1..=AGENTS {
            let active = !self.inactive.contains(&id);
            let key = self.keys.get(&id).map_or("NULL".into(), |key| literal(key));
            sql += &format!(
                "INSERT INTO deskguard.agent (id, name, active, external_key) VALUES ({id}, 'Agent', {active}, {key});"
            );
        }
        for (group, agent) in &self.members {
            sql += &format!("INSERT INTO deskguard.group_member VALUES ({group}, {agent});");
        }
        for (agent, p) in &self.agent_permissions {
            sql += &format!(
                "INSERT INTO deskguard.agent_permission VALUES ({agent}, '{}');",
                PERMISSIONS[*p]
            );
        }
        for (group, p) in &self.group_permissions {
            sql += &format!(
                "INSERT INTO deskguard.group_permission VALUES ({group}, '{}');",
                PERMISSIONS[*p]
            );
        }
        let (id, owner) = (self.id.sql(), self.owner.sql());
        let (key, partitions) = if self.partitioned {
            (
                "PARTITION BY HASH (id)",
                "CREATE TABLE thing_0 PARTITION OF \"Thing\" FOR VALUES WITH (MODULUS 2, REMAINDER 0);
                 CREATE TABLE thing_1 PARTITION OF \"Thing\" FOR VALUES WITH (MODULUS 2, REMAINDER 1);",
            )
        } else {
            ("", "")
        };
        sql += &format!(
            "SET ROLE {OWNER};
             CREATE TABLE \"Thing\" (id {id} PRIMARY KEY, owner_id {owner}, body text) {key}; {partitions}
             GRANT SELECT, INSERT, UPDATE, DELETE ON \"Thing\" TO PUBLIC; RESET ROLE;"
        );
        for (id, owner) in (1..).zip(&self.owners) {
            let (id, owner) = (self.id_sql(id), self.owner_sql(*owner));
            sql += &format!("INSERT INTO \"Thing\" VALUES ({id}, {owner}, 'old');");
        }
        sql + "ANALYZE \"Thing\";"
    }

    fn protect_sql(&self) -> String {
        let owner = if self.has_owner_column {
            "'owner_id'"
        } else {
            "NULL"
        };
        let shared =
            format!("SELECT deskguard.protect_shared('\"Thing\"', owner_column => {owner});");
        let features: String = self
            .features
            .iter()
            .map(|(command, permission)| {
                format!(
                    "SELECT deskguard.protect_feature('\"Thing\"', '{}', '{}');",
                    PERMISSIONS[*permission], COMMANDS[*command]
                )
            })
            .collect();
        let protect = if self.features_first {
            features + &shared
        } else {
            shared + &features
        };
        format!("SET ROLE {OWNER}; {protect} RESET ROLE;")
    }

    fn share_sql(&self) -> String {
        self.visibility
            .iter()
            .map(|(id, audience)| {
                format!(
                    "SELECT deskguard.share('\"Thing\"', {}, {});",
                    self.id_sql(*id),
                    argument(*audience)
                )
            })
            .collect()
    }
}

fn argument(audience: Audience) -> String {
    match audience {
        Audience::Group(group) => format!("group_id => {group}"),
        Audience::Agent(agent) => format!("agent_id => {agent}"),
        Audience::Everyone => "everyone => true".into(),
    }
}

const CLEAN: &str = "DROP TABLE IF EXISTS \"Thing\";
    DELETE FROM deskguard.agent; DELETE FROM deskguard.permission_group WHERE NOT builtin;
    DELETE FROM deskguard.permission WHERE NOT builtin;";

/// As whoever calls it; the table is not for agents.
const PROBE: &str = "CREATE FUNCTION visibility_of(ids text[]) RETURNS bigint LANGUAGE sql
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
    'SELECT count(*) FROM deskguard.shared_visibility WHERE coalesce(object_key, object_id::text) = ANY (ids)';
    GRANT CREATE ON SCHEMA public TO PUBLIC;";

/// A session whose settings say who asks and how, and what that agent may do.
struct Session<'a> {
    client: &'a mut Client,
    world: &'a World,
    may: &'a Allowed,
    /// An active agent, which may ask about itself.
    asker: Option<Id>,
}

impl Session<'_> {
    fn gives(&mut self, sql: &str, expected: BTreeSet<Id>) -> Outcome {
        let got = attempt_ids(self.client, self.world.id, sql)?;
        same(sql, got, Ok(expected))
    }

    /// `expected`: none if it is to be refused.
    fn counts(&mut self, sql: &str, expected: Option<usize>) -> Outcome {
        let expected = expected.map_or(refused(), |rows| Ok(rows as u64));
        same(sql, attempt(self.client, sql)?, expected)
    }

    fn check(&mut self) -> Outcome {
        self.reads()?;
        self.changes()?;
        self.changes_of_some()?;
        for owner in [None, Some(1), Some(2), self.may.agent, Some(DANGLING)] {
            self.inserts(owner)?;
            self.changes_owner_to(owner)?;
        }
        self.explains()?;
        self.shares()
    }

    fn reads(&mut self) -> Outcome {
        let seen = self.may.if_all(&["SELECT"], &self.may.seen);
        self.gives("SELECT id FROM \"Thing\"", seen.clone())?;
        if self.world.partitioned {
            let mut parts = BTreeSet::new();
            for part in ["thing_0", "thing_1"] {
                let sql = format!("SELECT id FROM {part}");
                let of_part = attempt_ids(self.client, self.world.id, &sql)?;
                parts.extend(of_part.map_err(|code| fail(format!("{sql}: {code:?}")))?);
            }
            same("rows of the partitions", parts, seen)?;
        }
        Ok(())
    }

    /// Of all rows.
    fn changes(&mut self) -> Outcome {
        let (may, any) = (self.may, self.world.id.any_sql("id"));
        let found = |commands: &[&str]| may.if_all(commands, &may.changed);
        self.gives(
            &format!("UPDATE \"Thing\" SET body = 'new' WHERE {any} RETURNING id"),
            found(&["SELECT", "UPDATE"]),
        )?;
        let updated = found(&["UPDATE"]).len();
        self.counts("UPDATE \"Thing\" SET body = 'new'", Some(updated))?;
        self.gives(
            &format!("DELETE FROM \"Thing\" WHERE {any} RETURNING id"),
            found(&["SELECT", "DELETE"]),
        )?;
        let deleted = found(&["DELETE"]);
        self.counts("DELETE FROM \"Thing\"", Some(deleted.len()))?;
        let odd = [1, 3, 5, 7].map(|id| self.world.id_sql(id)).join(", ");
        let sql = format!(
            "WITH gone AS (DELETE FROM \"Thing\" RETURNING id) SELECT id FROM gone WHERE id IN ({odd})"
        );
        let odd = found(&["SELECT", "DELETE"]);
        self.gives(&sql, odd.into_iter().filter(|id| id % 2 == 1).collect())?;
        // With a thing goes whom it was shared with.
        let texts = deleted.iter().map(|id| literal(&self.world.id.text(*id)));
        let texts: Vec<String> = texts.collect();
        let sql = format!(
            "DELETE FROM \"Thing\"; SELECT visibility_of(ARRAY[{}]::text[])",
            texts.join(", ")
        );
        let left = attempt_ids(self.client, Kind::Int8, &sql)?;
        same(&sql, left, Ok([0].into()))
    }

    /// Of rows that another table names.
    fn changes_of_some(&mut self) -> Outcome {
        let may = self.may;
        let three = BTreeSet::from([1, 3, 6]);
        let values = three
            .iter()
            .map(|id| format!("({})", self.world.id_sql(*id)));
        let values: Vec<String> = values.collect();
        let from = format!("(VALUES {}) AS v (id)", values.join(", "));
        let found = &may.if_all(&["SELECT", "UPDATE"], &may.changed) & &three;
        self.counts(
            &format!("UPDATE \"Thing\" AS t SET body = 'new' FROM {from} WHERE t.id = v.id"),
            Some(found.len()),
        )?;
        // A MERGE is refused where an UPDATE or DELETE finds no row that is seen.
        for (command, what) in [("UPDATE", "UPDATE SET body = 'new'"), ("DELETE", "DELETE")] {
            let merge = format!(
                "MERGE INTO \"Thing\" AS t USING {from} ON t.id = v.id WHEN MATCHED THEN {what}"
            );
            let seen = &may.if_all(&["SELECT"], &may.seen) & &three;
            let is_allowed = seen.is_subset(&may.if_all(&[command], &may.changed));
            self.counts(&merge, is_allowed.then_some(seen.len()))?;
        }
        Ok(())
    }

    /// Of a thing with that owner.
    fn inserts(&mut self, owner: Option<Id>) -> Outcome {
        let (may, world) = (self.may, self.world);
        let to = world.owner_sql(owner);
        let fifty = world.id_sql(50);
        let makes = may.makes(world.named(owner));
        let inserts = (makes && may.all(&["INSERT"])).then_some(1);
        let inserts_and_reads = (makes && may.all(&["INSERT", "SELECT"])).then_some(1);
        let insert = format!("INSERT INTO \"Thing\" VALUES ({fifty}, {to}, 'new')");
        self.counts(&insert, inserts)?;
        self.counts(&(insert + " RETURNING id"), inserts_and_reads)?;
        let merge = format!(
            "MERGE INTO \"Thing\" AS t USING (VALUES ({fifty})) AS v (id) ON t.id = v.id
             WHEN NOT MATCHED THEN INSERT VALUES (v.id, {to}, 'new')"
        );
        self.counts(&merge, inserts)?;
        for id in [1, 50] {
            let insert = format!(
                "INSERT INTO \"Thing\" VALUES ({}, {to}, 'new')
                 ON CONFLICT (id) DO UPDATE SET body = 'old'",
                world.id_sql(id)
            );
            let updates = id == 50 || may.if_all(&["UPDATE"], &may.changed).contains(&id);
            self.counts(&insert, inserts_and_reads.filter(|_| updates))?;
        }
        Ok(())
    }

    fn changes_owner_to(&mut self, owner: Option<Id>) -> Outcome {
        let (may, world) = (self.may, self.world);
        let to = world.owner_sql(owner);
        let found = may.if_all(&["SELECT", "UPDATE"], &may.changed);
        for id in 1..=OBJECTS {
            let update = format!(
                "UPDATE \"Thing\" SET owner_id = {to} WHERE id = {}",
                world.id_sql(id)
            );
            // Without the column an owner is like any other value.
            let expected = match (found.contains(&id), may.makes(world.named(owner))) {
                (false, _) => Some(0),
                (true, makes) => makes.then_some(1),
            };
            self.counts(&update, expected)?;
        }
        Ok(())
    }

    /// What explain_command says that the agent may do.
    fn explains(&mut self) -> Outcome {
        let (may, world) = (self.may, self.world);
        let Some(agent) = self.asker else {
            return Ok(());
        };
        let asked = |command: &str, rows: &str| {
            format!(
                "(deskguard.explain_command({agent}, '{command}', '\"Thing\"', {rows}) -> 'allowed')::boolean"
            )
        };
        let ids = (0..=OBJECTS).map(|id| format!("({})", world.id_sql(id)));
        let values = ids.collect::<Vec<_>>().join(", ");
        let any = |command: &str, new: &str| {
            let rows = format!("jsonb_build_object('id', id){new}");
            let asked = asked(command, &rows);
            format!("SELECT id FROM (VALUES {values}) AS v (id) WHERE {asked}")
        };
        let changed = |command| may.if_all(&["SELECT", command], &may.changed);
        self.gives(&any("SELECT", ""), may.if_all(&["SELECT"], &may.seen))?;
        self.gives(&any("UPDATE", ", '{\"body\": \"new\"}'"), changed("UPDATE"))?;
        self.gives(&any("DELETE", ""), changed("DELETE"))?;
        for owner in [None, Some(1), Some(agent), Some(DANGLING)] {
            let new = format!("jsonb_build_object('owner_id', {})", world.owner_sql(owner));
            let makes = may.makes(world.named(owner));
            let insert = asked("INSERT", &format!("new_row => {new}"));
            let inserts = usize::from(makes && may.all(&["INSERT"]));
            self.counts(&format!("SELECT WHERE {insert}"), Some(inserts))?;
            let updated = if makes || !world.has_owner_column {
                changed("UPDATE")
            } else {
                BTreeSet::new()
            };
            self.gives(&any("UPDATE", &format!(", {new}")), updated)?;
        }
        Ok(())
    }

    fn shares(&mut self) -> Outcome {
        let changed = (self.may).if_all(&["SELECT", "UPDATE"], &self.may.changed);
        for id in 0..=OBJECTS {
            for call in ["share", "unshare"] {
                // A string finds the object, too.
                let argument = match id % 2 {
                    0 => self.world.id_sql(id),
                    _ => literal(&self.world.id.text(id)),
                };
                let sql =
                    format!("SELECT deskguard.{call}('\"Thing\"', {argument}, everyone => true)");
                self.counts(&sql, changed.contains(&id).then_some(1))?;
            }
        }
        Ok(())
    }
}

/// What each agent may do in a world, by plans of all kinds.
fn check(superuser: &mut Client, app: &mut Client, world: &World) -> Outcome {
    act_for(app, None);
    try_run(superuser, CLEAN)?;
    for sql in [world.load_sql(), world.protect_sql(), world.share_sql()] {
        try_run(superuser, &sql)?;
    }
    if world.partitioned {
        try_run(superuser, "GRANT SELECT ON thing_0, thing_1 TO PUBLIC")?;
    }
    for who in (1..=AGENTS).map(Some).chain([None, Some(DANGLING)]) {
        let may = &world.allowed(who);
        let asker = who.filter(|a| (1..=AGENTS).contains(a) && !world.inactive.contains(a));
        act_for(app, who);
        for plan in PLANS {
            try_run(app, plan)?;
            let client = &mut *app;
            let outcome = Session {
                client,
                world,
                may,
                asker,
            }
            .check();
            outcome.map_err(|error| fail(format!("agent {who:?}, {plan}: {error}")))?;
        }
    }
    Ok(())
}

#[test]
fn random_shared_things_are_seen_and_changed_as_by_the_model() {
    let database = Database::with_deskguard("shared");
    let mut superuser = database.superuser();
    superuser.batch_execute(PROBE).unwrap();
    let mut app = database.connect(APP);
    Cases::of("shared", 60, 5).check(
        &worlds(),
        &mut Counts::default(),
        &[],
        |world, _| check(&mut superuser, &mut app, world),
        |world| [world.load_sql(), world.protect_sql(), world.share_sql()].concat(),
    );
}

/// Three things of agent 1 and one of agent 2; agent 3 is in a group. 1 is shared with the group, 2
/// with agent 3.
const SMALL: &str = "
INSERT INTO deskguard.permission (name) VALUES ('thing.use');
INSERT INTO deskguard.permission_group (id, name) VALUES (100, 'One');
INSERT INTO deskguard.agent (id, name) SELECT g, 'Agent' FROM generate_series(1, 3) AS g;
INSERT INTO deskguard.agent_permission SELECT g, 'thing.use' FROM generate_series(1, 3) AS g;
INSERT INTO deskguard.group_member VALUES (100, 3);
CREATE TABLE \"Thing\" (id int PRIMARY KEY, owner_id int, kind int NOT NULL) ;
CREATE TABLE parted (id int, owner_id int) PARTITION BY LIST (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE label (id int);
ALTER TABLE label ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON label USING (id < 3);
INSERT INTO \"Thing\" SELECT g, CASE WHEN g < 4 THEN 1 ELSE 2 END, g FROM generate_series(1, 4) AS g;
INSERT INTO label SELECT generate_series(1, 4);
GRANT SELECT, INSERT, UPDATE, DELETE ON \"Thing\", parted, label TO PUBLIC;";

const PROTECT: &str = "
SELECT deskguard.protect_shared('\"Thing\"', owner_column => 'owner_id');
SELECT deskguard.protect_shared('parted', owner_column => 'owner_id');
SELECT deskguard.protect_feature('\"Thing\"', 'thing.use', 'SELECT');
SELECT deskguard.protect_feature('label', 'thing.use');
SELECT deskguard.share('\"Thing\"', 1, group_id => 100);
SELECT deskguard.share('\"Thing\"', 2, agent_id => 3);";

fn things(client: &mut Client, sql: &str) -> BTreeSet<Id> {
    let ids = simple_ids(client, sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    ids.into_iter().collect()
}

#[test]
fn what_is_taken_back_is_not_seen_again() {
    let database = Database::with_deskguard("taken");
    let mut superuser = database.superuser();
    superuser.batch_execute(SMALL).unwrap();
    superuser.batch_execute(PROTECT).unwrap();
    let give = "SELECT deskguard.share('\"Thing\"', 2, agent_id => 3)";
    let take = "SELECT deskguard.unshare('\"Thing\"', 2, agent_id => 3)";
    let steps = [
        (take, give),
        (
            "DELETE FROM deskguard.shared_visibility WHERE agent_id = 3",
            give,
        ),
        (
            "DELETE FROM deskguard.agent_permission WHERE agent_id = 3",
            "INSERT INTO deskguard.agent_permission VALUES (3, 'thing.use')",
        ),
        (
            "DELETE FROM deskguard.group_member WHERE agent_id = 3",
            "INSERT INTO deskguard.group_member VALUES (100, 3)",
        ),
    ];
    let before = BTreeSet::from([1, 2]);
    for plan in PLANS {
        for (revoke, grant) in steps {
            for isolation in ["READ COMMITTED", "REPEATABLE READ"] {
                let mut app = database.connect(APP);
                app.batch_execute(&format!(
                    "{plan}; SET deskguard.agent_id = 3; SET plan_cache_mode = force_generic_plan;
                     SET default_transaction_isolation = '{isolation}';
                     PREPARE seen AS SELECT id FROM \"Thing\""
                ))
                .unwrap();
                assert_eq!(things(&mut app, "EXECUTE seen"), before, "{revoke}");
                let mut open = database.connect(APP);
                open.batch_execute(&format!(
                    "{plan}; SET deskguard.agent_id = 3; SET plan_cache_mode = force_generic_plan;
                     PREPARE seen AS SELECT id FROM \"Thing\""
                ))
                .unwrap();
                open.batch_execute(&format!("BEGIN ISOLATION LEVEL {isolation}"))
                    .unwrap();
                assert_eq!(things(&mut open, "EXECUTE seen"), before, "{revoke}");

                superuser
                    .batch_execute(&format!("BEGIN; {revoke}"))
                    .unwrap();
                assert_eq!(
                    things(&mut app, "EXECUTE seen"),
                    before,
                    "{revoke}, not committed"
                );
                superuser.batch_execute("ROLLBACK").unwrap();
                assert_eq!(
                    things(&mut app, "EXECUTE seen"),
                    before,
                    "{revoke}, rolled back"
                );

                superuser.batch_execute(revoke).unwrap();
                let after = things(&mut app, "EXECUTE seen");
                assert!(after.len() < before.len(), "{plan}, {revoke}: {after:?}");
                // In an open transaction: the same, or an error that says to try again.
                match open.simple_query("EXECUTE seen") {
                    Err(error) => {
                        assert_eq!(error.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE));
                        open.batch_execute("ROLLBACK").unwrap();
                    }
                    Ok(_) => {
                        assert_eq!(things(&mut open, "EXECUTE seen"), after, "{plan}, {revoke}")
                    }
                }
                assert_eq!(things(&mut open, "SELECT id FROM \"Thing\""), after);
                superuser.batch_execute(grant).unwrap();
            }
        }
    }
}

#[test]
fn unprotected_tables_are_as_before_and_dumped_ones_as_protected() {
    let database = Database::with_deskguard("undone");
    let mut superuser = database.superuser();
    superuser.batch_execute(SMALL).unwrap();
    let before = database.dump();
    superuser.batch_execute(PROTECT).unwrap();
    let protected = database.dump();
    assert_ne!(before, protected);

    let restored = Database::empty("restored");
    let file = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("shared.dump");
    let mut save = database.program("pg_dump");
    save.arg("--file").arg(&file);
    assert!(save.status().unwrap().success());
    let mut restore = restored.program("psql");
    restore.args(["-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-f"]);
    assert!(restore.arg(&file).status().unwrap().success());
    std::fs::remove_file(&file).unwrap();
    assert_eq!(restored.dump(), protected);
    for database in [&database, &restored] {
        let mut app = app(database, 3);
        let seen = things(&mut app, "SELECT id FROM \"Thing\"");
        assert_eq!(seen, BTreeSet::from([1, 2]));
        let labels = things(&mut app, "SELECT id FROM label");
        assert_eq!(labels, BTreeSet::from([1, 2]));
        act_for(&mut app, 1);
        app.batch_execute(
            "DELETE FROM \"Thing\" WHERE id = 1; INSERT INTO \"Thing\" VALUES (1, 1, 1)",
        )
        .unwrap();
        act_for(&mut app, 3);
        let seen = things(&mut app, "SELECT id FROM \"Thing\"");
        assert_eq!(seen, BTreeSet::from([2]));
        act_for(&mut app, None);
        assert!(things(&mut app, "SELECT id FROM label").is_empty());
        let mut superuser = database.superuser();
        let renamed =
            superuser.batch_execute("ALTER POLICY deskguard_view ON parted RENAME TO mine");
        assert!(renamed.is_err());
        superuser
            .batch_execute(
                "SELECT deskguard.unprotect('\"Thing\"'); SELECT deskguard.unprotect('parted');
                 SELECT deskguard.unprotect('label');
                 TRUNCATE \"Thing\"; INSERT INTO \"Thing\"
                 SELECT g, CASE WHEN g < 4 THEN 1 ELSE 2 END, g FROM generate_series(1, 4) AS g",
            )
            .unwrap();
        assert_eq!(database.dump(), before);
        for table in [
            "deskguard.shared_visibility",
            "deskguard_internal.protected_feature",
            "deskguard_internal.protected_table",
            "deskguard_internal.shared_table",
        ] {
            let left = things(&mut superuser, &format!("SELECT count(*) FROM {table}"));
            assert_eq!(left, BTreeSet::from([0]), "{table}");
        }
    }
}
