-- An id that stands for several rows, and what is left of rows that are gone: what belongs to an id is for who may
-- see all its rows, and no agent writes a row with an id to which something belongs already.
SELECT test.reset();
INSERT INTO deskguard.agent_permission VALUES (2, 'ticket.edit_messages.own');
CREATE SCHEMA twice AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA twice TO PUBLIC;
SET ROLE regress_owner;
CREATE TABLE twice.ticket (id bigint, created date NOT NULL, subject text, department_id int, assignee_id int, PRIMARY KEY (id, created))
    PARTITION BY RANGE (created);
CREATE TABLE twice.ticket_26 PARTITION OF twice.ticket FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE twice.ticket_27 PARTITION OF twice.ticket FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
CREATE TABLE twice.follower (ticket_id bigint, agent_id bigint, PRIMARY KEY (ticket_id, agent_id));
CREATE TABLE twice.message (id bigint PRIMARY KEY, ticket_id bigint, body text);
CREATE TABLE twice.response (id bigint, created date NOT NULL, owner_id bigint, body text, PRIMARY KEY (id, created))
    PARTITION BY RANGE (created);
CREATE TABLE twice.response_26 PARTITION OF twice.response FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE twice.response_27 PARTITION OF twice.response FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA twice TO PUBLIC;
SET client_min_messages = warning;
SELECT deskguard.protect_tickets('twice.ticket', department_column => 'department_id', assignee_column => 'assignee_id',
    follower_table => 'twice.follower');
SELECT deskguard.protect_messages('twice.message', 'twice.ticket');
SELECT deskguard.protect_shared('twice.response', owner_column => 'owner_id');
RESET ROLE;
-- Hidden from Ann: department 5, and a response of Carl's.
INSERT INTO twice.ticket VALUES (1, '2026-05-05', 'hidden', 5, NULL), (2, '2026-05-05', 'hidden, without messages', 5, NULL),
    (3, '2026-05-05', 'of Ann', 1, 2);
INSERT INTO twice.message VALUES (1, 1, 'secret'), (3, 3, 'to Ann'), (9, 9, 'of a ticket that is gone');
INSERT INTO twice.follower VALUES (1, 4), (3, 4);
INSERT INTO twice.response VALUES (5, '2026-05-05', 4, 'private');
SET client_min_messages = notice;

