-- What roles may do with the objects of those schemas, with the schemas and with the database: those in $2
-- and PUBLIC, or all. Chunks and partitions are not looked at.
(SELECT json_build_object(
    'roles', (SELECT coalesce(json_agg(json_build_object(
        'name', r.rolname,
        'attributes', (SELECT coalesce(json_agg(a.word ORDER BY a.word), '[]')
            FROM (VALUES ('SUPERUSER', r.rolsuper), ('CREATEDB', r.rolcreatedb), ('CREATEROLE', r.rolcreaterole),
                ('REPLICATION', r.rolreplication), ('BYPASSRLS', r.rolbypassrls), ('LOGIN', r.rolcanlogin)) a(word, has)
            WHERE a.has),
        'member_of', (SELECT coalesce(json_agg(DISTINCT pg_get_userbyid(m.roleid)::text), '[]')
            FROM pg_auth_members m WHERE m.member = r.oid)
        ) ORDER BY r.rolname), '[]')
        FROM pg_roles r WHERE r.rolname = ANY ($2)),
    'objects', (SELECT coalesce(json_agg(json_build_object(
        'kind', o.kind,
        'schema', o.nspname,
        'name', o.name,
        'arguments', o.arguments,
        'owner', pg_get_userbyid(o.owner),
        'grants', (SELECT coalesce(json_agg(json_build_object(
            'grantee', g.grantee,
            'column', g.attname,
            'privileges', g.privileges,
            'grantable', g.grantable
            ) ORDER BY g.grantee NULLS FIRST, g.attname NULLS FIRST), '[]')
            FROM (
                SELECT n.grantee, e.attname,
                    json_agg(DISTINCT e.privilege_type ORDER BY e.privilege_type) AS privileges,
                    coalesce(json_agg(DISTINCT e.privilege_type ORDER BY e.privilege_type)
                        FILTER (WHERE e.is_grantable), '[]') AS grantable
                FROM (
                    SELECT a.grantee, a.privilege_type, a.is_grantable, NULL::name AS attname
                    FROM aclexplode(o.entries) a
                    UNION ALL
                    SELECT a.grantee, a.privilege_type, a.is_grantable, t.attname
                    FROM pg_attribute t CROSS JOIN LATERAL aclexplode(t.attacl) a
                    WHERE t.attrelid = o.relation AND t.attacl IS NOT NULL AND NOT t.attisdropped
                ) e
                CROSS JOIN LATERAL (
                    SELECT CASE WHEN e.grantee <> 0 THEN pg_get_userbyid(e.grantee)::text END AS grantee
                ) n
                WHERE n.grantee IS NULL OR $2 IS NULL OR n.grantee = ANY ($2)
                GROUP BY n.grantee, e.attname
            ) g)
        ) ORDER BY o.kind, o.nspname, o.name, o.arguments), '[]')
        FROM (
            SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'view' ELSE 'table' END AS kind,
                c.nspname, c.relname AS name, NULL AS arguments, c.relowner AS owner, c.oid AS relation,
                coalesce(c.relacl, acldefault('r', c.relowner)) AS entries
            FROM relation c
            UNION ALL
            SELECT 'sequence', m.nspname, c.relname, NULL, c.relowner, NULL,
                coalesce(c.relacl, acldefault('s', c.relowner))
            FROM member m
            CROSS JOIN LATERAL (SELECT * FROM pg_class c WHERE c.oid = m.objid OFFSET 0) c
            WHERE m.classid = 'pg_class'::regclass AND c.relkind = 'S'
            UNION ALL
            SELECT 'function', m.nspname, p.proname, pg_get_function_identity_arguments(p.oid), p.proowner, NULL,
                coalesce(p.proacl, acldefault('f', p.proowner))
            FROM member m
            CROSS JOIN LATERAL (SELECT * FROM pg_proc p WHERE p.oid = m.objid OFFSET 0) p
            WHERE m.classid = 'pg_proc'::regclass
            UNION ALL
            SELECT 'schema', n.nspname, n.nspname, NULL, n.nspowner, NULL,
                coalesce(n.nspacl, acldefault('n', n.nspowner))
            FROM pg_namespace n WHERE n.oid IN (SELECT s.oid FROM space s)
            UNION ALL
            SELECT 'database', NULL, d.datname, NULL, d.datdba, NULL,
                coalesce(d.datacl, acldefault('d', d.datdba))
            FROM pg_database d WHERE d.datname = current_database()
        ) o)
))
