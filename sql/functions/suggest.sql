-- What could be protected, guessed from names, keys and types. It reads pg_catalog only, as the caller.

CREATE FUNCTION deskguard.suggest_protection(schema_name name DEFAULT NULL) RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- What columns of tickets mean, by their names without "id" at the end. The first that fits counts.
    meanings constant jsonb := '{
        "department": "^(department|dept|queue|project|inbox|mailbox|group|area)$",
        "category": "^(category|topic|tracker|issuetype|tickettype)$",
        "assignee": "^(assignee|assignedto|assignedagent|assigned|owner|handledby|agent|staff|responsible)$",
        "team": "^(team|assignedteam|agentteam|agentgroup)$",
        "requester": "^(requester|requestedby|customer|client|contact|author|reporter|submitter|createdby|openedby|user|person)$",
        "requester_team": "^(organization|organisation|company)$"}';
    people constant text := '(user|agent|staff|person|people|member|watcher|follower|participant|profile|employee|customer|contact)';
    key_types constant oid[] := '{int2,int4,int8,uuid,text,varchar}'::regtype[];
    tickets record;
    child record;
    attachment record;
    arguments text[];
    meant text[];
    confidential name;
    is_proposed boolean := false;
    targets text[];
    target text;
BEGIN
    FOR tickets IN
        SELECT c.oid, c.relname, n.nspname, k.name AS id
        FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        JOIN LATERAL (
            SELECT a.attname AS name
            FROM pg_index AS i
            JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
            WHERE i.indrelid = c.oid AND i.indisprimary
            ORDER BY (a.attname ~* '(id|no|number|key)$') DESC, a.attnum
            LIMIT 1
        ) AS k ON true
        WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
            AND CASE WHEN schema_name IS NULL THEN n.nspname !~ '^pg_' AND n.nspname NOT IN (
                'information_schema', 'deskguard', 'deskguard_internal') ELSE n.nspname = schema_name END
            AND c.relname ~* '(ticket|issue|conversation|incident|(^|[^a-z])(request|case))s?$'
        ORDER BY n.nspname, c.relname
    LOOP
        -- Which column is what, and the table that it refers to: by its foreign key, or by the name.
        arguments := '{}';
        meant := '{}';
        targets := '{}';
        FOR child IN
            SELECT m.key AS meaning, a.attname,
                coalesce((
                    SELECT f.confrelid FROM pg_constraint AS f
                    WHERE f.conrelid = tickets.oid AND f.contype = 'f' AND f.conkey = ARRAY[a.attnum]
                    ORDER BY f.oid LIMIT 1
                ), (
                    SELECT t.oid FROM pg_class AS t, pg_class AS self
                    WHERE self.oid = tickets.oid AND t.relnamespace = self.relnamespace AND t.relkind IN ('r', 'p')
                        AND (lower(t.relname) IN (a.stem, a.stem || 's', a.stem || 'es', regexp_replace(a.stem, 'y$', 'ies'))
                            OR m.key IN ('assignee', 'requester') AND t.relname ~* '^(users|agents|staff|people|profiles|employees)$')
                    ORDER BY starts_with(lower(t.relname), a.stem) DESC, t.relname LIMIT 1
                )) AS refers_to
            FROM jsonb_each_text(meanings) AS m
            JOIN LATERAL (
                SELECT a.attname, a.attnum, s.stem
                FROM pg_attribute AS a
                CROSS JOIN LATERAL (SELECT regexp_replace(lower(a.attname), '_?(id|no|uuid|key|number)$', '') AS stem) AS s
                WHERE a.attrelid = tickets.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> tickets.id
                    AND a.atttypid = ANY (key_types)
                    AND regexp_replace(s.stem, '[^a-z0-9]', '', 'g') ~ m.value
                ORDER BY a.attname ~* '(id|no|uuid|key|number)$' DESC, a.attnum
                LIMIT 1
            ) AS a ON true
            ORDER BY array_position(
                ARRAY['department', 'category', 'assignee', 'team', 'requester', 'requester_team'], m.key)
        LOOP
            arguments := arguments || format('%s_column => %L', child.meaning, child.attname);
            meant := meant || child.meaning;
            target := CASE child.meaning WHEN 'assignee' THEN 'agent' WHEN 'requester' THEN 'agent'
                WHEN 'requester_team' THEN 'team' ELSE child.meaning END;
            IF child.refers_to IS NOT NULL THEN
                targets := targets || (target || ' ' || child.refers_to::text);
            END IF;
        END LOOP;
        CONTINUE WHEN NOT (meant && ARRAY['department', 'assignee', 'team', 'requester']);
        is_proposed := true;
        SELECT a.attname INTO confidential
        FROM pg_attribute AS a
        WHERE a.attrelid = tickets.oid AND a.atttypid = 'bool'::regtype AND NOT a.attisdropped
            AND a.attname ~* '^(is_?)?(private|confidential|restricted)$'
        ORDER BY a.attnum LIMIT 1;
        IF confidential IS NOT NULL THEN
            arguments := arguments || format('confidential_column => %L', confidential);
        END IF;
        RETURN NEXT format('-- Tickets: %s. Read what each column means, change what is wrong, and run it.',
            translate(quote_ident(tickets.nspname) || '.' || quote_ident(tickets.relname), E'\n\r', '  '));
        RETURN QUERY SELECT format('-- Agents, teams, departments and categories, kept equal to your tables:')
        WHERE targets <> '{}';
        RETURN QUERY
        SELECT DISTINCT ON (split_part(t, ' ', 1), split_part(t, ' ', 2)) CASE
            WHEN id.integers THEN format('SELECT deskguard.mirror(%L, %L);', split_part(t, ' ', 1),
                format('%I.%I', n.nspname, c.relname))
            ELSE format('-- %s has keys that are no integers: mirror a view of it that gives external_key.',
                translate(format('%I.%I', n.nspname, c.relname), E'\n\r', '  '))
            END
        FROM unnest(targets) AS t
        JOIN pg_class AS c ON c.oid = split_part(t, ' ', 2)::oid
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL (
            SELECT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'id'
                AND a.atttypid = ANY (key_types[1:3])) AS integers
        ) AS id
        ORDER BY split_part(t, ' ', 1), split_part(t, ' ', 2);

        RETURN NEXT '-- Who is a member of which team, and may do what where: mirror views of your tables (docs/adopting.md has examples).';

        -- Tables that refer to the tickets: by a foreign key, by the name, or with a column that names the kind.
        FOR child IN
            SELECT c.oid, c.relname, n.nspname, t.attname AS ticket_column, k.attname AS type_column, p.attname AS person, i.attname AS internal,
                c.relname ~* '(watch|follow|subscri|participant)' AND p.attname IS NOT NULL AS follows
            FROM pg_class AS c
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            JOIN LATERAL (
                SELECT a.attname
                FROM pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                    AND (EXISTS (SELECT FROM pg_constraint AS f WHERE f.conrelid = c.oid AND f.contype = 'f'
                            AND f.confrelid = tickets.oid AND f.conkey = ARRAY[a.attnum])
                        OR n.nspname = tickets.nspname AND lower(a.attname) ~ ('^' || substring(lower(tickets.relname) FROM '(ticket|issue|conversation|incident|request|case)s?$')
                            || '_?(id|no|uuid|key|number)$')
                        OR n.nspname = tickets.nspname AND a.attname ~ '^(watchable|followable|journalized|notable|commentable|messageable|object)_?id$'
                            AND c.relname ~* '(watch|follow|message|article|journal|comment|note|post|repl|transaction|event)')
                ORDER BY a.attnum LIMIT 1
            ) AS t ON true
            LEFT JOIN LATERAL (
                SELECT a.attname FROM pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attname = regexp_replace(t.attname, 'id$', 'type') AND a.attname <> t.attname
            ) AS k ON true
            LEFT JOIN LATERAL (
                SELECT a.attname FROM pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> t.attname
                    AND a.atttypid = ANY (key_types)
                    AND lower(a.attname) ~ ('^(' || people || '|author|created_by|sender|written_by)s?_?(id|no|uuid|key|number|by)?(_id)?$')
                    AND NOT EXISTS (SELECT FROM pg_attribute AS b WHERE b.attrelid = c.oid
                        AND b.attname = regexp_replace(a.attname, 'id$', 'type') AND b.attname <> a.attname)
                ORDER BY a.attnum LIMIT 1
            ) AS p ON true
            LEFT JOIN LATERAL (
                SELECT a.attname FROM pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.atttypid = 'bool'::regtype AND NOT a.attisdropped
                    AND a.attname ~* '^(is_?)?((agent|staff|private|internal)_?)?(internal|private|hidden|notes?)$'
                ORDER BY a.attnum LIMIT 1
            ) AS i ON true
            WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.oid <> tickets.oid
            ORDER BY follows DESC, n.nspname, c.relname
        LOOP
            IF child.follows AND 'follower' <> ALL (meant) THEN
                meant := meant || 'follower'::text;
                arguments := arguments || ARRAY[
                    format('follower_table => %L', format('%I.%I', child.nspname, child.relname)),
                    format('follower_ticket_column => %L', child.ticket_column), format('follower_agent_column => %L', child.person)];
                IF child.type_column IS NOT NULL THEN
                    arguments := arguments || ARRAY[format('follower_type_column => %L', child.type_column),
                        'follower_type_values => ''{}'' /* the type of tickets */'];
                END IF;
                CONTINUE;
            END IF;
            IF 'tickets' <> ALL (meant) THEN
                meant := meant || 'tickets'::text;
                RETURN NEXT format('SELECT deskguard.protect_tickets(%L, id_column => %L, %s);',
                    format('%I.%I', tickets.nspname, tickets.relname), tickets.id, array_to_string(arguments, ', '));
            END IF;
            IF child.internal IS NULL THEN
                RETURN NEXT '-- Without internal_column all rows of the next table are read by whoever sees the ticket.';
            END IF;
            RETURN NEXT format('SELECT deskguard.protect_messages(%L, %L, %L%s%s%s);',
                format('%I.%I', child.nspname, child.relname), format('%I.%I', tickets.nspname, tickets.relname), child.ticket_column,
                ', author_column => ' || quote_literal(child.person), ', internal_column => ' || quote_literal(child.internal),
                ', type_column => ' || quote_literal(child.type_column) || ', type_values => ''{}'' /* the type of tickets */');
            FOR attachment IN
                SELECT c.relname, n.nspname, a.attname
                FROM pg_constraint AS f
                JOIN pg_class AS c ON c.oid = f.conrelid AND NOT c.relispartition
                JOIN pg_namespace AS n ON n.oid = c.relnamespace
                JOIN pg_attribute AS a ON a.attrelid = c.oid AND f.conkey = ARRAY[a.attnum]
                WHERE f.contype = 'f' AND f.confrelid = child.oid AND f.conrelid NOT IN (child.oid, tickets.oid)
                ORDER BY n.nspname, c.relname
            LOOP
                RETURN NEXT format('SELECT deskguard.protect_messages(%L, %L, %L);',
                    format('%I.%I', attachment.nspname, attachment.relname), format('%I.%I', child.nspname, child.relname), attachment.attname);
            END LOOP;
        END LOOP;
        IF 'tickets' <> ALL (meant) THEN
            RETURN NEXT format('SELECT deskguard.protect_tickets(%L, id_column => %L, %s);',
                format('%I.%I', tickets.nspname, tickets.relname), tickets.id, array_to_string(arguments, ', '));
        END IF;
    END LOOP;
    IF NOT is_proposed THEN
        RETURN NEXT '-- No table looks like tickets. deskguard.create_help_desk() makes one; deskguard.protect_tickets() protects yours.';
    END IF;
END $$;
COMMENT ON FUNCTION deskguard.suggest_protection(name) IS
    'Guesses from the catalog which tables of a schema, or of all, could be protected and mirrored: statements with comments, for a person to read, change and run';
