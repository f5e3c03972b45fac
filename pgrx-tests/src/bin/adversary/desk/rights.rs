//! Who there is and who may do what; and the shapes of the ticket tables.

use std::collections::{BTreeMap, BTreeSet};

use deskguard_tests::help_desk::{
    Access, Agent, Column, Department, FollowerTable, Group, HelpDesk, Id, KeyForm, Kind, Level,
    Partitioning, Permission, Principal, Scope, StatusColumn, TicketTable, Time, WordKind, catalog,
};

use super::{ANN, ANN_ID, BOB, BOB_ID, BOSS, BOSS_ID, EVE, EVE_ID, KEY_SHIFT};
use crate::random::Random;

pub(super) const INVOICES: &str = "invoice.view";

fn column(name: &'static str, kind: Kind) -> Option<Column> {
    Some(Column { name, kind })
}

pub(super) fn bigint_table() -> TicketTable {
    TicketTable {
        schema: "desk",
        name: "ticket",
        id: Column {
            name: "id",
            kind: Kind::Int8,
        },
        department: column("dept", Kind::Int4),
        category: column("cat", Kind::Int4),
        assignee: column("assignee", Kind::Int4),
        team: column("team", Kind::Int4),
        requester: column("requester", Kind::Int4),
        requester_team: column("org", Kind::Int4),
        confidential: Some("conf"),
        status: Some(StatusColumn {
            name: "status",
            kind: WordKind::Text,
            lists: [("archived_values", "closed"), ("spam_values", "spam")]
                .map(|(list, status)| (list, vec![status]))
                .into(),
        }),
        status_type: "",
        follower: Some(FollowerTable {
            name: "follower",
            ticket: Column {
                name: "ticket_id",
                kind: Kind::Int8,
            },
            agent: Column {
                name: "agent_id",
                kind: Kind::Int8,
            },
            references: true,
            kinds: None,
            row_type: None,
        }),
        unassigned_value: None,
        agent_form: KeyForm::Uuid,
        partitioning: Partitioning::None,
        indexed: true,
        protected_by_owner: false,
        named_in_calls: true,
    }
}

pub(super) fn partitioned_table() -> TicketTable {
    TicketTable {
        schema: "part",
        category: None,
        team: None,
        requester: None,
        requester_team: None,
        confidential: None,
        status: None,
        ..bigint_table()
    }
}

pub(super) fn keyed_table() -> TicketTable {
    let mut table = bigint_table();
    table.schema = "keyed";
    table.id.kind = Kind::Uuid;
    table.category = column("cat", Kind::Text(KeyForm::Number));
    table.assignee = column("assignee", Kind::Uuid);
    table.requester = column("requester", Kind::Uuid);
    (table.team, table.requester_team) = (None, None);
    (table.confidential, table.status) = (None, None);
    let follower = table.follower.as_mut().expect("it has one");
    follower.ticket.kind = Kind::Uuid;
    follower.agent.kind = Kind::Uuid;
    table
}

