-- The extension, the roles and the help desk of the other files.
CREATE EXTENSION deskguard;
SELECT extname, nspname, extrelocatable FROM pg_extension JOIN pg_namespace AS n ON n.oid = extnamespace
WHERE extname = 'deskguard';
SELECT id, name, category_access, department_access, builtin FROM deskguard.permission_group ORDER BY id;
SELECT name, destructive, builtin FROM deskguard.permission ORDER BY name COLLATE "C";

CREATE ROLE regress_owner LOGIN;    -- owns the help desk's tables
CREATE ROLE regress_app LOGIN;      -- trusted: the help desk's own program
CREATE ROLE regress_ann LOGIN;      -- is agent 2
CREATE ROLE regress_other LOGIN;    -- may use the tables and is nobody
GRANT CREATE ON DATABASE regression TO regress_owner;
GRANT EXECUTE ON FUNCTION deskguard.protect_tickets, deskguard.protect_messages, deskguard.protect_feature, deskguard.protect_shared,
    deskguard.unprotect, deskguard.create_help_desk TO regress_owner;

CREATE SCHEMA test;
GRANT USAGE ON SCHEMA test TO PUBLIC;

-- Runs a command as whoever calls it; tells how many rows it touched, or its error and hint.
CREATE FUNCTION test.attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    touched bigint;
    message text;
    hint text;
BEGIN
    EXECUTE command;
    GET DIAGNOSTICS touched = ROW_COUNT;
    RETURN 'rows: ' || touched;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
    RETURN regexp_replace(concat(SQLSTATE, ': ', message, E'\nhint: ' || nullif(hint, '')), 'pg_temp_\d+', 'pg_temp', 'g');
END $$;

