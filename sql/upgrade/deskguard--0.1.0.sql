-- What CREATE EXTENSION needs.
DO $$
DECLARE
    taken name;
BEGIN
    IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION 'deskguard needs a database with the encoding UTF8, and this one has %', pg_catalog.getdatabaseencoding()
            USING ERRCODE = 'feature_not_supported', HINT = 'CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0.';
    END IF;
    -- Whoever owned a schema before would own what is in it.
    FOR taken IN
        SELECT n.nspname FROM pg_catalog.pg_namespace AS n WHERE n.nspname IN ('deskguard', 'deskguard_internal')
    LOOP
        RAISE EXCEPTION 'there is a schema "%" already', taken
            USING ERRCODE = 'duplicate_schema', HINT = 'Rename or drop it: the extension makes its own.';
    END LOOP;
END $$;

CREATE SCHEMA deskguard;
COMMENT ON SCHEMA deskguard IS 'Row-level security for help desks: what you call, and the tables that you write';
CREATE SCHEMA deskguard_internal;
COMMENT ON SCHEMA deskguard_internal IS 'What policies, triggers and plans of deskguard call, and what is protected: nothing to call or write';
-- Who works in the help desk: agents, teams, and the roles that may say which agent they act for.

CREATE TABLE deskguard.agent (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    db_role name UNIQUE,
    category_access text
        CONSTRAINT agent_category_access_is_silo_or_open CHECK (category_access IN ('silo', 'open')),
    external_key text UNIQUE,
    -- The least bigint stands for what is nobody's external_key: src/tables/principal.rs.
    CONSTRAINT agent_id_is_not_reserved CHECK (id > -9223372036854775808)
);
COMMENT ON TABLE deskguard.agent IS 'People and programs that work on tickets';
COMMENT ON COLUMN deskguard.agent.id IS 'The id that the help desk itself uses for the agent';
COMMENT ON COLUMN deskguard.agent.name IS 'The name, for people';
COMMENT ON COLUMN deskguard.agent.active IS 'An inactive agent sees nothing and may do nothing';
COMMENT ON COLUMN deskguard.agent.db_role IS 'A database role that is this agent; NULL for none';
COMMENT ON COLUMN deskguard.agent.category_access IS
    'silo: sees only tickets of its categories; open: sees tickets of every category and of none; NULL: as its groups say';
COMMENT ON COLUMN deskguard.agent.external_key IS
    'The agent in columns of the help desk that are uuid or text, as column::text prints it; NULL: in none';

CREATE TABLE deskguard.team (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    external_key text UNIQUE,
    CONSTRAINT team_id_is_not_reserved CHECK (id > -9223372036854775808)
);
COMMENT ON TABLE deskguard.team IS 'Teams of agents; a ticket assigned to a team is its members'' own';
COMMENT ON COLUMN deskguard.team.id IS 'The id that the help desk itself uses for the team';
COMMENT ON COLUMN deskguard.team.name IS 'The name, for people';
COMMENT ON COLUMN deskguard.team.external_key IS
    'The team in columns of the help desk that are uuid or text, as column::text prints it; NULL: in none';

CREATE TABLE deskguard.team_member (
    team_id bigint NOT NULL REFERENCES deskguard.team ON DELETE CASCADE ON UPDATE CASCADE,
    agent_id bigint NOT NULL REFERENCES deskguard.agent ON DELETE CASCADE ON UPDATE CASCADE,
    valid_from timestamptz,
    valid_until timestamptz,
    PRIMARY KEY (team_id, agent_id),
    CONSTRAINT team_member_valid_from_is_before_valid_until CHECK (valid_from < valid_until)
);
CREATE INDEX team_member_agent_id_idx ON deskguard.team_member (agent_id);
COMMENT ON TABLE deskguard.team_member IS 'Which agents belong to which teams';
COMMENT ON COLUMN deskguard.team_member.team_id IS 'The team';
COMMENT ON COLUMN deskguard.team_member.agent_id IS 'The agent that belongs to it';

CREATE TABLE deskguard.trusted_role (
    role_name name PRIMARY KEY
);
COMMENT ON TABLE deskguard.trusted_role IS
    'Login roles whose sessions may say which agent they act for, with deskguard.agent_id';
COMMENT ON COLUMN deskguard.trusted_role.role_name IS 'The name of the login role, as in pg_roles';
-- What tickets belong to: departments, a tree, and categories, flat.

CREATE TABLE deskguard.department (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    parent_id bigint REFERENCES deskguard.department ON UPDATE CASCADE,
    external_key text UNIQUE,
    CONSTRAINT department_id_is_not_reserved CHECK (id > -9223372036854775808)
);
CREATE INDEX department_parent_id_idx ON deskguard.department (parent_id);
COMMENT ON TABLE deskguard.department IS 'Departments; a grant on one covers its descendants';
COMMENT ON COLUMN deskguard.department.id IS 'The id that the help desk itself uses for the department';
COMMENT ON COLUMN deskguard.department.name IS 'The name, for people';
COMMENT ON COLUMN deskguard.department.parent_id IS 'The department above; NULL at the top. A cycle is refused';
COMMENT ON COLUMN deskguard.department.external_key IS
    'The department in columns of the help desk that are uuid or text, as column::text prints it; NULL: in none';

CREATE TABLE deskguard.category (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    external_key text UNIQUE,
    CONSTRAINT category_id_is_not_reserved CHECK (id > -9223372036854775808)
);
COMMENT ON TABLE deskguard.category IS 'Categories of tickets';
COMMENT ON COLUMN deskguard.category.id IS 'The id that the help desk itself uses for the category';
COMMENT ON COLUMN deskguard.category.name IS 'The name, for people';
COMMENT ON COLUMN deskguard.category.external_key IS
    'The category in columns of the help desk that are uuid or text, as column::text prints it; NULL: in none';
-- The permission catalog.

