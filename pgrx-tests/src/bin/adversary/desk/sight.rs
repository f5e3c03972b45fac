//! Who may see which row, and do what with it: by the rules as the oracle of these tests has them, and by what the
//! help desk here has besides.

use deskguard_tests::help_desk::{Follower, Id, Kind, Ticket};

use super::rights::INVOICES;
use super::{AGENTS, Desk, KEY_SHIFT, Row, Rule, Sight, Table};

impl Desk {
    /// What follows from the rows and rights as they are: who follows tickets, and who sees what.
    pub(super) fn settle(&mut self) {
        for place in 0..self.tables.len() {
            let table = &self.tables[place];
            if let Rule::Follower(desk) = table.rule {
                let rows = table
                    .rows
                    .iter()
                    .filter(|row| table.is_of_tickets(row.label) && table.only_follows(row.label));
                let followers = rows.map(|row| Follower::of(row.of, row.agent)).collect();
                self.desks[desk].followers = followers;
            }
        }
        let everyone = AGENTS.into_iter().map(Some).chain([None]);
        let sights = everyone.map(|agent| (agent, self.sight_of(agent)));
        self.sights = sights.collect();
    }

    fn sight_of(&self, agent: Option<Id>) -> Sight {
        let tables = self.tables.iter();
        tables
            .map(|table| {
                let rows = table.rows.iter();
                rows.map(|row| self.is_seen(agent, table, row)).collect()
            })
            .collect()
    }

    fn is_seen(&self, agent: Option<Id>, table: &Table, row: &Row) -> bool {
        if !table.is_of_tickets(row.label) {
            return table.leaves_others_open();
        }
        agent.is_some_and(|agent| self.rule_lets_see(agent, table, row))
    }

    fn rule_lets_see(&self, agent: Id, table: &Table, row: &Row) -> bool {
        match table.rule {
            Rule::Ticket(desk) | Rule::Follower(desk) => self.sees_ticket(desk, agent, row.of),
            Rule::Message(desk) => {
                let (messages, message) = self.message(table, row);
                messages.is_of_tickets(message.label)
                    && self.sees_ticket(desk, agent, row.of)
                    && (!self.is_note(table, row)
                        || messages.has("author") && message.agent == Some(agent)
                        || self.sees_notes(desk, agent, row.of))
            }
            Rule::Shared => {
                self.changes_shared(agent, row.agent)
                    || self.is_active(agent)
                        && self.shared.iter().any(|(of, id, with)| {
                            self.tables[*of].name == table.name
                                && *id == row.of
                                && with.is_none_or(|with| with == agent)
                        })
            }
            Rule::Feature => self.uses_invoices(agent),
        }
    }

    /// The message that a row is or belongs to, and its table.
    fn message<'a>(&'a self, table: &'a Table, row: &'a Row) -> (&'a Table, &'a Row) {
        match (self.messages_of(table), row.agent) {
            // An attachment has its message there.
            (Some(messages), Some(message)) => (messages, &messages.rows[message as usize - 1]),
            _ => (table, row),
        }
    }

    /// To which messages the rows of this table are attached, if they are.
    pub fn messages_of(&self, table: &Table) -> Option<&Table> {
        let messages = table.name.strip_suffix(".attachment")?;
        Some(&self.tables[self.table(&format!("{messages}.message"))])
    }

    /// Is it an internal message, or a part of one?
    pub fn is_note(&self, table: &Table, row: &Row) -> bool {
        let (messages, message) = self.message(table, row);
        messages.has("internal") && message.internal != Some(false)
    }

    /// Has it the permission where the ticket is?
    pub fn sees_notes(&self, desk: usize, agent: Id, ticket: Id) -> bool {
        let ticket = self.ticket_for(desk, agent, ticket);
        ticket
            .is_some_and(|ticket| self.desks[desk].has_for(agent, &ticket, "ticket.view.internal"))
    }

    fn is_active(&self, agent: Id) -> bool {
        let mut agents = self.desks[0].agents.iter();
        agents.any(|of| of.id == agent && of.active)
    }

    /// A ticket as it is for an agent: one who follows it as its customer has requested it, like the one that its column names.
    pub fn ticket_for(&self, desk: usize, agent: Id, ticket: Id) -> Option<Ticket> {
        let mut ticket = self.desks[desk].ticket(ticket)?.clone();
        let mut tables = self.tables.iter();
        let followers = tables.find(|table| table.rule == Rule::Follower(desk))?;
        let is_customer = |row: &Row| {
            row.of == ticket.id && row.agent == Some(agent) && row.label == Some("customer")
        };
        if followers.has("kind") && followers.rows.iter().any(is_customer) {
            ticket.requester = Some(agent);
        }
        Some(ticket)
    }

    /// The owner's own policy about deleted tickets counts, too.
    pub fn sees_ticket(&self, desk: usize, agent: Id, ticket: Id) -> bool {
        let hidden = desk == 2 && self.deleted.contains(&ticket);
        let ticket = self.ticket_for(desk, agent, ticket);
        !hidden && ticket.is_some_and(|ticket| self.desks[desk].view(agent, &ticket))
    }

    /// May it do this with the ticket, which it sees?
    pub fn acts(&self, desk: usize, agent: Id, ticket: Id, action: &str) -> bool {
        self.sees_ticket(desk, agent, ticket)
            && self
                .ticket_for(desk, agent, ticket)
                .is_some_and(|ticket| self.desks[desk].act(agent, &ticket, action))
    }

    /// `owner` as its column has it.
    pub fn changes_shared(&self, agent: Id, owner: Option<Id>) -> bool {
        self.is_active(agent) && (owner == Some(agent) || self.desks[0].has(agent, "shared.manage"))
    }

    /// The agent that an owner's column means.
    pub fn owner(&self, table: &Table, value: Option<Id>) -> Option<Id> {
        match table.id_kind {
            Kind::Uuid => value.map(|key| key - KEY_SHIFT),
            _ => value,
        }
    }

    pub fn uses_invoices(&self, agent: Id) -> bool {
        self.desks[0].has(agent, INVOICES)
    }
}