-- As attempt(), and takes it back.
CREATE FUNCTION test.attempt_only(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    outcome text;
BEGIN
    BEGIN
        outcome := test.attempt(command);
        RAISE EXCEPTION USING ERRCODE = 'YY000';
    EXCEPTION WHEN SQLSTATE 'YY000' THEN
        RETURN outcome;
    END;
END $$;

-- As attempt_only(), for each command with the rules folded into the plan and without; says so if that differs.
CREATE FUNCTION test.tried(commands text[]) RETURNS TABLE (command text, outcome text) LANGUAGE plpgsql AS $$
DECLARE
    unfolded text;
BEGIN
    FOREACH command IN ARRAY commands LOOP
        PERFORM set_config('deskguard.fold', 'off', true);
        unfolded := test.attempt_only(command);
        PERFORM set_config('deskguard.fold', 'on', true);
        outcome := test.attempt_only(command);
        IF outcome IS DISTINCT FROM unfolded THEN
            outcome := concat(outcome, E'\nWITHOUT FOLDING: ', unfolded);
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- What is on a table: flags, policies and triggers.
CREATE FUNCTION test.protection(of regclass) RETURNS TABLE (what text, definition text) LANGUAGE sql AS $$
    SELECT 'table', format('row security %s, forced %s', relrowsecurity, relforcerowsecurity)
    FROM pg_class WHERE oid = of
    UNION ALL
    SELECT 'policy', concat_ws(' ', polname, CASE WHEN polpermissive THEN 'permissive' ELSE 'restrictive' END, polcmd,
        'USING ' || pg_get_expr(polqual, polrelid), 'CHECK ' || pg_get_expr(polwithcheck, polrelid))
    FROM pg_policy WHERE polrelid = of
    UNION ALL
    SELECT 'trigger', regexp_replace(pg_get_triggerdef(oid), '^CREATE TRIGGER ', '')
    FROM pg_trigger WHERE tgrelid = of AND NOT tgisinternal
    ORDER BY 1, 2
$$;

-- A fresh help desk, desk.ticket, with these people:
--   1 Admin    All Permissions
--   2 Ann      Staff, team 10
--   3 Ben      Staff, inactive
--   4 Carl     Staff
--   5 Dora     nothing
-- Staff is siloed in categories 1 and 2, and has Support (with EU and Berlin) in full and may assign to Sales.
CREATE FUNCTION test.reset() RETURNS void LANGUAGE plpgsql SET client_min_messages = warning AS $$
BEGIN
    DROP SCHEMA IF EXISTS desk CASCADE;
    DELETE FROM deskguard.agent;
    DELETE FROM deskguard.team;
    DELETE FROM deskguard.department;
    DELETE FROM deskguard.category;
    DELETE FROM deskguard.permission WHERE NOT builtin;
    DELETE FROM deskguard.permission_group WHERE NOT builtin;
    DELETE FROM deskguard.trusted_role;
    ALTER SEQUENCE deskguard.permission_group_id_seq RESTART;

    INSERT INTO deskguard.trusted_role VALUES ('regress_app');
    INSERT INTO deskguard.department VALUES
        (1, 'Support', NULL), (2, 'EU', 1), (3, 'Berlin', 2), (4, 'Sales', NULL), (5, 'Accounts', NULL);
    INSERT INTO deskguard.category VALUES (1, 'Networking'), (2, 'Hardware'), (3, 'Personnel');
    INSERT INTO deskguard.team VALUES (10, 'Night shift');
    INSERT INTO deskguard.agent (id, name, active, db_role) VALUES
        (1, 'Admin', true, NULL), (2, 'Ann', true, 'regress_ann'), (3, 'Ben', false, NULL), (4, 'Carl', true, NULL),
        (5, 'Dora', true, NULL);
    INSERT INTO deskguard.team_member VALUES (10, 2);
    INSERT INTO deskguard.permission_group (name) VALUES ('Staff');
    INSERT INTO deskguard.group_permission
    SELECT 100, p FROM unnest(ARRAY[
        'ticket.use', 'ticket.create', 'ticket.view.unassigned', 'ticket.view.assigned', 'ticket.reply.own',
        'ticket.reply.unassigned', 'ticket.modify.own', 'ticket.modify.unassigned', 'ticket.delete.own']) AS p;
    INSERT INTO deskguard.group_department VALUES (100, 1, 'full'), (100, 4, 'assign');
    INSERT INTO deskguard.group_category VALUES (100, 1), (100, 2);
    INSERT INTO deskguard.group_member VALUES (1, 1), (100, 2), (100, 3), (100, 4);

    SET LOCAL ROLE regress_owner;
    PERFORM deskguard.create_help_desk('desk');
    GRANT USAGE ON SCHEMA desk TO PUBLIC;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA desk TO PUBLIC;
    RESET ROLE;
    INSERT INTO desk.ticket (id, subject, department_id, category_id, assignee_id, team_id) VALUES
        (1, 'EU, unassigned', 2, 1, NULL, NULL),
        (2, 'EU, Personnel', 2, 3, NULL, NULL),
        (3, 'Sales, unassigned', 4, 1, NULL, NULL),
        (4, 'Sales, of Ann', 4, 1, 2, NULL),
        (5, 'Sales, of the night shift', 4, 2, NULL, 10),
        (6, 'Sales, of Dora, followed by Ann', 4, 1, 5, NULL),
        (7, 'Berlin, of Carl', 3, 2, 4, NULL),
        (8, 'Sales, Personnel, of Ann', 4, 3, 2, NULL),
        (9, 'Support, no category, of Ann', 1, NULL, 2, NULL),
        (10, 'Sales, no category, followed by Ann', 4, NULL, NULL, NULL),
        (11, 'no department', NULL, 1, NULL, NULL),
        (12, 'no department, of Ann', NULL, 1, 2, NULL);
    INSERT INTO desk.ticket_follower VALUES (6, 2), (10, 2), (7, 5);
    ALTER TABLE desk.ticket ALTER id RESTART WITH 101;
END $$;
REVOKE ALL ON FUNCTION test.reset() FROM PUBLIC;
SELECT test.reset();
