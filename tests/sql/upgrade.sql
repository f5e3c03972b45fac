-- ALTER EXTENSION UPDATE gives the same as CREATE EXTENSION, object by object, and whoever saw a row before sees it after.
SET client_min_messages = warning;
CREATE DATABASE regress_fresh TEMPLATE template0;
CREATE DATABASE regress_upgraded TEMPLATE template0;

-- All that there is of the extension, a line for each object and each part of one. Without OIDs, which differ.
SELECT $lines$
    WITH extension AS (SELECT * FROM pg_extension WHERE extname = 'deskguard'),
    member AS (
        SELECT d.classid, d.objid FROM pg_depend AS d, extension AS e
        WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
    ),
    relation AS (SELECT c.* FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname IN ('deskguard', 'deskguard_internal')),
    builtin_row AS (
        SELECT 'permission' AS of, p::text AS line FROM deskguard.permission AS p
        UNION ALL SELECT 'group', g::text FROM deskguard.permission_group AS g WHERE g.builtin
    )
    SELECT concat_ws(' | ', 'member', pg_describe_object(classid, objid, 0), obj_description(objid, classid::regclass::name)) AS line FROM member
    UNION ALL SELECT concat_ws(' | ', 'extension', extversion, extnamespace::regnamespace, extrelocatable) FROM extension
    UNION ALL SELECT concat_ws(' | ', 'dumped', dumped::regclass, condition) FROM extension, unnest(extconfig, extcondition) AS x (dumped, condition)
    UNION ALL SELECT concat_ws(' | ', 'schema', nspname, nspowner::regrole, nspacl) FROM pg_namespace WHERE nspname IN ('deskguard', 'deskguard_internal')
    UNION ALL SELECT concat_ws(' | ', 'relation', oid::regclass, relkind, relowner::regrole, relpersistence, relreplident, relrowsecurity, relforcerowsecurity,
        relacl, reloptions, reltablespace, CASE relkind WHEN 'v' THEN pg_get_viewdef(oid) WHEN 'i' THEN pg_get_indexdef(oid) END,
        obj_description(oid, 'pg_class')) FROM relation
    UNION ALL SELECT concat_ws(' | ', 'index', i.indexrelid::regclass, i.indisunique, i.indisprimary, i.indisvalid, i.indimmediate, i.indisreplident)
        FROM pg_index AS i JOIN relation AS r ON r.oid = i.indrelid
    UNION ALL SELECT concat_ws(' | ', 'column', a.attrelid::regclass, a.attnum, a.attname, a.attisdropped, format_type(a.atttypid, a.atttypmod),
        a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, a.attcollation::regcollation, a.attacl, a.attstattarget,
        pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum))
        FROM pg_attribute AS a JOIN relation AS r ON r.oid = a.attrelid
        LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE a.attnum > 0
    UNION ALL SELECT concat_ws(' | ', 'constraint', k.conrelid::regclass, k.conname, k.convalidated, pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint'))
        FROM pg_constraint AS k JOIN relation AS r ON r.oid = k.conrelid
    UNION ALL SELECT concat_ws(' | ', 'trigger', t.tgrelid::regclass, t.tgenabled, t.tgfoid::regproc, k.conrelid::regclass, k.conname,
        CASE WHEN NOT t.tgisinternal THEN pg_get_triggerdef(t.oid) END, obj_description(t.oid, 'pg_trigger'))
        FROM pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid LEFT JOIN pg_constraint AS k ON k.oid = t.tgconstraint
    UNION ALL SELECT concat_ws(' | ', 'function', p.proowner::regrole, p.proacl, p.procost, p.prorows, p.prosupport, pg_get_functiondef(p.oid))
        FROM pg_proc AS p WHERE p.pronamespace::regnamespace::text IN ('deskguard', 'deskguard_internal')
    UNION ALL SELECT concat_ws(' | ', 'sequence', s.seqrelid::regclass, s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle, s.seqcache)
        FROM pg_sequence AS s JOIN relation AS r ON r.oid = s.seqrelid
    UNION ALL SELECT concat_ws(' | ', 'event trigger', evtname, evtevent, evtowner::regrole, evtfoid::regproc, evtenabled, evttags) FROM pg_event_trigger
    UNION ALL SELECT concat_ws(' | ', 'privileges at first', pg_describe_object(classoid, objoid, objsubid), privtype, initprivs)
        FROM pg_init_privs WHERE privtype = 'e'
    UNION ALL SELECT concat_ws(' | ', 'row of', of, line) FROM builtin_row
$lines$ AS lines \gset

\c regress_fresh
SET client_min_messages = error;
CREATE EXTENSION deskguard;
SELECT array_agg(line) AS fresh, count(*) > 800 AS are_many FROM (:lines) AS x \gset
SELECT :'are_many' AS there_are_many_lines;

-- A help desk of the version before.
\c regress_upgraded
SET client_min_messages = warning;
CREATE EXTENSION deskguard VERSION '0.1.0';
INSERT INTO deskguard.department (id, name, parent_id) VALUES (1, 'Support', NULL), (2, 'EU', 1), (3, 'Sales', NULL);
INSERT INTO deskguard.agent (id, name, db_role, category_access) VALUES (2, 'Ann', 'regress_ann', 'open');
INSERT INTO deskguard.permission_group (name) VALUES ('Staff');
INSERT INTO deskguard.permission (name, destructive) VALUES ('ticket.view.own', true);
INSERT INTO deskguard.group_permission
SELECT 100, unnest(ARRAY['ticket.use', 'ticket.view.unassigned', 'ticket.modify.unassigned', 'ticket.reply.unassigned']);
INSERT INTO deskguard.group_department VALUES (100, 1, 'full');
INSERT INTO deskguard.group_member VALUES (100, 2);
CREATE SCHEMA desk AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA desk TO PUBLIC;
SET ROLE regress_owner;
CREATE TABLE desk.ticket (id bigint PRIMARY KEY, department_id bigint, subject text) PARTITION BY RANGE (id);
CREATE TABLE desk.ticket_1 PARTITION OF desk.ticket FOR VALUES FROM (1) TO (4);
CREATE TABLE desk.ticket_2 PARTITION OF desk.ticket DEFAULT;
CREATE TABLE desk.detached (LIKE desk.ticket INCLUDING ALL);
CREATE TABLE desk.broken (id bigint PRIMARY KEY, department_id bigint);
INSERT INTO desk.broken VALUES (1, 1);
CREATE TABLE desk.message (id bigint PRIMARY KEY, ticket_id bigint REFERENCES desk.ticket, body text);
CREATE TABLE desk.attachment (id bigint PRIMARY KEY, message_id bigint REFERENCES desk.message);
CREATE TABLE desk.filter (id bigint PRIMARY KEY, owner bigint);
INSERT INTO desk.ticket SELECT n, n FROM generate_series(1, 3) AS n UNION ALL SELECT 10 + n, n FROM generate_series(1, 3) AS n;
INSERT INTO desk.message SELECT id, id FROM desk.ticket;
INSERT INTO desk.attachment SELECT id, id FROM desk.message;
INSERT INTO desk.detached VALUES (101, 1), (103, 3);
INSERT INTO desk.filter VALUES (1, 2), (2, 3), (3, NULL);
GRANT ALL ON ALL TABLES IN SCHEMA desk TO regress_ann;
RESET ROLE;
-- What the library of that version made of the tickets, as a dump has it.
INSERT INTO deskguard_internal.protected_table
SELECT t, 'tickets', 'desk.ticket', false, false FROM unnest('{desk.ticket,desk.ticket_1,desk.ticket_2,desk.detached}'::regclass[]) AS t
UNION ALL VALUES ('desk.broken'::regclass, 'tickets', 'desk.broken'::regclass, false, false);
INSERT INTO deskguard_internal.ticket_table (table_id, id_column, department_column)
VALUES ('desk.ticket', 'id', 'department_id'), ('desk.broken', 'id', 'department_id');
DO $do$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['desk.ticket', 'desk.ticket_1', 'desk.ticket_2', 'desk.detached', 'desk.broken'] LOOP
        EXECUTE format($$
            CREATE POLICY deskguard_view ON %1$s AS RESTRICTIVE FOR SELECT
                USING (deskguard_internal.view_ok(%1$L::regclass, id, department_id, NULL::bigint, NULL::bigint, false));
            CREATE POLICY deskguard_create ON %1$s AS RESTRICTIVE FOR INSERT
                WITH CHECK (deskguard_internal.create_ok(%1$L::regclass, department_id, NULL::bigint, NULL::bigint, false, NULL::text)
                    AND deskguard_internal.new_id_ok(%1$L::regclass, id));
            CREATE POLICY deskguard_modify ON %1$s AS RESTRICTIVE FOR UPDATE
                USING (deskguard_internal.modify_ok(%1$L::regclass, id, department_id, NULL::bigint, NULL::bigint, false))
                WITH CHECK (deskguard_internal.update_ok(%1$L::regclass, id, department_id, NULL::text));
            CREATE POLICY deskguard_delete ON %1$s AS RESTRICTIVE FOR DELETE
                USING (deskguard_internal.delete_ok(%1$L::regclass, id, department_id, NULL::bigint, NULL::bigint, false));
            CREATE POLICY deskguard_base ON %1$s USING (deskguard_internal.base_ok(%1$L::regclass));
            ALTER TABLE %1$s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        $$, t);
    END LOOP;
END $do$;
CREATE TRIGGER deskguard_update BEFORE UPDATE ON desk.ticket FOR EACH ROW EXECUTE FUNCTION deskguard_internal.note_ticket();
CREATE TRIGGER deskguard_update_detached BEFORE UPDATE ON desk.detached FOR EACH ROW EXECUTE FUNCTION deskguard_internal.note_ticket();
CREATE TRIGGER deskguard_update BEFORE UPDATE ON desk.broken FOR EACH ROW EXECUTE FUNCTION deskguard_internal.note_ticket();
GRANT EXECUTE ON FUNCTION deskguard.protect_tickets TO regress_owner, regress_ann;
SELECT deskguard.protect_messages('desk.message', 'desk.ticket');
SELECT deskguard.protect_messages('desk.attachment', 'desk.message', 'message_id');
SELECT deskguard.protect_shared('desk.filter', owner_column => 'owner');
SELECT deskguard.protect_feature('desk.attachment', 'report.view', 'DELETE');
SELECT deskguard.share('desk.filter', '3', agent_id => 2);
CREATE VIEW public.seen AS
SELECT 'tickets' AS what, (SELECT array_agg(id ORDER BY id) FROM desk.ticket) AS ids
UNION ALL SELECT 'partition', (SELECT array_agg(id ORDER BY id) FROM desk.ticket_2)
UNION ALL SELECT 'messages', (SELECT array_agg(id ORDER BY id) FROM desk.message)
UNION ALL SELECT 'attachments', (SELECT array_agg(id ORDER BY id) FROM desk.attachment)
UNION ALL SELECT 'filters', (SELECT array_agg(id ORDER BY id) FROM desk.filter);
ALTER VIEW public.seen SET (security_invoker);
GRANT SELECT ON public.seen TO PUBLIC;
REVOKE EXECUTE ON FUNCTION deskguard.effective_permissions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION deskguard.effective_permissions TO regress_owner;
SET ROLE regress_ann;
-- The library of this version runs with the SQL of the one before, but what policies ask of tickets is given more columns.
SELECT id FROM desk.filter ORDER BY id;
SELECT * FROM desk.ticket;
\set VERBOSITY terse
SELECT * FROM desk.message;
SET deskguard.fold = off;
SELECT * FROM desk.ticket_2;
UPDATE desk.ticket SET subject = 'mine' RETURNING id;
INSERT INTO desk.ticket VALUES (4, 2);
RESET deskguard.fold;
RESET ROLE;
SELECT deskguard.protect_tickets('desk.ticket', department_column => 'department_id');
CREATE TABLE desk.ticket_4 PARTITION OF desk.ticket FOR VALUES FROM (20) TO (30);
SELECT deskguard_internal.view_ok('desk.ticket', 1, 1, NULL, NULL, false);
SELECT deskguard.visible_tickets(2, 'desk.ticket');
\set VERBOSITY default
UPDATE deskguard.permission_group SET category_access = 'open' WHERE name = 'Staff';
ALTER TABLE desk.message RENAME body TO text;
ALTER TABLE desk.message RENAME ticket_id TO ticket;
SELECT deskguard.protect_messages('desk.message', 'desk.ticket', 'ticket');
GRANT EXECUTE ON FUNCTION deskguard.protect_messages TO regress_owner;
ALTER EVENT TRIGGER deskguard_after_ddl DISABLE;
ALTER TABLE desk.broken RENAME department_id TO department;
ALTER EVENT TRIGGER deskguard_after_ddl ENABLE ALWAYS;
SELECT * FROM deskguard.effective_permissions(2) WHERE permission = 'ticket.use';
-- The policies of tickets are made again, also of a partition that was detached.
ALTER EXTENSION deskguard UPDATE;
SELECT extversion = default_version AS is_of_this_version FROM pg_extension JOIN pg_available_extensions ON name = extname WHERE extname = 'deskguard';
SELECT name, scope, external_key FROM deskguard.permission_group WHERE NOT builtin;
SELECT name, destructive, builtin FROM deskguard.permission WHERE name = 'ticket.view.own';
SELECT * FROM deskguard.effective_permissions(2) WHERE permission = 'ticket.use';
SET ROLE regress_ann;
SELECT * FROM public.seen;
UPDATE desk.ticket SET subject = 'mine' RETURNING id;
DELETE FROM desk.attachment RETURNING id;
SELECT id FROM desk.detached;
UPDATE desk.detached SET department_id = 1 RETURNING id;
UPDATE desk.ticket SET department_id = 3 WHERE id = 1;
SELECT id FROM desk.broken;
RESET ROLE;
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgname LIKE 'deskguard_update%' ORDER BY 1, 2;
ALTER TABLE desk.message ADD internal boolean;
SELECT deskguard.protect_messages('desk.message', 'desk.ticket', 'ticket', internal_column => 'internal');
SET ROLE regress_ann;
SELECT * FROM public.seen WHERE what IN ('messages', 'attachments');
RESET ROLE;
SELECT deskguard.protect_tickets('desk.broken', department_column => 'department');
SELECT t.table_id FROM deskguard.protected_table AS t WHERE NOT deskguard_internal.base_ok(t.table_id);

\pset format unaligned
-- What one of the two has, and the other has not: nothing. (A change of the schema belongs into a file of sql/ and into the newest script of sql/upgrade/.)
SELECT 'made by CREATE EXTENSION only' AS what, line FROM unnest(:'fresh'::text[]) AS line WHERE line NOT IN (SELECT * FROM (:lines) AS x)
UNION ALL SELECT 'made by the upgrade only', line FROM (:lines) AS x WHERE line <> ALL (:'fresh'::text[])
ORDER BY 2, 1;
SELECT count(*) - cardinality(:'fresh'::text[]) AS more_lines FROM (:lines) AS x;

\pset format aligned
\c regression
DROP DATABASE regress_fresh;
DROP DATABASE regress_upgraded;
