-- protect_shared(), share() and unshare(): things that agents share.
-- Agents: 1 Admin (All Permissions), 2 Ann, 3 Ben (inactive), 4 Carl, in group 100; 5 Dora, in none.
SELECT test.reset();
SET client_min_messages = warning;
CREATE SCHEMA ours AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA ours TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE regress_owner IN SCHEMA ours GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO PUBLIC;
CREATE FUNCTION test.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;
CREATE VIEW test.visibility AS
SELECT object_table, object_id, group_id, agent_id, everyone FROM deskguard.shared_visibility
ORDER BY object_table::text COLLATE "C", object_id, group_id, agent_id;
-- What a command does for each agent, rows or SQLSTATE; 99 is unknown. Foldings agree, or it says so.
CREATE FUNCTION test.for_each_agent(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    agent bigint;
    outcome text;
    result text[];
BEGIN
    FOREACH agent IN ARRAY ARRAY[NULL, 99, 1, 2, 3, 4, 5] LOOP
        PERFORM set_config('deskguard.agent_id', COALESCE(agent::text, ''), true); -- without its warnings
        SELECT t.outcome INTO outcome FROM test.tried(ARRAY[command]) AS t;
        IF outcome NOT LIKE '%WITHOUT FOLDING%' THEN
            outcome := CASE WHEN outcome LIKE 'rows: %' THEN substr(outcome, 7) ELSE left(outcome, 5) END;
        END IF;
        result := result || format('%s: %s', COALESCE(agent::text, 'nobody'), outcome);
    END LOOP;
    RETURN array_to_string(result, ', ');
END $$;

SET ROLE regress_owner;
CREATE TABLE ours.response (id int PRIMARY KEY, owner_id smallint, body text, since date);
INSERT INTO ours.response SELECT g, CASE WHEN g < 5 THEN 2 WHEN g < 8 THEN 4 END, 'response ' || g FROM generate_series(1, 9) AS g;
RESET client_min_messages;
SELECT deskguard.protect_shared('ours.response', owner_column => 'owner_id');
SET client_min_messages = warning;
SELECT * FROM test.protection('ours.response');
RESET ROLE;
SELECT table_id, kind, root, id_column, owner_column FROM deskguard.protected_table WHERE table_id = 'ours.response'::regclass;

-- Without any visibility: owners, and those who manage.
SET SESSION AUTHORIZATION regress_app;
SELECT test.for_each_agent('SELECT * FROM ours.response');
RESET SESSION AUTHORIZATION;

-- Ann shares: 1 with Carl, 2 with the group, 3 with everyone; 4 with nobody. And so on twice.
SET ROLE regress_ann;
SELECT deskguard.share('ours.response', 1, agent_id => 4);
SELECT deskguard.share('ours.response', 1, agent_id => 4);
SELECT deskguard.share('ours.response', 2, group_id => 100);
SELECT deskguard.share('ours.response', 2, 100);
SELECT deskguard.share('ours.response', 3, everyone => true);
SELECT deskguard.share('ours.response', 3, everyone => true);
SELECT deskguard.share('ours.response', 3, agent_id => 3);
RESET ROLE;
SELECT * FROM test.visibility;
SET SESSION AUTHORIZATION regress_app;
SELECT test.for_each_agent('SELECT * FROM ours.response WHERE id < 5');
SELECT deskguard.set_agent(4, false);
SELECT array_agg(id ORDER BY id) FROM ours.response;
SELECT deskguard.set_agent(5, false);
SELECT array_agg(id ORDER BY id) FROM ours.response;
-- Who sees may not change: only the owner and who manages.
SELECT command, test.for_each_agent(command)
FROM unnest(ARRAY[
    'UPDATE ours.response SET body = ''changed''',
    'UPDATE ours.response SET body = ''changed'' WHERE id IN (1, 2, 3, 4) RETURNING id',
    'DELETE FROM ours.response',
    'DELETE FROM ours.response WHERE id = 3 RETURNING id',
    'SELECT * FROM ours.response FOR UPDATE',
    'INSERT INTO ours.response VALUES (10, 2, ''new'')',
    'INSERT INTO ours.response VALUES (10, 2, ''new'') RETURNING id',
    'INSERT INTO ours.response VALUES (10, NULL, ''new'')',
    'INSERT INTO ours.response VALUES (1, 2, ''new'') ON CONFLICT (id) DO UPDATE SET body = ''new''',
    'INSERT INTO ours.response VALUES (5, 2, ''new'') ON CONFLICT (id) DO UPDATE SET body = ''new''',
    'MERGE INTO ours.response AS r USING (VALUES (1), (5), (11)) AS v (id) ON r.id = v.id WHEN MATCHED THEN UPDATE SET body = ''new'' WHEN NOT MATCHED THEN INSERT VALUES (v.id, 2)',
    'UPDATE ours.response SET owner_id = 4 WHERE id = 4',
    'UPDATE ours.response SET owner_id = NULL',
    'WITH w AS (UPDATE ours.response AS r SET body = o.body FROM ours.response AS o WHERE o.id = 3 RETURNING r.id) SELECT * FROM w',
    'SELECT deskguard.share(''ours.response'', 4, everyone => true)',
    'SELECT deskguard.share(''ours.response'', 9, 100)',
    'SELECT deskguard.unshare(''ours.response'', 3, everyone => true)',
    'SELECT deskguard.unshare(''ours.response'', 404, everyone => true)']) AS command;
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;

-- Taken back.
SET ROLE regress_ann;
SELECT deskguard.unshare('ours.response', 1, agent_id => 4);
SELECT deskguard.unshare('ours.response', 1, agent_id => 4);
SELECT deskguard.unshare('ours.response', 2, agent_id => 4);
RESET ROLE;
SELECT * FROM test.visibility;
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(4, false);
SELECT array_agg(id ORDER BY id) FROM ours.response;
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;

-- Leaving the group, an inactive agent, a group that goes: at once, for a kept plan, too.
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(4, false);
SET plan_cache_mode = force_generic_plan;
PREPARE seen AS SELECT array_agg(id ORDER BY id) FROM ours.response;
EXECUTE seen;
RESET SESSION AUTHORIZATION;
BEGIN;
DELETE FROM deskguard.group_member WHERE agent_id = 4;
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE seen;
ROLLBACK;
BEGIN;
DELETE FROM deskguard.permission_group WHERE id = 100;
SELECT * FROM test.visibility;
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE seen;
ROLLBACK;
BEGIN;
UPDATE deskguard.agent SET active = false WHERE id = 4;
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE seen;
ROLLBACK;
BEGIN;
TRUNCATE deskguard.shared_visibility;
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE seen;
ROLLBACK;
SET SESSION AUTHORIZATION regress_app;
EXECUTE seen;
SELECT deskguard.set_agent(5, false);
EXECUTE seen;
DEALLOCATE seen;
RESET plan_cache_mode;
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;

-- Plans: literals, or a call for many; nothing is asked where the rule is decided.
SET ROLE regress_owner;
CREATE TABLE ours.filter (id bigint PRIMARY KEY, owner_id int, body text);
CREATE INDEX ON ours.filter (owner_id);
INSERT INTO ours.filter SELECT g, g % 1000, 'filter' FROM generate_series(1, 20000) AS g;
ANALYZE ours.filter;
SELECT deskguard.protect_shared('ours.filter', 'id', 'owner_id');
CREATE TABLE ours.report (id smallint PRIMARY KEY);
INSERT INTO ours.report SELECT generate_series(1, 9);
SELECT deskguard.protect_shared('ours.report');
SELECT * FROM test.protection('ours.report');
RESET ROLE;
INSERT INTO deskguard.shared_visibility (object_table, object_id, agent_id) SELECT 'ours.filter', g, 5 FROM generate_series(100, 120) AS g;
INSERT INTO deskguard.shared_visibility (object_table, object_id, group_id) VALUES ('ours.filter', 77, 100), ('ours.filter', 78, 100),
    ('ours.report', 7, 100);
INSERT INTO deskguard.shared_visibility (object_table, object_id, everyone) VALUES ('ours.filter', 78, true);
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(2, false);
SELECT test.plan('SELECT * FROM ours.filter');
SELECT test.plan('SELECT * FROM ours.report WHERE id > 3');
SELECT test.plan('UPDATE ours.filter SET body = ''changed''');
SELECT test.plan('DELETE FROM ours.report');
SELECT deskguard.set_agent(1, false);
SELECT test.plan('SELECT * FROM ours.filter');
SELECT test.plan('UPDATE ours.report SET id = id');
RESET deskguard.agent_id;
SELECT test.plan('SELECT * FROM ours.filter');
SELECT deskguard.set_agent(5, false);
SET deskguard.fold_limit = 10;
SELECT test.plan('SELECT * FROM ours.filter');
SELECT array_agg(id ORDER BY id) FROM ours.filter;
SELECT test.plan('SELECT * FROM ours.report');
SET deskguard.fold_limit = 0;
SELECT deskguard.set_agent(2, false);
SELECT test.plan('SELECT * FROM ours.report WHERE id = 7');
SELECT array_agg(id) FROM ours.report;
RESET deskguard.fold_limit;
SET deskguard.fold = off;
SELECT test.plan('SELECT * FROM ours.filter');
SELECT count(*), max(id) FILTER (WHERE owner_id <> 2) FROM ours.filter;
RESET deskguard.fold;
-- A cursor keeps to what was seen when it was opened.
BEGIN;
SET LOCAL deskguard.fold_limit = 0;
DECLARE c CURSOR FOR SELECT id FROM ours.filter WHERE owner_id <> 2;
RESET SESSION AUTHORIZATION;
DELETE FROM deskguard.shared_visibility;
SET LOCAL SESSION AUTHORIZATION regress_app;
FETCH ALL FROM c;
SELECT id FROM ours.filter WHERE owner_id <> 2;
ROLLBACK;
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
SELECT count(*) FROM deskguard.shared_visibility;

-- What is gone is not shared any more; a new object with its id is not, either.
SET ROLE regress_ann;
DELETE FROM ours.response WHERE id = 3;
INSERT INTO ours.response VALUES (3, 2, 'another');
UPDATE ours.response SET id = 40 WHERE id = 4;
SELECT test.attempt('UPDATE ours.response SET id = 20 WHERE id = 2');
UPDATE ours.response SET id = id WHERE id = 2;
RESET ROLE;
SELECT * FROM test.visibility WHERE object_table = 'ours.response'::regclass;
BEGIN;
DELETE FROM ours.response;
SELECT count(*) FROM test.visibility WHERE object_table = 'ours.response'::regclass;
ROLLBACK;
BEGIN;
TRUNCATE ours.response;
SELECT count(*) FROM test.visibility WHERE object_table = 'ours.response'::regclass;
ROLLBACK;
SELECT count(*) FROM test.visibility WHERE object_table = 'ours.response'::regclass;

-- Refused: arguments, the table, and whoever may not change it, or cannot.
SET ROLE regress_ann;
SELECT arguments, test.attempt_only('SELECT deskguard.share(' || arguments || ')'), test.attempt_only('SELECT deskguard.unshare(' || arguments || ')')
FROM unnest(ARRAY[
    $$'ours.response', 1$$,
    $$'ours.response', 1, 100, 4$$,
    $$'ours.response', 1, 100, everyone => true$$,
    $$'ours.response', 1, everyone => NULL$$,
    $$NULL, 1, 100$$,
    $$'desk.ticket', 1, 100$$,
    $$'ours.absent', 1, 100$$,
    $$0, 1, 100$$,
    $$'ours.response', NULL, 100$$,
    $$'ours.response', 404, 100$$,
    $$'ours.response', 5, 100$$,
    $$'ours.response', 9223372036854775807, 100$$,
    $$'ours.response', 1, 999$$,
    $$'ours.response', 1, agent_id => 999$$]) AS arguments;
RESET ROLE;
SELECT row, test.attempt_only('INSERT INTO deskguard.shared_visibility VALUES ' || row)
FROM unnest(ARRAY[
    $$('ours.response', 1, NULL, NULL, false)$$,
    $$('ours.response', 1, NULL, NULL, NULL)$$,
    $$('ours.response', 1, 100, 4, false)$$,
    $$('ours.response', 1, 100, NULL, true)$$,
    $$('ours.response', 1, 999, NULL, false)$$,
    $$('ours.response', NULL, 100, NULL, false)$$,
    $$('ours.response', 2, 100, NULL, false)$$]) AS row;
BEGIN;
INSERT INTO deskguard.shared_visibility VALUES ('pg_class', 1, 100, NULL, false);
COMMIT;
SELECT test.attempt_only('SELECT deskguard_internal.object_gone()');
REVOKE UPDATE ON ours.response FROM PUBLIC;
SET ROLE regress_ann;
SELECT test.attempt_only($$SELECT deskguard.share('ours.response', 1, 100)$$);
SELECT test.attempt_only('SELECT * FROM deskguard.shared_visibility');
RESET ROLE;
GRANT UPDATE ON ours.response TO PUBLIC;
-- Policies of the owner's own, and features, count for sharing, too.
SET ROLE regress_owner;
CREATE POLICY tenant ON ours.response AS RESTRICTIVE FOR UPDATE USING (body <> 'response 1');
SELECT deskguard.protect_feature('ours.response', 'report.view', 'UPDATE');
RESET ROLE;
SET ROLE regress_ann;
SELECT test.attempt_only($$SELECT deskguard.share('ours.response', 2, agent_id => 4)$$) AS without;
RESET ROLE;
INSERT INTO deskguard.agent_permission VALUES (2, 'report.view');
SET ROLE regress_ann;
SELECT test.attempt_only($$SELECT deskguard.share('ours.response', 2, agent_id => 4)$$) AS with,
    test.attempt_only($$SELECT deskguard.share('ours.response', 1, agent_id => 4)$$) AS but;
RESET ROLE;
SET ROLE regress_owner;
SELECT left(definition, 69) FROM test.protection('ours.response');

-- Protected anew, with other columns: who sees what stays.
SELECT deskguard.protect_shared('ours.response', drop_rules => true);
SELECT * FROM test.protection('ours.response') WHERE definition LIKE '%deskguard%';
RESET ROLE;
SELECT * FROM test.visibility WHERE object_table = 'ours.response'::regclass;
SET ROLE regress_ann;
SELECT array_agg(id ORDER BY id) FROM ours.response;
SELECT test.attempt_only('INSERT INTO ours.response VALUES (50, 2)');
RESET ROLE;
SET ROLE regress_owner;
SELECT arguments, test.attempt_only('SELECT deskguard.protect_shared(' || arguments || ')')
FROM unnest(ARRAY[
    $$NULL$$,
    $$0$$,
    $$'ours.absent'$$,
    $$'ours.response_pkey'$$,
    $$'ours.response', NULL$$,
    $$'ours.response', 'ID'$$,
    $$'ours.response', 'since'$$,
    $$'ours.response', owner_column => 'since'$$,
    $$'ours.response', owner_column => 'absent'$$,
    $$'ours.response', owner_column => ''$$,
    $$'ours.response', owner_column => 'id'$$,
    $$'desk.ticket'$$,
    $$'desk.ticket_follower', 'ticket_id', 'agent_id'$$,
    $$'test.visibility'$$,
    $$'deskguard.agent'$$]) AS arguments;
SELECT test.attempt_only($$SELECT deskguard.protect_tickets('ours.response', assignee_column => 'owner_id')$$),
    test.attempt_only($$SELECT deskguard.protect_tickets('desk.ticket', assignee_column => 'assignee_id', follower_table => 'ours.response',
        follower_ticket_column => 'id', follower_agent_column => 'owner_id')$$);
SELECT command, test.attempt_only(command)
FROM unnest(ARRAY[
    'ALTER TABLE ours.filter DROP COLUMN owner_id CASCADE',
    'DROP TRIGGER deskguard_shared_delete ON ours.filter',
    'DROP POLICY deskguard_modify ON ours.filter',
    'ALTER POLICY deskguard_view ON ours.filter RENAME TO mine',
    'ALTER POLICY deskguard_base ON ours.filter RENAME TO mine']) AS command;
ALTER TABLE ours.filter RENAME owner_id TO "the owner";
ALTER TABLE ours.filter RENAME id TO "no";
ALTER TABLE ours.filter RENAME TO "Filter 'x'.""y""";
RESET ROLE;
SET ROLE regress_ann;
SELECT "no" FROM ours."Filter 'x'.""y""" WHERE "no" < 1000 ORDER BY 1;
SELECT deskguard.share('ours."Filter ''x''.""y"""', 2, agent_id => 5);
DELETE FROM ours."Filter 'x'.""y""" WHERE "no" = 2;
RESET ROLE;
SELECT count(*) AS left FROM test.visibility WHERE object_table = 'ours."Filter ''x''.""y"""'::regclass AND object_id = 2;
SET ROLE regress_owner;
CREATE TABLE ours."Saved ""responses""; --" ("the id" bigint, "own'er" int);
SELECT deskguard.protect_shared('ours."Saved ""responses""; --"', 'the id', 'own''er');
SELECT definition FROM test.protection('ours."Saved ""responses""; --"');
RESET ROLE;
SET ROLE regress_ann;
INSERT INTO ours."Saved ""responses""; --" VALUES (1, 2);
SELECT deskguard.share('ours."Saved ""responses""; --"', 1, everyone => true);
SELECT * FROM ours."Saved ""responses""; --";
RESET ROLE;

-- Partitions and children.
SET ROLE regress_owner;
CREATE TABLE ours.parted (id int, owner_id int, kind int) PARTITION BY LIST (kind);
CREATE TABLE ours.part_1 PARTITION OF ours.parted FOR VALUES IN (1);
SELECT deskguard.protect_shared('ours.parted', owner_column => 'owner_id');
CREATE TABLE ours.part_2 PARTITION OF ours.parted FOR VALUES IN (2);
CREATE TABLE ours.parent (id int, owner_id int);
SELECT deskguard.protect_shared('ours.parent', owner_column => 'owner_id');
CREATE TABLE ours.child () INHERITS (ours.parent);
RESET ROLE;
INSERT INTO ours.parted VALUES (1, 2, 1), (2, 2, 2), (3, 2, 1), (4, 4, 2), (5, 4, 1);
INSERT INTO ours.child VALUES (1, 2), (2, 4);
SET ROLE regress_ann;
SELECT deskguard.share('ours.parted', id, 100) FROM ours.parted;
SELECT deskguard.share('ours.part_1', 3, agent_id => 4);
SELECT deskguard.share('ours.parent', 1, 100);
UPDATE ours.parted SET kind = 3 - kind WHERE id = 3;
DELETE FROM ours.part_2 WHERE id = 2;
RESET ROLE;
SELECT object_table, object_id, group_id, agent_id FROM test.visibility WHERE object_table IN ('ours.parted'::regclass, 'ours.parent'::regclass);
SET ROLE regress_owner;
ALTER TABLE ours.parted DETACH PARTITION ours.part_1;
SELECT * FROM test.protection('ours.part_1');
SELECT * FROM test.protection('ours.child');
RESET ROLE;
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.set_agent(4, false);
SELECT (SELECT array_agg(id ORDER BY id) FROM ours.parted) AS parted, (SELECT array_agg(id ORDER BY id) FROM ours.part_1) AS part_1,
    (SELECT array_agg(id ORDER BY id) FROM ours.part_2) AS part_2, (SELECT array_agg(id ORDER BY id) FROM ours.child) AS child;
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
SET ROLE regress_ann;
DELETE FROM ours.part_1 WHERE id = 1;
DELETE FROM ours.child;
RESET ROLE;
TRUNCATE ours.part_2;
SELECT count(*) AS left FROM test.visibility WHERE object_table IN ('ours.parted'::regclass, 'ours.parent'::regclass);
SET ROLE regress_owner;
ALTER TABLE ours.parted ATTACH PARTITION ours.part_1 FOR VALUES IN (1);
SELECT deskguard.unprotect('ours.parted');
SELECT * FROM test.protection('ours.part_1');

-- Unprotected, and dropped.
SELECT deskguard.unprotect('ours.response');
SELECT * FROM test.protection('ours.response');
DROP TABLE ours."Filter 'x'.""y""";
RESET ROLE;
SELECT object_table, count(*) FROM test.visibility GROUP BY 1 ORDER BY object_table::text COLLATE "C";
SELECT kind, count(*) FROM deskguard.protected_table GROUP BY 1 ORDER BY 1;
DROP VIEW test.visibility;
DROP SCHEMA ours CASCADE;
SELECT count(*) FROM deskguard.shared_visibility;
DROP FUNCTION test.plan(text), test.for_each_agent(text);
