-- Who acts.

CREATE FUNCTION deskguard.current_agent() RETURNS bigint
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'current_agent_id_wrapper';
COMMENT ON FUNCTION deskguard.current_agent() IS 'The agent that this statement acts for; NULL for nobody';

CREATE FUNCTION deskguard.set_agent(agent_id bigint, is_local boolean DEFAULT true) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'set_agent_wrapper';
COMMENT ON FUNCTION deskguard.set_agent(bigint, boolean) IS
    'Sets deskguard.agent_id for the transaction, or for the session if is_local is false; NULL for nobody. Obeyed only if the login role is trusted';
