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

CREATE FUNCTION deskguard.explain_command(
    agent_id bigint, command text, protected_table regclass, old_row jsonb DEFAULT NULL, new_row jsonb DEFAULT NULL
) RETURNS jsonb
LANGUAGE c STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'explain_command_wrapper';
COMMENT ON FUNCTION deskguard.explain_command(bigint, text, regclass, jsonb, jsonb) IS
    'Why the agent may or may not SELECT, INSERT, UPDATE or DELETE such a row: with the rules looked at and who granted what';

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

CREATE FUNCTION deskguard.effective_permissions(agent_id bigint)
RETURNS TABLE (permission text, granted_by text, locked boolean, scope text)
LANGUAGE c STABLE PARALLEL SAFE COST 100 AS 'MODULE_PATHNAME', 'effective_permissions_wrapper';
COMMENT ON FUNCTION deskguard.effective_permissions(bigint) IS
    'The permissions of an agent, a row for each grant; granted_by is a group''s name (locked), or ''agent'' for an override; scope ''granted'': for the tickets that this group covers';

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

CREATE FUNCTION deskguard.cache_stats(
    OUT agents bigint, OUT bytes bigint, OUT hits bigint, OUT loads bigint, OUT evictions bigint, OUT invalidations bigint
) RETURNS SETOF record
LANGUAGE c AS 'MODULE_PATHNAME', 'cache_stats_wrapper';
COMMENT ON FUNCTION deskguard.cache_stats() IS
    'What this backend remembers of agents'' rights, and how often it was used, loaded, dropped for space, and dropped for a change of rights';
