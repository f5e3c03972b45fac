//! The rules of tickets as conditions of the planner.

use deskguard_rules::{Access, Columns, Condition, IdSet, Level};
use pgrx::pg_sys;

use crate::pg::node::{all, any, boolean, function_call, not};
use crate::plan::operand::Operand;
use crate::rights::external_keys::ExternalKeys;
use crate::rights::settings;
use crate::tables::catalog::own_function;
use crate::tables::key::KeyType;
use crate::tables::principal::Principal;
use crate::tables::ticket_table::TicketTable;

/// Turns a condition into an expression of the planner.
pub struct Builder<'a> {
    pub access: &'a Access,
    pub keys: &'a ExternalKeys,
    pub table: &'a TicketTable,
    pub arguments: &'a TicketArguments,
}

impl Builder<'_> {
    /// # Safety
    /// The arguments are expressions of the planner.
    pub unsafe fn expression(&self, condition: &Condition) -> Option<*mut pg_sys::Node> {
        // SAFETY: as the caller promises.
        unsafe {
            Some(match condition {
                Condition::Constant(value) => boolean(*value),
                Condition::Category => {
                    let column = self.operand(Principal::Category)?;
                    self.one_of(column, Principal::Category, self.access.categories())?
                }
                Condition::Department => {
                    let column = self.operand(Principal::Department)?;
                    let departments = self.access.departments_at(Level::Full);
                    self.one_of(column, Principal::Department, departments)?
                }
                Condition::Own => any(self.own()?),
                Condition::NotOwn => all(self.not_own()?),
                Condition::Unassigned => all(self.unassigned()),
                Condition::NotUnassigned => any(self.not_unassigned()),
                Condition::Followed => self.followed()?,
                // NULL is not true either: where it is not known, a ticket counts as confidential.
                Condition::NotConfidential => {
                    let confidential = self.arguments.columns.confidential?;
                    not(pg_sys::copyObjectImpl(confidential.cast()).cast())
                }
                Condition::All(parts) => all(self.expressions(parts)?),
                Condition::Any(parts) => any(self.expressions(parts)?),
            })
        }
    }

    /// # Safety
    /// As for [`Builder::expression`].
    unsafe fn expressions(&self, parts: &[Condition]) -> Option<Vec<*mut pg_sys::Node>> {
        parts
            .iter()
            // SAFETY: as the caller promises.
            .map(|part| unsafe { self.expression(part) })
            .collect()
    }

    /// # Safety
    /// As for [`Builder::expression`].
    unsafe fn operand(&self, principal: Principal) -> Option<Operand> {
        let column = principal.column();
        // An absent column is NULL in the call.
        self.table.column(column)?;
        // SAFETY: as the caller promises.
        let operand = unsafe { Operand::of((*self.arguments.columns.get(column))?) }?;
        Some(operand.or_of(principal))
    }

    /// An agent with the id that means "unassigned" has no tickets of its own by assignee.
    fn can_be_assigned(&self) -> bool {
        self.table.unassigned_value != Some(self.access.agent)
    }

    /// # Safety
    /// As for [`Builder::expression`].
    unsafe fn own(&self) -> Option<Vec<*mut pg_sys::Node>> {
        // SAFETY: as the caller promises.
        unsafe {
            let mut parts = vec![];
            if let Some(assignee) = self
                .operand(Principal::Agent)
                .filter(|_| self.can_be_assigned())
            {
                parts.push(assignee.any_id_of(&[self.access.agent], self.keys, false));
            }
            if let Some(team) = self.operand(Principal::Team) {
                parts.push(self.one_of(team, Principal::Team, self.access.teams())?);
            }
            Some(parts)
        }
    }

    /// # Safety
    /// As for [`Builder::expression`].
    unsafe fn not_own(&self) -> Option<Vec<*mut pg_sys::Node>> {
        // SAFETY: as the caller promises.
        unsafe {
            let mut parts = vec![];
            if let Some(assignee) = self
                .operand(Principal::Agent)
                .filter(|_| self.can_be_assigned())
            {
                parts.push(any(vec![
                    assignee.is_null(false),
                    assignee.any_id_of(&[self.access.agent], self.keys, true),
                ]));
            }
            if let Some(team) = self.operand(Principal::Team) {
                parts.push(any(vec![
                    team.is_null(false),
                    match short(self.access.teams()) {
                        Some(teams) => team.any_id_of(teams, self.keys, true),
                        None => not(self.one_of(team, Principal::Team, self.access.teams())?),
                    },
                ]));
            }
            Some(parts)
        }
    }

    /// # Safety
    /// As for [`Builder::expression`].
    unsafe fn unassigned(&self) -> Vec<*mut pg_sys::Node> {
        // SAFETY: as the caller promises.
        unsafe {
            let mut parts = vec![];
            if let Some(assignee) = self.operand(Principal::Agent) {
                let mut nobody = vec![assignee.is_null(false)];
                if let Some(value) = self.table.unassigned_value {
                    nobody.push(assignee.any_id_of(&[value], self.keys, false));
                }
                parts.push(any(nobody));
            }
            if let Some(team) = self.operand(Principal::Team) {
                parts.push(team.is_null(false));
            }
            parts
        }
    }

    /// # Safety
    /// As for [`Builder::expression`].
    unsafe fn not_unassigned(&self) -> Vec<*mut pg_sys::Node> {
        // SAFETY: as the caller promises.
        unsafe {
            let mut parts = vec![];
            if let Some(assignee) = self.operand(Principal::Agent) {
                parts.push(match self.table.unassigned_value {
                    // NULL fails the comparison, too.
                    Some(value) => assignee.any_id_of(&[value], self.keys, true),
                    None => assignee.is_null(true),
                });
            }
            if let Some(team) = self.operand(Principal::Team) {
                parts.push(team.is_null(true));
            }
            parts
        }
    }

    /// `deskguard_internal.followed(table, id)`: followers are data, not rights, and read when the query runs.
    ///
    /// # Safety
    /// As for [`Builder::expression`].
    unsafe fn followed(&self) -> Option<*mut pg_sys::Node> {
        // SAFETY: as the caller promises.
        unsafe {
            let id = self.arguments.id?;
            let function = own_function(c"followed", &[pg_sys::REGCLASSOID, id.type_oid()])?;
            let table = pg_sys::copyObjectImpl(self.arguments.table_argument.cast()).cast();
            Some(function_call(function, &[table, id.copy()]))
        }
    }

    /// The column is one of the agent's ids: as literals, or by a function that looks them up if they
    /// are too many.
    ///
    /// # Safety
    /// As for [`Builder::expression`].
    unsafe fn one_of(
        &self,
        column: Operand,
        principal: Principal,
        ids: &IdSet,
    ) -> Option<*mut pg_sys::Node> {
        // SAFETY: as the caller promises.
        unsafe {
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
            Some(function_call(function, &[column.copy()]))
        }
    }
}

/// The ids, if they are few enough for literals.
pub fn short(ids: &IdSet) -> Option<&[i64]> {
    (ids.len() <= settings::fold_limit()).then_some(ids.sorted())
}

/// The arguments of a call: the columns, as far as the function has them.
pub struct TicketArguments {
    pub table: pg_sys::Oid,
    pub table_argument: *mut pg_sys::Node,
    pub id: Option<Operand>,
    /// Of what kind the id is.
    pub id_type: Option<KeyType>,
    pub columns: Columns<Option<*mut pg_sys::Node>>,
}

impl TicketArguments {
    /// The column of the row's key; for the silo, which is not given that, the category.
    ///
    /// # Safety
    /// The arguments are expressions of the planner.
    pub unsafe fn a_column(&self) -> Option<Operand> {
        // SAFETY: as the caller promises.
        let category = || unsafe { Operand::of(self.columns.category?) };
        self.id.or_else(category)
    }
}
