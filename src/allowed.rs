//! With which rows of a parent table an agent may do something, for one statement.
//!
//! What belongs to an id belongs to all rows that have it. So an id that stands for several rows is
//! allowed if all of them are: else whoever writes a row of their own with the id of another would get
//! at what belongs to that.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use deskguard_rules::{Action, Unobserved};

use crate::cache::Agent;
use crate::child_table::Parent;
use crate::estimate::estimate;
use crate::key::{KeyRef, KeySet, OwnedKey};
use crate::statement::Statement;

/// The first few rows are decided one by one; for more the ids of all that are allowed are read at once,
/// by a query with the conditions of the policies.
pub struct Allowed {
    access: Rc<Agent>,
    action: Action,
    parent: Parent,
    /// Of the rows that the parent's rows belong to.
    above: Option<Rc<Allowed>>,
    decided: RefCell<HashMap<OwnedKey, bool>>,
    all: OnceCell<KeySet>,
}

/// So many rows are always decided one by one.
const FEW: usize = 10;
/// To read an id with many others takes so much less time than to decide a row. One by one goes on only
/// for a fraction of the time that reading all would take, so that little is lost if all are needed.
const READ_PER_DECISION: f64 = 200.0;

impl Allowed {
    /// For a statement; shared by all its parts.
    pub fn of_statement(
        statement: &Statement,
        access: &Rc<Agent>,
        parent: &Parent,
        action: Action,
    ) -> Rc<Allowed> {
        let key = (parent.oid(), action);
        if let Some(known) = statement.allowed.borrow().get(&key) {
            return known.clone();
        }
        let above = match parent {
            Parent::Tickets(_) => None,
            Parent::Messages(messages) => Some(Allowed::of_statement(
                statement,
                access,
                &messages.parent,
                action,
            )),
        };
        let new = Rc::new(Allowed::new(access, parent, action, above));
        statement.allowed.borrow_mut().insert(key, new.clone());
        new
    }

    fn new(
        access: &Rc<Agent>,
        parent: &Parent,
        action: Action,
        above: Option<Rc<Allowed>>,
    ) -> Allowed {
        Allowed {
            access: access.clone(),
            action,
            parent: parent.clone(),
            above,
            decided: RefCell::default(),
            all: OnceCell::new(),
        }
    }

    pub fn contains(&self, id: KeyRef) -> bool {
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
        (estimate(&self.access, &self.parent, self.action).rows / READ_PER_DECISION) as usize
    }

    fn decide(&self, id: KeyRef) -> bool {
        match (&self.parent, &self.above) {
            (Parent::Messages(messages), Some(above)) => {
                let parents = messages.find_parents(id);
                let is_allowed = |parent: &Option<OwnedKey>| {
                    let parent = parent.as_ref().map(OwnedKey::borrowed);
                    parent.is_some_and(|parent| above.contains(parent))
                };
                !parents.is_empty() && parents.iter().all(is_allowed)
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
        self.all
            .get_or_init(|| self.parent.allowed_to(&self.access, self.action))
    }
}
