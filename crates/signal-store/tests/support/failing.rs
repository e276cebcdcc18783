//! Faults that a test puts into a database.

use signal_store::pg_session::tokio_postgres::Client;

/// What a deadlock's victim meets, as a statement for [`fail`].
pub(crate) const CONFLICT: &str =
    "RAISE EXCEPTION 'in the way' USING ERRCODE = 'deadlock_detected';";

/// Fails the next writes, such as `DELETE ON signal_greeks`, that many, by a statement; the
/// sequence `attempts` counts them all.
pub(crate) async fn fail(client: &Client, writes: &str, times: i64, statement: &str) {
    let sql = format!(
        "CREATE SEQUENCE attempts;
         CREATE FUNCTION attempt() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF nextval('attempts') <= {times} THEN
                 {statement}
             END IF;
             RETURN coalesce(NEW, OLD);
         END $$;
         CREATE TRIGGER attempt BEFORE {writes} FOR EACH ROW EXECUTE FUNCTION attempt()"
    );
    client.batch_execute(&sql).await.unwrap();
}
