-- A help desk as HelpSpot is one: permission groups, some of them limited to the categories of their members.
CREATE TABLE permission_groups (id serial PRIMARY KEY, name text NOT NULL UNIQUE, limited_to_categories boolean NOT NULL DEFAULT false,
    can_create boolean NOT NULL DEFAULT true);
CREATE TABLE staff (id serial PRIMARY KEY, name text NOT NULL, group_id integer REFERENCES permission_groups, deleted boolean NOT NULL DEFAULT false);
CREATE TABLE categories (id serial PRIMARY KEY, name text NOT NULL);
CREATE TABLE category_staff (category_id integer NOT NULL REFERENCES categories, staff_id integer NOT NULL REFERENCES staff,
    PRIMARY KEY (category_id, staff_id));
CREATE TABLE requests (id serial PRIMARY KEY, category_id integer REFERENCES categories, assigned_to integer NOT NULL DEFAULT 0, title text NOT NULL);
CREATE TABLE history (id serial PRIMARY KEY, request_id integer NOT NULL REFERENCES requests, staff_id integer, is_private boolean NOT NULL DEFAULT false);
CREATE INDEX ON requests (category_id);
CREATE INDEX ON requests (assigned_to);
CREATE INDEX ON history (request_id);
