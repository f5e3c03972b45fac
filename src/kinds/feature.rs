//! Rows that need a permission: what the policies of deskguard.protect_feature() call.

use deskguard_rules::Access;
use pgrx::prelude::*;
use pgrx::{Internal, pg_sys};

use crate::pg::node::{as_node, boolean, items};
use crate::pg::support::{Answer, Request, answer};
use crate::plan::folding::{for_later, is_for_later, rights_of_plan, selectivity};
use crate::plan::until::until;
use crate::rights::marks::{Asked, ask};
use crate::rights::settings;
use crate::rights::statement::{self, rights_of_call};

#[pg_extern(sql = false)]
fn feature_ok(permission: Option<&str>, fcinfo: pg_sys::FunctionCallInfo) -> bool {
    let rights = rights_of_call(&fcinfo);
    permission.is_some_and(|name| rights.as_ref().is_some_and(|access| access.has_named(name)))
}

#[pg_extern(sql = false)]
fn feature_support(request: Internal) -> Internal {
    // SAFETY: called by the planner.
    unsafe {
        answer(request, |request| match request {
            Request::Simplify(request) => simplify(request).map(Answer::from),
            Request::Selectivity(request) => selectivity(request).then_some(Answer::InRequest),
            Request::IndexCondition(_) => None,
        })
    }
}

/// True or false, as the current agent has the permission or not, until that may change by itself.
///
/// # Safety
/// The request is the planner's.
unsafe fn simplify(request: &pg_sys::SupportRequestSimplify) -> Option<*mut pg_sys::Node> {
    // SAFETY: as the caller promises.
    unsafe {
        // Without a plan to mark, the call must stay.
        if request.root.is_null() || (*request.root).glob.is_null() {
            return None;
        }
        let call = &*request.fcall;
        if is_for_later(call.args) {
            return None;
        }
        let named = || {
            let argument = items::<pg_sys::Node>(call.args).first()?;
            let constant = as_node::<pg_sys::Const>(*argument)?;
            String::from_datum(constant.constvalue, constant.constisnull)
        };
        let plan = &mut *(*request.root).glob;
        let may_fold = settings::folding() && statement::may_fold(None);
        let Some(permission) = named().filter(|_| may_fold) else {
            ask(&mut plan.invalItems, Asked::Rules);
            return None;
        };
        let Some(agent) = rights_of_plan(plan) else {
            return Some(boolean(false));
        };
        let has = |access: &Access| boolean(access.has_named(&permission));
        let now = has(&agent);
        Some(match agent.rest_to_come() {
            Some((moment, from_now_on)) => until(moment, now, has(from_now_on), for_later(call)),
            None => now,
        })
    }
}
