//! Makes a help desk of random choices, so that what they name is there.

use std::collections::{BTreeMap, BTreeSet};

use super::followers::{FollowerPicks, WordPick};
use super::keys::external_keys;
use super::picks::{Pick, TicketPicks};
use super::{GROUP_NAMES, Raw};
use crate::help_desk::{
    ALL_NON_DESTRUCTIVE, ALL_PERMISSIONS, Access, Agent, Case, Column, Department, Follower,
    FollowerTable, Group, HelpDesk, Id, Kind, Level, NEW_TICKET, Part, Permission, Principal,
    Ticket, TicketChange, catalog,
};
use crate::server::MAPPED;

/// Columns that are changed together.
const CHANGES: [&[Part]; 12] = [
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
    &[Part::Requester, Part::Assignee],
    &[Part::Requester, Part::RequesterTeam, Part::Department],
];

pub(super) fn assemble(raw: Raw) -> Case {
    let ids = Ids::of(&raw);
    let (groups, permissions) = (groups(&raw), permissions(&raw));
    let group_names: Vec<&'static str> = groups.iter().map(|group| group.name).collect();
    let rows = Rows::of(&raw, &ids);
    Case {
        new_tickets: rows.new_tickets(),
        changes: rows.changes(),
        follows: rows.follows(),
        unprotect: raw.unprotect,
        desk: HelpDesk {
            default_category_access: if raw.default_open {
                Access::Open
            } else {
                Access::Silo
            },
            agents: agents(&raw, &ids),
            team_members: chosen(&ids.teams, &ids.agents, &raw.team_members),
            departments: departments(&raw, &ids),
            external_keys: keys(&raw, &ids),
            group_members: group_members(&raw, &ids, &group_names),
            group_permissions: held(&group_names, &raw.group_permissions, &permissions),
            agent_permissions: held(&ids.agents, &raw.agent_permissions, &permissions),
            group_departments: leveled(&group_names, &ids.departments, &raw.group_departments),
            agent_departments: leveled(&ids.agents, &ids.departments, &raw.agent_departments),
            group_categories: granted(&group_names, &ids.categories, &raw.group_categories),
            agent_categories: granted(&ids.agents, &ids.categories, &raw.agent_categories),
            permissions,
            groups,
            followers: rows.followers(),
            tickets: rows.tickets,
            teams: ids.teams,
            categories: ids.categories,
            table: raw.table,
            times: raw.times,
        },
    }
}

/// The ids of all that columns and grants name.
struct Ids {
    agents: Vec<Id>,
    teams: Vec<Id>,
    departments: Vec<Id>,
    categories: Vec<Id>,
}

impl Ids {
    fn of(raw: &Raw) -> Ids {
        let mut agents = raw.agent_ids.clone();
        if let (Some(first), Some(odd)) = (agents.first_mut(), raw.odd_agent) {
            *first = odd;
        }
        let mut departments = raw.department_ids.clone();
        if raw.departments_descend {
            departments.reverse();
        }
        Ids {
            agents,
            teams: raw.team_ids.clone(),
            departments,
            categories: raw.category_ids.clone(),
        }
    }
}

fn agents(raw: &Raw, ids: &Ids) -> Vec<Agent> {
    let mut roles_left: Vec<Option<&'static str>> = MAPPED.map(Some).to_vec();
    let agents = ids.agents.iter().zip(&raw.agents);
    agents
        .map(|(&id, &(active, category_access, role))| Agent {
            id,
            active,
            db_role: role.and_then(|nth| roles_left[nth].take()),
            category_access,
        })
        .collect()
}

fn departments(raw: &Raw, ids: &Ids) -> Vec<Department> {
    let departments = ids.departments.iter().zip(&raw.department_parents);
    departments
        .enumerate()
        .map(|(index, (&id, parent))| Department {
            id,
            parent: parent
                .filter(|_| index > 0)
                .map(|nth| ids.departments[nth % index]),
        })
        .collect()
}

/// Permissions of the help desk's own, which it has or has not, and whether they are destructive.
pub const OWN_PERMISSIONS: [(&str, bool); 2] =
    [("people.edit", false), ("help_center.remove", true)];

