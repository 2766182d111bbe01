//! Hot path. One connection's TLS machine.
//!
//! What it is: rustls' caller-buffered client, driven until it has nothing left to do.
//! What it is not: a buffer of plaintext. What is decrypted is handed over at once; what is encrypted goes to the
//! caller's buffer.
//!
//! Invariants: between calls rustls holds nothing to be sent and nothing decrypted; an unfinished record or
//! handshake message is in the carry. rustls must be shown the carry at every call, since it remembers places in
//! it, and an empty slice would be out of bounds.
//!
//! ```text
//!              receive                receive
//! handshaking ─────────▶ established ─────────▶ peer closed: receives nothing, may send
//!                             │                      │
//!                             │        close         │
//!                             └──────────┬───────────┘
//!                                        ▼
//!                               closed: receives nothing, must not send
//!
//! any of them ── an error in receive, send or close ──▶ failed: answers with the same error for good
//! ```

use std::fmt;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, WriteTraffic};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};

use crate::carry::{Carry, unfinished_at};
use crate::{SetupError, TlsError, Version};

/// The most that protecting one record adds: header, explicit nonce and tag of TLS 1.2's AES-GCM (RFC 5288,
/// section 3); TLS 1.3 adds 22.
const RECORD_OVERHEAD: usize = 5 + 8 + 16;

/// The most plaintext in one record (RFC 8446, section 5.1).
const PLAINTEXT_MAX: usize = 1 << 14;

/// One connection's TLS machine. Made by [`crate::Client::session`].
pub struct Session {
    machine: Machine,
    carry: Carry,
    failure: Option<TlsError>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("version", &self.version())
            .field("is_established", &self.is_established())
            .field("peer_closed", &self.peer_closed())
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(
        config: Arc<ClientConfig>,
        server_name: ServerName<'static>,
        out: &mut Vec<u8>,
    ) -> Result<Self, SetupError> {
        let provider = |detail: String| SetupError::Provider { detail };
        let connection = UnbufferedClientConnection::new(config, server_name)
            .map_err(|error| provider(error.to_string()))?;
        let mut machine = Machine { connection, peer_closed: false, closed: false };
        machine
            .turn(&mut [], out, &mut |_| (), Wish::Nothing)
            .map_err(|error| provider(error.to_string()))?;
        Ok(Self { machine, carry: Carry::default(), failure: None })
    }

    /// Takes `bytes` from the peer, decrypting them where they lie; hands plaintext to `plain`, piece by piece and
    /// in order, and appends what the peer must get in return to `out`.
    ///
    /// `bytes` may begin and end anywhere; what they hold afterwards is of no use. On an error, plaintext of the
    /// records before it has been handed over, and `out` holds the alert to send before closing. What follows the
    /// peer's `close_notify` is ignored (RFC 8446, section 6.1), and so is all that comes after our own.
    #[must_use = "an error ends the session"]
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        out: &mut Vec<u8>,
        plain: &mut dyn FnMut(&[u8]),
    ) -> Result<(), TlsError> {
        self.usable()?;
        // After our goodbye rustls takes it for its own fault (an assertion of its debug builds) if it has to
        // answer a bad record with an alert; and nobody waits for an answer any more.
        if self.machine.closed {
            return Ok(());
        }
        let result = self.take(bytes, out, plain);
        self.note(result, out)
    }

    /// Encrypts `plaintext` and appends its records to `out`.
    ///
    /// # Panics
    ///
    /// Before the session is established, and after [`Session::close`]: neither is a state to send in.
    #[must_use = "an error ends the session"]
    pub fn send(&mut self, plaintext: &[u8], out: &mut Vec<u8>) -> Result<(), TlsError> {
        self.usable()?;
        assert!(self.is_established(), "plaintext must not be sent before the handshake is done");
        assert!(!self.machine.closed, "plaintext must not be sent after close_notify");
        if plaintext.is_empty() {
            return Ok(());
        }
        let result = self.machine.turn(self.carry.bytes_mut(), out, &mut |_| (), Wish::Send(plaintext));
        self.note(result.map(|_| ()), out)
    }

    /// Says goodbye: appends `close_notify` to `out`, once. A session that is not established, or has failed, has
    /// nothing to say.
    pub fn close(&mut self, out: &mut Vec<u8>) {
        if self.failure.is_some() || self.machine.closed || !self.is_established() {
            return;
        }
        let result = self.machine.turn(self.carry.bytes_mut(), out, &mut |_| (), Wish::Close);
        // What fails here is kept for whoever asks next; the caller closes the connection in any case.
        let _ = self.note(result.map(|_| ()), out);
    }

    /// Whether the handshake is done, so that plaintext may be sent. Changes in [`Session::receive`] only.
    pub fn is_established(&self) -> bool {
        self.failure.is_none() && !self.machine.connection.is_handshaking()
    }

    /// Whether the peer said `close_notify`. A connection that ends without it may have been cut short (RFC 8446,
    /// section 6.1). Changes in [`Session::receive`] only.
    pub fn peer_closed(&self) -> bool {
        self.machine.peer_closed
    }

    /// The application protocol that the server chose; none when it chose none.
    pub fn alpn(&self) -> Option<&[u8]> {
        self.machine.connection.alpn_protocol()
    }

    /// Whether the handshake resumed an earlier session. False until that is known.
    pub fn resumed(&self) -> bool {
        self.machine.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The version agreed on; none until then.
    pub fn version(&self) -> Option<Version> {
        match self.machine.connection.protocol_version()? {
            ProtocolVersion::TLSv1_2 => Some(Version::Tls12),
            ProtocolVersion::TLSv1_3 => Some(Version::Tls13),
            _ => None,
        }
    }

    fn usable(&self) -> Result<(), TlsError> {
        self.failure.map_or(Ok(()), Err)
    }

    /// Remembers an error, and lets out the alert that belongs to it.
    fn note(&mut self, result: Result<(), TlsError>, out: &mut Vec<u8>) -> Result<(), TlsError> {
        if let Err(error) = result {
            self.failure = Some(error);
            self.carry.clear();
            self.machine.last_words(out);
        }
        result
    }

    /// First completes, from the front of `bytes`, what was carried over; then decrypts the rest in place.
    fn take(
        &mut self,
        mut bytes: &mut [u8],
        out: &mut Vec<u8>,
        plain: &mut dyn FnMut(&[u8]),
    ) -> Result<(), TlsError> {
        while !self.carry.is_empty() && !bytes.is_empty() && !self.machine.peer_closed {
            let (taken, is_ready) = self.carry.fill(bytes)?;
            bytes = &mut bytes[taken..];
            if is_ready {
                let done = self.machine.turn(self.carry.bytes_mut(), out, plain, Wish::Nothing)?;
                self.carry.discard(done);
            }
        }
        if !bytes.is_empty() && !self.machine.peer_closed {
            // Looked for first: rustls may move things about behind the records that it has seen.
            let unfinished = unfinished_at(bytes);
            let done = self.machine.turn(bytes, out, plain, Wish::Nothing)?;
            if done < bytes.len() && !self.machine.peer_closed {
                self.carry.keep(&bytes[done..], unfinished - done)?;
            }
        }
        if self.machine.peer_closed {
            self.carry.clear();
        }
        Ok(())
    }
}

