-- How backends and their plans hear of changes that concern everyone: see src/signals/generation.rs. Views, because
-- VACUUM and ANALYZE, also those of a database, invalidate the relcache entries of tables.
CREATE VIEW deskguard_internal.rights_signal AS SELECT;
COMMENT ON VIEW deskguard_internal.rights_signal IS
    'Always empty; whoever changes the rights of everyone invalidates its relcache entry, of which all backends hear at commit';
CREATE VIEW deskguard_internal.external_key_signal AS SELECT;
COMMENT ON VIEW deskguard_internal.external_key_signal IS
    'Always empty; the same for external keys, which backends need not load again for other changes';

-- Whoever changes rights says so to those whom it concerns: see src/signals/concern.rs. By row, so that logical
-- replication does it, too, and before, so that nothing sees the change without having heard of it.

CREATE FUNCTION deskguard_internal.rights_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'rights_changed';
COMMENT ON FUNCTION deskguard_internal.rights_changed() IS
    'Trigger: tells the sessions of those whose rights have changed';

DO $$
DECLARE
    rights regclass;
BEGIN
    FOREACH rights IN ARRAY ARRAY[
        'deskguard.agent', 'deskguard.team', 'deskguard.team_member', 'deskguard.trusted_role',
        'deskguard.department', 'deskguard.category', 'deskguard.permission', 'deskguard.permission_group',
        'deskguard.group_member', 'deskguard.group_permission', 'deskguard.agent_permission',
        'deskguard.group_department', 'deskguard.agent_department', 'deskguard.group_category',
        'deskguard.agent_category', 'deskguard.shared_visibility', 'deskguard_internal.protected_table',
        'deskguard_internal.ticket_table', 'deskguard_internal.message_table', 'deskguard_internal.shared_table'
    ] LOOP
        EXECUTE format('
            CREATE TRIGGER rights_changed BEFORE INSERT OR UPDATE OR DELETE ON %1$s
                FOR EACH ROW EXECUTE FUNCTION deskguard_internal.rights_changed();
            CREATE TRIGGER rights_changed_truncate BEFORE TRUNCATE ON %1$s
                FOR EACH STATEMENT EXECUTE FUNCTION deskguard_internal.rights_changed();
            ALTER TABLE %1$s ENABLE ALWAYS TRIGGER rights_changed;
            ALTER TABLE %1$s ENABLE ALWAYS TRIGGER rights_changed_truncate;
        ', rights);
    END LOOP;
END $$;
