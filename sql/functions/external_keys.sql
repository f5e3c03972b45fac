-- External keys: who is meant by a uuid or text. Policies call them, too.

-- Makes agent_by_key, team_by_key, department_by_key, category_by_key.
DO $do$
DECLARE
    principal name;
    type name;
BEGIN
    FOREACH principal IN ARRAY ARRAY['agent', 'team', 'department', 'category'] LOOP
        FOREACH type IN ARRAY ARRAY['uuid', 'text'] LOOP
            EXECUTE format($$
                CREATE FUNCTION deskguard.%1$s_by_key(key %2$s) RETURNS bigint
                LANGUAGE c STABLE PARALLEL SAFE COST 5 AS 'MODULE_PATHNAME', '%1$s_by_key_%2$s_wrapper';
                COMMENT ON FUNCTION deskguard.%1$s_by_key(%2$s) IS
                    'For policies: the %1$s with this external_key; -9223372036854775808, which is the id of none, if there is none'
            $$, principal, type);
        END LOOP;
    END LOOP;
END $do$;
