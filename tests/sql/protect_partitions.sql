-- A partition or child table shows and takes what its parent does, whenever it came.
SELECT test.reset();
SET client_min_messages = warning;
CREATE SCHEMA ours AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA ours TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_owner IN SCHEMA ours GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO PUBLIC;
SET ROLE regress_owner;
CREATE TABLE ours.ticket (id int, dep int, cat int, who int, PRIMARY KEY (id, dep)) PARTITION BY LIST (dep);
CREATE TABLE ours.support PARTITION OF ours.ticket FOR VALUES IN (1, 2, 3);
CREATE TABLE ours.sales PARTITION OF ours.ticket FOR VALUES IN (4) PARTITION BY RANGE (id);
CREATE TABLE ours.sales_old PARTITION OF ours.sales FOR VALUES FROM (MINVALUE) TO (100);
CREATE TABLE ours.follower (ticket_id int, agent_id int) PARTITION BY HASH (ticket_id);
CREATE TABLE ours.follower_0 PARTITION OF ours.follower FOR VALUES WITH (MODULUS 2, REMAINDER 0);
SELECT deskguard.protect_tickets('ours.ticket', department_column => 'dep', category_column => 'cat',
    assignee_column => 'who', follower_table => 'ours.follower');

-- Added later: by CREATE TABLE, below a partition, by ATTACH, with other column numbers.
CREATE TABLE ours.accounts PARTITION OF ours.ticket FOR VALUES IN (5);
CREATE TABLE ours.sales_new PARTITION OF ours.sales FOR VALUES FROM (100) TO (MAXVALUE);
CREATE TABLE ours.rest (gone text, who int, cat int, also_gone int, dep int NOT NULL, id int NOT NULL);
ALTER TABLE ours.rest DROP gone, DROP also_gone;
INSERT INTO ours.rest VALUES (2, 1, 9, 900), (NULL, 1, 9, 901);
ALTER TABLE ours.ticket ATTACH PARTITION ours.rest DEFAULT;
CREATE TABLE ours.follower_1 PARTITION OF ours.follower FOR VALUES WITH (MODULUS 2, REMAINDER 1);
RESET ROLE;
INSERT INTO ours.ticket VALUES
    (1, 1, 1, NULL), (2, 2, 1, NULL), (3, 2, 3, NULL), (40, 4, 1, 2), (41, 4, 1, 4), (42, 4, 1, 4), (140, 4, 1, 2),
    (141, 4, 1, NULL), (50, 5, 1, 2), (51, 5, 1, NULL), (52, 5, 3, 2);
INSERT INTO ours.follower VALUES (42, 2), (52, 2), (51, 4), (1, 1);
SELECT c.oid::regclass AS relation, c.relrowsecurity AND c.relforcerowsecurity AS closed,
    (SELECT count(*) FROM pg_policy WHERE polrelid = c.oid) AS policies,
    p.root
FROM pg_class AS c LEFT JOIN deskguard.protected_table AS p ON p.table_id = c.oid
WHERE c.relnamespace = 'ours'::regnamespace AND c.relkind IN ('r', 'p')
ORDER BY c.relname COLLATE "C";

SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) AS ticket FROM ours.ticket;
SELECT (SELECT array_agg(id ORDER BY id) FROM ours.support) AS support,
    (SELECT array_agg(id ORDER BY id) FROM ours.sales) AS sales,
    (SELECT array_agg(id ORDER BY id) FROM ours.sales_old) AS sales_old,
    (SELECT array_agg(id ORDER BY id) FROM ours.sales_new) AS sales_new,
    (SELECT array_agg(id ORDER BY id) FROM ours.accounts) AS accounts,
    (SELECT array_agg(id ORDER BY id) FROM ours.rest) AS rest;
