-- The rules about child tables: messages, followers and others, whose rows belong to tickets, or to rows of such a
-- table: src/kinds/children/calls.rs. A function for each type of key, so that the planner finds the index of the column.

CREATE FUNCTION deskguard_internal.child_support(internal) RETURNS internal
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'child_support_wrapper';
COMMENT ON FUNCTION deskguard_internal.child_support(internal) IS
    'For the planner: whether these rules are the same for all rows, how many rows they leave, and how an index helps';

-- Makes parent_seen, parent_reply_ok, parent_edit_ok, parent_internal.
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
                ('parent_seen', 'view'), ('parent_reply_ok', 'reply to'), ('parent_edit_ok', 'edit the messages of'),
                ('parent_internal', 'see internal messages of')
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
-- editable_parents_text, new_message_ok, internal_seen, internal_change_ok, written_internal_ok, follower_ok,
-- follower_of_kind_ok.
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

            CREATE FUNCTION deskguard_internal.internal_seen(message_table regclass, parent %1$s, internal boolean, author bigint) RETURNS boolean
            LANGUAGE c STABLE PARALLEL SAFE COST 2 SUPPORT deskguard_internal.child_support AS 'MODULE_PATHNAME', 'internal_seen%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.internal_seen(regclass, %1$s, boolean, bigint) IS
                'For policies: is a message public, or the current agent its author or one that sees internal ones of the ticket?';

            CREATE FUNCTION deskguard_internal.internal_change_ok(message_table regclass, parent %1$s, internal boolean, author bigint) RETURNS boolean
            LANGUAGE c STABLE PARALLEL SAFE COST 2 SUPPORT deskguard_internal.child_support AS 'MODULE_PATHNAME', 'internal_change_ok%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.internal_change_ok(regclass, %1$s, boolean, bigint) IS
                'For policies: is a message public, or may the current agent change internal ones of the ticket?';

            CREATE FUNCTION deskguard_internal.written_internal_ok(message_table regclass, parent %1$s, internal boolean) RETURNS boolean
            LANGUAGE c STABLE SUPPORT deskguard_internal.child_support AS 'MODULE_PATHNAME', 'written_internal_ok%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.written_internal_ok(regclass, %1$s, boolean) IS
                'For policies: is a written message public, or may the current agent write internal ones of the ticket (42501 if not)?';

            CREATE FUNCTION deskguard_internal.follower_ok(follower_table regclass, ticket %1$s, agent bigint) RETURNS boolean
            LANGUAGE c STABLE PARALLEL SAFE COST 5 SUPPORT deskguard_internal.child_support AS 'MODULE_PATHNAME', 'follower_ok%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.follower_ok(regclass, %1$s, bigint) IS
                'For policies: may the current agent make the agent follow the ticket, or stop it?';

            CREATE FUNCTION deskguard_internal.follower_of_kind_ok(follower_table regclass, ticket %1$s, agent bigint, kind text) RETURNS boolean
            LANGUAGE c STABLE PARALLEL SAFE COST 5 SUPPORT deskguard_internal.child_support AS 'MODULE_PATHNAME', 'follower_of_kind_ok%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.follower_of_kind_ok(regclass, %1$s, bigint, text) IS
                'For policies: may the current agent add such a row of this kind, or remove it?';
        $$, key.type, key.suffix);
    END LOOP;
END $do$;

