-- Views, functions and cursors between the agent and the table.
SELECT test.reset();
GRANT CREATE ON SCHEMA desk TO regress_owner, regress_ann;
CREATE ROLE regress_reporter NOLOGIN;
CREATE ROLE regress_bypass NOLOGIN BYPASSRLS;
GRANT CREATE ON SCHEMA desk TO regress_reporter, regress_bypass;

-- A view of an ordinary role, also the tables' owner, shows what its user may see; one of a role that bypasses row-level security shows all.
SET ROLE regress_owner;
CREATE VIEW desk.of_owner AS SELECT id, subject, department_id FROM desk.ticket;
RESET ROLE;
SET ROLE regress_reporter;
CREATE VIEW desk.of_reporter AS SELECT id FROM desk.ticket;
CREATE VIEW desk.of_invoker WITH (security_invoker) AS SELECT id FROM desk.ticket;
CREATE VIEW desk.count_of_reporter AS SELECT department_id, count(*) FROM desk.ticket GROUP BY 1;
RESET ROLE;
SET ROLE regress_bypass;
CREATE VIEW desk.of_bypass AS SELECT id FROM desk.ticket;
CREATE VIEW desk.of_bypass_invoker WITH (security_invoker) AS SELECT id FROM desk.ticket;
CREATE MATERIALIZED VIEW desk.materialized AS SELECT id FROM desk.ticket;
RESET ROLE;
GRANT SELECT, UPDATE, INSERT, DELETE ON ALL TABLES IN SCHEMA desk TO PUBLIC;
SET ROLE regress_ann;
SELECT (SELECT array_agg(id ORDER BY id) FROM desk.of_owner) AS of_owner,
    (SELECT array_agg(id ORDER BY id) FROM desk.of_reporter) AS of_reporter,
    (SELECT array_agg(id ORDER BY id) FROM desk.of_invoker) AS of_invoker;
SELECT * FROM desk.count_of_reporter ORDER BY 1;
SELECT (SELECT count(*) FROM desk.of_bypass) AS of_bypass, (SELECT count(*) FROM desk.of_bypass_invoker) AS of_bypass_invoker,
    (SELECT count(*) FROM desk.materialized) AS materialized;
-- Through the view nothing can be changed that could not be changed directly.
SELECT command, test.attempt_only(command)
FROM unnest(ARRAY['UPDATE desk.of_owner SET subject = 1', 'DELETE FROM desk.of_owner', 'UPDATE desk.of_owner SET department_id = 5',
    'UPDATE desk.of_owner SET subject = 1 WHERE id = 3', 'INSERT INTO desk.of_owner VALUES (50, 1, 5)']) AS command;
RESET ROLE;
SET ROLE regress_other;
SELECT (SELECT count(*) FROM desk.of_owner) AS of_owner, (SELECT count(*) FROM desk.of_reporter) AS of_reporter;
RESET ROLE;

-- A view shows them to who may not use the schema of its tables, too; whether their protection is whole is found out anew by each session.
SET ROLE regress_owner;
CREATE SCHEMA api;
GRANT USAGE ON SCHEMA api TO PUBLIC;
CREATE TABLE desk.message (id bigint PRIMARY KEY, ticket_id bigint REFERENCES desk.ticket);
SELECT deskguard.protect_messages('desk.message', 'desk.ticket');
CREATE VIEW api.ticket AS SELECT id, subject FROM desk.ticket;
CREATE VIEW api.message AS SELECT id, ticket_id FROM desk.message;
CREATE VIEW api.follower AS SELECT ticket_id, agent_id FROM desk.ticket_follower;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA api TO PUBLIC;
REVOKE USAGE ON SCHEMA desk FROM PUBLIC;
RESET ROLE;
INSERT INTO desk.message SELECT id, id FROM desk.ticket;
\c - regress_ann
SELECT (SELECT array_agg(id ORDER BY id) FROM api.ticket) AS tickets, (SELECT array_agg(id ORDER BY id) FROM api.message) AS messages,
    (SELECT array_agg(ticket_id ORDER BY ticket_id) FROM api.follower) AS followed;
UPDATE api.ticket SET subject = 'changed' WHERE id IN (1, 2) RETURNING id;
INSERT INTO api.message VALUES (101, 1) RETURNING id;
SELECT test.attempt_only('INSERT INTO api.message VALUES (102, 2)');
SELECT count(*) FROM desk.ticket;
\c - postgres
SET client_min_messages = warning;
GRANT USAGE ON SCHEMA desk TO PUBLIC;
DROP SCHEMA api CASCADE;
DROP TABLE desk.message;
UPDATE desk.ticket SET subject = 'EU, unassigned' WHERE id = 1;