CREATE TABLE deskguard.permission (
    name text PRIMARY KEY CONSTRAINT permission_has_a_name CHECK (name <> ''),
    description text NOT NULL DEFAULT '',
    destructive boolean NOT NULL DEFAULT false,
    builtin boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE deskguard.permission IS 'The permissions that can be given; add your own';
COMMENT ON COLUMN deskguard.permission.name IS 'The name by which it is given and asked for';
COMMENT ON COLUMN deskguard.permission.description IS 'What it allows, for people';
COMMENT ON COLUMN deskguard.permission.destructive IS
    'Not given by the group "All Non-Destructive Permissions"';
COMMENT ON COLUMN deskguard.permission.builtin IS 'Of the starting catalog: cannot be changed or deleted';

INSERT INTO deskguard.permission (name, description, destructive, builtin)
VALUES
    ('ticket.use', 'Work with tickets at all', false, true),
    ('ticket.create', 'Create tickets', false, true),
    ('ticket.mass_reply', 'Reply to several tickets at once', false, true),
    ('ticket.unarchive', 'Take tickets out of the archive', false, true),
    ('ticket.create_labels', 'Create labels', false, true),
    ('ticket.view.unassigned', 'View tickets that nobody is assigned to', false, true),
    ('ticket.view.assigned', 'View tickets that are assigned to others', false, true),
    ('ticket.view.confidential', 'View confidential tickets that do not concern oneself', false, true),
    ('report.view', 'View reports', false, true),
    ('permission.audit', 'Ask about the access of other agents', false, true),
    ('shared.manage', 'See and change all shared objects', false, true);

INSERT INTO deskguard.permission (name, description, destructive, builtin)
SELECT
    pg_catalog.format('ticket.%s.%s', action.name, relation.name),
    pg_catalog.format('%s %s', action.description, relation.description),
    action.destructive,
    true
FROM (VALUES
    ('reply', 'Reply to', false),
    ('modify', 'Modify', false),
    ('edit_messages', 'Edit and delete messages of', true),
    ('delete', 'Delete, or mark as spam,', true)
) AS action (name, description, destructive)
CROSS JOIN (VALUES
    ('own', 'tickets assigned to oneself or one''s teams'),
    ('followed', 'tickets that one follows'),
    ('unassigned', 'tickets that nobody is assigned to'),
    ('assigned', 'tickets that are assigned to others')
) AS relation (name, description);
-- Permission groups and their members.

CREATE TABLE deskguard.permission_group (
    -- Ids below 100 are kept for built-in groups.
    id bigint GENERATED BY DEFAULT AS IDENTITY (START WITH 100) PRIMARY KEY,
    name text NOT NULL UNIQUE,
    category_access text NOT NULL DEFAULT 'silo'
        CONSTRAINT group_category_access_is_silo_or_open CHECK (category_access IN ('silo', 'open')),
    department_access text NOT NULL DEFAULT 'granted'
        CONSTRAINT group_department_access_is_granted_or_all CHECK (department_access IN ('granted', 'all')),
    builtin boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE deskguard.permission_group IS
    'Sets of permissions, departments and categories that are given to members; what several groups give adds up';
COMMENT ON COLUMN deskguard.permission_group.id IS 'The id; below 100 are built-in groups';
COMMENT ON COLUMN deskguard.permission_group.name IS 'The name, as explain_access() and effective_permissions() tell it';
COMMENT ON COLUMN deskguard.permission_group.category_access IS
    'silo: members see only tickets of their categories; open: tickets of every category and of none';
COMMENT ON COLUMN deskguard.permission_group.department_access IS
    'granted: the departments of group_department; all: every department';
COMMENT ON COLUMN deskguard.permission_group.builtin IS 'Comes with deskguard: cannot be changed or deleted';

COMMENT ON SEQUENCE deskguard.permission_group_id_seq IS 'The ids of groups that administrators make';

-- src/tables/columns.rs knows these two by their ids: their permissions are not listed, so that they have
-- those that are added later, too.
INSERT INTO deskguard.permission_group (id, name, category_access, department_access, builtin)
VALUES
    (1, 'All Permissions', 'open', 'all', true),
    (2, 'All Non-Destructive Permissions', 'open', 'all', true);

CREATE TABLE deskguard.group_member (
    group_id bigint NOT NULL REFERENCES deskguard.permission_group ON DELETE CASCADE ON UPDATE CASCADE,
    agent_id bigint NOT NULL REFERENCES deskguard.agent ON DELETE CASCADE ON UPDATE CASCADE,
    valid_from timestamptz,
    valid_until timestamptz,
    PRIMARY KEY (group_id, agent_id),
    CONSTRAINT group_member_valid_from_is_before_valid_until CHECK (valid_from < valid_until)
);
CREATE INDEX group_member_agent_id_idx ON deskguard.group_member (agent_id);
COMMENT ON TABLE deskguard.group_member IS 'Which agents belong to which permission groups';
COMMENT ON COLUMN deskguard.group_member.group_id IS 'The permission group';
COMMENT ON COLUMN deskguard.group_member.agent_id IS 'The agent that belongs to it';
-- What groups and single agents are given. A primary key begins with the holder: agents are loaded by it.

CREATE TABLE deskguard.group_permission (
    group_id bigint NOT NULL REFERENCES deskguard.permission_group ON DELETE CASCADE ON UPDATE CASCADE,
    permission text NOT NULL REFERENCES deskguard.permission ON DELETE CASCADE ON UPDATE CASCADE,
    valid_from timestamptz,
    valid_until timestamptz,
    PRIMARY KEY (group_id, permission),
    CONSTRAINT group_permission_valid_from_is_before_valid_until CHECK (valid_from < valid_until)
);
CREATE INDEX group_permission_permission_idx ON deskguard.group_permission (permission);
COMMENT ON TABLE deskguard.group_permission IS 'Permissions of groups';
COMMENT ON COLUMN deskguard.group_permission.group_id IS 'The permission group that has the permission';
COMMENT ON COLUMN deskguard.group_permission.permission IS 'The permission that its members have';

CREATE TABLE deskguard.agent_permission (
    agent_id bigint NOT NULL REFERENCES deskguard.agent ON DELETE CASCADE ON UPDATE CASCADE,
    permission text NOT NULL REFERENCES deskguard.permission ON DELETE CASCADE ON UPDATE CASCADE,
    valid_from timestamptz,
    valid_until timestamptz,
    PRIMARY KEY (agent_id, permission),
    CONSTRAINT agent_permission_valid_from_is_before_valid_until CHECK (valid_from < valid_until)
);
CREATE INDEX agent_permission_permission_idx ON deskguard.agent_permission (permission);
COMMENT ON TABLE deskguard.agent_permission IS 'Permissions of single agents: overrides';
COMMENT ON COLUMN deskguard.agent_permission.agent_id IS 'The agent that has the permission';
COMMENT ON COLUMN deskguard.agent_permission.permission IS 'The permission that it has';

CREATE TABLE deskguard.group_department (
    group_id bigint NOT NULL REFERENCES deskguard.permission_group ON DELETE CASCADE ON UPDATE CASCADE,
    department_id bigint NOT NULL REFERENCES deskguard.department ON DELETE CASCADE ON UPDATE CASCADE,
    level text NOT NULL
        CONSTRAINT group_department_level_is_assign_or_full CHECK (level IN ('assign', 'full')),
    valid_from timestamptz,
    valid_until timestamptz,
    PRIMARY KEY (group_id, department_id),
    CONSTRAINT group_department_valid_from_is_before_valid_until CHECK (valid_from < valid_until)
);
CREATE INDEX group_department_department_id_idx ON deskguard.group_department (department_id);
COMMENT ON TABLE deskguard.group_department IS 'Departments of groups';
COMMENT ON COLUMN deskguard.group_department.group_id IS 'The permission group that has the department';
COMMENT ON COLUMN deskguard.group_department.department_id IS 'The department that its members have, with all below it';
COMMENT ON COLUMN deskguard.group_department.level IS
    'assign: members may create tickets there and hand tickets over to it; full: they see its tickets, too';

CREATE TABLE deskguard.agent_department (
    agent_id bigint NOT NULL REFERENCES deskguard.agent ON DELETE CASCADE ON UPDATE CASCADE,
    department_id bigint NOT NULL REFERENCES deskguard.department ON DELETE CASCADE ON UPDATE CASCADE,
    level text NOT NULL
        CONSTRAINT agent_department_level_is_assign_or_full CHECK (level IN ('assign', 'full')),
    valid_from timestamptz,
    valid_until timestamptz,
    PRIMARY KEY (agent_id, department_id),
    CONSTRAINT agent_department_valid_from_is_before_valid_until CHECK (valid_from < valid_until)
);
CREATE INDEX agent_department_department_id_idx ON deskguard.agent_department (department_id);
COMMENT ON TABLE deskguard.agent_department IS 'Departments of single agents';
COMMENT ON COLUMN deskguard.agent_department.agent_id IS 'The agent that has the department';
COMMENT ON COLUMN deskguard.agent_department.department_id IS 'The department that it has, with all below it';
COMMENT ON COLUMN deskguard.agent_department.level IS
    'assign: the agent may create tickets there and hand tickets over to it; full: it sees its tickets, too';

CREATE TABLE deskguard.group_category (
    group_id bigint NOT NULL REFERENCES deskguard.permission_group ON DELETE CASCADE ON UPDATE CASCADE,
    category_id bigint NOT NULL REFERENCES deskguard.category ON DELETE CASCADE ON UPDATE CASCADE,
    valid_from timestamptz,
    valid_until timestamptz,
    PRIMARY KEY (group_id, category_id),
    CONSTRAINT group_category_valid_from_is_before_valid_until CHECK (valid_from < valid_until)
);
CREATE INDEX group_category_category_id_idx ON deskguard.group_category (category_id);
COMMENT ON TABLE deskguard.group_category IS 'Categories of groups';
COMMENT ON COLUMN deskguard.group_category.group_id IS 'The permission group that has the category';
COMMENT ON COLUMN deskguard.group_category.category_id IS 'The category that its members have';

CREATE TABLE deskguard.agent_category (
    agent_id bigint NOT NULL REFERENCES deskguard.agent ON DELETE CASCADE ON UPDATE CASCADE,
    category_id bigint NOT NULL REFERENCES deskguard.category ON DELETE CASCADE ON UPDATE CASCADE,
    valid_from timestamptz,
    valid_until timestamptz,
    PRIMARY KEY (agent_id, category_id),
    CONSTRAINT agent_category_valid_from_is_before_valid_until CHECK (valid_from < valid_until)
);
CREATE INDEX agent_category_category_id_idx ON deskguard.agent_category (category_id);
COMMENT ON TABLE deskguard.agent_category IS 'Categories of single agents';
COMMENT ON COLUMN deskguard.agent_category.agent_id IS 'The agent that has the category';
COMMENT ON COLUMN deskguard.agent_category.category_id IS 'The category that it has';

DO $$
DECLARE
    table_name name;
BEGIN
    FOREACH table_name IN ARRAY ARRAY[
        'group_member', 'team_member', 'group_permission', 'agent_permission', 'group_department', 'agent_department',
        'group_category', 'agent_category'
    ] LOOP
        EXECUTE format('
            COMMENT ON COLUMN deskguard.%1$I.valid_from IS ''When it begins to count; NULL: it counts at once'';
            COMMENT ON COLUMN deskguard.%1$I.valid_until IS ''When it counts no longer; NULL: it does not end'';
        ', table_name);
    END LOOP;
END $$;
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
    confidential_column name
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

CREATE TABLE deskguard_internal.message_table (
    table_id regclass PRIMARY KEY REFERENCES deskguard_internal.protected_table ON DELETE CASCADE,
    parent_table regclass,
    parent_column name NOT NULL,
    id_column name,
    author_column name
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
    m.parent_table, m.parent_column, m.author_column, s.owner_column
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
-- With whom shared objects are shared. Agents write it with deskguard.share() and deskguard.unshare().

CREATE TABLE deskguard.shared_visibility (
    -- Checked at the end, since to protect a table anew replaces its row there.
    object_table regclass NOT NULL REFERENCES deskguard_internal.protected_table DEFERRABLE INITIALLY DEFERRED,
    object_id bigint,
    group_id bigint REFERENCES deskguard.permission_group ON DELETE CASCADE ON UPDATE CASCADE,
    agent_id bigint REFERENCES deskguard.agent ON DELETE CASCADE ON UPDATE CASCADE,
    everyone boolean NOT NULL DEFAULT false,
    object_key text,
    CONSTRAINT shared_with_a_group_an_agent_or_everyone CHECK (num_nonnulls(group_id, agent_id, nullif(everyone, false)) = 1),
    CONSTRAINT shared_visibility_is_of_one_object CHECK (num_nonnulls(object_id, object_key) = 1),
    CONSTRAINT shared_visibility_key UNIQUE NULLS NOT DISTINCT (object_table, object_id, object_key, group_id, agent_id)
);
CREATE INDEX shared_visibility_group_id_idx ON deskguard.shared_visibility (group_id, object_table);
CREATE INDEX shared_visibility_agent_id_idx ON deskguard.shared_visibility (agent_id, object_table);
CREATE INDEX shared_visibility_everyone_idx ON deskguard.shared_visibility (object_table) WHERE everyone;
-- Without a primary key, since columns of its key may be NULL. Publications of all tables need to tell rows apart.
ALTER TABLE deskguard.shared_visibility REPLICA IDENTITY FULL;
COMMENT ON TABLE deskguard.shared_visibility IS
    'Who sees a shared object besides its owner: the members of a group, an agent, or everyone; agents write it with deskguard.share() and deskguard.unshare()';
COMMENT ON COLUMN deskguard.shared_visibility.object_table IS 'The table that was given to protect_shared()';
COMMENT ON COLUMN deskguard.shared_visibility.object_id IS 'The object in that table, if its id is an integer';
COMMENT ON COLUMN deskguard.shared_visibility.object_key IS 'The object in that table, if its id is a uuid or a text, as id::text prints it';
COMMENT ON COLUMN deskguard.shared_visibility.group_id IS 'The permission group whose members see it; NULL if the row is about an agent or everyone';
COMMENT ON COLUMN deskguard.shared_visibility.agent_id IS 'The agent that sees it; NULL if the row is about a group or everyone';
COMMENT ON COLUMN deskguard.shared_visibility.everyone IS 'Every active agent sees it';
-- How backends and their plans hear of changes that concern everyone: see src/signals/generation.rs.
CREATE TABLE deskguard_internal.rights_signal ();
COMMENT ON TABLE deskguard_internal.rights_signal IS
    'Always empty; whoever changes the rights of everyone invalidates its relcache entry, of which all backends hear at commit';
CREATE TABLE deskguard_internal.external_key_signal ();
COMMENT ON TABLE deskguard_internal.external_key_signal IS
    'Always empty; the same for external keys, which backends need not load again for other changes';

-- Whoever changes rights says so to those whom it concerns: see src/signals/concern.rs. By row, so that logical
-- replication does it, too, and before, so that nothing sees the change without having heard of it.

CREATE FUNCTION deskguard_internal.rights_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'rights_changed';
COMMENT ON FUNCTION deskguard_internal.rights_changed() IS
    'Trigger: tells the sessions of those whose rights have changed';

DO $$
DECLARE
    rights regclass;
BEGIN
    FOREACH rights IN ARRAY ARRAY[
        'deskguard.agent', 'deskguard.team', 'deskguard.team_member', 'deskguard.trusted_role',
        'deskguard.department', 'deskguard.category', 'deskguard.permission', 'deskguard.permission_group',
        'deskguard.group_member', 'deskguard.group_permission', 'deskguard.agent_permission',
        'deskguard.group_department', 'deskguard.agent_department', 'deskguard.group_category',
        'deskguard.agent_category', 'deskguard.shared_visibility', 'deskguard_internal.protected_table',
        'deskguard_internal.ticket_table', 'deskguard_internal.message_table', 'deskguard_internal.shared_table'
    ] LOOP
        EXECUTE format('
            CREATE TRIGGER rights_changed BEFORE INSERT OR UPDATE OR DELETE ON %1$s
                FOR EACH ROW EXECUTE FUNCTION deskguard_internal.rights_changed();
            CREATE TRIGGER rights_changed_truncate BEFORE TRUNCATE ON %1$s
                FOR EACH STATEMENT EXECUTE FUNCTION deskguard_internal.rights_changed();
            ALTER TABLE %1$s ENABLE ALWAYS TRIGGER rights_changed;
            ALTER TABLE %1$s ENABLE ALWAYS TRIGGER rights_changed_truncate;
        ', rights);
    END LOOP;
END $$;
-- Triggers that refuse what constraints cannot.

CREATE FUNCTION deskguard_internal.guard_builtin() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_WHEN <> 'BEFORE' OR (TG_OP = 'TRUNCATE') <> (TG_LEVEL = 'STATEMENT')
        OR TG_RELID NOT IN ('deskguard.permission'::regclass, 'deskguard.permission_group'::regclass)
    THEN
        RAISE EXCEPTION 'deskguard_internal.guard_builtin() cannot be called as this trigger'
            USING ERRCODE = 'trigger_protocol_violated',
                HINT = 'It is for deskguard.permission and deskguard.permission_group, which have the trigger.';
    END IF;
    IF TG_OP = 'TRUNCATE' THEN
        RAISE EXCEPTION 'deskguard.% has built-in rows and cannot be truncated', TG_TABLE_NAME
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Delete your own rows: DELETE ... WHERE NOT builtin.';
    END IF;
    IF TG_OP <> 'INSERT' THEN
        IF OLD.builtin THEN
            RAISE EXCEPTION '"%" is built in and cannot be changed or deleted', OLD.name
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Make one of your own.';
        END IF;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    IF NEW.builtin THEN
        RAISE EXCEPTION 'only what comes with deskguard is built in'
            USING ERRCODE = 'check_violation', HINT = 'Leave builtin false.';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION deskguard_internal.guard_builtin() IS
    'Trigger: refuses to change built-in permissions and groups (55000)';

CREATE TRIGGER guard_builtin BEFORE INSERT OR UPDATE OR DELETE ON deskguard.permission
    FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_builtin();
CREATE TRIGGER guard_builtin_truncate BEFORE TRUNCATE ON deskguard.permission
    FOR EACH STATEMENT EXECUTE FUNCTION deskguard_internal.guard_builtin();
CREATE TRIGGER guard_builtin BEFORE INSERT OR UPDATE OR DELETE ON deskguard.permission_group
    FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_builtin();
CREATE TRIGGER guard_builtin_truncate BEFORE TRUNCATE ON deskguard.permission_group
    FOR EACH STATEMENT EXECUTE FUNCTION deskguard_internal.guard_builtin();

CREATE FUNCTION deskguard_internal.guard_builtin_grants() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_WHEN <> 'BEFORE' OR TG_LEVEL <> 'ROW' OR TG_OP NOT IN ('INSERT', 'UPDATE') OR TG_RELID NOT IN (
        'deskguard.group_permission'::regclass, 'deskguard.group_department'::regclass, 'deskguard.group_category'::regclass)
    THEN
        RAISE EXCEPTION 'deskguard_internal.guard_builtin_grants() cannot be called as this trigger'
            USING ERRCODE = 'trigger_protocol_violated',
                HINT = 'It is for the grants of groups, whose tables have the trigger.';
    END IF;
    IF EXISTS (SELECT FROM deskguard.permission_group AS g WHERE g.id = NEW.group_id AND g.builtin) THEN
        RAISE EXCEPTION 'group % is built in and cannot be changed', NEW.group_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Make a group of your own; an agent may be in several.';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION deskguard_internal.guard_builtin_grants() IS
    'Trigger: refuses grants to built-in groups, which have everything (55000)';

CREATE TRIGGER guard_builtin BEFORE INSERT OR UPDATE ON deskguard.group_permission
    FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_builtin_grants();
CREATE TRIGGER guard_builtin BEFORE INSERT OR UPDATE ON deskguard.group_department
    FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_builtin_grants();
CREATE TRIGGER guard_builtin BEFORE INSERT OR UPDATE ON deskguard.group_category
    FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_builtin_grants();

CREATE FUNCTION deskguard_internal.guard_role() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'guard_role';
COMMENT ON FUNCTION deskguard_internal.guard_role() IS
    'Trigger: refuses a role that does not exist (42704), and one that would be an agent and trusted to name its agent (55000)';

CREATE TRIGGER guard_role AFTER INSERT OR UPDATE OF db_role ON deskguard.agent
    FOR EACH ROW WHEN (NEW.db_role IS NOT NULL) EXECUTE FUNCTION deskguard_internal.guard_role();
CREATE TRIGGER guard_role AFTER INSERT OR UPDATE ON deskguard.trusted_role
    FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_role();

CREATE FUNCTION deskguard_internal.guard_department_tree() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'guard_department_tree';
COMMENT ON FUNCTION deskguard_internal.guard_department_tree() IS
    'Trigger: refuses a department that would be its own ancestor (23514)';

CREATE TRIGGER guard_department_tree AFTER INSERT OR UPDATE OF id, parent_id ON deskguard.department
    FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_department_tree();
-- The functions that protect tables. Written by hand, as all functions are: tables are regclass, and \df+ shows the comments.

CREATE FUNCTION deskguard.protect_tickets(
    ticket_table regclass,
    id_column name DEFAULT 'id',
    department_column name DEFAULT NULL,
    category_column name DEFAULT NULL,
    assignee_column name DEFAULT NULL,
    team_column name DEFAULT NULL,
    follower_table regclass DEFAULT NULL,
    follower_ticket_column name DEFAULT 'ticket_id',
    follower_agent_column name DEFAULT 'agent_id',
    unassigned_value bigint DEFAULT NULL,
    status_column name DEFAULT NULL,
    archived_values text[] DEFAULT NULL,
    spam_values text[] DEFAULT NULL,
    confidential_column name DEFAULT NULL,
    drop_rules boolean DEFAULT false
) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'protect_tickets_wrapper';
COMMENT ON FUNCTION deskguard.protect_tickets(regclass, name, name, name, name, name, regclass, name, name, bigint, name, text[], text[], name, boolean) IS
    'Protects a ticket table, its partitions and its follower table with row-level security; run it again to map other columns, with drop_rules if rules are to end by that. The caller must own the tables';

CREATE FUNCTION deskguard.protect_messages(
    message_table regclass,
    ticket_table regclass,
    ticket_column name DEFAULT 'ticket_id',
    author_column name DEFAULT NULL,
    drop_rules boolean DEFAULT false
) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'protect_messages_wrapper';
COMMENT ON FUNCTION deskguard.protect_messages(regclass, regclass, name, name, boolean) IS
    'Protects a table whose rows belong to tickets (messages, time entries), or to rows of such a table (attachments); run it again to map other columns, with drop_rules if rules are to end by that. The caller must own the tables';

CREATE FUNCTION deskguard.protect_feature(feature_table regclass, permission text, command text DEFAULT 'ALL') RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'protect_feature_wrapper';
COMMENT ON FUNCTION deskguard.protect_feature(regclass, text, text) IS
    'Lets only agents with the permission SELECT, INSERT, UPDATE or DELETE rows of a table, or ALL; several calls add up. The caller must own the table';

CREATE FUNCTION deskguard.protect_shared(
    object_table regclass,
    id_column name DEFAULT 'id',
    owner_column name DEFAULT NULL,
    drop_rules boolean DEFAULT false
) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'protect_shared_wrapper';
COMMENT ON FUNCTION deskguard.protect_shared(regclass, name, name, boolean) IS
    'Protects a table of things that agents share, as filters, reports and saved responses: seen by their owner and by those they are shared with. The caller must own the table';

CREATE FUNCTION deskguard.unprotect(protected_table regclass) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'unprotect_wrapper';
COMMENT ON FUNCTION deskguard.unprotect(regclass) IS
    'Removes all that protect_tickets(), protect_messages(), protect_shared() and protect_feature() added to a table, its partitions and its follower table. The caller must own them';
-- A ticket table for those who have none.

CREATE FUNCTION deskguard.create_help_desk(schema_name name DEFAULT 'helpdesk') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF schema_name IS NULL THEN
        RAISE EXCEPTION 'schema_name must not be NULL'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the schema to create.';
    END IF;
    IF to_regnamespace(quote_ident(schema_name)) IS NOT NULL THEN
        RAISE EXCEPTION 'schema "%" already exists', schema_name
            USING ERRCODE = 'duplicate_schema',
                HINT = 'Choose another schema_name, or protect the tables that you have with deskguard.protect_tickets().';
    END IF;
    EXECUTE format('CREATE SCHEMA %I', schema_name);
    EXECUTE format($ddl$
        CREATE TABLE %1$I.ticket (
            id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
            subject text NOT NULL,
            status text NOT NULL DEFAULT 'open',
            department_id bigint,
            category_id bigint,
            assignee_id bigint,
            team_id bigint,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now()
        );
        CREATE INDEX ticket_department_id_idx ON %1$I.ticket (department_id);
        CREATE INDEX ticket_category_id_idx ON %1$I.ticket (category_id);
        CREATE INDEX ticket_assignee_id_idx ON %1$I.ticket (assignee_id);
        CREATE INDEX ticket_team_id_idx ON %1$I.ticket (team_id);
        CREATE TABLE %1$I.ticket_follower (
            ticket_id bigint NOT NULL REFERENCES %1$I.ticket ON DELETE CASCADE,
            agent_id bigint NOT NULL,
            PRIMARY KEY (ticket_id, agent_id)
        );
        CREATE INDEX ticket_follower_agent_id_idx ON %1$I.ticket_follower (agent_id);
    $ddl$, schema_name);
    PERFORM deskguard.protect_tickets(
        format('%I.ticket', schema_name)::regclass,
        department_column => 'department_id',
        category_column => 'category_id',
        assignee_column => 'assignee_id',
        team_column => 'team_id',
        follower_table => format('%I.ticket_follower', schema_name)::regclass);
END $$;
COMMENT ON FUNCTION deskguard.create_help_desk(name) IS
    'Creates a schema with the tables ticket and ticket_follower, owned by the caller, indexed for the rules and protected';
-- Who acts.

CREATE FUNCTION deskguard.current_agent() RETURNS bigint
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'current_agent_id_wrapper';
COMMENT ON FUNCTION deskguard.current_agent() IS 'The agent that this statement acts for; NULL for nobody';

CREATE FUNCTION deskguard.set_agent(agent_id bigint, is_local boolean DEFAULT true) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'set_agent_wrapper';
COMMENT ON FUNCTION deskguard.set_agent(bigint, boolean) IS
    'Sets deskguard.agent_id for the transaction, or for the session if is_local is false; NULL for nobody. Obeyed only if the login role is trusted';
-- Questions. Those about a ticket take its id as bigint, as uuid, or as text, which is read as what the ticket
-- table has.

-- Makes agent_can_view, agent_can, agents_who_can, explain_access.
DO $do$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT * FROM (VALUES ('bigint', ''), ('uuid', '_uuid'), ('text', '_text')) AS k (type, suffix)
    LOOP
        EXECUTE format($$
            CREATE FUNCTION deskguard.agent_can_view(agent_id bigint, ticket_id %1$s, ticket_table regclass DEFAULT NULL) RETURNS boolean
            LANGUAGE c STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'agent_can_view%2$s_wrapper';
            COMMENT ON FUNCTION deskguard.agent_can_view(bigint, %1$s, regclass) IS 'May the agent view the ticket?';

            CREATE FUNCTION deskguard.agent_can(agent_id bigint, action text, ticket_id %1$s, ticket_table regclass DEFAULT NULL) RETURNS boolean
            LANGUAGE c STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'agent_can%2$s_wrapper';
            COMMENT ON FUNCTION deskguard.agent_can(bigint, text, %1$s, regclass) IS
                'May the agent view, reply (to), modify, edit_messages (of) or delete the ticket?';

            CREATE FUNCTION deskguard.agents_who_can(action text, ticket_id %1$s, ticket_table regclass DEFAULT NULL) RETURNS SETOF bigint
            LANGUAGE c STABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'agents_who_can%2$s_wrapper';
            COMMENT ON FUNCTION deskguard.agents_who_can(text, %1$s, regclass) IS 'The agents that may do this with the ticket';

            CREATE FUNCTION deskguard.explain_access(agent_id bigint, ticket_id %1$s, action text DEFAULT 'view', ticket_table regclass DEFAULT NULL) RETURNS jsonb
            LANGUAGE c STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'explain_access%2$s_wrapper';
            COMMENT ON FUNCTION deskguard.explain_access(bigint, %1$s, text, regclass) IS
                'Why the agent may or may not do this with the ticket, with the rules looked at and who granted what';
        $$, key.type, key.suffix);
    END LOOP;
END $do$;

CREATE FUNCTION deskguard.agent_has_permission(agent_id bigint, permission text) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'agent_has_permission_wrapper';
COMMENT ON FUNCTION deskguard.agent_has_permission(bigint, text) IS
    'Does the agent hold the permission, itself or through a group?';

CREATE FUNCTION deskguard.visible_tickets(agent_id bigint, ticket_table regclass DEFAULT NULL) RETURNS SETOF bigint
LANGUAGE c STABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'visible_tickets_wrapper';
COMMENT ON FUNCTION deskguard.visible_tickets(bigint, regclass) IS
    'The ids of the tickets that the agent may view, of a table with integer ids (42804 for another)';

CREATE FUNCTION deskguard.visible_ticket_keys(agent_id bigint, ticket_table regclass DEFAULT NULL) RETURNS SETOF text
LANGUAGE c STABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'visible_ticket_keys_wrapper';
COMMENT ON FUNCTION deskguard.visible_ticket_keys(bigint, regclass) IS
    'The ids of the tickets that the agent may view, of whatever type they are, as text';

CREATE FUNCTION deskguard.effective_permissions(agent_id bigint) RETURNS TABLE (permission text, granted_by text, locked boolean)
LANGUAGE c STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'effective_permissions_wrapper';
COMMENT ON FUNCTION deskguard.effective_permissions(bigint) IS
    'The permissions of an agent, a row for each grant; granted_by is a group''s name (locked), or ''agent'' for an override';

CREATE FUNCTION deskguard.cache_stats(
    OUT agents bigint, OUT bytes bigint, OUT hits bigint, OUT loads bigint, OUT evictions bigint, OUT invalidations bigint
) RETURNS SETOF record
LANGUAGE c AS 'MODULE_PATHNAME', 'cache_stats_wrapper';
COMMENT ON FUNCTION deskguard.cache_stats() IS
    'What this backend remembers of agents'' rights, and how often it was used, loaded, dropped for space, and dropped for a change of rights';
-- What agents call to share things.

-- Makes share, unshare.
DO $do$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT * FROM (VALUES ('bigint', ''), ('uuid', '_uuid'), ('text', '_text')) AS k (type, suffix)
    LOOP
        EXECUTE format($$
            CREATE FUNCTION deskguard.share(
                object_table regclass, object_id %1$s, group_id bigint DEFAULT NULL, agent_id bigint DEFAULT NULL, everyone boolean DEFAULT false
            ) RETURNS void
            LANGUAGE c AS 'MODULE_PATHNAME', 'share%2$s_wrapper';
            COMMENT ON FUNCTION deskguard.share(regclass, %1$s, bigint, bigint, boolean) IS
                'Shows an object, which the current agent may change, to the members of a group, to an agent, or to everyone';

            CREATE FUNCTION deskguard.unshare(
                object_table regclass, object_id %1$s, group_id bigint DEFAULT NULL, agent_id bigint DEFAULT NULL, everyone boolean DEFAULT false
            ) RETURNS void
            LANGUAGE c AS 'MODULE_PATHNAME', 'unshare%2$s_wrapper';
            COMMENT ON FUNCTION deskguard.unshare(regclass, %1$s, bigint, bigint, boolean) IS
                'Takes back what deskguard.share() did with the same arguments';
        $$, key.type, key.suffix);
    END LOOP;
END $do$;
-- External keys: who is meant by a uuid or text. Policies call them, too.

-- Makes agent_by_key, team_by_key, department_by_key, category_by_key.
DO $do$
DECLARE
    principal name;
    type name;
BEGIN
    FOREACH principal IN ARRAY ARRAY['agent', 'team', 'department', 'category'] LOOP
        FOREACH type IN ARRAY ARRAY['uuid', 'text'] LOOP
            EXECUTE format($$
                CREATE FUNCTION deskguard.%1$s_by_key(key %2$s) RETURNS bigint
                LANGUAGE c STABLE PARALLEL SAFE COST 5 AS 'MODULE_PATHNAME', '%1$s_by_key_%2$s_wrapper';
                COMMENT ON FUNCTION deskguard.%1$s_by_key(%2$s) IS
                    'For policies: the %1$s with this external_key; -9223372036854775808, which is the id of none, if there is none'
            $$, principal, type);
        END LOOP;
    END LOOP;
END $do$;
-- What opens a protected table.

CREATE FUNCTION deskguard_internal.base_support(internal) RETURNS internal
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'base_support_wrapper';
COMMENT ON FUNCTION deskguard_internal.base_support(internal) IS
    'For the planner: answers deskguard_internal.base_ok(), false for a policy that was copied to another table';

CREATE FUNCTION deskguard_internal.base_ok(protected_table regclass) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.base_support AS 'MODULE_PATHNAME', 'base_ok_wrapper';
COMMENT ON FUNCTION deskguard_internal.base_ok(regclass) IS
    'For policies: is the table protected, with all policies and triggers as they were made?';
-- The rules about tickets, as policies and triggers call them. regclass is the protected table itself.

CREATE FUNCTION deskguard_internal.rule_support(internal) RETURNS internal
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rule_support_wrapper';
COMMENT ON FUNCTION deskguard_internal.rule_support(internal) IS
    'For the planner: makes the rules part of plans, as literals for the current agent';

CREATE FUNCTION deskguard_internal.silo_ok(ticket_table regclass, category bigint) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.rule_support AS 'MODULE_PATHNAME', 'silo_ok_wrapper';
COMMENT ON FUNCTION deskguard_internal.silo_ok(regclass, bigint) IS
    'For policies: does the silo rule let the current agent have tickets of the category?';

-- Makes view_ok, reply_ok, modify_ok, edit_messages_ok, delete_ok, update_ok.
DO $do$
DECLARE
    key record;
    rule record;
BEGIN
    FOR key IN
        SELECT * FROM (VALUES ('bigint', ''), ('uuid', '_uuid'), ('text', '_text')) AS k (type, suffix)
    LOOP
        FOR rule IN
            SELECT * FROM (VALUES
                ('view_ok', 'view'), ('reply_ok', 'reply to'), ('modify_ok', 'modify'),
                ('edit_messages_ok', 'edit the messages of'), ('delete_ok', 'delete')
            ) AS r (name, action)
        LOOP
            EXECUTE format($$
                CREATE FUNCTION deskguard_internal.%1$s(ticket_table regclass, id %2$s, department bigint, assignee bigint, team bigint, confidential boolean) RETURNS boolean
                LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.rule_support AS 'MODULE_PATHNAME', '%1$s%3$s_wrapper';
                COMMENT ON FUNCTION deskguard_internal.%1$s(regclass, %2$s, bigint, bigint, bigint, boolean) IS
                    'For policies: may the current agent %4$s such a ticket, apart from the silo rule?'
            $$, rule.name, key.type, key.suffix, rule.action);
        END LOOP;
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.update_ok(ticket_table regclass, id %1$s, department bigint, status text) RETURNS boolean
            LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'update_ok%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.update_ok(regclass, %1$s, bigint, text) IS
                'For policies: may the current agent move the updated ticket to the department, and give it the status (42501 if not)?'
        $$, key.type, key.suffix);
    END LOOP;
END $do$;

CREATE FUNCTION deskguard_internal.written_silo_ok(ticket_table regclass, category bigint) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'silo_ok_wrapper';
COMMENT ON FUNCTION deskguard_internal.written_silo_ok(regclass, bigint) IS
    'For plans: deskguard_internal.silo_ok() asked of a row that a command writes';

CREATE FUNCTION deskguard_internal.create_ok(ticket_table regclass, department bigint, assignee bigint, team bigint, confidential boolean, status text) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'create_ok_wrapper';
COMMENT ON FUNCTION deskguard_internal.create_ok(regclass, bigint, bigint, bigint, boolean, text) IS
    'For policies: may the current agent create such a ticket, apart from the silo rule?';

CREATE FUNCTION deskguard_internal.note_ticket() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'note_ticket';
COMMENT ON FUNCTION deskguard_internal.note_ticket() IS
    'Trigger: notes what a ticket was before an UPDATE, for deskguard_internal.update_ok()';
-- The rules about child tables: messages, followers and others, whose rows belong to tickets, or to rows of such a
-- table: src/kinds/children/calls.rs. A function for each type of key, so that the planner finds the index of the column.

CREATE FUNCTION deskguard_internal.child_support(internal) RETURNS internal
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'child_support_wrapper';
COMMENT ON FUNCTION deskguard_internal.child_support(internal) IS
    'For the planner: whether these rules are the same for all rows, how many rows they leave, and how an index helps';

-- Makes parent_seen, parent_reply_ok, parent_edit_ok.
DO $do$
DECLARE
    rule record;
    width record;
BEGIN
    FOR width IN
        SELECT * FROM (VALUES
            ('smallint', 'int2'), ('integer', 'int4'), ('bigint', 'int8'), ('uuid', 'uuid'), ('text', 'text')
        ) AS w (type, suffix)
    LOOP
        FOR rule IN
            SELECT * FROM (VALUES
                ('parent_seen', 'view'), ('parent_reply_ok', 'reply to'), ('parent_edit_ok', 'edit the messages of')
            ) AS r (name, action)
        LOOP
            EXECUTE format($$
                CREATE FUNCTION deskguard_internal.%1$s(child_table regclass, parent %2$s) RETURNS boolean
                LANGUAGE c STABLE PARALLEL SAFE COST 5 SUPPORT deskguard_internal.child_support
                AS 'MODULE_PATHNAME', '%1$s_%3$s_wrapper';
                COMMENT ON FUNCTION deskguard_internal.%1$s(regclass, %2$s) IS
                    'For policies: may the current agent %4$s the ticket that a row belongs to? parent is the ticket, or the message that hangs on one'
            $$, rule.name, width.type, width.suffix, rule.action);
        END LOOP;
    END LOOP;
END $do$;

-- Makes visible_parents, visible_parents_uuid, visible_parents_text, editable_parents, editable_parents_uuid,
-- editable_parents_text, new_message_ok, follower_ok.
DO $do$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT * FROM (VALUES ('bigint', ''), ('uuid', '_uuid'), ('text', '_text')) AS k (type, suffix)
    LOOP
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.visible_parents%2$s(child_table regclass) RETURNS %1$s[]
            LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'visible_parents%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.visible_parents%2$s(regclass) IS
                'For plans: all rows of the parent table whose ticket the current agent may view';

            CREATE FUNCTION deskguard_internal.editable_parents%2$s(child_table regclass) RETURNS %1$s[]
            LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'editable_parents%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.editable_parents%2$s(regclass) IS
                'For plans: all rows of the parent table of whose ticket the current agent may edit the messages';

            CREATE FUNCTION deskguard_internal.new_message_ok(message_table regclass, ticket %1$s, author bigint) RETURNS boolean
            LANGUAGE c STABLE SUPPORT deskguard_internal.child_support AS 'MODULE_PATHNAME', 'new_message_ok%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.new_message_ok(regclass, %1$s, bigint) IS
                'For policies: is the author of a new message the current agent or nobody, and does the command reply to one ticket only, or the agent have ticket.mass_reply (42501 if not)?';

            CREATE FUNCTION deskguard_internal.follower_ok(follower_table regclass, ticket %1$s, agent bigint) RETURNS boolean
            LANGUAGE c STABLE PARALLEL SAFE COST 5 SUPPORT deskguard_internal.child_support AS 'MODULE_PATHNAME', 'follower_ok%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.follower_ok(regclass, %1$s, bigint) IS
                'For policies: may the current agent make the agent follow the ticket, or stop it?';
        $$, key.type, key.suffix);
    END LOOP;
END $do$;
-- The ids of rows that agents write: src/kinds/new_id.rs. With the support function of the rules above, so that plans
-- know that rules are asked when they run.

-- Makes new_id_ok, updated_id_ok.
DO $do$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT * FROM (VALUES ('bigint', ''), ('uuid', '_uuid'), ('text', '_text')) AS k (type, suffix)
    LOOP
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.new_id_ok(protected_table regclass, id %1$s) RETURNS boolean
            LANGUAGE c STABLE SUPPORT deskguard_internal.child_support AS 'MODULE_PATHNAME', 'new_id_ok%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.new_id_ok(regclass, %1$s) IS
                'For policies: is there nothing yet that belongs to the id of a new row (55000 if there is)?';

            CREATE FUNCTION deskguard_internal.updated_id_ok(message_table regclass, id %1$s) RETURNS boolean
            LANGUAGE c STABLE SUPPORT deskguard_internal.child_support AS 'MODULE_PATHNAME', 'updated_id_ok%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.updated_id_ok(regclass, %1$s) IS
                'For policies: is the id of an updated row that of a row that the current agent may change, or is there nothing yet that belongs to it (55000 if there is)?';
        $$, key.type, key.suffix);
    END LOOP;
END $do$;
-- Rows that need a permission.

CREATE FUNCTION deskguard_internal.feature_support(internal) RETURNS internal
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feature_support_wrapper';
COMMENT ON FUNCTION deskguard_internal.feature_support(internal) IS
    'For the planner: answers deskguard_internal.feature_ok() for the current agent';

CREATE FUNCTION deskguard_internal.feature_ok(permission text) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.feature_support AS 'MODULE_PATHNAME', 'feature_ok_wrapper';
COMMENT ON FUNCTION deskguard_internal.feature_ok(text) IS 'For policies: has the current agent the permission?';
-- Things that agents share.

CREATE FUNCTION deskguard_internal.shared_support(internal) RETURNS internal
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'shared_support_wrapper';
COMMENT ON FUNCTION deskguard_internal.shared_support(internal) IS
    'For the planner: makes the rules for shared objects part of plans, as literals for the current agent';

-- Makes shared_seen.
DO $do$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT * FROM (VALUES ('bigint', ''), ('uuid', '_uuid'), ('text', '_text')) AS k (type, suffix)
    LOOP
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.shared_seen(object_table regclass, id %1$s, owner bigint) RETURNS boolean
            LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.shared_support AS 'MODULE_PATHNAME', 'shared_seen%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.shared_seen(regclass, %1$s, bigint) IS
                'For policies: may the current agent see the shared object?';
        $$, key.type, key.suffix);
    END LOOP;
END $do$;

CREATE FUNCTION deskguard_internal.shared_ok(object_table regclass, owner bigint) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.shared_support AS 'MODULE_PATHNAME', 'shared_ok_wrapper';
COMMENT ON FUNCTION deskguard_internal.shared_ok(regclass, bigint) IS
    'For policies: may the current agent make or change shared objects of the owner?';

-- What is left of these rules in plans. Makes shared_with.
DO $do$
DECLARE
    width record;
BEGIN
    FOR width IN
        SELECT * FROM (VALUES
            ('smallint', 'int2'), ('integer', 'int4'), ('bigint', 'int8'), ('uuid', 'uuid'), ('text', 'text')
        ) AS w (type, suffix)
    LOOP
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.shared_with(object_table regclass, id %1$s) RETURNS boolean
            LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.shared_support
            AS 'MODULE_PATHNAME', 'shared_with_%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.shared_with(regclass, %1$s) IS
                'For plans: is the object shared with the current agent?'
        $$, width.type, width.suffix);
    END LOOP;
