-- Chatwoot's tables and columns, as far as they decide who may do what.
CREATE TABLE accounts (id serial PRIMARY KEY, name varchar NOT NULL);
CREATE TABLE users (id serial PRIMARY KEY, name varchar NOT NULL, email varchar, last_sign_in_at timestamp);
CREATE TABLE custom_roles (id bigserial PRIMARY KEY, name varchar, account_id bigint NOT NULL REFERENCES accounts,
    permissions text[] DEFAULT '{}');
CREATE TABLE account_users (id bigserial PRIMARY KEY, account_id bigint REFERENCES accounts, user_id bigint REFERENCES users,
    role integer DEFAULT 0, custom_role_id bigint REFERENCES custom_roles, UNIQUE (account_id, user_id));
CREATE TABLE inboxes (id serial PRIMARY KEY, account_id integer NOT NULL REFERENCES accounts, name varchar NOT NULL);
CREATE TABLE inbox_members (id serial PRIMARY KEY, user_id integer NOT NULL REFERENCES users, inbox_id integer NOT NULL REFERENCES inboxes,
    UNIQUE (inbox_id, user_id));
CREATE TABLE teams (id bigserial PRIMARY KEY, name varchar NOT NULL, account_id bigint NOT NULL REFERENCES accounts);
CREATE TABLE team_members (id bigserial PRIMARY KEY, team_id bigint NOT NULL REFERENCES teams, user_id bigint NOT NULL REFERENCES users,
    UNIQUE (team_id, user_id));
CREATE TABLE conversations (id serial PRIMARY KEY, account_id integer NOT NULL REFERENCES accounts, inbox_id integer NOT NULL REFERENCES inboxes,
    status integer NOT NULL DEFAULT 0, assignee_id integer, team_id bigint REFERENCES teams);
CREATE TABLE conversation_participants (id bigserial PRIMARY KEY, account_id bigint NOT NULL, user_id bigint NOT NULL,
    conversation_id bigint NOT NULL, UNIQUE (user_id, conversation_id));
CREATE TABLE messages (id serial PRIMARY KEY, content text, account_id integer NOT NULL, conversation_id integer NOT NULL,
    private boolean NOT NULL DEFAULT false, sender_type varchar, sender_id bigint);
CREATE INDEX ON conversations (inbox_id);
CREATE INDEX ON conversations (assignee_id);
CREATE INDEX ON conversations (team_id);
CREATE INDEX ON conversation_participants (conversation_id);
CREATE INDEX ON messages (conversation_id);
