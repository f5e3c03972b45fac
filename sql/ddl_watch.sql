-- Keeps the protection whole while the help desk's tables change.

CREATE FUNCTION deskguard.protect_children() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'protect_children_wrapper';
COMMENT ON FUNCTION deskguard.protect_children() IS
    'For the event trigger: protects new partitions and child tables of protected tables';

CREATE FUNCTION deskguard.tie_policies(protected_table regclass) RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'tie_policies_wrapper';
COMMENT ON FUNCTION deskguard.tie_policies(regclass) IS
    'For the event trigger: makes the policy that opens a table go when one that closes it goes';

CREATE FUNCTION deskguard.renamed_column(table_id regclass, old_name name, new_name name) RETURNS name
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN old_name IS NULL OR EXISTS (
            SELECT FROM pg_attribute AS a
            WHERE a.attrelid = table_id AND a.attname = old_name AND NOT a.attisdropped
        ) THEN old_name
        ELSE new_name
    END
$$;
COMMENT ON FUNCTION deskguard.renamed_column(regclass, name, name) IS
    'For the event trigger: the name of a mapped column after a RENAME COLUMN gave new_name to one';

CREATE FUNCTION deskguard.kind_of_keys(table_id regclass, column_name name) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN 'number'
        WHEN a.atttypid IN ('text'::regtype, 'varchar'::regtype) THEN 'text'
        ELSE a.atttypid::text
    END
    FROM pg_attribute AS a
    WHERE a.attrelid = table_id AND a.attname = column_name AND NOT a.attisdropped
$$;
COMMENT ON FUNCTION deskguard.kind_of_keys(regclass, name) IS
    'For the event trigger: types of columns that may refer to each other have the same kind';

REVOKE ALL ON FUNCTION deskguard.protect_children(), deskguard.tie_policies(regclass),
    deskguard.renamed_column(regclass, name, name), deskguard.kind_of_keys(regclass, name) FROM PUBLIC;

-- The event triggers run with the rights of the extension's owner, since those who alter their
-- tables may not write the registry.

CREATE FUNCTION deskguard.after_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    command record;
    new_name name;
BEGIN
    FOR command IN
        SELECT c.object_type, c.objid, c.objsubid FROM pg_event_trigger_ddl_commands() AS c
    LOOP
        -- Backends remember the names of protected tables.
        UPDATE deskguard.protected_table AS p SET root = p.root
        FROM pg_class AS c
        WHERE c.oid = p.table_id AND command.objid IN (c.oid, c.relnamespace)
            AND command.object_type IN ('table', 'table column', 'schema');
        -- The key of a message table, which no policy names.
        IF EXISTS (
            SELECT FROM deskguard.protected_table AS p
            JOIN deskguard.protected_table AS child ON child.parent_table = p.table_id
            WHERE p.table_id = command.objid AND p.kind = 'messages' AND command.object_type = 'table'
                AND deskguard.kind_of_keys(p.table_id, p.id_column)
                    <> deskguard.kind_of_keys(child.table_id, child.parent_column)
        ) THEN
            RAISE EXCEPTION 'cannot change the type of the key of %, by which rows of a protected table belong to this one', command.objid::regclass
                USING ERRCODE = 'dependent_objects_still_exist',
                    HINT = 'Call deskguard.unprotect() for the tables that belong to it first.';
        END IF;
        IF tg_tag = 'ALTER POLICY' THEN
            IF EXISTS (
                SELECT FROM pg_policy AS pol
                JOIN deskguard.protected_table AS p ON p.table_id = pol.polrelid
                WHERE pol.oid = command.objid
                    -- Renamed, too: only ours depend on each other, or ask for a feature.
                    AND (pol.polname LIKE 'deskguard\_%'
                        OR EXISTS (
                            SELECT FROM pg_depend AS d
                            WHERE d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_policy'::regclass
                                AND pol.oid IN (d.objid, d.refobjid))
                        OR pg_get_expr(COALESCE(pol.polqual, pol.polwithcheck), pol.polrelid)
                            LIKE '%deskguard.feature\_ok(%')
            ) THEN
                RAISE EXCEPTION 'policies of deskguard cannot be altered'
                    USING ERRCODE = 'object_not_in_prerequisite_state',
                        HINT = 'Protect the table anew, with other columns, or add policies of your own.';
            END IF;
        ELSIF command.object_type = 'policy' THEN
            -- A dump that is restored creates the policies one by one.
            PERFORM deskguard.tie_policies(pol.polrelid)
            FROM pg_policy AS pol
            JOIN deskguard.protected_table AS p ON p.table_id = pol.polrelid
            WHERE pol.oid = command.objid;
        ELSIF command.object_type = 'table column' THEN
            SELECT a.attname INTO new_name
            FROM pg_attribute AS a
            WHERE a.attrelid = command.objid AND a.attnum = command.objsubid;
            UPDATE deskguard.protected_table AS p
            SET id_column = deskguard.renamed_column(p.table_id, p.id_column, new_name),
                department_column = deskguard.renamed_column(p.table_id, p.department_column, new_name),
                category_column = deskguard.renamed_column(p.table_id, p.category_column, new_name),
                assignee_column = deskguard.renamed_column(p.table_id, p.assignee_column, new_name),
                team_column = deskguard.renamed_column(p.table_id, p.team_column, new_name),
                status_column = deskguard.renamed_column(p.table_id, p.status_column, new_name),
                confidential_column = deskguard.renamed_column(p.table_id, p.confidential_column, new_name),
                parent_column = deskguard.renamed_column(p.table_id, p.parent_column, new_name),
                author_column = deskguard.renamed_column(p.table_id, p.author_column, new_name),
                owner_column = deskguard.renamed_column(p.table_id, p.owner_column, new_name)
            WHERE p.table_id = command.objid;
            UPDATE deskguard.protected_table AS p
            SET follower_ticket_column = deskguard.renamed_column(p.follower_table, p.follower_ticket_column, new_name),
                follower_agent_column = deskguard.renamed_column(p.follower_table, p.follower_agent_column, new_name)
            WHERE p.follower_table = command.objid;
        END IF;
    END LOOP;
    PERFORM deskguard.protect_children();