END $do$;

-- Makes shared_objects, shared_objects_uuid, shared_objects_text.
DO $do$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT * FROM (VALUES ('bigint', ''), ('uuid', '_uuid'), ('text', '_text')) AS k (type, suffix)
    LOOP
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.shared_objects%2$s(object_table regclass) RETURNS %1$s[]
            LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'shared_objects%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.shared_objects%2$s(regclass) IS
                'For plans: the objects that are shared with the current agent';
        $$, key.type, key.suffix);
    END LOOP;
END $do$;

CREATE FUNCTION deskguard_internal.object_gone() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'object_gone';
COMMENT ON FUNCTION deskguard_internal.object_gone() IS
    'Trigger: forgets with whom a deleted object was shared, and refuses to change the id of one that is (55000)';
-- What is left of a folded rule at run time: src/kinds/tickets/runtime_lists.rs. A function for each type of key, so that
-- the planner finds the index of the column.
--
-- They are leakproof: they tell yes or no and nothing else, whatever the id. Else the policy that comes
-- second on a table, deskguard_view after deskguard_silo, could use no index for them.
-- The costs are as measured. To look an id up takes as long as in a hashed list of literals, which the planner
-- takes for two operators; a followed ticket, with the reading of them all, as long as = ANY with ten.

CREATE FUNCTION deskguard_internal.atom_support(internal) RETURNS internal
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'atom_support_wrapper';
COMMENT ON FUNCTION deskguard_internal.atom_support(internal) IS
    'For the planner: how many rows these functions leave, and how an index helps';

