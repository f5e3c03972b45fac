\echo Use "ALTER EXTENSION deskguard UPDATE" to load this file. \quit

-- VACUUM and ANALYZE are no change of rights. To drop the tables is one: all sessions look for the views.
DROP TABLE deskguard_internal.rights_signal;
DROP TABLE deskguard_internal.external_key_signal;
CREATE VIEW deskguard_internal.rights_signal AS SELECT;
COMMENT ON VIEW deskguard_internal.rights_signal IS
    'Always empty; whoever changes the rights of everyone invalidates its relcache entry, of which all backends hear at commit';
CREATE VIEW deskguard_internal.external_key_signal AS SELECT;
COMMENT ON VIEW deskguard_internal.external_key_signal IS
    'Always empty; the same for external keys, which backends need not load again for other changes';

-- A publication can leave the built-in rows out.
CREATE UNIQUE INDEX permission_identity ON deskguard.permission (name, builtin);
ALTER TABLE deskguard.permission REPLICA IDENTITY USING INDEX permission_identity;
CREATE UNIQUE INDEX permission_group_identity ON deskguard.permission_group (id, builtin);
ALTER TABLE deskguard.permission_group REPLICA IDENTITY USING INDEX permission_group_identity;

-- Why a command is allowed or refused.
CREATE FUNCTION deskguard.explain_command(
    agent_id bigint, command text, protected_table regclass, old_row jsonb DEFAULT NULL, new_row jsonb DEFAULT NULL
) RETURNS jsonb
LANGUAGE c STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'explain_command_wrapper';
COMMENT ON FUNCTION deskguard.explain_command(bigint, text, regclass, jsonb, jsonb) IS
    'Why the agent may or may not SELECT, INSERT, UPDATE or DELETE such a row: with the rules looked at and who granted what';

-- What an agent has, and who has something.
CREATE FUNCTION deskguard.effective_departments(agent_id bigint)
RETURNS TABLE (department_id bigint, name text, level text, granted_by text, granted_on bigint, valid_until timestamptz, scope text)
LANGUAGE c STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'effective_departments_wrapper';
COMMENT ON FUNCTION deskguard.effective_departments(bigint) IS
    'The departments of an agent, a row for each grant; granted_on is the department itself or one above it, NULL for a group of all departments; scope ''granted'': for the permissions of this group only';

CREATE FUNCTION deskguard.effective_categories(agent_id bigint)
RETURNS TABLE (category_id bigint, name text, granted_by text, valid_until timestamptz, scope text)
LANGUAGE c STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'effective_categories_wrapper';
COMMENT ON FUNCTION deskguard.effective_categories(bigint) IS
    'The categories of an agent, a row for each grant or for who opens it; the category NULL: tickets without one; scope ''granted'': for the permissions of this group only';

CREATE FUNCTION deskguard.effective_teams(agent_id bigint)
RETURNS TABLE (team_id bigint, name text, valid_until timestamptz)
LANGUAGE c STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'effective_teams_wrapper';
COMMENT ON FUNCTION deskguard.effective_teams(bigint) IS 'The teams of an agent';

CREATE FUNCTION deskguard.agents_with_access(
    department_id bigint DEFAULT NULL, level text DEFAULT 'full', category_id bigint DEFAULT NULL, permission text DEFAULT NULL
) RETURNS TABLE (agent_id bigint, name text, granted_by text, granted_on bigint, valid_until timestamptz, scope text)
LANGUAGE c STABLE PARALLEL SAFE COST 1000 AS 'MODULE_PATHNAME', 'agents_with_access_wrapper';
COMMENT ON FUNCTION deskguard.agents_with_access(bigint, text, bigint, text) IS
    'The active agents that have a department at a level, or a category, or a permission, a row for each grant';

-- A dump is restored in any order: sql/references.sql.
CREATE FUNCTION deskguard_internal.check_references() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'check_references';
COMMENT ON FUNCTION deskguard_internal.check_references() IS
    'Trigger: refuses a row that refers to one that does not exist (23503), unless a dump is being restored';
REVOKE ALL ON FUNCTION deskguard_internal.check_references() FROM PUBLIC;

DO $$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT t.tgrelid::regclass AS referring, t.tgname AS name
        FROM pg_catalog.pg_trigger AS t
        JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
        WHERE c.relnamespace IN ('deskguard'::regnamespace, 'deskguard_internal'::regnamespace)
            AND t.tgfoid IN ('pg_catalog."RI_FKey_check_ins"'::regproc, 'pg_catalog."RI_FKey_check_upd"'::regproc)
    LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', key.referring, key.name);
    END LOOP;
    FOR key IN
        SELECT DISTINCT k.conrelid::regclass AS referring, k.condeferrable AS is_deferrable
        FROM pg_catalog.pg_constraint AS k
        WHERE k.contype = 'f' AND k.connamespace IN ('deskguard'::regnamespace, 'deskguard_internal'::regnamespace)
    LOOP
        -- Those keys that are checked at the end are so by a trigger that is.
        EXECUTE format(
            CASE WHEN key.is_deferrable
                THEN 'CREATE CONSTRAINT TRIGGER check_references_at_the_end AFTER INSERT OR UPDATE ON %s
                          DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION deskguard_internal.check_references()'
                ELSE 'CREATE TRIGGER check_references AFTER INSERT OR UPDATE ON %s
                          FOR EACH ROW EXECUTE FUNCTION deskguard_internal.check_references()'
            END, key.referring);
    END LOOP;
