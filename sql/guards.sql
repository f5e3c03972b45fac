-- Triggers that refuse what constraints cannot.

CREATE FUNCTION deskguard_internal.guard_builtin() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_WHEN <> 'BEFORE' OR (TG_OP = 'TRUNCATE') <> (TG_LEVEL = 'STATEMENT')
        OR TG_RELID NOT IN ('deskguard.permission'::regclass, 'deskguard.permission_group'::regclass)
    THEN
        RAISE EXCEPTION 'deskguard_internal.guard_builtin() cannot be called as this trigger'
            USING ERRCODE = 'trigger_protocol_violated',
                HINT = 'It is for deskguard.permission and deskguard.permission_group, which have the trigger.';
    END IF;
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
COMMENT ON FUNCTION deskguard_internal.guard_builtin() IS
    'Trigger: refuses to change built-in permissions and groups (55000)';

CREATE TRIGGER guard_builtin BEFORE INSERT OR UPDATE OR DELETE ON deskguard.permission
    FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_builtin();
CREATE TRIGGER guard_builtin_truncate BEFORE TRUNCATE ON deskguard.permission
    FOR EACH STATEMENT EXECUTE FUNCTION deskguard_internal.guard_builtin();
CREATE TRIGGER guard_builtin BEFORE INSERT OR UPDATE OR DELETE ON deskguard.permission_group
    FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_builtin();
CREATE TRIGGER guard_builtin_truncate BEFORE TRUNCATE ON deskguard.permission_group
    FOR EACH STATEMENT EXECUTE FUNCTION deskguard_internal.guard_builtin();

CREATE FUNCTION deskguard_internal.guard_builtin_grants() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_WHEN <> 'BEFORE' OR TG_LEVEL <> 'ROW' OR TG_OP NOT IN ('INSERT', 'UPDATE') OR TG_RELID NOT IN (
        'deskguard.group_permission'::regclass, 'deskguard.group_department'::regclass, 'deskguard.group_category'::regclass)
    THEN
        RAISE EXCEPTION 'deskguard_internal.guard_builtin_grants() cannot be called as this trigger'
            USING ERRCODE = 'trigger_protocol_violated',
                HINT = 'It is for the grants of groups, whose tables have the trigger.';
    END IF;
    IF EXISTS (SELECT FROM deskguard.permission_group AS g WHERE g.id = NEW.group_id AND g.builtin) THEN
        RAISE EXCEPTION 'group % is built in and cannot be changed', NEW.group_id
            USING ERRCODE = 'object_not_in_prerequisite_state',
                HINT = 'Make a group of your own; an agent may be in several.';
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION deskguard_internal.guard_builtin_grants() IS
    'Trigger: refuses grants to built-in groups, which have everything (55000)';

CREATE TRIGGER guard_builtin BEFORE INSERT OR UPDATE ON deskguard.group_permission
    FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_builtin_grants();
CREATE TRIGGER guard_builtin BEFORE INSERT OR UPDATE ON deskguard.group_department
    FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_builtin_grants();
CREATE TRIGGER guard_builtin BEFORE INSERT OR UPDATE ON deskguard.group_category
    FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_builtin_grants();

CREATE FUNCTION deskguard_internal.guard_role() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'guard_role';
COMMENT ON FUNCTION deskguard_internal.guard_role() IS
    'Trigger: refuses a role that does not exist (42704), and one that would be an agent and trusted to name its agent (55000)';

CREATE TRIGGER guard_role AFTER INSERT OR UPDATE OF db_role ON deskguard.agent
    FOR EACH ROW WHEN (NEW.db_role IS NOT NULL) EXECUTE FUNCTION deskguard_internal.guard_role();
CREATE TRIGGER guard_role AFTER INSERT OR UPDATE ON deskguard.trusted_role
    FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_role();

CREATE FUNCTION deskguard_internal.guard_department_tree() RETURNS trigger
LANGUAGE c AS 'MODULE_PATHNAME', 'guard_department_tree';
COMMENT ON FUNCTION deskguard_internal.guard_department_tree() IS
    'Trigger: refuses a department that would be its own ancestor (23514)';

CREATE TRIGGER guard_department_tree AFTER INSERT OR UPDATE OF id, parent_id ON deskguard.department
    FOR EACH ROW EXECUTE FUNCTION deskguard_internal.guard_department_tree();
