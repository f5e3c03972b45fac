-- Members and grants for a time.
SELECT test.reset();
SET TIME ZONE 'UTC';
INSERT INTO deskguard.agent_permission VALUES (2, 'ticket.modify.assigned');
INSERT INTO deskguard.agent_department VALUES (2, 5, 'full');
INSERT INTO deskguard.agent_category VALUES (2, 3);
UPDATE desk.ticket SET department_id = 5 WHERE id = 3;

-- An empty time is refused, by every table.
SELECT c.relname, string_agg(col_description(c.oid, a.attnum), '; ' ORDER BY a.attnum) AS columns,
    test.attempt_only(format('UPDATE deskguard.%I SET valid_from = now(), valid_until = now()', c.relname))
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'deskguard'::regnamespace AND a.attname LIKE 'valid\_%'
GROUP BY c.oid, c.relname ORDER BY c.relname COLLATE "C";

-- What Ann sees, and which of it she modifies; the same with the rules folded and not.
CREATE FUNCTION test.ann() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answers text[];
    seen bigint[];
    modified bigint[];
    fold text;
BEGIN
    SET LOCAL ROLE regress_ann;
    FOREACH fold IN ARRAY ARRAY['on', 'off'] LOOP
        PERFORM set_config('deskguard.fold', fold, true);
        SELECT array_agg(id ORDER BY id) INTO seen FROM desk.ticket;
        WITH changed AS (UPDATE desk.ticket SET subject = 'x' RETURNING id)
        SELECT array_agg(id ORDER BY id) INTO modified FROM changed;
        answers := answers || format('%s modifies %s', seen, modified);
    END LOOP;
    RESET ROLE;
    RETURN CASE WHEN answers[1] = answers[2] THEN answers[1] ELSE 'FOLDED ' || answers[1] || ' CALLED ' || answers[2] END;
END $$;
-- The same with a table's rows limited to some time, which begins with its first moment and ends before its last.
CREATE FUNCTION test.limited(rows_of text) RETURNS TABLE (valid_from text, valid_until text, ann text) LANGUAGE plpgsql AS $$
BEGIN
    FOR valid_from, valid_until IN
        VALUES (NULL, NULL), ('now()', 'now() + ''1 us'''), ('now() + ''1 us''', NULL), (NULL, 'now()'),
            ('''-infinity''', '''infinity'''), ('''infinity''', NULL), (NULL, '''-infinity''')
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
SELECT test.ann();
SELECT * FROM test.limited('group_member SET WHERE agent_id = 2');
SELECT * FROM test.limited('team_member SET');
SELECT * FROM test.limited('group_permission SET WHERE permission = ''ticket.view.assigned''');
SELECT * FROM test.limited('agent_permission SET');
SELECT * FROM test.limited('group_department SET WHERE department_id = 1');
SELECT * FROM test.limited('agent_department SET');
SELECT * FROM test.limited('group_category SET WHERE category_id = 2');
SELECT * FROM test.limited('agent_category SET');

-- The questions know the time, too.
CREATE FUNCTION test.asked() RETURNS TABLE (has boolean, permissions bigint, modify boolean, who bigint[], visible bigint[])
LANGUAGE sql AS $$
    SELECT deskguard.agent_has_permission(2, 'ticket.modify.assigned'), (SELECT count(*) FROM deskguard.effective_permissions(2)),
        deskguard.agent_can(2, 'modify', 7), ARRAY(SELECT deskguard.agents_who_can('modify', 7)),
        ARRAY(SELECT deskguard.visible_tickets(2) AS id ORDER BY id)
$$;
SELECT * FROM test.asked();
BEGIN;
UPDATE deskguard.agent_permission SET valid_until = now();
SELECT * FROM test.asked();
UPDATE deskguard.group_member SET valid_from = now() + '1 us' WHERE agent_id = 2;
SELECT * FROM test.asked();
ROLLBACK;

-- Who leaves all groups has the default; so has who is in none yet.
BEGIN;
SET LOCAL deskguard.default_category_access = 'open';
INSERT INTO deskguard.agent_permission SELECT 2, permission FROM deskguard.group_permission;
SELECT * FROM test.limited('group_member SET WHERE agent_id = 2');
ROLLBACK;

-- explain_access() says until when a grant is valid, and of a rule that fails what would let it pass at another time.
CREATE FUNCTION test.explained(agent bigint, ticket bigint, action text DEFAULT 'view') RETURNS SETOF text LANGUAGE sql AS $$
    SELECT e ->> 'summary' FROM deskguard.explain_access(agent, ticket, action) AS e
    UNION ALL
    SELECT r.value::text FROM jsonb_array_elements(deskguard.explain_access(agent, ticket, action) -> 'rules') WITH ORDINALITY AS r