END $$;

-- What a command may not write is refused with the reason.

CREATE OR REPLACE FUNCTION deskguard_internal.written_silo_ok(ticket_table pg_catalog.regclass, category bigint) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'written_silo_ok_wrapper';
COMMENT ON FUNCTION deskguard_internal.written_silo_ok(pg_catalog.regclass, bigint) IS
    'For plans: deskguard_internal.silo_ok() asked of a row that a command writes (42501 if not)';

-- Requesters of tickets.

ALTER TABLE deskguard_internal.ticket_table ADD COLUMN requester_column name, ADD COLUMN requester_team_column name;
COMMENT ON COLUMN deskguard_internal.ticket_table.requester_column IS
    'The column with the agent that requested a ticket; NULL: tickets have none';
COMMENT ON COLUMN deskguard_internal.ticket_table.requester_team_column IS
    'The column with the team, an organization say, that requested a ticket; NULL: tickets have none';

-- Followers of several kinds, and of what else than tickets.

ALTER TABLE deskguard_internal.ticket_table
    ADD COLUMN follower_kind_column name, ADD COLUMN follower_kinds jsonb, ADD COLUMN follower_type_column name,
    ADD COLUMN follower_type_values text[], ADD COLUMN other_follower_types text;
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

-- Internal messages.

ALTER TABLE deskguard_internal.message_table ADD COLUMN internal_column name;
COMMENT ON COLUMN deskguard_internal.message_table.internal_column IS
    'Boolean; where it is not false, a row is seen by holders of ticket.view.internal and its author, and written by the former; NULL: there are no such rows';

-- Messages of what else than tickets.

ALTER TABLE deskguard_internal.message_table ADD COLUMN type_column name, ADD COLUMN type_values text[], ADD COLUMN other_types text;
COMMENT ON COLUMN deskguard_internal.message_table.type_column IS
    'The column with the type of what a row belongs to; NULL: all belong to rows of parent_table';
COMMENT ON COLUMN deskguard_internal.message_table.type_values IS
    'The values of type_column that mean rows of parent_table, as text';
COMMENT ON COLUMN deskguard_internal.message_table.other_types IS
    'What is done with rows of other types: hidden, or open, which leaves them to policies of the owner''s own';

CREATE OR REPLACE VIEW deskguard.protected_table AS
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
COMMENT ON COLUMN deskguard.protected_table.requester_column IS
    'The column with the agent that requested a ticket; NULL: tickets have none';
COMMENT ON COLUMN deskguard.protected_table.requester_team_column IS
    'The column with the team, an organization say, that requested a ticket; NULL: tickets have none';
COMMENT ON COLUMN deskguard.protected_table.follower_kind_column IS
    'The column of follower_table with the kind of a row; NULL: each row means that its agent follows the ticket';
COMMENT ON COLUMN deskguard.protected_table.follower_kinds IS
    'What the kinds mean: followed or requested, an object of JSON; rows of other kinds give no rights';
COMMENT ON COLUMN deskguard.protected_table.follower_type_column IS
    'The column of follower_table with the type of what a row belongs to; NULL: all belong to tickets';
COMMENT ON COLUMN deskguard.protected_table.follower_type_values IS
    'The values of follower_type_column that mean tickets, as text';
COMMENT ON COLUMN deskguard.protected_table.other_follower_types IS
    'What is done with followers of other types: hidden, or open, which leaves them to policies of the owner''s own';
COMMENT ON COLUMN deskguard.protected_table.type_column IS
    'The column with the type of what a row belongs to; NULL: all belong to rows of parent_table';
COMMENT ON COLUMN deskguard.protected_table.type_values IS
    'The values of type_column that mean rows of parent_table, as text';
COMMENT ON COLUMN deskguard.protected_table.other_types IS
    'What is done with rows of other types: hidden, or open, which leaves them to policies of the owner''s own';
COMMENT ON COLUMN deskguard.protected_table.internal_column IS
    'Boolean; where it is not false, a row is seen by holders of ticket.view.internal and its author, and written by the former; NULL: there are no such rows';

-- Scoped groups.

ALTER TABLE deskguard.permission_group
    ADD COLUMN scope text NOT NULL DEFAULT 'everywhere'
        CONSTRAINT group_scope_is_everywhere_or_granted CHECK (scope IN ('everywhere', 'granted')),
    ADD COLUMN external_key text UNIQUE;
COMMENT ON COLUMN deskguard.permission_group.scope IS
    'everywhere: its permissions hold for all tickets; granted: only for tickets of its departments and categories';
COMMENT ON COLUMN deskguard.permission_group.external_key IS
    'The key that the help desk itself uses for the group; NULL: none';

-- Also where there are some of the user's own with these names.
ALTER TABLE deskguard.permission DISABLE TRIGGER guard_builtin;
INSERT INTO deskguard.permission (name, description, destructive, builtin)
VALUES
    ('ticket.view.internal', 'See and write internal messages', false, true),
    ('ticket.view.own', 'View tickets assigned to oneself or one''s teams: in scoped groups; everywhere they are seen without it', false, true),
    ('ticket.view.followed', 'View tickets that one follows: in scoped groups; everywhere they are seen without it', false, true),
    ('ticket.view.requested', 'View tickets that oneself or one''s teams have requested', false, true),
    ('ticket.reply.requested', 'Reply to tickets that oneself or one''s teams have requested', false, true),
    ('ticket.modify.requested', 'Modify tickets that oneself or one''s teams have requested', false, true),
    ('ticket.edit_messages.requested', 'Edit and delete messages of tickets that oneself or one''s teams have requested', true, true),
    ('ticket.delete.requested', 'Delete, or mark as spam, tickets that oneself or one''s teams have requested', true, true)
