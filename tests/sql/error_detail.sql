-- What an error of a foreign key's action says of rows that the policies hide.
SELECT test.reset();
SET client_min_messages = warning;
SET ROLE regress_owner;
ALTER TABLE desk.ticket ADD merged_into bigint REFERENCES desk.ticket ON DELETE SET NULL,
    ADD CHECK (subject <> 'merged' OR merged_into IS NOT NULL);
CREATE TABLE desk.note (ticket_id bigint NOT NULL REFERENCES desk.ticket ON DELETE SET NULL, body text);
GRANT SELECT, DELETE ON desk.note TO regress_ann;
RESET ROLE;
-- Ticket 3 is hidden from Ann, who may delete her own ticket 4.
UPDATE desk.ticket SET subject = 'merged', merged_into = 4 WHERE id = 3;
INSERT INTO desk.note VALUES (12, 'not protected');
CREATE FUNCTION test.error_of(command text) RETURNS TABLE (field text, value text) LANGUAGE plpgsql AS $$
DECLARE
    detail text;
    the_table text;
    the_constraint text;
    context text;
BEGIN
    EXECUTE command;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, the_table = TABLE_NAME, the_constraint = CONSTRAINT_NAME,
        context = PG_EXCEPTION_CONTEXT;
    RETURN QUERY VALUES ('message', SQLERRM), ('detail', regexp_replace(detail, '\w{3} \w{3} [^,)]*', '(time)', 'g')), ('table', the_table),
        ('constraint', the_constraint), ('context', split_part(context, E'\n', 1));
END $$;
SET ROLE regress_ann;
SELECT * FROM test.error_of('DELETE FROM desk.ticket WHERE id = 4');
-- The tables of others, and those who see everything, have it as PostgreSQL has it.
SELECT * FROM test.error_of('DELETE FROM desk.ticket WHERE id = 12');
RESET ROLE;
SELECT * FROM test.error_of('DELETE FROM desk.ticket WHERE id = 4');
DROP FUNCTION test.error_of(text);
SELECT test.reset();
