-- The trigger functions of deskguard, put by owners where they do not belong: 39P01, or nothing happens.
SELECT test.reset();
SET client_min_messages = warning;
CREATE SCHEMA trig AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA trig TO PUBLIC;
SET ROLE regress_owner;
-- A table of each kind.
CREATE TABLE trig.plain (id bigint PRIMARY KEY, department_id bigint);
CREATE TABLE trig.ticket (id bigint PRIMARY KEY, department_id bigint);
CREATE TABLE trig.thing (id bigint PRIMARY KEY, department_id bigint);
CREATE TABLE trig.parted (id bigint PRIMARY KEY, department_id bigint) PARTITION BY RANGE (id);
CREATE TABLE trig.part PARTITION OF trig.parted DEFAULT;
CREATE VIEW trig.view AS SELECT * FROM trig.plain;
SELECT deskguard.protect_tickets('trig.ticket', department_column => 'department_id');
SELECT deskguard.protect_tickets('trig.parted', department_column => 'department_id');
SELECT deskguard.protect_shared('trig.thing', owner_column => 'department_id');
RESET ROLE;
INSERT INTO deskguard.agent (id, name, db_role) VALUES (9, 'The owner', 'regress_owner');
INSERT INTO deskguard.group_member VALUES (1, 9);

-- What happens in each form: to make the trigger, and to run what it is for.
CREATE FUNCTION trig.in_each_form(function text) RETURNS TABLE (form text, outcomes text) LANGUAGE plpgsql AS $$
DECLARE
    relation text;
    form_of_it record;
    definition text;
    outcome text;
    found text[];
BEGIN
    FOR form_of_it IN
        SELECT format('%s %s %s', timing, event, level) AS name, format('TRIGGER x %s %s ON %%s FOR EACH %s', timing, event, level) AS definition, event
        FROM unnest(ARRAY['BEFORE', 'AFTER', 'INSTEAD OF']) AS timing, unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS event,
            unnest(ARRAY['ROW', 'STATEMENT']) AS level
        UNION ALL SELECT format('CONSTRAINT AFTER %s', event),
            format('CONSTRAINT TRIGGER x AFTER %s ON %%s DEFERRABLE INITIALLY DEFERRED FOR EACH ROW', event), event
        FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE']) AS event
        UNION ALL SELECT format('with transition tables, %s %s', event, level),
            format('TRIGGER x AFTER %s ON %%s REFERENCING %s TABLE AS rows FOR EACH %s', event, CASE event WHEN 'INSERT' THEN 'NEW' ELSE 'OLD' END, level), event
        FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE']) AS event, unnest(ARRAY['ROW', 'STATEMENT']) AS level
    LOOP
        found := '{}';
        FOREACH relation IN ARRAY ARRAY['plain', 'ticket', 'thing', 'parted', 'part', 'view'] LOOP
            BEGIN
                EXECUTE format('CREATE %s EXECUTE FUNCTION deskguard_internal.%s()', format(form_of_it.definition, 'trig.' || relation), function);
                IF relation <> 'view' THEN
                    EXECUTE format('INSERT INTO trig.%I VALUES (1, 1), (2, 2)', relation);
                    EXECUTE format('UPDATE trig.%I SET department_id = 2 WHERE id = 1', relation);
                    EXECUTE format('UPDATE trig.%I SET department_id = id', relation);
                    EXECUTE format('DELETE FROM trig.%I WHERE id = 1', relation);
                    SET CONSTRAINTS ALL IMMEDIATE;
                    EXECUTE format('TRUNCATE trig.%I', relation);
                ELSE
                    EXECUTE format('INSERT INTO trig.%I VALUES (1, 1)', relation);
                    EXECUTE format('UPDATE trig.%I SET department_id = 2', relation);
                    EXECUTE format('DELETE FROM trig.%I', relation);
                END IF;
                RAISE SQLSTATE 'YY000';
            EXCEPTION WHEN SQLSTATE 'YY000' THEN
                found := found || (relation || ': runs');
            WHEN trigger_protocol_violated THEN
                found := found || (relation || ': refused');
            WHEN wrong_object_type OR feature_not_supported OR syntax_error OR invalid_object_definition THEN
                -- PostgreSQL has no such trigger.
            WHEN OTHERS THEN
                found := found || format('%s: %s %s', relation, SQLSTATE, SQLERRM);
            END;
        END LOOP;
        form := form_of_it.name;
        outcomes := array_to_string(found, ', ');
        IF outcomes <> '' THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
SET ROLE regress_owner;
SELECT * FROM trig.in_each_form('note_ticket');
SELECT * FROM trig.in_each_form('object_gone');
RESET ROLE;
-- Of deskguard's own tables only.
SELECT f, count(*) > 20 AS forms, string_agg(DISTINCT o, ', ') FROM unnest(ARRAY['guard_builtin', 'guard_builtin_grants', 'guard_role', 'guard_department_tree', 'check_references']) AS f,
    trig.in_each_form(f), unnest(string_to_array(outcomes, ', ')) AS o
