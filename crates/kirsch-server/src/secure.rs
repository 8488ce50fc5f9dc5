//! TLS between a connection and its socket: a session of `kirsch-tls`, fed from the socket and emptied into it.
//!
//! It owns the session and the few bytes that neither side has taken yet. It does not know how long a
//! handshake may take, nor which thread computes: `connection.rs` does.
//!
//! # What counts as sent
//!
//! The session takes plain bytes and has records to send for them. If the socket does not take all of these, the
//! last plain byte is reported as not sent, and remembered (`owed`): the caller gives it again with what follows,
//! and it is dropped here. So nobody above has to ask whether records still wait.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;

use kirsch_tls::{Failure, Material, Plain, Progress, Session, UNSENT_BYTES, Variables};

use crate::socket::{Received, Socket};

/// Read from the socket at once: two full records, so that an upload needs few calls.
const READ: usize = 32 * 1024;
/// Read at once during a handshake, of which a message has hardly more.
const READ_HANDSHAKE: usize = 4 * 1024;
/// Read of a file at once: as much as a session takes before it was sent.
const FILE_PIECE: usize = UNSENT_BYTES;
/// What a byte of the wire costs, in bytes that are merely moved. In full records it is less. But a record may hold
/// one byte, or none and new keys, which take some microseconds: a peer could have whoever drives decrypt these for as
/// long as it likes, while all that arrives is hardly anything.
const EFFORT: u64 = 16;
/// Slices that are given together at most: a head, a chunk's frame around a block.
const SLICES: usize = 4;

