-- What the tables, views, sequences and functions of the schemas in $1 have that no statement carries
-- over: the thing, and what of it.
WITH relation AS (
    SELECT c.*, format('%s.%s', n.nspname, c.relname) AS spoken
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
      AND NOT (false /* chunk */)
      AND NOT EXISTS (SELECT FROM pg_depend d
          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
),
function AS (
    SELECT p.*, format('%s.%s', n.nspname, p.proname) AS spoken
    FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = ANY ($1)
      AND NOT EXISTS (SELECT FROM pg_depend d
          WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype IN ('e', 'i'))
),
granted (spoken, owner, entries) AS (
    SELECT spoken, relowner, relacl FROM relation
    UNION ALL
    SELECT r.spoken, r.relowner, a.attacl FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid
    UNION ALL
    SELECT spoken, proowner, proacl FROM function
    UNION ALL
    SELECT n.nspname, n.nspowner, n.nspacl FROM pg_namespace n
    WHERE n.nspname = ANY ($1) AND n.nspname <> 'public'
)
SELECT spoken, what FROM (
    SELECT g.spoken, format('rights of %s', string_agg(DISTINCT
        CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(e.grantee) END, ', ')) AS what
    FROM granted g CROSS JOIN LATERAL aclexplode(g.entries) e
    WHERE e.grantee <> g.owner
      -- Everybody may call a function unless that is taken away.
      AND NOT (e.grantee = 0 AND e.privilege_type = 'EXECUTE')
    GROUP BY g.spoken
    UNION ALL
    SELECT f.spoken, 'that not everybody may call it'
    FROM function f
    WHERE f.proacl IS NOT NULL AND NOT EXISTS (SELECT FROM aclexplode(f.proacl) e WHERE e.grantee = 0)
    UNION ALL
    SELECT r.spoken, format('policies %s', string_agg(p.polname, ', ' ORDER BY p.polname))
    FROM relation r JOIN pg_policy p ON p.polrelid = r.oid
    GROUP BY r.spoken
    UNION ALL
    SELECT r.spoken, format('rules %s', string_agg(w.rulename, ', ' ORDER BY w.rulename))
    FROM relation r JOIN pg_rewrite w ON w.ev_class = r.oid AND w.ev_type <> '1'
    GROUP BY r.spoken
    UNION ALL
    SELECT r.spoken, format('statistics %s', string_agg(s.stxname, ', ' ORDER BY s.stxname))
    FROM relation r JOIN pg_statistic_ext s ON s.stxrelid = r.oid
    GROUP BY r.spoken
    UNION ALL
    SELECT f.spoken, 'the aggregate' FROM function f WHERE f.prokind IN ('a', 'w')
) beside
ORDER BY spoken, what
