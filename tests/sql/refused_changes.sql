-- Changes that an agent may not make: left out, or an error with the reason. Ann sees 1, 4, 5, 6, 7, 12; she may modify
-- 1, 4, 5, 12 and delete 4, 5, 12.
SELECT test.reset();
INSERT INTO deskguard.agent_permission VALUES (2, 'ticket.edit_messages.own');
SET ROLE regress_owner;
CREATE TABLE desk.message (id bigint PRIMARY KEY, ticket_id bigint, author_id bigint, body text);
CREATE TABLE desk.attachment (id bigint PRIMARY KEY, message_id bigint, name text);
CREATE TABLE desk.parts (id text, department_id int, assignee_id int, PRIMARY KEY (id, department_id)) PARTITION BY LIST (department_id);
CREATE TABLE desk.parts_1 PARTITION OF desk.parts FOR VALUES IN (1);
CREATE TABLE desk.parts_rest PARTITION OF desk.parts DEFAULT;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA desk TO PUBLIC;
SET client_min_messages = warning;
SELECT deskguard.protect_messages('desk.message', 'desk.ticket', author_column => 'author_id');
SELECT deskguard.protect_messages('desk.attachment', 'desk.message', 'message_id');
SELECT deskguard.protect_tickets('desk.parts', department_column => 'department_id', assignee_column => 'assignee_id');
RESET ROLE;
INSERT INTO desk.message SELECT n, n, 2, 'message ' || n FROM generate_series(1, 12) AS n;
INSERT INTO desk.attachment SELECT n, n, 'file ' || n FROM generate_series(1, 12) AS n;
INSERT INTO desk.parts VALUES ('a', 1, 2), ('b', 1, 4), ('c', 2, 4), ('d', 5, 4);

