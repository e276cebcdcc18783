-- Statements that build the schemas in $1, in the order in which they run, and what undoes each.
--
-- Objects of one phase come in the order in which they were made, since nothing is made before what
-- it needs. Names are printed relative to the search_path of the session.
WITH RECURSIVE space AS (
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
-- Foreign tables and what is read from them.
far (oid) AS (
    SELECT NULL::oid WHERE false /* far */
),
-- What rows are read from, and what triggers and rules may belong to.
own_relation AS (
    SELECT r.* FROM relation r
    WHERE r.relkind IN ('r', 'p', 'v', 'm') AND NOT (false /* chunk */)
      AND r.oid NOT IN (SELECT f.oid FROM far f)
),
-- Sequences of identity columns come with their columns.
own_sequence AS (
    SELECT r.* FROM relation r
    WHERE r.relkind = 'S' AND NOT EXISTS (SELECT FROM pg_depend d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.deptype = 'i')
),
own_constraint AS (
    SELECT k.*, r.spoken
    FROM pg_constraint k
    JOIN own_table r ON r.oid = k.conrelid
    WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conparentid = 0 AND k.conislocal
      -- A partition gets those of its table from it, the ones that it had before, too.
      AND NOT (r.relispartition AND k.coninhcount > 0)
),
own_index AS (
    SELECT i.indexrelid, i.indrelid
    FROM pg_index i
    JOIN own_relation r ON r.oid = i.indrelid
    WHERE NOT EXISTS (SELECT FROM pg_inherits p WHERE p.inhrelid = i.indexrelid)
),
-- Triggers and rules: what happens when rows change.
own_event (classid, oid, kind, name, enabled, definition, spoken, relkind) AS (
    SELECT 'pg_trigger'::regclass, g.oid, 'TRIGGER', g.tgname, g.tgenabled, pg_get_triggerdef(g.oid), r.spoken, r.relkind
    FROM pg_trigger g
    JOIN own_relation r ON r.oid = g.tgrelid
    WHERE NOT g.tgisinternal AND g.tgparentid = 0
      AND NOT EXISTS (SELECT FROM owned o WHERE o.classid = 'pg_proc'::regclass AND o.objid = g.tgfoid)
    UNION ALL
    SELECT 'pg_rewrite'::regclass, w.oid, 'RULE', w.rulename, w.ev_enabled, rtrim(pg_get_ruledef(w.oid), ';'), r.spoken, r.relkind
    FROM pg_rewrite w
    JOIN own_relation r ON r.oid = w.ev_class
    WHERE w.ev_type <> '1'
),
-- Roles are the server's and not the database's: what speaks of one is not carried.
own_policy AS (
    SELECT p.* FROM pg_policy p JOIN own_table r ON r.oid = p.polrelid WHERE p.polroles = '{0}'
),
own_routine AS (
    SELECT p.*
    FROM pg_proc p
    JOIN space s ON s.oid = p.pronamespace
    WHERE p.prokind IN ('f', 'p')
      -- The functions of a range come with it.
      AND NOT EXISTS (SELECT FROM pg_depend d
          WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i')
      AND NOT EXISTS (SELECT FROM owned o WHERE o.classid = 'pg_proc'::regclass AND o.objid = p.oid)
),
own_statistics AS (
    SELECT s.oid FROM pg_statistic_ext s JOIN own_relation r ON r.oid = s.stxrelid
),
carried (classid, objid) AS (
    SELECT 'pg_namespace'::regclass, s.oid FROM space s WHERE s.nspname <> 'public'
    UNION ALL
    SELECT 'pg_class'::regclass, r.oid FROM own_relation r
    UNION ALL
    SELECT 'pg_class'::regclass, q.oid FROM own_sequence q
    UNION ALL
    SELECT 'pg_class'::regclass, r.oid FROM relation r WHERE r.relkind = 'c'
    UNION ALL
    SELECT 'pg_class'::regclass, i.indexrelid FROM own_index i
    UNION ALL
    SELECT 'pg_type'::regclass, t.oid FROM pg_type t JOIN space s ON s.oid = t.typnamespace
    WHERE t.typtype IN ('e', 'd', 'r') OR t.typrelid IN (SELECT r.oid FROM relation r WHERE r.relkind = 'c')
    UNION ALL
    SELECT 'pg_collation'::regclass, k.oid FROM pg_collation k JOIN space s ON s.oid = k.collnamespace
    UNION ALL
    SELECT 'pg_constraint'::regclass, k.oid FROM own_constraint k
    UNION ALL
    SELECT v.classid, v.oid FROM own_event v
    UNION ALL
    SELECT 'pg_policy'::regclass, p.oid FROM own_policy p
    UNION ALL
    SELECT 'pg_proc'::regclass, p.oid FROM own_routine p
    UNION ALL
    SELECT 'pg_statistic_ext'::regclass, s.oid FROM own_statistics s
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

    UNION ALL
    SELECT 20, r.oid::bigint,
        format('CREATE SEQUENCE %s AS %s INCREMENT %s MINVALUE %s MAXVALUE %s START %s CACHE %s%s', r.spoken,
            format_type(q.seqtypid, NULL), q.seqincrement, q.seqmin, q.seqmax, q.seqstart, q.seqcache,
            CASE WHEN q.seqcycle THEN ' CYCLE' ELSE '' END),
        format('DROP SEQUENCE IF EXISTS %s', r.spoken)
    FROM own_sequence r JOIN pg_sequence q ON q.seqrelid = r.oid

    UNION ALL
    SELECT 20, p.oid::bigint, rtrim(pg_get_functiondef(p.oid), E'\n'),
        format('DROP %s %s', CASE p.prokind WHEN 'p' THEN 'PROCEDURE' ELSE 'FUNCTION' END, p.oid::regprocedure)
    FROM own_routine p

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
    FROM own_relation r WHERE r.relkind IN ('v', 'm')

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
        format('ALTER TABLE %s ADD CONSTRAINT %I %s', k.spoken, k.conname, pg_get_constraintdef(k.oid, true)), NULL
    FROM own_constraint k

    UNION ALL
    SELECT 60, i.indexrelid::bigint, replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON '), NULL
    FROM own_index i
    WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid)

    UNION ALL
    SELECT 61, s.oid::bigint, pg_get_statisticsobjdef(s.oid), NULL FROM own_statistics s

    UNION ALL
    SELECT 70, v.oid::bigint, v.definition, NULL FROM own_event v

    UNION ALL
    SELECT 71, v.oid::bigint, format('ALTER TABLE %s %s %s %I', v.spoken, state.word, v.kind, v.name), NULL
    FROM own_event v
    JOIN (VALUES ('D', 'DISABLE'), ('R', 'ENABLE REPLICA'), ('A', 'ENABLE ALWAYS')) state (letter, word)
        ON state.letter = v.enabled::text
    WHERE v.relkind <> 'v'

    UNION ALL
    SELECT 79, p.oid::bigint,
        concat(format('CREATE POLICY %I ON %s AS %s FOR %s TO PUBLIC', p.polname, p.polrelid::regclass,
            CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
            CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END),
        ' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'), NULL
    FROM own_policy p

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
    FROM own_relation r
    WHERE r.reloptions IS NOT NULL AND r.relkind IN ('r', 'v', 'm')

    UNION ALL
    SELECT 81, r.oid::bigint,
        format('ALTER TABLE %s SET (%s)', r.spoken, (SELECT string_agg(format('toast.%s = %L', o.option_name, o.option_value), ', ')
            FROM pg_options_to_table(t.reloptions) o)), NULL
    FROM own_table r JOIN pg_class t ON t.oid = r.reltoastrelid AND t.reloptions IS NOT NULL

    UNION ALL
    SELECT 82, r.oid::bigint, format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', r.spoken, a.attname, a.attstattarget), NULL
    FROM own_table r JOIN pg_attribute a ON a.attrelid = r.oid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attstattarget >= 0

    -- What everybody may do, or may no longer.
    UNION ALL
    SELECT 85, r.oid::bigint, format('GRANT %s ON %s %s TO PUBLIC', string_agg(e.privilege_type, ', ' ORDER BY e.privilege_type),
        CASE r.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, r.spoken), NULL
    FROM (SELECT * FROM own_relation UNION ALL SELECT * FROM own_sequence) r CROSS JOIN LATERAL aclexplode(r.relacl) e
    WHERE e.grantee = 0
    GROUP BY r.oid, r.relkind, r.spoken

    UNION ALL
    SELECT 85, r.oid::bigint, format('GRANT %s (%I) ON TABLE %s TO PUBLIC', e.privilege_type, a.attname, r.spoken), NULL
    FROM own_relation r JOIN pg_attribute a ON a.attrelid = r.oid CROSS JOIN LATERAL aclexplode(a.attacl) e
    WHERE e.grantee = 0

    UNION ALL
    SELECT 85, s.oid::bigint, format('GRANT %s ON SCHEMA %I TO PUBLIC', e.privilege_type, s.nspname), NULL
    FROM space s JOIN pg_namespace n ON n.oid = s.oid CROSS JOIN LATERAL aclexplode(n.nspacl) e
    WHERE e.grantee = 0 AND s.nspname <> 'public'

    UNION ALL
    SELECT 85, p.oid::bigint, format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', p.oid::regprocedure), NULL
    FROM own_routine p
    WHERE p.proacl IS NOT NULL AND NOT EXISTS (SELECT FROM aclexplode(p.proacl) e WHERE e.grantee = 0)

    UNION ALL
    SELECT 90, d.objoid::bigint, format('COMMENT ON %s %s IS %L', CASE
            WHEN i.type LIKE '% column' THEN 'COLUMN'
            WHEN i.type = 'table constraint' THEN 'CONSTRAINT'
            WHEN i.type = 'statistics object' THEN 'STATISTICS'
            ELSE upper(i.type) END,
        i.identity, d.description), NULL
    FROM pg_description d
    JOIN carried c ON c.classid = d.classoid AND c.objid = d.objoid
    CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
    WHERE NOT EXISTS (SELECT FROM owned o WHERE o.classid = d.classoid AND o.objid = d.objoid)

    UNION ALL
    SELECT 90, k.oid::bigint, format('COMMENT ON CONSTRAINT %I ON DOMAIN %I.%I IS %L', k.conname, s.nspname, t.typname, d.description), NULL
    FROM pg_description d
    JOIN pg_constraint k ON d.classoid = 'pg_constraint'::regclass AND k.oid = d.objoid AND k.contype = 'c'
    JOIN pg_type t ON t.oid = k.contypid
    JOIN space s ON s.oid = t.typnamespace
    WHERE NOT EXISTS (SELECT FROM owned o WHERE o.classid = 'pg_type'::regclass AND o.objid = t.oid)
)
SELECT text, undo FROM statement WHERE text IS NOT NULL ORDER BY phase, number
