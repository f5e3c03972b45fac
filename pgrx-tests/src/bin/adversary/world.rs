//! A database with the help desk of a seed.

use std::sync::Arc;

use deskguard_tests::server::Database;

use crate::desk::{ANN, APP, BOB, BOSS, DUAL, Desk, EVE, NOBODY, PartKey, ROLES};
use crate::random::Random;
use crate::session::{Function, World};
use crate::watch::Watch;
use crate::wire::Address;

/// The database is dropped with it.
pub struct Place {
    pub world: World,
    pub database: Database,
}

/// Roles belong to the cluster: made once.
pub fn make_roles() {
    let mut sql = String::new();
    for role in ROLES.iter().chain(&["deskguard_adversary_user"]) {
        sql += &format!(
            "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE {role} LOGIN; END IF; END $$;\n"
        );
    }
    for role in [BOSS, ANN, BOB, EVE, APP, NOBODY] {
        sql += &format!("GRANT deskguard_adversary_user TO {role};\n");
    }
    sql += &format!("GRANT {ANN}, {BOB} TO {DUAL};\n");
    let database = Database::empty("adversary");
    database.superuser().batch_execute(&sql).expect("the roles");
}

impl Place {
    pub fn new(seed: u64, own_policies: bool, watch: &Arc<Watch>) -> Place {
        let database = Database::with_deskguard("adversary");
        let mut superuser = database.superuser();
        let desk = Desk::new(seed, own_policies);
        let mut run = |sql: &str| {
            superuser.batch_execute(sql).map_err(|error| {
                error
                    .as_db_error()
                    .map_or(error.to_string(), |error| format!("{error:?}"))
            })
        };
        let mut load = |partitioning| {
            run(&desk.load_sql(partitioning))?;
            run(&desk.protect_sql())
        };
        if let Err(first) = load(PartKey::Created) {
            // Perhaps it refuses ids that may stand for several rows.
            run("ROLLBACK").expect("it is over");
            println!("the help desk with PRIMARY KEY (id, created) is refused: {first}");
            load_again(&database, &desk);
        }
        let grants = "DO $$ DECLARE f regprocedure; BEGIN
            FOR f IN SELECT p.oid FROM pg_proc AS p WHERE p.pronamespace = 'deskguard'::regnamespace AND p.proname ~ '^(protect_|unprotect|create_help)'
                AND p.prorettype = 'void'::regtype LOOP
                EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO deskguard_adversary_eve', f);
            END LOOP; END $$";
        superuser.batch_execute(grants).expect("the grants");
        // Trusted sessions search by index, and of the others some.
        for role in [ANN, EVE] {
            let searches = format!(
                "ALTER ROLE {role} IN DATABASE {} SET deskguard.search_index = 'on'",
                database.name()
            );
            superuser.batch_execute(&searches).expect("a setting");
        }
        // The log is for what ends the server.
        let quiet = format!(
            "ALTER DATABASE {} SET log_min_messages = fatal",
            database.name()
        );
        superuser.batch_execute(&quiet).expect("a setting");
        let functions = superuser
            .query(
                "SELECT n.nspname || '.' || p.proname, ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) AS t),
                     format_type(p.prorettype, NULL), p.proretset, has_function_privilege('deskguard_adversary_nobody', p.oid, 'EXECUTE')
                 FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname ~ '^deskguard' ORDER BY p.proname, p.oid",
                &[],
            )
            .expect("the functions");
        let functions = functions
            .iter()
            .map(|row| Function {
                name: row.get(0),
                arguments: row.get(1),
                returns: row.get(2),
                set: row.get(3),
                public: row.get(4),
            })
            .collect();
        let version = superuser
            .query_one("SELECT current_setting('server_version_num')::int", &[])
            .expect("the version")
            .get::<_, i32>(0);
        let world = World {
            address: Address::of_environment(),
            database: database.name().into(),
            desk,
            watch: Arc::clone(watch),
            seed,
            version: version as u32,
            functions,
        };
        Place { world, database }
    }
}

impl Place {
    /// Turns one thing in the database and in the desk.
    pub fn turn(&mut self, random: &mut Random) {
        let sql = self.world.desk.turn(random);
        let mut superuser = self.database.superuser();
        let turned = superuser.batch_execute(&sql);
        turned.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    }
}

/// In place of what a failed attempt has left.
fn load_again(database: &Database, desk: &Desk) {
    let mut superuser = database.superuser();
    superuser
        .batch_execute(
            "DROP EXTENSION deskguard CASCADE; DROP SCHEMA IF EXISTS desk, part, keyed, lair CASCADE; CREATE EXTENSION deskguard",
        )
        .expect("an empty database");
    let sql = desk.load_sql(PartKey::Id) + &desk.protect_sql();
    superuser
        .batch_execute(&sql)
        .unwrap_or_else(|error| panic!("the help desk: {error:?}"));
}
