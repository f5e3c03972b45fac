//! The first rows of a queue: `ORDER BY updated_at DESC LIMIT 50`, of several categories or departments.
//!
//! An index on (category_id, updated_at) gives the tickets of one category in order, and not those of a list of
//! categories, which PostgreSQL sorts. So it is offered one scan for each value of the list, merged: its own MergeAppend
//! over its own index scans, which it takes if it thinks that this costs less. The same for an OR of the rules, such as
//! "assigned to me, or of my departments": each part by its own index, without the rows of the parts before.

use crate::pg::ordered_scans::OrderedTable;
use crate::protection::whole::is_whole;
use crate::rights::marks;

/// The planner has found ways to read a table: adds those that merge ordered scans.
pub fn plan(table: OrderedTable) {
    if !table.may_gain() {
        return;
    }
    let root = table.root;
    let filters: Vec<_> = table.conditions().collect();
    let ors: Vec<_> = filters
        .iter()
        .filter(|filter| filter.is_or_of_policy(root))
        .collect();
    if ors.is_empty() && !filters.iter().any(|filter| filter.is_list()) {
        return;
    }
    // Only where rules were folded: of nothing else is it known who may see what.
    let is_folded = root
        .plan()
        .is_some_and(|plan| marks::serial(&plan.items().all()).is_some());
    if !is_folded || root.policies_apply(table.number()) != Some(true) || !is_whole(table.oid()) {
        return;
    }
    let found = table.scans_of_lists(&filters);
    if !found.is_empty() {
        for scans in found {
            table.add_merge(vec![scans]);
        }
        return;
    }
    for or in ors {
        if let Some(scans) = table.scans_of_or(&filters, *or) {
            table.add_merge(scans);
        }
    }
}
