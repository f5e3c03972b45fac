//! The functions that policies put around columns of external keys.

use pgrx::prelude::*;

use crate::pg::call_info::CallInfo;
use crate::rights::statement::at_site;
use crate::tables::key::KeyRef;
use crate::tables::principal::Principal;

fn id(fcinfo: CallInfo, principal: Principal, key: Option<KeyRef>) -> Option<i64> {
    let key = key?;
    let keys = at_site(fcinfo, None, |statement| statement.external_keys());
    Some(keys.id(principal, key))
}

/// An SQL function for uuid and one for text.
macro_rules! for_each_type {
    ($($principal:expr => $uuid:ident, $text:ident);+ $(;)?) => {
        $(
            #[pg_extern(sql = false)]
            fn $uuid(key: Option<pgrx::Uuid>, fcinfo: CallInfo) -> Option<i64> {
                id(fcinfo, $principal, key.map(KeyRef::from))
            }

            #[pg_extern(sql = false)]
            fn $text(key: Option<&str>, fcinfo: CallInfo) -> Option<i64> {
                id(fcinfo, $principal, key.map(KeyRef::from))
            }
        )+
    };
}

for_each_type!(
    Principal::Agent => agent_by_key_uuid, agent_by_key_text;
    Principal::Team => team_by_key_uuid, team_by_key_text;
    Principal::Department => department_by_key_uuid, department_by_key_text;
    Principal::Category => category_by_key_uuid, category_by_key_text;
);
