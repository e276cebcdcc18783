-- The names under which a contract knows indexes that a plan uses: $1 their schemas, $2 their names.
-- An index of a chunk or partition is known by the index of its table with the same definition.
SELECT DISTINCT own.relname::text
FROM unnest($1::text[], $2::text[]) AS used(schema, name)
JOIN pg_namespace space ON space.nspname = used.schema
JOIN pg_class class ON class.relnamespace = space.oid AND class.relname = used.name
JOIN pg_index leaf ON leaf.indexrelid = class.oid
LEFT JOIN pg_inherits link ON link.inhrelid = leaf.indrelid
JOIN pg_index top ON top.indrelid = coalesce(pg_partition_root(leaf.indrelid), link.inhparent, leaf.indrelid)
JOIN pg_class own ON own.oid = top.indexrelid
WHERE CASE
    WHEN link.inhparent IS NULL THEN top.indexrelid = leaf.indexrelid
    ELSE own.relam = class.relam
        AND top.indisunique = leaf.indisunique
        AND top.indnkeyatts = leaf.indnkeyatts
        AND top.indnatts = leaf.indnatts
        AND top.indclass = leaf.indclass
        AND top.indcollation = leaf.indcollation
        AND top.indoption = leaf.indoption
        AND pg_get_expr(top.indpred, top.indrelid) IS NOT DISTINCT FROM pg_get_expr(leaf.indpred, leaf.indrelid)
        AND NOT EXISTS (
            SELECT FROM generate_series(1, top.indnatts) AS part
            WHERE pg_get_indexdef(top.indexrelid, part, false) <> pg_get_indexdef(leaf.indexrelid, part, false)
        )
    END
