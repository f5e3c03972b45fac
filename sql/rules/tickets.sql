-- The rules about tickets, as policies and triggers call them. regclass is the protected table itself.

CREATE FUNCTION deskguard_internal.rule_support(internal) RETURNS internal
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rule_support_wrapper';
COMMENT ON FUNCTION deskguard_internal.rule_support(internal) IS
    'For the planner: makes the rules part of plans, as literals for the current agent';

CREATE FUNCTION deskguard_internal.silo_ok(ticket_table regclass, category bigint) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.rule_support AS 'MODULE_PATHNAME', 'silo_ok_wrapper';
COMMENT ON FUNCTION deskguard_internal.silo_ok(regclass, bigint) IS
    'For policies: does the silo rule let the current agent have tickets of the category?';

-- Makes view_ok, reply_ok, modify_ok, edit_messages_ok, delete_ok, view_internal_ok, mass_reply_ok, update_ok.
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
                CREATE FUNCTION deskguard_internal.%1$s(ticket_table regclass, id %2$s, department bigint, category bigint, assignee bigint, team bigint, requester bigint, requester_team bigint, confidential boolean) RETURNS boolean
                LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.rule_support AS 'MODULE_PATHNAME', 'ticket_%1$s%3$s_wrapper';
                COMMENT ON FUNCTION deskguard_internal.%1$s(regclass, %2$s, bigint, bigint, bigint, bigint, bigint, bigint, boolean) IS
                    'For policies: may the current agent %4$s such a ticket, apart from the silo rule?'
            $$, rule.name, key.type, key.suffix, rule.action);
        END LOOP;
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.update_ok(ticket_table regclass, id %1$s, department bigint, category bigint, status text) RETURNS boolean
            LANGUAGE c STABLE AS 'MODULE_PATHNAME', 'ticket_update_ok%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.update_ok(regclass, %1$s, bigint, bigint, text) IS
                'For policies: may the current agent move the updated ticket to this place, and give it the status (42501 if not)?'
        $$, key.type, key.suffix);
    END LOOP;
END $do$;

CREATE FUNCTION deskguard_internal.written_silo_ok(ticket_table regclass, category bigint) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'written_silo_ok_wrapper';
COMMENT ON FUNCTION deskguard_internal.written_silo_ok(regclass, bigint) IS
    'For plans: deskguard_internal.silo_ok() asked of a row that a command writes (42501 if not)';

CREATE FUNCTION deskguard_internal.create_ok(ticket_table regclass, department bigint, category bigint, assignee bigint, team bigint, requester bigint, requester_team bigint, confidential boolean, status text) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'ticket_create_ok_wrapper';
COMMENT ON FUNCTION deskguard_internal.create_ok(regclass, bigint, bigint, bigint, bigint, bigint, bigint, boolean, text) IS
    'For policies: may the current agent create such a ticket, apart from the silo rule (42501 if not)?';

CREATE FUNCTION deskguard_internal.note_ticket() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'note_ticket';
COMMENT ON FUNCTION deskguard_internal.note_ticket() IS
    'Trigger: notes what a ticket was before an UPDATE, for deskguard_internal.update_ok()';
