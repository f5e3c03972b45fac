//! With which rows of a parent table an agent may do something, for one statement.
//!
//! What belongs to an id belongs to all rows that have it. So an id that stands for several rows is
//! allowed if all of them are: else whoever writes a row of their own with the id of another would get
//! at what belongs to that.
//!
//! What a parent's own policies hide, its rows' children must not show. Where there are such, the rows are
//! asked for under all policies of the table, by the user who calls; else the rules decide.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use deskguard_rules::{Action, Permission, Unobserved, internal_asks_ticket, is_open_to};
use pgrx::pg_sys;

use crate::pg::relation::policies_apply;
use crate::protection::table_policies::TablePolicies;
use crate::rights::cache::Agent;
use crate::rights::identity::current_agent;
use crate::rights::own_query::Acting;
use crate::rights::statement::Statement;
use crate::rows::children::ChildRow;
use crate::rows::estimate::estimate;
use crate::tables::child_table::Parent;
use crate::tables::key::{KeyRef, KeySet, OwnedKey};
use crate::tables::ticket_table::TicketTable;

/// The first few rows are decided one by one; for more the ids of all that are allowed are read at once,
/// by a query with the conditions of the policies.
pub struct Allowed {
    access: Rc<Agent>,
    action: Action,
    parent: Parent,
    by: By,
    /// Of the rows that the parent's rows belong to.
    above: Option<Rc<Allowed>>,
    /// Where internal rows need a permission that the agent has for some tickets only: of the same rows, those
    /// for whose ticket it holds.
    holding: Option<Rc<Allowed>>,
    decided: RefCell<HashMap<OwnedKey, bool>>,
    all: OnceCell<KeySet>,
}

/// What decides about the rows of a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The agent lacks a feature that the table needs.
    Nothing,
    /// The rules alone.
    Rules,
    /// All policies of the table, since it has some of the owner's own.
    Policies,
}

impl By {
    fn of(access: &Agent, table: pg_sys::Oid, action: Action, is_own_question: bool) -> By {
        let policies = TablePolicies::of(table);
        if !policies.allow(access, action) {
            By::Nothing
        } else if is_own_question && policies.hide_more() && policies_apply(table) {
            By::Policies
        } else {
            By::Rules
        }
    }
}

/// Of a row: to see what is internal of its ticket.
pub const SEES_INTERNAL: Action = Action::Holding(Permission::ViewInternal);

/// So many rows are always decided one by one.
const FEW: usize = 10;
/// To read an id with many others takes so much less time than to decide a row. One by one goes on only
/// for a fraction of the time that reading all would take, so that little is lost if all are needed.
const READ_PER_DECISION: f64 = 200.0;
/// A query under the policies is planned for each decision.
const READ_PER_QUERY: f64 = 1000.0;

/// What a statement knows of a parent, by what it asks.
#[derive(Default)]
struct OfParent(RefCell<HashMap<Action, Rc<Allowed>>>);

impl Allowed {
    /// For a statement; shared by all its parts.
    pub fn of_statement(
        statement: &Statement,
        access: &Rc<Agent>,
        parent: &Parent,
        action: Action,
    ) -> Rc<Allowed> {
        let of_parent = statement.keep(parent.oid(), OfParent::default);
        if let Some(known) = of_parent.0.borrow().get(&action) {
            return known.clone();
        }
        let by = By::of(access, parent.oid(), action, true);
        let mut new = Allowed::new(access, parent, action, by);
        if let Parent::Messages(messages) = parent {
            let above = |action| Allowed::of_statement(statement, access, &messages.parent, action);
            new.above = Some(above(action));
            let asks_ticket = messages.internal.is_some() && internal_asks_ticket(access);
            new.holding = asks_ticket.then(|| above(SEES_INTERNAL));
        }
        let new = Rc::new(new);
        of_parent.0.borrow_mut().insert(action, new.clone());
        new
    }

    /// For a question about tickets. What policies of the owner's own say of another agent than the
    /// current one nobody knows.
    pub fn of_question(access: &Rc<Agent>, table: &Rc<TicketTable>, action: Action) -> Allowed {
        let is_about_oneself = current_agent() == Some(access.agent);
        let by = By::of(access, table.oid, action, is_about_oneself);
        Allowed::new(access, &Parent::Tickets(table.clone()), action, by)
    }

    fn new(access: &Rc<Agent>, parent: &Parent, action: Action, by: By) -> Allowed {
        Allowed {
            access: access.clone(),
            action,
            parent: parent.clone(),
            by,
            above: None,
            holding: None,
            decided: RefCell::default(),
            all: OnceCell::new(),
        }
    }

    pub fn by(&self) -> By {
        self.by
    }

    pub fn contains(&self, id: KeyRef) -> bool {
        if self.by == By::Nothing {
            return false;
        }
        if let Some(all) = self.all.get() {
            return all.contains(id);
        }
        let key = id.to_owned();
        let decided = self.decided.borrow().get(&key).copied();
        decided.unwrap_or_else(|| {
            let so_far = self.decided.borrow().len();
            if so_far >= FEW && so_far >= FEW + self.worth_deciding() {
                return self.all().contains(id);
            }
            let allowed = self.decide(id);
            self.decided.borrow_mut().insert(key, allowed);
            allowed
        })
    }

    fn worth_deciding(&self) -> usize {
        let reads = match self.by {
            By::Policies => READ_PER_QUERY,
            By::Rules | By::Nothing => READ_PER_DECISION,
        };
        (estimate(&self.access, &self.parent, self.action).rows / reads) as usize
    }

    fn decide(&self, id: KeyRef) -> bool {
        if self.by == By::Policies {
            return self.parent.allows(&self.access, self.action, id);
        }
        match (&self.parent, &self.above) {
            (Parent::Messages(messages), Some(above)) => {
                let rows = messages.find_rows(id, &self.access.external_keys);
                let is_allowed = |row: &ChildRow| {
                    let parent = row.parent.as_ref().map(OwnedKey::borrowed);
                    let is_in = |rows: &Allowed| parent.is_some_and(|id| rows.contains(id));
                    let holds = || self.holding.as_ref().is_some_and(|rows| is_in(rows));
                    is_open_to(&self.access, row.message, self.action, holds) && is_in(above)
                };
                !rows.is_empty() && rows.iter().all(is_allowed)
            }
            (Parent::Messages(_), None) => false,
            (Parent::Tickets(tickets), _) => {
                let rows = tickets.find_ticket(id, self.access.agent, &self.access.external_keys);
                let is_allowed = |ticket| {
                    deskguard_rules::decide(&self.access, ticket, self.action, &mut Unobserved)
                };
                !rows.is_empty() && rows.iter().all(is_allowed)
            }
        }
    }

    /// All rows that are allowed.
    pub fn all(&self) -> &KeySet {
        self.all.get_or_init(|| match self.acting() {
            Some(acting) => self.parent.allowed_to(self.action, &acting),
            None => KeySet::EMPTY,
        })
    }

    /// Who reads all rows that are allowed; nobody if there are none.
    pub fn acting(&self) -> Option<Acting> {
        let access = self.access.clone();
        match self.by {
            By::Nothing => None,
            _ if self.asks_policies() => Some(Acting::Caller(access)),
            _ => Some(Acting::Owner(Some(access))),
        }
    }

    /// Here or above. The policies of this table ask those above.
    fn asks_policies(&self) -> bool {
        let above = self.above.as_ref();
        self.by == By::Policies || above.is_some_and(|above| above.asks_policies())
    }
}
