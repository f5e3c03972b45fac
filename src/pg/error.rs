//! Errors that tell what to do.

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

fn report(
    level: PgLogLevel,
    code: PgSqlErrorCode,
    message: impl Into<String>,
    hint: impl Into<String>,
) {
    new(code, message, hint).report(level);
}

fn new(code: PgSqlErrorCode, message: impl Into<String>, hint: impl Into<String>) -> ErrorReport {
    ErrorReport::new(code, message.into(), "deskguard").set_hint(hint)
}

/// Raises an error with its SQLSTATE and a hint.
pub fn raise(code: PgSqlErrorCode, message: impl Into<String>, hint: impl Into<String>) -> ! {
    report(PgLogLevel::ERROR, code, message, hint);
    unreachable!("an error does not return")
}

/// The same with a detail.
pub fn raise_with_detail(
    code: PgSqlErrorCode,
    message: impl Into<String>,
    detail: Option<String>,
    hint: impl Into<String>,
) -> ! {
    let mut error = new(code, message, hint);
    if let Some(detail) = detail {
        error = error.set_detail(detail);
    }
    error.report(PgLogLevel::ERROR);
    unreachable!("an error does not return")
}

/// Refuses what an agent may not do. The detail says why.
pub fn refuse(message: impl Into<String>, detail: Option<String>, hint: impl Into<String>) -> ! {
    let code = PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE;
    raise_with_detail(code, message, detail, hint)
}

/// Refuses a function that writes where nothing can be written.
pub fn refuse_read_only(function: &str) {
    // SAFETY: reads the backend's state.
    let (is_read_only, is_standby) =
        unsafe { (pg_sys::XactReadOnly, pg_sys::RecoveryInProgress()) };
    if is_read_only {
        raise(
            PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION,
            format!("cannot execute {function}() in a read-only transaction"),
            if is_standby {
                "This server is a standby. Run it on the primary."
            } else {
                "Run it in a transaction that is READ WRITE."
            },
        );
    }
}

/// Refuses a statement that would mix two states of the rights.
pub fn rights_changed() -> ! {
    raise(
        PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
        "the rights of an agent changed while the statement was about to start",
        "Retry the transaction.",
    )
}

pub fn warn(message: impl Into<String>, hint: impl Into<String>) {
    warn_as(PgSqlErrorCode::ERRCODE_WARNING, message, hint);
}

pub fn warn_as(code: PgSqlErrorCode, message: impl Into<String>, hint: impl Into<String>) {
    report(PgLogLevel::WARNING, code, message, hint);
}

pub fn notice(message: impl Into<String>, hint: impl Into<String>) {
    report(
        PgLogLevel::NOTICE,
        PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
        message,
        hint,
    );
}
