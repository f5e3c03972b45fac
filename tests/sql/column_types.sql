-- Another type of a column that the rules ask: all that is protected stays so, with all that belongs to it.
SELECT test.reset();
SET client_min_messages = warning;
SET ROLE regress_owner;
CREATE SCHEMA ct;
GRANT USAGE ON SCHEMA ct TO PUBLIC;
CREATE TYPE ct.state AS ENUM ('open', 'archived');
CREATE TABLE ct.ticket (id int PRIMARY KEY, department_id smallint, assignee_id int, team_id int, status varchar(20) DEFAULT 'open', hidden boolean DEFAULT false);
CREATE TABLE ct.follower (ticket_id int REFERENCES ct.ticket, agent_id int);
CREATE TABLE ct.message (id int PRIMARY KEY, ticket_id int NOT NULL REFERENCES ct.ticket, author_id int);
CREATE TABLE ct.attachment (id int PRIMARY KEY, message_id int REFERENCES ct.message);
CREATE TABLE ct.filter (id int PRIMARY KEY, owner_id int);
CREATE TABLE ct.parted (id int, department_id int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE ct.part_1 PARTITION OF ct.parted FOR VALUES FROM (1) TO (10);
CREATE TABLE ct.part_2 PARTITION OF ct.parted FOR VALUES FROM (10) TO (20);
CREATE TABLE ct.part_3 PARTITION OF ct.parted FOR VALUES FROM (20) TO (30);
CREATE TABLE ct.parent (id int PRIMARY KEY, owner_id int);
CREATE TABLE ct.child (more text) INHERITS (ct.parent);
INSERT INTO ct.ticket VALUES (1, 2, NULL), (2, 5, NULL), (3, 5, 2), (4, 5, 5);
INSERT INTO ct.follower VALUES (4, 2), (2, 4);
INSERT INTO ct.message SELECT id, id, 2 FROM ct.ticket;
INSERT INTO ct.attachment SELECT id, id FROM ct.message;
INSERT INTO ct.filter VALUES (1, 2), (2, 4), (3, 4), (4, 4);
INSERT INTO ct.parted SELECT n, 2 + 3 * (n % 2) FROM unnest(ARRAY[1, 2, 11, 12, 21, 22]) AS n;
INSERT INTO ct.parent VALUES (1, 2), (2, 4);
INSERT INTO ct.child VALUES (11, 2), (12, 4);
GRANT ALL ON ALL TABLES IN SCHEMA ct TO PUBLIC;
SELECT deskguard.protect_tickets('ct.ticket', department_column => 'department_id', assignee_column => 'assignee_id', team_column => 'team_id',
    follower_table => 'ct.follower', status_column => 'status', archived_values => '{archived}', confidential_column => 'hidden');
SELECT deskguard.protect_messages('ct.message', 'ct.ticket', author_column => 'author_id');
SELECT deskguard.protect_messages('ct.attachment', 'ct.message', 'message_id');
SELECT deskguard.protect_shared('ct.filter', owner_column => 'owner_id');
SELECT deskguard.protect_shared('ct.parent', owner_column => 'owner_id');
SELECT deskguard.protect_tickets('ct.parted', department_column => 'department_id');
SELECT deskguard.protect_feature('ct.filter', 'ticket.use');
SELECT deskguard.protect_feature('ct.ticket', 'ticket.use', 'UPDATE');
ALTER TABLE ct.parted DETACH PARTITION ct.part_3;
RESET ROLE;
UPDATE deskguard.agent SET category_access = 'open' WHERE id = 2;
SELECT deskguard.share('ct.filter', 3, agent_id => 2), deskguard.share('ct.parent', 12, everyone => true);

CREATE FUNCTION test.registered() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', t, deskguard_internal.base_ok(t.table_id)) FROM deskguard.protected_table AS t
    UNION ALL SELECT f::text FROM deskguard.protected_feature AS f
    UNION ALL SELECT v::text FROM deskguard.shared_visibility AS v
    ORDER BY 1
$$;
CREATE TABLE test.registered_before AS SELECT test.registered() AS line;
CREATE TABLE test.protection_before AS
SELECT c.oid::regclass AS of, p.what, split_part(p.definition, ' ', 1) AS name
FROM pg_class AS c, test.protection(c.oid) AS p WHERE c.relnamespace = 'ct'::regnamespace AND c.relkind IN ('r', 'p');
-- What differs from that, and what Ann sees and may do.
CREATE FUNCTION test.kept(OUT difference text, OUT seen text) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    FOR difference IN
        (SELECT test.registered() EXCEPT TABLE test.registered_before) UNION ALL (TABLE test.registered_before EXCEPT SELECT test.registered())
        UNION ALL SELECT x::text FROM (
            SELECT c.oid::regclass, p.what, split_part(p.definition, ' ', 1)
            FROM pg_class AS c, test.protection(c.oid) AS p WHERE c.relnamespace = 'ct'::regnamespace AND c.relkind IN ('r', 'p')
            EXCEPT TABLE test.protection_before) AS x
        UNION ALL SELECT x::text FROM (
            TABLE test.protection_before EXCEPT SELECT c.oid::regclass, p.what, split_part(p.definition, ' ', 1)
            FROM pg_class AS c, test.protection(c.oid) AS p WHERE c.relnamespace = 'ct'::regnamespace AND c.relkind IN ('r', 'p')) AS x
    LOOP
        RETURN NEXT;
    END LOOP;
    difference := NULL;
    SET LOCAL ROLE regress_ann;
    SELECT concat_ws(', ',
        'tickets ' || (SELECT array_agg(id ORDER BY id) FROM ct.ticket)::text, 'followers ' || (SELECT array_agg(ticket_id ORDER BY 1) FROM ct.follower)::text,
        'messages ' || (SELECT array_agg(id ORDER BY id) FROM ct.message)::text, 'attachments ' || (SELECT array_agg(id ORDER BY id) FROM ct.attachment)::text,
        'filters ' || (SELECT array_agg(id ORDER BY id) FROM ct.filter)::text, 'parted ' || (SELECT array_agg(id ORDER BY id) FROM ct.parted)::text,
        'part_1 ' || (SELECT array_agg(id ORDER BY id) FROM ct.part_1)::text, 'part_3 ' || (SELECT array_agg(id ORDER BY id) FROM ct.part_3)::text,
        'parent ' || (SELECT array_agg(id ORDER BY id) FROM ct.parent)::text, 'child ' || (SELECT array_agg(id ORDER BY id) FROM ct.child)::text,
        'unassign ' || split_part(test.attempt_only('UPDATE ct.ticket SET assignee_id = 5'), E'\n', 1),
        'archive ' || split_part(test.attempt_only('UPDATE ct.ticket SET status = ''archived'' WHERE id = 1'), E'\n', 1),
        'to 4 ' || split_part(test.attempt_only('UPDATE ct.ticket SET department_id = 4 WHERE id = 1'), E'\n', 1),
        'to 5 ' || split_part(test.attempt_only('UPDATE ct.ticket SET department_id = 5 WHERE id = 1'), E'\n', 1),
        'filter ' || split_part(test.attempt_only('UPDATE ct.filter SET owner_id = 2'), E'\n', 1)) INTO seen;
    RETURN NEXT;
END $$;
SELECT * FROM test.kept();

-- As the owner, each command by itself, and in one.
SET ROLE regress_owner;
ALTER TABLE ct.ticket ALTER id TYPE bigint;
ALTER TABLE ct.ticket ALTER department_id TYPE bigint, ALTER COLUMN assignee_id SET DATA TYPE bigint;
ALTER TABLE ct.ticket ALTER status TYPE text, ALTER team_id TYPE bigint;
ALTER TABLE ct.follower ALTER ticket_id TYPE bigint, ALTER agent_id TYPE bigint;
ALTER TABLE ct.message ALTER ticket_id TYPE bigint, ALTER author_id TYPE bigint;
ALTER TABLE ct.message ALTER id TYPE bigint;
ALTER TABLE ct.attachment ALTER message_id TYPE bigint;
ALTER TABLE ct.filter ALTER id TYPE bigint, ALTER owner_id TYPE bigint;
ALTER TABLE ct.parted ALTER department_id TYPE bigint;
ALTER TABLE ct.part_3 ALTER department_id TYPE bigint;
ALTER TABLE ct.parent ALTER id TYPE bigint, ALTER owner_id TYPE bigint;
RESET ROLE;
SELECT * FROM test.kept();
SELECT attrelid::regclass, array_agg(concat(attname, ' ', atttypid::regtype) ORDER BY attnum) FROM pg_attribute
WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'ct'::regnamespace AND relkind IN ('r', 'p')) AND attnum > 0
GROUP BY 1 ORDER BY 1;
-- A status of another kind, and back; by who owns nothing of it.
ALTER TABLE ct.ticket ALTER status DROP DEFAULT, ALTER status TYPE ct.state USING status::ct.state;
SELECT * FROM test.kept();
ALTER TABLE ct.ticket ALTER status TYPE varchar USING status::text, ALTER status SET DEFAULT 'open';
-- A detached partition is attached again.
ALTER TABLE ct.parted ATTACH PARTITION ct.part_3 FOR VALUES FROM (20) TO (30);
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) AS parted FROM ct.parted;
RESET ROLE;
ALTER TABLE ct.parted DETACH PARTITION ct.part_3;
SELECT * FROM test.kept();

