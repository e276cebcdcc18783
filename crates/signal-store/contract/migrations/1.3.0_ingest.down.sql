-- Takes the ledger away; rows that were stored stay. A batch that is sent again would be stored again.

DROP TABLE signal_ingest_batch;

DELETE FROM schema_version WHERE version = '1.3.0';
