-- The rules hold in parallel workers as they do without.
SELECT test.reset();
INSERT INTO desk.ticket (id, subject, department_id, category_id, assignee_id)
SELECT n, 'more', 1 + n % 5, 1 + n % 3, nullif(n % 7, 0) FROM generate_series(1000, 9999) AS n;
INSERT INTO desk.ticket_follower SELECT n, 2 FROM generate_series(1000, 9999, 50) AS n;
ANALYZE desk.ticket;
CREATE FUNCTION test.answer() RETURNS TABLE (seen bigint, sum numeric, followers bigint, checked bigint, current_agent bigint) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT (SELECT count(*) FROM desk.ticket), (SELECT sum(id) FROM desk.ticket),
        (SELECT count(*) FROM desk.ticket_follower),
        (SELECT count(*) FROM desk.ticket WHERE deskguard.agent_can_view(deskguard.current_agent(), id)), deskguard.current_agent();
END $$;
SET ROLE regress_ann;
CREATE TEMP TABLE expected AS SELECT * FROM test.answer();
GRANT SELECT ON expected TO PUBLIC;
RESET ROLE;
SET SESSION AUTHORIZATION regress_app;
SET deskguard.agent_id = 4;
CREATE TEMP TABLE expected_of_4 AS SELECT * FROM test.answer();
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
SELECT seen > 100 AND followers > 50 AND seen = checked AS there_is_something FROM expected;

DO $$
BEGIN
    -- The setting that makes even cheap plans parallel got a new name in 16.
    PERFORM set_config(CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'force_parallel_mode'
        ELSE 'debug_parallel_query' END, 'on', false);
END $$;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET ROLE regress_ann;
SELECT * FROM test.answer() EXCEPT TABLE expected;
RESET ROLE;
SET deskguard.fold = off;
SET ROLE regress_ann;
SELECT * FROM test.answer() EXCEPT TABLE expected;
RESET ROLE;
RESET deskguard.fold;
-- Many workers.
ALTER TABLE desk.ticket SET (parallel_workers = 3);
SET ROLE regress_ann;
SELECT * FROM test.answer() EXCEPT TABLE expected;
SELECT deskguard.visible_tickets(2) EXCEPT SELECT id FROM desk.ticket;
SELECT id FROM desk.ticket EXCEPT SELECT deskguard.visible_tickets(2);
RESET ROLE;
-- The agent that the session says.
SET SESSION AUTHORIZATION regress_app;
SET deskguard.agent_id = 4;
SELECT * FROM test.answer() EXCEPT TABLE expected_of_4;
SET deskguard.agent_id = 99;
SELECT count(*) FROM desk.ticket;
RESET deskguard.agent_id;
SELECT count(*) FROM desk.ticket;
RESET SESSION AUTHORIZATION;
-- Somebody who only says so is told once.
\c - regress_other
DO $$
BEGIN
    PERFORM set_config(CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'force_parallel_mode'
        ELSE 'debug_parallel_query' END, 'on', false);
END $$;
SET deskguard.agent_id = 4;
SELECT count(*) FROM desk.ticket;
SELECT count(*) FROM desk.ticket;
SELECT deskguard.current_agent();
\c - postgres
DROP FUNCTION test.answer();
