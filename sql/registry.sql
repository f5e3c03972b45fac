-- What is protected. Written by the functions that protect, and by unprotect(), only.

CREATE TABLE deskguard_internal.protected_table (
    table_id regclass PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('tickets', 'followers', 'messages', 'shared', 'feature')),
    root regclass NOT NULL,
    had_row_security boolean NOT NULL,
    had_force_row_security boolean NOT NULL
);
CREATE INDEX protected_table_root_idx ON deskguard_internal.protected_table (root);
COMMENT ON TABLE deskguard_internal.protected_table IS
    'Registry of the protected tables: what all kinds have; written by deskguard.protect_tickets(), protect_messages(), protect_shared(), protect_feature() and unprotect()';
COMMENT ON COLUMN deskguard_internal.protected_table.table_id IS 'The protected table, partition or child table';
COMMENT ON COLUMN deskguard_internal.protected_table.kind IS
    'tickets, followers, messages or shared; feature: protected by protect_feature() only';
COMMENT ON COLUMN deskguard_internal.protected_table.root IS
    'The table that was given to be protected: itself, or for a partition or child table the one above. Only this one is in the table of its kind';
COMMENT ON COLUMN deskguard_internal.protected_table.had_row_security IS
    'Was row-level security enabled before? unprotect() puts it back';
COMMENT ON COLUMN deskguard_internal.protected_table.had_force_row_security IS
    'Was row-level security forced before? unprotect() puts it back';

-- Each kind has a table for the tables that were given to be protected. Partitions and children have the columns of
-- their root.

CREATE TABLE deskguard_internal.ticket_table (
    table_id regclass PRIMARY KEY REFERENCES deskguard_internal.protected_table ON DELETE CASCADE,
    id_column name NOT NULL,
    department_column name,
    category_column name,
    assignee_column name,
    team_column name,
    unassigned_value bigint,
    follower_table regclass UNIQUE,
    follower_ticket_column name,
    follower_agent_column name,
    status_column name,
    archived_values text[],
    spam_values text[],
    confidential_column name,
    requester_column name,
    requester_team_column name,
    follower_kind_column name,
    follower_kinds jsonb,
    follower_type_column name,
    follower_type_values text[],
    other_follower_types text
);
COMMENT ON TABLE deskguard_internal.ticket_table IS
    'The protected ticket tables and how their columns map, with those of their follower tables; written by deskguard.protect_tickets() and unprotect()';
COMMENT ON COLUMN deskguard_internal.ticket_table.table_id IS 'The ticket table';
COMMENT ON COLUMN deskguard_internal.ticket_table.id_column IS 'The column by which other tables refer to the tickets';
COMMENT ON COLUMN deskguard_internal.ticket_table.department_column IS
    'The column with the department; NULL: there is no rule about departments';
COMMENT ON COLUMN deskguard_internal.ticket_table.category_column IS
    'The column with the category; NULL: there is no silo rule';
COMMENT ON COLUMN deskguard_internal.ticket_table.assignee_column IS
    'The column with the agent that a ticket is assigned to; NULL: tickets have none';
COMMENT ON COLUMN deskguard_internal.ticket_table.team_column IS
    'The column with the team that a ticket is assigned to; NULL: tickets have none';
COMMENT ON COLUMN deskguard_internal.ticket_table.unassigned_value IS
    'The value of assignee_column and team_column that means nobody, besides NULL';
COMMENT ON COLUMN deskguard_internal.ticket_table.follower_table IS 'The table with its followers, protected with it';
COMMENT ON COLUMN deskguard_internal.ticket_table.follower_ticket_column IS
    'The column of follower_table with the ticket';
COMMENT ON COLUMN deskguard_internal.ticket_table.follower_agent_column IS
    'The column of follower_table with the agent that follows it';
COMMENT ON COLUMN deskguard_internal.ticket_table.status_column IS 'The column with the status';
COMMENT ON COLUMN deskguard_internal.ticket_table.archived_values IS
    'Statuses that tickets leave only with ticket.unarchive, as text';
COMMENT ON COLUMN deskguard_internal.ticket_table.spam_values IS
    'Statuses that tickets get only with the right to delete them, as text';
COMMENT ON COLUMN deskguard_internal.ticket_table.confidential_column IS
    'Boolean; where it is not false, a ticket is seen by those it concerns and holders of ticket.view.confidential';
COMMENT ON COLUMN deskguard_internal.ticket_table.requester_column IS
    'The column with the agent that requested a ticket; NULL: tickets have none';
COMMENT ON COLUMN deskguard_internal.ticket_table.requester_team_column IS
    'The column with the team, an organization say, that requested a ticket; NULL: tickets have none';
