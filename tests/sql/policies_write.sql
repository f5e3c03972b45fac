-- What agents may change. Ann sees 1, 4, 5, 6, 7, 12; may modify own and unassigned tickets, and delete own ones.
SELECT test.reset();
SET ROLE regress_ann;

-- INSERT
SELECT * FROM test.tried(ARRAY[
    $$INSERT INTO desk.ticket (subject, department_id, category_id) VALUES ('x', 3, 2)$$,
    $$INSERT INTO desk.ticket (subject, department_id, category_id) VALUES ('x', 4, 1)$$,
    $$INSERT INTO desk.ticket (subject, department_id, category_id) VALUES ('x', 5, 1)$$,
    $$INSERT INTO desk.ticket (subject, department_id, category_id) VALUES ('x', NULL, 1)$$,
    $$INSERT INTO desk.ticket (subject, department_id, category_id) VALUES ('x', 1, 3)$$,
    $$INSERT INTO desk.ticket (subject, department_id, category_id) VALUES ('x', 1, NULL)$$,
    $$INSERT INTO desk.ticket (subject, department_id, category_id, assignee_id) VALUES ('x', 5, 1, 2)$$,
    $$INSERT INTO desk.ticket (subject, department_id, category_id) VALUES ('x', 1, 1), ('x', 5, 1)$$,
    $$INSERT INTO desk.ticket (subject, department_id, category_id) VALUES ('x', 1, 1) RETURNING id$$,
    $$INSERT INTO desk.ticket (subject, department_id, category_id) SELECT subject, department_id, category_id FROM desk.ticket$$,
    $$INSERT INTO desk.ticket (subject, department_id, category_id, assignee_id) VALUES ('x', 4, 1, 2) RETURNING id$$,
    $$INSERT INTO desk.ticket (subject, department_id, category_id) VALUES ('x', 4, 1) RETURNING id$$,
    $$INSERT INTO desk.ticket (id, subject, department_id, category_id) VALUES (3, 'a key that is taken', 1, 1)$$,
    $$INSERT INTO desk.ticket (id, subject, department_id, category_id) VALUES (3, 'not even told', 5, 1)$$]);

-- INSERT ... ON CONFLICT
SELECT * FROM test.tried(ARRAY[
    $$INSERT INTO desk.ticket (id, subject, department_id, category_id) VALUES (3, 'x', 1, 1) ON CONFLICT DO NOTHING$$,
    $$INSERT INTO desk.ticket (id, subject, department_id, category_id) VALUES (1, 'x', 1, 1)
      ON CONFLICT (id) DO UPDATE SET subject = 'y'$$,
    $$INSERT INTO desk.ticket (id, subject, department_id, category_id) VALUES (3, 'x', 1, 1)
      ON CONFLICT (id) DO UPDATE SET subject = 'y'$$,
    $$INSERT INTO desk.ticket (id, subject, department_id, category_id) VALUES (3, 'x', 1, 1)
      ON CONFLICT (id) DO UPDATE SET subject = 'y' RETURNING *$$,
    $$INSERT INTO desk.ticket (id, subject, department_id, category_id) VALUES (7, 'x', 1, 1)
      ON CONFLICT (id) DO UPDATE SET subject = 'y'$$,
    $$INSERT INTO desk.ticket (id, subject, department_id, category_id) VALUES (1, 'x', 1, 1)
      ON CONFLICT (id) DO UPDATE SET category_id = 3$$,
    $$INSERT INTO desk.ticket (id, subject, department_id, category_id) VALUES (1, 'x', 1, 1)
      ON CONFLICT (id) DO UPDATE SET department_id = 5$$]);

