-- Foreign tables and what is read from them, at any depth: their servers are not carried. These are the
-- rows of `far (oid)`.
SELECT c.oid FROM pg_class c WHERE c.relkind = 'f'
UNION
SELECT w.ev_class
FROM far f
JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = f.oid AND d.classid = 'pg_rewrite'::regclass
JOIN pg_rewrite w ON w.oid = d.objid AND w.ev_type = '1'
