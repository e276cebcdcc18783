-- The migration runner's own record: what was applied, from which text.
CREATE SCHEMA IF NOT EXISTS dbready;
CREATE TABLE IF NOT EXISTS dbready.migration (
    version text PRIMARY KEY,
    description text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    applied_by text NOT NULL DEFAULT current_user,
    duration_ms bigint NOT NULL,
    tool_version text NOT NULL
);
