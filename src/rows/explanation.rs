//! Why an agent may or may not do something.

use std::rc::Rc;

use deskguard_rules::{
    Access, Action, Asked, Command, Explanation, Feature, Grants, Message, Moment, NoAgent,
    OtherPolicy, Question, RowId, Subject, TableOf, Ticket, TicketColumn, Unmapped, Unobserved,
};
use pgrx::pg_sys;

use crate::pg::relation::display_name;
use crate::protection::table_policies::{TablePolicies, command_of};
use crate::rights::cache::{self, Agent};
use crate::rights::external_keys::ExternalKeys;
use crate::rights::load::Loader;
use crate::rows::allowed::{Allowed, By};
use crate::rows::given::Given;
use crate::rows::tickets::{Follows, TicketValues};
use crate::tables::child_table::Parent;
use crate::tables::key::{Key, OwnedKey};
use crate::tables::names::Names;
use crate::tables::principal::{Principal, UNMAPPED};
use crate::tables::ticket_table::TicketTable;

/// An agent that is asked about, and who asks.
pub struct About {
    pub loader: Loader,
    pub agent: Option<i64>,
    pub known: Option<Result<(Grants, Access), NoAgent>>,
    pub keys: ExternalKeys,
    /// May who asks ask about others? Else it is the agent itself, and is told little of what it does not see.
    pub is_told_all: bool,
}

/// What the answer says besides the rules.
#[derive(Default)]
pub struct Besides {
    pub unmapped: Vec<Unmapped>,
    features: Vec<Feature>,
    own_policies: Vec<(String, bool)>,
    other_policies: Vec<OtherPolicy>,
}

impl About {
    pub fn agent(agent: Option<i64>, is_told_all: bool) -> About {
        let loader = Loader::now();
        let known = agent.map(|agent| {
            loader.grants(agent).map(|grants| {
                let access = Access::compile(&grants);
                (grants, access)
            })
        });
        About {
            loader,
            agent,
            known,
            keys: ExternalKeys::default(),
            is_told_all,
        }
    }

    /// None for one that is unknown or inactive.
    pub fn access(&self) -> Option<&Access> {
        let known = self.known.as_ref()?.as_ref().ok();
        known.map(|(_, access)| access)
    }

    /// The same, as sessions have them.
    pub fn rights(&self) -> Option<Rc<Agent>> {
        self.agent.and_then(cache::access)
    }

    pub fn may(&self, subject: &Subject) -> bool {
        let access = self.access();
        access.is_some_and(|access| subject.decide(access, &mut Unobserved))
    }

    /// The rows of a ticket, with what they have in the columns that the rules ask for.
    pub fn tickets(&self, table: &TicketTable, id: &OwnedKey) -> Vec<(TicketValues, Ticket)> {
        let rows = table.find_values(id.borrowed(), &self.keys);
        let agent = self.agent.filter(|_| !rows.is_empty());
        let follows = Follows::of(|what| {
            agent.is_some_and(|agent| table.says(what, agent, id.borrowed(), &self.keys))
        });
        let ticket = |values| (values, table.ticket(values, follows));
        rows.into_iter().map(ticket).collect()
    }

    /// Adds the features that a command on a table needs, and the policies of the owner's own that it asks.
    pub fn add_policies(&self, besides: &mut Besides, table: pg_sys::Oid, command: Command) {
        self.add_features(besides, table, command);
        let own = TablePolicies::of(table).own_for(command);
        besides.other_policies.extend(own.map(|policy| OtherPolicy {
            command: policy.command(),
            policy: policy.name,
            table: display_name(table),
        }));
    }

    fn add_features(&self, besides: &mut Besides, table: pg_sys::Oid, command: Command) {
        let Some(access) = self.access() else {
            return;
        };
        for needed in TablePolicies::of(table).features_for(command) {
            let feature = Feature {
                table: display_name(table),
                permission: needed.permission.clone(),
                passed: access.has_named(&needed.permission),
            };
            if !besides.features.contains(&feature) {
                besides.features.push(feature);
            }
        }
    }

    /// May the agent see the ticket, by features and all policies, as far as who asks can know that? Notes
    /// what policies of the owner's own say, where they are asked.
    pub fn sees_by_policies(
        &self,
        besides: &mut Besides,
        table: &Rc<TicketTable>,
        id: &OwnedKey,
        is_seen_by_rules: bool,
    ) -> bool {
        let Some(rights) = self.rights() else {
            return is_seen_by_rules;
        };
        let by_features = TablePolicies::of(table.oid).allow(&rights, Action::View);
        let seen = Allowed::of_question(&rights, table, Action::View);
        if seen.by() != By::Policies {
            return is_seen_by_rules && by_features;
        }
        besides.forget_read_policies(table.oid);
        // Of a ticket that the rules hide nothing more is asked.
        if !(is_seen_by_rules && by_features) {
            return false;
        }
        let is_seen = seen.contains(id.borrowed());
        besides.own_policies.push((table.name(), is_seen));
        is_seen
    }

