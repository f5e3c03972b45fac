-- The functions that answer questions.
SELECT test.reset();
INSERT INTO deskguard.agent_permission VALUES (4, 'permission.audit');

-- Answers.
SELECT agent.name, ticket.id,
    deskguard.agent_can_view(agent.id, ticket.id) AS view,
    (SELECT string_agg(action, ' ') FROM unnest(ARRAY['view', 'reply', 'modify', 'edit_messages', 'delete']) AS action
     WHERE deskguard.agent_can(agent.id, action, ticket.id)) AS actions
FROM deskguard.agent, desk.ticket
WHERE agent.id IN (1, 2, 4) AND ticket.id IN (1, 3, 4, 6, 7, 8)
ORDER BY agent.id, ticket.id;
SELECT action, array_agg(a ORDER BY a) FROM unnest(ARRAY['view', 'modify', 'delete']) AS action, deskguard.agents_who_can(action, 4) AS a
GROUP BY action ORDER BY action;
SELECT array_agg(t ORDER BY t) FROM deskguard.visible_tickets(2) AS t;
SELECT * FROM deskguard.effective_permissions(4) ORDER BY permission COLLATE "C", granted_by;

-- A row for each grant.
INSERT INTO deskguard.permission_group (name) VALUES ('agent');
INSERT INTO deskguard.group_permission SELECT id, 'permission.audit' FROM deskguard.permission_group WHERE name = 'agent';
INSERT INTO deskguard.group_member SELECT id, 4 FROM deskguard.permission_group WHERE name = 'agent';
SELECT * FROM deskguard.effective_permissions(4) WHERE permission = 'permission.audit' ORDER BY locked;

-- Agents that are nobody, inactive or extreme; tickets that do not exist; NULL.
SELECT a AS agent, t AS ticket, deskguard.agent_can_view(a, t), deskguard.agent_can(a, 'delete', t),
    (SELECT count(*) FROM deskguard.visible_tickets(a)) AS visible,
    (SELECT count(*) FROM deskguard.agents_who_can('view', t)) AS who_can,
    (SELECT CASE count(*) WHEN (SELECT count(*) FROM deskguard.permission) THEN 'all' ELSE count(*)::text END
        FROM deskguard.effective_permissions(a)) AS permissions,
    deskguard.agent_has_permission(a, 'ticket.use') AS may_use
FROM (VALUES (1, 99), (NULL, 1), (1, NULL), (NULL, NULL), (3, 1), (99, 1), (-9223372036854775808, 9223372036854775807),
    (9223372036854775807, -9223372036854775808)) AS asked (a, t);
SELECT deskguard.agent_can_view(1, 1, 'desk.ticket'), deskguard.agent_can_view(1, 1, NULL),
    deskguard.agent_can_view(agent_id => 1, ticket_id => 1, ticket_table => 'desk.ticket'::regclass);

-- What is unknown.
CREATE TEMP TABLE asked (n int GENERATED ALWAYS AS IDENTITY, question text);
GRANT SELECT ON asked TO PUBLIC;
INSERT INTO asked (question) VALUES
    ($$agent_can(1, 'fly', 1)$$), ($$agent_can(1, 'VIEW', 1)$$), ($$agent_can(1, '', 1)$$), ($$agent_can(1, NULL, 1)$$),
    ($$agents_who_can('fly', 1)$$), ($$explain_access(1, 1, 'fly')$$), ($$explain_access(1, 1, NULL)$$),
    ($$agent_has_permission(1, 'ticket.fly')$$), ($$agent_has_permission(1, NULL)$$),
    ($$agent_can_view(1, 1, 'desk.ticket_follower')$$), ($$agent_can_view(1, 1, 'deskguard.agent')$$), ($$agent_can_view(1, 1, 0)$$),
    ($$agent_can_view(1, 1, 4294967295)$$), ($$visible_tickets(1, 'desk.absent')$$), ($$visible_tickets(1, 'pg_class')$$);
