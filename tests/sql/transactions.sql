-- Protection and rights are transactional: what is rolled back, by an error too, leaves nothing half-done.
SELECT test.reset();
SET client_min_messages = warning;
CREATE TABLE test.before AS
SELECT t, p.* FROM unnest(ARRAY['desk.ticket', 'desk.ticket_follower']) AS t, test.protection(t::regclass) AS p;
CREATE VIEW test.changed AS
(SELECT t, p.* FROM unnest(ARRAY['desk.ticket', 'desk.ticket_follower']) AS t, test.protection(t::regclass) AS p EXCEPT TABLE test.before)
UNION ALL
(TABLE test.before EXCEPT SELECT t, p.* FROM unnest(ARRAY['desk.ticket', 'desk.ticket_follower']) AS t, test.protection(t::regclass) AS p);

-- Protection.
BEGIN;
SELECT deskguard.unprotect('desk.ticket');
ROLLBACK;
TABLE test.changed;
BEGIN;
SAVEPOINT s;
SELECT deskguard.protect_tickets('desk.ticket', category_column => 'category_id', drop_rules => true);
SET LOCAL ROLE regress_ann;
SELECT array_agg(id ORDER BY id) AS by_category FROM desk.ticket;
ROLLBACK TO s;
SET LOCAL ROLE regress_ann;
SELECT array_agg(id ORDER BY id) AS as_before FROM desk.ticket;
COMMIT;
TABLE test.changed;
-- An error on the way, after the former protection was taken off.
ALTER TABLE desk.ticket_follower ADD CONSTRAINT is_there CHECK (true);
CREATE TABLE desk.follower2 (ticket_id int, agent_id int);
ALTER TABLE desk.follower2 OWNER TO regress_other;
SET ROLE regress_owner;
SELECT test.attempt($$SELECT deskguard.protect_tickets('desk.ticket', category_column => 'category_id', follower_table => 'desk.follower2')$$);
RESET ROLE;
SELECT left(test.attempt($$SELECT deskguard.protect_tickets('desk.ticket', category_column => 'category_id', follower_table => 'desk.ticket_follower',
        follower_ticket_column => 'agent_id', follower_agent_column => 'ticket_id', drop_rules => true) FROM desk.ticket_follower$$), 5);
TABLE test.changed;
-- With a query of the table under way.
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM desk.ticket ORDER BY id;
FETCH 1 FROM c;
SELECT left(test.attempt($$SELECT deskguard.unprotect('desk.ticket')$$), 5);
FETCH 1 FROM c;
ROLLBACK;
TABLE test.changed;

-- Rights: seen by the transaction itself, and gone with it.
CREATE FUNCTION test.of_ann() RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
    seen bigint[];
BEGIN
    SET LOCAL ROLE regress_ann;
    SELECT array_agg(id ORDER BY id) INTO seen FROM desk.ticket;
    RESET ROLE;
    RETURN seen;
END $$;
BEGIN;
SELECT test.of_ann();
INSERT INTO deskguard.group_member VALUES (1, 2);
SELECT test.of_ann() AS with_all_permissions;
SAVEPOINT s;
DELETE FROM deskguard.group_member WHERE agent_id = 2;
SELECT test.of_ann() AS in_no_group;
ROLLBACK TO s;
SELECT test.of_ann() AS with_all_permissions;
UPDATE deskguard.agent SET active = false WHERE id = 2;
SELECT test.of_ann() AS inactive;
ROLLBACK;
SELECT test.of_ann();
RESET client_min_messages;
DO $$
BEGIN
    INSERT INTO deskguard.agent_category VALUES (2, 3);
    RAISE NOTICE '%', test.of_ann();
    PERFORM 1 / 0;
EXCEPTION WHEN division_by_zero THEN
    RAISE NOTICE '%', test.of_ann();
END $$;
BEGIN;
DELETE FROM deskguard.team_member;
UPDATE deskguard.department SET parent_id = NULL WHERE id = 3;
TRUNCATE deskguard.group_category;
SELECT test.of_ann() AS without_categories;
ROLLBACK;
SELECT test.of_ann();
-- An error in a rule's work does not change who one is.
SET ROLE regress_ann;
SELECT test.attempt('UPDATE desk.ticket SET department_id = 5 WHERE id = 1'), current_user, deskguard.current_agent();
SELECT test.attempt('UPDATE desk.ticket SET department_id = 5 WHERE id = 3'), current_user, deskguard.current_agent();
SELECT test.attempt($$SELECT deskguard.agents_who_can('view', 1)$$) IS NOT NULL, current_user;
RESET ROLE;
-- A rule that PL/pgSQL calls by itself is asked anew in each statement.
CREATE FUNCTION test.sees(ticket bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN deskguard_internal.parent_seen('desk.ticket_follower'::regclass, ticket);
END $$;
BEGIN;
SET LOCAL deskguard.fold = off;
SET LOCAL ROLE regress_ann;
SELECT test.sees(1);
RESET ROLE;
DELETE FROM deskguard.group_member WHERE agent_id = 2;
SET LOCAL ROLE regress_ann;
SELECT test.sees(1);
ROLLBACK;
DROP FUNCTION test.sees(bigint);
DROP FUNCTION test.of_ann();
DROP VIEW test.changed;
DROP TABLE test.before;
