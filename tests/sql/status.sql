-- Statuses that are left or reached with a right of their own, and confidential tickets.
SET client_min_messages = warning;
SELECT test.reset();
CREATE FUNCTION test.protect_filed(more text) RETURNS text LANGUAGE sql AS $$
    SELECT test.attempt('SELECT deskguard.protect_tickets(''desk.filed'', department_column => ''department_id'', ' || more || ')')
$$;
SET ROLE regress_owner;
CREATE TYPE desk.state AS ENUM ('new', 'it''s "done"', 'spam');
CREATE TABLE desk.filed (
    id int PRIMARY KEY, "Der Status" desk.state, secret boolean, department_id int, assignee_id int, number smallint,
    word varchar(20), note text);
CREATE TABLE desk.fan (ticket_id int, agent_id int, PRIMARY KEY (ticket_id, agent_id));

-- Bad input.
SELECT test.protect_filed(more) FROM unnest(ARRAY[
    $$status_column => 'missing', archived_values => '{a}'$$,
    $$status_column => 'secret', archived_values => '{a}'$$,
    $$status_column => 'Der Status'$$,
    $$status_column => 'Der Status', archived_values => '{}'$$,
    $$archived_values => '{new}'$$,
    $$status_column => 'Der Status', archived_values => '{new,NULL}'$$,
    $$status_column => 'Der Status', archived_values => '{new}', spam_values => '{SPAM}'$$,
    $$status_column => 'number', spam_values => '{1,many}'$$,
    $$status_column => 'number', spam_values => '{99999}'$$,
    $$status_column => 'number', spam_values => '{01}'$$,
    $$status_column => 'department_id', spam_values => '{1}'$$,
    $$status_column => 'word', spam_values => '{a}', confidential_column => 'word'$$,
    $$confidential_column => 'number'$$,
    $$confidential_column => 'Secret'$$]) AS more;
SELECT count(*) FROM pg_policy WHERE polrelid = 'desk.filed'::regclass;

SELECT deskguard.protect_tickets('desk.filed', department_column => 'department_id', assignee_column => 'assignee_id',
    follower_table => 'desk.fan', status_column => 'Der Status', archived_values => '{"it''s \"done\""}', spam_values => '{spam}',
    confidential_column => 'secret');
SELECT definition FROM test.protection('desk.filed') WHERE what <> 'table';
GRANT ALL ON desk.filed, desk.fan TO PUBLIC;
RESET ROLE;
INSERT INTO desk.filed VALUES
    (1, 'new', false, 1, NULL, 0, 'new'), (2, 'it''s "done"', false, 1, NULL, 1, 'done'), (3, 'spam', false, 1, NULL, 2, 'spam'),
    (4, 'new', true, 1, NULL, 0, 'new'), (5, 'new', NULL, 1, 4, 0, 'new'), (6, 'new', true, 4, 2, 0, 'new'),
    (7, 'new', true, 4, 4, 0, 'new'), (8, NULL, false, 1, 2, NULL, NULL);
INSERT INTO desk.fan VALUES (7, 2);

-- Confidential ones are seen by those they concern, and by holders of the permission: in every way to ask.
CREATE FUNCTION test.seen(agent bigint) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    folded bigint[];
    called bigint[];
    by_key bigint[];
    listed bigint[];
    checked bigint[];
    explained bigint[];
    query text := $q$SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM desk.filed$q$;
BEGIN
    PERFORM set_config('deskguard.agent_id', agent::text, true);
    SET LOCAL ROLE regress_app;
    EXECUTE query INTO folded;
    SELECT coalesce(array_agg(n ORDER BY n), '{}') INTO by_key
    FROM generate_series(1, 8) AS n, LATERAL (SELECT test.attempt('SELECT FROM desk.filed WHERE id = ' || n) AS r) AS a
    WHERE a.r = 'rows: 1';
    SET LOCAL deskguard.fold = off;
    EXECUTE query INTO called;
    RESET ROLE;
    RESET deskguard.fold;
    SELECT coalesce(array_agg(t ORDER BY t), '{}') INTO listed FROM deskguard.visible_tickets(agent, 'desk.filed') AS t;
    SELECT coalesce(array_agg(id ORDER BY id), '{}') INTO checked FROM desk.filed WHERE deskguard.agent_can_view(agent, id, 'desk.filed');
    SELECT coalesce(array_agg(id ORDER BY id), '{}') INTO explained
    FROM desk.filed WHERE (deskguard.explain_access(agent, id, 'view', 'desk.filed') -> 'allowed')::boolean;
    IF EXISTS (SELECT FROM (VALUES (called), (by_key), (listed), (checked), (explained)) AS v (ids) WHERE ids <> folded) THEN
        RAISE 'different answers: % % % % % %', folded, called, by_key, listed, checked, explained;
    END IF;
    RETURN folded;
END $$;
SELECT id, name, test.seen(id) FROM deskguard.agent ORDER BY id;
SELECT deskguard.explain_access(2, 4, 'view', 'desk.filed') ->> 'summary';
INSERT INTO deskguard.agent_permission VALUES (2, 'ticket.view.confidential'), (5, 'ticket.view.confidential');
SELECT id, name, test.seen(id) FROM deskguard.agent WHERE id IN (2, 5) ORDER BY id;
SELECT deskguard.explain_access(2, 4, 'view', 'desk.filed') ->> 'summary';
DELETE FROM deskguard.agent_permission;
SET ROLE regress_ann;
EXPLAIN (COSTS OFF) SELECT * FROM desk.filed;
RESET ROLE;
DELETE FROM desk.filed WHERE id IN (4, 5, 7);
UPDATE desk.filed SET secret = false;

