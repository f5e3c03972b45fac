-- The ids of rows that agents write: src/kinds/new_id.rs. With the support function of the rules above, so that plans
-- know that rules are asked when they run.

-- Makes new_id_ok, updated_id_ok.
DO $do$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT * FROM (VALUES ('bigint', ''), ('uuid', '_uuid'), ('text', '_text')) AS k (type, suffix)
    LOOP
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.new_id_ok(protected_table regclass, id %1$s) RETURNS boolean
            LANGUAGE c STABLE SUPPORT deskguard_internal.child_support AS 'MODULE_PATHNAME', 'new_id_ok%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.new_id_ok(regclass, %1$s) IS
                'For policies: is there nothing yet that belongs to the id of a new row (55000 if there is)?';

            CREATE FUNCTION deskguard_internal.updated_id_ok(message_table regclass, id %1$s) RETURNS boolean
            LANGUAGE c STABLE SUPPORT deskguard_internal.child_support AS 'MODULE_PATHNAME', 'updated_id_ok%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.updated_id_ok(regclass, %1$s) IS
                'For policies: is the id of an updated row that of a row that the current agent may change, or is there nothing yet that belongs to it (55000 if there is)?';
        $$, key.type, key.suffix);
    END LOOP;
END $do$;
