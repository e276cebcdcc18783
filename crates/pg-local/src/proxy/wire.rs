//! Where the messages of the PostgreSQL protocol begin and end.

use bytes::{Buf, Bytes, BytesMut};

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The client, to the server.
    Frontend,
    /// The server, to the client.
    Backend,
}

/// One whole message as it is on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The letter of a typed message; none for start-up, requests and their one-byte answers, and for
    /// bytes inside TLS.
    pub kind: Option<u8>,
    /// All of its bytes.
    pub bytes: Bytes,
}

/// The code of a start-up message, protocol 3.0.
const STARTUP: u32 = 196_608;
/// The code of a request for TLS.
const TLS_REQUEST: u32 = 80_877_103;
/// The longest message that is believed.
const LONGEST: usize = 1 << 30;

/// What both directions of one connection know together.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The client asked for TLS and the answer is one byte.
    asked_for_tls: std::sync::atomic::AtomicBool,
    /// TLS is spoken: the bytes are not to be read.
    sealed: std::sync::atomic::AtomicBool,
}

/// Cuts one direction of one connection into messages.
#[derive(Debug)]
pub(crate) struct Framer {
    direction: Direction,
    started: bool,
    buffer: BytesMut,
}

impl Framer {
    pub(crate) fn new(direction: Direction) -> Self {
        let started = direction == Direction::Backend;
        Self { direction, started, buffer: BytesMut::with_capacity(16_384) }
    }

    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole message that has come, if any.
    pub(crate) fn next(&mut self, shared: &Shared) -> Option<Frame> {
        use std::sync::atomic::Ordering::SeqCst;
        if self.buffer.is_empty() {
            return None;
        }
        if shared.sealed.load(SeqCst) {
            return Some(Frame { kind: None, bytes: self.buffer.split().freeze() });
        }
        if self.direction == Direction::Backend && shared.asked_for_tls.swap(false, SeqCst) {
            shared.sealed.store(self.buffer[0] == b'S', SeqCst);
            return Some(Frame { kind: None, bytes: self.buffer.split_to(1).freeze() });
        }
        if !self.started {
            let length = self.length_at(0)?;
            let bytes = self.take(length)?;
            let code = bytes.get(4..8).map_or(0, |mut code| code.get_u32());
            self.started = code == STARTUP;
            if code == TLS_REQUEST {
                shared.asked_for_tls.store(true, SeqCst);
            }
            return Some(Frame { kind: None, bytes });
        }
        let length = self.length_at(1)?;
        let kind = self.buffer[0];
        let bytes = self.take(length + 1)?;
        Some(Frame { kind: Some(kind), bytes })
    }

    fn length_at(&self, at: usize) -> Option<usize> {
        let length = self.buffer.get(at..at + 4).map(|mut length| length.get_u32())?;
        Some((length as usize).clamp(4, LONGEST))
    }

    fn take(&mut self, length: usize) -> Option<Bytes> {
        (self.buffer.len() >= length).then(|| self.buffer.split_to(length).freeze())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(framer: &mut Framer, shared: &Shared, bytes: &[u8]) -> Vec<(Option<u8>, usize)> {
        framer.buffer().extend_from_slice(bytes);
        std::iter::from_fn(|| framer.next(shared))
            .map(|frame| (frame.kind, frame.bytes.len()))
            .collect()
    }

    #[test]
    fn messages_are_told_apart_wherever_reads_end() {
        let shared = Shared::default();
        let mut client = Framer::new(Direction::Frontend);
        let mut request = 8_u32.to_be_bytes().to_vec();
        request.extend(TLS_REQUEST.to_be_bytes());
        assert_eq!(frames(&mut client, &shared, &request), [(None, 8)]);
        let mut server = Framer::new(Direction::Backend);
        assert_eq!(frames(&mut server, &shared, b"N"), [(None, 1)]);
        let mut startup = 9_u32.to_be_bytes().to_vec();
        startup.extend(STARTUP.to_be_bytes());
        startup.push(0);
        assert_eq!(frames(&mut client, &shared, &startup), [(None, 9)]);
        let query = b"Q\0\0\0\x09SELE\0S\0\0\0\x04";
        assert_eq!(frames(&mut client, &shared, &query[..7]), []);
        assert_eq!(frames(&mut client, &shared, &query[7..]), [(Some(b'Q'), 10), (Some(b'S'), 5)]);
        let ready = b"Z\0\0\0\x05I";
        assert_eq!(frames(&mut server, &shared, ready), [(Some(b'Z'), 6)]);
    }

    #[test]
    fn inside_tls_nothing_is_read() {
        let shared = Shared::default();
        let mut client = Framer::new(Direction::Frontend);
        let mut request = 8_u32.to_be_bytes().to_vec();
        request.extend(TLS_REQUEST.to_be_bytes());
        frames(&mut client, &shared, &request);
        let mut server = Framer::new(Direction::Backend);
        assert_eq!(frames(&mut server, &shared, b"S"), [(None, 1)]);
        assert_eq!(frames(&mut client, &shared, b"\x16\x03\x01"), [(None, 3)]);
    }
}