ON CONFLICT (name) DO UPDATE
SET description = EXCLUDED.description, destructive = EXCLUDED.destructive, builtin = EXCLUDED.builtin;
ALTER TABLE deskguard.permission ENABLE TRIGGER guard_builtin;

-- The permissions of an agent say where they count.

-- To change privileges here would make these a part of the extension, which pg_dump leaves out.
DO $$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN
        SELECT pg_catalog.quote_ident(r.rolname)
        FROM pg_catalog.pg_proc AS p
        CROSS JOIN pg_catalog.aclexplode(p.proacl) AS a
        JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee
        WHERE p.oid = 'deskguard.effective_permissions(bigint)'::pg_catalog.regprocedure AND a.grantee <> p.proowner
        ORDER BY 1
    LOOP
        RAISE WARNING 'deskguard.effective_permissions() is a new function, which % was granted before', grantee
            USING HINT = format('GRANT EXECUTE ON FUNCTION deskguard.effective_permissions TO %s;', grantee);
    END LOOP;
    IF NOT EXISTS (
        SELECT FROM pg_catalog.pg_proc AS p
        CROSS JOIN pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) AS a
        WHERE p.oid = 'deskguard.effective_permissions(bigint)'::pg_catalog.regprocedure AND a.grantee = 0)
    THEN
        RAISE WARNING 'deskguard.effective_permissions() is a new function, which everybody may call'
            USING HINT = 'REVOKE EXECUTE ON FUNCTION deskguard.effective_permissions FROM PUBLIC;';
    END IF;
END $$;
DROP FUNCTION deskguard.effective_permissions(bigint);
CREATE FUNCTION deskguard.effective_permissions(agent_id bigint)
RETURNS TABLE (permission text, granted_by text, locked boolean, scope text)
LANGUAGE c STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'effective_permissions_wrapper';
COMMENT ON FUNCTION deskguard.effective_permissions(bigint) IS
    'The permissions of an agent, a row for each grant; granted_by is a group''s name (locked), or ''agent'' for an override; scope ''granted'': for the tickets that this group covers';

-- To grant it here would make that a part of the extension, which pg_dump leaves out.
DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT p.proname AS function, coalesce(pg_catalog.quote_ident(r.rolname), 'PUBLIC') AS grantee
        FROM pg_catalog.pg_proc AS p
        CROSS JOIN pg_catalog.aclexplode(p.proacl) AS a
        LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee
        WHERE p.pronamespace = 'deskguard'::regnamespace AND p.proname IN ('protect_messages', 'protect_tickets')
            AND a.grantee <> p.proowner
        ORDER BY 1, 2
    LOOP
        RAISE WARNING 'deskguard.%() is a new function, which % may not call yet', granted.function, granted.grantee
            USING HINT = format('GRANT EXECUTE ON FUNCTION deskguard.%I TO %s;', granted.function, granted.grantee);
    END LOOP;
END $$;
DROP FUNCTION deskguard.protect_messages(pg_catalog.regclass, pg_catalog.regclass, name, name, boolean);
CREATE FUNCTION deskguard.protect_messages(
    message_table pg_catalog.regclass,
    ticket_table pg_catalog.regclass,
    ticket_column name DEFAULT 'ticket_id',
    author_column name DEFAULT NULL,
    drop_rules boolean DEFAULT false,
    internal_column name DEFAULT NULL,
    type_column name DEFAULT NULL,
    type_values text[] DEFAULT NULL,
    other_types text DEFAULT 'hidden'
) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'protect_message_table_wrapper';
COMMENT ON FUNCTION deskguard.protect_messages(pg_catalog.regclass, pg_catalog.regclass, name, name, boolean, name, name, text[], text) IS
    'Protects a table whose rows belong to tickets (messages, time entries), or to rows of such a table (attachments); run it again to map other columns, with drop_rules if rules are to end by that. The caller must own the tables';
REVOKE ALL ON FUNCTION deskguard.protect_messages FROM PUBLIC;

DO $do$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT * FROM (VALUES ('bigint', ''), ('uuid', '_uuid'), ('text', '_text')) AS k (type, suffix)
    LOOP
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.internal_seen(message_table pg_catalog.regclass, parent %1$s, internal boolean, author bigint) RETURNS boolean
            LANGUAGE c STABLE PARALLEL SAFE COST 2 SUPPORT deskguard_internal.child_support AS 'MODULE_PATHNAME', 'internal_seen%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.internal_seen(pg_catalog.regclass, %1$s, boolean, bigint) IS
                'For policies: is a message public, or the current agent its author or one that sees internal ones of the ticket?';

            CREATE FUNCTION deskguard_internal.internal_change_ok(message_table pg_catalog.regclass, parent %1$s, internal boolean, author bigint) RETURNS boolean
            LANGUAGE c STABLE PARALLEL SAFE COST 2 SUPPORT deskguard_internal.child_support AS 'MODULE_PATHNAME', 'internal_change_ok%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.internal_change_ok(pg_catalog.regclass, %1$s, boolean, bigint) IS
                'For policies: is a message public, or may the current agent change internal ones of the ticket?';

            CREATE FUNCTION deskguard_internal.written_internal_ok(message_table pg_catalog.regclass, parent %1$s, internal boolean) RETURNS boolean
            LANGUAGE c STABLE SUPPORT deskguard_internal.child_support AS 'MODULE_PATHNAME', 'written_internal_ok%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.written_internal_ok(pg_catalog.regclass, %1$s, boolean) IS
                'For policies: is a written message public, or may the current agent write internal ones of the ticket (42501 if not)?';
        $$, key.type, key.suffix);
    END LOOP;
