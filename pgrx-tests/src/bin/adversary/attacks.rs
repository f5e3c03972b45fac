//! Attacks that chance alone would find late: acting for others by code that runs while deskguard asks
//! for them, ids that stand for several rows, and values that are guessed.

use deskguard_tests::help_desk::Id;

use crate::desk::{AGENTS, ANN, APP, BOB, EVE, NOBODY, Place, Rule};
use crate::generator::Generator;
use crate::random::Random;
use crate::session::{Session, Terms, World};
use crate::twins;

/// Somebody who owns a protected table asks what others may do with its rows. Code of the attacker that
/// runs meanwhile must still act for the attacker.
pub fn impersonate(world: &World, part: &str, rounds: u64) {
    let mut session = Session::new(world, EVE);
    for round in 0..rounds {
        let mut random = Random::new(world.seed, part, round);
        session.start(format!("part {part}, round {round}"));
        session.quick("BEGIN");
        session.quick(
            "CREATE TABLE lair.own (id bigint PRIMARY KEY, dept bigint, owner bigint, body text)",
        );
        session.quick(
            "INSERT INTO lair.own SELECT n, 1 + n % 4, 4, 'x' FROM generate_series(1, 20) AS n",
        );
        let traps = [
            "ALTER TABLE lair.own ADD CHECK (lair.spy(1)); SET LOCAL constraint_exclusion = on",
            "CREATE INDEX ON lair.own (id) WHERE lair.spy(1)",
            "CREATE INDEX ON lair.own (lair.spy(id)); ANALYZE lair.own",
            "CREATE STATISTICS lair.s ON (lair.spy(id)), dept FROM lair.own; ANALYZE lair.own",
            "CREATE POLICY p ON lair.own AS RESTRICTIVE USING (lair.spy(1))",
            "CREATE POLICY p ON lair.own AS RESTRICTIVE USING (lair.look())",
            "ALTER TABLE lair.own ADD COLUMN g boolean GENERATED ALWAYS AS (lair.spy(id)) STORED",
            "CREATE DOMAIN lair.checked AS bigint CHECK (lair.spy(VALUE)); ALTER TABLE lair.own ALTER dept TYPE lair.checked",
        ];
        for _ in 0..1 + random.below(2) {
            let trap = *random.pick(&traps);
            attempt(&mut session, trap, Terms::of("trap"));
        }
        let protect = *random.pick(&[
            "SELECT deskguard.protect_tickets('lair.own', department_column => 'dept')",
            "SELECT deskguard.protect_tickets('lair.own', department_column => 'dept', requester_column => 'owner', requester_team_column => 'dept')",
            "SELECT deskguard.protect_shared('lair.own', owner_column => 'owner')",
        ]);
        attempt(&mut session, protect, Terms::of("trap"));
        // The plan for an agent may be kept: again and again.
        for _ in 0..6 {
            let agent = *random.pick(&AGENTS);
            let question = match random.below(8) {
                0 | 1 => format!("SELECT * FROM deskguard.visible_tickets({agent}, 'lair.own')"),
                2 => format!("SELECT * FROM deskguard.visible_ticket_keys({agent}, 'lair.own')"),
                3 => format!("SELECT deskguard.agent_can_view({agent}, 3::bigint, 'lair.own')"),
                4 => format!(
                    "SELECT deskguard.explain_access({agent}, 3::bigint, 'view', 'lair.own')"
                ),
                5 => "SELECT * FROM deskguard.agents_who_can('view', 3::bigint, 'lair.own')".into(),
                6 => format!("SELECT deskguard.share('lair.own', 3::bigint, agent_id => {agent})"),
                _ => "SELECT * FROM lair.own WHERE lair.look()".into(),
            };
            let terms = Terms::of("impersonation");
            if attempt(&mut session, &question, terms) {
                break;
            }
        }
        session.quick("ROLLBACK");
    }
}

/// Pairs of statements that differ in a guessed value, many in a row.
pub fn guess(world: &World, part: &str, rounds: u64) {
    let mut sessions = [ANN, BOB, EVE, APP, NOBODY].map(|role| Session::new(world, role));
    for round in 0..rounds {
        let mut random = Random::new(world.seed, part, round);
        let session = &mut sessions[random.below(5)];
        session.start(format!("part {part}, round {round}"));
        session.quick("BEGIN");
        if session.role == APP {
            let agent = *random.pick(&AGENTS);
            session.quick(&format!("SET LOCAL deskguard.agent_id = {agent}"));
            session.agent = Some(agent);
        }
        let mut generator = Generator::new(random, &world.desk, &world.functions, world.version);
        for _ in 0..generator.random.below(3) {
            let setting = generator.setting();
            session.quick(&setting);
        }
        for _ in 0..10 {
            twins::run(session, &mut generator);
            if !session.in_transaction() {
                break;
            }
        }
        session.quick("ROLLBACK");
    }
}

/// True if the connection was lost.
fn attempt(session: &mut Session, sql: &str, terms: Terms) -> bool {
    let before = session.state();
    let lost = session.query(&format!("SAVEPOINT s; {sql}"), &terms).lost;
    if session.failed_transaction() {
        session.quick("ROLLBACK TO s");
        session.restore(before);
    }
    lost
}

