-- The catalog of the schemas in $1 as one JSON document; $2 roles whose rights are asked for, null for all.
--
-- The expressions that end in a marker comment are replaced when the server has what they ask for;
-- as it stands, the text runs on any PostgreSQL without TimescaleDB and without version tables.
--
-- Objects are found through pg_depend, which is indexed by schema; pg_class is not, and holds
-- several rows for every chunk. The one-row subqueries and OFFSET 0 keep every step an index
-- look-up, whatever the planner believes about row counts.
WITH space AS MATERIALIZED (
    SELECT n.oid, n.nspname FROM pg_namespace n WHERE n.nspname = ANY ($1)
),
member AS MATERIALIZED (
    SELECT d.classid, d.objid, s.nspname
    FROM space s
    CROSS JOIN LATERAL (
        SELECT d.classid, d.objid, d.deptype
        FROM pg_depend d
        WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = s.oid
        OFFSET 0
    ) d
    WHERE d.deptype = 'n'
      AND d.classid IN ('pg_class'::regclass, 'pg_proc'::regclass)
      -- What an extension brought is the extension's.
      AND (SELECT true FROM pg_depend e
           WHERE e.classid = d.classid AND e.objid = d.objid AND e.objsubid = 0
             AND e.deptype = 'e' LIMIT 1) IS NULL
),
relation AS MATERIALIZED (
    SELECT c.*, m.nspname
    FROM member m
    CROSS JOIN LATERAL (SELECT * FROM pg_class c WHERE c.oid = m.objid OFFSET 0) c
    WHERE m.classid = 'pg_class'::regclass
      AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      -- A partition or a chunk belongs to its parent.
      AND NOT c.relispartition
      AND NOT (false /* chunk */)
)
SELECT json_build_object(
    'extensions', (SELECT coalesce(json_agg(json_build_object(
        'name', x.extname, 'version', x.extversion) ORDER BY x.extname), '[]')
        FROM pg_extension x),
    'relations', (SELECT coalesce(json_agg(json_build_object(
        'schema', c.nspname,
        'name', c.relname,
        'kind', CASE c.relkind
            WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned_table' WHEN 'v' THEN 'view'
            WHEN 'm' THEN 'materialized_view' ELSE 'foreign_table' END,
        'persistence', CASE c.relpersistence
            WHEN 'p' THEN 'permanent' WHEN 'u' THEN 'unlogged' ELSE 'temporary' END,
        'partition_by', pg_get_partkeydef(c.oid),
        'row_security', c.relrowsecurity,
        'columns', (SELECT coalesce(json_agg(json_build_object(
            'name', a.attname,
            'type', format_type(a.atttypid, a.atttypmod),
            'not_null', a.attnotnull,
            'default', CASE WHEN a.atthasdef THEN (SELECT pg_get_expr(d.adbin, d.adrelid)
                        FROM pg_attrdef d
                        WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) END,
            'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END,
            'generated', a.attgenerated <> '',
            'collation', (SELECT k.collname FROM pg_type t, pg_collation k
                          WHERE t.oid = a.atttypid AND k.oid = a.attcollation
                            AND a.attcollation <> t.typcollation)
            ) ORDER BY a.attnum), '[]')
            FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
        'constraints', (SELECT coalesce(json_agg(json_build_object(
            'name', k.conname,
            'definition', pg_get_constraintdef(k.oid, true),
            'validated', k.convalidated,
            -- PostgreSQL 18 has constraints that are not enforced.
            'enforced', coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
            ) ORDER BY k.conname), '[]')
            FROM pg_constraint k
            WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f', 'p', 'u', 'x')
              -- A foreign key to a partitioned table brings one for each partition.
              AND k.conparentid = 0),
        'indexes', (SELECT coalesce(json_agg(json_build_object(
            'name', ic.relname,
            'method', (SELECT am.amname FROM pg_am am WHERE am.oid = ic.relam),
            'columns', (SELECT json_agg(concat(
                    pg_get_indexdef(i.indexrelid, key.n, true),
                    (SELECT concat(' COLLATE ', quote_ident(k.collname))
                     FROM pg_attribute a, pg_collation k
                     WHERE a.attrelid = i.indrelid AND a.attnum = i.indkey[key.n - 1]
                       AND k.oid = i.indcollation[key.n - 1] AND k.oid <> a.attcollation),
                    (SELECT concat(' ', quote_ident(o.opcname)) FROM pg_opclass o
                     WHERE o.oid = i.indclass[key.n - 1] AND NOT o.opcdefault),
                    CASE i.indoption[key.n - 1] & 3
                        WHEN 1 THEN ' DESC NULLS LAST' WHEN 2 THEN ' NULLS FIRST'
                        WHEN 3 THEN ' DESC' END
                    ) ORDER BY key.n)
                FROM generate_series(1, i.indnkeyatts::integer) key(n)),
            'include', (SELECT coalesce(json_agg(pg_get_indexdef(i.indexrelid, key.n, true)
                    ORDER BY key.n), '[]')
                FROM generate_series(i.indnkeyatts + 1, i.indnatts::integer) key(n)),
            'unique', i.indisunique,
            'nulls_not_distinct', coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
            'predicate', pg_get_expr(i.indpred, i.indrelid, true),
            'valid', i.indisvalid,
            'ready', i.indisready AND i.indislive,
            'of_constraint', EXISTS (SELECT FROM pg_depend d
                WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
                  AND d.refclassid = 'pg_constraint'::regclass AND d.deptype = 'i')
            ) ORDER BY ic.relname), '[]')
            FROM pg_index i
            CROSS JOIN LATERAL (SELECT * FROM pg_class ic WHERE ic.oid = i.indexrelid OFFSET 0) ic
            WHERE i.indrelid = c.oid),
        'triggers', (SELECT coalesce(json_agg(json_build_object(
            'name', t.name, 'kind', t.kind, 'enabled', t.enabled
            ) ORDER BY t.name, t.kind), '[]')
            FROM (
                SELECT g.tgname AS name, 'trigger' AS kind, g.tgenabled IN ('O', 'A') AS enabled
                FROM pg_trigger g
                WHERE g.tgrelid = c.oid AND NOT g.tgisinternal
                  -- The triggers of hypertables run functions that the extension owns.
                  AND (SELECT true FROM pg_depend e
                       JOIN pg_extension x ON x.oid = e.refobjid AND x.extname = 'timescaledb'
                       WHERE e.classid = 'pg_proc'::regclass AND e.objid = g.tgfoid
                         AND e.objsubid = 0 AND e.deptype = 'e' LIMIT 1) IS NULL
                UNION ALL
                SELECT r.rulename, 'rule', r.ev_enabled IN ('O', 'A')
                FROM pg_rewrite r
                WHERE r.ev_class = c.oid AND r.ev_type <> '1'
            ) t)
        ) ORDER BY c.nspname, c.relname), '[]') FROM relation c),
    'functions', (SELECT coalesce(json_agg(DISTINCT jsonb_build_object(
        'schema', m.nspname, 'name', p.proname)), '[]')
        FROM member m
        CROSS JOIN LATERAL (SELECT p.proname FROM pg_proc p WHERE p.oid = m.objid OFFSET 0) p
        WHERE m.classid = 'pg_proc'::regclass),
    'rights', NULL /* rights */,
    'timescaledb', NULL /* timescaledb */,
    'versions', NULL /* versions */,
    'migrations', NULL /* migrations */
)::text