END $do$;

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
            CREATE FUNCTION deskguard_internal.parent_internal(child_table pg_catalog.regclass, parent %1$s) RETURNS boolean
            LANGUAGE c STABLE PARALLEL SAFE COST 5 SUPPORT deskguard_internal.child_support
            AS 'MODULE_PATHNAME', 'parent_internal_%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.parent_internal(pg_catalog.regclass, %1$s) IS
                'For policies: may the current agent see internal messages of the ticket that a row belongs to? parent is the ticket, or the message that hangs on one'
        $$, width.type, width.suffix);
    END LOOP;
END $do$;

-- What policies ask of tickets is given all columns that rules may ask for.

DROP FUNCTION deskguard.protect_tickets(
    pg_catalog.regclass, name, name, name, name, name, pg_catalog.regclass, name, name, bigint, name, text[], text[], name, boolean);
CREATE FUNCTION deskguard.protect_tickets(
    ticket_table pg_catalog.regclass,
    id_column name DEFAULT 'id',
    department_column name DEFAULT NULL,
    category_column name DEFAULT NULL,
    assignee_column name DEFAULT NULL,
    team_column name DEFAULT NULL,
    follower_table pg_catalog.regclass DEFAULT NULL,
    follower_ticket_column name DEFAULT 'ticket_id',
    follower_agent_column name DEFAULT 'agent_id',
    unassigned_value bigint DEFAULT NULL,
    status_column name DEFAULT NULL,
    archived_values text[] DEFAULT NULL,
    spam_values text[] DEFAULT NULL,
    confidential_column name DEFAULT NULL,
    drop_rules boolean DEFAULT false,
    requester_column name DEFAULT NULL,
    requester_team_column name DEFAULT NULL,
    follower_kind_column name DEFAULT NULL,
    follower_kinds jsonb DEFAULT NULL,
    follower_type_column name DEFAULT NULL,
    follower_type_values text[] DEFAULT NULL,
    other_follower_types text DEFAULT 'hidden'
) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'protect_ticket_table_wrapper';
COMMENT ON FUNCTION deskguard.protect_tickets IS
    'Protects a ticket table, its partitions and its follower table with row-level security; run it again to map other columns, with drop_rules if rules are to end by that. The caller must own the tables';
REVOKE ALL ON FUNCTION deskguard.protect_tickets FROM PUBLIC;

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
                ('edit_messages_ok', 'edit the messages of'), ('delete_ok', 'delete'),
                ('view_internal_ok', 'see internal messages of'), ('mass_reply_ok', 'reply with others to')
            ) AS r (name, action)
        LOOP
            EXECUTE format($$
                CREATE FUNCTION deskguard_internal.%1$s(ticket_table pg_catalog.regclass, id %2$s, department bigint, category bigint, assignee bigint, team bigint, requester bigint, requester_team bigint, confidential boolean) RETURNS boolean
                LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.rule_support AS 'MODULE_PATHNAME', 'ticket_%1$s%3$s_wrapper';
                COMMENT ON FUNCTION deskguard_internal.%1$s(pg_catalog.regclass, %2$s, bigint, bigint, bigint, bigint, bigint, bigint, boolean) IS
                    'For policies: may the current agent %4$s such a ticket, apart from the silo rule?'
            $$, rule.name, key.type, key.suffix, rule.action);
        END LOOP;
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.update_ok(ticket_table pg_catalog.regclass, id %1$s, department bigint, category bigint, status text) RETURNS boolean
            LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'ticket_update_ok%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.update_ok(pg_catalog.regclass, %1$s, bigint, bigint, text) IS
                'For policies: may the current agent move the updated ticket to this place, and give it the status (42501 if not)?'
        $$, key.type, key.suffix);
    END LOOP;
END $do$;

CREATE FUNCTION deskguard_internal.create_ok(ticket_table pg_catalog.regclass, department bigint, category bigint, assignee bigint, team bigint, requester bigint, requester_team bigint, confidential boolean, status text) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'ticket_create_ok_wrapper';
COMMENT ON FUNCTION deskguard_internal.create_ok(pg_catalog.regclass, bigint, bigint, bigint, bigint, bigint, bigint, boolean, text) IS
    'For policies: may the current agent create such a ticket, apart from the silo rule (42501 if not)?';

DO $do$
DECLARE
    key record;
    width record;