-- Makes has_category, has_department, in_team, followed.
DO $do$
DECLARE
    atom record;
    width record;
BEGIN
    FOR width IN
        SELECT * FROM (VALUES
            ('smallint', 'int2'), ('integer', 'int4'), ('bigint', 'int8'), ('uuid', 'uuid'), ('text', 'text')
        ) AS w (type, suffix)
    LOOP
        FOR atom IN
            SELECT * FROM (VALUES
                ('has_category', 'has the category'),
                ('has_department', 'has full access to the department'),
                ('in_team', 'is in the team')
            ) AS a (name, description)
        LOOP
            EXECUTE format($$
                CREATE FUNCTION deskguard_internal.%1$s(id %2$s) RETURNS boolean
                LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 2 SUPPORT deskguard_internal.atom_support
                AS 'MODULE_PATHNAME', '%1$s_%3$s_wrapper';
                COMMENT ON FUNCTION deskguard_internal.%1$s(%2$s) IS 'For plans: is the current agent one that %4$s?'
            $$, atom.name, width.type, width.suffix, atom.description);
        END LOOP;
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.followed(ticket_table regclass, id %1$s) RETURNS boolean
            LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 5 SUPPORT deskguard_internal.atom_support
            AS 'MODULE_PATHNAME', 'followed_%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.followed(regclass, %1$s) IS
                'For plans: does the current agent follow the ticket?'
        $$, width.type, width.suffix);
    END LOOP;
