-- Followers of kinds: what a row says of its agent depends on its kind. Followers of other things than tickets.
-- Ann sees what is in Support (5, 6), may modify what nobody or she has, and follows. Dora is a customer: she sees and replies to what she requested.
SELECT test.reset();
BEGIN;
SET client_min_messages = warning;
INSERT INTO deskguard.permission_group (name) VALUES ('Customers');
INSERT INTO deskguard.group_permission SELECT id, p FROM deskguard.permission_group,
    unnest(ARRAY['ticket.use', 'ticket.view.requested', 'ticket.reply.requested']) AS p WHERE name = 'Customers';
INSERT INTO deskguard.group_member SELECT id, 5 FROM deskguard.permission_group WHERE name = 'Customers';
CREATE SCHEMA kinds AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA kinds TO PUBLIC;
SET ROLE regress_owner;
CREATE TABLE kinds.ticket (id int PRIMARY KEY, dep int, who int);
CREATE TABLE kinds.watcher (id int GENERATED ALWAYS AS IDENTITY, ticket int, who int, role text, of text DEFAULT 'Ticket');
INSERT INTO kinds.ticket VALUES (1, 4, NULL), (2, 4, NULL), (3, 4, NULL), (4, 4, 4), (5, 1, NULL), (6, 1, 4), (7, 4, 5), (8, 4, NULL);
INSERT INTO kinds.watcher (ticket, who, role) VALUES
    (1, 2, 'AdminCc'), (1, 5, 'AdminCc'), (2, 2, 'Cc'), (2, 5, 'Requestor'), (3, 5, 'Cc'), (3, 2, 'Requestor'),
    (4, 2, NULL), (4, 5, NULL), (5, 5, 'Requestor'), (6, 5, 'Owner'), (6, 4, 'AdminCc'), (7, 5, 'AdminCc'), (7, 5, 'Requestor'), (8, 5, 'requestor'), (99, 5, 'Requestor');
GRANT ALL ON ALL TABLES IN SCHEMA kinds TO PUBLIC;

-- What is refused, and why.
SELECT c AS given, test.attempt(format('SELECT deskguard.protect_tickets(''kinds.ticket'', assignee_column => ''who'', %s)', c))
FROM unnest(ARRAY[
    'follower_kind_column => ''role'', follower_kinds => ''{"Cc": "followed"}''',
    'follower_type_column => ''of'', follower_type_values => ''{Ticket}''',
    'follower_table => ''kinds.watcher'', follower_kind_column => ''role''',
    'follower_table => ''kinds.watcher'', follower_kinds => ''{"Cc": "followed"}''']) AS c;
