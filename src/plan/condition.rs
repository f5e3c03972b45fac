//! The rules of tickets as conditions of the planner.

use std::ffi::CStr;

use deskguard_rules::{Access, Columns, Condition, IdSet, Level, Restriction, TicketColumn};
use pgrx::pg_sys;

use crate::pg::node::{Clause, Node, all, any, call_of_plan};
use crate::plan::operand::Operand;
use crate::rights::external_keys::ExternalKeys;
use crate::rights::settings;
use crate::tables::catalog::own_function;
use crate::tables::key::KeyType;
use crate::tables::principal::Principal;
use crate::tables::ticket_table::TicketTable;

/// Turns a condition into an expression of the planner.
pub struct Builder<'a, 'p> {
    pub access: &'a Access,
    pub keys: &'a ExternalKeys,
    pub table: &'a TicketTable,
    pub arguments: &'a TicketArguments<'p>,
}

impl<'p> Builder<'_, 'p> {
    pub fn clause(&self, condition: &Condition) -> Option<Clause<'p>> {
        Some(match condition {
            Condition::Constant(value) => Clause::Constant(*value),
            Condition::Category => {
                let column = self.operand(TicketColumn::Category)?;
                self.one_of(column, Principal::Category, self.access.categories())?
            }
            Condition::Department => {
                let column = self.operand(TicketColumn::Department)?;
                let departments = self.access.departments_at(Level::Full);
                self.one_of(column, Principal::Department, departments)?
            }
            Condition::OneOf(column, ids) => {
                // A longer list is asked by the rule's own call.
                self.operand(*column)?
                    .any_id_of(short(ids)?, self.keys, false)
            }
            Condition::Own => any(self.own()?),
            Condition::NotOwn => all(self.not_own()?),
            Condition::Unassigned => all(self.unassigned()),
            Condition::NotUnassigned => any(self.not_unassigned()),
            Condition::Followed => self.of_followers(c"followed")?,
            Condition::Requested => any(self.requested()?),
            Condition::Without(restriction) => self.without(*restriction)?,
            Condition::All(parts) => all(self.clauses(parts)?),
            Condition::Any(parts) => any(self.clauses(parts)?),
        })
    }

    fn clauses(&self, parts: &[Condition]) -> Option<Vec<Clause<'p>>> {
        parts.iter().map(|part| self.clause(part)).collect()
    }

    fn operand(&self, column: TicketColumn) -> Option<Operand<'p>> {
        // An absent column is NULL in the call.
        self.table.column(column)?;
        let operand = Operand::of((*self.arguments.columns.get(column))?)?;
        Some(operand.or_of(Principal::of_column(column)?))
    }

    /// A column of agents, unless it has the agent's id for nobody.
    fn of_agents(&self, column: TicketColumn) -> Option<Operand<'p>> {
        let nobody = self.table.nobody(column);
        self.operand(column)
            .filter(|_| nobody != Some(self.access.agent))
    }

    fn own(&self) -> Option<Vec<Clause<'p>>> {
        self.is_one_of(TicketColumn::Assignee, TicketColumn::Team)
    }

    fn requested(&self) -> Option<Vec<Clause<'p>>> {
        let mut parts = self.is_one_of(TicketColumn::Requester, TicketColumn::RequesterTeam)?;
        if self.table.shape().requesters {
            parts.push(self.of_followers(c"requested")?);
        }
        Some(parts)
    }

    /// The agent is in the one column, or a team of its in the other.
    fn is_one_of(&self, agent: TicketColumn, team: TicketColumn) -> Option<Vec<Clause<'p>>> {
        let mut parts = vec![];
        if let Some(agent) = self.of_agents(agent) {
            parts.push(agent.any_id_of(&[self.access.agent], self.keys, false));
        }
        if let Some(operand) = self.operand(team) {
            let teams = self.teams(team)?;
            parts.push(self.one_of(operand, Principal::Team, teams)?);
        }
        Some(parts)
    }

    /// The agent's teams. None if one of them stands for nobody in this column: then the rule's own call asks.
    fn teams(&self, column: TicketColumn) -> Option<&IdSet> {
        let teams = self.access.teams();
        let is_team = |nobody| teams.contains(nobody);
        (!self.table.nobody(column).is_some_and(is_team)).then_some(teams)
    }

    fn not_own(&self) -> Option<Vec<Clause<'p>>> {
        let mut parts = vec![];
        if let Some(assignee) = self.of_agents(TicketColumn::Assignee) {
            parts.push(any([
                assignee.is_null(false),
                assignee.any_id_of(&[self.access.agent], self.keys, true),
            ]));
        }
        if let Some(team) = self.operand(TicketColumn::Team) {
            let teams = self.teams(TicketColumn::Team)?;
            parts.push(any([
                team.is_null(false),
                match short(teams) {
                    Some(teams) => team.any_id_of(teams, self.keys, true),
                    None => self.one_of(team, Principal::Team, teams)?.not(),
                },
            ]));
        }
        Some(parts)
    }

    fn unassigned(&self) -> Vec<Clause<'p>> {
        let is_nobody = |column| {
            let operand = self.operand(column)?;
            let mut nobody = vec![operand.is_null(false)];
            if let Some(value) = self.table.nobody(column) {
                nobody.push(operand.any_id_of(&[value], self.keys, false));
            }
            Some(any(nobody))
        };
        let columns = [TicketColumn::Assignee, TicketColumn::Team];
        columns.into_iter().filter_map(is_nobody).collect()
    }

    fn not_unassigned(&self) -> Vec<Clause<'p>> {
        let is_somebody = |column| {
            let operand = self.operand(column)?;
            Some(match self.table.nobody(column) {
                // NULL fails the comparison, too.
                Some(value) => operand.any_id_of(&[value], self.keys, true),
                None => operand.is_null(true),
            })
        };
        let columns = [TicketColumn::Assignee, TicketColumn::Team];
        columns.into_iter().filter_map(is_somebody).collect()
    }

    /// `deskguard_internal.followed(table, id)`: followers are data, not rights, and read when the query runs.
    fn of_followers(&self, function: &CStr) -> Option<Clause<'p>> {
        let (table, id) = (self.arguments.table_argument, self.arguments.id?);
        let function = own_function(function, &[pg_sys::REGCLASSOID, id.type_oid()])?;
        rule_call(function, &[table, id.node()])
    }

    fn without(&self, restriction: Restriction) -> Option<Clause<'p>> {
        Some(match restriction {
            // NULL is not true either: where it is not known, a ticket counts as confidential.
            Restriction::Confidential => {
                Clause::Is(self.arguments.columns.confidential?.copy()).not()
            }
        })
    }

    /// The column is one of the agent's ids: as literals, or by a function that looks them up if they
    /// are too many.
    fn one_of(&self, column: Operand<'p>, principal: Principal, ids: &IdSet) -> Option<Clause<'p>> {
        if let Some(ids) = short(ids) {
            return Some(column.any_id_of(ids, self.keys, false));
        }
        let function = match principal {
            Principal::Category => c"has_category",
            Principal::Department => c"has_department",
            Principal::Team => c"in_team",
            Principal::Agent => return None,
        };
        // The function takes the column for keys of its own principal.
        if column.principal.is_some_and(|other| other != principal) {
            return None;
        }
        let function = own_function(function, &[column.type_oid()])?;
        rule_call(function, &[column.node()])
    }
}

/// A call that is left for when the query runs.
pub fn rule_call<'p>(function: pg_sys::Oid, arguments: &[Node<'p>]) -> Option<Clause<'p>> {
    let (first, none) = (*arguments.first()?, pg_sys::InvalidOid);
    call_of_plan(first, function, arguments, pg_sys::BOOLOID, none).map(Clause::Is)
}

/// The ids, if they are few enough for literals.
pub fn short(ids: &IdSet) -> Option<&[i64]> {
    (ids.len() <= settings::fold_limit()).then_some(ids.sorted())
}

/// The arguments of a call: the columns, as far as the function has them.
pub struct TicketArguments<'p> {
    pub table: pg_sys::Oid,
    pub table_argument: Node<'p>,
    pub id: Option<Operand<'p>>,
    /// Of what kind the id is.
    pub id_type: Option<KeyType>,
    pub columns: Columns<Option<Node<'p>>>,
}

impl<'p> TicketArguments<'p> {
    /// The column of the row's key; for the silo, which is not given that, the category.
    pub fn a_column(&self) -> Option<Operand<'p>> {
        self.id.or_else(|| Operand::of(self.columns.category?))
    }
}