BEGIN
    FOR key IN
        SELECT * FROM (VALUES ('bigint', ''), ('uuid', '_uuid'), ('text', '_text')) AS k (type, suffix)
    LOOP
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.follower_of_kind_ok(follower_table pg_catalog.regclass, ticket %1$s, agent bigint, kind text) RETURNS boolean
            LANGUAGE c STABLE PARALLEL SAFE COST 5 SUPPORT deskguard_internal.child_support AS 'MODULE_PATHNAME', 'follower_of_kind_ok%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.follower_of_kind_ok(pg_catalog.regclass, %1$s, bigint, text) IS
                'For policies: may the current agent add such a row of this kind, or remove it?';

            CREATE FUNCTION deskguard_internal.requested_tickets%2$s(ticket_table pg_catalog.regclass) RETURNS %1$s[]
            LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'requested_tickets%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.requested_tickets%2$s(pg_catalog.regclass) IS
                'For plans: the tickets that the current agent requested, as the follower table says';
        $$, key.type, key.suffix);
    END LOOP;
    FOR width IN
        SELECT * FROM (VALUES
            ('smallint', 'int2'), ('integer', 'int4'), ('bigint', 'int8'), ('uuid', 'uuid'), ('text', 'text')
        ) AS w (type, suffix)
    LOOP
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.requested(ticket_table pg_catalog.regclass, id %1$s) RETURNS boolean
            LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 5 SUPPORT deskguard_internal.atom_support
            AS 'MODULE_PATHNAME', 'requested_%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.requested(pg_catalog.regclass, %1$s) IS
                'For plans: did the current agent request the ticket, as the follower table says?'
        $$, width.type, width.suffix);
    END LOOP;
END $do$;

-- Only then nothing needs the former functions.
CREATE FUNCTION deskguard_internal.renew_ticket_policies() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'renew_ticket_policies_wrapper';
SELECT deskguard_internal.renew_ticket_policies();
DROP FUNCTION deskguard_internal.renew_ticket_policies();

DO $$
DECLARE
    former record;
BEGIN
    FOR former IN
        SELECT p.oid::regprocedure AS function
        FROM pg_catalog.pg_proc AS p
        WHERE p.pronamespace = 'deskguard_internal'::regnamespace
            AND (p.proname, p.pronargs) IN (
                ('view_ok', 6), ('reply_ok', 6), ('modify_ok', 6), ('edit_messages_ok', 6), ('delete_ok', 6),
                ('create_ok', 6), ('update_ok', 4))
    LOOP
        EXECUTE format('DROP FUNCTION %s', former.function);
    END LOOP;
END $$;

-- Mirrors: rows of deskguard's tables that are kept equal to a view of the help desk. See src/mirrors/ and src/protect/mirror.rs.

CREATE TABLE deskguard_internal.mirror (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    target text NOT NULL,
    source regclass NOT NULL,
    rows bigint NOT NULL DEFAULT 0,
    last_refresh timestamptz,
    duration interval,
    UNIQUE (target, source)
);
COMMENT ON TABLE deskguard_internal.mirror IS 'The mirrors; written by deskguard.mirror() and unmirror(), and by each refresh';
COMMENT ON COLUMN deskguard_internal.mirror.id IS 'The number of the mirror';
COMMENT ON COLUMN deskguard_internal.mirror.target IS 'The table of deskguard that has its rows';
COMMENT ON COLUMN deskguard_internal.mirror.source IS 'The view or table that gives them';
COMMENT ON COLUMN deskguard_internal.mirror.rows IS 'How many rows it gave at the last refresh';
COMMENT ON COLUMN deskguard_internal.mirror.last_refresh IS 'When it was last compared with its source';
COMMENT ON COLUMN deskguard_internal.mirror.duration IS 'How long that took';
COMMENT ON SEQUENCE deskguard_internal.mirror_id_seq IS 'The numbers of mirrors';

CREATE VIEW deskguard.mirror AS
SELECT id AS mirror, target, source, rows, last_refresh, duration FROM deskguard_internal.mirror;
COMMENT ON VIEW deskguard.mirror IS 'The mirrors: what keeps rows of deskguard''s tables equal to views of the help desk';
COMMENT ON COLUMN deskguard.mirror.mirror IS 'The number of the mirror';
COMMENT ON COLUMN deskguard.mirror.target IS 'The table of deskguard that has its rows';
COMMENT ON COLUMN deskguard.mirror.source IS 'The view or table that gives them';
COMMENT ON COLUMN deskguard.mirror.rows IS 'How many rows it gave at the last refresh';
COMMENT ON COLUMN deskguard.mirror.last_refresh IS 'When it was last compared with its source';
COMMENT ON COLUMN deskguard.mirror.duration IS 'How long that took';

-- By the target's primary key: id; team_id and agent_id; group_id and permission; and so on. No foreign keys: only
-- deskguard writes it, and what was deleted by a cascade is found missing by the next refresh.
CREATE TABLE deskguard_internal.mirrored_row (
    mirror bigint,
    id bigint,
    other_id bigint DEFAULT 0,
    permission text DEFAULT '',
    was_there boolean NOT NULL,
    PRIMARY KEY (mirror, id, other_id, permission)
);
COMMENT ON TABLE deskguard_internal.mirrored_row IS 'Which rows of its target a mirror gives';
COMMENT ON COLUMN deskguard_internal.mirrored_row.mirror IS 'The mirror';
COMMENT ON COLUMN deskguard_internal.mirrored_row.id IS 'The first column of the row''s primary key';
COMMENT ON COLUMN deskguard_internal.mirrored_row.other_id IS 'The second one, if it is an id; else 0';
COMMENT ON COLUMN deskguard_internal.mirrored_row.permission IS 'The second one, if it is a permission; else empty';
COMMENT ON COLUMN deskguard_internal.mirrored_row.was_there IS
    'Was the row made by hand before? Then it stays when no mirror gives it any more';

