//! Random shapes of the ticket table.

use std::collections::BTreeMap;

use proptest::bool::weighted;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::followers::{follower_kinds, row_type, word_kind};
use super::keys::{Forms, kinds};
use crate::help_desk::{
    Column, FollowerKinds, FollowerTable, Part, Partitioning, STATUS_LISTS, StatusColumn,
    TicketTable, WordColumn,
};

/// Names: schema, ticket table, five of its columns, follower table, its two columns, the columns
/// for confidential tickets and for the status, the type of the latter, the columns for who requested it,
/// those for the kind and the type of a follower.
type Names = [&'static str; 17];

const NAMES: [Names; 3] = [
    [
        "helpdesk",
        "ticket",
        "id",
        "department_id",
        "category_id",
        "assignee_id",
        "team_id",
        "ticket_follower",
        "ticket_id",
        "agent_id",
        "confidential",
        "status",
        "ticket_status",
        "requester_id",
        "organization_id",
        "role",
        "followed_type",
    ],
    [
        "Help \"Desk\" 1",
        "Tickets, \"open\"",
        "Ticket No",
        "Department's",
        "CATEGORY",
        "user",
        "te\"am",
        "order",
        "Ticket",
        "select",
        "geheim?",
        "Der \"Status\"",
        "State's",
        "select",
        "\"",
        "As \"what\"?",
        "Of",
    ],
    // As likely as any to clash with names inside of a function.
    [
        "public",
        "ticket_table",
        "ticket_id",
        "department",
        "category",
        "assignee",
        "team",
        "followers",
        "ticket_id",
        "agent",
        "before",
        "action",
        "level",
        "requester",
        "requested",
        "kind",
        "type",
    ],
];

impl TicketTable {
    fn key_column_mut(&mut self, part: Part) -> Option<&mut Column> {
        match part {
            Part::Department => self.department.as_mut(),
            Part::Category => self.category.as_mut(),
            Part::Assignee => self.assignee.as_mut(),
            Part::Team => self.team.as_mut(),
            Part::Requester => self.requester.as_mut(),
            Part::RequesterTeam => self.requester_team.as_mut(),
            Part::Id | Part::Confidential | Part::Status => None,
        }
    }
}

pub(super) fn ticket_table() -> impl Strategy<Value = (TicketTable, Forms)> {
    let there = || weighted(0.85);
    let columns = (there(), there(), there(), there()).prop_filter(
        "a table needs one of these columns",
        |(department, category, assignee, team)| *department || *category || *assignee || *team,
    );
    let follower = (there(), weighted(0.3), follower_kinds(), row_type("", 0.3));
    let confidential = weighted(0.5);
    let requesters = (weighted(0.5), weighted(0.4));
    let lists = vec(vec(weighted(0.35), 5), STATUS_LISTS.len());
    let status = proptest::option::weighted(0.6, (word_kind(), lists)).prop_map(|status| {
        let (kind, lists) = status?;
        let some = |picks: Vec<bool>| -> Vec<&'static str> {
            let values = kind.values().into_iter().zip(picks);
            values
                .filter_map(|(value, is)| is.then_some(value))
                .collect()
        };
        let lists = STATUS_LISTS.into_iter().zip(lists.into_iter().map(some));
        Some((kind, lists.filter(|(_, list)| !list.is_empty()).collect()))
    });
    let status = status
        .prop_map(|status| status.filter(|(_, lists): &(_, BTreeMap<_, _>)| !lists.is_empty()));
    let unassigned_value = prop_oneof![2 => Just(None), 2 => Just(Some(0)), 1 => Just(Some(-1))];
    let partitioning = prop_oneof![
        4 => Just(Partitioning::None),
        1 => Just(Partitioning::ById),
        1 => Just(Partitioning::ByDepartment),
        1 => Just(Partitioning::ByCategory),
    ];
    (
        (
            (columns, requesters, confidential, status),
            follower,
            kinds(),
            unassigned_value,
            partitioning,
        ),
        select(NAMES.to_vec()),
        (any::<bool>(), any::<bool>(), any::<bool>()),
    )
        .prop_map(
            |(shape, names, (indexed, protected_by_owner, named_in_calls))| {
                let (columns, follower, kinds, unassigned_value, partitioning) = shape;
                let (columns, requesters, confidential, status) = columns;
                let column = |there: bool, name, kind| there.then_some(Column { name, kind });
                // A column with several meanings has all of them.
                let is_shared = |part| kinds.shared.iter().any(|parts| parts.contains(&part));
                let has_department = columns.0 || is_shared(Part::Department);
                let has_category = columns.1 || is_shared(Part::Category);
                let has_assignee = columns.2 || is_shared(Part::Assignee);
                let has_team = columns.3 || is_shared(Part::Team);
                let has_requester = requesters.0 || is_shared(Part::Requester);
                let has_requester_team = requesters.1 || is_shared(Part::RequesterTeam);
                let (has_follower, references, follower_kinds, row_type) = follower;
                let partitioning = match partitioning {
                    Partitioning::ByDepartment if !has_department => Partitioning::None,
                    Partitioning::ByCategory if !has_category => Partitioning::None,
                    possible => possible,
                };
                let mut table = TicketTable {
                    schema: names[0],
                    name: names[1],
                    id: Column {
                        name: names[2],
                        kind: kinds.id,
                    },
                    department: column(has_department, names[3], kinds.department),
                    category: column(has_category, names[4], kinds.category),
                    assignee: column(has_assignee, names[5], kinds.assignee),
                    team: column(has_team, names[6], kinds.team),
                    requester: column(has_requester, names[13], kinds.requester),
                    requester_team: column(has_requester_team, names[14], kinds.requester_team),
                    confidential: confidential.then_some(names[10]),
                    status: status.map(|(kind, lists)| StatusColumn {
                        name: names[11],
                        kind,
                        lists,
                    }),
                    status_type: names[12],
                    follower: has_follower.then_some(FollowerTable {
                        name: names[7],
                        ticket: Column {
                            name: names[8],
                            kind: kinds.follower_ticket,
                        },
                        agent: Column {
                            name: names[9],
                            kind: kinds.follower_agent,
                        },
                        references,
                        kinds: follower_kinds.map(|(kind, meanings)| FollowerKinds {
                            column: WordColumn {
                                name: names[15],
                                kind,
                            },
                            meanings,
                        }),
                        row_type: row_type.map(|mut of| {
                            of.column.name = names[16];
                            of
                        }),
                    }),
                    unassigned_value: unassigned_value
                        .filter(|_| has_assignee && kinds.assignee.is_integer()),
                    agent_form: kinds.forms.agent,
                    partitioning,
                    indexed,
                    protected_by_owner,
                    named_in_calls,
                };
                for parts in kinds.shared {
                    let name = table.column(parts[0]);
                    for part in parts.iter() {
                        if let Some((column, name)) = table.key_column_mut(*part).zip(name) {
                            column.name = name;
                        }
                    }
                }
                // A foreign key needs a unique id, which some partitions cannot have.
                let has_unique_id = table.has_unique_id();
                if let Some(follower) = &mut table.follower {
                    follower.references &= has_unique_id;
                }
                (table, kinds.forms)
            },
        )
}
