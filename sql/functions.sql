-- The functions. Written by hand, since tables are regclass here and the comments are shown by \df+.

-- Protection

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

-- Identity

CREATE FUNCTION deskguard.current_agent() RETURNS bigint
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'current_agent_id_wrapper';
COMMENT ON FUNCTION deskguard.current_agent() IS 'The agent that this statement acts for; NULL for nobody';

CREATE FUNCTION deskguard.set_agent(agent_id bigint, is_local boolean DEFAULT true) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'set_agent_wrapper';
COMMENT ON FUNCTION deskguard.set_agent(bigint, boolean) IS
    'Sets deskguard.agent_id for the transaction, or for the session if is_local is false; NULL for nobody. Obeyed only if the login role is trusted';

-- Questions. Those about a ticket take its id as bigint, as uuid, or as text, which is read as what the ticket
-- table has.

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

-- Sharing

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

-- External keys

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

-- Rules, as policies and triggers call them. regclass is the protected table itself.

CREATE FUNCTION deskguard_internal.rule_support(internal) RETURNS internal
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rule_support_wrapper';
COMMENT ON FUNCTION deskguard_internal.rule_support(internal) IS
    'For the planner: makes the rules part of plans, as literals for the current agent';

CREATE FUNCTION deskguard_internal.silo_ok(ticket_table regclass, category bigint) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.rule_support AS 'MODULE_PATHNAME', 'silo_ok_wrapper';
COMMENT ON FUNCTION deskguard_internal.silo_ok(regclass, bigint) IS
    'For policies: does the silo rule let the current agent have tickets of the category?';

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

-- Rules of child tables: messages, followers and others, whose rows belong to tickets, or to rows of such a
-- table: src/kinds/children/calls.rs. A function for each type of key, so that the planner finds the index of the column.

CREATE FUNCTION deskguard_internal.child_support(internal) RETURNS internal
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'child_support_wrapper';
COMMENT ON FUNCTION deskguard_internal.child_support(internal) IS
    'For the planner: whether these rules are the same for all rows, how many rows they leave, and how an index helps';

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

CREATE FUNCTION deskguard_internal.feature_support(internal) RETURNS internal
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feature_support_wrapper';
COMMENT ON FUNCTION deskguard_internal.feature_support(internal) IS
    'For the planner: answers deskguard_internal.feature_ok() for the current agent';

CREATE FUNCTION deskguard_internal.feature_ok(permission text) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.feature_support AS 'MODULE_PATHNAME', 'feature_ok_wrapper';
COMMENT ON FUNCTION deskguard_internal.feature_ok(text) IS 'For policies: has the current agent the permission?';

CREATE FUNCTION deskguard_internal.shared_support(internal) RETURNS internal
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'shared_support_wrapper';
COMMENT ON FUNCTION deskguard_internal.shared_support(internal) IS
    'For the planner: makes the rules for shared objects part of plans, as literals for the current agent';

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

CREATE FUNCTION deskguard_internal.object_gone() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'object_gone';
COMMENT ON FUNCTION deskguard_internal.object_gone() IS
    'Trigger: forgets with whom a deleted object was shared, and refuses to change the id of one that is (55000)';