END $do$;

-- Makes categories, categories_uuid, categories_text, departments, departments_uuid, departments_text,
-- teams, teams_uuid, teams_text, followed_tickets, followed_tickets_uuid, followed_tickets_text.
DO $do$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT * FROM (VALUES ('bigint', ''), ('uuid', '_uuid'), ('text', '_text')) AS k (type, suffix)
    LOOP
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.categories%2$s() RETURNS %1$s[]
            LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'categories%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.categories%2$s() IS
                'For plans: the categories of the current agent, if it is siloed, as columns of type %1$s have them';

            CREATE FUNCTION deskguard_internal.departments%2$s() RETURNS %1$s[]
            LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'departments%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.departments%2$s() IS
                'For plans: the departments, with their descendants, that the current agent has full access to, if it has not all, as columns of type %1$s have them';

            CREATE FUNCTION deskguard_internal.teams%2$s() RETURNS %1$s[]
            LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'teams%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.teams%2$s() IS
                'For plans: the teams of the current agent, as columns of type %1$s have them';

            CREATE FUNCTION deskguard_internal.followed_tickets%2$s(ticket_table regclass) RETURNS %1$s[]
            LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'followed_tickets%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.followed_tickets%2$s(regclass) IS
                'For plans: the tickets that the current agent follows';
        $$, key.type, key.suffix);
    END LOOP;
