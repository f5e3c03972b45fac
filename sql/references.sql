-- References between the tables of deskguard are checked whenever these are written, but not while a dump is restored:
-- pg_restore with several jobs loads the tables in any order. PostgreSQL's own triggers know no such exception, so
-- they are switched off, and one of deskguard's calls them: src/tables/references.rs. What happens to the rows that
-- refer to one that is deleted or changed is PostgreSQL's matter as ever.

CREATE FUNCTION deskguard_internal.check_references() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'check_references';
COMMENT ON FUNCTION deskguard_internal.check_references() IS
    'Trigger: refuses a row that refers to one that does not exist (23503), unless a dump is being restored';
REVOKE ALL ON FUNCTION deskguard_internal.check_references() FROM PUBLIC;

DO $$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT t.tgrelid::regclass AS referring, t.tgname AS name
        FROM pg_catalog.pg_trigger AS t
        JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
        WHERE c.relnamespace IN ('deskguard'::regnamespace, 'deskguard_internal'::regnamespace)
            AND t.tgfoid IN ('pg_catalog."RI_FKey_check_ins"'::regproc, 'pg_catalog."RI_FKey_check_upd"'::regproc)
    LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', key.referring, key.name);
    END LOOP;
    FOR key IN
        SELECT DISTINCT k.conrelid::regclass AS referring, k.condeferrable AS is_deferrable
        FROM pg_catalog.pg_constraint AS k
        WHERE k.contype = 'f' AND k.connamespace IN ('deskguard'::regnamespace, 'deskguard_internal'::regnamespace)
    LOOP
        -- Those keys that are checked at the end are so by a trigger that is.
        EXECUTE format(
            CASE WHEN key.is_deferrable
                THEN 'CREATE CONSTRAINT TRIGGER check_references_at_the_end AFTER INSERT OR UPDATE ON %s
                          DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION deskguard_internal.check_references()'
                ELSE 'CREATE TRIGGER check_references AFTER INSERT OR UPDATE ON %s
                          FOR EACH ROW EXECUTE FUNCTION deskguard_internal.check_references()'
            END, key.referring);
    END LOOP;
END $$;
