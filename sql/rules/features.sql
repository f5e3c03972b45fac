-- Rows that need a permission.

CREATE FUNCTION deskguard_internal.feature_support(internal) RETURNS internal
LANGUAGE c STRICT IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feature_support_wrapper';
COMMENT ON FUNCTION deskguard_internal.feature_support(internal) IS
    'For the planner: answers deskguard_internal.feature_ok() for the current agent';

CREATE FUNCTION deskguard_internal.feature_ok(permission text) RETURNS boolean
LANGUAGE c STABLE PARALLEL SAFE SUPPORT deskguard_internal.feature_support AS 'MODULE_PATHNAME', 'feature_ok_wrapper';
COMMENT ON FUNCTION deskguard_internal.feature_ok(text) IS 'For policies: has the current agent the permission?';
