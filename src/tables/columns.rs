//! The columns of deskguard's own tables, by number: in the order of their CREATE TABLE in sql/.

pub mod agent {
    use crate::pg::scan::Attribute;
    pub const ID: Attribute = 1;
    pub const ACTIVE: Attribute = 3;
    pub const DB_ROLE: Attribute = 4;
    pub const CATEGORY_ACCESS: Attribute = 5;
    pub const EXTERNAL_KEY: Attribute = 6;
}

pub mod department {
    use crate::pg::scan::Attribute;
    pub const ID: Attribute = 1;
    pub const PARENT_ID: Attribute = 3;
    pub const EXTERNAL_KEY: Attribute = 4;
}

/// team and category
pub mod named {
    use crate::pg::scan::Attribute;
    pub const EXTERNAL_KEY: Attribute = 3;
}

pub mod permission {
    use crate::pg::scan::Attribute;
    pub const NAME: Attribute = 1;
    pub const DESTRUCTIVE: Attribute = 3;
}

pub mod permission_group {
    use crate::pg::scan::Attribute;
    pub const ID: Attribute = 1;
    pub const NAME: Attribute = 2;
    pub const CATEGORY_ACCESS: Attribute = 3;
    pub const DEPARTMENT_ACCESS: Attribute = 4;
    pub const SCOPE: Attribute = 6;
}

/// The built-in group that has every permission.
pub const ALL_PERMISSIONS: i64 = 1;

/// The built-in group that has every permission but the destructive ones.
pub const ALL_NON_DESTRUCTIVE_PERMISSIONS: i64 = 2;

/// group_member and team_member: the group or team first, and for how long.
pub mod member {
    use crate::pg::scan::Attribute;
    pub const OF: Attribute = 1;
    pub const AGENT_ID: Attribute = 2;
    pub const VALID_FROM: Attribute = 3;
}

/// The six grant tables: who holds it, what, for departments the level, and for how long.
pub mod grant {
    use crate::pg::scan::Attribute;
    pub const HOLDER: Attribute = 1;
    pub const OBJECT: Attribute = 2;
    pub const VALID_FROM: Attribute = 3;
    pub const LEVEL: Attribute = 3;
    pub const VALID_FROM_AFTER_LEVEL: Attribute = 4;
}

pub mod trusted_role {
    use crate::pg::scan::Attribute;
    pub const ROLE_NAME: Attribute = 1;
}

pub mod shared_visibility {
    use crate::pg::scan::Attribute;
    pub const OBJECT_TABLE: Attribute = 1;
    pub const OBJECT_ID: Attribute = 2;
    pub const GROUP_ID: Attribute = 3;
    pub const AGENT_ID: Attribute = 4;
    pub const OBJECT_KEY: Attribute = 6;
}

pub mod protected_table {
    use crate::pg::scan::Attribute;
    pub const TABLE_ID: Attribute = 1;
    pub const KIND: Attribute = 2;
    pub const ROOT: Attribute = 3;
    pub const HAD_ROW_SECURITY: Attribute = 4;
    pub const HAD_FORCE: Attribute = 5;
}

pub mod ticket_table {
    use crate::pg::scan::Attribute;
    use deskguard_rules::{Meaning, TicketColumn};
    pub const TABLE_ID: Attribute = 1;
    pub const ID_COLUMN: Attribute = 2;
    pub const UNASSIGNED_VALUE: Attribute = 7;
    pub const FOLLOWER_TABLE: Attribute = 8;
    pub const FOLLOWER_TICKET_COLUMN: Attribute = 9;
    pub const FOLLOWER_AGENT_COLUMN: Attribute = 10;
    pub const FOLLOWER_KIND_COLUMN: Attribute = 17;
    pub const FOLLOWER_KINDS: Attribute = 18;
    pub const FOLLOWER_TYPE_COLUMN: Attribute = 19;
    pub const FOLLOWER_TYPE_VALUES: Attribute = 20;
    pub const OTHER_FOLLOWER_TYPES: Attribute = 21;

    /// What is of a follower table.
    pub const OF_FOLLOWERS: [&str; 8] = [
        "follower_table",
        "follower_ticket_column",
        "follower_agent_column",
        "follower_kind_column",
        "follower_kinds",
        "follower_type_column",
        "follower_type_values",
        "other_follower_types",
    ];

    /// Has the name of this column.
    pub const fn column(of: TicketColumn) -> (Attribute, &'static str) {
        match of {
            TicketColumn::Department => (3, "department_column"),
            TicketColumn::Category => (4, "category_column"),
            TicketColumn::Assignee => (5, "assignee_column"),
            TicketColumn::Team => (6, "team_column"),
            TicketColumn::Status => (11, "status_column"),
            TicketColumn::Confidential => (14, "confidential_column"),
            TicketColumn::Requester => (15, "requester_column"),
            TicketColumn::RequesterTeam => (16, "requester_team_column"),
        }
    }

    /// Has the statuses with this meaning.
    pub const fn values(of: Meaning) -> (Attribute, &'static str) {
        match of {
            Meaning::Archived => (12, "archived_values"),
            Meaning::Spam => (13, "spam_values"),
        }
    }
}

pub mod message_table {
    use crate::pg::scan::Attribute;
    pub const TABLE_ID: Attribute = 1;
    pub const PARENT_TABLE: Attribute = 2;
    pub const PARENT_COLUMN: Attribute = 3;
    pub const ID_COLUMN: Attribute = 4;
    pub const AUTHOR_COLUMN: Attribute = 5;
    pub const INTERNAL_COLUMN: Attribute = 6;
    pub const TYPE_COLUMN: Attribute = 7;
    pub const TYPE_VALUES: Attribute = 8;
    pub const OTHER_TYPES: Attribute = 9;
}

pub mod shared_table {
    use crate::pg::scan::Attribute;
    pub const TABLE_ID: Attribute = 1;
    pub const ID_COLUMN: Attribute = 2;
    pub const OWNER_COLUMN: Attribute = 3;
}

pub mod protected_feature {
    use crate::pg::scan::Attribute;
    pub const TABLE_ID: Attribute = 1;
    pub const COMMAND: Attribute = 2;
    pub const PERMISSION: Attribute = 3;
}

pub mod mirror {
    use crate::pg::scan::Attribute;
    pub const ID: Attribute = 1;
    pub const TARGET: Attribute = 2;
    pub const SOURCE: Attribute = 3;
}

pub mod mirrored_row {
    use crate::pg::scan::Attribute;
    pub const MIRROR: Attribute = 1;
    pub const ID: Attribute = 2;
    pub const OTHER_ID: Attribute = 3;
    pub const PERMISSION: Attribute = 4;
}