thread_local! {
    /// Bytes of the wire, for the moment in which they are decrypted.
    static WIRE: RefCell<Vec<u8>> = RefCell::new(Vec::with_capacity(READ));
    /// Bytes of a file, for the moment in which they are encrypted.
    static PIECE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// TLS of a connection.
pub(crate) struct Secure {
    session: Session,
    /// How far the handshake has come.
    progress: Progress,
    /// Why it came to nothing, until that was said.
    failure: Option<Failure>,
    /// Bytes of the wire that the session has not taken: they need work, or came behind the handshake.
    ahead: Vec<u8>,
    /// The session may have plain bytes that came with the end of the handshake: nothing was read from it yet. Then
    /// whether the socket had no more.
    unread: Option<bool>,
    /// Plain bytes that the session has, and that were reported as not sent.
    owed: usize,
    /// The peer sends no more.
    ended: bool,
    /// We have said that we send no more.
    closed: bool,
}

/// What a step of the handshake came to.
#[derive(Debug)]
pub(crate) enum Shake {
    /// Bytes came; `drained` if the socket had no more. The `effort` is as of [`Received`].
    Received { drained: bool, effort: u64 },
    /// The peer has to send.
    Blocked,
    /// The peer has to take what was sent.
    Unsent,
    /// [`Secure::work`] is needed.
    Work,
    /// It is done.
    Open,
    /// There will be none; what there was to say was said.
    Failed(Failure),
    /// The peer has left.
    End,
}

impl Secure {
    pub(crate) fn new() -> Secure {
        Secure {
            session: Session::new(),
            progress: Progress::Handshake,
            failure: None,
            ahead: Vec::new(),
            unread: None,
            owed: 0,
            ended: false,
            closed: false,
        }
    }

    /// Goes on with the handshake: sends, takes what was read, reads at most once.
    pub(crate) fn shake(&mut self, socket: &Socket, readable: bool) -> io::Result<Shake> {
        if !self.flush(socket)? {
            return Ok(Shake::Unsent);
        }
        if let Some(failure) = self.failure.take() {
            return Ok(Shake::Failed(failure));
        }
        match self.progress {
            Progress::Open => return Ok(Shake::Open),
            Progress::Work => return Ok(Shake::Work),
            Progress::Handshake if !self.ahead.is_empty() => return Ok(Shake::Work),
            Progress::Handshake if !readable => return Ok(Shake::Blocked),
            Progress::Handshake => {}
        }
        self.ahead.reserve(READ_HANDSHAKE);
        let (drained, count) = match socket.receive(&mut self.ahead)? {
            Received::Bytes { drained, count, .. } => (drained, count),
            Received::Blocked => return Ok(Shake::Blocked),
            Received::End => return Ok(Shake::End),
        };
        if !self.session.is_laborious() {
            self.take_ahead();
        }
        Ok(Shake::Received {
            drained,
            effort: effort(count),
        })
    }

    /// Computes the server's part, and goes on with what has come behind the client's.
    pub(crate) fn work(&mut self, socket: &Socket, material: &Material) {
        match self.session.work(material) {
            Ok(progress) => {
                self.progress = progress;
                self.take_ahead();
            }
            Err(failure) => self.failure = Some(failure),
        }
        // What fails now fails again at the next step, which sees to it.
        let _ = self.flush(socket);
    }

    /// The handshake is done; whether the socket had no more.
    pub(crate) fn opened(&mut self, drained: bool) {
        self.unread = Some(drained);
    }

    /// Whether the peer's offer is there, and nothing was said to it.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.progress == Progress::Work
    }

    /// Gives the session what was read, during the handshake.
    fn take_ahead(&mut self) {
        let mut wire = self.ahead.as_slice();
        match self.session.receive(&mut wire) {
            Ok(progress) => {
                self.progress = progress;
                let taken = self.ahead.len() - wire.len();
                self.ahead.drain(..taken);
            }
            Err(failure) => self.failure = Some(failure),
        }
        if self.ahead.is_empty() {
            self.ahead = Vec::new();
        }
    }

    /// What has come that was no TLS.
    pub(crate) fn into_received(self) -> Vec<u8> {
        self.ahead
    }

    pub(crate) fn variables(&self) -> Option<Variables> {
        self.session.variables()
    }

    /// Whether the peer has sent anything.
    pub(crate) fn has_begun(&self) -> bool {
        self.session.has_begun()
    }

    pub(crate) fn server_name(&self) -> Option<&str> {
        self.session.host()
    }

    /// Appends the plain bytes of what one read gives, and of what came before it.
    pub(crate) fn receive(&mut self, socket: &Socket, buf: &mut Vec<u8>) -> io::Result<Received> {
        if self.ended {
            return Ok(Received::End);
        }
        WIRE.with_borrow_mut(|wire| {
            wire.clear();
            let unread = self.unread.take();
            let drained = if self.ahead.is_empty() && unread.is_none() {
                wire.reserve(READ);
                match socket.receive(wire)? {
                    Received::Bytes { drained, .. } => drained,
                    Received::Blocked => return Ok(Received::Blocked),
                    Received::End => {
                        self.session.end();
                        true
                    }
                }
            } else {
                wire.append(&mut self.ahead);
                self.ahead = Vec::new();
                unread.unwrap_or(false)
            };
            self.decrypt(socket, wire, drained, buf)
        })
    }

    fn decrypt(
        &mut self,
        socket: &Socket,
        mut wire: &[u8],
        drained: bool,
        buf: &mut Vec<u8>,
    ) -> io::Result<Received> {
        let (before, effort) = (buf.len(), effort(wire.len()));
        loop {
            let taken = self.session.receive(&mut wire);
            let plain = self.session.read(buf);
            if self.session.has_to_send() {
                // An alert, or an answer to new keys. What is left of it leaves with the next bytes.
                self.flush(socket)?;
            }
            if let Err(failure) = taken {
                return Err(io::Error::new(io::ErrorKind::InvalidData, failure));
            }
            match plain {
                // There is room for more of the wire, or behind them stands the end.
                Plain::Bytes(_) => {}
                Plain::Blocked => break,
                Plain::End | Plain::Truncated => {
                    // HTTP/1 says itself where a request ends: one that is cut off is found to be so whether its
                    // client has said goodbye or not (RFC 9112, 9.8).
                    self.ended = true;
                    break;
                }
            }
        }
        let count = buf.len() - before;
        match count {
            0 if self.ended => Ok(Received::End),
            _ => Ok(Received::Bytes {
                count,
                // The end is there to be read.
                drained: drained && !self.ended,
                effort,
            }),
        }
    }

    pub(crate) fn send(&mut self, socket: &Socket, slices: &[&[u8]]) -> io::Result<usize> {
        if self.owed > 0 && !self.flush(socket)? {
            return Ok(0);
        }
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut sent = std::mem::take(&mut self.owed);
        while sent < total {
            let mut accepted = self.encrypt(slices, sent);
            if accepted == 0 {
                // Full of what was given before.
                if !self.flush(socket)? {
                    return Ok(sent);
                }
                accepted = self.encrypt(slices, sent);
            }
            if accepted == 0 {
                // Behind our goodbye, or before the handshake: nobody should ask for that.
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            sent += accepted;
            if !self.flush(socket)? {
                self.owed = 1;
                return Ok(sent - 1);
            }
        }
        Ok(sent)
    }

    /// Only encrypts: what follows brings it on its way.
    pub(crate) fn send_front(&mut self, socket: &Socket, slices: &[&[u8]]) -> io::Result<usize> {
        if self.owed > 0 && !self.flush(socket)? {
            return Ok(0);
        }
        let sent = std::mem::take(&mut self.owed);
        Ok(sent + self.encrypt(slices, sent))
    }

    pub(crate) fn send_whole(&mut self, socket: &Socket, bytes: &[u8]) -> io::Result<bool> {
        // What is owed comes again first.
        if self.owed > 0 || !self.flush(socket)? {
            return Ok(false);
        }
        let accepted = self.encrypt(&[bytes], 0);
        self.flush(socket)?;
        match accepted {
            0 => Ok(false),
            accepted if accepted == bytes.len() => Ok(true),
            // An empty session takes so few bytes whole.
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    pub(crate) fn send_file(
        &mut self,
        socket: &Socket,
        file: &File,
        offset: &mut u64,
        count: u64,
    ) -> io::Result<u64> {
        let mut left = count;
        if self.owed > 0 {
            if !self.flush(socket)? {
                return Ok(0);
            }
            let sent = std::mem::take(&mut self.owed) as u64;
            *offset += sent;
            left -= sent;
        }
        while left > 0 {
            let (read, sent) = PIECE.with_borrow_mut(|piece| {
                piece.resize(FILE_PIECE, 0);
                let most = usize::try_from(left).unwrap_or(FILE_PIECE).min(FILE_PIECE);
                match read_at(file, &mut piece[..most], *offset)? {
                    0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
                    read => Ok((read, self.send(socket, &[&piece[..read]])?)),
                }
            })?;
            *offset += sent as u64;
            left -= sent as u64;
            if sent < read {
                break;
            }
        }
        Ok(count - left)
    }

    /// Gives the session what stands behind the first `skip` bytes.
    fn encrypt(&mut self, slices: &[&[u8]], mut skip: usize) -> usize {
        debug_assert!(
            slices.len() <= SLICES,
            "what is left out would never be sent"
        );
        let mut rest: [&[u8]; SLICES] = [&[]; SLICES];
        for (place, slice) in rest.iter_mut().zip(slices) {
            let step = skip.min(slice.len());
            *place = &slice[step..];
            skip -= step;
        }
        self.session.write(&rest)
    }

    /// Sends the records that wait. Answers whether all of them are on their way.
    pub(crate) fn flush(&mut self, socket: &Socket) -> io::Result<bool> {
        self.flush_to(&mut Wire {
            socket,
            last: false,
        })
    }

    fn flush_to(&mut self, wire: &mut Wire<'_>) -> io::Result<bool> {
        while self.session.has_to_send() {
            match self.session.send(wire) {
                Ok(_) => {}
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(err),
            }
        }
        Ok(true)
    }

    /// Says goodbye (`close_notify`), for the end of the connection to follow at once. Answers whether it may.
    pub(crate) fn close(&mut self, socket: &Socket) -> bool {
        if !self.closed {
            self.closed = true;
            self.session.close();
        }
        self.flush_to(&mut Wire { socket, last: true })
            .unwrap_or(true)
    }

    pub(crate) fn rest(&mut self) {
        self.session.rest();
    }
}

/// A socket as rustls wants it.
struct Wire<'a> {
    socket: &'a Socket,
    /// Our side ends behind what is written.
    last: bool,
}

impl Write for Wire<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.last {
            true => self.socket.send_last_vector(slices),
            false => self.socket.send_vector(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What it costs to decrypt so many bytes.
fn effort(wire: usize) -> u64 {
    wire as u64 * EFFORT
}

/// Reads without moving the place at which others may read.
fn read_at(file: &File, buf: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buf, offset) {
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}
