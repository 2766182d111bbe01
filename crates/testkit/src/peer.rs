//! A target's side of one conversation, with the words that behaviours are told in.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::ServerConnection;

use crate::behaviour::Talk;
use crate::papers::Papers;
use crate::server::Ledger;
use crate::time::pause;

/// What follows an answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The next request.
    Keep,
    /// FIN, in both directions.
    Close,
}

/// A socket whose bytes are counted.
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    ledger: Arc<Ledger>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = self.stream.read(buffer)?;
        self.ledger.bytes_read.fetch_add(taken as u64, Ordering::Relaxed);
        Ok(taken)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.stream.write(bytes)?;
        self.ledger.bytes_written.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// One connection, as the target has it.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The connection's number, from 0.
    pub(crate) number: u64,
    pub(crate) papers: Arc<Papers>,
    pub(crate) ledger: Arc<Ledger>,
    wire: Wire,
    tls: Option<Box<ServerConnection>>,
    held: Vec<u8>,
}

impl Peer {
    pub(crate) fn new(stream: TcpStream, number: u64, ledger: Arc<Ledger>, papers: Arc<Papers>) -> Self {
        // Behaviours that write twice want two segments; and nobody waits for more than a minute.
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(Duration::from_mins(1)));
        let wire = Wire { stream, ledger: Arc::clone(&ledger) };
        Self { number, papers, ledger, wire, tls: None, held: Vec::new() }
    }

    /// Speaks TLS from here on.
    pub(crate) fn secure(&mut self, mut connection: ServerConnection) -> Talk {
        while connection.is_handshaking() {
            if let Err(error) = connection.complete_io(&mut self.wire) {
                // What is queued ends with the alert that tells the client why. Bytes left unread would overtake it
                // with an RST.
                while connection.wants_write() && connection.write_tls(&mut self.wire).is_ok() {}
                self.finish()?;
                self.read_at_least(usize::MAX)?;
                return Err(error);
            }
        }
        self.tls = Some(Box::new(connection));
        Ok(())
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(tls.as_mut(), &mut self.wire).read(buffer),
            None => self.wire.read(buffer),
        }
    }

    /// Takes more bytes from the client; an error when it has said its last.
    fn hear(&mut self) -> Talk {
        let mut block = [0; 4_096];
        let taken = self.read(&mut block)?;
        self.held.extend_from_slice(&block[..taken]);
        if taken == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Reads at least so many bytes of whatever comes, and thinks nothing of them.
    pub(crate) fn read_at_least(&mut self, count: usize) -> Talk {
        let mut byte = [0; 1];
        for _ in 0..count {
            if self.read(&mut byte)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Reads the next request whole; yields its number among all requests of the target.
    pub(crate) fn request(&mut self) -> io::Result<u64> {
        loop {
            if let Some(end) = self.held.windows(4).position(|four| four == b"\r\n\r\n") {
                self.held.drain(..end + 4);
                return Ok(self.ledger.request());
            }
            self.hear()?;
        }
    }

    /// Writes bytes.
    pub(crate) fn say(&mut self, bytes: &[u8]) -> Talk {
        match &mut self.tls {
            Some(tls) => {
                let mut stream = rustls::Stream::new(tls.as_mut(), &mut self.wire);
                stream.write_all(bytes)?;
                stream.flush()
            }
            None => self.wire.write_all(bytes),
        }
    }

    /// Writes bytes beside TLS.
    pub(crate) fn say_raw(&mut self, bytes: &[u8]) -> Talk {
        self.wire.write_all(bytes)
    }

    /// Writes bytes one by one, with a pause before each.
    pub(crate) fn drip(&mut self, bytes: &[u8], every: Duration) -> Talk {
        for byte in bytes {
            pause(every);
            self.say(std::slice::from_ref(byte))?;
        }
        Ok(())
    }

    /// Writes the same bytes again and again, until nobody reads them any more.
    pub(crate) fn flood(&mut self, bytes: &[u8]) -> Talk {
        loop {
            self.say(bytes)?;
        }
    }

    /// Answers every request with the same bytes.
    pub(crate) fn answer(&mut self, bytes: &[u8], after: After) -> Talk {
        loop {
            self.request()?;
            self.say(bytes)?;
            if after == After::Close {
                return Ok(());
            }
        }
    }

    /// Reads and counts requests, and says nothing more.
    pub(crate) fn hold(&mut self) -> Talk {
        loop {
            self.request()?;
        }
    }

    /// Says that nothing more will come (FIN), and reads on.
    pub(crate) fn finish(&mut self) -> Talk {
        self.wire.stream.shutdown(Shutdown::Write)
    }

    /// Says goodbye as TLS wants it: `close_notify`.
    pub(crate) fn say_goodbye(&mut self) -> Talk {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            tls.write_tls(&mut self.wire)?;
        }
        Ok(())
    }

    /// Breaks the connection off with RST.
    pub(crate) fn reset(&mut self) -> Talk {
        rustix::net::sockopt::set_socket_linger(&self.wire.stream, Some(Duration::ZERO))?;
        Err(io::ErrorKind::ConnectionReset.into())
    }
}