COMMENT ON COLUMN deskguard_internal.ticket_table.follower_kind_column IS
    'The column of follower_table with the kind of a row; NULL: each row means that its agent follows the ticket';
COMMENT ON COLUMN deskguard_internal.ticket_table.follower_kinds IS
    'What the kinds mean: followed or requested, an object of JSON; rows of other kinds give no rights';
COMMENT ON COLUMN deskguard_internal.ticket_table.follower_type_column IS
    'The column of follower_table with the type of what a row belongs to; NULL: all belong to tickets';
COMMENT ON COLUMN deskguard_internal.ticket_table.follower_type_values IS
    'The values of follower_type_column that mean tickets, as text';
COMMENT ON COLUMN deskguard_internal.ticket_table.other_follower_types IS
    'What is done with followers of other types: hidden, or open, which leaves them to policies of the owner''s own';

CREATE TABLE deskguard_internal.message_table (
    table_id regclass PRIMARY KEY REFERENCES deskguard_internal.protected_table ON DELETE CASCADE,
    parent_table regclass,
    parent_column name NOT NULL,
    id_column name,
    author_column name,
    internal_column name,
    type_column name,
    type_values text[],
    other_types text
);
CREATE INDEX message_table_parent_table_idx ON deskguard_internal.message_table (parent_table);
COMMENT ON TABLE deskguard_internal.message_table IS
    'The protected tables whose rows are seen with a ticket, and how their columns map; written by deskguard.protect_messages() and unprotect()';
COMMENT ON COLUMN deskguard_internal.message_table.table_id IS 'The message table';
COMMENT ON COLUMN deskguard_internal.message_table.parent_table IS
    'The protected table that its rows belong to. NULL after that was dropped: then nobody sees them';
COMMENT ON COLUMN deskguard_internal.message_table.parent_column IS
    'The column that says which row of parent_table a row belongs to';
COMMENT ON COLUMN deskguard_internal.message_table.id_column IS
    'The primary key, by which other tables refer to the rows; NULL if it is not a single column of a type that keys have';
COMMENT ON COLUMN deskguard_internal.message_table.author_column IS 'The column that names the agent who wrote it';
COMMENT ON COLUMN deskguard_internal.message_table.internal_column IS
    'Boolean; where it is not false, a row is seen by holders of ticket.view.internal and its author, and written by the former; NULL: there are no such rows';
COMMENT ON COLUMN deskguard_internal.message_table.type_column IS
    'The column with the type of what a row belongs to; NULL: all belong to rows of parent_table';
COMMENT ON COLUMN deskguard_internal.message_table.type_values IS
    'The values of type_column that mean rows of parent_table, as text';
COMMENT ON COLUMN deskguard_internal.message_table.other_types IS
    'What is done with rows of other types: hidden, or open, which leaves them to policies of the owner''s own';

CREATE TABLE deskguard_internal.shared_table (
    table_id regclass PRIMARY KEY REFERENCES deskguard_internal.protected_table ON DELETE CASCADE,
    id_column name NOT NULL,
    owner_column name
);
COMMENT ON TABLE deskguard_internal.shared_table IS
    'The protected tables of shared objects and how their columns map; written by deskguard.protect_shared() and unprotect()';
COMMENT ON COLUMN deskguard_internal.shared_table.table_id IS 'The table of the objects';
COMMENT ON COLUMN deskguard_internal.shared_table.id_column IS
    'The column by which shared_visibility refers to the objects';
COMMENT ON COLUMN deskguard_internal.shared_table.owner_column IS 'The agent that owns one; NULL if none does';

CREATE TABLE deskguard_internal.protected_feature (
    table_id regclass NOT NULL,
    command text NOT NULL CHECK (command IN ('ALL', 'SELECT', 'INSERT', 'UPDATE', 'DELETE')),
    -- The policies name the permission: while they do it cannot be renamed or deleted.
    permission text NOT NULL REFERENCES deskguard.permission,
    PRIMARY KEY (table_id, command, permission)
);
CREATE INDEX protected_feature_permission_idx ON deskguard_internal.protected_feature (permission);
COMMENT ON TABLE deskguard_internal.protected_feature IS
    'Which permissions the rows of a table need, all of them; written by deskguard.protect_feature() and deskguard.unprotect()';
COMMENT ON COLUMN deskguard_internal.protected_feature.table_id IS 'The table that was given to protect_feature()';
COMMENT ON COLUMN deskguard_internal.protected_feature.command IS 'The command that needs the permission; ALL: each of SELECT, INSERT, UPDATE and DELETE';
COMMENT ON COLUMN deskguard_internal.protected_feature.permission IS 'The permission that it needs';

