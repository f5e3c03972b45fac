-- Features and shared things, while rights begin and end by themselves.
SELECT test.reset();
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
CREATE SCHEMA ours AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA ours TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_owner IN SCHEMA ours GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO PUBLIC;
CREATE FUNCTION test.plan(query text) RETURNS TABLE (line text) LANGUAGE plpgsql AS $$
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        -- PostgreSQL 18 says so of the scans that are switched off below.
        IF line !~ 'Disabled: true' THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
-- The group gives nothing but sight of what is shared with it.
INSERT INTO deskguard.permission (name) VALUES ('invoice.view');
INSERT INTO deskguard.permission_group (name) VALUES ('Visitors');
INSERT INTO deskguard.group_member VALUES (101, 2);
INSERT INTO deskguard.agent_permission VALUES (2, 'invoice.view');
SET ROLE regress_owner;
CREATE TABLE ours.invoice (id int);
INSERT INTO ours.invoice VALUES (1), (2);
SELECT deskguard.protect_feature('ours.invoice', 'invoice.view');
CREATE TABLE ours.filter (id int PRIMARY KEY, owner_id int, name text);
INSERT INTO ours.filter SELECT g, CASE g WHEN 9 THEN 2 ELSE 5 END, 'filter ' || g FROM generate_series(1, 9) AS g;
SELECT deskguard.protect_shared('ours.filter', owner_column => 'owner_id');
RESET ROLE;
SELECT deskguard.share('ours.filter', 1, group_id => 101), deskguard.share('ours.filter', 2, group_id => 101),
    deskguard.share('ours.filter', 2, agent_id => 2), deskguard.share('ours.filter', 3, everyone => true);
ANALYZE ours.filter;

-- What Ann sees of both and changes of the latter; the same folded, by a list, and not folded.
CREATE FUNCTION test.ann() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answers text[];
    invoices bigint[];
    seen bigint[];
    changed bigint[];
    setting text[];
BEGIN
    SET LOCAL ROLE regress_ann;
    FOREACH setting SLICE 1 IN ARRAY ARRAY[['on', '1000'], ['on', '0'], ['off', '0']] LOOP
        PERFORM set_config('deskguard.fold', setting[1], true), set_config('deskguard.fold_limit', setting[2], true);
        SELECT array_agg(id ORDER BY id) INTO invoices FROM ours.invoice;
        SELECT array_agg(id ORDER BY id) INTO seen FROM ours.filter;
        WITH c AS (UPDATE ours.filter SET name = 'x' RETURNING id)
        SELECT array_agg(id ORDER BY id) INTO changed FROM c;
        answers := answers || format('invoices %s, filters %s, changes %s', invoices, seen, changed);
    END LOOP;
    RESET ROLE;
    RETURN CASE WHEN answers[1] = ALL (answers) THEN answers[1] ELSE answers::text END;
END $$;
CREATE FUNCTION test.limited(rows_of text) RETURNS TABLE (valid_from text, valid_until text, ann text) LANGUAGE plpgsql AS $$
BEGIN
    FOR valid_from, valid_until IN
        VALUES (NULL, NULL), ('now()', 'now() + ''1 us'''), ('now() + ''1 us''', NULL), (NULL, 'now()')
    LOOP
        BEGIN
            EXECUTE format('UPDATE deskguard.%s',
                replace(rows_of, 'SET', format('SET valid_from = %s, valid_until = %s',
                    coalesce(valid_from, 'NULL'), coalesce(valid_until, 'NULL'))));
            ann := test.ann();
            RAISE EXCEPTION USING ERRCODE = 'YY000';
        EXCEPTION WHEN SQLSTATE 'YY000' THEN
            RETURN NEXT;
        END;
    END LOOP;
END $$;
SELECT * FROM test.limited('agent_permission SET WHERE permission = ''invoice.view''');
SELECT * FROM test.limited('group_member SET WHERE group_id = 101');
BEGIN;
INSERT INTO deskguard.agent_permission VALUES (2, 'shared.manage');
SELECT * FROM test.limited('agent_permission SET WHERE permission = ''shared.manage''');
INSERT INTO deskguard.group_permission VALUES (101, 'invoice.view');
DELETE FROM deskguard.agent_permission;
SELECT * FROM test.limited('group_permission SET WHERE permission = ''invoice.view''');
ROLLBACK;

-- Plans: what is right at all times, and the call for the time after.
SET enable_seqscan = off;
BEGIN;
UPDATE deskguard.agent_permission SET valid_until = '2100-01-01Z';
SET LOCAL ROLE regress_ann;
SELECT test.plan('SELECT * FROM ours.invoice');
ROLLBACK;
BEGIN;
UPDATE deskguard.agent_permission SET valid_from = '2100-01-01Z';
SET LOCAL ROLE regress_ann;
SELECT test.plan('SELECT * FROM ours.invoice');
ROLLBACK;
BEGIN;
UPDATE deskguard.group_member SET valid_until = '2100-01-01Z' WHERE group_id = 101;
SET LOCAL ROLE regress_ann;
SELECT test.plan('SELECT * FROM ours.filter');
SET LOCAL deskguard.fold_limit = 0;
SELECT test.plan('SELECT * FROM ours.filter WHERE owner_id IS NULL');
ROLLBACK;
BEGIN;
UPDATE deskguard.group_member SET valid_from = '2100-01-01Z' WHERE group_id = 101;
SET LOCAL ROLE regress_ann;
SELECT test.plan('SELECT * FROM ours.filter');
SELECT test.plan('DELETE FROM ours.filter');
ROLLBACK;
RESET enable_seqscan;

