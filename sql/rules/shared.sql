-- Things that agents share.

CREATE FUNCTION deskguard_internal.shared_support(internal) RETURNS internal
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'shared_support_wrapper';
COMMENT ON FUNCTION deskguard_internal.shared_support(internal) IS
    'For the planner: makes the rules for shared objects part of plans, as literals for the current agent';

-- Makes shared_seen.
DO $do$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT * FROM (VALUES ('bigint', ''), ('uuid', '_uuid'), ('text', '_text')) AS k (type, suffix)
    LOOP
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.shared_seen(object_table regclass, id %1$s, owner bigint) RETURNS boolean
            LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.shared_support AS 'MODULE_PATHNAME', 'shared_seen%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.shared_seen(regclass, %1$s, bigint) IS
                'For policies: may the current agent see the shared object?';
        $$, key.type, key.suffix);
    END LOOP;
END $do$;

CREATE FUNCTION deskguard_internal.shared_ok(object_table regclass, owner bigint) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.shared_support AS 'MODULE_PATHNAME', 'shared_ok_wrapper';
COMMENT ON FUNCTION deskguard_internal.shared_ok(regclass, bigint) IS
    'For policies: may the current agent make or change shared objects of the owner?';

-- What is left of these rules in plans. Makes shared_with.
DO $do$
DECLARE
    width record;
BEGIN
    FOR width IN
        SELECT * FROM (VALUES
            ('smallint', 'int2'), ('integer', 'int4'), ('bigint', 'int8'), ('uuid', 'uuid'), ('text', 'text')
        ) AS w (type, suffix)
    LOOP
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.shared_with(object_table regclass, id %1$s) RETURNS boolean
            LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.shared_support
            AS 'MODULE_PATHNAME', 'shared_with_%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.shared_with(regclass, %1$s) IS
                'For plans: is the object shared with the current agent?'
        $$, width.type, width.suffix);
    END LOOP;
END $do$;

-- Makes shared_objects, shared_objects_uuid, shared_objects_text.
DO $do$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT * FROM (VALUES ('bigint', ''), ('uuid', '_uuid'), ('text', '_text')) AS k (type, suffix)
    LOOP
        EXECUTE format($$
            CREATE FUNCTION deskguard_internal.shared_objects%2$s(object_table regclass) RETURNS %1$s[]
            LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'shared_objects%2$s_wrapper';
            COMMENT ON FUNCTION deskguard_internal.shared_objects%2$s(regclass) IS
                'For plans: the objects that are shared with the current agent';
        $$, key.type, key.suffix);
    END LOOP;
END $do$;

CREATE FUNCTION deskguard_internal.object_gone() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'object_gone';
COMMENT ON FUNCTION deskguard_internal.object_gone() IS
    'Trigger: forgets with whom a deleted object was shared, and refuses to change the id of one that is (55000)';
