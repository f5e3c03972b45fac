-- Keeps the protection whole while the help desk's tables change: src/protect/ddl.rs and drops.rs.

CREATE FUNCTION deskguard_internal.after_ddl() RETURNS event_trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'after_ddl';
COMMENT ON FUNCTION deskguard_internal.after_ddl() IS
    'Event trigger: follows renamed tables and columns, protects new partitions, and refuses what would open a protected table (55000)';

CREATE FUNCTION deskguard_internal.after_drop() RETURNS event_trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'after_drop';
COMMENT ON FUNCTION deskguard_internal.after_drop() IS
    'Event trigger: forgets dropped tables, and refuses to drop what protects a table that stays (2BP01)';

-- All commands that make or attach tables, or that rename or alter one or its columns: PostgreSQL takes a
-- table for a view or an index in some of them, too.
CREATE EVENT TRIGGER deskguard_after_ddl ON ddl_command_end
    WHEN TAG IN (
        'CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE FOREIGN TABLE', 'IMPORT FOREIGN SCHEMA', 'CREATE SCHEMA',
        'ALTER TABLE', 'ALTER FOREIGN TABLE', 'ALTER INDEX', 'ALTER SEQUENCE', 'CREATE VIEW', 'ALTER VIEW', 'ALTER MATERIALIZED VIEW',
        'ALTER TYPE', 'ALTER SCHEMA', 'ALTER EXTENSION', 'ALTER POLICY'
    )
    EXECUTE FUNCTION deskguard_internal.after_ddl();
ALTER EVENT TRIGGER deskguard_after_ddl ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER deskguard_after_ddl IS 'Keeps the protection whole when tables change';

CREATE EVENT TRIGGER deskguard_after_drop ON sql_drop EXECUTE FUNCTION deskguard_internal.after_drop();
ALTER EVENT TRIGGER deskguard_after_drop ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER deskguard_after_drop IS 'Keeps the protection whole when things are dropped';