END $$;
COMMENT ON FUNCTION deskguard.after_ddl() IS
    'Event trigger: follows renamed columns, protects new partitions, and ties restored policies';

CREATE FUNCTION deskguard.after_drop() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    dropped record;
BEGIN
    FOR dropped IN
        SELECT o.classid, o.objid, o.objsubid, o.object_type, o.object_identity, o.address_names
        FROM pg_event_trigger_dropped_objects() AS o
    LOOP
        IF dropped.classid = 'pg_class'::regclass AND dropped.objsubid = 0 THEN
            DELETE FROM deskguard.protected_table AS p WHERE p.table_id = dropped.objid;
            DELETE FROM deskguard.protected_feature AS f WHERE f.table_id = dropped.objid;
            DELETE FROM deskguard.shared_visibility AS v WHERE v.object_table = dropped.objid;
            UPDATE deskguard.protected_table AS p
            SET follower_table = NULL, follower_ticket_column = NULL, follower_agent_column = NULL
            WHERE p.follower_table = dropped.objid;
            UPDATE deskguard.protected_table AS p SET parent_table = NULL WHERE p.parent_table = dropped.objid;
        ELSIF dropped.object_type = 'table column' THEN
            -- The key of a message table, which no policy names.
            IF EXISTS (
                SELECT FROM deskguard.protected_table AS p
                JOIN deskguard.protected_table AS child ON child.parent_table = p.table_id
                WHERE p.table_id = dropped.objid AND p.kind = 'messages' AND NOT EXISTS (
                    SELECT FROM pg_attribute AS a
                    WHERE a.attrelid = p.table_id AND a.attname = p.id_column AND NOT a.attisdropped)
            ) THEN
                RAISE EXCEPTION 'cannot drop %, by which rows of a protected table belong to this one', dropped.object_identity
                    USING ERRCODE = 'dependent_objects_still_exist',
                        HINT = 'Call deskguard.unprotect() for the tables that belong to it first.';
            END IF;
            UPDATE deskguard.protected_table AS p SET id_column = NULL
            WHERE p.table_id = dropped.objid AND p.kind = 'messages' AND NOT EXISTS (
                SELECT FROM pg_attribute AS a
                WHERE a.attrelid = p.table_id AND a.attname = p.id_column AND NOT a.attisdropped);
        ELSIF dropped.object_type IN ('policy', 'trigger')
            AND dropped.address_names[3] LIKE 'deskguard\_%'
            AND EXISTS (
                SELECT FROM deskguard.protected_table AS p
                WHERE p.table_id = to_regclass(format('%I.%I', dropped.address_names[1], dropped.address_names[2]))
            )
        THEN
            RAISE EXCEPTION 'cannot drop % % of protected table %.%, or a column that it uses',
                    dropped.object_type, dropped.address_names[3], dropped.address_names[1], dropped.address_names[2]
                USING ERRCODE = 'dependent_objects_still_exist',
                    HINT = 'Protect the table without the column first, or call deskguard.unprotect().';
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION deskguard.after_drop() IS
    'Event trigger: forgets dropped tables, and refuses to drop what protects a table that stays (2BP01)';

CREATE EVENT TRIGGER deskguard_after_ddl ON ddl_command_end
    WHEN TAG IN (
        'CREATE TABLE', 'ALTER TABLE', 'CREATE FOREIGN TABLE', 'ALTER FOREIGN TABLE', 'CREATE SCHEMA', 'ALTER SCHEMA',
        'CREATE POLICY', 'ALTER POLICY'
    )
    EXECUTE FUNCTION deskguard.after_ddl();
ALTER EVENT TRIGGER deskguard_after_ddl ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER deskguard_after_ddl IS 'Keeps the protection whole when tables change';

CREATE EVENT TRIGGER deskguard_after_drop ON sql_drop EXECUTE FUNCTION deskguard.after_drop();
ALTER EVENT TRIGGER deskguard_after_drop ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER deskguard_after_drop IS 'Keeps the protection whole when things are dropped';