-- Functions. One with the definer's rights is the agent that its owner is, if the session does not say.
SET ROLE regress_owner;
CREATE FUNCTION desk.plain() RETURNS SETOF bigint LANGUAGE sql STABLE AS 'SELECT id FROM desk.ticket';
CREATE FUNCTION desk.plain_plpgsql() RETURNS SETOF bigint LANGUAGE plpgsql AS 'BEGIN RETURN QUERY SELECT id FROM desk.ticket; END';
CREATE FUNCTION desk.definer() RETURNS SETOF bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT id FROM desk.ticket';
CREATE FUNCTION desk.definer_is() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT deskguard.current_agent()';
CREATE FUNCTION desk.claims() RETURNS SETOF bigint LANGUAGE sql SET deskguard.agent_id = '1' AS 'SELECT id FROM desk.ticket';
RESET ROLE;
SET ROLE regress_ann;
CREATE FUNCTION desk.of_ann() RETURNS SETOF bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT id FROM desk.ticket';
RESET ROLE;
\c - regress_ann
SELECT (SELECT array_agg(x ORDER BY x) FROM desk.plain() AS x) AS plain,
    (SELECT array_agg(x ORDER BY x) FROM desk.plain_plpgsql() AS x) AS plpgsql,
    (SELECT array_agg(x ORDER BY x) FROM desk.definer() AS x) AS definer, desk.definer_is(),
    (SELECT array_agg(x ORDER BY x) FROM desk.of_ann() AS x) AS of_ann;
SELECT (SELECT array_agg(x ORDER BY x) FROM desk.claims() AS x) AS claims;
\c - regress_other
SELECT (SELECT array_agg(x ORDER BY x) FROM desk.plain() AS x) AS plain,
    (SELECT array_agg(x ORDER BY x) FROM desk.of_ann() AS x) AS of_ann;
\c - regress_app
SELECT deskguard.set_agent(4, false);
SELECT (SELECT array_agg(x ORDER BY x) FROM desk.plain() AS x) AS plain,
    (SELECT array_agg(x ORDER BY x) FROM desk.definer() AS x) AS definer, desk.definer_is(),
    (SELECT array_agg(x ORDER BY x) FROM desk.of_ann() AS x) AS of_ann,
    (SELECT count(*) FROM desk.claims()) AS claims;
-- The same plans, prepared and in functions, for one agent after the other.
PREPARE seen AS SELECT array_agg(id ORDER BY id) FROM desk.ticket WHERE id > $1;
EXECUTE seen(0); EXECUTE seen(0); EXECUTE seen(0); EXECUTE seen(0); EXECUTE seen(0); EXECUTE seen(0);
SELECT deskguard.set_agent(2, false);
EXECUTE seen(0);
SELECT array_agg(x ORDER BY x) FROM desk.plain_plpgsql() AS x;
SELECT deskguard.set_agent(1, false);
EXECUTE seen(0);
SELECT array_agg(x ORDER BY x) FROM desk.plain_plpgsql() AS x;
SELECT deskguard.set_agent(99, false);
EXECUTE seen(0);
SELECT array_agg(x ORDER BY x) FROM desk.plain_plpgsql() AS x;
SET plan_cache_mode = force_generic_plan;
SELECT deskguard.set_agent(4, false);
EXECUTE seen(0);
RESET deskguard.agent_id;
EXECUTE seen(0);
RESET plan_cache_mode;
-- The agent may change between two statements of a function.
SELECT deskguard.set_agent(4, false);
DO $$
BEGIN
    RAISE NOTICE '%', (SELECT array_agg(id ORDER BY id) FROM desk.ticket);
    PERFORM deskguard.set_agent(2);
    RAISE NOTICE '%', (SELECT array_agg(id ORDER BY id) FROM desk.ticket);
    BEGIN
        PERFORM deskguard.set_agent(1);
        RAISE NOTICE '%', (SELECT array_agg(id ORDER BY id) FROM desk.ticket);
        RAISE EXCEPTION 'x';
    EXCEPTION WHEN OTHERS THEN
        RAISE NOTICE '%', (SELECT array_agg(id ORDER BY id) FROM desk.ticket);
    END;
END $$;
SELECT array_agg(id ORDER BY id) FROM desk.ticket;
-- A cursor keeps its rows.
BEGIN;
SELECT deskguard.set_agent(2);
DECLARE c SCROLL CURSOR FOR SELECT id FROM desk.ticket ORDER BY id;
FETCH 2 FROM c;
SELECT deskguard.set_agent(99);
FETCH ALL FROM c;
COMMIT;
DISCARD ALL;
\c - postgres

-- What a query of an ordinary role may tell: nothing of rows that are not seen.
SET ROLE regress_ann;
CREATE FUNCTION desk.tell(bigint, text) RETURNS boolean COST 0.0000001 LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE '% %', $1, $2; RETURN true; END$$;
SELECT count(*) FROM desk.ticket WHERE desk.tell(id, subject);
SELECT count(*) FROM desk.ticket WHERE 1 / (id - 3) < 5 AND 1 / (id - 2) < 5;
SELECT count(*) FROM desk.ticket AS t LEFT JOIN desk.ticket AS u ON desk.tell(u.id, 'join') AND u.id = t.id + 100 WHERE u.id = 3;
EXPLAIN (COSTS OFF) SELECT id FROM desk.ticket WHERE department_id = 2;
SELECT test.attempt_only('UPDATE desk.ticket SET subject = 1 / (id - 3)');
RESET ROLE;
ANALYZE desk.ticket;
SET ROLE regress_ann;
SELECT count(*) FROM pg_stats WHERE schemaname = 'desk';
RESET ROLE;
DROP OWNED BY regress_reporter, regress_bypass CASCADE;
DROP ROLE regress_reporter, regress_bypass;
DROP FUNCTION desk.tell(bigint, text);