-- Kept plans go on past the moment, in both directions.
INSERT INTO deskguard.agent_permission VALUES (4, 'invoice.view');
UPDATE deskguard.agent_permission SET valid_until = now() + '2 s' WHERE agent_id = 2;
UPDATE deskguard.agent_permission SET valid_from = now() + '2 s' WHERE agent_id = 4;
UPDATE deskguard.group_member SET valid_until = now() + '2 s' WHERE group_id = 101;
INSERT INTO deskguard.group_member VALUES (101, 4, now() + '2 s');
SET plan_cache_mode = force_generic_plan;
PREPARE ann AS SELECT (SELECT count(*) FROM ours.invoice) AS invoices, ARRAY(SELECT id FROM ours.filter ORDER BY id) AS filters;
PREPARE carl AS SELECT (SELECT count(*) FROM ours.invoice) AS invoices, ARRAY(SELECT id FROM ours.filter ORDER BY id) AS filters;
SET ROLE regress_ann;
EXECUTE ann;
RESET ROLE;
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(4, false);
EXECUTE carl;
RESET SESSION AUTHORIZATION;
SELECT pg_sleep(2.1);
SET ROLE regress_ann;
EXECUTE ann;
EXECUTE ann;
RESET ROLE;
SET SESSION AUTHORIZATION regress_app;
EXECUTE carl;
EXECUTE carl;
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
DEALLOCATE ALL;
RESET plan_cache_mode;

-- A query has the state of its start, also where it asks when it runs, and nothing was asked before.
SELECT deskguard.share('ours.filter', 8, agent_id => 2);
SET SESSION AUTHORIZATION regress_app;
SET deskguard.fold = off;
BEGIN;
SELECT deskguard.set_agent(4);
DECLARE opened CURSOR FOR SELECT id FROM ours.filter;
SELECT deskguard.set_agent(5);
SELECT deskguard.unshare('ours.filter', 3, everyone => true), deskguard.share('ours.filter', 7, everyone => true);
SELECT deskguard.set_agent(4);
SELECT id FROM ours.filter ORDER BY id;
FETCH ALL FROM opened;
ROLLBACK;
RESET deskguard.fold;
RESET SESSION AUTHORIZATION;

-- What is gone is forgotten, also where changes are replicated.
SET ROLE regress_owner;
CREATE TABLE ours.parted (id int PRIMARY KEY) PARTITION BY LIST (id);
CREATE TABLE ours.parted_1 PARTITION OF ours.parted FOR VALUES IN (1, 2);
SELECT deskguard.protect_shared('ours.parted');
CREATE TABLE ours.parted_3 PARTITION OF ours.parted FOR VALUES IN (3);
RESET ROLE;
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger
WHERE tgrelid::regclass::text LIKE 'ours.parted%' ORDER BY tgrelid::regclass::text COLLATE "C", tgname COLLATE "C";
INSERT INTO ours.parted VALUES (1), (2), (3);
SELECT deskguard.share('ours.parted', id, everyone => true) FROM ours.parted;
CREATE FUNCTION test.shared() RETURNS TABLE (object_table regclass, objects bigint[]) LANGUAGE sql AS $$
    SELECT object_table, array_agg(DISTINCT object_id) FROM deskguard.shared_visibility
    GROUP BY object_table ORDER BY object_table::text COLLATE "C"
$$;
SELECT * FROM test.shared();
SELECT test.attempt_only('UPDATE ours.filter SET id = 12 WHERE id = 2');
SET session_replication_role = replica;
DELETE FROM ours.filter WHERE id = 1;
UPDATE ours.filter SET id = 12 WHERE id = 2;
DELETE FROM ours.parted WHERE id = 2;
DELETE FROM ours.parted WHERE id = 3;
SELECT * FROM test.shared();
TRUNCATE ours.filter, ours.parted;
SELECT * FROM test.shared();
RESET session_replication_role;

-- PostgreSQL has no COPY FROM under policies.
SET ROLE regress_ann;
\copy ours.filter FROM /dev/null
RESET ROLE;
SELECT deskguard.unprotect('ours.parted'), deskguard.unprotect('ours.filter'), deskguard.unprotect('ours.invoice');
DROP SCHEMA ours CASCADE;
DELETE FROM deskguard.permission WHERE name = 'invoice.view';
DROP FUNCTION test.plan, test.ann, test.limited, test.shared;
SELECT test.reset();