CREATE FUNCTION pg_temp.given(text) RETURNS text LANGUAGE sql RETURN test.attempt_only(format(
    'SELECT deskguard.protect_tickets(''kinds.ticket'', department_column => ''dep'', assignee_column => ''who'',
        follower_table => ''kinds.watcher'', follower_ticket_column => ''ticket'', follower_agent_column => ''who'', %s)', $1));
CREATE TYPE kinds.role AS ENUM ('Cc', 'Requestor');
ALTER TABLE kinds.watcher ADD as_enum kinds.role, ADD as_number smallint, ADD at date;
SELECT c AS given, pg_temp.given(c) FROM unnest(ARRAY[
    'follower_kind_column => ''role'', follower_kinds => ''{}''',
    'follower_kind_column => ''role'', follower_kinds => ''[]''',
    'follower_kind_column => ''role'', follower_kinds => ''null''',
    'follower_kind_column => ''role'', follower_kinds => ''{"Cc": "follows"}''',
    'follower_kind_column => ''role'', follower_kinds => ''{"Cc": "followed", "Bcc": ["requested"]}''',
    'follower_kind_column => ''role'', follower_kinds => ''{"Cc": null}''',
    'follower_kind_column => ''absent'', follower_kinds => ''{"Cc": "followed"}''',
    'follower_kind_column => ''at'', follower_kinds => ''{"Cc": "followed"}''',
    'follower_kind_column => ''as_enum'', follower_kinds => ''{"Cc": "followed", "AdminCc": "followed"}''',
    'follower_kind_column => ''as_number'', follower_kinds => ''{"1": "followed", "99999": "followed"}''',
    'follower_kind_column => ''as_number'', follower_kinds => ''{"01": "followed"}''',
    'follower_type_column => ''of''',
    'follower_type_values => ''{Ticket}''',
    'follower_type_column => ''of'', follower_type_values => ''{}''',
    'follower_type_column => ''of'', follower_type_values => ''{Ticket,NULL}''',
    'follower_type_column => ''at'', follower_type_values => ''{Ticket}''',
    'follower_type_column => ''of'', follower_type_values => ''{Ticket}'', other_follower_types => ''shown''',
    'follower_type_column => ''of'', follower_type_values => ''{Ticket}'', other_follower_types => NULL',
    'other_follower_types => ''open''']) AS c;

CREATE FUNCTION kinds.protect(VARIADIC more text[] DEFAULT '{}') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SELECT deskguard.protect_tickets(''kinds.ticket'', department_column => ''dep'', assignee_column => ''who'',
        follower_table => ''kinds.watcher'', follower_ticket_column => ''ticket'', follower_agent_column => ''who''%s)',
        concat(VARIADIC (SELECT array_agg(', ' || m) FROM unnest(more) AS m)));
END $$;
SELECT kinds.protect('follower_kind_column => ''role''',
    'follower_kinds => ''{"AdminCc": "followed", "Owner": "followed", "Requestor": "requested"}''');
SELECT * FROM test.protection('kinds.watcher');
RESET ROLE;
SELECT follower_kind_column, follower_kinds, follower_type_column, follower_type_values, other_follower_types
FROM deskguard.protected_table WHERE table_id = 'kinds.ticket'::regclass;

