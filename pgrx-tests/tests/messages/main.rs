//! Messages of random help desks and of one made by hand, and what hangs on them: every command must agree with the oracle.
//!
//! DESKGUARD_CASES (or a fifth of PROPTEST_CASES) sets how many help desks; DESKGUARD_SEED where to start.

mod desk;
mod rules;
mod session;
mod sql;

use deskguard_tests::help_desk::{Access, DANGLING, HelpDesk};
use deskguard_tests::lab::{Cases, Counts, Outcome, PLANS, act_for, both, fail, try_run};
use deskguard_tests::server::{APP, Database};
use deskguard_tests::worked::KINDS;
use postgres::Client;

use crate::desk::{Desk, desks, worked};
use crate::session::Session;

/// Plans that use indexes wherever they can, and others, for each of `PLANS`. Where a scan is switched off and there is
/// no other, plans seem to cost so much that each would be compiled.
const INDEXES: [&str; 4] = [
    "RESET enable_seqscan; RESET jit",
    "SET enable_seqscan = off; SET jit = off",
    "RESET enable_seqscan; RESET jit",
    "SET enable_seqscan = off; SET jit = off",
];

struct Lab {
    database: Database,
    superuser: Client,
    app: Client,
}

impl Lab {
    fn new() -> Lab {
        let database = Database::with_deskguard("messages");
        Lab {
            superuser: database.superuser(),
            app: database.connect(APP),
            database,
        }
    }

    fn check(&mut self, desk: &Desk, counts: &mut Counts) -> Outcome {
        let help_desk = desk.help_desk();
        let setting = match help_desk.default_category_access {
            Access::Silo => "silo",
            Access::Open => "open",
        };
        try_run(
            &mut self.superuser,
            &format!(
                "ALTER ROLE {APP} IN DATABASE {} SET deskguard.default_category_access = '{setting}'",
                self.database.name()
            ),
        )?;
        self.app = self.database.connect(APP);
        try_run(&mut self.superuser, &help_desk.load_sql())?;
        try_run(&mut self.superuser, &desk.load_sql())?;
        try_run(&mut self.superuser, &help_desk.table.protect_sql())?;
        try_run(&mut self.superuser, &desk.protect_sql())?;
        let agents = help_desk.agents.iter().map(|agent| Some(agent.id));
        for who in agents.chain([Some(DANGLING), None]) {
            act_for(&mut self.app, who);
            for (plan, indexes) in PLANS.into_iter().zip(INDEXES) {
                try_run(&mut self.app, &format!("{plan}; {indexes}"))?;
                let mut session = Session {
                    client: &mut self.app,
                    desk,
                    who,
                    counts,
                };
                let outcome = session
                    .reads()
                    .and_then(|()| session.explains())
                    .and_then(|()| session.replies())
                    .and_then(|()| session.edits());
                outcome
                    .map_err(|error| fail(format!("{error}\nas {who:?} with {plan}; {indexes}")))?;
            }
        }
        Ok(())
    }

    fn check_and_clean(&mut self, desk: &Desk, counts: &mut Counts) -> Outcome {
        let result = self.check(desk, counts);
        let cleaned = self.clean(desk);
        result.and(cleaned)
    }

    fn clean(&mut self, desk: &Desk) -> Outcome {
        try_run(&mut self.superuser, "ROLLBACK")?;
        try_run(&mut self.superuser, &desk.unload_sql())?;
        try_run(&mut self.superuser, HelpDesk::clean_sql())
    }
}

#[test]
fn messages_of_random_help_desks_are_guarded_as_by_the_oracle() {
    let mut lab = Lab::new();
    let mut counts = Counts::default();
    for kind in KINDS {
        if let Err(reason) = lab.check_and_clean(&worked(kind), &mut counts) {
            panic!("{reason}\n\non the help desk made by hand, of {kind:?}");
        }
    }
    let needed = both([
        "reply",
        "mass reply",
        "unread reply",
        "ON CONFLICT",
        "author",
        "attach",
        "attach to all",
        "merge",
        "move",
        "move all",
        "note",
        "mark",
        "mark all",
        "another type",
        "reply among others",
        "attach another type",
        "made another type",
        "all of a type",
    ]);
    // Each takes as long as several of the oracle's.
    Cases::of("messages", 40, 5).check(
        &desks(),
        &mut counts,
        &needed,
        |desk, counts| lab.check_and_clean(desk, counts),
        |desk| {
            [
                desk.help_desk().load_sql(),
                desk.load_sql(),
                desk.help_desk().table.protect_sql(),
                desk.protect_sql(),
            ]
            .concat()
        },
    );
}

#[test]
fn unprotect_brings_messages_back_as_they_were() {
    let database = Database::with_deskguard("messages_unprotect");
    let mut client = database.superuser();
    client
        .batch_execute(
            "CREATE TABLE ticket (id int PRIMARY KEY, assignee int);
             CREATE TABLE message (id int PRIMARY KEY, ticket_id int REFERENCES ticket, author int);
             CREATE TABLE attachment (message_id int);
             CREATE TABLE note (ticket_id int8) PARTITION BY LIST (ticket_id);
             CREATE TABLE note_1 PARTITION OF note DEFAULT;
             ALTER TABLE message ENABLE ROW LEVEL SECURITY;
             CREATE POLICY mine ON message USING (author > 0);
             ALTER TABLE note_1 FORCE ROW LEVEL SECURITY",
        )
        .unwrap();
    let before = database.dump();
    client
        .batch_execute(
            "SELECT deskguard.protect_tickets('ticket', assignee_column => 'assignee');
             SELECT deskguard.protect_messages('message', 'ticket', author_column => 'author');
             SELECT deskguard.protect_messages('attachment', 'message', 'message_id');
             SELECT deskguard.protect_messages('note', 'ticket')",
        )
        .unwrap();
    assert_ne!(database.dump(), before);
    client
        .batch_execute(
            "SELECT deskguard.unprotect('attachment'); SELECT deskguard.unprotect('message');
             SELECT deskguard.unprotect('note'); SELECT deskguard.unprotect('ticket')",
        )
        .unwrap();
    assert_eq!(database.dump(), before);
}
