-- Redmine's tables and columns, as far as they decide who may do what. Users and groups are one table.
CREATE TABLE users (id serial PRIMARY KEY, login varchar NOT NULL DEFAULT '', lastname varchar(255) NOT NULL DEFAULT '',
    admin boolean NOT NULL DEFAULT false, status integer NOT NULL DEFAULT 1, type varchar, last_login_on timestamp);
CREATE TABLE groups_users (group_id integer NOT NULL REFERENCES users, user_id integer NOT NULL REFERENCES users, UNIQUE (group_id, user_id));
CREATE TABLE projects (id serial PRIMARY KEY, name varchar NOT NULL DEFAULT '', parent_id integer REFERENCES projects,
    is_public boolean NOT NULL DEFAULT true, status integer NOT NULL DEFAULT 1);
CREATE TABLE enabled_modules (id serial PRIMARY KEY, project_id integer REFERENCES projects, name varchar NOT NULL);
CREATE TABLE roles (id serial PRIMARY KEY, name varchar(255) NOT NULL DEFAULT '', builtin integer NOT NULL DEFAULT 0,
    permissions text, issues_visibility varchar(30) NOT NULL DEFAULT 'default');
CREATE TABLE members (id serial PRIMARY KEY, user_id integer NOT NULL REFERENCES users, project_id integer NOT NULL REFERENCES projects,
    UNIQUE (user_id, project_id));
CREATE TABLE member_roles (id serial PRIMARY KEY, member_id integer NOT NULL REFERENCES members, role_id integer NOT NULL REFERENCES roles);
CREATE TABLE issues (id serial PRIMARY KEY, tracker_id integer NOT NULL DEFAULT 1, project_id integer NOT NULL REFERENCES projects,
    subject varchar NOT NULL DEFAULT '', assigned_to_id integer REFERENCES users, author_id integer NOT NULL REFERENCES users,
    is_private boolean NOT NULL DEFAULT false);
CREATE TABLE journals (id serial PRIMARY KEY, journalized_id integer NOT NULL DEFAULT 0, journalized_type varchar(30) NOT NULL DEFAULT '',
    user_id integer NOT NULL REFERENCES users, notes text, private_notes boolean NOT NULL DEFAULT false);
CREATE INDEX ON issues (project_id);
CREATE INDEX ON issues (assigned_to_id);
CREATE INDEX ON issues (author_id);
CREATE INDEX ON journals (journalized_id, journalized_type);
