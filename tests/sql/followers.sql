-- The follower table: seen with its ticket, written by who may view (oneself) or modify (others).
-- Ann sees 1, 4, 5, 6, 7, 12; may modify 1, 4, 5, 12. Carl sees 1 and 7 and may modify both.
SELECT test.reset();
INSERT INTO desk.ticket_follower VALUES (1, 4), (2, 4), (3, 4), (7, 4), (12, 5);
SET ROLE regress_ann;
SELECT * FROM desk.ticket_follower ORDER BY 1, 2;
SELECT * FROM test.tried(ARRAY[
    -- oneself, where it can view
    'INSERT INTO desk.ticket_follower VALUES (1, 2)',
    'INSERT INTO desk.ticket_follower VALUES (7, 2)',
    'INSERT INTO desk.ticket_follower VALUES (7, 2) RETURNING *',
    -- and where it cannot
    'INSERT INTO desk.ticket_follower VALUES (2, 2)',
    'INSERT INTO desk.ticket_follower VALUES (3, 2)',
    'INSERT INTO desk.ticket_follower VALUES (8, 2)',
    'INSERT INTO desk.ticket_follower VALUES (9, 2)',
    'INSERT INTO desk.ticket_follower VALUES (10, 2)',
    'INSERT INTO desk.ticket_follower VALUES (99, 2)',
    'INSERT INTO desk.ticket_follower VALUES (NULL, 2)',
    'INSERT INTO desk.ticket_follower SELECT n, 2 FROM generate_series(1, 12) AS n',
    'INSERT INTO desk.ticket_follower SELECT id, 2 FROM desk.ticket WHERE id <> 6',
    -- others, where it may modify
    'INSERT INTO desk.ticket_follower VALUES (1, 5)',
    'INSERT INTO desk.ticket_follower VALUES (4, 99)',
    'INSERT INTO desk.ticket_follower VALUES (6, 5)',
    'INSERT INTO desk.ticket_follower VALUES (7, 1)',
    'INSERT INTO desk.ticket_follower VALUES (4, NULL)',
    'INSERT INTO desk.ticket_follower VALUES (3, 5)',
    -- no rows are told of that are not seen
    'INSERT INTO desk.ticket_follower VALUES (3, 4)',
    'INSERT INTO desk.ticket_follower VALUES (3, 4) ON CONFLICT DO NOTHING',
    'INSERT INTO desk.ticket_follower VALUES (1, 4) ON CONFLICT DO NOTHING',
    'INSERT INTO desk.ticket_follower VALUES (1, 4) ON CONFLICT (ticket_id, agent_id) DO UPDATE SET agent_id = 2',
    -- no UPDATE
    'UPDATE desk.ticket_follower SET agent_id = 2',
    'UPDATE desk.ticket_follower SET ticket_id = 3 WHERE agent_id = 2',
    'UPDATE desk.ticket_follower SET ticket_id = ticket_id',
    'MERGE INTO desk.ticket_follower AS f USING (VALUES (6)) AS v (id) ON f.ticket_id = v.id WHEN MATCHED THEN UPDATE SET ticket_id = 3',
    'SELECT FROM desk.ticket_follower FOR UPDATE',
    -- DELETE
    'DELETE FROM desk.ticket_follower',
    'DELETE FROM desk.ticket_follower WHERE agent_id = 2',
    'DELETE FROM desk.ticket_follower WHERE ticket_id = 1',
    'DELETE FROM desk.ticket_follower WHERE ticket_id = 7',
    'DELETE FROM desk.ticket_follower WHERE ticket_id = 10',
    'DELETE FROM desk.ticket_follower WHERE ticket_id = 3',
    'TRUNCATE desk.ticket_follower']);

-- Following grants nothing but sight, which lasts when the ticket goes elsewhere, but not outside the silo.
BEGIN;
INSERT INTO desk.ticket_follower VALUES (7, 2), (1, 2);
SELECT array_agg(id ORDER BY id) FROM desk.ticket;
SELECT test.attempt_only('UPDATE desk.ticket SET subject = 1 WHERE id = 7');
SELECT test.attempt_only('DELETE FROM desk.ticket WHERE id = 7');
SELECT deskguard.agent_can(2, 'reply', 7), deskguard.agent_can(2, 'reply', 1);
UPDATE desk.ticket SET department_id = 4 WHERE id = 1;
SELECT array_agg(id ORDER BY id) AS handed_over_and_followed FROM desk.ticket;
SELECT test.attempt_only('UPDATE desk.ticket SET subject = 1 WHERE id = 1') AS still_unassigned;
RESET ROLE;
UPDATE desk.ticket SET category_id = 3 WHERE id = 1;
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) AS out_of_the_silo FROM desk.ticket;
SELECT test.attempt_only('DELETE FROM desk.ticket_follower WHERE ticket_id = 1');
ROLLBACK;

-- A plain UPDATE hands a ticket over that one follows.
SELECT test.attempt_only('UPDATE desk.ticket SET department_id = 4 WHERE id = 1') AS not_followed;
BEGIN;
INSERT INTO desk.ticket_follower VALUES (1, 2);
SELECT test.attempt_only('UPDATE desk.ticket SET department_id = 4 WHERE id = 1') AS followed;
ROLLBACK;

-- To stop following takes the sight.
BEGIN;
DELETE FROM desk.ticket_follower WHERE ticket_id = 6 AND agent_id = 2;
SELECT array_agg(id ORDER BY id) FROM desk.ticket;
SELECT test.attempt('INSERT INTO desk.ticket_follower VALUES (6, 2)');
ROLLBACK;
RESET ROLE;

-- Deleting a ticket takes its followers along, whoever they are.
SET ROLE regress_ann;
BEGIN;
DELETE FROM desk.ticket WHERE id = 12;
RESET ROLE;
SELECT count(*) FROM desk.ticket_follower WHERE ticket_id = 12;
ROLLBACK;

-- Nobody, and the owner, who is nobody here.
SET ROLE regress_other;
SELECT * FROM test.tried(ARRAY['SELECT FROM desk.ticket_follower', 'DELETE FROM desk.ticket_follower',
    'INSERT INTO desk.ticket_follower VALUES (1, 2)', 'INSERT INTO desk.ticket_follower VALUES (1, NULL)']);
SET ROLE regress_owner;
SELECT * FROM test.tried(ARRAY['SELECT FROM desk.ticket_follower', 'DELETE FROM desk.ticket_follower']);
RESET ROLE;

-- Who sees all tickets sees all followers.
SET SESSION AUTHORIZATION regress_app;
SET deskguard.agent_id = 1;
SELECT count(*) FROM desk.ticket_follower;
SELECT * FROM test.tried(ARRAY['INSERT INTO desk.ticket_follower VALUES (3, 5)', 'INSERT INTO desk.ticket_follower VALUES (99, 1)',
    'DELETE FROM desk.ticket_follower']);
RESET SESSION AUTHORIZATION;
RESET deskguard.agent_id;
