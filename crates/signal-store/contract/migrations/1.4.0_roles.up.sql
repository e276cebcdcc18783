-- version: 1.4.0
-- description: roles that hold what their work needs and nothing else
-- breaking: no
--
-- Roles are the server's, and shared by all of its databases; rights are this database's. The roles are
-- made where they are missing. Another migration may be making the same ones for another database at
-- this moment: then the later of the two waits for the earlier, and finds them there. Whoever serves
-- the database logs in as a member of a role, and never as a role itself.
--
-- Tables and functions stay with whoever made them. A role that cannot log in must not own hypertables,
-- since TimescaleDB runs their policies as their owner, and only a superuser can give chunks away.

DO $roles$
DECLARE
    role text;
    wanted CONSTANT text[] := ARRAY['signal_owner', 'signal_writer', 'signal_reader', 'signal_monitor'];
    needed text[] := '{}';
    may_create CONSTANT boolean := (SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user);
    is_monitor boolean;
BEGIN
    -- What this role may not do itself is told at once, before anything is done.
    FOREACH role IN ARRAY wanted LOOP
        IF NOT may_create AND to_regrole(role) IS NULL THEN
            needed := needed || format('CREATE ROLE %I NOLOGIN', role);
        END IF;
    END LOOP;
    is_monitor := EXISTS (
        SELECT FROM pg_auth_members
        WHERE roleid = 'pg_monitor'::regrole AND member = to_regrole('signal_monitor')
    );
    IF NOT is_monitor AND NOT pg_has_role('pg_monitor', 'MEMBER WITH ADMIN OPTION') THEN
        needed := needed || 'GRANT pg_monitor TO signal_monitor'::text;
    END IF;
    IF NOT pg_has_role((SELECT nspowner FROM pg_namespace WHERE nspname = 'public'), 'USAGE') THEN
        needed := needed || format('ALTER DATABASE %I OWNER TO %I', current_database(), current_user);
    END IF;
    IF needed <> '{}' THEN
        RAISE insufficient_privilege USING MESSAGE = format(
            'the role %I may not set up the roles of this version; have a superuser run: %s',
            current_user, array_to_string(needed, '; ')
        );
    END IF;

    FOREACH role IN ARRAY wanted LOOP
        IF to_regrole(role) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                RAISE NOTICE 'another migration has just made the role %', role;
            END;
        END IF;
    END LOOP;
    IF NOT is_monitor THEN
        BEGIN
            GRANT pg_monitor TO signal_monitor;
        EXCEPTION WHEN unique_violation THEN
            RAISE NOTICE 'another migration has just granted pg_monitor to signal_monitor';
        END;
    END IF;
END
$roles$;

-- Old chunks are dropped as a whole, which only the owner of a table may do. Whoever may delete their
-- rows loses nothing that he could not take away anyhow; the function drops those of no other table.
CREATE FUNCTION drop_signal_chunks(hypertable regclass, older_than timestamptz) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $function$
BEGIN
    IF hypertable::text IN (
        'signal_greeks', 'signal_indicators', 'signal_moneyness_greeks', 'signal_custom_timeframes'
    ) THEN
        RETURN QUERY SELECT drop_chunks($1, older_than => $2);
    ELSE
        RAISE insufficient_privilege USING MESSAGE = format('%s has no chunks that may be dropped', hypertable);
    END IF;
END
$function$;

-- The functions run with the rights of their owner, so that not everybody may call them, nor make
-- triggers of them.
REVOKE EXECUTE ON FUNCTION
    drop_signal_chunks(regclass, timestamptz),
    refresh_signal_greeks_rollup(timestamptz, integer),
    mark_signal_greeks_rollup(),
    mark_signal_greeks_rollup_row()
FROM PUBLIC;

-- A database that comes from a server before version 15 may still let everybody make tables.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO signal_owner, signal_writer, signal_reader, signal_monitor;

GRANT CREATE ON SCHEMA public TO signal_owner;
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER ON
    signal_greeks, signal_indicators, signal_moneyness_greeks, signal_custom_timeframes,
    signal_greeks_rollup, signal_greeks_rollup_stale, signal_ingest_batch, schema_version
TO signal_owner;
GRANT EXECUTE ON FUNCTION
    drop_signal_chunks(regclass, timestamptz),
    refresh_signal_greeks_rollup(timestamptz, integer),
    mark_signal_greeks_rollup(),
    mark_signal_greeks_rollup_row()
TO signal_owner;

-- Rows of signals are written once; timeframes and the ledger are written over.
GRANT SELECT, INSERT, DELETE ON signal_greeks, signal_indicators, signal_moneyness_greeks TO signal_writer;
GRANT SELECT, INSERT, UPDATE, DELETE ON signal_custom_timeframes, signal_ingest_batch TO signal_writer;
GRANT SELECT, DELETE ON signal_greeks_rollup TO signal_writer;
GRANT SELECT ON signal_greeks_rollup_stale, schema_version TO signal_writer;
GRANT EXECUTE ON FUNCTION
    drop_signal_chunks(regclass, timestamptz),
    refresh_signal_greeks_rollup(timestamptz, integer)
TO signal_writer;

GRANT SELECT ON
    signal_greeks, signal_indicators, signal_moneyness_greeks, signal_custom_timeframes,
    signal_greeks_rollup, signal_greeks_rollup_stale, signal_ingest_batch, schema_version
TO signal_reader;

-- Versions are no rows of users.
GRANT SELECT ON schema_version TO signal_monitor;

DO $further$
BEGIN
    IF to_regclass('signal_greeks_hourly') IS NOT NULL THEN
        GRANT SELECT ON signal_greeks_hourly TO signal_owner, signal_reader;
    END IF;
    -- The runner's own record, where it is this runner that applies the migration.
    IF to_regclass('dbready.migration') IS NOT NULL THEN
        GRANT USAGE ON SCHEMA dbready TO signal_owner, signal_monitor;
        GRANT SELECT, INSERT, DELETE ON dbready.migration TO signal_owner;
        GRANT SELECT ON dbready.migration TO signal_monitor;
    END IF;
END
$further$;

INSERT INTO schema_version (version, description)
VALUES ('1.4.0', 'roles that hold what their work needs and nothing else');
