-- Statements that build the schemas in $1, in the order in which they run, and what undoes each.
--
-- Objects of one phase come in the order in which they were made, since nothing is made before what
-- it needs. Names are printed relative to the search_path of the session.
WITH space AS (
    SELECT n.oid, n.nspname FROM pg_namespace n WHERE n.nspname = ANY ($1)
),
owned AS (
    SELECT d.classid, d.objid FROM pg_depend d
    WHERE d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
),
relation AS (
    SELECT c.*, s.nspname, format('%I.%I', s.nspname, c.relname) AS spoken
    FROM pg_class c
    JOIN space s ON s.oid = c.relnamespace
    WHERE NOT EXISTS (SELECT FROM owned o WHERE o.classid = 'pg_class'::regclass AND o.objid = c.oid)
),
own_table AS (
    SELECT r.* FROM relation r
    WHERE r.relkind IN ('r', 'p') AND NOT (false /* chunk */)
),
statement (phase, number, text, undo) AS (
    SELECT 10, s.oid::bigint, format('CREATE SCHEMA IF NOT EXISTS %I', s.nspname), format('DROP SCHEMA %I', s.nspname)
    FROM space s WHERE s.nspname <> 'public'

    UNION ALL
    SELECT 20, t.oid::bigint,
        format('CREATE TYPE %I.%I AS ENUM (%s)', s.nspname, t.typname,
            (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder)
             FROM pg_enum e WHERE e.enumtypid = t.oid)),
        format('DROP TYPE %I.%I', s.nspname, t.typname)
    FROM pg_type t JOIN space s ON s.oid = t.typnamespace
    WHERE t.typtype = 'e'
      AND NOT EXISTS (SELECT FROM owned o WHERE o.classid = 'pg_type'::regclass AND o.objid = t.oid)

    UNION ALL
    SELECT 20, t.oid::bigint,
        concat(format('CREATE DOMAIN %I.%I AS %s', s.nspname, t.typname, format_type(t.typbasetype, t.typtypmod)),
            ' DEFAULT ' || t.typdefault, CASE WHEN t.typnotnull THEN ' NOT NULL' END,
            (SELECT string_agg(format(' CONSTRAINT %I %s', k.conname, pg_get_constraintdef(k.oid)), '' ORDER BY k.conname)
             FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c')),
        format('DROP DOMAIN %I.%I', s.nspname, t.typname)
    FROM pg_type t JOIN space s ON s.oid = t.typnamespace
    WHERE t.typtype = 'd'
      AND NOT EXISTS (SELECT FROM owned o WHERE o.classid = 'pg_type'::regclass AND o.objid = t.oid)

    UNION ALL
    SELECT 20, r.oid::bigint,
        format('CREATE TYPE %s AS (%s)', r.spoken,
            (SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
             FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped)),
        format('DROP TYPE %s', r.spoken)
    FROM relation r WHERE r.relkind = 'c'

    -- Names of multiranges came with version 14, which columns speak of a locale changed with 15 and 17.
    UNION ALL
    SELECT 20, t.oid::bigint,
        concat(format('CREATE TYPE %I.%I AS RANGE (SUBTYPE = %s', s.nspname, t.typname, format_type(g.rngsubtype, NULL)),
            (SELECT format(', SUBTYPE_OPCLASS = %I.%I', n.nspname, o.opcname) FROM pg_opclass o
             JOIN pg_namespace n ON n.oid = o.opcnamespace WHERE o.oid = g.rngsubopc),
            CASE WHEN g.rngcollation <> 0 THEN format(', COLLATION = %s', g.rngcollation::regcollation) END,
            CASE WHEN g.rngsubdiff <> 0 THEN format(', SUBTYPE_DIFF = %s', g.rngsubdiff::regproc) END,
            (SELECT format(', MULTIRANGE_TYPE_NAME = %I.%I', n.nspname, m.typname) FROM pg_type m
             JOIN pg_namespace n ON n.oid = m.typnamespace WHERE m.oid = (to_jsonb(g) ->> 'rngmultitypid')::oid),
            ')'),
        format('DROP TYPE %I.%I', s.nspname, t.typname)
    FROM pg_type t JOIN space s ON s.oid = t.typnamespace JOIN pg_range g ON g.rngtypid = t.oid
    WHERE NOT EXISTS (SELECT FROM owned o WHERE o.classid = 'pg_type'::regclass AND o.objid = t.oid)

    UNION ALL
    SELECT 20, k.oid::bigint,
        concat(format('CREATE COLLATION %I.%I (PROVIDER = %s', s.nspname, k.collname,
                CASE k.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END),
            CASE WHEN k.collprovider = 'c'
                THEN format(', LC_COLLATE = %L, LC_CTYPE = %L', k.collcollate, k.collctype)
                ELSE format(', LOCALE = %L', coalesce(to_jsonb(k) ->> 'colllocale',
                    to_jsonb(k) ->> 'colliculocale', k.collcollate)) END,
            CASE WHEN NOT k.collisdeterministic THEN ', DETERMINISTIC = false' END, ')'),
        format('DROP COLLATION %I.%I', s.nspname, k.collname)
    FROM pg_collation k JOIN space s ON s.oid = k.collnamespace
    WHERE NOT EXISTS (SELECT FROM owned o WHERE o.classid = 'pg_collation'::regclass AND o.objid = k.oid)

    -- Sequences of identity columns come with their columns.
    UNION ALL
    SELECT 20, r.oid::bigint,
        format('CREATE SEQUENCE %s AS %s INCREMENT %s MINVALUE %s MAXVALUE %s START %s CACHE %s%s', r.spoken,
            format_type(q.seqtypid, NULL), q.seqincrement, q.seqmin, q.seqmax, q.seqstart, q.seqcache,
            CASE WHEN q.seqcycle THEN ' CYCLE' ELSE '' END),
        format('DROP SEQUENCE IF EXISTS %s', r.spoken)
    FROM relation r JOIN pg_sequence q ON q.seqrelid = r.oid
    WHERE NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.deptype = 'i')

    UNION ALL
    SELECT 20, p.oid::bigint, rtrim(pg_get_functiondef(p.oid), E'\n'),
        format('DROP %s %s', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, p.oid::regprocedure)
    FROM pg_proc p JOIN space s ON s.oid = p.pronamespace
    WHERE p.prokind IN ('f', 'p')
      -- The functions of a range come with it.
      AND NOT EXISTS (SELECT FROM pg_depend d
          WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
      AND NOT EXISTS (SELECT FROM owned o WHERE o.classid = 'pg_proc'::regclass AND o.objid = p.oid)

    UNION ALL
    SELECT 20, r.oid::bigint,
        -- A partition may be older than its table; it is made as a table and attached.
        concat('CREATE ', CASE r.relpersistence WHEN 'u' THEN 'UNLOGGED ' END, format('TABLE %s (', r.spoken),
            (SELECT string_agg(concat(format(E'\n    %I %s', a.attname, format_type(a.atttypid, a.atttypmod)),
                (SELECT format(' COLLATE %s', k.oid::regcollation) FROM pg_type t, pg_collation k
                 WHERE t.oid = a.atttypid AND k.oid = a.attcollation AND a.attcollation <> t.typcollation),
                CASE WHEN r.relispartition THEN NULL WHEN a.attidentity = 'a' THEN ' GENERATED ALWAYS AS IDENTITY'
                    WHEN a.attidentity = 'd' THEN ' GENERATED BY DEFAULT AS IDENTITY' END,
                CASE WHEN a.attgenerated <> '' THEN (SELECT format(' GENERATED ALWAYS AS (%s) %s',
                    pg_get_expr(d.adbin, d.adrelid),
                    CASE a.attgenerated WHEN 'v' THEN 'VIRTUAL' ELSE 'STORED' END) FROM pg_attrdef d
                    WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) END,
                CASE WHEN a.attnotnull THEN ' NOT NULL' END), ',' ORDER BY a.attnum)
             FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped),
            E'\n)',
            (SELECT format(' INHERITS (%s)', string_agg(i.inhparent::regclass::text, ', ' ORDER BY i.inhseqno))
             FROM pg_inherits i WHERE i.inhrelid = r.oid AND NOT r.relispartition HAVING count(*) > 0),
            CASE r.relkind WHEN 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(r.oid) END),
        format('DROP TABLE IF EXISTS %s', r.spoken)
    FROM own_table r

    UNION ALL
    SELECT 20, r.oid::bigint,
        format('CREATE %sVIEW %s AS%s%s', CASE r.relkind WHEN 'm' THEN 'MATERIALIZED ' ELSE '' END, r.spoken, E'\n',
            rtrim(pg_get_viewdef(r.oid), E'; \n')),
        format('DROP %sVIEW %s', CASE r.relkind WHEN 'm' THEN 'MATERIALIZED ' ELSE '' END, r.spoken)
    FROM relation r WHERE r.relkind IN ('v', 'm')

    UNION ALL
    SELECT 30, d.objid::bigint, format('ALTER SEQUENCE %s OWNED BY %s.%I', d.objid::regclass, r.spoken, a.attname), NULL
    FROM pg_depend d
    JOIN own_table r ON r.oid = d.refobjid
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    JOIN pg_class q ON q.oid = d.objid AND q.relkind = 'S'
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a'

    UNION ALL
    SELECT 31, f.oid::bigint,
        format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', r.spoken, a.attname, pg_get_expr(f.adbin, f.adrelid)), NULL
    FROM pg_attrdef f
    JOIN own_table r ON r.oid = f.adrelid
    JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
    WHERE a.attgenerated = ''

    UNION ALL
    SELECT 32, r.oid::bigint,
        format('ALTER TABLE %s ATTACH PARTITION %s %s', i.inhparent::regclass, r.spoken, pg_get_expr(r.relpartbound, r.oid)), NULL
    FROM own_table r
    JOIN pg_inherits i ON i.inhrelid = r.oid
    WHERE r.relispartition

    UNION ALL
    SELECT 40, h.number, h.text, NULL
    FROM (SELECT NULL::bigint AS number, NULL::text AS text WHERE false /* hypertables */) h

    UNION ALL
    SELECT CASE k.contype WHEN 'f' THEN 55 WHEN 'c' THEN 51 ELSE 50 END, k.oid::bigint,
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', r.spoken, k.conname, pg_get_constraintdef(k.oid, true)), NULL
    FROM pg_constraint k
    JOIN own_table r ON r.oid = k.conrelid
    WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conparentid = 0 AND k.conislocal
      -- A partition gets those of its table from it, the ones that it had before, too.
      AND NOT (r.relispartition AND k.coninhcount > 0)

    UNION ALL
    SELECT 60, i.indexrelid::bigint, replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON '), NULL
    FROM pg_index i
    JOIN own_table r ON r.oid = i.indrelid
    WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid)
      AND NOT EXISTS (SELECT FROM pg_inherits p WHERE p.inhrelid = i.indexrelid)

    UNION ALL
    SELECT 70, g.oid::bigint, pg_get_triggerdef(g.oid), NULL
    FROM pg_trigger g
    JOIN own_table r ON r.oid = g.tgrelid
    WHERE NOT g.tgisinternal AND g.tgparentid = 0
      AND NOT EXISTS (SELECT FROM owned o WHERE o.classid = 'pg_proc'::regclass AND o.objid = g.tgfoid)

    UNION ALL
    SELECT 71, g.oid::bigint, format('ALTER TABLE %s DISABLE TRIGGER %I', r.spoken, g.tgname), NULL
    FROM pg_trigger g
    JOIN own_table r ON r.oid = g.tgrelid
    WHERE NOT g.tgisinternal AND g.tgparentid = 0 AND g.tgenabled = 'D'

    UNION ALL
    SELECT 80, r.oid::bigint, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', r.spoken), NULL
    FROM own_table r WHERE r.relrowsecurity

    UNION ALL
    SELECT 80, r.oid::bigint, format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', r.spoken), NULL
    FROM own_table r WHERE r.relforcerowsecurity

    UNION ALL
    SELECT 81, r.oid::bigint,
        format('ALTER %s %s SET (%s)', CASE r.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END,
            r.spoken, (SELECT string_agg(format('%s = %L', o.option_name, o.option_value), ', ')
                FROM pg_options_to_table(r.reloptions) o)), NULL
    FROM relation r
    WHERE r.reloptions IS NOT NULL AND r.relkind IN ('r', 'v', 'm') AND NOT (false /* chunk */)

    UNION ALL
    SELECT 90, d.objoid::bigint,
        CASE WHEN a.attname IS NULL THEN format('COMMENT ON TABLE %s IS %L', r.spoken, d.description)
            ELSE format('COMMENT ON COLUMN %s.%I IS %L', r.spoken, a.attname, d.description) END, NULL
    FROM pg_description d
    JOIN own_table r ON r.oid = d.objoid
    LEFT JOIN pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0
    WHERE d.classoid = 'pg_class'::regclass
)
SELECT text, undo FROM statement WHERE text IS NOT NULL ORDER BY phase, number