-- UPDATE, as tight without WHERE as with it
SELECT * FROM test.tried(ARRAY[
    'UPDATE desk.ticket SET subject = 1',
    'UPDATE desk.ticket SET subject = subject || 1',
    'UPDATE desk.ticket SET subject = 1 WHERE true',
    'UPDATE desk.ticket SET subject = 1 WHERE id IN (1, 4, 5, 12)',
    'UPDATE desk.ticket SET subject = 1 WHERE id IN (6, 7)',
    'UPDATE desk.ticket SET subject = 1 WHERE id IN (2, 3, 8, 9, 10, 11)',
    'UPDATE desk.ticket SET subject = 1 WHERE id = 1 RETURNING *',
    'UPDATE desk.ticket SET assignee_id = 2',
    'UPDATE desk.ticket SET assignee_id = 4, team_id = NULL WHERE id = 1',
    'UPDATE desk.ticket SET assignee_id = 4, team_id = NULL WHERE id = 4',
    'UPDATE desk.ticket SET assignee_id = 4, team_id = NULL',
    'UPDATE desk.ticket AS t SET subject = f.agent_id FROM desk.ticket_follower AS f WHERE f.ticket_id = t.id',
    'UPDATE desk.ticket AS t SET subject = o.subject FROM desk.ticket AS o WHERE o.id <> t.id',
    'WITH u AS (UPDATE desk.ticket SET subject = 1 RETURNING id) SELECT FROM u',
    'WITH u AS (UPDATE desk.ticket SET subject = 1 WHERE id = 1 RETURNING *) INSERT INTO desk.ticket (subject, department_id, category_id)
        SELECT subject, 5, 1 FROM u',
    'SELECT FROM desk.ticket FOR UPDATE',
    'SELECT FROM desk.ticket FOR SHARE']);

-- DELETE
SELECT * FROM test.tried(ARRAY[
    'DELETE FROM desk.ticket',
    'DELETE FROM desk.ticket WHERE true',
    'DELETE FROM desk.ticket RETURNING *',
    'DELETE FROM desk.ticket WHERE id = 1',
    'DELETE FROM desk.ticket WHERE id IN (4, 5)',
    'DELETE FROM desk.ticket WHERE id IN (8, 9)',
    'DELETE FROM desk.ticket AS t USING desk.ticket_follower AS f WHERE f.ticket_id = t.id',
    'TRUNCATE desk.ticket CASCADE']);

