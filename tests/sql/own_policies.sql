-- Policies of the owner's own on tickets and messages, and features: what belongs to a row that they hide is hidden with it.
SELECT test.reset();
SET client_min_messages = warning;
INSERT INTO deskguard.permission (name) VALUES ('invoice.view');
INSERT INTO deskguard.agent_permission VALUES (2, 'ticket.edit_messages.own');
SET ROLE regress_owner;
CREATE TABLE desk.message (id int PRIMARY KEY, ticket_id bigint NOT NULL REFERENCES desk.ticket, body text);
CREATE TABLE desk.attachment (id int PRIMARY KEY, message_id int NOT NULL REFERENCES desk.message, name text);
CREATE INDEX ON desk.message (ticket_id);
CREATE INDEX ON desk.attachment (message_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON desk.message, desk.attachment TO PUBLIC;
SELECT deskguard.protect_messages('desk.message', 'desk.ticket');
SELECT deskguard.protect_messages('desk.attachment', 'desk.message', 'message_id');
RESET ROLE;
INSERT INTO desk.message SELECT n, n, 'message' FROM generate_series(1, 12) AS n;
INSERT INTO desk.attachment SELECT n, n, 'file' FROM generate_series(1, 12) AS n;
INSERT INTO desk.ticket_follower VALUES (4, 5), (5, 5);
-- In all ways, by few rows and by many; the agent is told in the first column if they differ without folding.
CREATE FUNCTION test.seen() RETURNS TABLE (what text, ids bigint[]) LANGUAGE sql AS $$
    SELECT 'tickets', array_agg(id ORDER BY id) FROM desk.ticket
    UNION ALL SELECT 'messages', array_agg(ticket_id ORDER BY ticket_id) FROM desk.message
    UNION ALL SELECT 'attachments', array_agg(message_id ORDER BY message_id) FROM desk.attachment
    UNION ALL SELECT 'one by one', array_agg(t ORDER BY t) FROM generate_series(1, 12) AS t
        WHERE EXISTS (SELECT FROM desk.attachment WHERE message_id = t)
    UNION ALL SELECT 'followers', array_agg(ticket_id ORDER BY ticket_id, agent_id) FROM desk.ticket_follower
    UNION ALL SELECT 'visible', array_agg(v ORDER BY v) FROM deskguard.visible_tickets(deskguard.current_agent()) AS v
    UNION ALL SELECT 'visible keys', array_agg(v::bigint ORDER BY v::bigint) FROM deskguard.visible_ticket_keys(deskguard.current_agent()) AS v
    UNION ALL SELECT 'can view', array_agg(t ORDER BY t) FROM generate_series(1, 12) AS t WHERE deskguard.agent_can_view(deskguard.current_agent(), t)
    UNION ALL SELECT 'explained', array_agg(t ORDER BY t) FROM generate_series(1, 12) AS t
        WHERE (deskguard.explain_access(deskguard.current_agent(), t) -> 'allowed')::boolean
    UNION ALL SELECT 'can modify', array_agg(t ORDER BY t) FROM generate_series(1, 12) AS t
        WHERE deskguard.agent_can(deskguard.current_agent(), 'modify', t)
$$;
CREATE FUNCTION test.seen_by(agent bigint) RETURNS TABLE (what text, ids bigint[], unfolded text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM deskguard.set_agent(agent);
    CREATE TEMP TABLE folded AS SELECT * FROM test.seen();
    PERFORM set_config('deskguard.fold', 'off', true);
    CREATE TEMP TABLE unfolded AS SELECT * FROM test.seen();
    PERFORM set_config('deskguard.fold', 'on', true);
    RETURN QUERY SELECT f.what, f.ids, CASE WHEN f.ids IS DISTINCT FROM u.ids THEN u.ids::text END FROM folded AS f JOIN unfolded AS u USING (what);
    DROP TABLE folded, unfolded;
    PERFORM deskguard.set_agent(NULL);
END $$;
GRANT TEMPORARY ON DATABASE regression TO regress_app;
SET SESSION AUTHORIZATION regress_app;
SELECT * FROM test.seen_by(2);
-- Kept plans of an agent who sees all tickets rely on the foreign key.
SELECT deskguard.set_agent(1, false);
SET plan_cache_mode = force_generic_plan;
PREPARE messages AS SELECT count(*) FROM desk.message;
PREPARE attachments AS SELECT count(*) FROM desk.attachment;
EXECUTE messages;
EXECUTE attachments;
EXPLAIN (COSTS OFF) EXECUTE attachments;
RESET SESSION AUTHORIZATION;

-- A tenant.
CREATE POLICY tenant ON desk.ticket AS RESTRICTIVE USING (id % 2 = current_setting('test.tenant')::int);
SELECT set_config('test.tenant', '0', false);
SET SESSION AUTHORIZATION regress_app;
EXECUTE messages;
EXECUTE attachments;
EXPLAIN (COSTS OFF) EXECUTE attachments;
SELECT * FROM test.seen_by(2);
SELECT * FROM test.seen_by(1);
RESET SESSION AUTHORIZATION;
-- Without privileges on the tickets; in all commands.
RESET deskguard.agent_id;
REVOKE ALL ON desk.ticket FROM PUBLIC;
SET ROLE regress_ann;
SELECT array_agg(ticket_id ORDER BY ticket_id) FROM desk.message;
SELECT * FROM test.tried(ARRAY[
    'UPDATE desk.message SET body = ''changed'' WHERE ticket_id = 5',
    'UPDATE desk.message SET body = ''changed'' WHERE ticket_id = 4',
    'UPDATE desk.message SET ticket_id = 5 WHERE ticket_id = 4',
    'UPDATE desk.attachment SET name = ''changed''',
    'DELETE FROM desk.attachment WHERE message_id IN (4, 5)',
    'INSERT INTO desk.message VALUES (20, 5)',
    'INSERT INTO desk.message VALUES (20, 4)',
    'INSERT INTO desk.attachment VALUES (20, 5)',
    'INSERT INTO desk.attachment VALUES (20, 4)',
    'INSERT INTO desk.ticket_follower VALUES (5, 2)',
    'INSERT INTO desk.ticket_follower VALUES (4, 2)',
    'DELETE FROM desk.ticket_follower']);
-- The agent is told that a policy hides it; who asks about another, which policies are not asked.
SELECT deskguard.explain_access(2, 5, 'modify');
SELECT deskguard.explain_access(2, 4, 'modify') -> 'rules' -> -1;
RESET ROLE;
GRANT SELECT, INSERT, UPDATE, DELETE ON desk.ticket TO PUBLIC;
CREATE POLICY frozen ON desk.ticket AS RESTRICTIVE FOR UPDATE USING (id <> 4);
SELECT t, e -> 'allowed', e -> 'other_policies' FROM unnest(ARRAY['view', 'modify', 'delete']) AS action,
    deskguard.explain_access(2, 4, action) AS e, unnest(ARRAY[action]) AS t;
SELECT array_agg(v ORDER BY v) AS rules_only FROM deskguard.visible_tickets(2) AS v;
SET ROLE regress_ann;
SELECT deskguard.explain_access(2, 4, 'modify') -> 'other_policies';
RESET ROLE;
DROP POLICY frozen ON desk.ticket;
-- Another tenant by a setting, in the same session; for some roles only.
SELECT set_config('test.tenant', '1', false);
SET ROLE regress_ann;
SELECT array_agg(ticket_id ORDER BY ticket_id) FROM desk.message;
RESET ROLE;
ALTER POLICY tenant ON desk.ticket TO regress_ann;
SET ROLE regress_ann;
SELECT array_agg(ticket_id ORDER BY ticket_id) FROM desk.message;
RESET ROLE;
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(2, false);
SELECT array_agg(ticket_id ORDER BY ticket_id) FROM desk.message;
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
ALTER POLICY tenant ON desk.ticket TO PUBLIC;
-- Several rows with one id: all must be seen.
BEGIN;
ALTER TABLE desk.ticket DROP CONSTRAINT ticket_pkey CASCADE;
ALTER TABLE desk.ticket ADD gone boolean DEFAULT false;
INSERT INTO desk.ticket (id, subject, department_id, category_id, gone) VALUES (1, 'gone', 2, 1, true), (7, 'not gone', 2, 1, false);
ALTER POLICY tenant ON desk.ticket USING (NOT gone);
SET LOCAL ROLE regress_ann;
SELECT array_agg(ticket_id ORDER BY ticket_id) FROM desk.message;
SELECT t, (SELECT count(*) FROM desk.message WHERE ticket_id = t) AS messages, deskguard.agent_can_view(2, t) FROM unnest(ARRAY[1, 4, 7]) AS t;
SELECT array_agg(v ORDER BY v) FROM deskguard.visible_tickets(2) AS v;
ROLLBACK;
DROP POLICY tenant ON desk.ticket;
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(1, false);
EXECUTE messages;
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;

-- On messages: their attachments, and nothing else.
CREATE POLICY public ON desk.message AS RESTRICTIVE FOR SELECT USING (id <> 4);
SET SESSION AUTHORIZATION regress_app;
SELECT * FROM test.seen_by(2) WHERE what IN ('tickets', 'messages', 'attachments', 'one by one', 'followers');
SELECT * FROM test.seen_by(1) WHERE what IN ('tickets', 'messages', 'attachments', 'one by one', 'followers');
RESET SESSION AUTHORIZATION;
-- On both.
CREATE POLICY tenant ON desk.ticket AS RESTRICTIVE FOR SELECT USING (id <> 5);
SET SESSION AUTHORIZATION regress_app;
SELECT * FROM test.seen_by(2) WHERE what IN ('tickets', 'messages', 'attachments', 'one by one', 'followers');
RESET SESSION AUTHORIZATION;
DROP POLICY public ON desk.message;
DROP POLICY tenant ON desk.ticket;

-- Features.
SET ROLE regress_owner;
SELECT deskguard.protect_feature('desk.ticket', 'invoice.view', 'SELECT');
RESET ROLE;
SET SESSION AUTHORIZATION regress_app;
SELECT * FROM test.seen_by(2);
SELECT * FROM test.seen_by(1) WHERE what IN ('tickets', 'messages', 'attachments');
SELECT deskguard.set_agent(2, false);
SELECT deskguard.explain_access(2, 4);
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
SELECT deskguard.explain_access(2, 4) -> 'rules' -> -1, array_agg(a) FROM deskguard.agents_who_can('view', 4) AS a;
INSERT INTO deskguard.agent_permission VALUES (2, 'invoice.view');
SELECT deskguard.explain_access(2, 4) -> 'rules' -> -1, array_agg(a) FROM deskguard.agents_who_can('view', 4) AS a;
SET ROLE regress_owner;
SELECT deskguard.protect_feature('desk.ticket', 'report.view', 'UPDATE');
RESET ROLE;
SET SESSION AUTHORIZATION regress_app;
SELECT * FROM test.seen_by(2);
RESET SESSION AUTHORIZATION;
SET ROLE regress_ann;
SELECT test.attempt_only('UPDATE desk.ticket SET subject = ''changed'' WHERE id = 4'), deskguard.explain_access(2, 4, 'modify') ->> 'summary';
RESET ROLE;

-- A policy that reads what belongs to its rows: an error, and no crash.
CREATE POLICY circle ON desk.ticket AS RESTRICTIVE FOR SELECT USING (EXISTS (SELECT FROM desk.message AS m WHERE m.ticket_id = ticket.id));
SET ROLE regress_ann;
SELECT test.attempt('SELECT count(*) FROM desk.ticket');
SELECT test.attempt('SELECT count(*) FROM desk.message');
SELECT test.attempt('SELECT count(*) FROM desk.attachment WHERE message_id = 4');
SELECT test.attempt('SELECT deskguard.agent_can_view(2, 4)');
RESET ROLE;
CREATE FUNCTION test.has_message(ticket bigint) RETURNS boolean LANGUAGE sql SECURITY DEFINER AS 'SELECT EXISTS (SELECT FROM desk.message WHERE ticket_id = $1)';
ALTER POLICY circle ON desk.ticket USING (test.has_message(id));
DELETE FROM desk.attachment WHERE message_id = 4;
DELETE FROM desk.message WHERE ticket_id = 4;
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) AS tickets, (SELECT array_agg(ticket_id ORDER BY ticket_id) FROM desk.message) AS messages FROM desk.ticket;
RESET ROLE;
DROP POLICY circle ON desk.ticket;
DEALLOCATE ALL;
DROP FUNCTION test.has_message, test.seen, test.seen_by;