-- Ann may delete her own tickets only, and not unarchive.
SET ROLE regress_ann;
SELECT * FROM test.tried(ARRAY[
    $$UPDATE desk.filed SET "Der Status" = 'it''s "done"' WHERE id = 1$$,
    $$UPDATE desk.filed SET "Der Status" = 'new' WHERE id = 2$$,
    $$UPDATE desk.filed SET "Der Status" = NULL WHERE id = 2$$,
    $$UPDATE desk.filed SET "Der Status" = 'spam' WHERE id = 2$$,
    $$UPDATE desk.filed SET note = 'still archived' WHERE id = 2$$,
    $$UPDATE desk.filed SET "Der Status" = 'spam' WHERE id = 1$$,
    $$UPDATE desk.filed SET "Der Status" = 'spam', assignee_id = 2 WHERE id = 1$$,
    $$UPDATE desk.filed SET "Der Status" = 'spam' WHERE id = 6$$,
    $$UPDATE desk.filed SET "Der Status" = 'spam' WHERE id = 8$$,
    $$UPDATE desk.filed SET "Der Status" = 'new' WHERE id = 3$$,
    $$UPDATE desk.filed SET note = 'still spam' WHERE id = 3$$,
    $$UPDATE desk.filed SET "Der Status" = 'spam' WHERE id IN (1, 8)$$,
    $$UPDATE desk.filed SET department_id = 5, "Der Status" = 'new' WHERE id = 2$$,
    $$INSERT INTO desk.filed VALUES (9, 'spam', false, 1, NULL)$$,
    $$INSERT INTO desk.filed VALUES (9, 'spam', false, 1, 2)$$,
    $$INSERT INTO desk.filed VALUES (9, 'it''s "done"', true, 4, NULL) RETURNING *$$,
    $$INSERT INTO desk.filed VALUES (1, 'new', false, 1, 2) ON CONFLICT (id) DO UPDATE SET "Der Status" = 'spam'$$,
    $$MERGE INTO desk.filed AS f USING (VALUES (2)) AS v (id) ON f.id = v.id WHEN MATCHED THEN UPDATE SET "Der Status" = 'new'$$]);
RESET ROLE;
INSERT INTO deskguard.agent_permission VALUES (2, 'ticket.unarchive'), (2, 'ticket.delete.unassigned'), (2, 'ticket.delete.followed');
SET ROLE regress_ann;
SELECT * FROM test.tried(ARRAY[
    $$UPDATE desk.filed SET "Der Status" = 'new' WHERE id = 2$$,
    $$UPDATE desk.filed SET "Der Status" = 'spam' WHERE id IN (1, 2, 3, 8)$$,
    $$INSERT INTO desk.filed VALUES (9, 'spam', false, 1, NULL)$$]);
RESET ROLE;
-- Delete by following.
DELETE FROM deskguard.agent_permission WHERE permission = 'ticket.delete.unassigned';
INSERT INTO desk.fan VALUES (1, 2), (42, 2);
SET ROLE regress_ann;
SELECT * FROM test.tried(ARRAY[
    $$UPDATE desk.filed SET "Der Status" = 'spam' WHERE id = 1$$,
    $$UPDATE desk.filed SET "Der Status" = 'spam', id = 41 WHERE id = 1$$,
    $$UPDATE desk.filed SET "Der Status" = 'spam', id = 42 WHERE id = 2$$,
    $$UPDATE desk.filed SET "Der Status" = 'spam' WHERE id = 2$$]);
RESET ROLE;
DELETE FROM deskguard.agent_permission;

-- A status that is a number, without other columns; and a text.
SET ROLE regress_owner;
SELECT deskguard.protect_tickets('desk.filed', assignee_column => 'assignee_id', status_column => 'number',
    archived_values => '{1}', spam_values => '{2,-7}', drop_rules => true);
RESET ROLE;
SET ROLE regress_ann;
SELECT * FROM test.tried(ARRAY[
    'UPDATE desk.filed SET number = 0 WHERE id = 2', 'UPDATE desk.filed SET number = -7 WHERE id = 1',
    'UPDATE desk.filed SET number = 7 WHERE id = 1', 'UPDATE desk.filed SET number = -7 WHERE id = 8']);
RESET ROLE;
SET ROLE regress_owner;
SELECT deskguard.protect_tickets('desk.filed', assignee_column => 'assignee_id', status_column => 'word', archived_values => '{done}', drop_rules => true);
-- A renamed column is followed.
ALTER TABLE desk.filed RENAME word TO "wo""rd";
RESET ROLE;
SET ROLE regress_ann;
SELECT * FROM test.tried(ARRAY['UPDATE desk.filed SET "wo""rd" = ''open'' WHERE id = 2', 'UPDATE desk.filed SET "wo""rd" = ''spam'' WHERE id = 1']);
RESET ROLE;
SET ROLE regress_owner;
SELECT test.attempt('ALTER TABLE desk.filed DROP COLUMN "wo""rd"');
SELECT deskguard.unprotect('desk.filed');
SELECT * FROM test.protection('desk.filed');
RESET ROLE;
DROP FUNCTION test.protect_filed(text), test.seen(bigint);