-- MERGE
SELECT * FROM test.tried(ARRAY[
    $$MERGE INTO desk.ticket AS t USING (VALUES (1), (4)) AS v (id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET subject = 'x'$$,
    $$MERGE INTO desk.ticket AS t USING (VALUES (7)) AS v (id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET subject = 'x'$$,
    $$MERGE INTO desk.ticket AS t USING (VALUES (3)) AS v (id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET subject = 'x'$$,
    $$MERGE INTO desk.ticket AS t USING (VALUES (3)) AS v (id) ON t.id = v.id WHEN MATCHED THEN DELETE
      WHEN NOT MATCHED THEN INSERT (subject, department_id, category_id) VALUES ('x', 1, 1)$$,
    $$MERGE INTO desk.ticket AS t USING (VALUES (3)) AS v (id) ON t.id = v.id
      WHEN NOT MATCHED THEN INSERT (subject, department_id, category_id) VALUES ('x', 5, 1)$$,
    $$MERGE INTO desk.ticket AS t USING (VALUES (4)) AS v (id) ON t.id = v.id WHEN MATCHED THEN DELETE$$,
    $$MERGE INTO desk.ticket AS t USING (VALUES (1)) AS v (id) ON t.id = v.id WHEN MATCHED THEN DELETE$$,
    $$MERGE INTO desk.ticket AS t USING (VALUES (1)) AS v (id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET category_id = 3$$,
    $$MERGE INTO desk.ticket AS t USING (VALUES (1)) AS v (id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET department_id = 5$$]);

-- To another category: into the silo only.
SELECT * FROM test.tried(ARRAY[
    'UPDATE desk.ticket SET category_id = 2 WHERE id = 1',
    'UPDATE desk.ticket SET category_id = 3 WHERE id = 1',
    'UPDATE desk.ticket SET category_id = NULL WHERE id = 1',
    'UPDATE desk.ticket SET category_id = 2',
    'UPDATE desk.ticket SET category_id = 3']);

-- To another department: needs assign there.
SELECT * FROM test.tried(ARRAY[
    'UPDATE desk.ticket SET department_id = 3 WHERE id = 1',
    'UPDATE desk.ticket SET department_id = 4 WHERE id = 12',
    'UPDATE desk.ticket SET department_id = 5 WHERE id = 1',
    'UPDATE desk.ticket SET department_id = 5 WHERE id = 12',
    'UPDATE desk.ticket SET department_id = NULL WHERE id = 4',
    'UPDATE desk.ticket SET department_id = 4',
    'UPDATE desk.ticket SET department_id = 5',
    'UPDATE desk.ticket SET department_id = 4, category_id = 3',
    'UPDATE desk.ticket SET department_id = department_id WHERE id = 12',
    'UPDATE desk.ticket SET department_id = 4 WHERE id = 1',
    'UPDATE desk.ticket SET department_id = 4 WHERE id = 1 RETURNING *',
    'UPDATE desk.ticket SET department_id = 99 WHERE id = 1',
    'UPDATE desk.ticket SET department_id = NULL WHERE id = 1',
    'UPDATE desk.ticket SET department_id = 4 WHERE id IN (7, 3, 8, 99)',
    'UPDATE desk.ticket SET department_id = 4, assignee_id = 4 WHERE id = 1',
    'UPDATE desk.ticket SET assignee_id = 4 WHERE id = 4',
    'UPDATE desk.ticket AS t SET department_id = 4 FROM desk.ticket AS o WHERE o.id = t.id AND t.id < 5 RETURNING t.id, o.id',
    'WITH moved AS (UPDATE desk.ticket SET department_id = 4 WHERE id = 1 RETURNING *) SELECT * FROM moved',
    'INSERT INTO desk.ticket (subject, department_id, category_id) VALUES (1, 4, 1) RETURNING *',
    'INSERT INTO desk.ticket (subject, department_id, category_id) VALUES (1, 5, 1) RETURNING *',
    'INSERT INTO desk.ticket (id, subject, department_id, category_id) VALUES (1, 1, 1, 1) ON CONFLICT (id) DO UPDATE SET department_id = 4 RETURNING *',
    'INSERT INTO desk.ticket (id, subject, department_id, category_id) VALUES (3, 1, 1, 1) ON CONFLICT (id) DO UPDATE SET department_id = 4',
    'MERGE INTO desk.ticket AS t USING (VALUES (1)) AS v (id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET department_id = 4',
    'MERGE INTO desk.ticket AS t USING (VALUES (1)) AS v (id) ON t.id = v.id WHEN MATCHED THEN UPDATE SET department_id = 5']);
-- Handed over, it is gone, and only that.
BEGIN;
UPDATE desk.ticket SET department_id = 4 WHERE id = 1 RETURNING id, department_id;
SELECT array_agg(id ORDER BY id) FROM desk.ticket;
SELECT test.attempt('UPDATE desk.ticket SET department_id = 1 WHERE id = 1');
RESET ROLE;
SELECT id, subject, department_id FROM desk.ticket WHERE id = 1;
ROLLBACK;
RESET ROLE;

-- The user's own policies bind a hand-over, too.
CREATE POLICY tenant ON desk.ticket AS RESTRICTIVE USING (subject <> 'EU, unassigned') WITH CHECK (department_id IS DISTINCT FROM 3);
SET ROLE regress_ann;
SELECT left(test.attempt_only('UPDATE desk.ticket SET department_id = 4 WHERE id = 1'), 5) AS of_another_tenant;
SELECT left(test.attempt_only('UPDATE desk.ticket SET department_id = 3 WHERE id = 12'), 5) AS to_another_tenant;
SELECT test.attempt_only('UPDATE desk.ticket SET subject = 1') AS own_and_unassigned_of_the_tenant;
RESET ROLE;
DROP POLICY tenant ON desk.ticket;

-- One that asks our rules itself, say of where a ticket came from, is not taken for ours.
CREATE POLICY a_origin ON desk.ticket AS RESTRICTIVE FOR SELECT USING (deskguard_internal.view_ok('desk.ticket', 0, department_id, NULL, NULL, NULL, NULL, NULL, false));
SET ROLE regress_ann;
SELECT test.attempt_only('UPDATE desk.ticket SET department_id = 4 WHERE id = 1') AS not_seen_afterwards;
SELECT test.attempt_only('UPDATE desk.ticket SET department_id = 3 WHERE id = 1') AS seen_afterwards;
RESET ROLE;
DROP POLICY a_origin ON desk.ticket;
CREATE POLICY a_origin ON desk.ticket AS RESTRICTIVE FOR SELECT USING (deskguard_internal.view_ok('desk.ticket', id, 4, NULL, NULL, NULL, NULL, NULL, false));
SET ROLE regress_ann;
SELECT test.attempt_only('UPDATE desk.ticket SET subject = 1 WHERE id = 1') AS never_seen;
RESET ROLE;
DROP POLICY a_origin ON desk.ticket;

-- Ids that occur twice: neither is touched for the sake of the other.
SET client_min_messages = warning;
SET ROLE regress_owner;
CREATE TABLE desk.twice (id bigint, department_id bigint, note text);
SELECT deskguard.protect_tickets('desk.twice', department_column => 'department_id');
GRANT ALL ON desk.twice TO PUBLIC;
RESET ROLE;
RESET client_min_messages;
INSERT INTO desk.twice VALUES (1, 4, 'hidden'), (1, 2, 'seen'), (2, 2, 'seen'), (2, 4, 'hidden');
SET ROLE regress_ann;
UPDATE desk.twice SET department_id = 1 WHERE id IN (1, 2);
RESET ROLE;
SELECT * FROM desk.twice WHERE note = 'hidden' ORDER BY id;
DROP TABLE desk.twice;

-- The user's triggers may change the department, too: before ours and after.
CREATE FUNCTION test.send_to_accounts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.department_id := 5;
    RETURN NEW;
END $$;
CREATE TRIGGER a_first BEFORE UPDATE ON desk.ticket FOR EACH ROW EXECUTE FUNCTION test.send_to_accounts();
SET ROLE regress_ann;
SELECT * FROM test.tried(ARRAY['UPDATE desk.ticket SET subject = 1', 'UPDATE desk.ticket SET subject = 1 WHERE id = 12']);
RESET ROLE;
DROP TRIGGER a_first ON desk.ticket;
CREATE TRIGGER z_last BEFORE UPDATE ON desk.ticket FOR EACH ROW EXECUTE FUNCTION test.send_to_accounts();
SET ROLE regress_ann;
SELECT * FROM test.tried(ARRAY['UPDATE desk.ticket SET subject = 1', 'UPDATE desk.ticket SET subject = 1 WHERE id = 12']);
RESET ROLE;
DROP TRIGGER z_last ON desk.ticket;
CREATE TRIGGER z_last BEFORE INSERT ON desk.ticket FOR EACH ROW EXECUTE FUNCTION test.send_to_accounts();
SET ROLE regress_ann;
SELECT * FROM test.tried(ARRAY[$$INSERT INTO desk.ticket (subject, department_id, category_id) VALUES ('x', 1, 1)$$]);
RESET ROLE;
DROP TRIGGER z_last ON desk.ticket;

-- Foreign-key actions go through.
CREATE TABLE desk.department (id bigint PRIMARY KEY);
INSERT INTO desk.department SELECT id FROM deskguard.department;
CREATE TABLE desk.category (id bigint PRIMARY KEY);
INSERT INTO desk.category SELECT id FROM deskguard.category;
GRANT ALL ON desk.department, desk.category TO PUBLIC;
ALTER TABLE desk.ticket ADD FOREIGN KEY (department_id) REFERENCES desk.department ON DELETE SET NULL ON UPDATE CASCADE,
    ADD FOREIGN KEY (category_id) REFERENCES desk.category ON DELETE CASCADE;
BEGIN;
SET ROLE regress_other;
SELECT test.attempt('DELETE FROM desk.department WHERE id = 4');
SELECT test.attempt('UPDATE desk.department SET id = 66 WHERE id = 3');
SELECT test.attempt('DELETE FROM desk.category WHERE id = 3');
RESET ROLE;
SELECT id, department_id, category_id FROM desk.ticket ORDER BY id;
ROLLBACK;

-- The owner is bound, too; who bypasses row-level security is not.
SET ROLE regress_owner;
SELECT * FROM test.tried(ARRAY[
    'SELECT FROM desk.ticket', 'UPDATE desk.ticket SET department_id = 5', 'DELETE FROM desk.ticket',
    $$INSERT INTO desk.ticket (subject, department_id, category_id) VALUES ('x', 1, 1)$$]);
RESET ROLE;
SELECT * FROM test.tried(ARRAY['UPDATE desk.ticket SET department_id = 5', 'DELETE FROM desk.ticket']);

-- COPY
SET ROLE regress_ann;
COPY (SELECT id FROM desk.ticket ORDER BY id) TO STDOUT;
\copy desk.ticket (subject) FROM /dev/null
SET row_security = off;
SELECT * FROM test.tried(ARRAY['SELECT FROM desk.ticket', 'UPDATE desk.ticket SET subject = 1', 'DELETE FROM desk.ticket']);
RESET row_security;

-- CREATE TABLE AS and SELECT INTO hold what was seen.
CREATE TEMP TABLE copied AS SELECT * FROM desk.ticket;
SELECT id INTO TEMP copied_again FROM desk.ticket;
SELECT (SELECT array_agg(id ORDER BY id) FROM copied), (SELECT array_agg(id ORDER BY id) FROM copied_again);
RESET ROLE;

-- With right on everything that hangs on the relation: every cell of the matrix that a command shows.
INSERT INTO desk.ticket_follower VALUES (1, 2);
CREATE FUNCTION test.may(permissions text[]) RETURNS TABLE (modify bigint[], delete bigint[], modify_function bigint[], delete_function bigint[])
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM deskguard.group_permission;
    INSERT INTO deskguard.group_permission SELECT 100, p FROM unnest(permissions || '{ticket.use,ticket.view.unassigned,ticket.view.assigned}') AS p;
    BEGIN
        SET LOCAL ROLE regress_ann;
        WITH u AS (UPDATE desk.ticket SET subject = 1 RETURNING id) SELECT array_agg(id ORDER BY id) INTO modify FROM u;
        WITH d AS (DELETE FROM desk.ticket RETURNING id) SELECT array_agg(id ORDER BY id) INTO delete FROM d;
        RAISE SQLSTATE 'YY000';
    EXCEPTION WHEN SQLSTATE 'YY000' THEN
    END;
    SELECT array_agg(id ORDER BY id) INTO modify_function FROM desk.ticket WHERE deskguard.agent_can(2, 'modify', id);
    SELECT array_agg(id ORDER BY id) INTO delete_function FROM desk.ticket WHERE deskguard.agent_can(2, 'delete', id);
    RETURN NEXT;
END $$;
SELECT relation, m.*
FROM unnest(ARRAY['own', 'followed', 'unassigned', 'assigned']) AS relation,
    test.may(ARRAY['ticket.modify.' || relation, 'ticket.delete.' || relation]) AS m;
DROP FUNCTION test.may(text[]), test.send_to_accounts();
