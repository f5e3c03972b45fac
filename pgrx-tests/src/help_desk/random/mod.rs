//! Random help desks.

mod assemble;
mod followers;
mod keys;
mod picks;
mod table;

use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::{Access, Case, Id, Level, Scope, TicketTable, Time, catalog};
use crate::server::MAPPED;
use assemble::{OWN_PERMISSIONS, assemble};
use followers::{FollowerPicks, follower_picks};
use keys::{Forms, KeyPick, key_picks};
use picks::{TicketPicks, ids, mostly, ticket_picks};
use table::ticket_table;

pub use followers::{TypePick, row_type, type_pick};
pub use keys::kind;

const GROUP_NAMES: [&str; 4] = [
    "Trainees",
    "Staff's \"A\" team",
    "Führung",
    "agent managers",
];

/// Everything that depends on nothing else; cut and resolved by `assemble`.
#[derive(Clone, Debug)]
struct Raw {
    default_open: bool,
    agent_ids: Vec<Id>,
    odd_agent: Option<Id>,
    agents: Vec<(bool, Option<Access>, Option<usize>)>,
    team_ids: Vec<Id>,
    team_members: Vec<bool>,
    department_ids: Vec<Id>,
    department_parents: Vec<Option<usize>>,
    departments_descend: bool,
    category_ids: Vec<Id>,
    own_permissions: (bool, bool),
    groups: Vec<(Access, bool, Scope)>,
    group_members: Vec<bool>,
    builtin_members: Vec<(bool, bool)>,
    group_permissions: Vec<(bool, Vec<bool>)>,
    agent_permissions: Vec<(bool, Vec<bool>)>,
    group_departments: Vec<(usize, usize, Level)>,
    agent_departments: Vec<(usize, usize, Level)>,
    group_categories: Vec<(usize, usize)>,
    agent_categories: Vec<(usize, usize)>,
    table: TicketTable,
    forms: Forms,
    keys: [(Vec<KeyPick>, bool); 4],
    tickets: Vec<TicketPicks>,
    wide_ticket_id: bool,
    followers: Vec<FollowerPicks>,
    new_tickets: Vec<TicketPicks>,
    changes: Vec<(usize, usize, TicketPicks)>,
    follows: Vec<FollowerPicks>,
    unprotect: bool,
    times: Vec<Time>,
}

/// Most help desks know no times.
fn times() -> impl Strategy<Value = Vec<Time>> {
    let time = prop_oneof![
        6 => Just(Time::Always),
        1 => Just(Time::Begun),
        2 => Just(Time::ToEnd),
        1 => Just(Time::Within),
        1 => Just(Time::Ended),
        2 => Just(Time::ToBegin),
    ];
    prop_oneof![2 => Just(vec![Time::Always]), 1 => vec(time, 20)]
}

const MOST_AGENTS: usize = 5;

/// A random help desk and what to try on it.
pub fn cases() -> impl Strategy<Value = Case> {
    let access = || select(vec![Access::Silo, Access::Open]);
    let scope = || select(vec![Scope::Everywhere, Scope::Granted]);
    let level = || select(vec![Level::Assign, Level::Full]);
    let nth = || 0..60usize;
    let most_permissions = catalog().len() + OWN_PERMISSIONS.len();
    let holds = move |uses, share| (weighted(uses), vec(weighted(share), most_permissions));
    let principals = (
        any::<bool>(),
        ids(MOST_AGENTS),
        proptest::option::weighted(0.15, select(vec![0, -1])),
        vec(
            (
                weighted(0.88),
                proptest::option::weighted(0.5, access()),
                proptest::option::weighted(0.3, 0..MAPPED.len()),
            ),
            MOST_AGENTS,
        ),
        ids(3),
        vec(weighted(0.35), MOST_AGENTS * 3),
    );
    let labels = (
        ids(6),
        vec(proptest::option::weighted(0.65, nth()), 6),
        any::<bool>(),
        ids(4),
        (any::<bool>(), any::<bool>()),
    );
    let groups = (
        vec((access(), weighted(0.1), scope()), 0..=GROUP_NAMES.len()),
        vec(weighted(0.4), MOST_AGENTS * GROUP_NAMES.len()),
        vec((weighted(0.06), weighted(0.06)), MOST_AGENTS),
    );
    let grants = (
        vec(holds(0.8, 0.4), GROUP_NAMES.len()),
        vec(holds(0.5, 0.25), MOST_AGENTS),
        mostly(9, (nth(), nth(), level())),
        mostly(8, (nth(), nth(), level())),
        vec((nth(), nth()), 0..7),
        vec((nth(), nth()), 0..8),
    );
    let tickets = (
        (
            ticket_table(),
            [key_picks(), key_picks(), key_picks(), key_picks()],
        ),
        mostly(12, ticket_picks()),
        weighted(0.3),
        mostly(8, follower_picks(1)),
    );
    let probes = (
        vec(ticket_picks(), 2..=4),
        vec((nth(), nth(), ticket_picks()), 6..=12),
        vec(follower_picks(0), 2..=5),
        any::<bool>(),
        times(),
    );
    (principals, labels, groups, grants, tickets, probes).prop_map(
        |(principals, labels, groups, grants, tickets, probes)| {
            let ((table, forms), keys) = tickets.0;
            assemble(Raw {
                default_open: principals.0,
                agent_ids: principals.1,
                odd_agent: principals.2,
                agents: principals.3,
                team_ids: principals.4,
                team_members: principals.5,
                department_ids: labels.0,
                department_parents: labels.1,
                departments_descend: labels.2,
                category_ids: labels.3,
                own_permissions: labels.4,
                groups: groups.0,
                group_members: groups.1,
                builtin_members: groups.2,
                group_permissions: grants.0,
                agent_permissions: grants.1,
                group_departments: grants.2,
                agent_departments: grants.3,
                group_categories: grants.4,
                agent_categories: grants.5,
                table,
                forms,
                keys,
                tickets: tickets.1,
                wide_ticket_id: tickets.2,
                followers: tickets.3,
                new_tickets: probes.0,
                changes: probes.1,
                follows: probes.2,
                unprotect: probes.3,
                times: probes.4,
            })
        },
    )
}
