-- What deskguard.set_agent() tells of mistakes.
\set superuser :USER
SELECT test.reset();
INSERT INTO deskguard.agent (id, name, active) VALUES (90, 'Gone', false);

\c - regress_app
-- Outside of a transaction block the agent is gone with the statement that sets it.
SELECT deskguard.set_agent(2);
SELECT deskguard.current_agent();
SELECT deskguard.set_agent(2), count(*) >= 0 AS same_statement FROM desk.ticket;
-- In one round trip it holds for the rest.
SELECT deskguard.set_agent(2)\; SELECT deskguard.current_agent();
SELECT deskguard.current_agent();
-- What runs in the same command: a block of PL/pgSQL.
DO $$
BEGIN
    PERFORM deskguard.set_agent(2);
    ASSERT (SELECT count(*) > 0 FROM desk.ticket);
END $$;
DO $$ BEGIN PERFORM deskguard.set_agent(2); END $$;
-- A function that wraps it does not help.
CREATE FUNCTION pg_temp.log_in(agent bigint) RETURNS void LANGUAGE sql AS 'SELECT deskguard.set_agent(agent)';
SELECT pg_temp.log_in(2);
-- Nothing to say in a transaction block, even if nothing follows, nor for the session.
BEGIN;
SELECT deskguard.set_agent(2);
COMMIT;
SELECT deskguard.set_agent(2, false);
SELECT deskguard.current_agent();
SELECT deskguard.set_agent(NULL, false);
SELECT deskguard.set_agent(NULL);
-- After an error nothing is left to warn of.
SELECT deskguard.set_agent(2), 1 / (SELECT count(*) FROM desk.ticket WHERE false);
SELECT 1 AS one;

-- An agent that is nobody. It fails closed.
BEGIN;
SELECT deskguard.set_agent(404);
SELECT count(*) FROM desk.ticket;
SELECT deskguard.set_agent(90);
SELECT count(*) FROM desk.ticket;
ROLLBACK;

-- Who is not trusted is told that, and not who exists.
\c - regress_ann
BEGIN;
SELECT deskguard.set_agent(404);
SELECT deskguard.set_agent(90);
SELECT deskguard.set_agent(1);
COMMIT;

-- Once in a session: policies do not apply.
\c - :superuser
BEGIN;
SELECT deskguard.set_agent(2);
SELECT deskguard.set_agent(3);
COMMIT;
DELETE FROM deskguard.agent WHERE id = 90;
