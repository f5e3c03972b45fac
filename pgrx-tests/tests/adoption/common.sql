-- What all products have: the schema "rule" with the product's own rules, and helpers.

CREATE SCHEMA rule;

-- Would the statement be allowed, and change a row? It is undone.
CREATE FUNCTION rule.may_run(statement text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
BEGIN
    EXECUTE statement;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RAISE EXCEPTION 'undone' USING ERRCODE = 'UN001';
EXCEPTION
    WHEN SQLSTATE 'UN001' THEN
        RETURN changed > 0;
    WHEN insufficient_privilege THEN
        RETURN false;
END $$;

-- A number from 1 to the highest.
CREATE FUNCTION rule.pick(highest bigint) RETURNS bigint
LANGUAGE sql VOLATILE RETURN 1 + floor(random() * highest)::bigint;

-- A word of the list.
CREATE FUNCTION rule.pick(words text[]) RETURNS text
LANGUAGE sql VOLATILE RETURN words[rule.pick(cardinality(words))];

-- What a page names as a difference. A product that has none leaves it empty.
CREATE VIEW rule.apart AS
SELECT 0::bigint AS agent_id, ''::text AS action, 0::bigint AS id, false AS is_allowed, ''::text AS reason
WHERE false;

-- Tickets put elsewhere. A product without a rule about it leaves it empty.
CREATE VIEW rule.moves AS
SELECT 0::bigint AS agent_id, ''::text AS statement, ''::text AS reason
WHERE false;
