-- What agents call to share things.

-- Makes share, unshare.
DO $do$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT * FROM (VALUES ('bigint', ''), ('uuid', '_uuid'), ('text', '_text')) AS k (type, suffix)
    LOOP
        EXECUTE format($$
            CREATE FUNCTION deskguard.share(
                object_table regclass, object_id %1$s, group_id bigint DEFAULT NULL, agent_id bigint DEFAULT NULL, everyone boolean DEFAULT false
            ) RETURNS void
            LANGUAGE c AS 'MODULE_PATHNAME', 'share%2$s_wrapper';
            COMMENT ON FUNCTION deskguard.share(regclass, %1$s, bigint, bigint, boolean) IS
                'Shows an object, which the current agent may change, to the members of a group, to an agent, or to everyone';

            CREATE FUNCTION deskguard.unshare(
                object_table regclass, object_id %1$s, group_id bigint DEFAULT NULL, agent_id bigint DEFAULT NULL, everyone boolean DEFAULT false
            ) RETURNS void
            LANGUAGE c AS 'MODULE_PATHNAME', 'unshare%2$s_wrapper';
            COMMENT ON FUNCTION deskguard.unshare(regclass, %1$s, bigint, bigint, boolean) IS
                'Takes back what deskguard.share() did with the same arguments';
        $$, key.type, key.suffix);
    END LOOP;
END $do$;
