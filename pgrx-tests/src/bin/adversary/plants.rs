//! A check of the check: with a fault that was planted, each part of the watch must raise the alarm.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::attacks;
use crate::desk::{ANN_ID, BOB_ID, EVE_ID};
use crate::episodes::{self, Limit};
use crate::session::World;
use crate::watch::Watch;
use crate::world::Place;

/// After so many statements it should have been found.
const STATEMENTS: u64 = 20_000;
const TIME: Duration = Duration::from_secs(120);

struct Plant {
    name: &'static str,
    /// What a superuser breaks.
    sql: &'static str,
    /// The oracle is told that visible rows are hidden.
    lies: bool,
    /// The alarm that it must raise.
    alarm: &'static str,
}

const PLANTS: [Plant; 12] = [
    Plant {
        name: "an oracle that calls visible rows hidden",
        sql: "",
        lies: true,
        alarm: "leak",
    },
    Plant {
        name: "a table that is not protected any more",
        sql: "SELECT deskguard.unprotect('desk.attachment'), deskguard.unprotect('desk.message')",
        lies: false,
        alarm: "leak in row",
    },
    Plant {
        name: "changes without policies",
        sql: "SELECT deskguard.unprotect('desk.response')",
        lies: false,
        alarm: "write",
    },
    Plant {
        name: "scoped groups whose permissions hold everywhere",
        sql: "UPDATE deskguard.permission_group SET scope = 'everywhere' WHERE scope = 'granted'",
        lies: false,
        alarm: "leak",
    },
    Plant {
        name: "a scoped group that asks for no department",
        sql: "UPDATE deskguard.permission_group SET department_access = 'all' WHERE scope = 'granted'",
        lies: false,
        alarm: "leak",
    },
    Plant {
        name: "kinds of followers that do not count",
        sql: "SELECT deskguard.protect_tickets('desk.ticket', department_column => 'dept', category_column => 'cat', assignee_column => 'assignee',
            team_column => 'team', follower_table => 'desk.follower', status_column => 'status', archived_values => '{closed}',
            spam_values => '{spam}', confidential_column => 'conf', requester_column => 'requester', requester_team_column => 'org',
            drop_rules => true)",
        lies: false,
        alarm: "leak",
    },
    Plant {
        name: "followers of something else with a ticket's number",
        sql: "SELECT deskguard.protect_tickets('keyed.ticket', department_column => 'dept', category_column => 'cat', assignee_column => 'assignee',
            follower_table => 'keyed.follower', requester_column => 'requester', drop_rules => true)",
        lies: false,
        alarm: "leak",
    },
    Plant {
        name: "messages of something else with a ticket's number",
        sql: "SELECT deskguard.protect_messages('part.message', 'part.ticket', drop_rules => true)",
        lies: false,
        alarm: "leak in row",
    },
    Plant {
        name: "notes that are seen everywhere, not in a place",
        sql: "INSERT INTO deskguard.agent_permission (agent_id, permission) SELECT id, 'ticket.view.internal' FROM deskguard.agent",
        lies: false,
        alarm: "leak",
    },
    Plant {
        name: "a function that tells, marked leakproof",
        sql: "ALTER FUNCTION lair.tell(text) LEAKPROOF",
        lies: false,
        alarm: "leak in notice",
    },
    Plant {
        name: "a function that fails, marked leakproof",
        sql: "ALTER FUNCTION lair.fussy(text) LEAKPROOF",
        lies: false,
        alarm: "twins differ",
    },
    Plant {
        name: "an operator that fails for some values, on the list of those that come before policies",
        sql: "ALTER FUNCTION pg_catalog.int48div(int, bigint) LEAKPROOF COST 0.0001; ALTER FUNCTION pg_catalog.int8mi(bigint, bigint) LEAKPROOF COST 0.0001",
        lies: false,
        alarm: "twins differ",
    },
];

/// Pairs of statements only: among the others they come too seldom.
fn guess(world: &World, limit: Limit) {
    let ran = || world.watch.counts.statements.load(Ordering::Relaxed);
    let mut part = 0;
    while !limit.reached(world, ran()) {
        attacks::guess(world, &format!("plants{part}"), 10);
        part += 1;
    }
}

pub fn all_found(seed: u64, own_policies: bool) -> bool {
    let mut all = true;
    for plant in &PLANTS {
        let start = Instant::now();
        let watch = Arc::new(Watch::quiet());
        let mut place = Place::new(seed, own_policies, &watch);
        if !plant.sql.is_empty() {
            let sql = format!("SET allow_system_table_mods = on; {}", plant.sql);
            let mut superuser = place.database.superuser();
            superuser.batch_execute(&sql).expect("a planted fault");
        }
        if plant.lies {
            let desk = &mut place.world.desk;
            for agent in [ANN_ID, BOB_ID, EVE_ID] {
                let visible = desk.visible(Some(agent));
                for place in visible.into_iter().step_by(3) {
                    desk.hide(Some(agent), place);
                }
            }
        }
        let limit = Limit {
            statements: STATEMENTS,
            until: Some(start + TIME),
            alarms: 1,
            like: plant.alarm,
        };
        if plant.alarm.starts_with("twins") {
            guess(&place.world, limit);
        } else {
            episodes::run(&mut place, "plants", limit, None);
        }
        let ran = watch.counts.statements.load(Ordering::Relaxed);
        let found = watch.alarms_like(plant.alarm) > 0;
        all &= found;
        println!(
            "planted: {}: {} after {ran} statements, {} s",
            plant.name,
            if found { "found" } else { "NOT FOUND" },
            start.elapsed().as_secs()
        );
    }
    all
}
