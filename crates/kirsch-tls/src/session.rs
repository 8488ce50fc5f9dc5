//! One connection's TLS, without its socket: bytes of the wire in and out, plain bytes in and out.
//!
//! It owns the handshake and the records. It does not know where bytes come from, nor how long they may take.
//!
//! # States
//!
//! ```text
//! Hello ──a whole ClientHello──▶ Offer ──Session::work──▶ Live: handshake, then records
//!   └─ no TLS, or a broken one ─▶ Failed                    └─ a broken record ─▶ Live, with an alert to send
//! ```
//!
//! What is not trusted yet costs little: up to `Offer` nothing is computed. [`Session::work`] makes the key
//! exchange and the signature, for which RSA takes near a millisecond: a server may want to do it elsewhere.

use std::io::{self, BufRead, IoSlice, Write};
use std::sync::Arc;

use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{Accepted, Acceptor};
use rustls::{Error, HandshakeKind, ServerConnection};

use crate::config::Clients;
use crate::material::Material;
use crate::pair::{Pair, words};
use crate::served::is_tls;
use crate::variables::{self, Variables};

/// Plain bytes that may wait to be sent as records: three full ones, so that a slow client holds no more. Four with
/// their headers would be more than the 64 KiB that the kernel makes one segment of, which costs a quarter.
pub const UNSENT_BYTES: usize = 48 * 1024;

/// TLS of a connection, at the server's end.
///
/// A value with one owner, which may go from thread to thread.
#[derive(Debug)]
pub struct Session {
    state: State,
    /// The peer will send no more.
    has_ended: bool,
    /// The client was asked for a certificate.
    asks_client: bool,
}

enum State {
    /// The ClientHello is arriving.
    Hello {
        acceptor: Box<Acceptor>,
        is_new: bool,
    },
    /// It is whole.
    Offer(Box<Accepted>),
    /// The rest of the handshake, and what follows it.
    Live {
        connection: Box<ServerConnection>,
        pair: Option<Arc<Pair>>,
        /// Of the client's certificate.
        verifier: Arc<dyn ClientCertVerifier>,
    },
    /// It came to nothing; perhaps there is an alert to send.
    Failed { alert: Vec<u8> },
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The handshake needs more bytes.
    Handshake,
    /// The handshake needs [`Session::work`].
    Work,
    /// The handshake is done.
    Open,
}

/// Why there is no TLS with this peer. Its mistake, or the end of a version too old: nothing to warn of.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// The first byte is none of TLS. The bytes are untouched: most likely it speaks HTTP.
    Plain,
    /// A rule was broken, or there is nothing that both speak. What [`Session::send`] still has is an alert.
    Broken(Error),
}

/// What there is to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// So many bytes were appended.
    Bytes(usize),
    /// Nothing now.
    Blocked,
    /// The peer has said that it sends no more.
    End,
    /// The wire has ended without that: somebody may have cut off the rest (RFC 8446, section 6.1).
    Truncated,
}

impl Default for Session {
    fn default() -> Session {
        Session::new()
    }
}

impl Session {
    /// A connection that was just accepted.
    pub fn new() -> Session {
        Session {
            state: State::Hello {
                acceptor: Box::default(),
                is_new: true,
            },
            has_ended: false,
            asks_client: false,
        }
    }

    /// Takes bytes from the wire, moving `wire` on. Stops where plain bytes have to be read first, or work done:
    /// what is left is to be given again.
    ///
    /// # Errors
    ///
    /// If there will be no TLS with this peer.
    pub fn receive(&mut self, wire: &mut &[u8]) -> Result<Progress, Failure> {
        if let State::Hello { acceptor, is_new } = &mut self.state {
            let Some(first) = wire.first() else {
                return Ok(Progress::Handshake);
            };
            if *is_new && !is_tls(*first) {
                return Err(Failure::Plain);
            }
            *is_new = false;
            match hello(acceptor, wire) {
                Ok(Some(accepted)) => self.state = State::Offer(Box::new(accepted)),
                Ok(None) => {}
                Err((error, alert)) => {
                    self.state = State::Failed { alert };
                    return Err(Failure::Broken(error));
                }
            }
        }
        if let State::Live {
            connection,
            verifier,
            ..
        } = &mut self.state
        {
            let was_handshaking = connection.is_handshaking();
            while !wire.is_empty() {
                let taken = connection.read_tls(wire);
                connection.process_new_packets().map_err(Failure::Broken)?;
                match taken {
                    // Behind its end, whatever comes is nothing (RFC 8446, section 6.1).
                    Ok(0) => *wire = &[],
                    Ok(_) => {}
                    Err(_) if has_plain(connection) => break,
                    // All that was whole was taken above: what fills the buffers is one message.
                    Err(err) => return Err(Failure::Broken(Error::General(err.to_string()))),
                }
            }
            if was_handshaking && let Some(why) = lost_trust(connection, &**verifier) {
                connection.send_close_notify();
                let mut alert = Vec::new();
                // A vector takes all.
                while connection.wants_write() && connection.write_tls(&mut alert).is_ok() {}
                self.state = State::Failed { alert };
                return Err(Failure::Broken(why));
            }
        }
        self.progress()
    }