    /// Does who asks see the row with this id? What it does not see is like what is not there.
    pub fn shows(&self, besides: &mut Besides, rows: &Parent, id: &OwnedKey) -> bool {
        if self.is_told_all {
            return true;
        }
        besides.forget_read_policies(rows.oid());
        let rights = self.rights();
        rights.is_some_and(|rights| rows.shows(&rights, id.borrowed()))
    }

    /// What rows of a parent are or belong to, with which something is to be done. None if one of the rows is not
    /// there, or who asks does not see it.
    pub fn above(
        &self,
        besides: &mut Besides,
        parent: &Parent,
        action: Action,
        rows: Vec<Option<OwnedKey>>,
    ) -> Option<Above> {
        let mut above = parent;
        loop {
            let (table, next) = match above {
                Parent::Messages(messages) => (messages.oid, Some(&messages.parent)),
                Parent::Tickets(tickets) => (tickets.oid, None),
            };
            // They are read, for all that is done with them.
            self.add_policies(besides, table, Command::Select);
            self.add_features(besides, table, command_of(action));
            match next {
                Some(next) => above = next,
                None => break,
            }
        }
        let mut found = Above::default();
        for row in rows {
            let row = row?;
            if matches!(parent, Parent::Messages(_)) && !self.shows(besides, parent, &row) {
                return None;
            }
            self.add_above(&mut found, parent, row)?;
        }
        (!found.tickets.is_empty()).then_some(found)
    }

    /// Several tickets, if an id stands for several rows. None if there is no such row, or one belongs to nothing.
    fn add_above(&self, found: &mut Above, parent: &Parent, id: OwnedKey) -> Option<()> {
        let Parent::Messages(messages) = parent else {
            found.tickets.push(id);
            return Some(());
        };
        let rows = messages.find_rows(id.borrowed(), &self.keys);
        for row in &rows {
            found.messages.push((Some(row_id(&id)), row.message));
        }
        let parents = rows.into_iter().map(|row| row.parent);
        parents
            .into_iter()
            .try_for_each(|parent| self.add_above(found, &messages.parent, parent?))
    }

    /// Who may ask about others is told all, names included. Others are told all rules if `is_told_all`, and the names
    /// of ids besides their own if `tells_names`.
    pub fn explain(
        self,
        (table, of): (String, TableOf),
        asked: Asked,
        besides: Besides,
        (is_told_all, tells_names): (bool, bool),
        subject: Option<Subject>,
    ) -> Explanation {
        let names = Names::of(self.loader.catalog());
        let is_told_all = is_told_all || self.is_told_all;
        let tells_names = tells_names || self.is_told_all;
        let name = |column, id| {
            let is_agent =
                Principal::of_column(column) == Some(Principal::Agent) && Some(id) == self.agent;
            let told = tells_names || is_agent;
            told.then(|| names.get(Principal::of_column(column)?, id))?
        };
        let groups = match self.is_told_all {
            true => self.loader.all_groups(),
            false => vec![],
        };
        let question = Question {
            agent: self.agent,
            asked,
            table,
            of,
            unmapped: besides.unmapped,
            is_told_all,
            features: besides.features,
            own_policies: besides.own_policies,
            other_policies: besides.other_policies,
            groups,
            name: &name,
            timestamp: &timestamp,
        };
        deskguard_rules::explain(question, self.known, subject)
    }
}

/// What a row belongs to.
#[derive(Default)]
pub struct Above {
    pub tickets: Vec<OwnedKey>,
    /// The messages on the way there.
    pub messages: Vec<(Option<RowId>, Message)>,
}

impl Besides {
    /// Of a table whose rows were asked for under all of its policies.
    pub fn forget_read_policies(&mut self, table: pg_sys::Oid) {
        let name = display_name(table);
        self.other_policies
            .retain(|policy| policy.table != name || !matches!(policy.command, "ALL" | "SELECT"));
    }
}

