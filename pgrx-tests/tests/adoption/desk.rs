//! A help desk of a product, in a database of its own.

use deskguard_tests::lab::{run, texts, value};
use deskguard_tests::server::{APP, Database};
use postgres::{Client, Error};

use crate::compare;
use crate::compare::Met;
use crate::product::Product;

pub struct Desk {
    superuser: Client,
    app: Client,
    /// Last: the sessions end before it is dropped.
    _database: Database,
}

impl Desk {
    pub fn new(product: &Product, seed: f64) -> Desk {
        let database = Database::with_deskguard(product.folder);
        let mut superuser = database.superuser();
        run(&mut superuser, &format!("SELECT setseed({seed})"));
        for script in [
            include_str!("common.sql"),
            product.schema,
            product.rows,
            product.rule,
            product.changes,
        ] {
            run(&mut superuser, script);
        }
        run(
            &mut superuser,
            &format!(
                "GRANT USAGE ON SCHEMA public, rule TO {APP};
                 GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {APP};
                 GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {APP};
                 GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rule TO {APP};
                 ANALYZE"
            ),
        );
        Desk {
            superuser,
            app: database.connect(APP),
            _database: database,
        }
    }

    pub fn adopt(&mut self, statements: &[String]) {
        if let Err(error) = self.try_adopt(statements) {
            panic!("{error:?}");
        }
    }

    pub fn try_adopt(&mut self, statements: &[String]) -> Result<(), Error> {
        for statement in statements {
            // The page has the application's role under a name of its own.
            let statement = statement.replace("helpdesk_app", APP);
            self.superuser
                .batch_execute(&statement)
                .inspect_err(|error| println!("{statement}\n{error:?}"))?;
        }
        Ok(())
    }

    /// Members and rights are changed by an ordinary role, tickets by one whom the rules do not stop.
    pub fn change(&mut self, times: usize) {
        let seed: f64 = value(&mut self.superuser, "SELECT random()");
        run(&mut self.app, "RESET deskguard.agent_id");
        run(&mut self.app, &format!("SELECT setseed({seed})"));
        for _ in 0..times {
            run(&mut self.app, "SELECT rule.change_rights()");
            run(&mut self.superuser, "SELECT rule.change_tickets()");
        }
    }

    pub fn suggested(&mut self) -> String {
        let sql = "SELECT deskguard.suggest_protection('public')";
        texts(&mut self.app, sql).join("\n")
    }

    /// What differs from the product's own rules, a line each.
    pub fn compare(&mut self, met: &mut Met) -> Vec<String> {
        compare::compare(&mut self.superuser, &mut self.app, met)
    }
}