fn permissions(raw: &Raw) -> Vec<Permission> {
    let exist = [raw.own_permissions.0, raw.own_permissions.1];
    let own = OWN_PERMISSIONS
        .into_iter()
        .zip(exist)
        .filter(|(_, exists)| *exists);
    let own = own.map(|((name, destructive), _)| Permission {
        name: name.into(),
        destructive,
    });
    catalog().into_iter().chain(own).collect()
}

fn groups(raw: &Raw) -> Vec<Group> {
    let groups = GROUP_NAMES.into_iter().zip(&raw.groups);
    groups
        .map(|(name, &(category_access, all_departments, scope))| Group {
            name,
            scope,
            category_access,
            all_departments,
        })
        .collect()
}

fn group_members(raw: &Raw, ids: &Ids, groups: &[&'static str]) -> BTreeSet<(&'static str, Id)> {
    let mut members = chosen(groups, &ids.agents, &raw.group_members);
    for (&agent, &(all, non_destructive)) in ids.agents.iter().zip(&raw.builtin_members) {
        if all {
            members.insert((ALL_PERMISSIONS, agent));
        }
        if non_destructive {
            members.insert((ALL_NON_DESTRUCTIVE, agent));
        }
    }
    members
}

fn keys(raw: &Raw, ids: &Ids) -> BTreeMap<(Principal, Id), String> {
    let forms = &raw.forms;
    let principals = [
        (Principal::Agent, forms.agent, &ids.agents),
        (Principal::Team, forms.team, &ids.teams),
        (Principal::Department, forms.department, &ids.departments),
        (Principal::Category, forms.category, &ids.categories),
    ];
    let keys = principals.into_iter().zip(&raw.keys);
    keys.flat_map(|((principal, form, ids), picks)| external_keys(principal, form, ids, picks))
        .collect()
}

/// The rows of the user's tables.
struct Rows<'a> {
    raw: &'a Raw,
    ids: &'a Ids,
    tickets: Vec<Ticket>,
}

