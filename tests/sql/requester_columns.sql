-- The columns of who requested a ticket are columns of the rules like the others: named, checked, indexed, renamed, kept.
BEGIN;
SET client_min_messages = warning;
SET ROLE regress_owner;
CREATE SCHEMA req;
GRANT USAGE ON SCHEMA req TO PUBLIC;
CREATE TABLE req.ticket (id int PRIMARY KEY, dep int, cat int, who int, team int, customer int, company int, note text, "On" date);
INSERT INTO req.ticket VALUES (1, 1, 1, NULL, NULL, 2, 10), (2, 1, 1, 2, NULL, NULL, NULL);
GRANT ALL ON req.ticket TO PUBLIC;

-- What is refused, and why.
SELECT left(c, 100) AS given, test.attempt('SELECT deskguard.protect_tickets(''req.ticket'', ' || c || ')') FROM unnest(ARRAY[
    'requester_column => ''absent''', 'requester_team_column => ''note2''', 'requester_column => ''On''',
    'requester_column => ''id''',
    'requester_column => ''customer'', unassigned_value => 0']) AS c;

-- One of them is enough. The indexes are named that are missing.
SET client_min_messages = notice;
SELECT deskguard.protect_tickets('req.ticket', requester_column => 'customer');
SELECT deskguard.protect_tickets('req.ticket', requester_team_column => 'company', drop_rules => true);
SET client_min_messages = warning;
SELECT deskguard.protect_tickets('req.ticket', department_column => 'dep', category_column => 'cat', assignee_column => 'who',
    team_column => 'team', requester_column => 'customer', requester_team_column => 'company');
RESET ROLE;
SELECT requester_column, requester_team_column FROM deskguard.protected_table WHERE table_id = 'req.ticket'::regclass;
SELECT polname, pg_get_expr(polqual, polrelid) AS using, pg_get_expr(polwithcheck, polrelid) AS check
FROM pg_policy WHERE polrelid = 'req.ticket'::regclass ORDER BY polname COLLATE "C";

-- Members of the requester's team are among those who may.
SAVEPOINT s;
INSERT INTO req.ticket (id, dep, cat, company) VALUES (3, 4, 1, 10);
INSERT INTO deskguard.agent_permission VALUES (2, 'ticket.view.requested');
SELECT ARRAY(SELECT deskguard.agents_who_can('view', 3, 'req.ticket')) AS who, deskguard.agent_can_view(2, 3, 'req.ticket') AS ann;
ROLLBACK TO s;

-- To leave one out ends a rule.
SAVEPOINT s;
\set VERBOSITY terse
SET client_min_messages = notice;
SELECT deskguard.protect_tickets('req.ticket', department_column => 'dep', category_column => 'cat', assignee_column => 'who', team_column => 'team');
ROLLBACK TO s;
\set VERBOSITY default

-- A new name is followed; a column that is named is not dropped; another type makes other policies.
ALTER TABLE req.ticket RENAME customer TO client;
ALTER TABLE req.ticket RENAME company TO organization;
SELECT requester_column, requester_team_column, deskguard_internal.base_ok(table_id) FROM deskguard.protected_table WHERE table_id = 'req.ticket'::regclass;
SELECT test.attempt('ALTER TABLE req.ticket DROP COLUMN client CASCADE');
SELECT test.attempt('ALTER TABLE req.ticket ALTER client TYPE date USING NULL');
ALTER TABLE req.ticket ALTER client TYPE text, ALTER organization TYPE text;
SELECT deskguard_internal.base_ok('req.ticket');
SELECT pg_get_expr(polqual, polrelid) FROM pg_policy WHERE polrelid = 'req.ticket'::regclass AND polname = 'deskguard_view';
UPDATE deskguard.agent SET external_key = '2' WHERE id = 2;

-- What has no external key is told.
SELECT jsonb_pretty(x -> 'unmapped') AS unmapped FROM (SELECT deskguard.explain_access(3, 1, ticket_table => 'req.ticket') AS x) AS x;
SELECT x -> 'unmapped' AS unmapped FROM (SELECT deskguard.explain_command(2, 'INSERT', 'req.ticket', new_row => '{"id": 3, "client": "x"}') AS x) AS x;

-- The rules that are asked for old rows see all of a ticket: a move to another place, with the trigger that notes it.
SET ROLE regress_ann;
UPDATE req.ticket SET note = 'mine', dep = 2 WHERE id = 2 RETURNING id;
RESET ROLE;
ROLLBACK;
