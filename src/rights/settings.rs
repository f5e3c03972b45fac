//! The settings, `deskguard.*`.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_void};

use deskguard_rules::CategoryAccess;
use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};
use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::error;
use crate::signals::generation;

thread_local! {
    /// The setting deskguard.leader is being changed by deskguard, and not by a user.
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

/// The agent that a trusted session acts for: an integer, or empty for nobody.
static AGENT_ID: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
const AGENT_ID_NAME: &CStr = c"deskguard.agent_id";
thread_local! {
    /// The number that it has.
    static NAMED: Cell<Option<i64>> = const { Cell::new(None) };
}

/// What holds for agents without a category_access of their own that are in no group. For
/// superusers only: an agent must not open its own silo.
static DEFAULT_CATEGORY_ACCESS: GucSetting<DefaultCategoryAccess> =
    GucSetting::<DefaultCategoryAccess>::new(DefaultCategoryAccess::Silo);

/// How many kilobytes of agents' rights a backend keeps.
static CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(4096);

/// Make the rules part of plans? Only for comparison; the rows are the same.
static FOLD: GucSetting<bool> = GucSetting::<bool>::new(true);

/// The longest list of ids that becomes literals in a plan. Planning takes about 1 us for each, so that
/// beyond some hundreds a query by key pays more than any other gains.
static FOLD_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(300);

#[derive(Clone, Copy, PostgresGucEnum)]
enum DefaultCategoryAccess {
    #[name = c"silo"]
    Silo,
    #[name = c"open"]
    Open,
}

/// What becomes of an UPDATE or DELETE of a row by its key that the agent sees and may not change.
static REFUSED_CHANGES: GucSetting<RefusedChanges> =
    GucSetting::<RefusedChanges>::new(RefusedChanges::Skip);

#[derive(Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
enum RefusedChanges {
    #[name = c"skip"]
    Skip,
    #[name = c"error"]
    Error,
}

/// In which sessions conditions of the user may look rows up before the policies. For superusers only: what EXPLAIN
/// ANALYZE counts then depends on hidden rows.
static SEARCH_INDEX: GucSetting<SearchIndex> = GucSetting::<SearchIndex>::new(SearchIndex::Trusted);

#[derive(Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum SearchIndex {
    #[name = c"trusted"]
    Trusted,
    #[name = c"on"]
    On,
    #[name = c"off"]
    Off,
}

/// What the leader of parallel workers tells them: see leader.rs.
static LEADER: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
pub const LEADER_NAME: &CStr = c"deskguard.leader";

