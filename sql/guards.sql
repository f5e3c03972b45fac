-- Triggers that refuse what constraints cannot.

CREATE FUNCTION deskguard.guard_builtin() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        RAISE EXCEPTION 'deskguard.% has built-in rows and cannot be truncated', TG_TABLE_NAME
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Delete your own rows: DELETE ... WHERE NOT builtin.';
    END IF;
    IF TG_OP <> 'INSERT' THEN
        IF OLD.builtin THEN
            RAISE EXCEPTION '"%" is built in and cannot be changed or deleted', OLD.name
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Make one of your own.';
        END IF;
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    IF NEW.builtin THEN
        RAISE EXCEPTION 'only what comes with deskguard is built in'
            USING ERRCODE = 'check_violation', HINT = 'Leave builtin false.';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION deskguard.guard_builtin() IS
    'Trigger: refuses to change built-in permissions and groups (55000)';

CREATE TRIGGER guard_builtin BEFORE INSERT OR UPDATE OR DELETE ON deskguard.permission
    FOR EACH ROW EXECUTE FUNCTION deskguard.guard_builtin();
CREATE TRIGGER guard_builtin_truncate BEFORE TRUNCATE ON deskguard.permission
    FOR EACH STATEMENT EXECUTE FUNCTION deskguard.guard_builtin();
CREATE TRIGGER guard_builtin BEFORE INSERT OR UPDATE OR DELETE ON deskguard.permission_group
    FOR EACH ROW EXECUTE FUNCTION deskguard.guard_builtin();
CREATE TRIGGER guard_builtin_truncate BEFORE TRUNCATE ON deskguard.permission_group
    FOR EACH STATEMENT EXECUTE FUNCTION deskguard.guard_builtin();

CREATE FUNCTION deskguard.guard_builtin_grants() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM deskguard.permission_group AS g WHERE g.id = NEW.group_id AND g.builtin) THEN
        RAISE EXCEPTION 'group % is built in and cannot be changed', NEW.group_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Make a group of your own; an agent may be in several.';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION deskguard.guard_builtin_grants() IS
    'Trigger: refuses grants to built-in groups, which have everything (55000)';

CREATE TRIGGER guard_builtin BEFORE INSERT OR UPDATE ON deskguard.group_permission
    FOR EACH ROW EXECUTE FUNCTION deskguard.guard_builtin_grants();
CREATE TRIGGER guard_builtin BEFORE INSERT OR UPDATE ON deskguard.group_department
    FOR EACH ROW EXECUTE FUNCTION deskguard.guard_builtin_grants();
CREATE TRIGGER guard_builtin BEFORE INSERT OR UPDATE ON deskguard.group_category
    FOR EACH ROW EXECUTE FUNCTION deskguard.guard_builtin_grants();

CREATE FUNCTION deskguard.guard_role() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    role name := pg_catalog.to_jsonb(NEW) ->> TG_ARGV[0];
BEGIN
    IF role IS NOT NULL AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = role) THEN
        RAISE EXCEPTION 'role "%" does not exist', role
            USING ERRCODE = 'undefined_object',
                HINT = 'Create it first, or restore roles before this database (pg_dumpall --roles-only).';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION deskguard.guard_role() IS 'Trigger: refuses a role that does not exist (42704)';

CREATE TRIGGER guard_role BEFORE INSERT OR UPDATE OF db_role ON deskguard.agent
    FOR EACH ROW EXECUTE FUNCTION deskguard.guard_role('db_role');
CREATE TRIGGER guard_role BEFORE INSERT OR UPDATE ON deskguard.trusted_role
    FOR EACH ROW EXECUTE FUNCTION deskguard.guard_role('role_name');

CREATE FUNCTION deskguard.guard_department_tree() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'guard_department_tree_wrapper';
COMMENT ON FUNCTION deskguard.guard_department_tree() IS
    'Trigger: refuses a department that would be its own ancestor (23514)';

CREATE TRIGGER guard_department_tree AFTER INSERT OR UPDATE OF id, parent_id ON deskguard.department
    FOR EACH ROW EXECUTE FUNCTION deskguard.guard_department_tree();

-- Whoever changes rights says so to those whom it concerns: see src/concern.rs. By row, so that logical
-- replication does it, too, and before, so that nothing sees the change without having heard of it.

CREATE FUNCTION deskguard.rights_changed() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'rights_changed';
COMMENT ON FUNCTION deskguard.rights_changed() IS
    'Trigger: tells the sessions of those whose rights have changed';

DO $$
DECLARE
    table_name name;
BEGIN
    FOREACH table_name IN ARRAY ARRAY[
        'agent', 'team', 'team_member', 'trusted_role', 'department', 'category', 'permission', 'permission_group',
        'group_member', 'group_permission', 'agent_permission', 'group_department', 'agent_department', 'group_category',
        'agent_category', 'protected_table', 'shared_visibility'
    ] LOOP
        EXECUTE format('
            CREATE TRIGGER rights_changed BEFORE INSERT OR UPDATE OR DELETE ON deskguard.%1$I
                FOR EACH ROW EXECUTE FUNCTION deskguard.rights_changed();
            CREATE TRIGGER rights_changed_truncate BEFORE TRUNCATE ON deskguard.%1$I
                FOR EACH STATEMENT EXECUTE FUNCTION deskguard.rights_changed();
            ALTER TABLE deskguard.%1$I ENABLE ALWAYS TRIGGER rights_changed;
            ALTER TABLE deskguard.%1$I ENABLE ALWAYS TRIGGER rights_changed_truncate;
        ', table_name);
    END LOOP;
END $$;