-- An agent writes no row with the id of another, nor with one to which something belongs, in any way.
SET ROLE regress_ann;
SELECT * FROM test.tried(ARRAY[
    $$INSERT INTO twice.ticket VALUES (1, '2027-05-05', 'mine', 1, 2)$$,
    $$INSERT INTO twice.ticket VALUES (2, '2027-05-05', 'mine', 1, 2)$$,
    $$INSERT INTO twice.ticket_27 VALUES (2, '2027-05-05', 'mine', 1, 2)$$,
    $$INSERT INTO twice.ticket VALUES (9, '2027-05-05', 'mine', 1, 2)$$,
    $$INSERT INTO twice.ticket VALUES (10, '2027-05-05', 'mine', 1, 2) RETURNING id$$,
    $$INSERT INTO twice.ticket VALUES (2, '2027-05-05', 'mine', 1, 2) ON CONFLICT DO NOTHING$$,
    $$INSERT INTO twice.ticket VALUES (3, '2026-05-05', 'mine', 1, 2) ON CONFLICT (id, created) DO UPDATE SET subject = 'changed'$$,
    $$MERGE INTO twice.ticket AS t USING (VALUES (2)) AS v (id) ON t.id = v.id WHEN NOT MATCHED THEN INSERT VALUES (v.id, '2027-05-05', 'mine', 1, 2)$$,
    $$MERGE INTO twice.ticket AS t USING (VALUES (3)) AS v (id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET subject = 'changed'$$,
    $$UPDATE twice.ticket SET id = 1 WHERE id = 3$$,
    $$UPDATE twice.ticket SET id = 2, created = '2027-05-05' WHERE id = 3$$,
    $$UPDATE twice.ticket SET id = 9 WHERE id = 3$$,
    $$UPDATE twice.ticket SET id = 11 WHERE id = 3$$,
    $$UPDATE twice.ticket SET subject = 'changed', created = '2027-06-06' WHERE id = 3$$]);
-- Who may not create tickets learns nothing of their ids.
RESET ROLE;
BEGIN;
DELETE FROM deskguard.group_permission WHERE permission = 'ticket.create';
SET LOCAL ROLE regress_ann;
SELECT test.attempt($$INSERT INTO twice.ticket VALUES (1, '2027-05-05', 'mine', 1, 2)$$), deskguard_internal.new_id_ok('twice.ticket', 1);
ROLLBACK;
-- Where several rows have one id nevertheless, all must be allowed.
INSERT INTO twice.ticket VALUES (1, '2027-05-05', 'of Ann', 1, 2), (3, '2027-05-05', 'of Ann, too', 1, 2), (2, '2027-05-05', 'of Ann', 1, 2);
INSERT INTO twice.follower VALUES (2, 4);
CREATE FUNCTION test.asked() RETURNS TABLE (what text, answer text) LANGUAGE sql AS $$
    SELECT 'tickets', string_agg(id || ' ' || subject, ', ' ORDER BY id, subject) FROM twice.ticket
    UNION ALL SELECT 'messages', string_agg(id::text, ', ' ORDER BY id) FROM twice.message
    UNION ALL SELECT 'message 1', string_agg(id::text, ', ') FROM twice.message WHERE ticket_id = 1
    UNION ALL SELECT 'followers', string_agg(ticket_id || ' ' || agent_id, ', ' ORDER BY 1) FROM twice.follower AS f
    UNION ALL SELECT 'visible_tickets', string_agg(v::text, ', ' ORDER BY v) FROM deskguard.visible_tickets(2, 'twice.ticket') AS v
    UNION ALL SELECT 'visible_ticket_keys', string_agg(v, ', ' ORDER BY v) FROM deskguard.visible_ticket_keys(2, 'twice.ticket') AS v
    UNION ALL SELECT 'agent_can_view', string_agg(t::text, ', ' ORDER BY t) FROM generate_series(1, 9) AS t
        WHERE deskguard.agent_can_view(2, t, 'twice.ticket')
    UNION ALL SELECT 'modify', string_agg(t::text, ', ' ORDER BY t) FROM generate_series(1, 9) AS t
        WHERE deskguard.agent_can(2, 'modify', t, 'twice.ticket')
    UNION ALL SELECT 'explain_access', string_agg(t::text, ', ' ORDER BY t) FROM generate_series(1, 9) AS t
        WHERE (deskguard.explain_access(2, t, 'view', 'twice.ticket') -> 'allowed')::boolean
$$;
SET ROLE regress_ann;
CREATE TEMP TABLE folded AS SELECT * FROM test.asked();
TABLE folded;
SET deskguard.fold = off;
SELECT * FROM test.asked() EXCEPT TABLE folded;
RESET deskguard.fold;
SELECT deskguard.explain_access(2, 1, 'view', 'twice.ticket') ->> 'summary';
-- Neither written to, nor changed, nor followed.
SELECT * FROM test.tried(ARRAY[
    'INSERT INTO twice.message VALUES (10, 1, ''mine'')',
    'INSERT INTO twice.message VALUES (10, 3, ''mine'')',
    'UPDATE twice.message SET body = ''changed''',
    'UPDATE twice.message SET ticket_id = 1 WHERE id = 3',
    'DELETE FROM twice.message WHERE ticket_id = 1',
    'INSERT INTO twice.follower VALUES (1, 2)',
    'INSERT INTO twice.follower VALUES (3, 2)',
    'DELETE FROM twice.follower']);
RESET ROLE;
SELECT t, array_agg(a ORDER BY a) AS can_view
FROM generate_series(1, 3) AS t, deskguard.agents_who_can('view', t, 'twice.ticket') AS a GROUP BY t ORDER BY t;

-- Shared objects.
SET ROLE regress_ann;
INSERT INTO twice.response VALUES (5, '2027-05-05', 2, 'mine'), (6, '2026-05-05', 2, 'mine'), (6, '2027-05-05', 2, 'mine, too');
SELECT o AS object, test.attempt(format('SELECT deskguard.share(''twice.response'', %s, agent_id => 2)', o)),
    test.attempt(format('SELECT deskguard.share(''twice.response'', %s, everyone => true)', o)),
    test.attempt(format('SELECT deskguard.unshare(''twice.response'', %s, agent_id => 2)', o))
FROM generate_series(5, 7) AS o;
SELECT id, owner_id, body FROM twice.response ORDER BY id, body;
RESET ROLE;
-- What is shared already is not made again: Carl would show his to everyone.
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(4, false);
SELECT test.attempt($$INSERT INTO twice.response VALUES (6, '2026-06-06', 4, 'of Carl')$$),
    test.attempt($$INSERT INTO twice.response VALUES (8, '2026-06-06', 4, 'of Carl')$$);
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;

-- A key that is checked at the end of the transaction is none before. Nor is one of some rows, of more columns or of an
-- expression; children by inheritance have keys of their own.
SET ROLE regress_owner;
CREATE TABLE twice.later (id bigint PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, department_id int);
CREATE TABLE twice.some (id bigint, department_id int);
CREATE UNIQUE INDEX ON twice.some (id) WHERE department_id = 1;
CREATE UNIQUE INDEX ON twice.some (id, department_id);
CREATE UNIQUE INDEX ON twice.some ((id + 0));
CREATE TABLE twice.above (id bigint PRIMARY KEY, department_id int);
CREATE TABLE twice.below () INHERITS (twice.above);
CREATE TABLE twice.one (id bigint PRIMARY KEY, department_id int);
SET client_min_messages = warning;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['later', 'some', 'above', 'one'] LOOP
        PERFORM deskguard.protect_tickets(format('twice.%I', name)::regclass, department_column => 'department_id');
        EXECUTE format('CREATE TABLE twice.of_%s (id int PRIMARY KEY, ticket_id bigint); INSERT INTO twice.of_%1$s VALUES (1, 1), (77, 77);
            GRANT SELECT, INSERT, UPDATE, DELETE ON twice.of_%1$s, twice.%1$s TO PUBLIC', name);
        PERFORM deskguard.protect_messages(format('twice.of_%s', name)::regclass, format('twice.%I', name)::regclass);
    END LOOP;
END $$;
GRANT SELECT, INSERT ON twice.below TO PUBLIC;
RESET ROLE;
INSERT INTO twice.later VALUES (1, 5), (2, 5), (3, 1);
INSERT INTO twice.some VALUES (1, 5), (2, 5), (3, 1);
INSERT INTO twice.above VALUES (1, 5), (2, 5), (3, 1);
INSERT INTO twice.one VALUES (1, 5), (2, 5), (3, 1);
SET ROLE regress_ann;
SELECT name, id, test.attempt_only(format('INSERT INTO twice.%s VALUES (%s, 1)', name, id))
FROM unnest(ARRAY['later', 'some', 'above', 'below', 'one']) AS name, unnest(ARRAY[1, 2, 77]) AS id;
RESET ROLE;
-- With a foreign key nothing is left, and nothing has to be looked up.
DELETE FROM twice.of_one WHERE id = 77;
ALTER TABLE twice.of_one ADD FOREIGN KEY (ticket_id) REFERENCES twice.one NOT VALID;
SET ROLE regress_ann;
SELECT id, test.attempt_only(format('INSERT INTO twice.one VALUES (%s, 1)', id)) FROM unnest(ARRAY[1, 2, 77]) AS id;
RESET ROLE;
ALTER TABLE twice.of_one VALIDATE CONSTRAINT of_one_ticket_id_fkey;
SET ROLE regress_ann;
SELECT id, test.attempt_only(format('INSERT INTO twice.one VALUES (%s, 1)', id)) FROM unnest(ARRAY[1, 2, 77]) AS id;
RESET ROLE;

-- Attachments: of a message that is gone, and of another's.
SET ROLE regress_owner;
CREATE TABLE twice.attachment (id int PRIMARY KEY, message_id bigint, name text);
GRANT SELECT, INSERT, UPDATE, DELETE ON twice.attachment TO PUBLIC;
CREATE VIEW twice.asks AS SELECT policyname, with_check LIKE '%_id_ok%' AS asks FROM pg_policies
WHERE tablename = 'message' AND schemaname = 'twice' AND policyname IN ('deskguard_create', 'deskguard_modify') ORDER BY 1;
TABLE twice.asks;
SELECT deskguard.protect_messages('twice.attachment', 'twice.message', 'message_id');
TABLE twice.asks;
RESET ROLE;
INSERT INTO twice.attachment VALUES (1, 1, 'secret'), (3, 3, 'of Ann'), (88, 88, 'of a message that is gone');
SET ROLE regress_ann;
SELECT array_agg(id) FROM twice.attachment;
SELECT * FROM test.tried(ARRAY[
    'INSERT INTO twice.message VALUES (88, 3)',
    'INSERT INTO twice.message VALUES (1, 3)',
    'INSERT INTO twice.message VALUES (11, 3)',
    'UPDATE twice.message SET id = 88 WHERE id = 3',
    'UPDATE twice.message SET id = 1 WHERE id = 3',
    'UPDATE twice.message SET id = 11 WHERE id = 3',
    'UPDATE twice.message SET body = ''changed'' WHERE id = 3']);
RESET ROLE;
ALTER TABLE twice.message DROP CONSTRAINT message_pkey;
INSERT INTO twice.message VALUES (1, 3, 'of Ann'), (3, 3, 'once more');
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) AS messages, (SELECT array_agg(id) FROM twice.attachment) AS attachments,
    (SELECT array_agg(id) FROM twice.attachment WHERE message_id = 1) AS secret FROM twice.message;
SET deskguard.fold = off;
SELECT array_agg(id ORDER BY id) AS messages, (SELECT array_agg(id) FROM twice.attachment) AS attachments FROM twice.message;
RESET deskguard.fold;
RESET ROLE;
SELECT deskguard.unprotect('twice.attachment');
TABLE twice.asks;

SELECT test.attempt_only('SELECT deskguard_internal.new_id_ok(NULL, 1), deskguard_internal.new_id_ok(''twice.ticket'', NULL), deskguard_internal.new_id_ok(''pg_class'', 1)');

-- Who may write somewhere, by a scoped group only, gets free ids, too.
BEGIN;
DELETE FROM deskguard.group_member WHERE agent_id = 2;
DELETE FROM deskguard.agent_permission WHERE agent_id = 2;
INSERT INTO deskguard.permission_group (id, name, scope) OVERRIDING SYSTEM VALUE VALUES (900, 'In department 1', 'granted');
INSERT INTO deskguard.group_department VALUES (900, 1, 'full');
INSERT INTO deskguard.group_permission
SELECT 900, unnest(ARRAY['ticket.use', 'ticket.create', 'ticket.view.unassigned', 'ticket.reply.unassigned']);
INSERT INTO deskguard.group_member VALUES (900, 2);
SET ROLE regress_ann;
SELECT * FROM test.tried(ARRAY[
    'INSERT INTO twice.ticket VALUES (70, ''2026-05-05'', ''free'', 1)',
    'INSERT INTO twice.ticket VALUES (9, ''2026-05-05'', ''has a message already'', 1)',
    'INSERT INTO twice.ticket VALUES (71, ''2026-05-05'', ''elsewhere'', 5)']);
RESET ROLE;
ROLLBACK;
DROP TABLE folded;
DROP SCHEMA twice CASCADE;
DROP FUNCTION test.asked();
