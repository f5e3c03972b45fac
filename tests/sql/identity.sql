-- Which agent a session is.
SELECT test.reset();

-- A trusted login role says so itself.
\c - regress_app
SELECT deskguard.current_agent(), count(*) FROM desk.ticket;
SET deskguard.agent_id = '2';
SELECT deskguard.current_agent(), count(*) FROM desk.ticket;
SET deskguard.agent_id = ' -4 ';
SELECT deskguard.current_agent(), count(*) FROM desk.ticket;
SET deskguard.agent_id = '';
SELECT deskguard.current_agent(), count(*) FROM desk.ticket;
SELECT deskguard.set_agent(3, false);
SELECT deskguard.current_agent() AS inactive, count(*) FROM desk.ticket;
SELECT deskguard.set_agent(99, false);
SELECT deskguard.current_agent() AS unknown, count(*) FROM desk.ticket;
SELECT deskguard.set_agent(9223372036854775807, false);
SELECT deskguard.current_agent(), count(*) FROM desk.ticket;
SELECT deskguard.set_agent(-9223372036854775808, false);
SELECT deskguard.current_agent(), count(*) FROM desk.ticket;

-- For the transaction or the session.
SELECT deskguard.set_agent(4, false);
BEGIN;
SELECT deskguard.set_agent(2);
SELECT deskguard.current_agent();
SAVEPOINT s;
SELECT deskguard.set_agent(1);
SELECT deskguard.current_agent();
ROLLBACK TO s;
SELECT deskguard.current_agent();
SELECT deskguard.set_agent(5, NULL);
SELECT deskguard.current_agent();
COMMIT;
SELECT deskguard.current_agent();
BEGIN;
SELECT deskguard.set_agent(2, false);
ROLLBACK;
SELECT deskguard.current_agent();
BEGIN;
SET LOCAL deskguard.agent_id = 2;
SELECT deskguard.current_agent();
END;
SELECT deskguard.current_agent();
SELECT deskguard.set_agent(NULL, false);
SELECT deskguard.current_agent();
SELECT deskguard.set_agent(2, false);
RESET deskguard.agent_id;
SELECT deskguard.current_agent();
SELECT deskguard.set_agent(2, false);
DISCARD ALL;
SELECT deskguard.current_agent();