CREATE VIEW deskguard.protected_table AS
SELECT
    table_id, p.kind, p.root, coalesce(t.id_column, m.id_column, s.id_column) AS id_column,
    t.department_column, t.category_column, t.assignee_column, t.team_column, t.unassigned_value,
    t.follower_table, t.follower_ticket_column, t.follower_agent_column, p.had_row_security, p.had_force_row_security,
    t.status_column, t.archived_values, t.spam_values, t.confidential_column,
    m.parent_table, m.parent_column, m.author_column, s.owner_column, m.internal_column,
    t.requester_column, t.requester_team_column, t.follower_kind_column, t.follower_kinds, t.follower_type_column,
    t.follower_type_values, t.other_follower_types, m.type_column, m.type_values, m.other_types
FROM deskguard_internal.protected_table AS p
LEFT JOIN deskguard_internal.ticket_table AS t USING (table_id)
LEFT JOIN deskguard_internal.message_table AS m USING (table_id)
LEFT JOIN deskguard_internal.shared_table AS s USING (table_id);
COMMENT ON VIEW deskguard.protected_table IS 'The protected tables and how their columns map';

CREATE VIEW deskguard.protected_feature AS
SELECT * FROM deskguard_internal.protected_feature;
COMMENT ON VIEW deskguard.protected_feature IS 'Which permissions the rows of a table need, all of them';

-- The columns of the views are explained as those of the tables.
DO $$
DECLARE
    shown record;
BEGIN
    FOR shown IN
        SELECT DISTINCT ON (v.oid, a.attnum)
            v.oid::regclass AS view, a.attname AS name, pg_catalog.col_description(t.oid, c.attnum) AS description
        FROM pg_catalog.pg_class AS v
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = v.oid AND a.attnum > 0
        JOIN pg_catalog.pg_attribute AS c ON c.attname = a.attname
        JOIN pg_catalog.pg_class AS t ON t.oid = c.attrelid AND t.relnamespace = 'deskguard_internal'::regnamespace
            AND t.relkind = 'r'
        WHERE v.relnamespace = 'deskguard'::regnamespace AND v.relkind = 'v'
        ORDER BY v.oid, a.attnum, t.relname <> v.relname
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', shown.view, shown.name, shown.description);
    END LOOP;
END $$;
COMMENT ON COLUMN deskguard.protected_table.root IS
    'The table that was given to be protected: itself, or for a partition or child table the one above. Only its row has the columns';
COMMENT ON COLUMN deskguard.protected_table.id_column IS 'The column by which other tables refer to the rows';

-- The registry is written by the functions above only, and by a dump that is restored, which inserts. It is
-- always heard of: see src/protection/whole.rs.

CREATE FUNCTION deskguard_internal.guard_registry() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'guard_registry';
COMMENT ON FUNCTION deskguard_internal.guard_registry() IS
    'Trigger: refuses to change what is protected by hand (55000)';

CREATE FUNCTION deskguard_internal.protection_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'protection_changed';
COMMENT ON FUNCTION deskguard_internal.protection_changed() IS
    'Trigger: tells all backends that the registry has changed';

DO $$
DECLARE
    table_name name;
BEGIN
    FOREACH table_name IN ARRAY ARRAY[
        'protected_table', 'ticket_table', 'message_table', 'shared_table', 'protected_feature'
    ] LOOP
        EXECUTE format('
            CREATE TRIGGER guard_registry BEFORE UPDATE OR DELETE ON deskguard_internal.%1$I
                FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_registry();
            CREATE TRIGGER guard_registry_truncate BEFORE TRUNCATE ON deskguard_internal.%1$I
                FOR EACH STATEMENT EXECUTE FUNCTION deskguard_internal.guard_registry();
            CREATE TRIGGER protection_changed BEFORE INSERT OR UPDATE OR DELETE ON deskguard_internal.%1$I
                FOR EACH ROW EXECUTE FUNCTION deskguard_internal.protection_changed();
            CREATE TRIGGER protection_changed_truncate BEFORE TRUNCATE ON deskguard_internal.%1$I
                FOR EACH STATEMENT EXECUTE FUNCTION deskguard_internal.protection_changed();
            ALTER TABLE deskguard_internal.%1$I ENABLE ALWAYS TRIGGER protection_changed;
            ALTER TABLE deskguard_internal.%1$I ENABLE ALWAYS TRIGGER protection_changed_truncate;
        ', table_name);
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION deskguard_internal.guard_registry(), deskguard_internal.protection_changed() FROM PUBLIC;
