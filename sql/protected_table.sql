-- What is protected. Written by protect_tickets() and unprotect() only.

CREATE TABLE deskguard.protected_table (
    table_id regclass PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('tickets', 'followers')),
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
    confidential_column name
);
CREATE INDEX protected_table_root_idx ON deskguard.protected_table (root);
COMMENT ON TABLE deskguard.protected_table IS
    'Registry of the protected tables and how their columns map; written by deskguard.protect_tickets() and deskguard.unprotect()';
COMMENT ON COLUMN deskguard.protected_table.kind IS 'tickets or followers';
COMMENT ON COLUMN deskguard.protected_table.root IS
    'The table that was given to protect_tickets(): itself, or for a partition or child table the one above. Only its row has the columns';
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

-- How backends and their plans hear that rights have changed: see src/cache.rs.
CREATE TABLE deskguard.rights_signal ();
COMMENT ON TABLE deskguard.rights_signal IS
    'Always empty; whoever changes rights invalidates its relcache entry, of which all backends hear at commit';