/// What to do once rustls has worked through what came in.
#[derive(Copy, Clone)]
enum Wish<'a> {
    Nothing,
    Send(&'a [u8]),
    Close,
}

struct Machine {
    connection: UnbufferedClientConnection,
    peer_closed: bool,
    closed: bool,
}

impl Machine {
    /// Runs rustls over `incoming` until it wants more of it; says with how many bytes at the front it is done.
    fn turn(
        &mut self,
        incoming: &mut [u8],
        out: &mut Vec<u8>,
        plain: &mut dyn FnMut(&[u8]),
        wish: Wish<'_>,
    ) -> Result<usize, TlsError> {
        let mut done = 0;
        loop {
            let status = self.connection.process_tls_records(&mut incoming[done..]);
            let mut discard = status.discard;
            let mut is_idle = false;
            match status.state.map_err(|error| TlsError::of(&error))? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(|error| TlsError::of(&error))?;
                        discard += record.discard;
                        plain(record.payload);
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, out)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.peer_closed = true,
                ConnectionState::WriteTraffic(mut traffic) => {
                    match wish {
                        Wish::Nothing => (),
                        Wish::Send(plaintext) => encrypt(&mut traffic, plaintext, out)?,
                        Wish::Close => {
                            append(out, RECORD_OVERHEAD + 2, |room| traffic.queue_close_notify(room))?;
                            self.closed = true;
                        }
                    }
                    is_idle = true;
                }
                ConnectionState::BlockedHandshake | ConnectionState::Closed => is_idle = true,
                // Early data is the server's affair; other states do not exist yet.
                _ => return Err(TlsError::Protocol),
            }
            done += discard;
            if is_idle {
                return Ok(done);
            }
        }
    }

    /// Lets out what rustls has queued beside an error: the alert, or the `close_notify` of worn-out keys.
    fn last_words(&mut self, out: &mut Vec<u8>) {
        // Only while something is queued: then rustls does not look at the bytes that it is not shown here.
        while self.connection.wants_write() {
            match self.connection.process_tls_records(&mut []).state {
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    // Out of room it cannot be; should an alert be lost, the peer sees the connection end.
                    let _ = encode(&mut data, out);
                }
                _ => break,
            }
        }
    }
}

fn encode(data: &mut EncodeTlsData<'_, ClientConnectionData>, out: &mut Vec<u8>) -> Result<(), TlsError> {
    let start = out.len();
    // Asked with no room, it says how much it needs.
    let needed = match data.encode(&mut []) {
        Err(EncodeError::InsufficientSize(short)) => short.required_size,
        Ok(_) | Err(EncodeError::AlreadyEncoded) => return Ok(()),
    };
    out.resize(start + needed, 0);
    let written = data.encode(&mut out[start..]).map_err(|_| TlsError::Protocol)?;
    out.truncate(start + written);
    Ok(())
}

fn encrypt(
    traffic: &mut WriteTraffic<'_, ClientConnectionData>,
    plaintext: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), TlsError> {
    let record_count = plaintext.len().div_ceil(PLAINTEXT_MAX);
    append(out, plaintext.len() + record_count * RECORD_OVERHEAD, |room| traffic.encrypt(plaintext, room))
}

/// Lets `write` fill `room` bytes at the end of `out`, or more if it asks for more.
fn append(
    out: &mut Vec<u8>,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>,
) -> Result<(), TlsError> {
    let start = out.len();
    loop {
        out.resize(start + room, 0);
        match write(&mut out[start..]) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            // A key update, or its answer, goes out ahead of the plaintext.
            Err(EncryptError::InsufficientSize(short)) if short.required_size > room => {
                room = short.required_size;
            }
            Err(_) => {
                out.truncate(start);
                return Err(TlsError::KeysUsedUp);
            }
        }
    }
}
