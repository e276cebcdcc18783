//! One connection through the proxy.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::sleep;

use super::wire::{self, Framer};
use super::{Direction, End, Fate, Greeting, Place, State, lock};

/// Counts an open connection for as long as it lives.
struct Open<'a>(&'a State);

impl<'a> Open<'a> {
    fn count(state: &'a State) -> Self {
        state.open.fetch_add(1, Ordering::SeqCst);
        Self(state)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Serves one client until one side ends or the proxy says so.
pub(super) async fn serve(state: Arc<State>, client: TcpStream) {
    let mut orders = state.order.subscribe();
    let _open = Open::count(&state);
    let (greeting, server) = {
        let rules = lock(&state.rules);
        (rules.greeting, rules.server)
    };
    match greeting {
        Greeting::Pass => {}
        Greeting::Reset => return reset(&client),
        Greeting::Mute => {
            ordered(&mut orders).await;
            return;
        }
    }
    let Ok(server) = TcpStream::connect(server).await else { return reset(&client) };
    // The peers decide what travels together, not this relay.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    join(&state, client, server, &mut orders).await;
}

async fn join(
    state: &State,
    mut client: TcpStream,
    mut server: TcpStream,
    orders: &mut watch::Receiver<(u64, Option<End>)>,
) {
    let known = wire::Shared::default();
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            end = pump(state, &known, Direction::Frontend, from_client, to_server) => end,
            end = pump(state, &known, Direction::Backend, from_server, to_client) => end,
            end = ordered(orders) => end,
        }
    };
    match end {
        Some(End::Reset) => reset(&client),
        Some(End::Silence) => {
            // Both sides stay open and hear nothing more.
            ordered(orders).await;
        }
        Some(End::Finish) | None => {}
    }
}

/// Waits for the next order to end.
async fn ordered(orders: &mut watch::Receiver<(u64, Option<End>)>) -> Option<End> {
    match orders.changed().await {
        Ok(()) => orders.borrow_and_update().1,
        Err(_) => None,
    }
}

fn reset(stream: &TcpStream) {
    // Without the option the peer sees an orderly end, which is an end as well.
    let _ = stream.set_zero_linger();
}

/// Passes messages one way; gives the end that the connection comes to.
async fn pump(
    state: &State,
    known: &wire::Shared,
    direction: Direction,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
) -> Option<End> {
    let mut framer = Framer::new(direction);
    let bytes = match direction {
        Direction::Frontend => &state.sent,
        Direction::Backend => &state.received,
    };
    let mut out = Vec::new();
    loop {
        match from.read_buf(framer.buffer()).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.fetch_add(read as u64, Ordering::SeqCst),
        };
        let mut end = None;
        while let Some(frame) = framer.next(known) {
            match state.judge(direction, &frame) {
                Fate::Pass => out.extend_from_slice(&frame.bytes),
                Fate::Lose => {}
                Fate::Replace(instead) => out.extend_from_slice(&instead),
                Fate::Cut(place, how) => {
                    let passed = match place {
                        Place::Before => 0,
                        Place::Middle => frame.bytes.len() / 2,
                        Place::After => frame.bytes.len(),
                    };
                    out.extend_from_slice(&frame.bytes[..passed]);
                    end = Some(how);
                    break;
                }
            }
        }
        if write(state, direction, &mut to, &out).await.is_err() {
            return None;
        }
        out.clear();
        if end.is_some() {
            return end;
        }
    }
}

/// Writes at the pace that is set.
async fn write(
    state: &State,
    direction: Direction,
    to: &mut WriteHalf<'_>,
    bytes: &[u8],
) -> std::io::Result<()> {
    let pace = lock(&state.rules).pace;
    if !pace.latency.is_zero() {
        sleep(pace.latency).await;
    }
    match pace.drip {
        Some((size, pause)) if direction == Direction::Backend => {
            for drop in bytes.chunks(size.max(1)) {
                to.write_all(drop).await?;
                sleep(pause).await;
            }
            Ok(())
        }
        _ => to.write_all(bytes).await,
    }
}
