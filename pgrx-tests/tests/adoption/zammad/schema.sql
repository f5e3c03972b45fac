-- Zammad's tables and columns, as far as they decide who may do what.
CREATE TABLE organizations (id serial PRIMARY KEY, name varchar(100) NOT NULL UNIQUE, shared boolean NOT NULL DEFAULT true,
    active boolean NOT NULL DEFAULT true);
CREATE TABLE users (id serial PRIMARY KEY, organization_id integer REFERENCES organizations, login varchar(255) NOT NULL UNIQUE,
    active boolean NOT NULL DEFAULT true, last_login timestamp);
CREATE TABLE organizations_users (user_id integer NOT NULL REFERENCES users, organization_id integer NOT NULL REFERENCES organizations);
CREATE TABLE permissions (id serial PRIMARY KEY, name varchar(255) NOT NULL UNIQUE, active boolean NOT NULL DEFAULT true);
CREATE TABLE roles (id serial PRIMARY KEY, name varchar(100) NOT NULL UNIQUE, active boolean NOT NULL DEFAULT true);
CREATE TABLE permissions_roles (role_id integer NOT NULL REFERENCES roles, permission_id integer NOT NULL REFERENCES permissions);
CREATE TABLE roles_users (user_id integer NOT NULL REFERENCES users, role_id integer NOT NULL REFERENCES roles);
CREATE TABLE groups (id serial PRIMARY KEY, name varchar(160) NOT NULL UNIQUE, parent_id integer REFERENCES groups,
    active boolean NOT NULL DEFAULT true);
CREATE TABLE groups_users (user_id integer NOT NULL REFERENCES users, group_id integer NOT NULL REFERENCES groups,
    access varchar(50) NOT NULL DEFAULT 'full');
CREATE TABLE roles_groups (role_id integer NOT NULL REFERENCES roles, group_id integer NOT NULL REFERENCES groups,
    access varchar(50) NOT NULL DEFAULT 'full');
CREATE TABLE tickets (id serial PRIMARY KEY, group_id integer NOT NULL REFERENCES groups, title varchar(250) NOT NULL,
    owner_id integer NOT NULL DEFAULT 1 REFERENCES users, customer_id integer NOT NULL REFERENCES users,
    organization_id integer REFERENCES organizations);
CREATE TABLE ticket_articles (id serial PRIMARY KEY, ticket_id integer NOT NULL REFERENCES tickets,
    internal boolean NOT NULL DEFAULT false, body text NOT NULL, created_by_id integer NOT NULL REFERENCES users);
CREATE INDEX ON tickets (group_id);
CREATE INDEX ON tickets (owner_id);
CREATE INDEX ON tickets (customer_id);
CREATE INDEX ON tickets (organization_id);
CREATE INDEX ON ticket_articles (ticket_id);