CREATE FUNCTION test.outcome(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    touched bigint;
    message text;
    detail text;
    hint text;
BEGIN
    BEGIN
        EXECUTE command;
        GET DIAGNOSTICS touched = ROW_COUNT;
        RAISE EXCEPTION USING ERRCODE = 'YY000';
    EXCEPTION WHEN SQLSTATE 'YY000' THEN
        RETURN 'rows: ' || touched;
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
        RETURN concat(SQLSTATE, ': ', message, E'\ndetail: ' || nullif(detail, ''), E'\nhint: ' || nullif(hint, ''));
    END;
END $$;
CREATE FUNCTION test.outcomes(commands text[]) RETURNS TABLE (command text, outcome text) LANGUAGE plpgsql AS $$
BEGIN
    FOREACH command IN ARRAY commands LOOP
        outcome := test.outcome(command);
        RETURN NEXT;
    END LOOP;
END $$;

-- By key: of what Ann sees.
SHOW deskguard.refused_changes;
CREATE FUNCTION test.by_key() RETURNS TABLE (command text, outcome text) LANGUAGE sql AS $$
    SELECT * FROM test.outcomes(ARRAY[
        'UPDATE desk.ticket SET subject = subject WHERE id = 4',
        'UPDATE desk.ticket SET subject = subject WHERE id = 6',
        'DELETE FROM desk.ticket WHERE id = 1',
        'UPDATE desk.ticket SET subject = subject WHERE id IN (7) AND status = ''closed''',
        'UPDATE desk.parts SET assignee_id = 2 WHERE id = ''b''',
        'DELETE FROM desk.parts WHERE id = ''c''',
        'UPDATE desk.parts_1 SET assignee_id = 2 WHERE id = ''b''',
        'UPDATE desk.message SET body = ''x'' WHERE id = 1',
        'DELETE FROM desk.message WHERE id = 1',
        'DELETE FROM desk.attachment WHERE id = 6',
        'WITH u AS (UPDATE desk.ticket SET subject = ''x'' WHERE id = 6 RETURNING id) SELECT * FROM u'])
$$;
SET ROLE regress_ann;
SELECT * FROM test.by_key();
SET deskguard.refused_changes = error;
SELECT * FROM test.by_key();
-- What she does not see, is not there, or was not asked for by its key.
SELECT * FROM test.outcomes(ARRAY[
    'UPDATE desk.ticket SET subject = ''x'' WHERE id = 2',
    'UPDATE desk.ticket SET subject = ''x'' WHERE id = 404',
    'UPDATE desk.ticket SET subject = ''x'' WHERE id = 3 OR id = 6',
    'UPDATE desk.ticket SET subject = ''x'' WHERE id = ANY (''{6,7}'')',
    'UPDATE desk.ticket SET subject = ''x'' WHERE id = 6 AND false',
    'UPDATE desk.ticket SET subject = ''x''',
    'DELETE FROM desk.ticket WHERE id = 10',
    'DELETE FROM desk.ticket',
    'UPDATE desk.parts SET assignee_id = 2 WHERE id = ''d''',
    'UPDATE desk.parts SET assignee_id = 2 WHERE id = ''z''',
    'UPDATE desk.message SET body = ''x'' WHERE id = 2',
    'UPDATE desk.message SET body = ''x'' WHERE id = 404',
    'UPDATE desk.message SET body = ''x'' WHERE ticket_id = 1',
    'DELETE FROM desk.message',
    'SELECT FROM desk.ticket WHERE id = 6 FOR UPDATE',
    'SELECT FROM desk.ticket WHERE id = 6 AND deskguard_internal.modify_ok(''desk.ticket'', id, department_id, category_id, assignee_id, team_id, NULL, NULL, false)']);
-- The same where the policies of the owner's own hide a row or a message.
RESET ROLE;
CREATE POLICY only_4 ON desk.ticket AS RESTRICTIVE FOR SELECT USING (id <> 6);
CREATE POLICY short ON desk.message AS RESTRICTIVE FOR SELECT USING (id <> 1);
SET ROLE regress_ann;
SELECT * FROM test.outcomes(ARRAY[
    'UPDATE desk.ticket SET subject = ''x'' WHERE id = 6',
    'UPDATE desk.ticket SET subject = ''x'' WHERE id = 7',
    'UPDATE desk.message SET body = ''x'' WHERE id = 1',
    'DELETE FROM desk.message WHERE id = 7']);
RESET ROLE;
DROP POLICY only_4 ON desk.ticket;
DROP POLICY short ON desk.message;
-- A kept plan obeys the setting as it is when it runs.
SET ROLE regress_ann;
PREPARE change(bigint) AS UPDATE desk.ticket SET subject = subject WHERE id = $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE change(6);
SET deskguard.refused_changes = skip;
EXECUTE change(6);
SET deskguard.refused_changes = error;
EXECUTE change(6);
EXECUTE change(4);
EXECUTE change(2);
SET deskguard.fold = off;
EXECUTE change(6);
EXECUTE change(2);
RESET deskguard.fold;
DEALLOCATE change;
RESET plan_cache_mode;
-- A table of one's own whose policy asks about a ticket has no such rows.
RESET ROLE;
SET deskguard.refused_changes = error;
CREATE TABLE test.own (id bigint PRIMARY KEY, x int);
ALTER TABLE test.own ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON test.own USING (deskguard_internal.modify_ok('desk.ticket', id, 5, NULL, 5, NULL, NULL, NULL, true));
INSERT INTO test.own SELECT n, 0 FROM generate_series(1, 12) AS n;
GRANT SELECT, UPDATE ON test.own TO PUBLIC;
SET ROLE regress_ann;
SELECT n, test.outcome('UPDATE test.own SET x = 1 WHERE id = ' || n) FROM (VALUES (2), (6), (404)) AS v (n);
RESET ROLE;
DROP TABLE test.own;

-- New rows and tickets that are handed over: an error in any case.
RESET deskguard.refused_changes;
SET ROLE regress_ann;
SELECT * FROM test.outcomes(ARRAY[
    'INSERT INTO desk.ticket (subject, department_id, category_id) VALUES (''new'', 5, 1)',
    'INSERT INTO desk.ticket (subject, department_id, category_id) VALUES (''new'', NULL, 1)',
    'INSERT INTO desk.ticket (subject, department_id, category_id) VALUES (''new'', 1, 3)',
    'INSERT INTO desk.ticket (subject, department_id) VALUES (''new'', 1)',
    'UPDATE desk.ticket SET department_id = 5 WHERE id = 4',
    'UPDATE desk.ticket SET department_id = NULL WHERE id = 4',
    'UPDATE desk.ticket SET category_id = 3 WHERE id = 4',
    'UPDATE desk.ticket SET category_id = NULL WHERE id = 4',
    'WITH u AS (UPDATE desk.ticket SET department_id = 5 WHERE id = 4) SELECT 1',
    'MERGE INTO desk.ticket AS t USING (VALUES (4)) AS v (id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET department_id = 5',
    'INSERT INTO desk.parts VALUES (''e'', 5, 2)',
    'INSERT INTO desk.message VALUES (101, 4, 2)',
    'INSERT INTO desk.message VALUES (101, 6, 2)',
    'INSERT INTO desk.message VALUES (101, 2, 2)',
    'INSERT INTO desk.message VALUES (101, 404, 2)',
    'INSERT INTO desk.message VALUES (101, NULL, 2)',
    'INSERT INTO desk.attachment VALUES (101, 6)',
    'INSERT INTO desk.attachment VALUES (101, 2)',
    'INSERT INTO desk.attachment VALUES (101, 404)',
    'INSERT INTO desk.ticket_follower VALUES (2, 2)',
    'INSERT INTO desk.ticket_follower VALUES (404, 2)',
    'INSERT INTO desk.ticket_follower VALUES (7, 2)',
    'INSERT INTO desk.ticket_follower VALUES (7, 4)',
    'DELETE FROM desk.ticket_follower WHERE ticket_id = 7',
    -- Asked by hand it is a question, also in a condition of a query that writes nothing.
    'SELECT deskguard_internal.create_ok(''desk.ticket'', 5, NULL, NULL, NULL, NULL, NULL, false, NULL)',
    'SELECT deskguard_internal.written_silo_ok(''desk.ticket'', 3)',
    'SELECT deskguard_internal.parent_reply_ok(''desk.message'', 2::bigint)',
    'SELECT FROM desk.message WHERE deskguard_internal.parent_reply_ok(''desk.message'', ticket_id)']);
RESET ROLE;
DELETE FROM deskguard.group_permission WHERE permission = 'ticket.create';
SET ROLE regress_ann;
SELECT test.outcome('INSERT INTO desk.ticket (subject, department_id, category_id) VALUES (''new'', 1, 1)');
SELECT test.outcome($$DO 'BEGIN ASSERT NOT deskguard_internal.create_ok(''desk.ticket'', 1, NULL, NULL, NULL, NULL, NULL, false, NULL); END'$$);
RESET ROLE;
SELECT test.reset();
