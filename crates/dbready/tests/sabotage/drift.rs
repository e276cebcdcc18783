//! Objects that the contract does not know.

use crate::support::sabotages;

sabotages! {
    a_further_column: "ALTER TABLE signal_greeks ADD COLUMN remark text"
        => ["drift.signal_greeks.columns"];
    a_further_column_with_a_default:
        "ALTER TABLE signal_greeks ADD COLUMN remark text DEFAULT 'none' NOT NULL"
        => ["drift.signal_greeks.columns"];
    a_further_index: "CREATE INDEX by_delta ON signal_greeks (delta)"
        => ["drift.signal_greeks.indexes"];
    a_further_unique_index:
        r#"CREATE UNIQUE INDEX once ON signal_greeks (signal_id, "timestamp", id)"#
        => ["drift.signal_greeks.constraints"];
    a_further_check: "ALTER TABLE signal_greeks ADD CONSTRAINT small CHECK (delta < 2)"
        => ["drift.signal_greeks.constraints"];
    a_further_reference: "CREATE TABLE away (signal_id varchar(255) PRIMARY KEY);
            INSERT INTO away SELECT DISTINCT signal_id FROM signal_greeks;
            ALTER TABLE signal_greeks ADD CONSTRAINT known FOREIGN KEY (signal_id) REFERENCES away"
        => ["drift.signal_greeks.constraints", "drift.tables"];
    a_trigger:
        "CREATE FUNCTION drop_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
            CREATE TRIGGER t BEFORE INSERT ON signal_greeks FOR EACH ROW EXECUTE FUNCTION
            drop_row()"
        => ["drift.functions", "drift.signal_greeks.triggers"];
    a_trigger_with_a_function_of_the_server: "CREATE TRIGGER t BEFORE UPDATE ON signal_greeks
            FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        => ["drift.signal_greeks.triggers"];
    a_rule: "CREATE RULE r AS ON DELETE TO schema_version DO INSTEAD NOTHING"
        => ["drift.schema_version.triggers"];
    a_further_table: "CREATE TABLE notes (id integer)" => ["drift.tables"];
    a_further_hypertable:
        "CREATE TABLE notes (at timestamptz NOT NULL); SELECT create_hypertable('notes',
            by_range('at'));
            INSERT INTO notes VALUES (now())" => ["drift.tables"];
    a_further_partitioned_table: "CREATE TABLE notes (id integer) PARTITION BY RANGE (id);
            CREATE TABLE notes_1 PARTITION OF notes FOR VALUES FROM (1) TO (2)" => ["drift.tables"];
    a_further_view:
        r#"CREATE VIEW newest AS SELECT max("timestamp") FROM signal_greeks"# => ["drift.views"];
    a_further_materialized_view:
        r#"CREATE MATERIALIZED VIEW newest AS SELECT max("timestamp") FROM signal_greeks"#
        => ["drift.views"];
    a_further_function:
        "CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'" => ["drift.functions"];
    a_further_procedure: "CREATE PROCEDURE nothing() LANGUAGE sql AS ''" => ["drift.functions"];
}
