-- What the tables, views, sequences and functions of the schemas in $1 have that no statement carries
-- over: the thing, and what of it.
WITH RECURSIVE relation AS (
    SELECT c.*, format('%s.%s', n.nspname, c.relname) AS spoken
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
      AND NOT (false /* chunk */)
      AND NOT EXISTS (SELECT FROM pg_depend d
          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
),
-- Foreign tables and what is read from them.
far (oid) AS (
    SELECT NULL::oid WHERE false /* far */
),
function AS (
    SELECT p.*, format('%s.%s', n.nspname, p.proname) AS spoken
    FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = ANY ($1)
      AND NOT EXISTS (SELECT FROM pg_depend d
          WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
),
type AS (
    SELECT t.*, format('%s.%s', n.nspname, t.typname) AS spoken
    FROM pg_type t
    JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE n.nspname = ANY ($1) AND t.typtype IN ('e', 'd', 'r')
      AND NOT EXISTS (SELECT FROM pg_depend d
          WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
),
granted (spoken, owner, entries) AS (
    SELECT spoken, relowner, relacl FROM relation
    UNION ALL
    SELECT r.spoken, r.relowner, a.attacl FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
    UNION ALL
    SELECT spoken, proowner, proacl FROM function
    UNION ALL
    SELECT t.spoken, t.typowner, t.typacl FROM type t
    UNION ALL
    SELECT n.nspname, n.nspowner, n.nspacl FROM pg_namespace n
    WHERE n.nspname = ANY ($1) AND n.nspname <> 'public'
)
SELECT spoken, what FROM (
    SELECT g.spoken, format('rights of %s', string_agg(DISTINCT pg_get_userbyid(e.grantee), ', ')) AS what
    FROM granted g CROSS JOIN LATERAL aclexplode(g.entries) e
    -- Those of everybody are carried.
    WHERE e.grantee NOT IN (g.owner, 0)
    GROUP BY g.spoken
    UNION ALL
    SELECT t.spoken, 'that not everybody may use it'
    FROM type t
    WHERE t.typacl IS NOT NULL AND NOT EXISTS (SELECT FROM aclexplode(t.typacl) e WHERE e.grantee = 0)
    UNION ALL
    SELECT r.spoken, format('policies for roles %s', string_agg(p.polname, ', ' ORDER BY p.polname))
    FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
    WHERE p.polroles <> '{0}'
    GROUP BY r.spoken
    UNION ALL
    SELECT r.spoken, 'it reads a foreign table'
    FROM relation r WHERE r.oid IN (SELECT f.oid FROM far f)
    UNION ALL
    SELECT 'owners', string_agg(DISTINCT pg_get_userbyid(g.owner), ', ')
    FROM granted g
    HAVING bool_or(g.owner <> (SELECT u.oid FROM pg_roles u WHERE u.rolname = current_user))
    UNION ALL
    SELECT 'default privileges', format('those of %s%s', pg_get_userbyid(d.defaclrole), ' in ' || n.nspname)
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
    WHERE d.defaclnamespace = 0 OR n.nspname = ANY ($1)
    UNION ALL
    SELECT r.spoken, format('replica identity %s', CASE r.relreplident WHEN 'f' THEN 'full' WHEN 'n' THEN 'nothing' ELSE 'by index' END)
    FROM relation r WHERE r.relkind IN ('r', 'p') AND r.relreplident <> 'd'
    UNION ALL
    SELECT r.spoken, format('options of columns %s', string_agg(a.attname, ', ' ORDER BY a.attnum))
    FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND NOT a.attisdropped
    WHERE EXISTS (SELECT FROM pg_options_to_table(a.attoptions) o WHERE o.option_name LIKE 'n\_distinct%')
    GROUP BY r.spoken
    UNION ALL
    SELECT r.spoken, format('the tablespace %s', t.spcname)
    FROM relation r JOIN pg_tablespace t ON t.oid = r.reltablespace
    UNION ALL
    SELECT 'event trigger ' || v.evtname, 'on ' || v.evtevent
    FROM pg_event_trigger v
    WHERE NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = v.oid AND d.deptype = 'e')
    UNION ALL
    SELECT 'publication ' || p.pubname, CASE WHEN p.puballtables THEN 'of all tables' ELSE 'of some tables' END
    FROM pg_publication p
    UNION ALL
    SELECT f.spoken, 'the aggregate' FROM function f WHERE f.prokind IN ('a', 'w')
) beside
ORDER BY spoken, what
