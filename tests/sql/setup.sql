-- The extension, the roles and the help desk of the other files.
CREATE EXTENSION deskguard;
-- An older minor release is warned of, and no other.
SELECT num < CASE num / 10000 WHEN 15 THEN 150020 WHEN 16 THEN 160016 WHEN 17 THEN 170012 WHEN 18 THEN 180007 END AS is_warned
FROM CAST(current_setting('server_version_num') AS int) AS num;
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

-- Keys that are uuid, text or varchar. The same help desk three times: desk has numbers, keys has uuid, words
-- has text and varchar; external_key says what the latter two call agents, teams, departments and categories.

-- The uuid of the nth agent (a), category (c), department (d), team (e), ticket (f) and other row (b).
CREATE FUNCTION test.key(kind text, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (kind || '0000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid
$$;

-- What deskguard says if it is told the keys above.
CREATE FUNCTION test.external_keys() RETURNS void LANGUAGE sql AS $$
    UPDATE deskguard.agent SET external_key = test.key('a', id);
    UPDATE deskguard.team SET external_key = test.key('e', id);
    UPDATE deskguard.department SET external_key = test.key('d', id);
    UPDATE deskguard.category SET external_key = test.key('c', id);
$$;
REVOKE ALL ON FUNCTION test.external_keys() FROM PUBLIC;

CREATE FUNCTION test.reset_keys() RETURNS void LANGUAGE plpgsql SET client_min_messages = warning AS $$
BEGIN
    PERFORM test.reset();
    DROP SCHEMA IF EXISTS keys, words CASCADE;
    INSERT INTO deskguard.agent_permission VALUES (2, 'ticket.edit_messages.own'), (4, 'permission.audit');
    PERFORM test.external_keys();

    CREATE SCHEMA keys AUTHORIZATION regress_owner;
    CREATE SCHEMA words AUTHORIZATION regress_owner;
    GRANT USAGE ON SCHEMA keys, words TO PUBLIC;
    ALTER DEFAULT PRIVILEGES FOR ROLE regress_owner IN SCHEMA desk, keys, words
        GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO PUBLIC;
    SET LOCAL ROLE regress_owner;
    CREATE TABLE desk.message (id integer PRIMARY KEY, ticket_id smallint, author_id bigint, body text);
    CREATE TABLE desk.attachment (id bigint PRIMARY KEY, message_id bigint, name text);
    CREATE TABLE keys.ticket (
        id uuid PRIMARY KEY, subject text, status text DEFAULT 'open', department_id uuid, category_id uuid, assignee_id uuid,
        team_id uuid);
    CREATE TABLE keys.ticket_follower (ticket_id uuid, agent_id uuid, PRIMARY KEY (ticket_id, agent_id));
    CREATE TABLE keys.message (id uuid PRIMARY KEY, ticket_id uuid, author_id uuid, body text);
    CREATE TABLE keys.attachment (id uuid PRIMARY KEY, message_id uuid, name text);
    CREATE TABLE words.ticket (
        id varchar(40) PRIMARY KEY, subject text, status text DEFAULT 'open', department_id varchar(40), category_id text,
        assignee_id varchar, team_id text);
    CREATE TABLE words.ticket_follower (ticket_id text, agent_id varchar(40), PRIMARY KEY (ticket_id, agent_id));
    CREATE TABLE words.message (id text PRIMARY KEY, ticket_id varchar(50), author_id text, body text);
    CREATE TABLE words.attachment (id varchar PRIMARY KEY, message_id varchar, name text);
    PERFORM deskguard.protect_tickets(s || '.ticket', department_column => 'department_id', category_column => 'category_id',
        assignee_column => 'assignee_id', team_column => 'team_id', follower_table => (s || '.ticket_follower')::regclass,
        status_column => 'status', archived_values => '{archived}', spam_values => '{spam}')
    FROM unnest(ARRAY['keys', 'words', 'desk']) AS s;
    PERFORM deskguard.protect_messages(s || '.message', s || '.ticket', author_column => 'author_id')
    FROM unnest(ARRAY['desk', 'keys', 'words']) AS s;
    PERFORM deskguard.protect_messages(s || '.attachment', s || '.message', 'message_id')
    FROM unnest(ARRAY['desk', 'keys', 'words']) AS s;
    RESET ROLE;

    UPDATE desk.ticket SET status = 'archived' WHERE id = 12;
    UPDATE desk.ticket SET status = 'spam' WHERE id = 5;
    INSERT INTO desk.message SELECT n, n, 2, 'message ' || n FROM generate_series(1, 12) AS n;
    INSERT INTO desk.message VALUES (13, 99, 2, 'of no ticket'), (14, NULL, 2, 'without ticket'), (15, 4, 5, 'of Dora');
    INSERT INTO desk.attachment SELECT n, n, 'file ' || n FROM generate_series(1, 15) AS n;
    INSERT INTO keys.ticket
    SELECT test.key('f', id), subject, status, test.key('d', department_id), test.key('c', category_id), test.key('a', assignee_id),
        test.key('e', team_id) FROM desk.ticket;
    INSERT INTO keys.ticket_follower SELECT test.key('f', ticket_id), test.key('a', agent_id) FROM desk.ticket_follower;
    INSERT INTO keys.message SELECT test.key('b', id), test.key('f', ticket_id), test.key('a', author_id), body FROM desk.message;
    INSERT INTO keys.attachment SELECT test.key('b', id), test.key('b', message_id), name FROM desk.attachment;
    INSERT INTO words.ticket TABLE keys.ticket;
    INSERT INTO words.ticket_follower TABLE keys.ticket_follower;
    INSERT INTO words.message TABLE keys.message;
    INSERT INTO words.attachment TABLE keys.attachment;
END $$;
REVOKE ALL ON FUNCTION test.reset_keys() FROM PUBLIC;

-- What a command does for the current agent in the three help desks, folded, with all lists as calls, and without folding.
-- {s} is the help desk, {c1} the key of the first category, and so on. It tells each outcome that differs from the one
-- before, but for the names of keys and tables.
CREATE FUNCTION test.everywhere(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    help_desk record;
    folding record;
    one text;
    last text;
    outcomes text;
BEGIN
    FOR help_desk IN
        SELECT * FROM (VALUES ('desk', '\2'), ('keys', 'test.key(''\1'', \2)'), ('words', 'test.key(''\1'', \2)::text')) AS d (name, key)
    LOOP
        FOR folding IN SELECT * FROM (VALUES ('on', '300'), ('on', '0'), ('off', '300')) AS f (fold, fold_limit) LOOP
            PERFORM set_config('deskguard.fold', folding.fold, true), set_config('deskguard.fold_limit', folding.fold_limit, true);
            one := test.attempt_only(regexp_replace(replace(command, '{s}', help_desk.name), '\{([a-f])(\d+)\}', help_desk.key, 'g'));
            one := regexp_replace(split_part(one, E'\n', 1), '\m[a-f]0000000-0000-0000-0000-0*', '', 'g');
            one := replace(one, help_desk.name || '.', '{s}.');
            IF one IS DISTINCT FROM last THEN
                outcomes := concat(outcomes || E'\n' || help_desk.name || ' ' || folding::text || ' ', one);
            END IF;
            last := one;
        END LOOP;
    END LOOP;
    RETURN outcomes;
END $$;
-- For each agent; 99 is unknown. Rows or SQLSTATE.
CREATE FUNCTION test.everywhere_for_each_agent(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    agent bigint;
    outcome text;
    result text;
BEGIN
    FOREACH agent IN ARRAY ARRAY[NULL, 99, 1, 2, 3, 4, 5] LOOP
        PERFORM set_config('deskguard.agent_id', COALESCE(agent::text, ''), true); -- without its warnings
        outcome := test.everywhere(command);
        IF outcome NOT LIKE E'%\n%' THEN
            outcome := CASE WHEN outcome LIKE 'rows: %' THEN substr(outcome, 7) ELSE left(outcome, 5) END;
        END IF;
        result := concat(result || ', ', coalesce(agent::text, 'nobody'), ': ', outcome);
    END LOOP;
    RETURN result;
END $$;

CREATE FUNCTION test.everywhere_as(agent bigint, command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('deskguard.agent_id', COALESCE(agent::text, ''), true);
    RETURN test.everywhere(command);
END $$;

-- What explain_access() says about a ticket: a line for each rule.
CREATE FUNCTION test.explained_in(agent bigint, ticket text, of regclass, action text DEFAULT 'view') RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', e - 'rules' - 'summary', E'\n' || (e ->> 'summary'))
    FROM deskguard.explain_access(agent, ticket, action, of) AS e
    UNION ALL
    SELECT r.value::text FROM jsonb_array_elements(deskguard.explain_access(agent, ticket, action, of) -> 'rules') WITH ORDINALITY AS r
$$;

SELECT test.reset();