/// Of a ticket that the agent does not see little is told, unless who asks is told all. An UPDATE is told what it
/// makes of the ticket.
pub fn explain_ticket(
    about: About,
    table: &Rc<TicketTable>,
    id: Option<&OwnedKey>,
    (asked, action): (Asked, Action),
    given: Option<&Given>,
) -> Explanation {
    let mut rows = id.map_or(vec![], |id| about.tickets(table, id));
    // Of several rows with the id one that is refused, since all must be allowed.
    let refused = |rows: &[(TicketValues, Ticket)], action| {
        let is_refused = |(_, ticket): &(_, Ticket)| !about.may(&Subject::Ticket(*ticket, action));
        rows.iter().position(is_refused)
    };
    let hidden = refused(&rows, Action::View);
    let mut besides = Besides::default();
    about.add_policies(&mut besides, table.oid, command_of(action));
    let is_seen = match id {
        Some(id) => about.sees_by_policies(&mut besides, table, id, hidden.is_none()),
        None => hidden.is_none(),
    };
    if let (Some(id), false) = (id, rows.is_empty()) {
        besides.unmapped = table.unmapped(id.borrowed(), about.agent, &about.keys);
    }
    let first = hidden.or_else(|| refused(&rows, action)).unwrap_or(0);
    let mut subject = None;
    if let Some((_, ticket)) = rows.get(first) {
        subject = Some(Subject::Ticket(*ticket, action));
    }
    // What it would become says something of what it is.
    if let (Some(given), true) = (given, is_seen || about.is_told_all) {
        let is_its_key = |column: &str| {
            let key = given.key(column).flatten();
            let is_it = |missing: &Unmapped| {
                missing.column == column && missing.value == key.as_ref().map(|key| key.to_string())
            };
            besides.unmapped.iter().any(is_it)
        };
        // Another one that is nobody's external_key, which has the same id.
        let is_other = |column, before, after| {
            (before, after) == (Some(UNMAPPED), Some(UNMAPPED))
                && table
                    .column(column)
                    .is_some_and(|column| given.has(column) && !is_its_key(column))
        };
        let updated = |(mut values, ticket): (TicketValues, Ticket)| {
            let after = table.with_given(values, given, &about.keys);
            if is_other(
                TicketColumn::Department,
                values.department,
                after.department,
            ) {
                values.department = None;
            }
            if is_other(TicketColumn::Category, values.category, after.category) {
                values.category = None;
            }
            let follows = Follows {
                followed: ticket.followed,
                requested: ticket.requested,
            };
            Subject::UpdatedTicket {
                before: table.ticket(values, follows),
                after: table.ticket(after, follows),
            }
        };
        let mut all: Vec<_> = rows.drain(..).map(updated).collect();
        let refused = all.iter().position(|subject| !about.may(subject));
        let first = hidden.or(refused).unwrap_or(0);
        subject = (first < all.len()).then(|| all.swap_remove(first));
        let given = table.unmapped_given(given, &about.keys);
        besides.unmapped.extend(given);
    }
    let is_of_command = matches!(asked, Asked::Command { .. });
    about.explain(
        (table.name(), TableOf::Tickets),
        asked,
        besides,
        (is_seen, !is_of_command),
        subject,
    )
}

pub fn explain_new_ticket(about: About, table: &Rc<TicketTable>, given: &Given) -> Explanation {
    let mut besides = Besides::default();
    about.add_policies(&mut besides, table.oid, Command::Insert);
    besides.unmapped = table.unmapped_given(given, &about.keys);
    let values = table.with_given(TicketValues::UNKNOWN, given, &about.keys);
    let subject = Subject::NewTicket(table.ticket(values, Follows::NOTHING));
    let asked = Asked::Command {
        command: Command::Insert,
        row: None,
    };
    about.explain(
        (table.name(), TableOf::Tickets),
        asked,
        besides,
        (true, false),
        Some(subject),
    )
}

/// Why an agent may not do something with a ticket that it sees, as a sentence. None if it may, as its
/// rights are at this moment.
pub fn reason(
    table: &Rc<TicketTable>,
    agent: i64,
    id: &OwnedKey,
    action: Action,
) -> Option<String> {
    let about = About::agent(Some(agent), false);
    let explanation = explain_action(about, table, Some(id), action);
    (!explanation.allowed).then_some(explanation.summary)
}

pub fn explain_action(
    about: About,
    table: &Rc<TicketTable>,
    id: Option<&OwnedKey>,
    action: Action,
) -> Explanation {
    let asked = Asked::Action {
        ticket: id.map(row_id),
        action,
    };
    explain_ticket(about, table, id, (asked, action), None)
}

pub fn row_id(key: &OwnedKey) -> RowId {
    match key {
        Key::Number(id) => RowId::Number(*id),
        Key::Uuid(_) | Key::Text(_) => RowId::Text(key.to_string()),
    }
}

/// As in PostgreSQL's JSON.
fn timestamp(moment: Moment) -> String {
    let mut text = [0; pg_sys::MAXDATELEN as usize + 1];
    // SAFETY: MAXDATELEN is the most that it writes, before a null character.
    unsafe {
        pg_sys::JsonEncodeDateTime(
            text.as_mut_ptr(),
            moment.into(),
            pg_sys::TIMESTAMPTZOID,
            std::ptr::null(),
        );
        std::ffi::CStr::from_ptr(text.as_ptr())
            .to_string_lossy()
            .into_owned()
    }
}
