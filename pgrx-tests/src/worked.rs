//! A help desk made by hand, for what random ones have too seldom to be relied upon: every rule that
//! can refuse a change refuses one here, to an agent whom nothing else keeps from it, in every form;
//! and columns name what is not there.

use std::collections::{BTreeMap, BTreeSet};

use crate::help_desk::{
    ALL_PERMISSIONS, Access, Agent, Case, Column, DANGLING, Department, Follower, FollowerKinds,
    FollowerTable, Following, HelpDesk, Id, KeyForm, Kind, Level, NEW_TICKET, Part, Partitioning,
    Principal, StatusColumn, Ticket, TicketChange, TicketTable, Time, WordColumn, WordKind,
    catalog,
};

/// May change tickets and little else.
const ANN: Id = 1;
/// May also do what the changes need, but only assign to department 3.
const BOB: Id = 2;
/// Has all permissions.
const CAT: Id = 3;
/// May look at what is unassigned; has no external key.
const DAN: Id = 4;

/// The kinds of followers that mean something.
const CC: &str = "Cc";
const REQUESTOR: &str = "Requestor";

/// The help desk with columns of each of these.
pub const KINDS: [Kind; 4] = [
    Kind::Int8,
    Kind::Uuid,
    Kind::Text(KeyForm::Words),
    Kind::Varchar(KeyForm::Number),
];

/// As many as there are ways to write a change: each is tried in every way.
const WAYS: usize = 8;

/// All columns that name something are of one kind.
pub fn case(kind: Kind) -> Case {
    let desk = desk(kind);
    let [followed, archived, own, nowhere] = [1, 2, 3, 6].map(|id| desk.ticket(id).unwrap());
    let change = |old: &Ticket, parts: &[Part], new: Ticket| TicketChange {
        old: old.clone(),
        parts: parts.to_vec(),
        new,
    };
    let with_status = |old: &Ticket, status| Ticket {
        status: Some(status),
        ..old.clone()
    };
    let other_id = Ticket {
        id: NEW_TICKET,
        ..with_status(followed, "spam")
    };
    let in_department_3 = Ticket {
        department: Some(3),
        ..archived.clone()
    };
    // Nor is this one there.
    let elsewhere = Ticket {
        department: Some(DANGLING - 1),
        ..nowhere.clone()
    };
    let in_category_2 = Ticket {
        category: Some(2),
        ..followed.clone()
    };
    let changes = [
        change(followed, &[Part::Status], with_status(followed, "spam")),
        change(own, &[Part::Status], with_status(own, "spam")),
        change(followed, &[Part::Id, Part::Status], other_id),
        change(archived, &[Part::Status], with_status(archived, "open")),
        change(archived, &[Part::Department], in_department_3),
        change(nowhere, &[Part::Department], elsewhere),
        change(followed, &[Part::Category], in_category_2),
    ];
    let new = |id, department, status| Ticket {
        id,
        department: Some(department),
        status: Some(status),
        ..followed.clone()
    };
    let new_tickets = [(1, "open"), (1, "spam"), (3, "open")];
    let new_tickets = new_tickets.iter().flat_map(|kind| [kind; WAYS]);
    Case {
        new_tickets: (NEW_TICKET..)
            .zip(new_tickets)
            .map(|(id, (department, status))| new(id, *department, status))
            .collect(),
        changes: changes
            .iter()
            .flat_map(|change| vec![change.clone(); WAYS])
            .collect(),
        follows: vec![
            Follower::of(3, ANN).of_kind(CC),
            Follower::of(3, BOB).of_kind(CC),
            Follower::of(3, DAN).of_kind(CC),
            Follower::of(4, ANN).of_kind(CC),
            Follower::of(5, BOB).of_kind(CC),
            // Not for those who only look.
            Follower::of(3, ANN).of_kind(REQUESTOR),
            Follower::of(3, DAN).of_kind(REQUESTOR),
            Follower::of(3, ANN),
            Follower::of(3, DAN),
        ],
        unprotect: true,
        desk,
    }
}

