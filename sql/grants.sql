-- What groups and single agents are given. A primary key begins with the holder: agents are loaded by it.

CREATE TABLE deskguard.group_permission (
    group_id bigint NOT NULL REFERENCES deskguard.permission_group ON DELETE CASCADE ON UPDATE CASCADE,
    permission text NOT NULL REFERENCES deskguard.permission ON DELETE CASCADE ON UPDATE CASCADE,
    valid_from timestamptz,
    valid_until timestamptz,
    PRIMARY KEY (group_id, permission),
    CONSTRAINT group_permission_valid_from_is_before_valid_until CHECK (valid_from < valid_until)
);
CREATE INDEX group_permission_permission_idx ON deskguard.group_permission (permission);
COMMENT ON TABLE deskguard.group_permission IS 'Permissions of groups';
COMMENT ON COLUMN deskguard.group_permission.group_id IS 'The permission group that has the permission';
COMMENT ON COLUMN deskguard.group_permission.permission IS 'The permission that its members have';

CREATE TABLE deskguard.agent_permission (
    agent_id bigint NOT NULL REFERENCES deskguard.agent ON DELETE CASCADE ON UPDATE CASCADE,
    permission text NOT NULL REFERENCES deskguard.permission ON DELETE CASCADE ON UPDATE CASCADE,
    valid_from timestamptz,
    valid_until timestamptz,
    PRIMARY KEY (agent_id, permission),
    CONSTRAINT agent_permission_valid_from_is_before_valid_until CHECK (valid_from < valid_until)
);
CREATE INDEX agent_permission_permission_idx ON deskguard.agent_permission (permission);
COMMENT ON TABLE deskguard.agent_permission IS 'Permissions of single agents: overrides';
COMMENT ON COLUMN deskguard.agent_permission.agent_id IS 'The agent that has the permission';
COMMENT ON COLUMN deskguard.agent_permission.permission IS 'The permission that it has';

CREATE TABLE deskguard.group_department (
    group_id bigint NOT NULL REFERENCES deskguard.permission_group ON DELETE CASCADE ON UPDATE CASCADE,
    department_id bigint NOT NULL REFERENCES deskguard.department ON DELETE CASCADE ON UPDATE CASCADE,
    level text NOT NULL
        CONSTRAINT group_department_level_is_assign_or_full CHECK (level IN ('assign', 'full')),
    valid_from timestamptz,
    valid_until timestamptz,
    PRIMARY KEY (group_id, department_id),
    CONSTRAINT group_department_valid_from_is_before_valid_until CHECK (valid_from < valid_until)
);
CREATE INDEX group_department_department_id_idx ON deskguard.group_department (department_id);
COMMENT ON TABLE deskguard.group_department IS 'Departments of groups';
COMMENT ON COLUMN deskguard.group_department.group_id IS 'The permission group that has the department';
COMMENT ON COLUMN deskguard.group_department.department_id IS 'The department that its members have, with all below it';
COMMENT ON COLUMN deskguard.group_department.level IS
    'assign: members may create tickets there and hand tickets over to it; full: they see its tickets, too';

CREATE TABLE deskguard.agent_department (
    agent_id bigint NOT NULL REFERENCES deskguard.agent ON DELETE CASCADE ON UPDATE CASCADE,
    department_id bigint NOT NULL REFERENCES deskguard.department ON DELETE CASCADE ON UPDATE CASCADE,
    level text NOT NULL
        CONSTRAINT agent_department_level_is_assign_or_full CHECK (level IN ('assign', 'full')),
    valid_from timestamptz,
    valid_until timestamptz,
    PRIMARY KEY (agent_id, department_id),
    CONSTRAINT agent_department_valid_from_is_before_valid_until CHECK (valid_from < valid_until)
);
CREATE INDEX agent_department_department_id_idx ON deskguard.agent_department (department_id);
COMMENT ON TABLE deskguard.agent_department IS 'Departments of single agents';
COMMENT ON COLUMN deskguard.agent_department.agent_id IS 'The agent that has the department';
COMMENT ON COLUMN deskguard.agent_department.department_id IS 'The department that it has, with all below it';
COMMENT ON COLUMN deskguard.agent_department.level IS
    'assign: the agent may create tickets there and hand tickets over to it; full: it sees its tickets, too';

CREATE TABLE deskguard.group_category (
    group_id bigint NOT NULL REFERENCES deskguard.permission_group ON DELETE CASCADE ON UPDATE CASCADE,
    category_id bigint NOT NULL REFERENCES deskguard.category ON DELETE CASCADE ON UPDATE CASCADE,
    valid_from timestamptz,
    valid_until timestamptz,
    PRIMARY KEY (group_id, category_id),
    CONSTRAINT group_category_valid_from_is_before_valid_until CHECK (valid_from < valid_until)
);
CREATE INDEX group_category_category_id_idx ON deskguard.group_category (category_id);
COMMENT ON TABLE deskguard.group_category IS 'Categories of groups';
COMMENT ON COLUMN deskguard.group_category.group_id IS 'The permission group that has the category';
COMMENT ON COLUMN deskguard.group_category.category_id IS 'The category that its members have';

CREATE TABLE deskguard.agent_category (
    agent_id bigint NOT NULL REFERENCES deskguard.agent ON DELETE CASCADE ON UPDATE CASCADE,
    category_id bigint NOT NULL REFERENCES deskguard.category ON DELETE CASCADE ON UPDATE CASCADE,
    valid_from timestamptz,
    valid_until timestamptz,
    PRIMARY KEY (agent_id, category_id),
    CONSTRAINT agent_category_valid_from_is_before_valid_until CHECK (valid_from < valid_until)
);
CREATE INDEX agent_category_category_id_idx ON deskguard.agent_category (category_id);
COMMENT ON TABLE deskguard.agent_category IS 'Categories of single agents';
COMMENT ON COLUMN deskguard.agent_category.agent_id IS 'The agent that has the category';
COMMENT ON COLUMN deskguard.agent_category.category_id IS 'The category that it has';

DO $$
DECLARE
    table_name name;
BEGIN
    FOREACH table_name IN ARRAY ARRAY[
        'group_member', 'team_member', 'group_permission', 'agent_permission', 'group_department', 'agent_department',
        'group_category', 'agent_category'
    ] LOOP
        EXECUTE format('
            COMMENT ON COLUMN deskguard.%1$I.valid_from IS ''When it begins to count; NULL: it counts at once'';
            COMMENT ON COLUMN deskguard.%1$I.valid_until IS ''When it counts no longer; NULL: it does not end'';
        ', table_name);
    END LOOP;
END $$;