-- An agent of another kind of key: the rule goes on, by external_key.
BEGIN;
UPDATE deskguard.agent SET external_key = 'k' || id;
SELECT test.attempt('ALTER TABLE ct.ticket ALTER assignee_id TYPE text USING ''k'' || assignee_id');
SET LOCAL ROLE regress_ann;
SELECT array_agg(id ORDER BY id) AS tickets FROM ct.ticket;
SELECT array_agg(id ORDER BY id) AS messages FROM ct.message;
ROLLBACK;

-- What is refused leaves all as it was.
SET ROLE regress_owner;
SELECT command, test.attempt(command) FROM unnest(ARRAY[
    -- Not for the rules.
    'ALTER TABLE ct.ticket ALTER department_id TYPE numeric',
    'ALTER TABLE ct.ticket ALTER id TYPE real',
    'ALTER TABLE ct.ticket ALTER hidden TYPE text',
    'ALTER TABLE ct.ticket ALTER status TYPE json USING ''1''',
    'ALTER TABLE ct.ticket ALTER team_id TYPE text COLLATE "nothing"',
    'ALTER TABLE ct.filter ALTER owner_id TYPE numeric',
    -- Other keys than those by which rows belong together.
    'ALTER TABLE ct.follower ALTER ticket_id TYPE text',
    'ALTER TABLE ct.filter ALTER id TYPE text',
    'ALTER TABLE ct.parted ALTER id TYPE text',
    'ALTER TABLE ct.part_3 ALTER department_id TYPE text',
    'ALTER TABLE ct.parted ALTER department_id TYPE text',
    -- PostgreSQL's own.
    'ALTER TABLE ct.part_1 ALTER id TYPE int',
    'ALTER TABLE ct.ticket ALTER id TYPE uuid',
    'ALTER TABLE ct.ticket ALTER nothing TYPE int',
    'ALTER TABLE ct.ticket ALTER id TYPE smallint USING 1',
    -- Foreign keys are checked against all rows, and so not together with expressions.
    'ALTER TABLE ct.ticket ALTER id TYPE int USING id + 0',
    'ALTER TABLE ct.ticket ALTER id TYPE int, ADD COLUMN more int DEFAULT 1']) AS command;