fn desk(kind: Kind) -> HelpDesk {
    let agent = |id, category_access| Agent {
        id,
        active: true,
        db_role: None,
        category_access,
    };
    let silo = Some(Access::Silo);
    let looks = ["ticket.use", "ticket.view.unassigned"];
    let changes = [
        "ticket.view.assigned",
        "ticket.create",
        "ticket.modify.own",
        "ticket.modify.followed",
        "ticket.modify.unassigned",
    ];
    let more = [
        "ticket.view.confidential",
        "ticket.unarchive",
        "ticket.delete.own",
        "ticket.delete.followed",
        "ticket.delete.unassigned",
    ];
    let permissions: [(Id, &[&[&str]]); 3] = [
        (ANN, &[&looks, &changes]),
        (BOB, &[&looks, &changes, &more]),
        (DAN, &[&looks]),
    ];
    let agent_permissions: BTreeSet<(Id, String)> = permissions
        .iter()
        .flat_map(|(agent, lists)| {
            let names = lists.concat().into_iter();
            names.map(|name| (*agent, name.to_string()))
        })
        .collect();
    let granted = |agents: [Id; 3], thing| agents.map(|agent| (agent, thing));
    let mut agent_departments: BTreeMap<(Id, Id), Level> = granted([ANN, BOB, DAN], 1)
        .map(|pair| (pair, Level::Full))
        .into();
    agent_departments.insert((BOB, 3), Level::Assign);
    let mut agent_categories: BTreeSet<(Id, Id)> = granted([ANN, BOB, DAN], 1).into();
    agent_categories.insert((BOB, 2));
    // Of department 1 or one below it.
    let ticket = |id, department, assignee, confidential, status| Ticket {
        id,
        department: Some(department),
        category: Some(1),
        assignee,
        confidential,
        status: Some(status),
        ..Ticket::default()
    };
    HelpDesk {
        default_category_access: Access::Silo,
        agents: vec![
            agent(ANN, silo),
            agent(BOB, silo),
            agent(CAT, None),
            agent(DAN, silo),
        ],
        teams: Vec::new(),
        team_members: BTreeSet::new(),
        departments: [(1, None), (2, Some(1)), (3, None)]
            .map(|(id, parent)| Department { id, parent })
            .into(),
        categories: vec![1, 2],
        external_keys: [
            (Principal::Agent, ANN),
            (Principal::Agent, BOB),
            (Principal::Agent, CAT),
            (Principal::Department, 1),
            (Principal::Department, 2),
            (Principal::Department, 3),
            (Principal::Category, 1),
            (Principal::Category, 2),
        ]
        .map(|(principal, id)| ((principal, id), kind.text(id)))
        .into(),
        permissions: catalog(),
        groups: Vec::new(),
        group_members: [(ALL_PERMISSIONS, CAT)].into(),
        group_permissions: BTreeSet::new(),
        agent_permissions,
        group_departments: BTreeMap::new(),
        agent_departments,
        group_categories: BTreeSet::new(),
        agent_categories,
        table: table(kind),
        tickets: vec![
            ticket(1, 1, None, Some(false), "open"),
            ticket(2, 1, None, Some(false), "closed"),
            ticket(3, 2, Some(ANN), Some(false), "open"),
            ticket(4, 2, Some(DAN), Some(true), "open"),
            ticket(5, 1, None, None, "open"),
            ticket(6, DANGLING, None, Some(false), "open"),
            ticket(7, 1, Some(DANGLING), Some(false), "open"),
            Ticket {
                category: Some(DANGLING),
                ..ticket(8, 1, None, Some(false), "open")
            },
            Ticket {
                team: Some(DANGLING),
                ..ticket(9, 1, None, Some(false), "open")
            },
        ],
        followers: [
            (1, ANN, CC),
            (1, BOB, CC),
            (1, CAT, CC),
            (3, DAN, CC),
            (4, CAT, CC),
            (6, ANN, CC),
            (1, ANN, REQUESTOR),
            (3, DAN, REQUESTOR),
            // Which means nothing.
            (1, ANN, "owner"),
            (3, DAN, "owner"),
            (4, BOB, "owner"),
        ]
        .map(|(ticket, agent, kind)| Follower::of(ticket, agent).of_kind(kind))
        .into(),
        times: vec![Time::Always],
    }
}

fn table(kind: Kind) -> TicketTable {
    let column = |name| Column { name, kind };
    TicketTable {
        schema: "helpdesk",
        name: "ticket",
        id: column("id"),
        department: Some(column("department_id")),
        category: Some(column("category_id")),
        assignee: Some(column("assignee_id")),
        team: Some(column("team_id")),
        requester: None,
        requester_team: None,
        confidential: Some("confidential"),
        status: Some(StatusColumn {
            name: "status",
            kind: WordKind::Text,
            lists: [("archived_values", "closed"), ("spam_values", "spam")]
                .map(|(list, status)| (list, vec![status]))
                .into(),
        }),
        status_type: "ticket_status",
        // No foreign key, which would hold the ids of tickets.
        follower: Some(FollowerTable {
            name: "ticket_follower",
            ticket: column("ticket_id"),
            agent: column("agent_id"),
            references: false,
            row_type: None,
            kinds: Some(FollowerKinds {
                column: WordColumn {
                    name: "role",
                    kind: WordKind::Text,
                },
                meanings: [(CC, Following::Followed), (REQUESTOR, Following::Requested)].into(),
            }),
        }),
        unassigned_value: None,
        agent_form: kind.form().unwrap_or(KeyForm::Words),
        partitioning: Partitioning::None,
        indexed: true,
        protected_by_owner: false,
        named_in_calls: true,
    }
}