pub fn register() {
    // SAFETY: the hook is guarded, and reads no catalog.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            AGENT_ID_NAME,
            c"The agent that this session acts for, if its login role is trusted.",
            c"The id of a row of deskguard.agent; empty for nobody. Ignored, with a warning, unless the login role is in deskguard.trusted_role or a superuser.",
            &AGENT_ID,
            GucContext::Userset,
            // A pool can then follow it.
            GucFlags::REPORT,
            Some(check_agent_id),
            Some(agent_id_changed),
            None,
        );
    }
    // SAFETY: the hook is guarded, and reads no catalog.
    unsafe {
        GucRegistry::define_enum_guc_with_hooks(
        c"deskguard.default_category_access",
        c"Category access of agents that have none of their own and are in no group: silo or open.",
        c"Siloed agents see only tickets of the categories granted to them; open ones see every ticket.",
        &DEFAULT_CATEGORY_ACCESS,
        GucContext::Suset,
        GucFlags::default(),
        None,
        Some(default_category_access_changed),
        None,
    );
    }
    GucRegistry::define_int_guc(
        c"deskguard.cache_size",
        c"Memory for the rights of agents that a backend keeps.",
        c"Those not used for longest are dropped first.",
        &CACHE_SIZE,
        64,
        i32::MAX / 1024,
        GucContext::Suset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_bool_guc(
        c"deskguard.fold",
        c"Makes the rules part of query plans, as literals.",
        c"If off, they are asked by a function call for each row. The rows are the same.",
        &FOLD,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"deskguard.fold_limit",
        c"The longest list of categories, departments or teams that becomes literals in a plan.",
        c"Longer ones are asked by a function call for each row.",
        &FOLD_LIMIT,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_enum_guc(
        c"deskguard.refused_changes",
        c"What becomes of a change of a row by its key that the agent sees and may not change: skip or error.",
        c"skip: the command changes no row, as with any policy. error: it is refused, with the reason.",
        &REFUSED_CHANGES,
        GucContext::Userset,
        GucFlags::default(),
    );
    // SAFETY: the hook is guarded, and reads no catalog.
    unsafe {
        GucRegistry::define_enum_guc_with_hooks(
            c"deskguard.search_index",
            c"In which sessions searches use indexes before the policies are asked: trusted, on or off.",
            c"Full text, LIKE, jsonb, arrays and so on. The rows are the same; the time of a search, and what EXPLAIN ANALYZE counts, then depend on hidden rows.",
            &SEARCH_INDEX,
            GucContext::Suset,
            GucFlags::default(),
            None,
            Some(search_index_changed),
            None,
        );
        GucRegistry::define_string_guc_with_hooks(
            LEADER_NAME,
            c"For whom the parallel workers of a query run, and with which rights.",
            c"Set by deskguard only, and shown to nobody.",
            &LEADER,
            GucContext::Suset,
            GucFlags::NO_SHOW_ALL | GucFlags::NO_RESET_ALL | GucFlags::DISALLOW_IN_FILE,
            Some(check_leader),
            None,
            Some(show_nothing),
        );
    }
    // A misspelt deskguard.* setting is an error from now on.
    // SAFETY: takes a C string.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"deskguard".as_ptr()) };
}

fn parse_agent_id(text: &CStr) -> Result<Option<i64>, ()> {
    match text.to_str().map_err(|_| ())?.trim() {
        "" => Ok(None),
        digits => digits.parse().map(Some).map_err(|_| ()),
    }
}

/// # Safety
/// The new value is a C string, or null.
#[pg_guard]
#[allow(clippy::missing_safety_doc)] // pg_guard puts it into one without.
unsafe extern "C-unwind" fn check_agent_id(
    new_value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL hands in a pointer to the new value, which is NULL or a C string; the
    // detail and hint are only read, before the next check.
    unsafe {
        if (*new_value).is_null() || parse_agent_id(CStr::from_ptr(*new_value)).is_ok() {
            return true;
        }
        pg_sys::GUC_check_errcode(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE as std::ffi::c_int,
        );
        pg_sys::GUC_check_errdetail_string =
            c"It is the id of an agent, an integer.".as_ptr().cast_mut();
        pg_sys::GUC_check_errhint_string =
            c"Use an id of deskguard.agent, or an empty string for nobody."
                .as_ptr()
                .cast_mut();
        false
    }
}

/// # Safety
/// The new value is a C string, or null.
#[pg_guard]
#[allow(clippy::missing_safety_doc)] // pg_guard puts it into one without.
unsafe extern "C-unwind" fn check_leader(
    new_value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: a pointer to the new value, which is NULL or a C string; the detail is only read.
    unsafe {
        let new = (!(*new_value).is_null()).then(|| CStr::from_ptr(*new_value));
        if may_be_told(new) {
            return true;
        }
        pg_sys::GUC_check_errcode(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE as std::ffi::c_int,
        );
        pg_sys::GUC_check_errdetail_string = c"It is set by deskguard only.".as_ptr().cast_mut();
        false
    }
}

/// A function that runs within the statement, for whomever, must not read the rights of its agent.
extern "C-unwind" fn show_nothing() -> *const c_char {
    c"".as_ptr()
}

/// Plans made for the former agent are not for the new one.
///
/// # Safety
/// The new value is a C string, or null.
#[pg_guard]
#[allow(clippy::missing_safety_doc)] // pg_guard puts it into one without.
unsafe extern "C-unwind" fn agent_id_changed(new_value: *const c_char, _extra: *mut c_void) {
    // SAFETY: NULL or a C string.
    let new = (!new_value.is_null())
        .then(|| unsafe { CStr::from_ptr(new_value) })
        .and_then(|text| parse_agent_id(text).ok()?);
    if new != NAMED.replace(new) {
        generation::drop_all_plans();
    }
}

#[pg_guard]
extern "C-unwind" fn default_category_access_changed(_new: std::ffi::c_int, _extra: *mut c_void) {
    generation::all_changed();
}

#[pg_guard]
extern "C-unwind" fn search_index_changed(_new: std::ffi::c_int, _extra: *mut c_void) {
    generation::drop_all_plans();
}

pub fn leader() -> Option<CString> {
    LEADER.get().filter(|text| !text.is_empty())
}

pub fn cache_bytes() -> usize {
    usize::try_from(CACHE_SIZE.get()).unwrap_or(0) * 1024
}

pub fn folding() -> bool {
    FOLD.get()
}

/// Is a change of a row by its key that the agent may not change an error?
pub fn refuses_changes() -> bool {
    REFUSED_CHANGES.get() == RefusedChanges::Error
}

pub fn search_index() -> SearchIndex {
    SEARCH_INDEX.get()
}

pub fn fold_limit() -> usize {
    usize::try_from(FOLD_LIMIT.get()).unwrap_or(0)
}

/// The agent that deskguard.agent_id names, whether the session is trusted or not.
pub fn agent_id() -> Option<i64> {
    NAMED.get()
}

/// Sets deskguard.agent_id for the transaction or the session.
pub fn set_agent_id(agent: Option<i64>, is_local: bool) {
    let value = agent.map(|id| id.to_string()).unwrap_or_default();
    let Ok(value) = CString::new(value) else {
        error::raise(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "invalid agent id",
            "Use an id of deskguard.agent.",
        )
    };
    // SAFETY: as SQL's set_config() does it.
    unsafe {
        pg_sys::set_config_option(
            AGENT_ID_NAME.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            if is_local {
                pg_sys::GucAction::GUC_ACTION_LOCAL
            } else {
                pg_sys::GucAction::GUC_ACTION_SET
            },
            true,
            0,
            false,
        );
    }
}

pub fn default_category_access() -> CategoryAccess {
    match DEFAULT_CATEGORY_ACCESS.get() {
        DefaultCategoryAccess::Silo => CategoryAccess::Silo,
        DefaultCategoryAccess::Open => CategoryAccess::Open,
    }
}

/// May the setting become this? For a worker that is being started, or where it is told.
pub fn may_be_told(text: Option<&CStr>) -> bool {
    // SAFETY: reads the state of the backend.
    let is_starting = unsafe { pg_sys::InitializingParallelWorker };
    TELLING.get() || is_starting || text.is_none_or(|text| text.is_empty())
}

/// Sets deskguard.leader while `change` runs.
pub fn while_telling(change: impl FnOnce()) {
    struct End;
    impl Drop for End {
        /// Also if there was no memory for it: what is told gives rights.
        fn drop(&mut self) {
            TELLING.set(false);
        }
    }
    TELLING.set(true);
    let _end = End;
    change();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_a_bigint_and_nothing_is_no_agent() {
        for (text, agent) in [
            (c"7", Some(7)),
            (c" -7\n", Some(-7)),
            (c"9223372036854775807", Some(i64::MAX)),
            (c"", None),
            (c"  ", None),
        ] {
            assert_eq!(parse_agent_id(text), Ok(agent), "{text:?}");
        }
        for text in [
            c"9223372036854775808",
            c"7.0",
            c"0x7",
            c"7 8",
            c"Ann",
            c"\xff",
        ] {
            assert_eq!(parse_agent_id(text), Err(()), "{text:?}");
        }
    }
}
