//! Databases with sessions that last for many help desks.

use std::collections::BTreeMap;

use deskguard_tests::help_desk::{Access, Case, HelpDesk, catalog};
use deskguard_tests::lab::{Outcome, query, same, try_run};
use deskguard_tests::server::{APP, Database, MAPPED, OWNER};
use deskguard_tests::{ident, literal};
use postgres::Client;

/// One for each value of deskguard.default_category_access, which sessions get at their start.
#[derive(Default)]
pub struct Labs {
    silo: Option<Lab>,
    open: Option<Lab>,
}

impl Labs {
    pub fn of(&mut self, access: Access) -> &mut Lab {
        let lab = match access {
            Access::Silo => &mut self.silo,
            Access::Open => &mut self.open,
        };
        // A crash of the server must not hide behind "connection closed" while shrinking.
        if lab.as_ref().is_some_and(|lab| lab.superuser.is_closed()) {
            *lab = None;
        }
        lab.get_or_insert_with(|| Lab::new(access))
    }
}

pub struct Lab {
    pub superuser: Client,
    pub owner: Client,
    pub app: Client,
    pub mapped: Vec<Client>,
    pub _database: Database,
}

/// Notes which rows a command really changed, whatever its session may see of them.
const PROBE: &str = "
CREATE SCHEMA probe;
CREATE TABLE probe.touched (id text);
CREATE FUNCTION probe.touch() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO probe.touched VALUES
        (to_jsonb(CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END) ->> TG_ARGV[0]);
    RETURN NULL;
END $$;
GRANT USAGE ON SCHEMA probe TO PUBLIC;
GRANT SELECT ON probe.touched TO PUBLIC;";

impl Lab {
    fn new(access: Access) -> Self {
        let database = Database::with_deskguard("oracle");
        let mut superuser = database.superuser();
        let access = match access {
            Access::Silo => "silo",
            Access::Open => "open",
        };
        superuser
            .batch_execute(&format!(
                "ALTER DATABASE {} SET deskguard.default_category_access = '{access}'; {PROBE}",
                database.name()
            ))
            .unwrap();
        let rows = superuser
            .query(
                "SELECT name::text, destructive FROM deskguard.permission ORDER BY 1",
                &[],
            )
            .unwrap();
        let found: BTreeMap<String, bool> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
        let wanted = catalog().into_iter().map(|p| (p.name, p.destructive));
        assert_eq!(found, wanted.collect(), "the starting catalog");
        Lab {
            // Anew, for the setting just made.
            superuser: database.superuser(),
            owner: database.connect(OWNER),
            app: database.connect(APP),
            mapped: MAPPED.map(|role| database.connect(role)).into(),
            _database: database,
        }
    }

    pub fn load(&mut self, desk: &HelpDesk) -> Outcome {
        let table = &desk.table;
        try_run(&mut self.superuser, &desk.load_sql())?;
        let protector = if table.protected_by_owner {
            &mut self.owner
        } else {
            &mut self.superuser
        };
        try_run(protector, &table.protect_sql())?;
        try_run(
            &mut self.superuser,
            &format!(
                "CREATE TRIGGER probe AFTER INSERT OR UPDATE OR DELETE ON {} \
                 FOR EACH ROW EXECUTE FUNCTION probe.touch({})",
                table.sql(),
                literal(table.id.name)
            ),
        )
    }

    /// Also after a failed case, and whatever that left.
    pub fn clean(&mut self, case: &Case) -> Outcome {
        for client in [&mut self.superuser, &mut self.owner, &mut self.app]
            .into_iter()
            .chain(&mut self.mapped)
        {
            try_run(client, "ROLLBACK; RESET ROLE; RESET deskguard.agent_id")?;
        }
        let table = &case.desk.table;
        let there = "SELECT to_regclass($1) IS NOT NULL";
        if query(&mut self.superuser, there, &[&table.sql()])?[0].get(0) {
            if case.unprotect {
                try_run(&mut self.superuser, &table.unprotect_sql())?;
                self.assert_unprotected(&case.desk)?;
            }
            try_run(&mut self.superuser, &table.drop_sql())?;
        }
        try_run(&mut self.superuser, HelpDesk::clean_sql())?;
        let left = query(
            &mut self.superuser,
            "SELECT * FROM deskguard_internal.protected_table",
            &[],
        )?;
        same(
            "rows of protected_table after the table is gone",
            left.len(),
            0,
        )
    }

    fn assert_unprotected(&mut self, desk: &HelpDesk) -> Outcome {
        let left = query(
            &mut self.superuser,
            "SELECT 'policy ' || polname FROM pg_policy \
             UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid \
             WHERE NOT tgisinternal AND tgname <> 'probe' AND c.relnamespace = $1::text::regnamespace \
             UNION ALL SELECT 'row security of ' || relname FROM pg_class \
             WHERE relrowsecurity OR relforcerowsecurity",
            &[&ident(desk.table.schema)],
        )?;
        let left: Vec<String> = left.iter().map(|row| row.get(0)).collect();
        same("left by unprotect", left, Vec::new())
    }
}
