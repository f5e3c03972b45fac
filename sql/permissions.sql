-- The permission catalog.

CREATE TABLE deskguard.permission (
    name text PRIMARY KEY CONSTRAINT permission_has_a_name CHECK (name <> ''),
    description text NOT NULL DEFAULT '',
    destructive boolean NOT NULL DEFAULT false,
    builtin boolean NOT NULL DEFAULT false
);
-- So that a publication can leave the built-in rows out: a row filter needs an identity that has its columns.
CREATE UNIQUE INDEX permission_identity ON deskguard.permission (name, builtin);
ALTER TABLE deskguard.permission REPLICA IDENTITY USING INDEX permission_identity;
COMMENT ON TABLE deskguard.permission IS 'The permissions that can be given; add your own';
COMMENT ON COLUMN deskguard.permission.name IS 'The name by which it is given and asked for';
COMMENT ON COLUMN deskguard.permission.description IS 'What it allows, for people';
COMMENT ON COLUMN deskguard.permission.destructive IS
    'Not given by the group "All Non-Destructive Permissions"';
COMMENT ON COLUMN deskguard.permission.builtin IS 'Of the starting catalog: cannot be changed or deleted';

INSERT INTO deskguard.permission (name, description, destructive, builtin)
VALUES
    ('ticket.use', 'Work with tickets at all', false, true),
    ('ticket.create', 'Create tickets', false, true),
    ('ticket.mass_reply', 'Reply to several tickets at once', false, true),
    ('ticket.unarchive', 'Take tickets out of the archive', false, true),
    ('ticket.create_labels', 'Create labels', false, true),
    ('ticket.view.own', 'View tickets assigned to oneself or one''s teams: in scoped groups; everywhere they are seen without it', false, true),
    ('ticket.view.followed', 'View tickets that one follows: in scoped groups; everywhere they are seen without it', false, true),
    ('ticket.view.requested', 'View tickets that oneself or one''s teams have requested', false, true),
    ('ticket.view.unassigned', 'View tickets that nobody is assigned to', false, true),
    ('ticket.view.assigned', 'View tickets that are assigned to others', false, true),
    ('ticket.view.confidential', 'View confidential tickets that do not concern oneself', false, true),
    ('ticket.view.internal', 'See and write internal messages', false, true),
    ('report.view', 'View reports', false, true),
    ('permission.audit', 'Ask about the access of other agents', false, true),
    ('shared.manage', 'See and change all shared objects', false, true);

INSERT INTO deskguard.permission (name, description, destructive, builtin)
SELECT
    pg_catalog.format('ticket.%s.%s', action.name, relation.name),
    pg_catalog.format('%s %s', action.description, relation.description),
    action.destructive,
    true
FROM (VALUES
    ('reply', 'Reply to', false),
    ('modify', 'Modify', false),
    ('edit_messages', 'Edit and delete messages of', true),
    ('delete', 'Delete, or mark as spam,', true)
) AS action (name, description, destructive)
CROSS JOIN (VALUES
    ('own', 'tickets assigned to oneself or one''s teams'),
    ('followed', 'tickets that one follows'),
    ('requested', 'tickets that oneself or one''s teams have requested'),
    ('unassigned', 'tickets that nobody is assigned to'),
    ('assigned', 'tickets that are assigned to others')
) AS relation (name, description);
