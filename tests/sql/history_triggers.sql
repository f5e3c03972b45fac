-- A trigger of the help desk writes what happens to a ticket into a protected table. It can when the same command hands
-- the ticket over, or creates it, to where the agent does not see it. Ann may assign to Sales (4), and does not see it.
SELECT test.reset();
SET ROLE regress_owner;
CREATE TABLE desk.history (id bigint GENERATED ALWAYS AS IDENTITY, ticket_id bigint, what text);
GRANT SELECT, INSERT, UPDATE, DELETE ON desk.history TO PUBLIC;
SET client_min_messages = warning;
SELECT deskguard.protect_messages('desk.history', 'desk.ticket');
CREATE FUNCTION desk.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO desk.history (ticket_id, what) VALUES (NEW.id, format('%s by %s', lower(TG_OP), deskguard.current_agent()));
    RETURN NULL;
END $$;
CREATE TRIGGER history AFTER INSERT OR UPDATE ON desk.ticket FOR EACH ROW EXECUTE FUNCTION desk.note();
CREATE FUNCTION desk.note_all() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed record;
BEGIN
    FOR changed IN SELECT id FROM new_rows LOOP
        INSERT INTO desk.history (ticket_id, what) VALUES (changed.id, 'in a statement');
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER history_all AFTER UPDATE ON desk.ticket REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION desk.note_all();
RESET ROLE;

