-- What CREATE EXTENSION needs.
DO $$
DECLARE
    taken name;
    version int := pg_catalog.current_setting('server_version_num');
BEGIN
    IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
        RAISE EXCEPTION 'deskguard needs a database with the encoding UTF8, and this one has %', pg_catalog.getdatabaseencoding()
            USING ERRCODE = 'feature_not_supported', HINT = 'CREATE DATABASE ... ENCODING ''UTF8'' TEMPLATE template0.';
    END IF;
    -- Whoever owned a schema before would own what is in it.
    FOR taken IN
        SELECT n.nspname FROM pg_catalog.pg_namespace AS n WHERE n.nspname IN ('deskguard', 'deskguard_internal')
    LOOP
        RAISE EXCEPTION 'there is a schema "%" already', taken
            USING ERRCODE = 'duplicate_schema', HINT = 'Rename or drop it: the extension makes its own.';
    END LOOP;
    -- The minor releases with all repairs of row-level security that are known. SECURITY.md has them, too.
    IF version < (ARRAY[150020, 160016, 170012, 180007])[version / 10000 - 14] THEN
        RAISE WARNING 'this minor release of PostgreSQL has faults in row-level security that let agents see hidden rows'
            USING HINT = 'Install the newest one: 15.20, 16.16, 17.12, 18.7 or later.';
    END IF;
END $$;

CREATE SCHEMA deskguard;
COMMENT ON SCHEMA deskguard IS 'Row-level security for help desks: what you call, and the tables that you write';
CREATE SCHEMA deskguard_internal;
COMMENT ON SCHEMA deskguard_internal IS 'What policies, triggers and plans of deskguard call, and what is protected: nothing to call or write';
