//! Functions of the SQL of version 0.1.0, which were given fewer columns. They are there until the extension is
//! updated, which replaces all that calls them.

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::pg::call_info::{CallInfo, version_1};
use crate::tables::catalog::refuse_former_sql;

macro_rules! former {
    ($($function:ident),+ $(,)?) => {
        $(
            version_1!($function);

            #[unsafe(no_mangle)]
            #[pg_guard]
            pub extern "C-unwind" fn $function(_fcinfo: CallInfo) -> pg_sys::Datum {
                refuse_former_sql()
            }
        )+
    };
}

former!(
    view_ok_wrapper,
    view_ok_uuid_wrapper,
    view_ok_text_wrapper,
    reply_ok_wrapper,
    reply_ok_uuid_wrapper,
    reply_ok_text_wrapper,
    modify_ok_wrapper,
    modify_ok_uuid_wrapper,
    modify_ok_text_wrapper,
    edit_messages_ok_wrapper,
    edit_messages_ok_uuid_wrapper,
    edit_messages_ok_text_wrapper,
    delete_ok_wrapper,
    delete_ok_uuid_wrapper,
    delete_ok_text_wrapper,
    create_ok_wrapper,
    update_ok_wrapper,
    update_ok_uuid_wrapper,
    update_ok_text_wrapper,
    protect_tickets_wrapper,
);