END $do$;
-- Keeps the protection whole while the help desk's tables change: src/protect/ddl.rs and drops.rs.

CREATE FUNCTION deskguard_internal.after_ddl() RETURNS event_trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'after_ddl';
COMMENT ON FUNCTION deskguard_internal.after_ddl() IS
    'Event trigger: follows renamed tables and columns, protects new partitions, and refuses what would open a protected table (55000)';

CREATE FUNCTION deskguard_internal.after_drop() RETURNS event_trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'after_drop';
COMMENT ON FUNCTION deskguard_internal.after_drop() IS
    'Event trigger: forgets dropped tables, and refuses to drop what protects a table that stays (2BP01)';

-- All commands that make or attach tables, or that rename or alter one or its columns: PostgreSQL takes a
-- table for a view or an index in some of them, too.
CREATE EVENT TRIGGER deskguard_after_ddl ON ddl_command_end
    WHEN TAG IN (
        'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE FOREIGN TABLE', 'IMPORT FOREIGN SCHEMA', 'CREATE SCHEMA',
        'ALTER TABLE', 'ALTER FOREIGN TABLE', 'ALTER INDEX', 'ALTER SEQUENCE', 'ALTER VIEW', 'ALTER MATERIALIZED VIEW',
        'ALTER TYPE', 'ALTER SCHEMA', 'ALTER EXTENSION', 'ALTER POLICY'
    )
    EXECUTE FUNCTION deskguard_internal.after_ddl();