SELECT question, regexp_replace(test.attempt('SELECT deskguard.' || question), '(hint: Permissions in [a-z.]+: ).*', '\1...') AS outcome
FROM asked ORDER BY n;
TRUNCATE asked;

-- Who may ask. Oneself; a superuser; the owner of the ticket table; who holds permission.audit; nobody else.
INSERT INTO asked (question) VALUES
    ('agent_can_view(2, 1)'), ($$agent_can(2, 'modify', 1)$$), ($$agent_has_permission(2, 'ticket.use')$$), ('visible_tickets(2)'),
    ('effective_permissions(2)'), ($$explain_access(2, 1) ->> 'summary'$$), ('agent_can_view(2, 99)'),
    ('agent_can_view(4, 1)'), ($$agent_can(4, 'modify', 1)$$), ($$agent_has_permission(4, 'ticket.use')$$), ('visible_tickets(4)'),
    ('effective_permissions(4)'), ($$explain_access(4, 1) ->> 'summary'$$), ('agent_can_view(4, 99)'), ('agent_can_view(99, 1)'),
    ('agent_can_view(NULL, 1)'), ('visible_tickets(NULL)'), ($$agents_who_can('view', 1)$$), ($$agents_who_can('view', 99)$$);
CREATE FUNCTION test.answers() RETURNS TABLE (question text, answer text) LANGUAGE sql AS $$
    SELECT question, test.attempt('SELECT deskguard.' || question) FROM asked ORDER BY n
$$;
SET ROLE regress_ann;
SELECT * FROM test.answers() AS ann;
RESET ROLE;
SET ROLE regress_other;
SELECT * FROM test.answers() AS nobody;
RESET ROLE;
SET ROLE regress_owner;
SELECT * FROM test.answers() AS the_owner;
RESET ROLE;
SET SESSION AUTHORIZATION regress_app;
SET deskguard.agent_id = 4;
SELECT * FROM test.answers() AS an_auditor;
SET deskguard.agent_id = 1;
SELECT count(*) FILTER (WHERE answer LIKE 'rows: %') = count(*) AS all_permissions FROM test.answers();
SET deskguard.agent_id = 3;
SELECT count(*) FILTER (WHERE answer LIKE '42501: %') = count(*) AS inactive FROM test.answers();
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
-- An unknown action or table is told to everybody, and nothing else.
SET ROLE regress_other;
SELECT test.attempt($$SELECT deskguard.agent_can(2, 'fly', 1)$$);
SELECT test.attempt($$SELECT deskguard.agent_has_permission(2, 'ticket.fly')$$);
RESET ROLE;

