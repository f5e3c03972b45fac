//! Things that agents share with each other, as filters, reports and saved responses: who sees and who
//! changes them.

use crate::access::Access;
use crate::permission::Permission;
use crate::ticket::Column;

/// May the agent change such an object, or make it? Its owner may, and who manages all. An object
/// can be given to another owner by those only that may change it afterwards, too.
pub fn may_change_shared(access: &Access, owner: Column) -> bool {
    access.has(Permission::ManageShared) || owner.value() == Some(access.agent)
}

/// May the agent see such an object? `shared` says if it is shared with the agent, with one of its
/// groups or with everyone.
pub fn may_see_shared(access: &Access, owner: Column, shared: bool) -> bool {
    shared || may_change_shared(access, owner)
}

/// What these rules ask of an object, for one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedCondition {
    Constant(bool),
    /// One of these is enough.
    AnyOf {
        /// The agent is its owner.
        owned: bool,
        /// It is one of those that are shared with the agent.
        shared: bool,
    },
}

/// Which objects does the agent see? `has_owners`: the table says who owns an object; `any_shared`:
/// there are objects that are shared with the agent.
pub fn see_shared_condition(
    access: &Access,
    has_owners: bool,
    any_shared: bool,
) -> SharedCondition {
    condition(access, has_owners, any_shared, |owner, shared| {
        may_see_shared(access, owner, shared)
    })
}

/// Which objects may the agent change?
pub fn change_shared_condition(access: &Access, has_owners: bool) -> SharedCondition {
    condition(access, has_owners, false, |owner, _| {
        may_change_shared(access, owner)
    })
}

/// Asks a rule about an object of each kind.
fn condition(
    access: &Access,
    has_owners: bool,
    any_shared: bool,
    allows: impl Fn(Column, bool) -> bool,
) -> SharedCondition {
    let others = Column::Value(None);
    let owned = has_owners && allows(Column::Value(Some(access.agent)), false);
    let shared = any_shared && allows(others, true);
    if allows(others, false) {
        SharedCondition::Constant(true)
    } else if owned || shared {
        SharedCondition::AnyOf { owned, shared }
    } else {
        SharedCondition::Constant(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grants::tests::grants;

    fn agent(manages: bool) -> Access {
        let mut held = grants(vec![]);
        if manages {
            held.held.permissions.insert("shared.manage".into());
        }
        Access::compile(&held)
    }

    #[test]
    fn owners_and_managers_change_and_all_it_is_shared_with_see() {
        let one = agent(false);
        let own = Column::Value(Some(one.agent));
        let of_another = Column::Value(Some(one.agent + 1));
        assert!(may_change_shared(&one, own) && may_see_shared(&one, own, false));
        for owner in [of_another, Column::Value(None), Column::Absent] {
            assert!(!may_change_shared(&one, owner));
            assert!(!may_see_shared(&one, owner, false));
            assert!(may_see_shared(&one, owner, true));
            let manager = agent(true);
            assert!(may_change_shared(&manager, owner));
            assert!(may_see_shared(&manager, owner, false));
        }
    }

    #[test]
    fn conditions_ask_for_what_can_matter() {
        use SharedCondition::{AnyOf, Constant};
        let one = agent(false);
        let any_of = |owned, shared| AnyOf { owned, shared };
        assert_eq!(see_shared_condition(&one, true, true), any_of(true, true));
        assert_eq!(see_shared_condition(&one, true, false), any_of(true, false));
        assert_eq!(see_shared_condition(&one, false, true), any_of(false, true));
        assert_eq!(see_shared_condition(&one, false, false), Constant(false));
        assert_eq!(change_shared_condition(&one, true), any_of(true, false));
        assert_eq!(change_shared_condition(&one, false), Constant(false));
        for (has_owners, any_shared) in [(true, true), (false, false)] {
            let manager = agent(true);
            let seen = see_shared_condition(&manager, has_owners, any_shared);
            assert_eq!(seen, Constant(true));
            assert_eq!(
                change_shared_condition(&manager, has_owners),
                Constant(true)
            );
        }
    }
}
