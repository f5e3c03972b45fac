//! A check of the check: with a fault that was planted, each part of the watch must raise the alarm.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::desk::{ANN_ID, BOB_ID, EVE_ID};
use crate::episodes::{self, Limit};
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

const PLANTS: [Plant; 6] = [
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
        episodes::run(&place.world, "plants", limit, None);
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
