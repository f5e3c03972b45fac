-- A role is either an agent or trusted to name its agent: where its program forgets to, it would be that agent.
SELECT test.reset();
SELECT test.attempt(command) FROM unnest(ARRAY[
    'UPDATE deskguard.agent SET db_role = ''regress_app'' WHERE id = 1',
    'INSERT INTO deskguard.agent (id, name, db_role) VALUES (9, ''Jobs'', ''regress_app'')',
    'INSERT INTO deskguard.trusted_role VALUES (''regress_ann'')',
    'UPDATE deskguard.trusted_role SET role_name = ''regress_ann''',
    -- With one command for both.
    'WITH a AS (UPDATE deskguard.agent SET db_role = ''regress_other'' WHERE id = 1) INSERT INTO deskguard.trusted_role VALUES (''regress_other'')',
    'WITH t AS (INSERT INTO deskguard.trusted_role VALUES (''regress_other'')) UPDATE deskguard.agent SET db_role = ''regress_other'' WHERE id = 1',
    'INSERT INTO deskguard.trusted_role VALUES (''regress_other''), (''regress_ann'')',
    'UPDATE deskguard.agent SET db_role = ''regress_nonsense'' WHERE id = 1',
    'INSERT INTO deskguard.trusted_role VALUES (''regress_nonsense'')']) AS command;
-- One after the other is no pair.
BEGIN;
DELETE FROM deskguard.trusted_role;
UPDATE deskguard.agent SET db_role = 'regress_app' WHERE id = 1;
UPDATE deskguard.agent SET db_role = NULL WHERE id = 1;
INSERT INTO deskguard.trusted_role VALUES ('regress_app');
UPDATE deskguard.agent SET name = 'Ann B.' WHERE id = 2;
UPDATE deskguard.trusted_role SET role_name = role_name;
ROLLBACK;
-- Where the triggers did not run, as for replicated rows, the trusted role is the agent that it names, or nobody.
SET session_replication_role = replica;
UPDATE deskguard.agent SET db_role = 'regress_app' WHERE id = 1;
RESET session_replication_role;
SET SESSION AUTHORIZATION regress_app;
SELECT deskguard.current_agent();
SELECT count(*) FROM desk.ticket;
SET deskguard.agent_id = 2;
SELECT deskguard.current_agent();
SELECT count(*) > 0 AS some FROM desk.ticket;
RESET deskguard.agent_id;
RESET SESSION AUTHORIZATION;
SET ROLE regress_app;
SELECT deskguard.current_agent();
RESET ROLE;
SELECT test.reset();