$$;
BEGIN;
UPDATE deskguard.group_category SET valid_from = '2020-01-01', valid_until = '2100-01-01 12:00';
SELECT test.explained(2, 7);
UPDATE deskguard.agent_category SET valid_until = '2020-01-01 12:00:00.5';
INSERT INTO deskguard.permission_group (name, category_access) VALUES ('Holiday "cover"', 'open'), ('Summer', 'open');
INSERT INTO deskguard.group_member VALUES (101, 2, '2100-07-01', '2100-08-01'), (102, 2, '2019-07-01', '2019-08-01');
SELECT test.explained(2, 8);
-- Her own silo keeps her out of the others' time, too.
UPDATE deskguard.agent SET category_access = 'silo' WHERE id = 2;
SELECT test.explained(2, 8);
ROLLBACK;
BEGIN;
UPDATE deskguard.group_department SET valid_until = '2020-01-01';
UPDATE deskguard.team_member SET valid_from = '2100-01-01';
SELECT test.explained(2, 7);
-- The time of the member and of what the group has have nothing in common: it was never given, and will not be.
UPDATE deskguard.group_member SET valid_from = '2021-01-01' WHERE agent_id = 2;
SELECT test.explained(2, 7);
SELECT test.explained(2, 5);
ROLLBACK;
BEGIN;
UPDATE deskguard.agent_permission SET valid_from = '2100-01-01';
UPDATE deskguard.group_permission SET valid_until = '2020-01-01' WHERE permission = 'ticket.use';
SELECT test.explained(2, 7, 'modify');
UPDATE deskguard.group_permission SET valid_until = NULL;
SELECT test.explained(2, 7, 'modify');
ROLLBACK;

-- Plans: an index condition that is right at all times, and the call for the time after.
CREATE FUNCTION test.plan(query text) RETURNS TABLE (line text) LANGUAGE plpgsql AS $$
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        -- PostgreSQL 18 says so of the scans that are switched off below.
        IF line !~ 'Disabled: true' THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
CREATE FUNCTION test.estimate(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
INSERT INTO deskguard.category SELECT g, 'Category ' || g FROM generate_series(4, 100) AS g;
INSERT INTO deskguard.agent (id, name) VALUES (20, 'Temp');
INSERT INTO deskguard.permission_group (name, department_access) VALUES ('Temps', 'all');
INSERT INTO deskguard.group_permission SELECT currval('deskguard.permission_group_id_seq'), permission
FROM deskguard.group_permission WHERE group_id = 100;
INSERT INTO deskguard.group_member VALUES (currval('deskguard.permission_group_id_seq'), 20);
INSERT INTO deskguard.agent_category VALUES (20, 50), (20, 51);
INSERT INTO desk.ticket (subject, category_id, assignee_id) SELECT 's', g % 100 + 1, g % 7 FROM generate_series(1, 20000) AS g;
CREATE TABLE desk.parted (id int, cat int) PARTITION BY LIST (cat);
CREATE TABLE desk.parted_1 PARTITION OF desk.parted FOR VALUES IN (50);
CREATE TABLE desk.parted_2 PARTITION OF desk.parted DEFAULT PARTITION BY LIST (cat);
CREATE TABLE desk.parted_3 PARTITION OF desk.parted_2 FOR VALUES IN (51);
CREATE TABLE desk.parted_4 PARTITION OF desk.parted_2 DEFAULT;
SELECT deskguard.protect_tickets('desk.parted', category_column => 'cat');
GRANT SELECT ON desk.parted TO PUBLIC;
ANALYZE desk.ticket;
\c - regress_app
SET TIME ZONE 'UTC';
SET enable_seqscan = off;
SET max_parallel_workers_per_gather = 0;
SET deskguard.agent_id = 20;
SELECT test.plan('SELECT * FROM desk.ticket');
SELECT test.estimate('SELECT * FROM desk.ticket') AS rows_for_good;
\c - postgres
-- To end, of two.
UPDATE deskguard.agent_category SET valid_until = '2100-01-01Z' WHERE category_id = 51;
\c - regress_app
SET TIME ZONE 'UTC';
SET enable_seqscan = off;
SET deskguard.agent_id = 20;
SELECT test.plan('SELECT * FROM desk.ticket');
SELECT test.estimate('SELECT * FROM desk.ticket') AS rows_until;
-- The call is there once, however often the planner looks at the condition.
SELECT test.plan('SELECT * FROM desk.parted');
-- A long list is a call anyway.
SET deskguard.fold_limit = 1;
SELECT test.plan('SELECT * FROM desk.ticket');
RESET deskguard.fold_limit;
\c - postgres
-- To begin.
UPDATE deskguard.agent_category SET valid_from = '2099-01-01Z', valid_until = NULL WHERE category_id = 51;
\c - regress_app
SET TIME ZONE 'UTC';
SET enable_seqscan = off;
SET deskguard.agent_id = 20;
SELECT test.plan('SELECT * FROM desk.ticket');
SELECT test.plan('SELECT * FROM desk.parted');
\c - postgres
-- Nothing until then.
UPDATE deskguard.agent_category SET valid_from = '2098-01-01Z' WHERE category_id = 50;
\c - regress_app
SET TIME ZONE 'UTC';
SET enable_seqscan = off;
SET deskguard.agent_id = 20;
SELECT test.plan('SELECT * FROM desk.ticket');
\c - postgres
-- A member for a time: its categories are its own for good, so only the other rule has a time.
UPDATE deskguard.agent_category SET valid_from = NULL;
UPDATE deskguard.group_member SET valid_until = '2100-01-01Z' WHERE agent_id = 20;
-- What was over, or has begun, is nothing to a plan.
UPDATE deskguard.agent_category SET valid_from = '2020-01-01Z' WHERE category_id = 50;
INSERT INTO deskguard.agent_category VALUES (20, 52, NULL, '2020-01-01Z');
\c - regress_app
SET TIME ZONE 'UTC';
SET enable_seqscan = off;
SET deskguard.agent_id = 20;
SELECT test.plan('SELECT * FROM desk.ticket');
\c - postgres
SET client_min_messages = warning;
DROP FUNCTION test.ann, test.limited, test.asked, test.explained, test.plan, test.estimate;
SELECT test.reset();