-- Agents, teams, departments and categories of a source that has external keys and no ids get theirs here: far from those
-- that a help desk has, and close together, as sets of ids are small then.
CREATE SEQUENCE deskguard_internal.mirrored_id_seq START WITH 4611686018427387904;
COMMENT ON SEQUENCE deskguard_internal.mirrored_id_seq IS 'Ids of what a mirror knows by an external key only';

CREATE FUNCTION deskguard.mirror(target text, source regclass) RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'mirror_wrapper';
COMMENT ON FUNCTION deskguard.mirror(text, regclass) IS
    'Keeps rows of a deskguard table equal to a view or table whose columns are named like its own; gives the number of the mirror. The caller must own the source and all tables below it, and may write the target';

CREATE FUNCTION deskguard.unmirror(mirror bigint, keep_rows boolean DEFAULT false) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'unmirror_wrapper';
COMMENT ON FUNCTION deskguard.unmirror(bigint, boolean) IS
    'Ends a mirror: its rows go, but for those that another mirror gives or that were made by hand; with keep_rows they stay as if made by hand';

CREATE FUNCTION deskguard_internal.mirror_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'mirror_changed';
COMMENT ON FUNCTION deskguard_internal.mirror_changed() IS
    'Trigger on the tables below the source of a mirror: notes that the mirror is to be refreshed';

CREATE FUNCTION deskguard_internal.guard_mirrored() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'guard_mirrored';
COMMENT ON FUNCTION deskguard_internal.guard_mirrored() IS
    'Trigger: refuses to change by hand what a mirror gives, and the list of mirrors (55000)';
REVOKE ALL ON FUNCTION deskguard_internal.guard_mirrored() FROM PUBLIC;

DO $$
DECLARE
    mirrored regclass;
BEGIN
    FOREACH mirrored IN ARRAY ARRAY[
        'deskguard.agent', 'deskguard.team', 'deskguard.team_member', 'deskguard.department', 'deskguard.category',
        'deskguard.permission_group', 'deskguard.group_member', 'deskguard.group_permission', 'deskguard.group_department',
        'deskguard.group_category', 'deskguard.agent_permission', 'deskguard.agent_department', 'deskguard.agent_category',
        'deskguard_internal.mirror', 'deskguard_internal.mirrored_row'
    ] LOOP
        EXECUTE format('
            CREATE TRIGGER guard_mirrored BEFORE UPDATE OR DELETE ON %1$s
                FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_mirrored();
            CREATE TRIGGER guard_mirrored_truncate BEFORE TRUNCATE ON %1$s
                FOR EACH STATEMENT EXECUTE FUNCTION deskguard_internal.guard_mirrored();
        ', mirrored);
    END LOOP;
END $$;

DROP EVENT TRIGGER deskguard_after_ddl;
CREATE EVENT TRIGGER deskguard_after_ddl ON ddl_command_end
    WHEN TAG IN (
        'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE FOREIGN TABLE', 'IMPORT FOREIGN SCHEMA', 'CREATE SCHEMA',
        'ALTER TABLE', 'ALTER FOREIGN TABLE', 'ALTER INDEX', 'ALTER SEQUENCE', 'CREATE VIEW', 'ALTER VIEW', 'ALTER MATERIALIZED VIEW',
        'ALTER TYPE', 'ALTER SCHEMA', 'ALTER EXTENSION', 'ALTER POLICY'
    )
    EXECUTE FUNCTION deskguard_internal.after_ddl();
ALTER EVENT TRIGGER deskguard_after_ddl ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER deskguard_after_ddl IS 'Keeps the protection whole when tables change';

SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.mirror', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.mirror_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.mirrored_row', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.mirrored_id_seq', '');

-- A function that proposes what to protect.
CREATE FUNCTION deskguard.suggest_protection(schema_name name DEFAULT NULL) RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- What columns of tickets mean, by their names without "id" at the end. The first that fits counts.
    meanings constant jsonb := '{
        "department": "^(department|dept|queue|project|inbox|mailbox|group|area)$",
        "category": "^(category|topic|tracker|issuetype|tickettype)$",
        "assignee": "^(assignee|assignedto|assignedagent|assigned|owner|handledby|agent|staff|responsible)$",
        "team": "^(team|assignedteam|agentteam|agentgroup)$",
        "requester": "^(requester|requestedby|customer|client|contact|author|reporter|submitter|createdby|openedby|user|person)$",
        "requester_team": "^(organization|organisation|company)$"}';
    people constant text := '(user|agent|staff|person|people|member|watcher|follower|participant|profile|employee|customer|contact)';
    key_types constant oid[] := '{int2,int4,int8,uuid,text,varchar}'::regtype[];
    tickets record;
    child record;
    attachment record;
    arguments text[];
    meant text[];
    confidential name;
    is_proposed boolean := false;
    targets text[];
    target text;