/// Makes a row with the id of a hidden one, and looks whether it opens what belongs to that.
pub fn take_over_ids(world: &World, part: &str, rounds: u64) {
    let mut sessions = [ANN, BOB, EVE, APP].map(|role| Session::new(world, role));
    for round in 0..rounds {
        let mut random = Random::new(world.seed, part, round);
        let session = &mut sessions[random.below(4)];
        session.start(format!("part {part}, round {round}"));
        session.quick("BEGIN");
        if session.role == APP {
            let agent = *random.pick(&[2, 3, 4, 5, 8, 9, 11]);
            session.quick(&format!("SET LOCAL deskguard.agent_id = {agent}"));
            session.agent = Some(agent);
        }
        let agent = session.agent.expect("an agent");
        let hidden: Vec<Place> = world
            .desk
            .hidden(Some(agent))
            .into_iter()
            .filter(|place| {
                matches!(
                    world.desk.tables[place.table].rule,
                    Rule::Ticket(_) | Rule::Shared
                )
            })
            .collect();
        if hidden.is_empty() {
            session.quick("ROLLBACK");
            continue;
        }
        let place = *random.pick(&hidden);
        take_over(session, place, agent, &mut random);
        session.quick("ROLLBACK");
    }
    // Keys that are checked at the end of the transaction only.
    deferred(&mut sessions[2]);
}

fn take_over(session: &mut Session, place: Place, agent: Id, random: &mut Random) {
    let desk = &session.world.desk;
    let table = &desk.tables[place.table];
    let (name, id) = (table.name, &desk.row(place).id);
    // Each of them is somebody's place.
    let (dept, cat) = (1 + random.below(5), 1 + random.below(8));
    let insert = match name {
        "desk.ticket" => format!(
            "INSERT INTO desk.ticket (id, subject, dept, cat, assignee, requester) VALUES ({id}, 'mine', {dept}, {cat}, {agent}, {agent})"
        ),
        "part.ticket" => {
            let created = *random.pick(&["2026-12-31", "2027-12-31", "2030-01-01"]);
            format!(
                "INSERT INTO part.ticket (id, created, subject, dept, assignee) VALUES ({id}, '{created}', 'mine', {dept}, {agent})"
            )
        }
        "keyed.ticket" => format!(
            "INSERT INTO keyed.ticket (id, subject, dept, cat) VALUES ('{id}', 'mine', {dept}, '{}')",
            cat + 100
        ),
        "desk.response" => {
            format!("INSERT INTO desk.response (id, owner, body) VALUES ({id}, {agent}, 'mine')")
        }
        _ => format!("INSERT INTO {name} (id, body) VALUES ('{id}', 'mine')"),
    };
    let terms = Terms::of("id taken over");
    // The row is its own; nothing is handed over by it, so that what is hidden stays so.
    let mut steps = vec![insert];
    steps.extend([
        "SELECT * FROM part.ticket".into(),
        "SELECT * FROM part.message, part.attachment".into(),
        "SELECT * FROM part.follower".into(),
        "UPDATE part.message SET body = body RETURNING *".into(),
        format!(
            "INSERT INTO part.follower (ticket_id, agent_id, type) SELECT {}, {agent}, 'Ticket'",
            if name == "part.ticket" {
                id.as_str()
            } else {
                "1"
            }
        ),
        "SELECT * FROM part.ticket".into(),
        "DELETE FROM part.message RETURNING *".into(),
        "SELECT * FROM desk.message, desk.attachment".into(),
        "SELECT * FROM keyed.message".into(),
    ]);
    if name.ends_with("response") || name.ends_with("filter") {
        steps.push(format!(
            "SELECT deskguard.share('{name}', '{id}'::text, agent_id => {agent})"
        ));
        steps.push(format!("SELECT * FROM {name}"));
    }
    for step in steps {
        if attempt(session, &step, terms.clone()) {
            return;
        }
        // Who follows a ticket may do more with it, and with what belongs to it.
        if step.starts_with("INSERT INTO part.follower") {
            session.unchanged = false;
        }
    }
}

/// A ticket table of the attacker's whose key is deferrable holds rows of others only if deskguard lets it be protected.
fn deferred(session: &mut Session) {
    session.start("deferrable keys".into());
    session.quick("BEGIN");
    for sql in [
        "CREATE TABLE lair.own (id bigint PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, dept int, subject text)",
        "INSERT INTO lair.own VALUES (1, 4, 'other')",
        "CREATE TABLE lair.messages (id bigint PRIMARY KEY, ticket_id bigint, body text)",
        "INSERT INTO lair.messages VALUES (1, 1, 'secret of other')",
        "SELECT deskguard.protect_tickets('lair.own', department_column => 'dept')",
        "SELECT deskguard.protect_messages('lair.messages', 'lair.own')",
        "INSERT INTO lair.own VALUES (1, 3, 'mine')",
    ] {
        attempt(session, sql, Terms::of("deferrable key"));
    }
    let seen = session.query(
        "SELECT body FROM lair.messages",
        &Terms::of("deferrable key"),
    );
    if seen
        .rows
        .iter()
        .flatten()
        .flatten()
        .any(|body| body.contains("secret"))
    {
        session
            .world
            .watch
            .alarm("leak through a deferrable key", || {
                session.story("the message of a hidden ticket")
            });
    }
    session.quick("ROLLBACK");
}
