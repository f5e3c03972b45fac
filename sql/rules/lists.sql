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

-- Makes has_category, has_department, in_team, followed, requested.
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
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.requested(ticket_table regclass, id %1$s) RETURNS boolean
            LANGUAGE c STABLE LEAKPROOF PARALLEL SAFE COST 5 SUPPORT deskguard_internal.atom_support
            AS 'MODULE_PATHNAME', 'requested_%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.requested(regclass, %1$s) IS
                'For plans: did the current agent request the ticket, as the follower table says?'
        $$, width.type, width.suffix);
    END LOOP;
END $do$;

-- Makes categories, categories_uuid, categories_text, departments, departments_uuid, departments_text,
-- teams, teams_uuid, teams_text, followed_tickets, followed_tickets_uuid, followed_tickets_text, requested_tickets,
-- requested_tickets_uuid, requested_tickets_text.
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

            CREATE FUNCTION deskguard_internal.requested_tickets%2$s(ticket_table regclass) RETURNS %1$s[]
            LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'requested_tickets%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.requested_tickets%2$s(regclass) IS
                'For plans: the tickets that the current agent requested, as the follower table says';
        $$, key.type, key.suffix);
    END LOOP;
END $do$;
