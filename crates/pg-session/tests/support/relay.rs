//! A relay between a pool and its server that loses what it is told to lose.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Passes connections on to the server of a database.
pub(crate) struct Relay {
    url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    accepted: AtomicUsize,
    refusing: AtomicBool,
    mute: AtomicBool,
    fatal: Mutex<Option<Fatal>>,
}

/// What a client says that ends its connection, and when it ends.
struct Fatal {
    word: &'static [u8],
    moment: Moment,
}

#[derive(Clone, Copy, PartialEq)]
enum Moment {
    Unsent,
    Unanswered,
    Answered,
}

impl Relay {
    /// A relay to the server that `url` names.
    pub(crate) async fn to(url: &str) -> Self {
        let (head, tail) = url.split_once('@').unwrap();
        let (address, path) = tail.split_once('/').unwrap();
        let server: SocketAddr = address.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{head}@{}/{path}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let relay = Self { url, state: Arc::clone(&state) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                state.accepted.fetch_add(1, Ordering::SeqCst);
                if !state.refusing.load(Ordering::SeqCst) {
                    tokio::spawn(pass(Arc::clone(&state), client, server));
                }
            }
        });
        relay
    }

    /// The URL that leads through the relay.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// How many connections were asked for.
    pub(crate) fn accepted(&self) -> usize {
        self.state.accepted.load(Ordering::SeqCst)
    }

    /// Ends new connections at once, until told otherwise.
    pub(crate) fn refuse(&self, refusing: bool) {
        self.state.refusing.store(refusing, Ordering::SeqCst);
    }

    /// Loses all answers, until told otherwise.
    pub(crate) fn mute(&self, mute: bool) {
        self.state.mute.store(mute, Ordering::SeqCst);
    }

    /// Cuts the next connection that says `word`: the message does not arrive.
    pub(crate) fn cut_before(&self, word: &'static str) {
        self.cut(word, Moment::Unsent);
    }

    /// Cuts the next connection that says `word`, without waiting for an answer to it:
    /// the message arrives.
    pub(crate) fn cut_unanswered(&self, word: &'static str) {
        self.cut(word, Moment::Unanswered);
    }

    /// Cuts the next connection that says `word`, when the server has answered:
    /// the message arrives and its answer is lost.
    pub(crate) fn cut_after(&self, word: &'static str) {
        self.cut(word, Moment::Answered);
    }

    fn cut(&self, word: &'static str, moment: Moment) {
        *self.state.fatal.lock().unwrap() = Some(Fatal { word: word.as_bytes(), moment });
    }
}

async fn pass(state: Arc<State>, mut client: TcpStream, server: SocketAddr) {
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let mut asked = vec![0; 65_536];
    let mut answered = vec![0; 65_536];
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(length @ 1..) = read else { return };
                let message = &asked[..length];
                let cut = state.take_fatal(message);
                if cut == Some(Moment::Unsent) || server.write_all(message).await.is_err() {
                    return;
                }
                if cut == Some(Moment::Answered) {
                    let _ = server.read(&mut answered).await;
                }
                if cut.is_some() {
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let length = read.unwrap_or(0);
                if state.mute.load(Ordering::SeqCst) {
                    if length > 0 {
                        continue;
                    }
                    // That the server hangs up is an answer, too.
                    while matches!(client.read(&mut asked).await, Ok(1..)) {}
                    return;
                }
                if length == 0 || client.write_all(&answered[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl State {
    fn take_fatal(&self, message: &[u8]) -> Option<Moment> {
        let said =
            |fatal: &mut Fatal| message.windows(fatal.word.len()).any(|part| part == fatal.word);
        self.fatal.lock().unwrap().take_if(said).map(|fatal| fatal.moment)
    }
}
