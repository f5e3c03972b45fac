//! The products.

pub struct Product {
    pub folder: &'static str,
    /// In docs/adopting.md.
    pub heading: &'static str,
    pub schema: &'static str,
    pub rows: &'static str,
    pub rule: &'static str,
    pub changes: &'static str,
    /// What suggest_protection() must find in it.
    pub suggested: &'static [&'static str],
    /// Each must have let somebody do something: action and reason.
    pub met: &'static [&'static str],
}

macro_rules! product {
    ($folder:literal, $heading:literal, $suggested:expr, $met:expr) => {
        Product {
            folder: $folder,
            heading: $heading,
            schema: include_str!(concat!($folder, "/schema.sql")),
            rows: include_str!(concat!($folder, "/rows.sql")),
            rule: include_str!(concat!($folder, "/rule.sql")),
            changes: include_str!(concat!($folder, "/changes.sql")),
            suggested: &$suggested,
            met: &$met,
        }
    };
}

pub const PRODUCTS: [Product; 7] = [
    product!(
        "zammad",
        "Zammad",
        [
            "department_column => 'group_id', assignee_column => 'owner_id'",
            "requester_column => 'customer_id', requester_team_column => 'organization_id'",
            "'public.ticket_articles', 'public.tickets', 'ticket_id'",
            "internal_column => 'internal'"
        ],
        [
            "view: group",
            "view: role",
            "view: customer",
            "view: organization",
            "change: group",
            "change: role",
            "change: customer",
            "change: organization",
            "create: group",
            "create: role",
            "create: customer",
            "read: public",
            "read: internal",
            "reply: agent",
            "reply: customer",
            "reply: internal",
            "apart: changes without reading",
            "apart: reads and is the customer",
            "move: change",
        ]
    ),
    product!(
        "chatwoot",
        "Chatwoot",
        [
            "protect_tickets('public.conversations'",
            "follower_table => 'public.conversation_participants'",
            "internal_column => 'private'",
            "mirror('department', 'public.inboxes')"
        ],
        [
            "view: administrator, no custom role",
            "view: inbox, no custom role",
            "view: inbox, all",
            "view: inbox, unassigned",
            "view: inbox, own",
            "view: inbox, participant",
            "view: team, no custom role",
            "view: team, all",
            "view: team, unassigned",
            "view: team, own",
            "view: team, participant",
            "change: sees",
            "create: administrator",
            "create: inbox",
            "read: private",
            "read: public",
            "reply: private",
            "reply: public",
            "move: team_id = 2",
            "move: team_id = NULL",
            "move: inbox_id = 2",
            "move: assignee_id = 7",
        ]
    ),
    product!(
        "redmine",
        "Redmine",
        [
            "protect_tickets('public.issues'",
            "confidential_column => 'is_private'",
            "type_column => 'journalized_type'"
        ],
        [
            "view: administrator, all",
            "view: administrator, all, private",
            "view: member, all",
            "view: member, all, private",
            "view: member, default",
            "view: member, default, private",
            "view: member, own",
            "view: member, own, private",
            "view: non member, default",
            "view: non member, default, private",
            "change: any",
            "change: own",
            "create: administrator",
            "create: member",
            "create: non member",
            "read: public",
            "read: author",
            "read: private",
            "reply: public",
            "reply: private",
        ]
    ),
    product!(
        "request_tracker",
        "Request Tracker",
        [
            "department_column => 'queue', assignee_column => 'owner'",
            "'public.transactions', 'public.tickets', 'objectid'"
        ],
        [
            "view: group",
            "view: queue role",
            "view: Owner",
            "view: Requestor",
            "view: Cc",
            "view: AdminCc",
            "change: group",
            "change: queue role",
            "change: Owner",
            "change: Requestor",
            "change: Cc",
            "change: AdminCc",
            "create: group",
            "create: queue role",
            "read: Create",
            "read: Correspond",
            "read: Comment",
            "reply: allowed",
            "apart: changes without showing",
        ]
    ),
    product!(
        "silo",
        "A desk like HelpSpot",
        [
            "protect_tickets('public.requests'",
            "category_column => 'category_id', assignee_column => 'assigned_to'",
            "internal_column => 'is_private'"
        ],
        [
            "view: category",
            "view: unlimited",
            "change: sees",
            "create: category",
            "create: unlimited",
            "read: public",
            "read: private",
            "reply: sees"
        ]
    ),
    product!(
        "additive",
        "A desk like Deskpro",
        [
            "assignee_column => 'agent_id', team_column => 'agent_team_id'",
            "follower_table => 'public.tickets_participants'",
            "internal_column => 'is_agent_note'"
        ],
        [
            "view: own",
            "view: followed",
            "view: unassigned",
            "view: others",
            "change: own",
            "change: followed",
            "change: unassigned",
            "change: others",
            "create: full",
            "create: assign",
            "read: public",
            "read: note",
            "reply: allowed"
        ]
    ),
    product!(
        "supabase",
        "A uuid desk on Supabase",
        [
            "assignee_column => 'assignee_id'",
            "requester_column => 'requester_id'",
            "author_column => 'author_id', internal_column => 'internal'"
        ],
        [
            "view: admin",
            "view: lead",
            "view: agent",
            "view: viewer",
            "view: requester",
            "change: admin",
            "change: lead",
            "change: agent",
            "create: admin",
            "create: lead",
            "create: agent",
            "read: public",
            "read: internal",
            "read: author",
            "reply: admin",
            "reply: lead",
            "reply: agent",
            "reply: requester"
        ]
    ),
];