-- What is no integer is refused.
SELECT value, test.attempt(format('SET deskguard.agent_id = %L', value))
FROM unnest(ARRAY['x', '7.0', '1e3', '0x10', '9223372036854775808', '7 8', '-', 'NULL', E'7\n', '٧', ''';--']) AS value;
SELECT deskguard.current_agent();
RESET deskguard.agent_id;
SELECT test.attempt('SET deskguard.agent = 7') AS misspelt;
SELECT test.attempt('SET deskguard.default_category_access = open') AS for_superusers;

-- A trusted role that is not the login role does not count.
\c - postgres
GRANT regress_app, regress_ann TO regress_other;
\c - regress_other
SET ROLE regress_app;
SET deskguard.agent_id = '1';
SELECT deskguard.current_agent(), count(*) FROM desk.ticket;
SELECT deskguard.current_agent(), count(*) FROM desk.ticket;
SET ROLE regress_ann;
SELECT deskguard.current_agent(), count(*) FROM desk.ticket;
RESET ROLE;
SELECT deskguard.current_agent(), count(*) FROM desk.ticket;

-- An untrusted session is told once, and is who its role is.
\c - regress_ann
SELECT deskguard.current_agent(), array_agg(id ORDER BY id) FROM desk.ticket;
SELECT deskguard.set_agent(1, false);
SELECT deskguard.current_agent(), array_agg(id ORDER BY id) FROM desk.ticket;
SET deskguard.agent_id = '4';
SELECT deskguard.current_agent();
SELECT test.attempt($$UPDATE desk.ticket SET subject = 'x' WHERE id = 3$$);

-- A trusted session under another role: what it says goes first, the role second.
\c - postgres
REVOKE regress_app, regress_ann FROM regress_other;
GRANT regress_ann TO regress_app;
\c - regress_app
SET ROLE regress_ann;
SELECT deskguard.current_agent();
SET deskguard.agent_id = '4';
SELECT deskguard.current_agent();
SET deskguard.agent_id = '99';
SELECT deskguard.current_agent(), count(*) FROM desk.ticket;

-- Superusers are trusted; without SET ROLE they see everything anyway.
\c - postgres
REVOKE regress_ann FROM regress_app;
SELECT deskguard.set_agent(4, false);
SELECT deskguard.current_agent(), count(*) FROM desk.ticket;
SET ROLE regress_other;
SELECT deskguard.current_agent(), array_agg(id ORDER BY id) FROM desk.ticket;
RESET ROLE;
RESET deskguard.agent_id;
SET ROLE regress_ann;
SELECT deskguard.current_agent();
RESET ROLE;

-- Changes hold from the next statement on.
SET SESSION AUTHORIZATION regress_ann;
SELECT deskguard.current_agent();
RESET SESSION AUTHORIZATION;
UPDATE deskguard.agent SET db_role = NULL WHERE id = 2;
UPDATE deskguard.agent SET db_role = 'regress_ann' WHERE id = 4;
SET SESSION AUTHORIZATION regress_ann;
SELECT deskguard.current_agent();
RESET SESSION AUTHORIZATION;
UPDATE deskguard.agent SET active = false WHERE id = 4;
SET SESSION AUTHORIZATION regress_ann;
SELECT deskguard.current_agent(), count(*) FROM desk.ticket;
RESET SESSION AUTHORIZATION;
DELETE FROM deskguard.agent WHERE id = 4;
SET SESSION AUTHORIZATION regress_ann;
SELECT deskguard.current_agent(), count(*) FROM desk.ticket;
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_ann RENAME TO "regress ""Änne""";
UPDATE deskguard.agent SET db_role = 'regress "Änne"' WHERE id = 2;
SET SESSION AUTHORIZATION "regress ""Änne""";
SELECT deskguard.current_agent(), count(*) FROM desk.ticket;
RESET SESSION AUTHORIZATION;
ALTER ROLE "regress ""Änne""" RENAME TO regress_ann;

-- The category access of those in no group.
INSERT INTO deskguard.agent_permission VALUES (5, 'ticket.use'), (5, 'ticket.view.unassigned');
INSERT INTO deskguard.agent_department VALUES (5, 4, 'full');
UPDATE deskguard.agent SET db_role = 'regress_other' WHERE id = 5;
SET ROLE regress_other;
SELECT array_agg(id ORDER BY id) FROM desk.ticket;
RESET ROLE;
SET deskguard.default_category_access = open;
SET ROLE regress_other;
SELECT array_agg(id ORDER BY id) FROM desk.ticket;
RESET ROLE;
INSERT INTO deskguard.permission_group (name) VALUES ('Empty');
INSERT INTO deskguard.group_member SELECT id, 5 FROM deskguard.permission_group WHERE name = 'Empty';
SET ROLE regress_other;
SELECT array_agg(id ORDER BY id) AS in_a_group FROM desk.ticket;
RESET ROLE;
SELECT test.attempt('SET deskguard.default_category_access = closed');

-- Settings that were made before the library was loaded.
DELETE FROM deskguard.group_member WHERE agent_id = 5;
ALTER ROLE regress_other SET session_preload_libraries = 'plpgsql';
\c - regress_other
SET deskguard.default_category_access = open;
SET deskguard.agent_id = 'x';
SET deskguard.misspelt = 1;
SELECT array_agg(id ORDER BY id) AS siloed FROM desk.ticket;
SHOW deskguard.default_category_access;
SELECT deskguard.current_agent();
\c - regress_other
SET deskguard.agent_id = '1';
SELECT deskguard.current_agent();
SELECT deskguard.current_agent();
\c - postgres
ALTER ROLE regress_other RESET session_preload_libraries;

-- Settings of roles.
ALTER ROLE regress_app SET deskguard.agent_id = '2';
ALTER ROLE regress_other SET deskguard.agent_id = '2';
\c - regress_app
SELECT deskguard.current_agent();
\c - regress_other
SELECT deskguard.current_agent();
\c - postgres
ALTER ROLE regress_app RESET deskguard.agent_id;
ALTER ROLE regress_other RESET deskguard.agent_id;
