-- Columns of the rules that are generated from others: stored ones are right, also where a trigger runs before they are
-- computed. Virtual ones are refused, where PostgreSQL has them.
SELECT test.reset();
SET client_min_messages = warning;
CREATE SCHEMA made AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA made TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_owner IN SCHEMA made GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO PUBLIC;
UPDATE deskguard.agent SET category_access = 'open' WHERE id = 2;
UPDATE deskguard.department SET external_key = 'd' || id;
INSERT INTO deskguard.group_permission VALUES (100, 'ticket.modify.assigned');
SET ROLE regress_owner;
CREATE TABLE made.status (id bigint PRIMARY KEY, department_id bigint, assignee_id bigint, closed date,
    status text GENERATED ALWAYS AS (CASE WHEN closed IS NULL THEN 'open' ELSE 'archived' END) STORED);
SELECT deskguard.protect_tickets('made.status', department_column => 'department_id', assignee_column => 'assignee_id',
    status_column => 'status', archived_values => '{archived}');
CREATE TABLE made.department (id bigint PRIMARY KEY, queue bigint, assignee_id bigint, subject text,
    department_id bigint GENERATED ALWAYS AS (queue / 100) STORED);
SELECT deskguard.protect_tickets('made.department', department_column => 'department_id', assignee_column => 'assignee_id');
CREATE TABLE made.assignee (id bigint PRIMARY KEY, department_id bigint, worker bigint, status text DEFAULT 'open',
    assignee_id bigint GENERATED ALWAYS AS (worker) STORED);
SELECT deskguard.protect_tickets('made.assignee', department_column => 'department_id', assignee_column => 'assignee_id',
    status_column => 'status', spam_values => '{spam}');
CREATE TABLE made.id (number bigint, id bigint GENERATED ALWAYS AS (number * 10) STORED PRIMARY KEY, department_id bigint);
SELECT deskguard.protect_tickets('made.id', department_column => 'department_id');
CREATE TABLE made.key (id bigint PRIMARY KEY, word text, assignee_id bigint,
    department_key text GENERATED ALWAYS AS ('d' || word) STORED);
SELECT deskguard.protect_tickets('made.key', department_column => 'department_key', assignee_column => 'assignee_id');
CREATE TABLE made.thing (k bigint, id bigint GENERATED ALWAYS AS (k) STORED, owner_id bigint);
SELECT deskguard.protect_shared('made.thing', owner_column => 'owner_id');
RESET ROLE;
INSERT INTO made.status VALUES (1, 1, NULL, '2027-01-01'), (2, 1, NULL, NULL);
INSERT INTO made.department VALUES (1, 501, 2, 'own, department 5'), (2, 101, NULL, 'department 1');
INSERT INTO made.assignee VALUES (1, 1, 4), (2, 1, 2);
INSERT INTO made.id (number, department_id) VALUES (1, 1), (2, 1);
INSERT INTO made.key VALUES (1, 'nonsense', 2), (2, '1', 2);
INSERT INTO made.thing VALUES (1, DEFAULT, 4);
INSERT INTO deskguard.shared_visibility (object_table, object_id, everyone) VALUES ('made.thing', 1, true);

SET ROLE regress_ann;
SELECT command, outcome FROM test.tried(ARRAY[
    -- Out of the archive takes a permission that Ann lacks.
    'UPDATE made.status SET closed = NULL WHERE id = 1',
    'UPDATE made.status SET closed = NULL WHERE id = 2',
    'UPDATE made.status SET closed = ''2027-01-01'' WHERE id = 2',
    'INSERT INTO made.status VALUES (3, 1, NULL, NULL)',
    -- No move, a move to where she may assign, and one to where she may not.
    'UPDATE made.department SET subject = ''x'' WHERE id = 1',
    'UPDATE made.department SET queue = 599 WHERE id = 1',
    'UPDATE made.department SET queue = 401 WHERE id = 1',
    'UPDATE made.department SET queue = 501 WHERE id = 2',
    -- Spam: of another, and her own.
    'UPDATE made.assignee SET status = ''spam'' WHERE id = 1',
    'UPDATE made.assignee SET status = ''spam'' WHERE id = 2',
    'UPDATE made.assignee SET status = ''spam'', worker = 2 WHERE id = 1',
    -- Another id, generated anew.
    'UPDATE made.id SET number = 5 WHERE id = 10',
    'UPDATE made.id SET number = number + 10, department_id = 4',
    'UPDATE made.id SET number = 5, department_id = 5 WHERE id = 10',
    -- From one department that is nobody''s external_key to another is a move, and to stay is none.
    'UPDATE made.key SET word = ''nonsense'' WHERE id = 1',
    'UPDATE made.key SET word = ''more nonsense'' WHERE id = 1',
    'UPDATE made.key SET word = ''4'' WHERE id = 1',
    'UPDATE made.key SET word = ''5'' WHERE id = 2',
    'SELECT * FROM made.thing']);
RESET ROLE;
-- Gone, and another with the same id is shared with nobody.
DELETE FROM made.thing;
INSERT INTO made.thing VALUES (1, DEFAULT, 4);
SET ROLE regress_ann;
SELECT * FROM made.thing;
RESET ROLE;

-- An id that is generated in a partition of its own column order.
SET ROLE regress_owner;
CREATE TABLE made.parted (number bigint, id bigint GENERATED ALWAYS AS (number * 10) STORED, department_id bigint) PARTITION BY RANGE (number);
CREATE TABLE made.part (gone int, department_id bigint, id bigint GENERATED ALWAYS AS (number * 10) STORED, number bigint);
ALTER TABLE made.part DROP COLUMN gone;
ALTER TABLE made.parted ATTACH PARTITION made.part DEFAULT;
SELECT test.attempt('SELECT deskguard.protect_tickets(''made.parted'', department_column => ''department_id'')');
RESET ROLE;
INSERT INTO made.parted VALUES (1, DEFAULT, 1);
SET ROLE regress_ann;
SELECT command, outcome FROM test.tried(ARRAY[
    'UPDATE made.parted SET number = 7, department_id = 4', 'UPDATE made.parted SET number = 7, department_id = 5']);
RESET ROLE;
DROP SCHEMA made CASCADE;
