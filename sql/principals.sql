-- Who works in the help desk: agents, teams, and the roles that may say which agent they act for.

CREATE TABLE deskguard.agent (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    db_role name UNIQUE,
    category_access text
        CONSTRAINT agent_category_access_is_silo_or_open CHECK (category_access IN ('silo', 'open')),
    external_key text UNIQUE,
    -- The least bigint stands for what is nobody's external_key: src/tables/principal.rs.
    CONSTRAINT agent_id_is_not_reserved CHECK (id > -9223372036854775808)
);
COMMENT ON TABLE deskguard.agent IS 'People and programs that work on tickets';
COMMENT ON COLUMN deskguard.agent.id IS 'The id that the help desk itself uses for the agent';
COMMENT ON COLUMN deskguard.agent.name IS 'The name, for people';
COMMENT ON COLUMN deskguard.agent.active IS 'An inactive agent sees nothing and may do nothing';
COMMENT ON COLUMN deskguard.agent.db_role IS 'A database role that is this agent; NULL for none';
COMMENT ON COLUMN deskguard.agent.category_access IS
    'silo: sees only tickets of its categories; open: sees tickets of every category and of none; NULL: as its groups say';
COMMENT ON COLUMN deskguard.agent.external_key IS
    'The agent in columns of the help desk that are uuid or text, as column::text prints it; NULL: in none';

CREATE TABLE deskguard.team (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    external_key text UNIQUE,
    CONSTRAINT team_id_is_not_reserved CHECK (id > -9223372036854775808)
);
COMMENT ON TABLE deskguard.team IS 'Teams of agents; a ticket assigned to a team is its members'' own';
COMMENT ON COLUMN deskguard.team.id IS 'The id that the help desk itself uses for the team';
COMMENT ON COLUMN deskguard.team.name IS 'The name, for people';
COMMENT ON COLUMN deskguard.team.external_key IS
    'The team in columns of the help desk that are uuid or text, as column::text prints it; NULL: in none';

CREATE TABLE deskguard.team_member (
    team_id bigint NOT NULL REFERENCES deskguard.team ON DELETE CASCADE ON UPDATE CASCADE,
    agent_id bigint NOT NULL REFERENCES deskguard.agent ON DELETE CASCADE ON UPDATE CASCADE,
    valid_from timestamptz,
    valid_until timestamptz,
    PRIMARY KEY (team_id, agent_id),
    CONSTRAINT team_member_valid_from_is_before_valid_until CHECK (valid_from < valid_until)
);
CREATE INDEX team_member_agent_id_idx ON deskguard.team_member (agent_id);
COMMENT ON TABLE deskguard.team_member IS 'Which agents belong to which teams';
COMMENT ON COLUMN deskguard.team_member.team_id IS 'The team';
COMMENT ON COLUMN deskguard.team_member.agent_id IS 'The agent that belongs to it';

CREATE TABLE deskguard.trusted_role (
    role_name name PRIMARY KEY
);
COMMENT ON TABLE deskguard.trusted_role IS
    'Login roles whose sessions may say which agent they act for, with deskguard.agent_id';
COMMENT ON COLUMN deskguard.trusted_role.role_name IS 'The name of the login role, as in pg_roles';