RESET ROLE;
SELECT test.attempt_only('ALTER TABLE ct.message ALTER ticket_id TYPE text');
SELECT test.attempt_only('ALTER TABLE ct.filter DROP CONSTRAINT filter_pkey; ALTER TABLE ct.filter ALTER id TYPE uuid USING test.key(''a'', id)');
SELECT test.attempt_only('DELETE FROM deskguard.shared_visibility; ALTER TABLE ct.filter ALTER id TYPE uuid USING test.key(''a'', id)');
SET ROLE regress_ann;
SELECT test.attempt('ALTER TABLE ct.ticket ALTER id TYPE int');
RESET ROLE;
SELECT * FROM test.kept();
-- One who bypasses row-level security may do it with expressions.
BEGIN;
ALTER TABLE ct.ticket ALTER id TYPE int USING id + 0;
SELECT * FROM test.kept();
ROLLBACK;

-- What runs in the command sees no row that policies hide.
CREATE FUNCTION ct.looks(n bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '% sees % tickets, % filters', current_user, (SELECT count(*) FROM ct.ticket), (SELECT count(*) FROM ct.filter);
    RETURN n;
END $$;
SET client_min_messages = notice;
SET ROLE regress_owner;
SELECT test.attempt_only('ALTER TABLE ct.filter ALTER owner_id TYPE int USING ct.looks(owner_id)');
RESET ROLE;
CREATE POLICY mine ON ct.filter USING (true);
SET ROLE regress_owner;
SELECT test.attempt_only('ALTER TABLE ct.filter ALTER owner_id TYPE int USING ct.looks(owner_id)');
RESET ROLE;
DROP POLICY mine ON ct.filter;
SET client_min_messages = warning;

-- A prepared statement of before.
PREPARE filters AS SELECT array_agg(id ORDER BY id) FROM ct.filter;
SET ROLE regress_ann;
EXECUTE filters;
RESET ROLE;
ALTER TABLE ct.filter ALTER id TYPE int;
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) FROM ct.filter;
RESET ROLE;
SELECT * FROM test.kept();
DEALLOCATE filters;
DROP SCHEMA ct CASCADE;
DROP FUNCTION test.kept, test.registered;
DROP TABLE test.registered_before, test.protection_before;
