-- What tickets belong to: departments, a tree, and categories, flat.

CREATE TABLE deskguard.department (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    parent_id bigint REFERENCES deskguard.department ON UPDATE CASCADE,
    external_key text UNIQUE,
    CONSTRAINT department_id_is_not_reserved CHECK (id > -9223372036854775808)
);
CREATE INDEX department_parent_id_idx ON deskguard.department (parent_id);
COMMENT ON TABLE deskguard.department IS 'Departments; a grant on one covers its descendants';
COMMENT ON COLUMN deskguard.department.id IS 'The id that the help desk itself uses for the department';
COMMENT ON COLUMN deskguard.department.name IS 'The name, for people';
COMMENT ON COLUMN deskguard.department.parent_id IS 'The department above; NULL at the top. A cycle is refused';
COMMENT ON COLUMN deskguard.department.external_key IS
    'The department in columns of the help desk that are uuid or text, as column::text prints it; NULL: in none';

CREATE TABLE deskguard.category (
    id bigint PRIMARY KEY,
    name text NOT NULL,
    external_key text UNIQUE,
    CONSTRAINT category_id_is_not_reserved CHECK (id > -9223372036854775808)
);
COMMENT ON TABLE deskguard.category IS 'Categories of tickets';
COMMENT ON COLUMN deskguard.category.id IS 'The id that the help desk itself uses for the category';
COMMENT ON COLUMN deskguard.category.name IS 'The name, for people';
COMMENT ON COLUMN deskguard.category.external_key IS
    'The category in columns of the help desk that are uuid or text, as column::text prints it; NULL: in none';
