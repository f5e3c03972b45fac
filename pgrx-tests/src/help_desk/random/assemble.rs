//! Makes a help desk of random choices, so that what they name is there.

use std::collections::BTreeSet;

use super::keys::external_keys;
use super::picks::{Pick, TicketPicks};
use super::{GROUP_NAMES, Raw};
use crate::help_desk::{
    ALL_NON_DESTRUCTIVE, ALL_PERMISSIONS, Access, Agent, Case, Column, Department, Group, HelpDesk,
    Id, Kind, Level, NEW_TICKET, Part, Permission, Principal, Ticket, TicketChange, catalog,
};
use crate::server::MAPPED;

/// Columns that are changed together.
const CHANGES: [&[Part]; 10] = [
    &[Part::Department],
    &[Part::Category],
    &[Part::Assignee, Part::Team],
    &[Part::Status],
    &[Part::Status],
    &[Part::Confidential],
    &[Part::Status, Part::Department],
    &[Part::Status, Part::Assignee, Part::Confidential],
    &[Part::Department, Part::Category, Part::Assignee],
    &[Part::Id, Part::Status],
];

pub(super) fn assemble(raw: Raw) -> Case {
    let table = raw.table;
    let mut agent_ids = raw.agent_ids;
    if let (Some(first), Some(odd)) = (agent_ids.first_mut(), raw.odd_agent) {
        *first = odd;
    }
    let mut roles_left: Vec<Option<&'static str>> = MAPPED.map(Some).to_vec();
    let agents: Vec<Agent> = agent_ids
        .iter()
        .zip(raw.agents)
        .map(|(&id, (active, category_access, role))| Agent {
            id,
            active,
            db_role: role.and_then(|nth| roles_left[nth].take()),
            category_access,
        })
        .collect();

    let team_pairs = raw.team_ids.iter().flat_map(|team| {
        let agents = agent_ids.iter();
        agents.map(move |agent| (*team, *agent))
    });
    let team_members = chosen(team_pairs, &raw.team_members);

    let mut department_ids = raw.department_ids;
    if raw.departments_descend {
        department_ids.reverse();
    }
    let departments: Vec<Department> = department_ids
        .iter()
        .zip(raw.department_parents)
        .enumerate()
        .map(|(index, (&id, parent))| Department {
            id,
            parent: parent
                .filter(|_| index > 0)
                .map(|nth| department_ids[nth % index]),
        })
        .collect();

    let mut permissions = catalog();
    let own = [("people.edit", false), ("help_center.remove", true)];
    for ((name, destructive), exists) in own
        .into_iter()
        .zip([raw.own_permissions.0, raw.own_permissions.1])
    {
        if exists {
            permissions.push(Permission {
                name: name.into(),
                destructive,
            });
        }
    }

    let groups: Vec<Group> = GROUP_NAMES
        .into_iter()
        .zip(raw.groups)
        .map(|(name, (category_access, all_departments))| Group {
            name,
            category_access,
            all_departments,
        })
        .collect();
    let group_names: Vec<&'static str> = groups.iter().map(|group| group.name).collect();
    let group_pairs = group_names.iter().flat_map(|group| {
        let agents = agent_ids.iter();
        agents.map(move |agent| (*group, *agent))
    });
    let mut group_members = chosen(group_pairs, &raw.group_members);
    for (&agent, (all, non_destructive)) in agent_ids.iter().zip(raw.builtin_members) {
        if all {
            group_members.insert((ALL_PERMISSIONS, agent));
        }
        if non_destructive {
            group_members.insert((ALL_NON_DESTRUCTIVE, agent));
        }
    }

    let pairs = |holders: usize, things: &[Id], picks: Vec<(usize, usize)>| -> Vec<(usize, Id)> {
        if holders == 0 || things.is_empty() {
            return Vec::new();
        }
        let resolve = |(holder, thing)| (holder % holders, things[thing % things.len()]);
        picks.into_iter().map(resolve).collect()
    };
    let leveled =
        |holders: usize, picks: Vec<(usize, usize, Level)>| -> Vec<((usize, Id), Level)> {
            let levels: Vec<Level> = picks.iter().map(|(_, _, level)| *level).collect();
            let unleveled = picks.into_iter().map(|(holder, thing, _)| (holder, thing));
            let pairs = pairs(holders, &department_ids, unleveled.collect());
            pairs.into_iter().zip(levels).collect()
        };
    let group_departments = leveled(groups.len(), raw.group_departments)
        .into_iter()
        .map(|((group, department), level)| ((group_names[group], department), level))
        .collect();
    let agent_departments = leveled(agents.len(), raw.agent_departments)
        .into_iter()
        .map(|((agent, department), level)| ((agent_ids[agent], department), level))
        .collect();
    let group_categories = pairs(groups.len(), &raw.category_ids, raw.group_categories)
        .into_iter()
        .map(|(group, category)| (group_names[group], category))
        .collect();
    let agent_categories = pairs(agents.len(), &raw.category_ids, raw.agent_categories)
        .into_iter()
        .map(|(agent, category)| (agent_ids[agent], category))
        .collect();

    let ticket = |id: Id, picks: &TicketPicks| Ticket {
        id,
        department: cell(&table.department, &picks.department, &department_ids, 0),
        category: cell(&table.category, &picks.category, &raw.category_ids, 0),
        assignee: cell(
            &table.assignee,
            &picks.assignee,
            &agent_ids,
            table.unassigned_value.unwrap_or(0),
        ),
        team: cell(&table.team, &picks.team, &raw.team_ids, 0),
        confidential: table.confidential.and(picks.confidential),
        status: table
            .status
            .as_ref()
            .and_then(|column| Some(column.kind.values()[picks.status?])),
    };
    let mut tickets: Vec<Ticket> = (1..)
        .zip(&raw.tickets)
        .map(|(id, p)| ticket(id, p))
        .collect();
    if let (true, Some(last)) = (raw.wide_ticket_id, tickets.last_mut()) {
        last.id = match table.id.kind {
            Kind::Int4 => 65_537,
            Kind::Int2 => last.id,
            _ => 4_294_967_297,
        };
    }
    let ticket_ids: Vec<Id> = tickets.iter().map(|ticket| ticket.id).collect();
    let new_tickets = (NEW_TICKET..)
        .zip(&raw.new_tickets)
        .map(|(id, picks)| ticket(id, picks))
        .collect();

    let follower = |(on, by): &(Pick, Pick)| -> Option<(Option<Id>, Option<Id>)> {
        let columns = table.follower.as_ref()?;
        let on = match on {
            // Of a ticket that is no more. Nobody can make one with its id: tests/sql/same_id.sql.
            Pick::Dangling if columns.references => None,
            Pick::Dangling => Some(NEW_TICKET - 1),
            other => other.resolve(&ticket_ids, 0),
        };
        Some((
            on.filter(|&id| columns.ticket.kind.holds(id)),
            by.resolve(&agent_ids, 0)
                .filter(|&id| columns.agent.kind.holds(id)),
        ))
    };
    let followers = raw.followers.iter().filter_map(follower).collect();
    let follows = raw
        .follows
        .iter()
        .filter_map(follower)
        .filter_map(|(on, by)| on.zip(by))
        .collect();

    let change = |(nth, columns, picks): &(usize, usize, TicketPicks)| {
        let old = tickets.get(nth % tickets.len().max(1))?;
        let mut parts = CHANGES[columns % CHANGES.len()].to_vec();
        parts.retain(|part| match part {
            // A foreign key holds the id.
            Part::Id => !table.follower.as_ref().is_some_and(|f| f.references),
            part => table.column(*part).is_some(),
        });
        if parts.is_empty() || parts == [Part::Id] {
            return None;
        }
        let picked = ticket(NEW_TICKET, picks);
        let mut change = TicketChange {
            old: old.clone(),
            new: picked,
            parts,
        };
        change.new = change.applied_to(old);
        Some(change)
    };

    let [agent_keys, team_keys, department_keys, category_keys] = &raw.keys;
    let forms = &raw.forms;
    let external_keys = external_keys(Principal::Agent, forms.agent, &agent_ids, agent_keys)
        .chain(external_keys(
            Principal::Team,
            forms.team,
            &raw.team_ids,
            team_keys,
        ))
        .chain(external_keys(
            Principal::Department,
            forms.department,
            &department_ids,
            department_keys,
        ))
        .chain(external_keys(
            Principal::Category,
            forms.category,
            &raw.category_ids,
            category_keys,
        ))
        .collect();

    Case {
        new_tickets,
        changes: raw.changes.iter().filter_map(change).collect(),
        follows,
        unprotect: raw.unprotect,
        desk: HelpDesk {
            default_category_access: if raw.default_open {
                Access::Open
            } else {
                Access::Silo
            },
            group_permissions: held(&group_names, &raw.group_permissions, &permissions),
            agent_permissions: held(&agent_ids, &raw.agent_permissions, &permissions),
            agents,
            teams: raw.team_ids,
            team_members,
            departments,
            categories: raw.category_ids,
            external_keys,
            permissions,
            groups,
            group_members,
            group_departments,
            agent_departments,
            group_categories,
            agent_categories,
            table,
            tickets,
            followers,
            times: raw.times,
        },
    }
}

/// A value for a column: NULL where the column is missing or its type cannot hold the value.
fn cell(column: &Option<Column>, pick: &Pick, ids: &[Id], unassigned: Id) -> Option<Id> {
    let column = column.as_ref()?;
    pick.resolve(ids, unassigned)
        .filter(|&value| column.kind.holds(value))
}

fn chosen<T: Ord>(pairs: impl Iterator<Item = T>, picks: &[bool]) -> BTreeSet<T> {
    let picked = pairs.zip(picks).filter(|(_, picked)| **picked);
    picked.map(|(pair, _)| pair).collect()
}

fn held<T: Ord + Copy>(
    holders: &[T],
    picks: &[(bool, Vec<bool>)],
    permissions: &[Permission],
) -> BTreeSet<(T, String)> {
    let mut held = BTreeSet::new();
    for (&holder, (uses, picks)) in holders.iter().zip(picks) {
        for (permission, picked) in permissions.iter().zip(picks) {
            let has = if permission.name == "ticket.use" {
                *uses
            } else {
                *picked
            };
            if has {
                held.insert((holder, permission.name.clone()));
            }
        }
    }
    held
}
