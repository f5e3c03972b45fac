//! The rows, and their canaries.

use std::collections::BTreeSet;

use deskguard_tests::help_desk::{Id, Ticket};

use super::{Desk, KEY_SHIFT, KINDS, Row, Rule, TYPES, Table};
use crate::random::Random;

impl Desk {
    pub(super) fn fill(&mut self, random: &mut Random, own_policies: bool) {
        let some = |random: &mut Random, values: &[Id], none: usize| {
            (!random.percent(none)).then(|| *random.pick(values))
        };
        for desk in 0..3 {
            let size = [45, 30, 35][desk];
            for id in 1..=size {
                let assignees: &[Id] = &[2, 3, 4, 4, 5, 9, 99];
                let requesters: &[Id] = &[2, 3, 4, 9, 10, 10, 11, 99];
                let mut ticket = Ticket {
                    id,
                    department: some(random, &[1, 2, 3, 4, 5], 10),
                    category: some(random, &[1, 2, 3, 4, 5, 6, 7, 8], 10),
                    assignee: some(random, assignees, 60),
                    team: (desk == 0).then(|| some(random, &[1, 2], 80)).flatten(),
                    requester: (desk != 1).then(|| some(random, requesters, 60)).flatten(),
                    requester_team: (desk == 0).then(|| some(random, &[1, 3], 80)).flatten(),
                    confidential: (desk == 0).then(|| random.percent(15)),
                    status: (desk == 0).then(|| *random.pick(&["open", "open", "closed", "spam"])),
                };
                if desk == 2 {
                    ticket.assignee = ticket.assignee.map(|agent| agent + KEY_SHIFT);
                    ticket.requester = ticket.requester.map(|agent| agent + KEY_SHIFT);
                    ticket.category = ticket.category.map(|category| category + KEY_SHIFT);
                    if random.percent(20) && own_policies {
                        self.deleted.insert(id);
                    }
                }
                if desk == 1 {
                    (ticket.category, ticket.team) = (None, None);
                }
                self.desks[desk].tickets.push(ticket);
            }
        }
        let canary = |random: &mut Random, table: &Table| {
            let text = format!("zq{}{}qz", table.letter, 1 + table.rows.len());
            // Fourteen digits: neither a sum nor a mean of others is likely to be one.
            (
                text,
                10_i64.pow(13) + (random.next() % (9 * 10_u64.pow(13))) as i64,
            )
        };
        for place in 0..self.tables.len() {
            let mut rows: Vec<(String, Id, Option<Id>)> = Vec::new();
            let kind = self.tables[place].id_kind;
            match self.tables[place].rule {
                Rule::Ticket(desk) => {
                    for ticket in &self.desks[desk].tickets {
                        rows.push((kind.text(ticket.id), ticket.id, None));
                    }
                }
                Rule::Follower(desk) => {
                    let size = self.desks[desk].tickets.len();
                    let mut followers = BTreeSet::new();
                    for _ in 0..size * 2 / 3 {
                        let agent = *random.pick(&[2, 3, 4, 5, 6, 7, 9, 10, 11, 77]);
                        let agent = if desk == 2 { agent + KEY_SHIFT } else { agent };
                        followers.insert((1 + random.below(size) as Id, agent));
                    }
                    for (ticket, agent) in followers {
                        rows.push((kind.text(ticket), ticket, Some(agent)));
                    }
                }
                Rule::Message(desk) => {
                    let messages = self.messages_of(&self.tables[place]);
                    for id in 1..=45 {
                        if let Some(messages) = messages {
                            // Its message is `agent`; its ticket is the message's.
                            let message = random.below(messages.rows.len());
                            let of = messages.rows[message].of;
                            rows.push((id.to_string(), of, Some(message as Id + 1)));
                        } else {
                            let ticket = 1 + random.below(self.desks[desk].tickets.len()) as Id;
                            let author = some(random, &[2, 3, 4], 50);
                            rows.push((id.to_string(), ticket, author));
                        }
                    }
                }
                Rule::Shared => {
                    for id in 1..=25 {
                        let owner = *random.pick(&[2, 3, 4, 5, 6, 77]);
                        let shared = match random.below(10) {
                            0 => Some(None),
                            1..4 => Some(Some(*random.pick(&[2, 3, 4, 5, 6]))),
                            _ => None,
                        };
                        if let Some(with) = shared {
                            self.shared.push((place, id, with));
                        }
                        rows.push((kind.text(id), id, Some(owner)));
                    }
                }
                Rule::Feature => {
                    for id in 1..=12 {
                        rows.push((kind.text(id), id, None));
                    }
                }
            }
            for (id, of, agent) in rows {
                let (text, number) = canary(random, &self.tables[place]);
                let internal = *random.pick(&[Some(false), Some(false), Some(true), None]);
                let label = if self.tables[place].has("kind") {
                    *random.pick(&KINDS)
                } else if self.tables[place].has("type") {
                    *random.pick(&TYPES)
                } else {
                    None
                };
                self.tables[place].rows.push(Row {
                    id,
                    of,
                    agent,
                    internal,
                    label,
                    text,
                    number,
                });
            }
        }
    }
}
