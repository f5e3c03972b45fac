//! What deskguard lets each agent do, beside what the product does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use deskguard_tests::help_desk::Id;
use deskguard_tests::lab::{act_for, ids, run, try_ids, value};
use postgres::Client;

/// How often each reason of the product let somebody do something, and how often nothing did.
#[derive(Default)]
pub struct Met(BTreeMap<String, usize>);

impl Met {
    fn add(&mut self, what: String, times: usize) {
        *self.0.entry(what).or_default() += times;
    }

    pub fn assert_each(&self, wanted: &[&str]) {
        let mut never = wanted.to_vec();
        never.retain(|what| self.0.get(*what).is_none_or(|times| *times == 0));
        assert!(never.is_empty(), "never met: {never:?} of {self}");
        let unknown: Vec<&String> = self
            .0
            .keys()
            .filter(|what| !what.ends_with(": refused") && !wanted.contains(&what.as_str()))
            .collect();
        assert!(unknown.is_empty(), "met, and not listed: {unknown:?}");
    }
}

impl fmt::Display for Met {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|(what, times)| format!("{what} {times}"))
            .collect();
        write!(f, "{}", parts.join(", "))
    }
}

/// Queries of the product's tables: what each agent may do, with the reason.
const RULES: [(&str, &str); 3] = [
    ("view", "rule.view"),
    ("change", "rule.change"),
    ("read", "rule.read"),
];

/// Statements to try: one that somebody may run has a reason.
const TRIES: [(&str, &str); 3] = [
    ("create", "rule.creates"),
    ("reply", "rule.replies"),
    ("move", "rule.moves"),
];

pub fn compare(superuser: &mut Client, app: &mut Client, met: &mut Met) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differ = |agent: Id, action: &str, what: &str, product: bool| {
        let [product, ours] = [product, !product].map(|may| if may { "yes" } else { "no" });
        differences.push(format!(
            "agent {agent}, {action} {what}: the product says {product}, deskguard {ours}"
        ));
    };
    let agents = ids(superuser, "SELECT id FROM rule.agents ORDER BY id");
    let apart = apart(superuser, met);
    for (action, rule) in RULES {
        let mut expected: BTreeMap<Id, BTreeSet<Id>> = BTreeMap::new();
        let sql = format!("SELECT agent_id, id, reason FROM {rule}");
        for row in superuser.query(&sql, &[]).unwrap() {
            expected.entry(row.get(0)).or_default().insert(row.get(1));
            met.add(format!("{action}: {}", row.get::<_, String>(2)), 1);
        }
        let done: String = value(superuser, &format!("SELECT rule.{action}_statement()"));
        for &agent in &agents {
            let mut expected = expected.remove(&agent).unwrap_or_default();
            for (_, _, id, is_allowed) in apart
                .iter()
                .filter(|(by, of, _, _)| *by == agent && of == action)
            {
                let was = match is_allowed {
                    true => expected.insert(*id),
                    false => !expected.remove(id),
                };
                let same = was != *is_allowed;
                assert!(!same, "{action}: {id} is not apart for {agent}");
            }
            act_for(app, agent);
            run(app, "BEGIN");
            let found = try_ids(app, &done);
            run(app, "ROLLBACK");
            let found: BTreeSet<Id> = match found {
                Ok(ids) => ids.into_iter().collect(),
                Err(error) => return vec![format!("{done}: {error:?}")],
            };
            for id in expected.symmetric_difference(&found) {
                differ(agent, action, &id.to_string(), expected.contains(id));
            }
        }
    }
    for (action, tries) in TRIES {
        let sql = format!("SELECT agent_id, statement, reason FROM {tries} ORDER BY agent_id");
        for row in superuser.query(&sql, &[]).unwrap() {
            let (agent, statement): (Id, String) = (row.get(0), row.get(1));
            let reason: Option<String> = row.get(2);
            act_for(app, agent);
            let sql = "SELECT rule.may_run($1)";
            let done = app.query_one(sql, &[&statement]);
            let done: bool = done
                .unwrap_or_else(|error| panic!("{statement}: {error:?}"))
                .get(0);
            if done != reason.is_some() {
                differ(agent, action, &statement, reason.is_some());
            }
            let reason = reason.unwrap_or_else(|| "refused".into());
            met.add(format!("{action}: {reason}"), 1);
        }
    }
    differences
}

/// What a page says that cannot be said: agent, action, id, and what deskguard answers.
fn apart(superuser: &mut Client, met: &mut Met) -> Vec<(Id, String, Id, bool)> {
    let sql = "SELECT agent_id, action, id, is_allowed, reason FROM rule.apart";
    let rows = superuser.query(sql, &[]).unwrap();
    rows.iter()
        .map(|row| {
            met.add(format!("apart: {}", row.get::<_, String>(4)), 1);
            (row.get(0), row.get(1), row.get(2), row.get(3))
        })
        .collect()
}
