//! Version tables that do not tell the truth, and servers that are set otherwise.

use crate::support::sabotages;

sabotages! {
    an_unknown_version:
        "INSERT INTO schema_version (version, description) VALUES ('9.9.9', 'from the future')"
        => ["migration.version"];
    no_version: "DELETE FROM schema_version" => ["migration.version"] words;
    no_version_table: "DROP TABLE schema_version"
        => ["migration.version", "schema.schema_version", "query.health.prepares"] words;
    a_version_that_is_none:
        "INSERT INTO schema_version (version, description) VALUES ('latest', 'x')"
        => ["migration.version"];
    an_unknown_version_between: "INSERT INTO schema_version (version, description, applied_at)
            SELECT '1.0.0-rc.1', 'x', min(applied_at) - INTERVAL '1 day' FROM schema_version"
        => ["migration.history"];
    a_missing_version: "DELETE FROM schema_version WHERE version = '1.0.0'"
        => ["migration.history"] words;
    out_of_order:
        "UPDATE schema_version SET applied_at = applied_at + INTERVAL '1 day' WHERE version =
            '1.0.0'"
        => ["migration.history"] words;
    a_pending_version:
        "DELETE FROM schema_version WHERE version = (SELECT max(version) FROM schema_version)"
        // What the version brought is there all the same.
        => ["migration.current", "drift.signal_greeks_rollup.indexes"] words;
    another_isolation: "DO $$ BEGIN EXECUTE format(
            'ALTER DATABASE %I SET default_transaction_isolation = ''serializable''',
            current_database()); END $$"
        => ["server.setting.default_transaction_isolation"];
    backslashes_in_strings: "DO $$ BEGIN EXECUTE format(
            'ALTER DATABASE %I SET standard_conforming_strings = off', current_database()); END $$"
        => ["server.setting.standard_conforming_strings"];
    a_script_changed_after_it_was_applied:
        "UPDATE dbready.migration SET checksum = repeat('0', 64) WHERE version = '1.0.0'"
        => ["migration.checksums"] words;
    a_version_recorded_by_hand: "DELETE FROM dbready.migration WHERE version = '1.0.0'"
        => ["migration.checksums"] words;
}