ALTER EVENT TRIGGER deskguard_after_ddl ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER deskguard_after_ddl IS 'Keeps the protection whole when tables change';

CREATE EVENT TRIGGER deskguard_after_drop ON sql_drop EXECUTE FUNCTION deskguard_internal.after_drop();
ALTER EVENT TRIGGER deskguard_after_drop ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER deskguard_after_drop IS 'Keeps the protection whole when things are dropped';
-- Everyone may call the functions, which check for themselves who asks; nobody but administrators
-- sees or changes the tables.
GRANT USAGE ON SCHEMA deskguard, deskguard_internal TO PUBLIC;

-- Triggers need no privilege when they fire; these are for deskguard's own tables only.
REVOKE ALL ON FUNCTION
    deskguard_internal.guard_builtin(), deskguard_internal.guard_builtin_grants(), deskguard_internal.guard_role(),
    deskguard_internal.guard_department_tree(), deskguard_internal.rights_changed()
FROM PUBLIC;

-- Who protects a table may ask about the rights of others on it, and changes what questions without a table are
-- about. The administrator says who may: GRANT EXECUTE ON FUNCTION deskguard.protect_tickets TO ...
REVOKE ALL ON FUNCTION
    deskguard.protect_tickets, deskguard.protect_messages, deskguard.protect_feature, deskguard.protect_shared,
    deskguard.unprotect, deskguard.create_help_desk
FROM PUBLIC;

-- What pg_dump takes along; what CREATE EXTENSION makes is left out.
SELECT pg_catalog.pg_extension_config_dump('deskguard.agent', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.team', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.team_member', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.trusted_role', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.department', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.category', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.permission', 'WHERE NOT builtin');
SELECT pg_catalog.pg_extension_config_dump('deskguard.permission_group', 'WHERE NOT builtin');
SELECT pg_catalog.pg_extension_config_dump('deskguard.permission_group_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.group_member', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.group_permission', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.agent_permission', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.group_department', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.agent_department', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.group_category', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.agent_category', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.protected_table', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.ticket_table', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.message_table', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.shared_table', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.protected_feature', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.shared_visibility', '');
