//! The objects of a table that are shared with an agent.

use deskguard_rules::Access;
use pgrx::pg_sys;
use serde::{Deserialize, Serialize};

use crate::pg::scan::ScanKey;
use crate::rights::load::Loader;
use crate::tables::columns::shared_visibility;
use crate::tables::key::{KeySet, OwnedKey};
use crate::tables::shared_table::SharedTable;

/// The objects of a table that are shared with an agent.
#[derive(Serialize, Deserialize)]
pub struct Shared {
    pub now: KeySet,
    /// At least those at each later moment; none if the agent's rights do not change by themselves.
    pub from_now_on: KeySet,
}

pub static NONE: Shared = Shared {
    now: KeySet::EMPTY,
    from_now_on: KeySet::EMPTY,
};

impl Shared {
    pub fn load(loader: &Loader, access: &Access, table: pg_sys::Oid) -> Shared {
        let to_come = access.rest_to_come();
        Shared {
            now: loader.shared_with(access, table),
            from_now_on: to_come.map_or(KeySet::EMPTY, |(_, from_now_on)| {
                loader.shared_with(from_now_on, table)
            }),
        }
    }

    /// The memory that it takes, in bytes.
    pub fn bytes(&self) -> usize {
        std::mem::size_of::<Shared>() + self.now.bytes() + self.from_now_on.bytes()
    }
}

impl Loader {
    /// The names of the groups with which an object is shared.
    pub fn groups_shared_with(&self, table: &SharedTable, object: &OwnedKey) -> Vec<String> {
        let mut groups = vec![];
        let of_table = [ScanKey::oid(shared_visibility::OBJECT_TABLE, table.oid)];
        let index = Some(c"shared_visibility_key");
        self.catalog()
            .scan(c"shared_visibility", index, &of_table, |row| {
                if table.object_of(row).as_ref() == Some(object) {
                    groups.extend(row.get::<i64>(shared_visibility::GROUP_ID));
                }
            });
        let name = |id| self.group(id).map(|group| group.name.clone());
        groups.into_iter().filter_map(name).collect()
    }

    /// The objects of a table that are shared with an agent.
    fn shared_with(&self, access: &Access, table: pg_sys::Oid) -> KeySet {
        let Some(shared) = SharedTable::find(self.catalog(), table) else {
            return KeySet::EMPTY;
        };
        let mut objects = vec![];
        let mut add = |index, keys: &[ScanKey]| {
            self.catalog()
                .scan(c"shared_visibility", Some(index), keys, |row| {
                    objects.extend(shared.object_of(row));
                });
        };
        let of_table = || ScanKey::oid(shared_visibility::OBJECT_TABLE, table);
        add(c"shared_visibility_everyone_idx", &[of_table()]);
        let agents = c"shared_visibility_agent_id_idx";
        let key = ScanKey::bigint(shared_visibility::AGENT_ID, access.agent);
        add(agents, &[key, of_table()]);
        for group in access.groups().sorted() {
            let key = ScanKey::bigint(shared_visibility::GROUP_ID, *group);
            add(c"shared_visibility_group_id_idx", &[key, of_table()]);
        }
        objects.into_iter().collect()
    }
}
