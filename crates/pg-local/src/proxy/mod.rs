//! A proxy between a client and its server that knows the protocol and injects the faults of a
//! network: latency, bytes that drip, silence, resets, ends, and cuts at a message's boundary.
//!
//! It runs in the client's own process. Its kernel goes on acknowledging what is sent to it, so that a
//! host that vanishes is beyond it; a [`Room`](crate::Room) with a network does that.

mod connection;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub use self::wire::{Direction, Frame};

/// How a connection ends for the client. The server always sees an orderly end, after what was
/// passed on to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// With a reset (RST).
    Reset,
    /// In order (FIN).
    Finish,
    /// Not at all: it stays open and nothing passes any more.
    Silence,
}

impl End {
    /// All ends.
    pub const ALL: [Self; 3] = [Self::Reset, Self::Finish, Self::Silence];
}

/// How much of the fatal message is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Nothing.
    Before,
    /// Its first half.
    Middle,
    /// All of it.
    After,
}

impl Place {
    /// All places.
    pub const ALL: [Self; 3] = [Self::Before, Self::Middle, Self::After];
}

/// Which message is the fatal one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The message of this number in its direction, counted from zero since the cut was armed. Only
    /// typed messages count.
    Nth(Direction, usize),
    /// The first message of the client that holds these bytes.
    Saying(&'static [u8]),
}

/// One connection to be cut, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// At which message.
    pub when: When,
    /// Where in it.
    pub place: Place,
    /// How.
    pub end: End,
}

/// What is to be written instead of the next message of the server of some kind, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garble {
    /// The letter of the message to replace.
    pub kind: u8,
    /// What is written instead; then the connection goes on.
    pub instead: Vec<u8>,
}

/// How bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pace {
    /// How long everything is under way, each way.
    pub latency: Duration,
    /// The server's answers drip: so many bytes at a time, with this pause after them.
    pub drip: Option<(usize, Duration)>,
}

/// What is done with new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Greeting {
    /// They are joined to the server.
    #[default]
    Pass,
    /// They are reset.
    Reset,
    /// They are taken and left without an answer.
    Mute,
}

/// What went through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: usize,
    /// Connections that are open.
    pub open: usize,
    /// Bytes from clients.
    pub sent: u64,
    /// Bytes from the server.
    pub received: u64,
    /// Cuts and garbled messages that took place, and connections ended by order.
    pub faults: usize,
    /// Bytes that came and were not passed on.
    pub swallowed: u64,
}

/// A proxy in front of one server. Dropping it ends all its connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: Arc<State>,
    listener: AbortHandle,
}

impl Proxy {
    /// Starts on a free port of the loopback address, on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// When no port can be had.
    pub async fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(State::new(server));
        let accepting = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                accepting.accepted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(connection::serve(Arc::clone(&accepting), client));
            }
        });
        Ok(Self { port, state, listener: task.abort_handle() })
    }

    /// The port on the loopback address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Leads new connections to another server.
    pub fn lead_to(&self, server: SocketAddr) {
        lock(&self.state.rules).server = server;
    }

    /// Sets how bytes travel from now on.
    pub fn set_pace(&self, pace: Pace) {
        lock(&self.state.rules).pace = pace;
    }

    /// Sets what becomes of new connections.
    pub fn greet(&self, greeting: Greeting) {
        lock(&self.state.rules).greeting = greeting;
    }

    /// Loses all that comes, either way, on all connections, until told otherwise.
    pub fn silence(&self, silent: bool) {
        lock(&self.state.rules).silent = silent;
    }

    /// Arms a cut; it takes the place of one that has not come to pass.
    pub fn cut(&self, cut: Cut) {
        let mut rules = lock(&self.state.rules);
        rules.cut = Some(cut);
        rules.seen = [0, 0];
    }

    /// Arms the replacement of a message.
    pub fn garble(&self, garble: Garble) {
        lock(&self.state.rules).garble = Some(garble);
    }

    /// Ends all connections at once; gives how many there were.
    #[must_use]
    pub fn end_all(&self, end: End) -> usize {
        let open = self.state.open.load(Ordering::SeqCst);
        self.state.faults.fetch_add(open, Ordering::SeqCst);
        self.state.order.send_modify(|(number, how)| (*number, *how) = (*number + 1, Some(end)));
        open
    }

    /// Begins to note the messages that pass.
    pub fn listen(&self) {
        lock(&self.state.rules).heard = Some(Vec::new());
    }

    /// Ends the noting and gives direction and kind of every typed message since.
    #[must_use]
    pub fn heard(&self) -> Vec<(Direction, u8)> {
        lock(&self.state.rules).heard.take().unwrap_or_default()
    }

    /// What has gone through so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let state = &self.state;
        Counts {
            accepted: state.accepted.load(Ordering::SeqCst),
            open: state.open.load(Ordering::SeqCst),
            sent: state.sent.load(Ordering::SeqCst),
            received: state.received.load(Ordering::SeqCst),
            faults: state.faults.load(Ordering::SeqCst),
            swallowed: state.swallowed.load(Ordering::SeqCst),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
        self.state.order.send_modify(|(number, how)| (*number, *how) = (*number + 1, None));
    }
}