-- Rights of the caller do not matter, nor does its search_path or what it has made.
GRANT CREATE ON SCHEMA test TO regress_ann;
REVOKE ALL ON desk.ticket FROM PUBLIC;
SET ROLE regress_ann;
CREATE FUNCTION test.always(bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR test.= (leftarg = bigint, rightarg = bigint, function = test.always);
CREATE FUNCTION test.view_ok(regclass, bigint, bigint, bigint, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE TEMP TABLE agent (id bigint, name text, active boolean, db_role name, category_access text);
CREATE TEMP TABLE ticket AS SELECT 3 AS id;
CREATE TEMP TABLE pg_class (oid oid);
SET search_path = test, pg_temp, desk, pg_catalog;
SELECT deskguard.agent_can_view(2, 1) AS yes, deskguard.agent_can_view(2, 3) AS no,
    (SELECT array_agg(t ORDER BY t) FROM deskguard.visible_tickets(2) AS t);
RESET search_path;
RESET ROLE;
GRANT SELECT ON desk.ticket TO PUBLIC;
SET ROLE regress_ann;
SET search_path = test, pg_temp, desk, pg_catalog;
SELECT array_agg(id ORDER BY id) FROM desk.ticket;
SELECT array_agg(id ORDER BY id) FROM desk.ticket WHERE id = 99;
RESET search_path;
DROP OPERATOR test.= (bigint, bigint);
DROP FUNCTION test.always, test.view_ok;
DROP TABLE agent, ticket, pg_class;
RESET ROLE;
REVOKE CREATE ON SCHEMA test FROM regress_ann;

-- The functions of policies and triggers, called by anybody.
SET ROLE regress_other;
SELECT f, left(test.attempt('SELECT deskguard_internal.' || f), 5) AS no_internal_error
FROM unnest(ARRAY['silo_ok(NULL, 1)', 'view_ok(NULL, 1, 1, 1, 1, 1, 1, 1, false)', 'modify_ok(NULL, 1, 1, 1, 1, 1, 1, 1, false)', 'delete_ok(NULL, 1, 1, 1, 1, 1, 1, 1, false)',
    'create_ok(NULL, 1, NULL, NULL, NULL, NULL, NULL, false, NULL)', 'update_ok(NULL, 1, 1, NULL, NULL)', 'followed(NULL, 1)', 'parent_seen(NULL, 1)', 'follower_ok(NULL, 1, 1)', 'view_ok(0, 1, 1, 1, 1, 1, 1, 1, true)', 'silo_ok(''test.absent'', 1)']) AS f;
SELECT deskguard_internal.view_ok('desk.ticket', 1, 1, NULL, NULL, NULL, NULL, NULL, false) OR deskguard_internal.create_ok('desk.ticket', 1, NULL, NULL, NULL, NULL, NULL, false, NULL)
    OR deskguard_internal.parent_seen('desk.ticket_follower', 1) OR deskguard_internal.follower_ok('desk.ticket_follower', 1, 1) AS anything;
SELECT f, regexp_replace(test.attempt('SELECT deskguard_internal.' || f), ': .*', '')
FROM unnest(ARRAY['note_ticket()', 'guard_department_tree()', 'guard_builtin()', 'after_ddl()', 'after_drop()', 'guard_registry()',
    'protection_changed()']) AS f
WHERE regexp_replace(test.attempt('SELECT deskguard_internal.' || f), ': .*', '') NOT IN ('0A000', '42501', '39P01', '39P03');
RESET ROLE;

-- Several protected tables: they have to be named.
SET client_min_messages = warning;
SET ROLE regress_owner;
SELECT deskguard.create_help_desk('desk2');
RESET ROLE;
INSERT INTO desk2.ticket (id, subject, assignee_id, category_id) VALUES (1, 'x', 4, 1), (77, 'y', 2, 1);
SELECT test.attempt('SELECT deskguard.agent_can_view(2, 1)');
SELECT test.attempt('SELECT deskguard.visible_tickets(2)');
SELECT test.attempt($$SELECT deskguard.agents_who_can('view', 1)$$);
SELECT test.attempt('SELECT deskguard.explain_access(2, 1)');
SELECT deskguard.agent_can_view(2, 1, 'desk.ticket'), deskguard.agent_can_view(2, 1, 'desk2.ticket'),
    (SELECT array_agg(t ORDER BY t) FROM deskguard.visible_tickets(2, 'desk2.ticket') AS t);
-- The owner of one table may not ask about another.
GRANT USAGE ON SCHEMA desk2 TO PUBLIC;
ALTER TABLE desk2.ticket OWNER TO regress_other;
SET ROLE regress_other;
SELECT test.attempt($$SELECT deskguard.agent_can_view(2, 77, 'desk2.ticket')$$);
SELECT test.attempt($$SELECT deskguard.agent_can_view(2, 1, 'desk.ticket')$$);
RESET ROLE;
DROP SCHEMA desk2 CASCADE;
SET ROLE regress_owner;
SELECT deskguard.unprotect('desk.ticket');
RESET ROLE;
SELECT test.attempt('SELECT deskguard.agent_can_view(2, 1)');
DROP FUNCTION test.answers();
