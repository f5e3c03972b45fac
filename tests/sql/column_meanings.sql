-- A column of a ticket table may have several meanings: each rule takes it for what it asks about, and plans ask once.
SELECT test.reset();
BEGIN;
SET client_min_messages = warning;
INSERT INTO deskguard.team VALUES (0, 'Nobody'), (2, 'Two');
INSERT INTO deskguard.team_member VALUES (2, 4), (0, 5);
INSERT INTO deskguard.permission_group (name) VALUES ('Requesters');
INSERT INTO deskguard.group_permission SELECT id, p FROM deskguard.permission_group,
    unnest(ARRAY['ticket.use', 'ticket.view.requested', 'ticket.view.unassigned', 'ticket.reply.unassigned', 'ticket.reply.requested']) AS p WHERE name = 'Requesters';
INSERT INTO deskguard.group_member SELECT id, a FROM deskguard.permission_group, unnest(ARRAY[2, 5]) AS a WHERE name = 'Requesters';
INSERT INTO deskguard.group_department SELECT id, 5, 'full' FROM deskguard.permission_group WHERE name = 'Requesters';
CREATE SCHEMA meanings AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA meanings TO PUBLIC;
SET ROLE regress_owner;
CREATE TABLE meanings.ticket (id int PRIMARY KEY, place int, who int, status text, secret boolean);
INSERT INTO meanings.ticket SELECT n, n % 6, (ARRAY[NULL, 0, 2, 4, 5, 10])[1 + n / 6] FROM generate_series(0, 35) AS n;
GRANT ALL ON meanings.ticket TO PUBLIC;

-- Not the id, nor what is no key.
SELECT c AS given, test.attempt_only('SELECT deskguard.protect_tickets(''meanings.ticket'', ' || c || ')') FROM unnest(ARRAY[
    'assignee_column => ''id''', 'assignee_column => ''who'', requester_column => ''id''',
    'assignee_column => ''who'', status_column => ''who'', spam_values => ''{9}''', 'category_column => ''status'', status_column => ''status'', spam_values => ''{spam}''',
    'assignee_column => ''who'', confidential_column => ''secret'', status_column => ''secret''',
    'assignee_column => ''who'', requester_column => ''who''']) AS c;
CREATE FUNCTION meanings.plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE 'EXPLAIN (COSTS OFF) ' || query;
END $$;
RESET ROLE;

-- In each combination every way to ask agrees, and with a table that has a column for each meaning.
CREATE TABLE meanings.apart AS SELECT id, place AS dep, place AS cat, who AS assignee, who AS team, who AS requester, who AS company FROM meanings.ticket;
ALTER TABLE meanings.apart ADD PRIMARY KEY (id), OWNER TO regress_owner;
GRANT ALL ON meanings.apart TO PUBLIC;
CREATE FUNCTION meanings.seen(agent bigint, of regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    one text;
    outcome text;
    folding record;
BEGIN
    PERFORM set_config('deskguard.agent_id', agent::text, true);
    FOR folding IN SELECT * FROM (VALUES ('off', '300'), ('on', '0'), ('on', '300')) AS f (fold, fold_limit) LOOP
        PERFORM set_config('deskguard.fold', folding.fold, true), set_config('deskguard.fold_limit', folding.fold_limit, true);
        EXECUTE format('SELECT concat((SELECT array_agg(id ORDER BY id) FROM %1$s), '' may reply to '',
            (SELECT array_agg(id ORDER BY id) FROM %1$s WHERE deskguard.agent_can(deskguard.current_agent(), ''reply'', id, %1$L)))', of) INTO one;
        IF one IS DISTINCT FROM outcome THEN
            outcome := concat(outcome || ' BUT ' || folding::text || ' ', one);
        END IF;
    END LOOP;
    RETURN outcome;
END $$;
CREATE FUNCTION meanings.compare(together text, apart text) RETURNS TABLE (agent bigint, outcome text) LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL ROLE regress_owner;
    EXECUTE format('SELECT deskguard.protect_tickets(''meanings.ticket'', drop_rules => true, %s)', together);
    EXECUTE format('SELECT deskguard.protect_tickets(''meanings.apart'', drop_rules => true, %s)', apart);
    SET LOCAL SESSION AUTHORIZATION regress_app;
    FOREACH agent IN ARRAY ARRAY[2, 4, 5] LOOP
        outcome := meanings.seen(agent, 'meanings.ticket');
        IF outcome <> meanings.seen(agent, 'meanings.apart') THEN
            outcome := outcome || E'\nAPART: ' || meanings.seen(agent, 'meanings.apart');
        END IF;
        RETURN NEXT;
    END LOOP;
    RESET SESSION AUTHORIZATION;
END $$;
SELECT * FROM meanings.compare('assignee_column => ''who'', requester_column => ''who''', 'assignee_column => ''assignee'', requester_column => ''requester''');
SELECT * FROM meanings.compare('assignee_column => ''who'', team_column => ''who'', department_column => ''place''', 'assignee_column => ''assignee'', team_column => ''team'', department_column => ''dep''');
SELECT * FROM meanings.compare('department_column => ''place'', category_column => ''place'', assignee_column => ''who''', 'department_column => ''dep'', category_column => ''cat'', assignee_column => ''assignee''');
SELECT * FROM meanings.compare('department_column => ''place'', assignee_column => ''who'', team_column => ''who'', requester_column => ''who'', requester_team_column => ''who''',
    'department_column => ''dep'', assignee_column => ''assignee'', team_column => ''team'', requester_column => ''requester'', requester_team_column => ''company''');
SELECT * FROM meanings.compare('department_column => ''place'', team_column => ''who'', requester_team_column => ''who''', 'department_column => ''dep'', team_column => ''team'', requester_team_column => ''company''');
-- What means nobody does so in each meaning: not so where the columns are apart, of which that of the assignee alone has it.
SELECT * FROM meanings.compare('assignee_column => ''who'', team_column => ''who'', requester_column => ''who'', unassigned_value => 0',
    'assignee_column => ''assignee'', team_column => ''team'', requester_column => ''requester'', unassigned_value => 0');
UPDATE meanings.apart SET team = NULL WHERE team = 0;
SELECT * FROM meanings.compare('assignee_column => ''who'', team_column => ''who'', department_column => ''place'', unassigned_value => 0',
    'assignee_column => ''assignee'', team_column => ''team'', department_column => ''dep'', unassigned_value => 0');

-- A condition that two meanings have stands in the plan once.
SET LOCAL ROLE regress_owner;
SELECT deskguard.protect_tickets('meanings.ticket', drop_rules => true, assignee_column => 'who', requester_column => 'who', department_column => 'place');
SET LOCAL client_min_messages = notice;
SELECT deskguard.protect_tickets('meanings.ticket', assignee_column => 'who', requester_column => 'who', department_column => 'place');
SET LOCAL client_min_messages = warning;
SET LOCAL SESSION AUTHORIZATION regress_app;
SET LOCAL deskguard.agent_id = 2;
SELECT meanings.plan('SELECT * FROM meanings.ticket');
RESET SESSION AUTHORIZATION;
-- A new name is that of each meaning.
ALTER TABLE meanings.ticket RENAME who TO "Who";
SELECT assignee_column, requester_column, deskguard_internal.base_ok(table_id) FROM deskguard.protected_table WHERE table_id = 'meanings.ticket'::regclass;
ROLLBACK;
SELECT test.reset();
