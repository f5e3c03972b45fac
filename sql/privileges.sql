-- Everyone may call the functions, which check for themselves who asks; nobody but administrators
-- sees or changes the tables.
GRANT USAGE ON SCHEMA deskguard, deskguard_internal TO PUBLIC;

-- Triggers need no privilege when they fire; these are for deskguard's own tables only.
REVOKE ALL ON FUNCTION
    deskguard_internal.guard_builtin(), deskguard_internal.guard_builtin_grants(), deskguard_internal.guard_role(),
    deskguard_internal.guard_department_tree(), deskguard_internal.rights_changed()
FROM PUBLIC;

-- Who protects a table may ask about the rights of others on it, and changes what questions without a table are
-- about. The administrator says who may: GRANT EXECUTE ON FUNCTION deskguard.protect_tickets TO ...
REVOKE ALL ON FUNCTION
    deskguard.protect_tickets, deskguard.protect_messages, deskguard.protect_feature, deskguard.protect_shared,
    deskguard.unprotect, deskguard.create_help_desk
FROM PUBLIC;

-- What pg_dump takes along; what CREATE EXTENSION makes is left out.
SELECT pg_catalog.pg_extension_config_dump('deskguard.agent', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.team', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.team_member', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.trusted_role', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.department', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.category', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.permission', 'WHERE NOT builtin');
SELECT pg_catalog.pg_extension_config_dump('deskguard.permission_group', 'WHERE NOT builtin');
SELECT pg_catalog.pg_extension_config_dump('deskguard.permission_group_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.group_member', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.group_permission', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.agent_permission', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.group_department', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.agent_department', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.group_category', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.agent_category', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.protected_table', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.ticket_table', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.message_table', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.shared_table', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.protected_feature', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard.shared_visibility', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.mirror', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.mirror_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.mirrored_row', '');
SELECT pg_catalog.pg_extension_config_dump('deskguard_internal.mirrored_id_seq', '');
