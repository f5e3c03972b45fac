//! The functions that policies put around columns of external keys.

use pgrx::prelude::*;

use crate::pg::call_info::CallInfo;
use crate::rights::call_site::at_site;
use crate::tables::key::KeyRef;
use crate::tables::key_functions::for_key_types;
use crate::tables::principal::Principal;

fn id(fcinfo: CallInfo, principal: Principal, key: Option<KeyRef>) -> Option<i64> {
    let key = key?;
    let keys = at_site(fcinfo, None, |statement| statement.external_keys());
    Some(keys.id(principal, key))
}

for_key_types!(
    |$name, $key, $principal|
    [agent_by_key_uuid, agent_by_key_text] with Principal::Agent,
    [team_by_key_uuid, team_by_key_text] with Principal::Team,
    [department_by_key_uuid, department_by_key_text] with Principal::Department,
    [category_by_key_uuid, category_by_key_text] with Principal::Category =>
    #[pg_extern(sql = false)]
    fn $name(key: Option<$key>, fcinfo: CallInfo) -> Option<i64> {
        id(fcinfo, $principal, key.map(KeyRef::from))
    }
);
