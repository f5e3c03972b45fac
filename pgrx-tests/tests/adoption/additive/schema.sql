-- A help desk as Deskpro is one: permissions and departments of agents and of groups, which add up.
CREATE TABLE people (id serial PRIMARY KEY, name text NOT NULL, is_disabled boolean NOT NULL DEFAULT false);
CREATE TABLE usergroups (id serial PRIMARY KEY, title text NOT NULL UNIQUE, is_enabled boolean NOT NULL DEFAULT true);
CREATE TABLE person2usergroups (person_id integer NOT NULL REFERENCES people, usergroup_id integer NOT NULL REFERENCES usergroups,
    PRIMARY KEY (person_id, usergroup_id));
CREATE TABLE permissions (id serial PRIMARY KEY, usergroup_id integer REFERENCES usergroups, person_id integer REFERENCES people, name text NOT NULL);
CREATE TABLE departments (id serial PRIMARY KEY, parent_id integer REFERENCES departments, title text NOT NULL);
CREATE TABLE department_permissions (id serial PRIMARY KEY, department_id integer NOT NULL REFERENCES departments,
    usergroup_id integer REFERENCES usergroups, person_id integer REFERENCES people, name text NOT NULL);
CREATE TABLE agent_teams (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE agent_team_members (team_id integer NOT NULL REFERENCES agent_teams, person_id integer NOT NULL REFERENCES people,
    PRIMARY KEY (team_id, person_id));
CREATE TABLE tickets (id serial PRIMARY KEY, department_id integer REFERENCES departments, agent_id integer, agent_team_id integer, subject text NOT NULL);
CREATE TABLE tickets_participants (ticket_id integer NOT NULL REFERENCES tickets, person_id integer NOT NULL, PRIMARY KEY (ticket_id, person_id));
CREATE TABLE tickets_messages (id serial PRIMARY KEY, ticket_id integer NOT NULL REFERENCES tickets, person_id integer, is_agent_note boolean NOT NULL DEFAULT false);
CREATE INDEX ON tickets (department_id);
CREATE INDEX ON tickets (agent_id);
CREATE INDEX ON tickets (agent_team_id);
CREATE INDEX ON tickets_participants (person_id);
CREATE INDEX ON tickets_messages (ticket_id);