    /// Whether the peer has sent anything.
    pub fn has_begun(&self) -> bool {
        !matches!(self.state, State::Hello { is_new: true, .. })
    }

    /// Gives back what the last records needed, for a connection that is idle: what is left is about 10 KiB.
    pub fn rest(&mut self) {
        if let State::Live { connection, .. } = &mut self.state {
            // rustls fits its buffer to the next record before it asks for bytes.
            let _ = connection.read_tls(&mut Nothing);
        }
    }

    /// Says that the wire has ended.
    pub fn end(&mut self) {
        self.has_ended = true;
        if let State::Live { connection, .. } = &mut self.state {
            // An empty source does not fail.
            let _ = connection.read_tls(&mut io::empty());
        }
    }

    /// Chooses a certificate and computes the server's part of the handshake. Does nothing where none is due.
    ///
    /// # Errors
    ///
    /// If there is nothing that both speak, or no certificate for the name.
    pub fn work(&mut self, material: &Material) -> Result<Progress, Failure> {
        if !matches!(self.state, State::Offer(_)) {
            return self.progress();
        }
        let nothing = State::Failed { alert: Vec::new() };
        if let State::Offer(accepted) = std::mem::replace(&mut self.state, nothing) {
            let served = material.served();
            let choice = served.choose(&accepted.client_hello());
            self.asks_client = material.config().clients != Clients::Anonymous;
            match accepted.into_connection(choice.config) {
                Ok(mut connection) => {
                    connection.set_buffer_limit(Some(UNSENT_BYTES));
                    self.state = State::Live {
                        connection: Box::new(connection),
                        pair: choice.pair,
                        verifier: Arc::clone(served.verifier()),
                    };
                }
                Err((error, mut alert)) => {
                    let mut bytes = Vec::new();
                    // A vector takes all.
                    let _ = alert.write_all(&mut bytes);
                    self.state = State::Failed { alert: bytes };
                    return Err(Failure::Broken(error));
                }
            }
        }
        self.progress()
    }

    /// Whether the next bytes of the wire are computed with for long: the key exchange, where that of TLS 1.2 has a
    /// second part or the client has to try again in 1.3, and the certificate of a client. A server may want to give them to [`Session::receive`] elsewhere.
    pub fn is_laborious(&self) -> bool {
        match &self.state {
            State::Live { connection, .. } if connection.is_handshaking() => {
                self.asks_client || connection.negotiated_key_exchange_group().is_none()
            }
            State::Hello { .. } | State::Offer(_) | State::Live { .. } | State::Failed { .. } => {
                false
            }
        }
    }

    /// Appends plain bytes to `plain`.
    pub fn read(&mut self, plain: &mut Vec<u8>) -> Plain {
        let State::Live { connection, .. } = &mut self.state else {
            return match self.has_ended {
                true => Plain::Truncated,
                false => Plain::Blocked,
            };
        };
        let mut count = 0;
        loop {
            let mut reader = connection.reader();
            let chunk = match reader.fill_buf() {
                Ok(chunk) => chunk,
                Err(_) if count > 0 => return Plain::Bytes(count),
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Plain::Blocked,
                Err(_) => return Plain::Truncated,
            };
            match chunk.len() {
                0 if count > 0 => return Plain::Bytes(count),
                0 => return Plain::End,
                len => {
                    plain.extend_from_slice(chunk);
                    reader.consume(len);
                    count += len;
                }
            }
        }
    }

    /// Takes plain bytes to be sent, as few records as they fit into. Answers how many; 0 while enough wait to be
    /// sent, or before the handshake is done.
    pub fn write(&mut self, slices: &[&[u8]]) -> usize {
        match &mut self.state {
            State::Live { connection, .. } if !connection.is_handshaking() => {
                let slices: Vec<IoSlice<'_>> =
                    slices.iter().map(|slice| IoSlice::new(slice)).collect();
                // A buffer does not fail; full, it takes less.
                connection.writer().write_vectored(&slices).unwrap_or(0)
            }
            State::Hello { .. } | State::Offer(_) | State::Live { .. } | State::Failed { .. } => 0,
        }
    }