/// Who there is and who may do what. Groups get a random part of what they may have.
pub(super) fn rights(random: &mut Random) -> HelpDesk {
    let agent = |id, db_role, category_access| Agent {
        id,
        active: id != 7,
        db_role,
        category_access,
    };
    let mut permissions = catalog();
    permissions.push(Permission {
        name: INVOICES.into(),
        destructive: false,
    });
    let group = |name, scope, category_access, all_departments| Group {
        name,
        scope,
        category_access,
        all_departments,
    };
    let groups = vec![
        group("staff", Scope::Everywhere, Access::Open, false),
        group("silo", Scope::Everywhere, Access::Silo, false),
        group("wide", Scope::Everywhere, Access::Silo, false),
        group("sales", Scope::Granted, Access::Open, false),
        group("shop", Scope::Granted, Access::Silo, false),
        group("clerks", Scope::Granted, Access::Silo, true),
        group("counter", Scope::Granted, Access::Open, false),
    ];
    let mut group_permissions = BTreeSet::new();
    for group in &groups {
        let is_scoped = group.scope == Scope::Granted;
        for permission in &permissions {
            let held = match permission.name.as_str() {
                "ticket.use" => !is_scoped || random.percent(85),
                "ticket.create" => group.name != "silo",
                // The staff's notes are for the others only where a scoped group says so.
                "ticket.view.internal" if !is_scoped => group.name == "staff",
                "ticket.view.confidential" => is_scoped && random.percent(50),
                "permission.audit" | "shared.manage" | INVOICES => random.percent(15),
                name if name.starts_with("ticket.view.") => random.percent(70),
                _ => random.percent(50),
            };
            if held {
                group_permissions.insert((group.name, permission.name.clone()));
            }
        }
    }
    HelpDesk {
        default_category_access: Access::Silo,
        agents: vec![
            agent(BOSS_ID, Some(BOSS), None),
            agent(ANN_ID, Some(ANN), None),
            agent(BOB_ID, Some(BOB), None),
            agent(EVE_ID, Some(EVE), None),
            agent(5, None, Some(Access::Open)),
            agent(6, None, Some(Access::Open)),
            agent(7, None, None),
            agent(8, None, None),
            agent(9, None, None),
            agent(10, None, Some(Access::Open)),
            agent(11, None, Some(Access::Silo)),
        ],
        // The third is an organization of customers.
        teams: vec![1, 2, 3],
        team_members: [(1, ANN_ID), (2, BOB_ID), (1, 5), (3, 9), (3, 10)].into(),
        departments: [(1, None), (2, Some(1)), (3, None), (4, None), (5, Some(4))]
            .map(|(id, parent)| Department { id, parent })
            .into(),
        categories: (1..=8).collect(),
        external_keys: external_keys(),
        permissions,
        groups,
        group_members: [
            ("All Permissions", BOSS_ID),
            ("All Permissions", 7),
            ("staff", ANN_ID),
            ("silo", BOB_ID),
            ("staff", EVE_ID),
            ("wide", 8),
            ("sales", BOB_ID),
            ("shop", BOB_ID),
            ("counter", EVE_ID),
            ("clerks", 6),
            ("counter", 8),
            ("sales", 9),
            ("shop", 9),
            ("clerks", 9),
            ("sales", 11),
            ("counter", 11),
        ]
        .into(),
        group_permissions,
        agent_permissions: [
            (5, "ticket.use".to_string()),
            (5, "ticket.modify.own".to_string()),
            (5, "ticket.reply.followed".to_string()),
            (6, "ticket.use".to_string()),
            (10, "ticket.use".to_string()),
            (10, "ticket.view.requested".to_string()),
            (10, "ticket.reply.requested".to_string()),
        ]
        .into(),
        group_departments: [
            (("staff", 1), Level::Full),
            (("staff", 3), Level::Assign),
            (("silo", 1), Level::Full),
            (("silo", 3), Level::Full),
            (("wide", 2), Level::Full),
            (("wide", 3), Level::Full),
            (("wide", 5), Level::Assign),
            (("sales", 4), Level::Full),
            (("sales", 1), Level::Assign),
            (("shop", 3), Level::Full),
            (("shop", 1), Level::Full),
            (("counter", 2), Level::Full),
            (("counter", 5), Level::Assign),
        ]
        .into(),
        agent_departments: [((EVE_ID, 3), Level::Full)].into(),
        group_categories: [
            ("silo", 1),
            ("silo", 2),
            ("silo", 3),
            ("wide", 1),
            ("wide", 4),
        ]
        .into_iter()
        .chain([("wide", 5), ("wide", 6), ("wide", 7)])
        .chain([("sales", 3), ("shop", 2), ("shop", 4), ("shop", 6)])
        .chain([("clerks", 5), ("clerks", 7), ("counter", 8)])
        .collect(),
        agent_categories: BTreeSet::new(),
        table: bigint_table(),
        tickets: Vec::new(),
        followers: Vec::new(),
        times: vec![Time::Always],
    }
}

fn external_keys() -> BTreeMap<(Principal, Id), String> {
    let agents = (1..=11).map(|id| ((Principal::Agent, id), Kind::Uuid.text(id + KEY_SHIFT)));
    let categories = (1..=8).map(|id| ((Principal::Category, id), (id + KEY_SHIFT).to_string()));
    agents.chain(categories).collect()
}
