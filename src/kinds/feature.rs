//! Rows that need a permission: what the policies of deskguard.protect_feature() call.

use deskguard_rules::Access;
use pgrx::Internal;
use pgrx::prelude::*;

use crate::pg::call_info::CallInfo;
use crate::pg::node::{CallExpr, Clause};
use crate::pg::support::{Answer, Request, Simplify, answer};
use crate::plan::folding::{Folded, Subject, fold_call, selectivity};
use crate::rights::call_site::rights_of_call;
use crate::rights::marks::Asked;

#[pg_extern(sql = false)]
fn feature_ok(permission: Option<&str>, fcinfo: CallInfo) -> bool {
    let rights = rights_of_call(fcinfo);
    permission.is_some_and(|name| rights.as_ref().is_some_and(|access| access.has_named(name)))
}

#[pg_extern(sql = false)]
fn feature_support(request: Internal) -> Internal {
    // SAFETY: called by the planner.
    unsafe {
        answer(request, |request| match request {
            Request::Simplify(request) => simplify(request),
            Request::Selectivity(request) => selectivity(request),
            Request::IndexCondition(_) => None,
        })
    }
}

/// True or false, as the current agent has the permission or not, until that may change by itself.
fn simplify(request: Simplify) -> Option<Answer> {
    fold_call(
        request,
        |_, call| match permission_of(call) {
            Some(rule) => Subject::Rule {
                table: None,
                asked: Asked::Rules,
                rule,
            },
            None => Subject::AskedWhenRun(Asked::Rules),
        },
        |_, _, agent, permission| {
            let has = |access: &Access| Clause::Constant(access.has_named(&permission));
            let later = agent.rest_to_come();
            Some(Folded {
                now: has(agent),
                later: later.map(|(moment, from_now_on)| (moment, has(from_now_on))),
            })
        },
    )
}

/// The permission that a call names, if it is a constant.
fn permission_of(call: CallExpr) -> Option<String> {
    call.arguments().first()?.text()
}