/// What all connections of a proxy share.
#[derive(Debug)]
struct State {
    rules: Mutex<Rules>,
    /// The number of the last order to end, and the end; none when the proxy is gone.
    order: watch::Sender<(u64, Option<End>)>,
    accepted: AtomicUsize,
    open: AtomicUsize,
    sent: AtomicU64,
    received: AtomicU64,
    faults: AtomicUsize,
    swallowed: AtomicU64,
}

#[derive(Debug)]
struct Rules {
    server: SocketAddr,
    pace: Pace,
    greeting: Greeting,
    silent: bool,
    cut: Option<Cut>,
    garble: Option<Garble>,
    /// Typed messages since the cut was armed, of the client and of the server.
    seen: [usize; 2],
    heard: Option<Vec<(Direction, u8)>>,
}

/// What becomes of one message.
enum Fate {
    Pass,
    Lose,
    Replace(Vec<u8>),
    Cut(Place, End),
}

impl State {
    fn new(server: SocketAddr) -> Self {
        Self {
            rules: Mutex::new(Rules {
                server,
                pace: Pace::default(),
                greeting: Greeting::default(),
                silent: false,
                cut: None,
                garble: None,
                seen: [0, 0],
                heard: None,
            }),
            order: watch::Sender::new((0, None)),
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            faults: AtomicUsize::new(0),
            swallowed: AtomicU64::new(0),
        }
    }

    /// Decides what becomes of a message.
    fn judge(&self, direction: Direction, frame: &Frame) -> Fate {
        let mut rules = lock(&self.rules);
        let rules = &mut *rules;
        if rules.silent {
            self.swallowed.fetch_add(frame.bytes.len() as u64, Ordering::SeqCst);
            return Fate::Lose;
        }
        let Some(kind) = frame.kind else { return Fate::Pass };
        if let Some(heard) = &mut rules.heard {
            heard.push((direction, kind));
        }
        let is_backend = direction == Direction::Backend;
        let seen = &mut rules.seen[usize::from(is_backend)];
        let number = *seen;
        *seen += 1;
        if let Some(cut) = rules.cut {
            let fatal = match cut.when {
                When::Nth(of, wanted) => of == direction && wanted == number,
                When::Saying(words) => {
                    !is_backend && frame.bytes.windows(words.len()).any(|part| part == words)
                }
            };
            if fatal {
                rules.cut = None;
                self.faults.fetch_add(1, Ordering::SeqCst);
                return Fate::Cut(cut.place, cut.end);
            }
        }
        if is_backend && let Some(garble) = rules.garble.take_if(|garble| garble.kind == kind) {
            self.faults.fetch_add(1, Ordering::SeqCst);
            return Fate::Replace(garble.instead);
        }
        Fate::Pass
    }
}

fn lock(rules: &Mutex<Rules>) -> MutexGuard<'_, Rules> {
    rules.lock().unwrap_or_else(PoisonError::into_inner)
}