GROUP BY f ORDER BY f COLLATE "C";
BEGIN;
CREATE TRIGGER x AFTER INSERT ON deskguard.department FOR EACH STATEMENT EXECUTE FUNCTION deskguard_internal.guard_department_tree();
SELECT test.attempt_only('INSERT INTO deskguard.department VALUES (99, ''x'')');
CREATE TRIGGER x AFTER DELETE ON deskguard.agent FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_role();
SELECT test.attempt_only('DELETE FROM deskguard.agent WHERE id = 5');
CREATE TRIGGER x AFTER INSERT ON deskguard.team FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_role();
SELECT test.attempt_only('INSERT INTO deskguard.team VALUES (99, ''x'')');
CREATE TRIGGER x BEFORE INSERT ON deskguard.permission FOR EACH STATEMENT EXECUTE FUNCTION deskguard_internal.guard_builtin();
SELECT test.attempt_only('INSERT INTO deskguard.permission (name) VALUES (''x'')');
CREATE TRIGGER x AFTER INSERT ON deskguard.group_category FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_builtin_grants();
SELECT test.attempt_only('INSERT INTO deskguard.group_category VALUES (100, 3)');
CREATE TRIGGER x BEFORE INSERT ON deskguard.team_member FOR EACH ROW EXECUTE FUNCTION deskguard_internal.check_references();
SELECT test.attempt_only('INSERT INTO deskguard.team_member VALUES (10, 1)');
DROP TRIGGER x ON deskguard.team_member;
CREATE CONSTRAINT TRIGGER x AFTER INSERT ON deskguard.team_member DEFERRABLE FOR EACH ROW EXECUTE FUNCTION deskguard_internal.check_references();
SELECT test.attempt_only('INSERT INTO deskguard.team_member VALUES (10, 1)');
CREATE TRIGGER x AFTER INSERT ON deskguard.trusted_role FOR EACH ROW EXECUTE FUNCTION deskguard_internal.check_references();
SELECT test.attempt_only('INSERT INTO deskguard.trusted_role VALUES (''regress_other'')');
ROLLBACK;

-- Called by themselves.
SELECT f, test.attempt(format('SELECT deskguard_internal.%I()', f))
FROM unnest(ARRAY['note_ticket', 'object_gone', 'guard_builtin', 'guard_builtin_grants', 'guard_role', 'guard_department_tree', 'check_references']) AS f;

-- Beside ours, under another name, on a table and its partitions, whose columns are in another order: nothing changes.
SET ROLE regress_owner;
CREATE TABLE trig.other (gone text, department_id smallint, note text, id bigint NOT NULL);
ALTER TABLE trig.other DROP COLUMN gone;
ALTER TABLE trig.other ALTER COLUMN department_id TYPE bigint, DROP COLUMN note;
ALTER TABLE trig.parted DETACH PARTITION trig.part;
ALTER TABLE trig.parted ATTACH PARTITION trig.other FOR VALUES FROM (100) TO (200);
SELECT deskguard.unprotect('trig.part');
ALTER TABLE trig.parted ATTACH PARTITION trig.part DEFAULT;
CREATE TRIGGER a_second BEFORE UPDATE ON trig.parted FOR EACH ROW EXECUTE FUNCTION deskguard_internal.note_ticket();
CREATE TRIGGER z_third BEFORE UPDATE OF department_id ON trig.parted FOR EACH ROW EXECUTE FUNCTION deskguard_internal.note_ticket();
GRANT SELECT, UPDATE ON trig.parted, trig.other, trig.part TO PUBLIC;
RESET ROLE;
INSERT INTO trig.parted VALUES (1, 1), (2, 2), (101, 1), (102, 2);
UPDATE deskguard.agent SET category_access = 'open' WHERE id = 2;
-- Ann: staff of department 1 and below, may move to 4, and not to 5.
SET ROLE regress_ann;
SELECT command, test.attempt_only(command) FROM unnest(ARRAY[
    'UPDATE trig.parted SET department_id = department_id',
    'UPDATE trig.parted SET department_id = 4',
    'UPDATE trig.parted SET department_id = 5 WHERE id = 101',
    'UPDATE trig.other SET department_id = 5 WHERE id = 101',
    'UPDATE trig.other SET department_id = 4 WHERE id = 101',
    'UPDATE trig.parted SET id = 150 WHERE id = 1',
    'UPDATE trig.parted SET id = 3, department_id = 4 WHERE id = 101',
    'UPDATE trig.parted SET id = 3, department_id = 5 WHERE id = 101']) AS command;
RESET ROLE;
DROP SCHEMA trig CASCADE;