BEGIN
    FOR tickets IN
        SELECT c.oid, c.relname, n.nspname, k.name AS id
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN LATERAL (
            SELECT a.attname AS name
            FROM pg_index AS i
            JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
            WHERE i.indrelid = c.oid AND i.indisprimary
            ORDER BY (a.attname ~* '(id|no|number|key)$') DESC, a.attnum
            LIMIT 1
        ) AS k ON true
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
            AND CASE WHEN schema_name IS NULL THEN n.nspname !~ '^pg_' AND n.nspname NOT IN (
                'information_schema', 'deskguard', 'deskguard_internal') ELSE n.nspname = schema_name END
            AND c.relname ~* '(ticket|issue|conversation|incident|(^|[^a-z])(request|case))s?$'
        ORDER BY n.nspname, c.relname
    LOOP
        -- Which column is what, and the table that it refers to: by its foreign key, or by the name.
        arguments := '{}';
        meant := '{}';
        targets := '{}';
        FOR child IN
            SELECT m.key AS meaning, a.attname,
                coalesce((
                    SELECT f.confrelid FROM pg_constraint AS f
                    WHERE f.conrelid = tickets.oid AND f.contype = 'f' AND f.conkey = ARRAY[a.attnum]
                    ORDER BY f.oid LIMIT 1
                ), (
                    SELECT t.oid FROM pg_class AS t, pg_class AS self
                    WHERE self.oid = tickets.oid AND t.relnamespace = self.relnamespace AND t.relkind IN ('r', 'p')
                        AND (lower(t.relname) IN (a.stem, a.stem || 's', a.stem || 'es', regexp_replace(a.stem, 'y$', 'ies'))
                            OR m.key IN ('assignee', 'requester') AND t.relname ~* '^(users|agents|staff|people|profiles|employees)$')
                    ORDER BY starts_with(lower(t.relname), a.stem) DESC, t.relname LIMIT 1
                )) AS refers_to
            FROM jsonb_each_text(meanings) AS m
            JOIN LATERAL (
                SELECT a.attname, a.attnum, s.stem
                FROM pg_attribute AS a
                CROSS JOIN LATERAL (SELECT regexp_replace(lower(a.attname), '_?(id|no|uuid|key|number)$', '') AS stem) AS s
                WHERE a.attrelid = tickets.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> tickets.id
                    AND a.atttypid = ANY (key_types)
                    AND regexp_replace(s.stem, '[^a-z0-9]', '', 'g') ~ m.value
                ORDER BY a.attname ~* '(id|no|uuid|key|number)$' DESC, a.attnum
                LIMIT 1
            ) AS a ON true
            ORDER BY array_position(
                ARRAY['department', 'category', 'assignee', 'team', 'requester', 'requester_team'], m.key)
        LOOP
            arguments := arguments || format('%s_column => %L', child.meaning, child.attname);
            meant := meant || child.meaning;
            target := CASE child.meaning WHEN 'assignee' THEN 'agent' WHEN 'requester' THEN 'agent'
                WHEN 'requester_team' THEN 'team' ELSE child.meaning END;
            IF child.refers_to IS NOT NULL THEN
                targets := targets || (target || ' ' || child.refers_to::text);
            END IF;
        END LOOP;
        CONTINUE WHEN NOT (meant && ARRAY['department', 'assignee', 'team', 'requester']);
        is_proposed := true;
        SELECT a.attname INTO confidential
        FROM pg_attribute AS a
        WHERE a.attrelid = tickets.oid AND a.atttypid = 'bool'::regtype AND NOT a.attisdropped
            AND a.attname ~* '^(is_?)?(private|confidential|restricted)$'
        ORDER BY a.attnum LIMIT 1;
        IF confidential IS NOT NULL THEN
            arguments := arguments || format('confidential_column => %L', confidential);
        END IF;
        RETURN NEXT format('-- Tickets: %s. Read what each column means, change what is wrong, and run it.',
            translate(quote_ident(tickets.nspname) || '.' || quote_ident(tickets.relname), E'\n\r', '  '));
        RETURN QUERY SELECT format('-- Agents, teams, departments and categories, kept equal to your tables:')
        WHERE targets <> '{}';
        RETURN QUERY
        SELECT DISTINCT ON (split_part(t, ' ', 1), split_part(t, ' ', 2)) CASE
            WHEN id.integers THEN format('SELECT deskguard.mirror(%L, %L);', split_part(t, ' ', 1),
                format('%I.%I', n.nspname, c.relname))
            ELSE format('-- %s has keys that are no integers: mirror a view of it that gives external_key.',
                translate(format('%I.%I', n.nspname, c.relname), E'\n\r', '  '))
            END
        FROM unnest(targets) AS t
        JOIN pg_class AS c ON c.oid = split_part(t, ' ', 2)::oid
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL (
            SELECT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'id'
                AND a.atttypid = ANY (key_types[1:3])) AS integers
        ) AS id
        ORDER BY split_part(t, ' ', 1), split_part(t, ' ', 2);

        RETURN NEXT '-- Who is a member of which team, and may do what where: mirror views of your tables (docs/adopting.md has examples).';

        -- Tables that refer to the tickets: by a foreign key, by the name, or with a column that names the kind.
        FOR child IN
            SELECT c.oid, c.relname, n.nspname, t.attname AS ticket_column, k.attname AS type_column, p.attname AS person, i.attname AS internal,
                c.relname ~* '(watch|follow|subscri|participant)' AND p.attname IS NOT NULL AS follows
            FROM pg_class AS c
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            JOIN LATERAL (
                SELECT a.attname
                FROM pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                    AND (EXISTS (SELECT FROM pg_constraint AS f WHERE f.conrelid = c.oid AND f.contype = 'f'
                            AND f.confrelid = tickets.oid AND f.conkey = ARRAY[a.attnum])
                        OR n.nspname = tickets.nspname AND lower(a.attname) ~ ('^' || substring(lower(tickets.relname) FROM '(ticket|issue|conversation|incident|request|case)s?$')
                            || '_?(id|no|uuid|key|number)$')
                        OR n.nspname = tickets.nspname AND a.attname ~ '^(watchable|followable|journalized|notable|commentable|messageable|object)_?id$'
                            AND c.relname ~* '(watch|follow|message|article|journal|comment|note|post|repl|transaction|event)')
                ORDER BY a.attnum LIMIT 1
            ) AS t ON true
            LEFT JOIN LATERAL (
                SELECT a.attname FROM pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attname = regexp_replace(t.attname, 'id$', 'type') AND a.attname <> t.attname
            ) AS k ON true
            LEFT JOIN LATERAL (
                SELECT a.attname FROM pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> t.attname
                    AND a.atttypid = ANY (key_types)
                    AND lower(a.attname) ~ ('^(' || people || '|author|created_by|sender|written_by)s?_?(id|no|uuid|key|number|by)?(_id)?$')
                    AND NOT EXISTS (SELECT FROM pg_attribute AS b WHERE b.attrelid = c.oid
                        AND b.attname = regexp_replace(a.attname, 'id$', 'type') AND b.attname <> a.attname)
                ORDER BY a.attnum LIMIT 1
            ) AS p ON true
            LEFT JOIN LATERAL (
                SELECT a.attname FROM pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.atttypid = 'bool'::regtype AND NOT a.attisdropped
                    AND a.attname ~* '^(is_?)?((agent|staff|private|internal)_?)?(internal|private|hidden|notes?)$'
                ORDER BY a.attnum LIMIT 1
            ) AS i ON true
            WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.oid <> tickets.oid
            ORDER BY follows DESC, n.nspname, c.relname
        LOOP
            IF child.follows AND 'follower' <> ALL (meant) THEN
                meant := meant || 'follower'::text;
                arguments := arguments || ARRAY[
                    format('follower_table => %L', format('%I.%I', child.nspname, child.relname)),
                    format('follower_ticket_column => %L', child.ticket_column), format('follower_agent_column => %L', child.person)];
                IF child.type_column IS NOT NULL THEN
                    arguments := arguments || ARRAY[format('follower_type_column => %L', child.type_column),
                        'follower_type_values => ''{}'' /* the type of tickets */'];
                END IF;
                CONTINUE;
            END IF;
            IF 'tickets' <> ALL (meant) THEN
                meant := meant || 'tickets'::text;
                RETURN NEXT format('SELECT deskguard.protect_tickets(%L, id_column => %L, %s);',
                    format('%I.%I', tickets.nspname, tickets.relname), tickets.id, array_to_string(arguments, ', '));
            END IF;
            IF child.internal IS NULL THEN
                RETURN NEXT '-- Without internal_column all rows of the next table are read by whoever sees the ticket.';
            END IF;
            RETURN NEXT format('SELECT deskguard.protect_messages(%L, %L, %L%s%s%s);',
                format('%I.%I', child.nspname, child.relname), format('%I.%I', tickets.nspname, tickets.relname), child.ticket_column,
                ', author_column => ' || quote_literal(child.person), ', internal_column => ' || quote_literal(child.internal),
                ', type_column => ' || quote_literal(child.type_column) || ', type_values => ''{}'' /* the type of tickets */');
            FOR attachment IN
                SELECT c.relname, n.nspname, a.attname
                FROM pg_constraint AS f
                JOIN pg_class AS c ON c.oid = f.conrelid AND NOT c.relispartition
                JOIN pg_namespace AS n ON n.oid = c.relnamespace
                JOIN pg_attribute AS a ON a.attrelid = c.oid AND f.conkey = ARRAY[a.attnum]
                WHERE f.contype = 'f' AND f.confrelid = child.oid AND f.conrelid NOT IN (child.oid, tickets.oid)
                ORDER BY n.nspname, c.relname
            LOOP
                RETURN NEXT format('SELECT deskguard.protect_messages(%L, %L, %L);',
                    format('%I.%I', attachment.nspname, attachment.relname), format('%I.%I', child.nspname, child.relname), attachment.attname);
            END LOOP;
        END LOOP;
        IF 'tickets' <> ALL (meant) THEN
            RETURN NEXT format('SELECT deskguard.protect_tickets(%L, id_column => %L, %s);',
                format('%I.%I', tickets.nspname, tickets.relname), tickets.id, array_to_string(arguments, ', '));
        END IF;
    END LOOP;
    IF NOT is_proposed THEN
        RETURN NEXT '-- No table looks like tickets. deskguard.create_help_desk() makes one; deskguard.protect_tickets() protects yours.';
    END IF;
END $$;
COMMENT ON FUNCTION deskguard.suggest_protection(name) IS
    'Guesses from the catalog which tables of a schema, or of all, could be protected and mirrored: statements with comments, for a person to read, change and run';