    /// Says that nothing more will be written (`close_notify`).
    pub fn close(&mut self) {
        if let State::Live { connection, .. } = &mut self.state {
            connection.send_close_notify();
        }
    }

    /// Whether there are bytes for the wire.
    pub fn has_to_send(&self) -> bool {
        match &self.state {
            State::Live { connection, .. } => connection.wants_write(),
            State::Failed { alert } => !alert.is_empty(),
            State::Hello { .. } | State::Offer(_) => false,
        }
    }

    /// Writes bytes for the wire, in one call with several slices where there are several records.
    ///
    /// # Errors
    ///
    /// Those of the wire.
    pub fn send(&mut self, wire: &mut dyn Write) -> io::Result<usize> {
        match &mut self.state {
            State::Live { connection, .. } => connection.write_tls(wire),
            State::Failed { alert } => {
                let count = wire.write(alert)?;
                alert.drain(..count);
                Ok(count)
            }
            State::Hello { .. } | State::Offer(_) => Ok(0),
        }
    }

    /// What the application is told; `None` before the handshake is done.
    pub fn variables(&self) -> Option<Variables> {
        match &self.state {
            State::Live {
                connection,
                pair: Some(pair),
                ..
            } if !connection.is_handshaking() => Some(variables::of(connection, pair)),
            State::Hello { .. } | State::Offer(_) | State::Live { .. } | State::Failed { .. } => {
                None
            }
        }
    }

    /// The protocol that both have agreed on to speak inside, if they have.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.connection()?.alpn_protocol()
    }

    /// The host that the client has asked for.
    pub fn host(&self) -> Option<&str> {
        self.connection()?.server_name()
    }

    fn connection(&self) -> Option<&ServerConnection> {
        match &self.state {
            State::Live { connection, .. } => Some(connection),
            State::Hello { .. } | State::Offer(_) | State::Failed { .. } => None,
        }
    }

    fn progress(&self) -> Result<Progress, Failure> {
        match &self.state {
            State::Hello { .. } => Ok(Progress::Handshake),
            State::Offer(_) => Ok(Progress::Work),
            State::Live { connection, .. } if connection.is_handshaking() => {
                Ok(Progress::Handshake)
            }
            State::Live { .. } => Ok(Progress::Open),
            State::Failed { .. } => Err(Failure::Broken(Error::HandshakeNotComplete)),
        }
    }
}

impl std::error::Error for Failure {}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Plain => f.write_str("the client does not speak TLS"),
            Failure::Broken(error) => f.write_str(&words(error)),
        }
    }
}

/// Neither keys nor contents.
impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            State::Hello { .. } => "Hello",
            State::Offer(_) => "Offer",
            State::Live { .. } => "Live",
            State::Failed { .. } => "Failed",
        })
    }
}

/// A wire that has no bytes for now.
struct Nothing;

impl io::Read for Nothing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// Reads as much of the ClientHello as is there; what follows it in the same read stays with it.
fn hello(acceptor: &mut Acceptor, wire: &mut &[u8]) -> Result<Option<Accepted>, (Error, Vec<u8>)> {
    while !wire.is_empty() {
        let Ok(1..) = acceptor.read_tls(wire) else {
            let why = "the ClientHello is too long".to_owned();
            return Err((Error::General(why), Vec::new()));
        };
        match acceptor.accept() {
            Ok(None) => {}
            Ok(Some(accepted)) => return Ok(Some(accepted)),
            Err((error, mut alert)) => {
                let mut bytes = Vec::new();
                // A vector takes all.
                let _ = alert.write_all(&mut bytes);
                return Err((error, bytes));
            }
        }
    }
    Ok(None)
}

/// Why a session that was resumed is not to be gone on with. rustls looks at certificates in full handshakes only, and
/// a session lives for hours: meanwhile the client's certificate, one above it or the revocation list may have expired.
fn lost_trust(connection: &ServerConnection, verifier: &dyn ClientCertVerifier) -> Option<Error> {
    if connection.handshake_kind() != Some(HandshakeKind::Resumed) {
        return None;
    }
    let (leaf, issuers) = connection.peer_certificates()?.split_first()?;
    verifier
        .verify_client_cert(leaf, issuers, UnixTime::now())
        .err()
}

fn has_plain(connection: &mut ServerConnection) -> bool {
    connection
        .reader()
        .fill_buf()
        .is_ok_and(|chunk| !chunk.is_empty())
}
