//! The permissions that deskguard itself asks for, and the names they have in the catalog.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

/// How an agent stands to a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// Assigned to the agent or to one of its teams.
    Own,
    Followed,
    Unassigned,
    /// Assigned to others.
    Assigned,
    /// Asked for by the agent or by one of its teams.
    Requested,
}

impl Relation {
    pub const ALL: [Relation; 5] = [
        Relation::Own,
        Relation::Followed,
        Relation::Requested,
        Relation::Unassigned,
        Relation::Assigned,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Relation::Own => "own",
            Relation::Followed => "followed",
            Relation::Unassigned => "unassigned",
            Relation::Assigned => "assigned",
            Relation::Requested => "requested",
        }
    }
}

/// What an agent may do with a ticket that it can view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    Reply,
    Modify,
    EditMessages,
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    View,
    Change(Change),
    /// To view it where this permission holds for it: what is asked for something that belongs to a ticket.
    Holding(Permission),
}

impl Action {
    /// Those that users ask about.
    pub const ALL: [Action; 5] = [
        Action::View,
        Action::Change(Change::Reply),
        Action::Change(Change::Modify),
        Action::Change(Change::EditMessages),
        Action::Change(Change::Delete),
    ];

    pub fn name(self) -> &'static str {
        match self {
            Action::View | Action::Holding(_) => "view",
            Action::Change(Change::Reply) => "reply",
            Action::Change(Change::Modify) => "modify",
            Action::Change(Change::EditMessages) => "edit_messages",
            Action::Change(Change::Delete) => "delete",
        }
    }

    pub fn from_name(name: &str) -> Option<Action> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }
}

/// What an SQL command does with rows, as in CREATE POLICY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Select,
    Insert,
    Update,
    Delete,
}

impl Command {
    pub const ALL: [Command; 4] = [
        Command::Select,
        Command::Insert,
        Command::Update,
        Command::Delete,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Command::Select => "SELECT",
            Command::Insert => "INSERT",
            Command::Update => "UPDATE",
            Command::Delete => "DELETE",
        }
    }

    /// In any case, as key words of SQL.
    pub fn from_name(name: &str) -> Option<Command> {
        let is_it = |command: &Command| command.name().eq_ignore_ascii_case(name);
        Self::ALL.into_iter().find(is_it)
    }
}

/// A permission of the starting catalog that deskguard itself asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    Use,
    Create,
    /// To view tickets to which the agent stands so. Own and followed ones are seen without it by who may use
    /// tickets everywhere.
    View(Relation),
    /// Confidential tickets of others.
    ViewConfidential,
    /// Internal messages, and to write them.
    ViewInternal,
    /// To take tickets out of the archive.
    Unarchive,
    /// To ask about the access of other agents.
    Audit,
    /// To reply to more than one ticket with one command.
    MassReply,
    /// To see and change all shared objects.
    ManageShared,
    On(Change, Relation),
}

impl Permission {
    pub fn all() -> impl Iterator<Item = Permission> {
        use Change::*;
        [
            Permission::Use,
            Permission::Create,
            Permission::ViewConfidential,
            Permission::ViewInternal,
            Permission::Unarchive,
            Permission::Audit,
            Permission::MassReply,
            Permission::ManageShared,
        ]
        .into_iter()
        .chain(Relation::ALL.map(Permission::View))
        .chain(
            [Reply, Modify, EditMessages, Delete]
                .into_iter()
                .flat_map(|change| Relation::ALL.map(|relation| Permission::On(change, relation))),
        )
    }

    /// What an action takes, of a ticket to which the agent stands so.
    pub fn to(action: Action, relation: Relation) -> Permission {
        match action {
            Action::View => Permission::View(relation),
            Action::Change(change) => Permission::On(change, relation),
            Action::Holding(permission) => permission,
        }
    }

    /// Its name in `deskguard.permission`.
    pub fn name(self) -> String {
        match self {
            Permission::Use => "ticket.use".into(),
            Permission::Create => "ticket.create".into(),
            Permission::View(relation) => format!("ticket.view.{}", relation.name()),
            Permission::ViewConfidential => "ticket.view.confidential".into(),
            Permission::ViewInternal => "ticket.view.internal".into(),
            Permission::Unarchive => "ticket.unarchive".into(),
            Permission::Audit => "permission.audit".into(),
            Permission::MassReply => "ticket.mass_reply".into(),
            Permission::ManageShared => "shared.manage".into(),
            Permission::On(change, relation) => format!(
                "ticket.{}.{}",
                Action::Change(change).name(),
                relation.name()
            ),
        }
    }

    /// None for a permission that only users ask for.
    pub fn from_name(name: &str) -> Option<Permission> {
        static BY_NAME: LazyLock<HashMap<String, Permission>> =
            LazyLock::new(|| Permission::all().map(|p| (p.name(), p)).collect());
        BY_NAME.get(name).copied()
    }

    /// Its place in a [`PermissionSet`].
    fn bit(self) -> u32 {
        match self {
            Permission::Use => 0,
            Permission::Create => 1,
            Permission::Audit => 2,
            Permission::ViewConfidential => 3,
            Permission::Unarchive => 4,
            Permission::MassReply => 5,
            Permission::ManageShared => 6,
            Permission::ViewInternal => 7,
            Permission::View(relation) => 8 + relation as u32,
            Permission::On(change, relation) => 16 + 8 * change as u32 + relation as u32,
        }
    }
}

/// A set of [`Permission`]s in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct PermissionSet(u64);

impl PermissionSet {
    pub(crate) fn contains(self, permission: Permission) -> bool {
        self.0 & (1 << permission.bit()) != 0
    }

    pub(crate) fn and(self, others: PermissionSet) -> PermissionSet {
        PermissionSet(self.0 | others.0)
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        PermissionSet(
            permissions
                .into_iter()
                .fold(0, |bits, permission| bits | 1 << permission.bit()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_permission_has_a_bit_and_a_name_of_its_own() {
        let all: Vec<_> = Permission::all().collect();
        assert_eq!(all.len(), 33);
        let bits: BTreeSet<_> = all.iter().map(|p| p.bit()).collect();
        let names: BTreeSet<_> = all.iter().map(|p| p.name()).collect();
        assert_eq!((bits.len(), names.len()), (33, 33));
        assert!(names.contains("ticket.edit_messages.followed"));
        assert!(
            all.iter()
                .all(|p| Permission::from_name(&p.name()) == Some(*p))
        );
        assert_eq!(Permission::from_name("report.view"), None);
    }

    #[test]
    fn actions_are_found_by_their_names() {
        for action in Action::ALL {
            assert_eq!(Action::from_name(action.name()), Some(action));
        }
        assert_eq!(Action::from_name("View"), None);
    }
}
