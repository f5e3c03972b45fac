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
        requester: None,
        requester_team: None,
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
    (table.team, table.confidential, table.status) = (None, None, None);
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
    let group = |name, category_access, all_departments| Group {
        name,
        scope: Scope::Everywhere,
        category_access,
        all_departments,
    };
    let mut group_permissions = BTreeSet::new();
    for name in ["staff", "silo", "wide"] {
        for permission in &permissions {
            let held = match permission.name.as_str() {
                "ticket.use" => true,
                "ticket.create" => name != "silo",
                "ticket.view.assigned" | "ticket.view.unassigned" => random.percent(70),
                "permission.audit" | "shared.manage" | INVOICES => random.percent(15),
                "ticket.view.confidential" => false,
                _ => random.percent(50),
            };
            if held {
                group_permissions.insert((name, permission.name.clone()));
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
        ],
        teams: vec![1, 2],
        team_members: [(1, ANN_ID), (2, BOB_ID), (1, 5)].into(),
        departments: [(1, None), (2, Some(1)), (3, None), (4, None), (5, Some(4))]
            .map(|(id, parent)| Department { id, parent })
            .into(),
        categories: (1..=8).collect(),
        external_keys: external_keys(),
        permissions,
        groups: vec![
            group("staff", Access::Open, false),
            group("silo", Access::Silo, false),
            group("wide", Access::Silo, false),
        ],
        group_members: [
            ("All Permissions", BOSS_ID),
            ("All Permissions", 7),
            ("staff", ANN_ID),
            ("silo", BOB_ID),
            ("staff", EVE_ID),
            ("wide", 8),
        ]
        .into(),
        group_permissions,
        agent_permissions: [
            (5, "ticket.use".to_string()),
            (5, "ticket.modify.own".to_string()),
            (5, "ticket.reply.followed".to_string()),
            (6, "ticket.use".to_string()),
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
        .collect(),
        agent_categories: BTreeSet::new(),
        table: bigint_table(),
        tickets: Vec::new(),
        followers: Vec::new(),
        times: vec![Time::Always],
    }
}

fn external_keys() -> BTreeMap<(Principal, Id), String> {
    let agents = (1..=8).map(|id| ((Principal::Agent, id), Kind::Uuid.text(id + KEY_SHIFT)));
    let categories = (1..=8).map(|id| ((Principal::Category, id), (id + KEY_SHIFT).to_string()));
    agents.chain(categories).collect()
}
