-- What opens a protected table.

CREATE FUNCTION deskguard_internal.base_support(internal) RETURNS internal
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'base_support_wrapper';
COMMENT ON FUNCTION deskguard_internal.base_support(internal) IS
    'For the planner: answers deskguard_internal.base_ok(), false for a policy that was copied to another table';

CREATE FUNCTION deskguard_internal.base_ok(protected_table regclass) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.base_support AS 'MODULE_PATHNAME', 'base_ok_wrapper';
COMMENT ON FUNCTION deskguard_internal.base_ok(regclass) IS
    'For policies: is the table protected, with all policies and triggers as they were made?';