-- What each agent sees, and what the questions say of that, in all ways to plan.
CREATE FUNCTION kinds.seen(agent bigint, command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    one text;
    outcome text;
    folding record;
BEGIN
    PERFORM set_config('deskguard.agent_id', agent::text, true);
    FOR folding IN SELECT * FROM (VALUES ('on', '300'), ('on', '0'), ('off', '300')) AS f (fold, fold_limit) LOOP
        PERFORM set_config('deskguard.fold', folding.fold, true), set_config('deskguard.fold_limit', folding.fold_limit, true);
        EXECUTE command INTO one;
        IF one IS DISTINCT FROM outcome THEN
            outcome := concat(outcome || ' BUT ' || folding::text || ' ', one);
        END IF;
    END LOOP;
    PERFORM set_config('deskguard.fold', 'on', true), set_config('deskguard.fold_limit', '300', true);
    RETURN outcome;
END $$;
CREATE VIEW kinds.agents AS SELECT unnest(ARRAY[2, 4, 5]) AS agent;
GRANT SELECT ON kinds.agents TO PUBLIC;
SET LOCAL SESSION AUTHORIZATION regress_app;
SELECT agent,
    kinds.seen(agent, 'SELECT array_agg(id ORDER BY id) FROM kinds.ticket') AS tickets,
    kinds.seen(agent, 'SELECT array_agg(id ORDER BY id) FROM generate_series(1, 8) AS n (id), LATERAL (SELECT FROM kinds.ticket AS t WHERE t.id = n.id) AS t') AS by_key,
    kinds.seen(agent, 'SELECT array_agg(v ORDER BY v) FROM deskguard.visible_tickets(deskguard.current_agent(), ''kinds.ticket'') AS v') AS visible,
    kinds.seen(agent, 'SELECT array_agg(id ORDER BY id) FROM generate_series(1, 8) AS id WHERE deskguard.agent_can_view(deskguard.current_agent(), id, ''kinds.ticket'')') AS can_view,
    kinds.seen(agent, 'SELECT array_agg(id ORDER BY id) FROM generate_series(1, 8) AS id WHERE deskguard.agent_can(deskguard.current_agent(), ''reply'', id, ''kinds.ticket'')') AS can_reply,
    kinds.seen(agent, 'SELECT array_agg(ticket ORDER BY ticket, role) FROM kinds.watcher') AS watchers
FROM kinds.agents;
SET LOCAL deskguard.agent_id = 5;
SELECT x ->> 'allowed' AS allowed, x ->> 'summary' AS summary, jsonb_path_query_array(x, '$.rules[*].relations') AS relations
FROM generate_series(1, 3) AS id, deskguard.explain_access(5, id, 'reply', 'kinds.ticket') AS x;
RESET SESSION AUTHORIZATION;
SELECT id, array(SELECT deskguard.agents_who_can('view', id, 'kinds.ticket')) AS view, array(SELECT deskguard.agents_who_can('reply', id, 'kinds.ticket')) AS reply
FROM generate_series(1, 8) AS id;

-- Plans: what each asks is read by its own call. Who does not ask for requested tickets does not read them.
CREATE FUNCTION kinds.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;
CREATE INDEX ON kinds.watcher (who);
CREATE INDEX ON kinds.ticket (dep);
CREATE INDEX ON kinds.ticket (who);
INSERT INTO kinds.ticket SELECT n, 4, 1 FROM generate_series(1000, 9000) AS n;
ANALYZE kinds.ticket, kinds.watcher;
SET LOCAL SESSION AUTHORIZATION regress_app;
SELECT kinds.plan('SELECT * FROM kinds.ticket');
SET LOCAL deskguard.agent_id = 2;
SELECT kinds.plan('SELECT * FROM kinds.ticket');
-- Somebody's own calls: what the follower table shows.
SELECT deskguard_internal.requested('kinds.ticket', 2::int), deskguard_internal.requested('kinds.ticket', 3::bigint),
    deskguard_internal.followed('kinds.ticket', 1::smallint), deskguard_internal.followed('kinds.ticket', 3::int),
    deskguard_internal.requested('kinds.ticket', 'x'::text), deskguard_internal.requested_tickets('kinds.ticket'), deskguard_internal.followed_tickets('kinds.ticket');
SET LOCAL deskguard.agent_id = 5;
SELECT deskguard_internal.requested('kinds.ticket', n), deskguard_internal.requested_tickets('kinds.ticket') FROM (VALUES (2), (3), (99)) AS v (n);
RESET SESSION AUTHORIZATION;

-- A row that says that its agent follows is added and removed by itself with sight; any other kind, which might give more rights, by who may modify.
-- Ann sees 1, 5 and 6 and may modify 1 and 5.
SET LOCAL deskguard.agent_id = '';
SET LOCAL ROLE regress_ann;
SELECT * FROM test.tried(ARRAY[
    'INSERT INTO kinds.watcher (ticket, who, role) VALUES (6, 2, ''AdminCc'')',
    'INSERT INTO kinds.watcher (ticket, who, role) VALUES (6, 2, ''Owner'')',
    'INSERT INTO kinds.watcher (ticket, who, role) VALUES (6, 2, ''Requestor'')',
    'INSERT INTO kinds.watcher (ticket, who, role) VALUES (6, 2, ''Cc'')',
    'INSERT INTO kinds.watcher (ticket, who) VALUES (6, 2)',
    'INSERT INTO kinds.watcher (ticket, who, role) VALUES (6, 5, ''AdminCc'')',
    'INSERT INTO kinds.watcher (ticket, who, role) VALUES (6, NULL, ''AdminCc'')',
    'INSERT INTO kinds.watcher (ticket, who, role) VALUES (5, 2, ''Requestor'')',
    'INSERT INTO kinds.watcher (ticket, who, role) VALUES (5, 4, ''Cc'')',
    'INSERT INTO kinds.watcher (ticket, who) VALUES (5, 2)',
    'INSERT INTO kinds.watcher (ticket, who, role) VALUES (3, 2, ''AdminCc'')',
    'INSERT INTO kinds.watcher (ticket, who, role) VALUES (3, 2, ''Requestor'')',
    'UPDATE kinds.watcher SET role = ''Requestor''',
    'DELETE FROM kinds.watcher WHERE ticket = 1',
    'DELETE FROM kinds.watcher WHERE ticket = 6',
    'DELETE FROM kinds.watcher WHERE ticket = 5',
    'DELETE FROM kinds.watcher']);
RESET ROLE;
SET LOCAL deskguard.agent_id = 5;
SET LOCAL SESSION AUTHORIZATION regress_app;
SELECT * FROM test.tried(ARRAY[
    'DELETE FROM kinds.watcher',
    'INSERT INTO kinds.watcher (ticket, who, role) VALUES (2, 5, ''AdminCc'')',
    'INSERT INTO kinds.watcher (ticket, who, role) VALUES (2, 5, ''Requestor'')']);
RESET SESSION AUTHORIZATION;
SELECT command, (x ->> 'allowed')::boolean AS allowed, x ->> 'summary' AS summary FROM (
    SELECT command, deskguard.explain_command(2, c.command, 'kinds.watcher', c.old::jsonb, c.new::jsonb) AS x FROM (VALUES
        ('INSERT', NULL, '{"ticket": 6, "who": 2, "role": "AdminCc"}'), ('INSERT', NULL, '{"ticket": 6, "who": 2, "role": "Requestor"}'),
        ('INSERT', NULL, '{"ticket": 6, "who": 2}'), ('INSERT', NULL, '{"ticket": 5, "who": 2, "role": "Requestor"}'),
        ('DELETE', '{"ticket": 6, "who": 2, "role": "AdminCc"}', NULL), ('DELETE', '{"ticket": 6, "who": 2, "role": null}', NULL)) AS c (command, old, new)) AS e;
SELECT test.attempt('SELECT deskguard.explain_command(2, ''DELETE'', ''kinds.watcher'', ''{"ticket": 6, "who": 2}'')');

-- What a transaction has written counts for its next statement, and not for the one that writes.
SET LOCAL SESSION AUTHORIZATION regress_app;
PREPARE mine AS SELECT array_agg(id ORDER BY id) FROM kinds.ticket;
EXECUTE mine;
RESET SESSION AUTHORIZATION;
INSERT INTO kinds.watcher (ticket, who, role) VALUES (3, 5, 'Requestor');
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE mine;
RESET SESSION AUTHORIZATION;
UPDATE kinds.watcher SET role = 'Cc' WHERE ticket = 3 AND who = 5;
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE mine;
RESET SESSION AUTHORIZATION;

-- Other kinds, meanings and types of the column: to lose one is said. Plans follow.
SET LOCAL ROLE regress_owner;
SET LOCAL client_min_messages = notice;
SELECT test.attempt('SELECT kinds.protect()');
SELECT test.attempt('SELECT kinds.protect(''follower_kind_column => ''''role'''''', ''follower_kinds => ''''{"AdminCc": "requested", "Requestor": "requested"}'''''')');
SET LOCAL client_min_messages = warning;
SELECT kinds.protect('follower_kind_column => ''role''', 'drop_rules => true', 'follower_kinds => ''{"AdminCc": "requested", "Requestor": "requested"}''');
RESET ROLE;
SELECT follower_kinds FROM deskguard.protected_table WHERE table_id = 'kinds.ticket'::regclass;
SET LOCAL SESSION AUTHORIZATION regress_app;
EXECUTE mine;
SELECT kinds.seen(2, 'SELECT array_agg(id ORDER BY id) FROM kinds.ticket');
RESET SESSION AUTHORIZATION;
SET LOCAL deskguard.agent_id = '';
SET LOCAL ROLE regress_owner;
ALTER TABLE kinds.watcher RENAME role TO "Role";
UPDATE kinds.watcher SET as_enum = 'Requestor' WHERE "Role" = 'Requestor';
RESET ROLE;
SELECT follower_kind_column, deskguard_internal.base_ok('kinds.watcher') FROM deskguard.protected_table WHERE table_id = 'kinds.ticket'::regclass;
SET LOCAL ROLE regress_owner;
SELECT test.attempt_only(c) FROM unnest(ARRAY[
    'ALTER TABLE kinds.watcher DROP "Role"',
    'ALTER TABLE kinds.watcher DROP "Role" CASCADE',
    'ALTER TABLE kinds.watcher ALTER "Role" TYPE varchar(20)',
    'ALTER TABLE kinds.watcher ALTER "Role" TYPE date USING NULL',
    'ALTER TABLE kinds.watcher ALTER "Role" TYPE int USING 1',
    'ALTER TABLE kinds.watcher ALTER "Role" TYPE text COLLATE "C"',
    'ALTER TABLE kinds.watcher ALTER "Role" TYPE kinds.role USING as_enum']) AS c;
RESET ROLE;
UPDATE kinds.watcher SET as_number = CASE "Role" WHEN 'AdminCc' THEN 1 WHEN 'Requestor' THEN 2 WHEN 'Cc' THEN 3 END;
SET LOCAL ROLE regress_owner;
SELECT kinds.protect('follower_kind_column => ''as_enum''', 'drop_rules => true', 'follower_kinds => ''{"Cc": "followed", "Requestor": "requested"}''');
RESET ROLE;
SET LOCAL SESSION AUTHORIZATION regress_app;
SELECT agent, kinds.seen(agent, 'SELECT array_agg(id ORDER BY id) FROM kinds.ticket') FROM kinds.agents;
RESET SESSION AUTHORIZATION;
SET LOCAL ROLE regress_owner;
SELECT kinds.protect('follower_kind_column => ''as_number''', 'drop_rules => true', 'follower_kinds => ''{"1": "followed", "3": "followed", "2": "requested"}''');
RESET ROLE;
SET LOCAL SESSION AUTHORIZATION regress_app;
SELECT agent, kinds.seen(agent, 'SELECT array_agg(id ORDER BY id) FROM kinds.ticket') FROM kinds.agents;
RESET SESSION AUTHORIZATION;

-- Followers of other things than tickets, which may have the same number.
INSERT INTO kinds.watcher (ticket, who, of, "Role") VALUES (3, 2, 'Page', 'AdminCc'), (8, 5, 'Page', 'Requestor'), (8, 2, NULL, 'AdminCc'), (5, 2, 'Page', 'AdminCc'), (5, 2, NULL, 'AdminCc');
SET LOCAL ROLE regress_owner;
SELECT kinds.protect('follower_kind_column => ''Role''', 'drop_rules => true',
    'follower_kinds => ''{"AdminCc": "followed", "Requestor": "requested"}''', 'follower_type_column => ''of''', 'follower_type_values => ''{Ticket,Issue}''');
SELECT * FROM test.protection('kinds.watcher');
RESET ROLE;
SET LOCAL SESSION AUTHORIZATION regress_app;
SELECT agent, kinds.seen(agent, 'SELECT array_agg(id ORDER BY id) FROM kinds.ticket') AS tickets,
    kinds.seen(agent, 'SELECT array_agg((ticket, of)::text ORDER BY ticket, id) FROM kinds.watcher') AS watchers
FROM kinds.agents;
SET LOCAL deskguard.agent_id = 2;
SELECT * FROM test.tried(ARRAY[
    'INSERT INTO kinds.watcher (ticket, who, of, "Role") VALUES (5, 2, ''Issue'', ''AdminCc'')',
    'INSERT INTO kinds.watcher (ticket, who, of, "Role") VALUES (5, 2, ''Page'', ''AdminCc'')',
    'INSERT INTO kinds.watcher (ticket, who, of, "Role") VALUES (5, 2, NULL, ''AdminCc'')',
    'UPDATE kinds.watcher SET of = ''Ticket''',
    'DELETE FROM kinds.watcher WHERE ticket = 5']);
RESET SESSION AUTHORIZATION;
SELECT command, (x ->> 'allowed')::boolean AS allowed, x ->> 'summary' AS summary FROM (
    SELECT command, deskguard.explain_command(2, c.command, 'kinds.watcher', c.old::jsonb, c.new::jsonb) AS x FROM (VALUES
        ('SELECT', '{"ticket": 5, "of": "Ticket"}', NULL), ('SELECT', '{"ticket": 5, "of": "Page"}', NULL),
        ('INSERT', NULL, '{"ticket": 5, "who": 2, "Role": "AdminCc"}'), ('INSERT', NULL, '{"ticket": 5, "who": 2, "Role": "AdminCc", "of": null}')) AS c (command, old, new)) AS e;
SELECT test.attempt('SELECT deskguard.explain_command(2, ''SELECT'', ''kinds.watcher'', ''{"ticket": 5}'')');
-- Open to policies of one's own, which are restrictive: the permissive one is deskguard's.
SET LOCAL ROLE regress_owner;
SELECT test.attempt('SELECT kinds.protect(''follower_kind_column => ''''Role'''''', ''follower_kinds => ''''{"AdminCc": "followed", "Requestor": "requested"}'''''')');
SELECT kinds.protect('follower_kind_column => ''Role''', 'drop_rules => true', 'other_follower_types => ''open''',
    'follower_kinds => ''{"AdminCc": "followed", "Requestor": "requested"}''', 'follower_type_column => ''of''', 'follower_type_values => ''{Ticket,Issue}''');
SELECT * FROM test.protection('kinds.watcher');
CREATE POLICY mine ON kinds.watcher AS RESTRICTIVE FOR SELECT USING (of IS NOT NULL);
RESET ROLE;
SET LOCAL SESSION AUTHORIZATION regress_app;
SELECT agent, kinds.seen(agent, 'SELECT array_agg(id ORDER BY id) FROM kinds.ticket') AS tickets,
    kinds.seen(agent, 'SELECT array_agg((ticket, of)::text ORDER BY ticket, id) FROM kinds.watcher') AS watchers
FROM kinds.agents;
SET LOCAL deskguard.agent_id = 2;
SELECT * FROM test.tried(ARRAY[
    'INSERT INTO kinds.watcher (ticket, who, of, "Role") VALUES (3, 2, ''Ticket'', ''AdminCc'')',
    'INSERT INTO kinds.watcher (ticket, who, of, "Role") VALUES (3, 2, ''Page'', ''AdminCc'')',
    'UPDATE kinds.watcher SET of = ''Ticket'' WHERE of = ''Page''',
    'UPDATE kinds.watcher SET of = ''Other'' WHERE of = ''Page''',
    'UPDATE kinds.watcher SET of = ''Page'' WHERE of = ''Ticket''',
    'DELETE FROM kinds.watcher WHERE ticket = 3']);
SELECT x ->> 'allowed' AS allowed, x ->> 'summary' AS summary FROM (SELECT deskguard.explain_command(2, 'SELECT', 'kinds.watcher', '{"ticket": 3, "of": "Page"}') AS x) AS e;
RESET SESSION AUTHORIZATION;

-- Unprotected, all is as it was.
SET LOCAL ROLE regress_owner;
DROP POLICY mine ON kinds.watcher;
SELECT deskguard.unprotect('kinds.ticket');
SELECT * FROM test.protection('kinds.watcher');
RESET ROLE;
ROLLBACK;
DEALLOCATE ALL;
SELECT test.reset();
