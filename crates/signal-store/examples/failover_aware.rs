//! Writes on while servers fail and change roles, and says what became of each write.
//!
//! `DATABASE_URL='postgres://app@one,two/signals?target_session_attrs=read-write' \
//!     cargo run -p signal-store --example failover_aware -- 100`
//!
//! The argument is the number of signals, 20 by default.

use std::error::Error as StdError;

use pg_session::config::TargetSession;
use pg_session::{Config, Outcome, ReaderOptions};
use signal_store::{Error, Greeks, Signal, Store, StoreOptions, now};

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    let count: u32 = std::env::args().nth(1).map_or(Ok(20), |text| text.parse())?;

    // Writes go to the server that accepts them; when it turns read-only the
    // connections are closed and the right server is looked for again.
    let config = Config::resolve(None)?.target_session(TargetSession::ReadWrite);
    // Reads may lag behind on a standby: take this only where that is acceptable.
    let reader =
        ReaderOptions { target: Some(TargetSession::PreferStandby), ..ReaderOptions::default() };
    let store = Store::connect(config, StoreOptions { reader, ..StoreOptions::default() }).await?;

    let (mut stored, mut not_applied, mut unknown) = (0, 0, 0);
    for number in 0..count {
        let signal_id = format!("signal_20260117_{number:06}").parse()?;
        let greeks = Greeks::new(signal_id, "NSE@NIFTY@CE@24000".parse()?, now());
        let signal = Signal { greeks: vec![greeks], ..Signal::default() };
        // Conflicts and connections lost before the commit are retried inside.
        match store.save_signal(&signal).await {
            Ok(_) => stored += 1,
            Err(Error::Invalid(violation)) => return Err(violation.into()),
            Err(error) => match error.outcome() {
                // It may be sent again without harm.
                Outcome::NotApplied => {
                    eprintln!("signal {number}, not stored ({}): {error}", error.class().name());
                    not_applied += 1;
                }
                // It must not: look for it first, once the server can be reached.
                Outcome::Unknown => {
                    eprintln!("signal {number}, outcome unknown: {error}");
                    unknown += 1;
                }
            },
        }
    }
    println!("{stored} stored, {not_applied} not stored, {unknown} unknown");
    store.disconnect().await;
    Ok(())
}
