//! From one major of PostgreSQL to another: by dump and by pg_upgrade. `make upgrade-test` runs these, which need two
//! servers.

use std::env;

use deskguard_tests::help_desk::Partitioning;
use deskguard_tests::server::{Cluster, Database};

use crate::desk;
use crate::programs::restore_into;
use crate::random::without_the_extension_it_is_closed;
use crate::workplace;

/// DESKGUARD_FROM and DESKGUARD_TO.
fn majors() -> [String; 2] {
    ["DESKGUARD_FROM", "DESKGUARD_TO"]
        .map(|name| env::var(name).expect("make upgrade-test sets it"))
}

fn random_desk() -> deskguard_tests::help_desk::HelpDesk {
    desk::find("partitioned by department", |desk| {
        desk.table.partitioning == Partitioning::ByDepartment && desk.table.schema != "helpdesk"
    })
}

#[test]
#[ignore = "needs two majors: make upgrade-test"]
fn a_dump_of_an_older_one() {
    let [from, to] = majors();
    let old = Cluster::of(&from, &[]);
    let new = Cluster::of(&to, &[]);
    old.server().make_roles();
    new.server().make_roles();
    let original = Database::empty_on(old.server(), "old").add_deskguard();
    workplace::build(&original);
    let before = workplace::picture(&original);
    workplace::is_telling(&before);
    for options in [&[][..], &["--jobs=8"]] {
        let restored = Database::empty_on(new.server(), "new");
        restore_into(&original, &restored, options);
        workplace::same(&before, &workplace::picture(&restored));
    }
}

#[test]
#[ignore = "needs two majors: make upgrade-test"]
fn pg_upgrade() {
    let [from, to] = majors();
    let mut cluster = Cluster::of(&from, &[]);
    cluster.server().make_roles();
    let mut work = Database::empty_on(cluster.server(), "work").add_deskguard();
    workplace::build(&work);
    let work_before = workplace::picture(&work);
    workplace::is_telling(&work_before);
    let random = random_desk();
    let mut desk = desk::load_into(
        &random,
        Database::empty_on(cluster.server(), "random").add_deskguard(),
    );
    let desk_before = desk::picture(&desk, &random);

    cluster = cluster.upgraded_to(&to);
    work.moved_to(cluster.server());
    desk.moved_to(cluster.server());
    workplace::same(&work_before, &workplace::picture(&work));
    workplace::same(&desk_before, &desk::picture(&desk, &random));

    // What comes after is as on the first day.
    let again = Database::empty_on(cluster.server(), "again");
    restore_into(&work, &again, &["--jobs=8"]);
    workplace::same(&work_before, &workplace::picture(&again));
    work.superuser()
        // A table that only has features is open to what its own policies allow.
        .batch_execute(
            "SET client_min_messages = error; DROP EXTENSION deskguard CASCADE; DROP POLICY everyone ON desk.label",
        )
        .unwrap();
    workplace::is_closed(&work);
    without_the_extension_it_is_closed(&desk, &random);
}