SELECT array_agg(t ORDER BY t) AS visible FROM deskguard.visible_tickets(2, 'ours.ticket') AS t;
SELECT (SELECT array_agg(ticket_id ORDER BY ticket_id) FROM ours.follower) AS follower,
    (SELECT array_agg(ticket_id ORDER BY ticket_id) FROM ours.follower_0) AS follower_0,
    (SELECT array_agg(ticket_id ORDER BY ticket_id) FROM ours.follower_1) AS follower_1;
SELECT command, test.attempt_only(command)
FROM unnest(ARRAY[
    'INSERT INTO ours.ticket VALUES (43, 4, 1)',
    'INSERT INTO ours.sales_old VALUES (43, 4, 1)',
    'INSERT INTO ours.sales_old VALUES (43, 4, 3)',
    'INSERT INTO ours.accounts VALUES (53, 5, 1)',
    'INSERT INTO ours.rest (id, dep, cat) VALUES (902, NULL, 1)',
    'UPDATE ours.ticket SET cat = 2',
    'UPDATE ours.accounts SET cat = 2',
    'UPDATE ours.accounts SET cat = 3',
    'DELETE FROM ours.ticket',
    'DELETE FROM ours.rest',
    'INSERT INTO ours.follower VALUES (40, 2)',
    'INSERT INTO ours.follower_0 VALUES (51, 2)',
    'INSERT INTO ours.follower_1 VALUES (51, 2)',
    'UPDATE ours.follower_1 SET agent_id = 2',
    'DELETE FROM ours.follower_0']) AS command;

-- From partition to partition.
SELECT command, test.attempt_only(command)
FROM unnest(ARRAY[
    'UPDATE ours.ticket SET dep = 4 WHERE id = 40',
    'UPDATE ours.ticket SET dep = 1 WHERE id = 40',
    'UPDATE ours.ticket SET dep = 5 WHERE id = 1',
    'UPDATE ours.ticket SET dep = 5',
    'UPDATE ours.ticket SET dep = 99',
    'UPDATE ours.ticket SET dep = 4',
    'UPDATE ours.ticket SET id = id + 1000 WHERE id = 40',
    'UPDATE ours.sales SET id = id + 1000',
    'UPDATE ours.support SET dep = 3',
    'UPDATE ours.rest SET dep = 77']) AS command;
UPDATE ours.ticket SET dep = 4 WHERE id = 2;
RESET ROLE;
SELECT tableoid::regclass, * FROM ours.ticket WHERE id IN (1, 2);

-- A partition that leaves keeps its protection, and may come back.
SET ROLE regress_owner;
ALTER TABLE ours.ticket DETACH PARTITION ours.accounts;
SELECT what, definition FROM test.protection('ours.accounts') WHERE what = 'table';
RESET ROLE;
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) AS ticket FROM ours.ticket;
SELECT array_agg(id ORDER BY id) AS accounts FROM ours.accounts;
SELECT test.attempt_only('UPDATE ours.accounts SET dep = 99');
SELECT test.attempt_only('UPDATE ours.accounts SET dep = 1');
SELECT test.attempt_only('UPDATE ours.accounts SET cat = 2');
RESET ROLE;
SET ROLE regress_owner;
ALTER TABLE ours.ticket ATTACH PARTITION ours.accounts FOR VALUES IN (5);
SELECT what, definition FROM test.protection('ours.accounts') WHERE what = 'table';
RESET ROLE;
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) AS ticket FROM ours.ticket;
SELECT array_agg(id ORDER BY id) AS accounts FROM ours.accounts;
SELECT test.attempt_only('UPDATE ours.ticket SET dep = 99 WHERE id = 50');
RESET ROLE;

-- A partition alone cannot be opened, nor can the whole be put below a table that is open.
SET ROLE regress_owner;
SELECT left(test.attempt_only($$SELECT deskguard.unprotect('ours.support')$$), 5) <> 'rows:' AS refused;
CREATE TABLE ours.above (id int, dep int, cat int, who int) PARTITION BY LIST (dep);
SELECT left(test.attempt_only('ALTER TABLE ours.above ATTACH PARTITION ours.ticket DEFAULT'), 5) <> 'rows:' AS refused;
RESET ROLE;

