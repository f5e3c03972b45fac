-- What is protected. Written by protect_tickets(), protect_messages() and unprotect() only.

CREATE TABLE deskguard.protected_table (
    table_id regclass PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('tickets', 'followers', 'messages')),
    root regclass NOT NULL,
    id_column name,
    department_column name,
    category_column name,
    assignee_column name,
    team_column name,
    unassigned_value bigint,
    follower_table regclass UNIQUE,
    follower_ticket_column name,
    follower_agent_column name,
    had_row_security boolean NOT NULL,
    had_force_row_security boolean NOT NULL,
    status_column name,
    archived_values text[],
    spam_values text[],
    confidential_column name,
    parent_table regclass,
    parent_column name,
    author_column name
);
CREATE INDEX protected_table_root_idx ON deskguard.protected_table (root);
CREATE INDEX protected_table_parent_table_idx ON deskguard.protected_table (parent_table);
COMMENT ON TABLE deskguard.protected_table IS
    'Registry of the protected tables and how their columns map; written by deskguard.protect_tickets(), deskguard.protect_messages() and deskguard.unprotect()';
COMMENT ON COLUMN deskguard.protected_table.kind IS 'tickets, followers or messages';
COMMENT ON COLUMN deskguard.protected_table.root IS
    'The table that was given to protect_tickets() or protect_messages(): itself, or for a partition or child table the one above. Only its row has the columns';
COMMENT ON COLUMN deskguard.protected_table.archived_values IS
    'Statuses that tickets leave only with ticket.unarchive, as text';
COMMENT ON COLUMN deskguard.protected_table.spam_values IS
    'Statuses that tickets get only with the right to delete them, as text';
COMMENT ON COLUMN deskguard.protected_table.confidential_column IS
    'Boolean; where it is not false, a ticket is seen by those it concerns and holders of ticket.view.confidential';
COMMENT ON COLUMN deskguard.protected_table.had_row_security IS
    'Was row-level security enabled before? unprotect() puts it back';
COMMENT ON COLUMN deskguard.protected_table.had_force_row_security IS
    'Was row-level security forced before? unprotect() puts it back';
COMMENT ON COLUMN deskguard.protected_table.id_column IS
    'The column by which other tables refer to the rows; of a message table its primary key, if that is a single integer column';
COMMENT ON COLUMN deskguard.protected_table.parent_table IS
    'Of a message table: the protected table that its rows belong to. NULL after that was dropped: then nobody sees them';
COMMENT ON COLUMN deskguard.protected_table.parent_column IS
    'Of a message table: the column that says which row of parent_table a row belongs to';
COMMENT ON COLUMN deskguard.protected_table.author_column IS
    'Of a message table: the column that names the agent who wrote it';

-- How backends and their plans hear that rights have changed: see src/cache.rs.
CREATE TABLE deskguard.rights_signal ();
COMMENT ON TABLE deskguard.rights_signal IS
    'Always empty; whoever changes rights invalidates its relcache entry, of which all backends hear at commit';
