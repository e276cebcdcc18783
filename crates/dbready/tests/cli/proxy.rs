//! A network between the program and its server that breaks on purpose.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Passes connections on to a server, and cuts each after a number of bytes from the server. It ends
/// with the test process.
pub(crate) struct Proxy {
    pub(crate) address: String,
    passed: Arc<AtomicU64>,
}

impl Proxy {
    /// A proxy before the server at `upstream` (`host:port`) that lets this many bytes through.
    pub(crate) fn cutting_after(upstream: &str, bytes: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let passed = Arc::new(AtomicU64::new(0));
        let (upstream, counter) = (upstream.to_owned(), Arc::clone(&passed));
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let server = TcpStream::connect(&upstream).unwrap();
                for end in [&client, &server] {
                    end.set_nodelay(true).unwrap();
                }
                let counter = Arc::clone(&counter);
                thread::spawn(move || pass(&client, &server, bytes, &counter));
            }
        });
        Self { address, passed }
    }

    /// Bytes that servers have sent through it.
    pub(crate) fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }
}

fn pass(client: &TcpStream, server: &TcpStream, limit: u64, passed: &AtomicU64) {
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        // Either side may close at any moment.
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (server, client);
    let mut left = limit;
    let mut buffer = [0; 4096];
    while left > 0 {
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = from.read(&mut buffer[..room]).unwrap_or(0);
        if count == 0 || to.write_all(&buffer[..count]).is_err() {
            break;
        }
        left -= count as u64;
        passed.fetch_add(count as u64, Ordering::SeqCst);
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