-- Mapped anew and unprotected as a whole.
SET ROLE regress_owner;
SELECT deskguard.protect_tickets('ours.ticket', assignee_column => 'who', drop_rules => true);
RESET ROLE;
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) AS ticket FROM ours.ticket;
SELECT array_agg(id ORDER BY id) AS sales_new FROM ours.sales_new;
RESET ROLE;
SET ROLE regress_owner;
SELECT deskguard.unprotect('ours.ticket');
RESET ROLE;
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace = 'ours'::regnamespace
    AND (c.relrowsecurity OR c.relforcerowsecurity OR c.oid IN (SELECT polrelid FROM pg_policy)
        OR c.oid IN (SELECT tgrelid FROM pg_trigger WHERE NOT tgisinternal)
        OR c.oid IN (SELECT table_id FROM deskguard.protected_table));

-- Inheritance.
SET ROLE regress_owner;
CREATE TABLE ours.parent (id int, dep int, who int);
CREATE TABLE ours.child (extra text) INHERITS (ours.parent);
SELECT deskguard.protect_tickets('ours.parent', department_column => 'dep', assignee_column => 'who');
CREATE TABLE ours.grandchild () INHERITS (ours.child);
CREATE TABLE ours.adopted (who int, dep int, id int);
ALTER TABLE ours.adopted INHERIT ours.parent;
RESET ROLE;
INSERT INTO ours.parent VALUES (1, 1), (2, 4);
INSERT INTO ours.child VALUES (3, 1), (4, 4);
INSERT INTO ours.grandchild VALUES (5, 1, NULL), (6, 4, NULL), (7, 4, 2), (10, 5, 2);
INSERT INTO ours.adopted (id, dep, who) VALUES (8, 1, NULL), (9, 4, NULL), (11, 5, 2);
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) AS parent FROM ours.parent;
SELECT array_agg(id ORDER BY id) AS only_parent FROM ONLY ours.parent;
SELECT (SELECT array_agg(id ORDER BY id) FROM ours.child) AS child,
    (SELECT array_agg(id ORDER BY id) FROM ours.grandchild) AS grandchild,
    (SELECT array_agg(id ORDER BY id) FROM ours.adopted) AS adopted;
SELECT test.attempt_only('UPDATE ours.parent SET dep = 5');
SELECT test.attempt_only('UPDATE ours.grandchild SET dep = 5');
SELECT test.attempt_only('UPDATE ours.parent SET dep = dep') AS no_move, test.attempt_only('UPDATE ours.grandchild SET id = id') AS nor_here;
SELECT test.attempt_only('UPDATE ours.adopted SET dep = 4');
SELECT array_agg(t ORDER BY t) AS visible FROM deskguard.visible_tickets(2, 'ours.parent') AS t;
RESET ROLE;
SET ROLE regress_owner;
ALTER TABLE ours.adopted NO INHERIT ours.parent;
RESET ROLE;
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) AS adopted FROM ours.adopted;
SELECT test.attempt_only('UPDATE ours.adopted SET id = id') AS no_move, test.attempt_only('UPDATE ours.adopted SET dep = 99');
RESET ROLE;

-- What cannot be protected cannot become a part.
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
SELECT test.attempt_only('CREATE FOREIGN TABLE ours.far () INHERITS (ours.parent) SERVER nowhere');
DROP FOREIGN DATA WRAPPER nothing CASCADE;
SET ROLE regress_owner;
SELECT left(test.attempt('CREATE TEMP TABLE passing () INHERITS (ours.parent)'), 0);
DISCARD TEMP;
RESET ROLE;
SELECT table_id AS gone FROM deskguard.protected_table WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = table_id);
DROP SCHEMA ours CASCADE;
SELECT table_id FROM deskguard.protected_table ORDER BY table_id::text COLLATE "C";
