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
COMMENT ON FUNCTION deskguard.protect_tickets(regclass, name, name, name, name, name, regclass, name, name, bigint, name, text[], text[], name, boolean, name, name, name, jsonb, name, text[], text) IS
    'Protects a ticket table, its partitions and its follower table with row-level security; run it again to map other columns, with drop_rules if rules are to end by that. The caller must own the tables';

CREATE FUNCTION deskguard.protect_messages(
    message_table regclass,
    ticket_table regclass,
    ticket_column name DEFAULT 'ticket_id',
    author_column name DEFAULT NULL,
    drop_rules boolean DEFAULT false,
    internal_column name DEFAULT NULL,
    type_column name DEFAULT NULL,
    type_values text[] DEFAULT NULL,
    other_types text DEFAULT 'hidden'
) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'protect_message_table_wrapper';
COMMENT ON FUNCTION deskguard.protect_messages(regclass, regclass, name, name, boolean, name, name, text[], text) IS
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