impl Rows<'_> {
    fn of<'a>(raw: &'a Raw, ids: &'a Ids) -> Rows<'a> {
        let mut rows = Rows {
            raw,
            ids,
            tickets: Vec::new(),
        };
        let tickets = (1..).zip(&raw.tickets);
        rows.tickets = tickets.map(|(id, picks)| rows.ticket(id, picks)).collect();
        if let (true, Some(last)) = (raw.wide_ticket_id, rows.tickets.last_mut()) {
            last.id = match raw.table.id.kind {
                Kind::Int4 => 65_537,
                Kind::Int2 => last.id,
                _ => 4_294_967_297,
            };
        }
        rows
    }

    fn ticket(&self, id: Id, picks: &TicketPicks) -> Ticket {
        let (table, ids) = (&self.raw.table, self.ids);
        let unassigned = table.unassigned_value.unwrap_or(0);
        let status = table.status.as_ref().zip(picks.status);
        let mut ticket = Ticket {
            id,
            department: cell(&table.department, &picks.department, &ids.departments, 0),
            category: cell(&table.category, &picks.category, &ids.categories, 0),
            assignee: cell(&table.assignee, &picks.assignee, &ids.agents, unassigned),
            team: cell(&table.team, &picks.team, &ids.teams, 0),
            requester: cell(&table.requester, &picks.requester, &ids.agents, 0),
            requester_team: cell(&table.requester_team, &picks.requester_team, &ids.teams, 0),
            confidential: table.confidential.and(picks.confidential),
            status: status.map(|(column, nth)| column.kind.values()[nth]),
        };
        // Now as one of them, now as another.
        for parts in table.shared() {
            let value = ticket.key(parts[id as usize % parts.len()]);
            parts.iter().for_each(|part| ticket.set_key(*part, value));
        }
        ticket
    }

    fn new_tickets(&self) -> Vec<Ticket> {
        let new = (NEW_TICKET..).zip(&self.raw.new_tickets);
        new.map(|(id, picks)| self.ticket(id, picks)).collect()
    }

    fn followers(&self) -> Vec<Follower> {
        let picks = self.raw.followers.iter();
        picks.flat_map(|picks| self.follower(picks)).collect()
    }

    fn follows(&self) -> Vec<Follower> {
        let picks = self.raw.follows.iter();
        let rows = picks.flat_map(|picks| self.follower(picks));
        rows.filter(|row| row.ticket.is_some() && row.agent.is_some())
            .collect()
    }

    /// One row, or two of different kinds.
    fn follower(&self, picks: &FollowerPicks) -> Vec<Follower> {
        let Some((columns, ticket)) = self.followed(&picks.ticket) else {
            return Vec::new();
        };
        let agent = picks.agent.resolve(&self.ids.agents, 0);
        let agent = agent.filter(|&id| columns.agent.kind.holds(id));
        let again = picks.again.filter(|_| columns.kinds.is_some());
        let row_type = columns.row_type.as_ref();
        let row = |pick: WordPick| {
            let kinds = columns.kinds.as_ref().zip(pick);
            Follower {
                ticket,
                agent,
                kind: kinds.map(|(kinds, nth)| kinds.column.kind.values()[nth]),
                row_type: row_type.and_then(|of| picks.row_type.of(of)),
            }
        };
        std::iter::once(picks.kind).chain(again).map(row).collect()
    }

    /// The ticket of a row, if there is such a row.
    fn followed(&self, on: &Pick) -> Option<(&FollowerTable, Option<Id>)> {
        let columns = self.raw.table.follower.as_ref()?;
        let ticket_ids: Vec<Id> = self.tickets.iter().map(|ticket| ticket.id).collect();
        let on = match on {
            // Of a ticket that is no more. Nobody can make one with its id: tests/sql/same_id.sql.
            Pick::Dangling if columns.references => None,
            Pick::Dangling => Some(NEW_TICKET - 1),
            other => other.resolve(&ticket_ids, 0),
        };
        Some((columns, on.filter(|&id| columns.ticket.kind.holds(id))))
    }

    fn changes(&self) -> Vec<TicketChange> {
        let picks = self.raw.changes.iter();
        picks.filter_map(|picks| self.change(picks)).collect()
    }

    fn change(&self, (nth, columns, picks): &(usize, usize, TicketPicks)) -> Option<TicketChange> {
        let table = &self.raw.table;
        let old = self.tickets.get(nth % self.tickets.len().max(1))?;
        let parts = CHANGES[columns % CHANGES.len()].iter();
        let mut parts: Vec<Part> = parts.flat_map(|part| table.meanings(*part)).collect();
        parts.retain(|part| match part {
            // A foreign key holds the id.
            Part::Id => !table.follower.as_ref().is_some_and(|f| f.references),
            _ => true,
        });
        if parts.is_empty() || parts == [Part::Id] {
            return None;
        }
        let mut change = TicketChange {
            old: old.clone(),
            new: self.ticket(NEW_TICKET, picks),
            parts,
        };
        change.new = change.applied_to(old);
        Some(change)
    }
}

/// A value for a column: NULL where the column is missing or its type cannot hold the value.
fn cell(column: &Option<Column>, pick: &Pick, ids: &[Id], unassigned: Id) -> Option<Id> {
    let column = column.as_ref()?;
    pick.resolve(ids, unassigned)
        .filter(|&value| column.kind.holds(value))
}

/// Some of all pairs.
fn chosen<T: Copy + Ord>(holders: &[T], things: &[Id], picks: &[bool]) -> BTreeSet<(T, Id)> {
    let pairs = holders
        .iter()
        .flat_map(|holder| things.iter().map(move |thing| (*holder, *thing)));
    let picked = pairs.zip(picks).filter(|(_, picked)| **picked);
    picked.map(|(pair, _)| pair).collect()
}

fn granted<T: Copy + Ord>(
    holders: &[T],
    things: &[Id],
    picks: &[(usize, usize)],
) -> BTreeSet<(T, Id)> {
    let picks = picks.iter();
    picks
        .filter_map(|&(holder, thing)| Some((nth(holders, holder)?, nth(things, thing)?)))
        .collect()
}

fn leveled<T: Copy + Ord>(
    holders: &[T],
    things: &[Id],
    picks: &[(usize, usize, Level)],
) -> BTreeMap<(T, Id), Level> {
    let picks = picks.iter();
    picks
        .filter_map(|&(holder, thing, level)| {
            Some(((nth(holders, holder)?, nth(things, thing)?), level))
        })
        .collect()
}

fn nth<T: Copy>(of: &[T], number: usize) -> Option<T> {
    of.get(number % of.len().max(1)).copied()
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