SET ROLE regress_ann;
UPDATE desk.ticket SET department_id = 4 WHERE id = 1;
SELECT count(*) AS seen FROM desk.ticket WHERE id = 1;
INSERT INTO desk.ticket (subject, department_id, category_id) VALUES ('new', 4, 1);
-- To a colleague, and several with one command.
UPDATE desk.ticket SET assignee_id = 5 WHERE id IN (4, 12);
WITH moved AS (UPDATE desk.ticket SET team_id = NULL WHERE id = 5 RETURNING id) SELECT * FROM moved;
-- By a function, whose commands are no top-level ones; and by the owner's rights.
CREATE FUNCTION pg_temp.hand_over(ticket bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE desk.ticket SET assignee_id = 5 WHERE id = $1;
END $$;
INSERT INTO desk.ticket (id, subject, department_id, category_id, assignee_id) VALUES (200, 'new', 4, 1, 2), (201, 'new', 4, 1, 2);
SELECT pg_temp.hand_over(200);
RESET ROLE;
SELECT ticket_id, what FROM desk.history ORDER BY id;

-- Afterwards nothing is open: neither in the next command, nor in the same transaction.
BEGIN;
SET LOCAL ROLE regress_ann;
UPDATE desk.ticket SET assignee_id = 5 WHERE id = 201;
SELECT test.attempt('INSERT INTO desk.history (ticket_id) VALUES (201)');
SELECT test.attempt('INSERT INTO desk.history (ticket_id) VALUES (200)');
ROLLBACK;

-- What a trigger tries besides.
SET ROLE regress_owner;
CREATE FUNCTION desk.try() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '%', test.attempt(format(TG_ARGV[0], NEW.id));
    RETURN NULL;
END $$;
ALTER TABLE desk.ticket DISABLE TRIGGER history, DISABLE TRIGGER history_all;
RESET ROLE;
CREATE FUNCTION test.in_trigger(command text, change text, timing text DEFAULT 'AFTER') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    outcome text;
BEGIN
    EXECUTE format('CREATE %s desk.ticket %s FOR EACH ROW EXECUTE FUNCTION desk.try(%L)',
        CASE timing WHEN 'DEFERRED' THEN 'CONSTRAINT TRIGGER tries AFTER UPDATE ON' ELSE 'TRIGGER tries AFTER INSERT OR UPDATE ON' END,
        CASE timing WHEN 'DEFERRED' THEN 'DEFERRABLE INITIALLY DEFERRED' ELSE '' END, command);
    SET LOCAL ROLE regress_ann;
    outcome := test.attempt(change);
    SET CONSTRAINTS ALL IMMEDIATE;
    RESET ROLE;
    DROP TRIGGER tries ON desk.ticket;
    RETURN outcome;
END $$;
RESET client_min_messages;
\set hand_over '''UPDATE desk.ticket SET assignee_id = 5 WHERE id = 201'''
BEGIN;
SELECT test.in_trigger('INSERT INTO desk.history (ticket_id) VALUES (%s)', :hand_over);
ROLLBACK;
-- Another ticket: one that was handed over before, one that she never saw.
BEGIN;
SELECT test.in_trigger('INSERT INTO desk.history (ticket_id) VALUES (200)', :hand_over);
ROLLBACK;
BEGIN;
SELECT test.in_trigger('INSERT INTO desk.history (ticket_id) VALUES (2)', :hand_over);
ROLLBACK;
-- One that another command in the trigger has handed over.
BEGIN;
INSERT INTO desk.ticket (id, subject, department_id, category_id, assignee_id) VALUES (202, 'new', 4, 1, 2);
SELECT test.in_trigger('DO ''BEGIN IF %s = 201 THEN UPDATE desk.ticket SET assignee_id = 5 WHERE id = 202; INSERT INTO desk.history (ticket_id) VALUES (202); END IF; END''', :hand_over);
ROLLBACK;
-- To read, to change, to follow.
BEGIN;
SELECT test.in_trigger('INSERT INTO desk.history (ticket_id) VALUES (%s) RETURNING id', :hand_over);
ROLLBACK;
BEGIN;
INSERT INTO desk.history (ticket_id) VALUES (201);
SELECT test.in_trigger('UPDATE desk.history SET what = what WHERE ticket_id = %s', :hand_over);
ROLLBACK;
BEGIN;
SELECT test.in_trigger('SELECT FROM desk.ticket WHERE id = %s', :hand_over);
ROLLBACK;
BEGIN;
SELECT test.in_trigger('INSERT INTO desk.ticket_follower VALUES (%s, 2)', :hand_over);
ROLLBACK;
-- Not deferred, and not for another agent.
BEGIN;
SELECT test.in_trigger('INSERT INTO desk.history (ticket_id) VALUES (%s)', :hand_over, 'DEFERRED');
ROLLBACK;
BEGIN;
SELECT test.in_trigger('DO ''BEGIN SET LOCAL ROLE regress_other; INSERT INTO desk.history (ticket_id) VALUES (%s); END''', :hand_over);
ROLLBACK;
-- Without the right to reply before.
BEGIN;
DELETE FROM deskguard.group_permission WHERE permission = 'ticket.reply.own';
SELECT test.in_trigger('INSERT INTO desk.history (ticket_id) VALUES (%s)', :hand_over);
ROLLBACK;
-- A command that only finds the ticket with the id that it is to write.
BEGIN;
DELETE FROM deskguard.group_permission WHERE permission LIKE 'ticket.reply.%';
SELECT test.in_trigger('INSERT INTO desk.history (ticket_id) VALUES (%s)', $$INSERT INTO desk.ticket (id, subject, department_id, category_id, assignee_id) VALUES (201, 'again', 4, 1, 2) ON CONFLICT (id) DO UPDATE SET assignee_id = 5$$);
ROLLBACK;
BEGIN;
DELETE FROM deskguard.group_permission WHERE permission LIKE 'ticket.reply.%';
SELECT test.in_trigger('INSERT INTO desk.history (ticket_id) VALUES (%s)', $$UPDATE desk.ticket SET id = 300 WHERE id = 201$$);
ROLLBACK;
-- Not in what RETURNING or a condition calls while the command runs.
CREATE FUNCTION test.reply(ticket bigint) RETURNS text LANGUAGE sql AS $$
    SELECT test.attempt(format('INSERT INTO desk.history (ticket_id) VALUES (%s)', ticket))
$$;
BEGIN;
SET LOCAL ROLE regress_ann;
UPDATE desk.ticket SET assignee_id = 5 WHERE id = 201 RETURNING test.reply(id);
ROLLBACK;
SELECT test.reset();
