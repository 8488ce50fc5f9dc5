//! The bytes of a connection, plain or over TLS: whoever speaks HTTP through it need not know which.
//!
//! **Invariant:** a byte counts as sent once the kernel has it. So whoever has sent everything may end, and
//! whoever has not tries the rest again, from the first byte that was not counted.
//!
//! Read next: `socket.rs`; `secure.rs` for TLS.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use kirsch_tls::{Material, Variables};

use crate::secure::{Secure, Shake};
use crate::socket::Socket;

pub(crate) use crate::socket::Received;

/// What a connection reads from and writes to.
pub(crate) struct Stream {
    socket: Socket,
    /// Boxed, so that a plain connection pays a word for it.
    tls: Option<Box<Secure>>,
}

impl Stream {
    /// What is sent is what is on the wire.
    pub(crate) fn plain(socket: Socket) -> Stream {
        Stream { socket, tls: None }
    }

    /// A handshake comes first.
    pub(crate) fn secure(socket: Socket) -> Stream {
        Stream {
            socket,
            tls: Some(Box::new(Secure::new())),
        }
    }

    /// Goes on with the handshake as far as one read leads. Without TLS there is none.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub(crate) fn shake(&mut self, readable: bool) -> io::Result<Shake> {
        match &mut self.tls {
            None => Ok(Shake::Open),
            Some(tls) => tls.shake(&self.socket, readable),
        }
    }

    /// The handshake is done; whether the socket had no more. What came with its end is read first.
    pub(crate) fn opened(&mut self, drained: bool) {
        if let Some(tls) = &mut self.tls {
            tls.opened(drained);
        }
    }

    /// Whether the peer has begun a handshake.
    pub(crate) fn has_begun(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_begun())
    }

    /// Whether it is, or will be, encrypted.
    pub(crate) fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Computes what the handshake needs, which may take a millisecond or more.
    pub(crate) fn work(&mut self, material: &Material) {
        if let Some(tls) = &mut self.tls {
            tls.work(&self.socket, material);
        }
    }

    /// What follows is not encrypted: with this peer there is no TLS. Answers what has come from it.
    pub(crate) fn give_up_tls(&mut self) -> Vec<u8> {
        let tls = self.tls.take();
        tls.map_or_else(Vec::new, |tls| tls.into_received())
    }

    /// What the application is told of an open connection.
    pub(crate) fn variables(&self) -> Option<Variables> {
        self.tls.as_ref()?.variables()
    }

    /// The host that the TLS handshake was for, if its client named one.
    pub(crate) fn server_name(&self) -> Option<&str> {
        self.tls.as_ref()?.server_name()
    }

    /// Reads into the spare capacity of `buf`, which must not be empty. TLS may need more room, and takes it.
    ///
    /// # Errors
    ///
    /// Those of the socket; `InvalidData` for records that are none.
    pub(crate) fn receive(&mut self, buf: &mut Vec<u8>) -> io::Result<Received> {
        match &mut self.tls {
            None => self.socket.receive(buf),
            Some(tls) => tls.receive(&self.socket, buf),
        }
    }

    /// Sends what the socket takes of the slices together; 0 if it takes nothing now.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub(crate) fn send(&mut self, slices: &[&[u8]]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.send(slices),
            Some(tls) => tls.send(&self.socket, slices),
        }
    }

    /// As [`Stream::send`], where more follows at once: what does not fill a packet waits for it.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub(crate) fn send_front(&mut self, slices: &[&[u8]]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.send_front(slices),
            Some(tls) => tls.send_front(&self.socket, slices),
        }
    }

    /// Sends a few bytes, all or none of them. Answers whether they are on their way: what the socket does not
    /// take of them at once leaves with [`Stream::flush`].
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub(crate) fn send_whole(&mut self, bytes: &[u8]) -> io::Result<bool> {
        match &mut self.tls {
            None => match self.socket.send(&[bytes])? {
                0 => Ok(false),
                sent if sent == bytes.len() => Ok(true),
                // The kernel takes so few bytes whole.
                _ => Err(io::ErrorKind::WriteZero.into()),
            },
            Some(tls) => tls.send_whole(&self.socket, bytes),
        }
    }

    /// Sends up to `count` bytes of a file from `offset`, which is moved on. Answers how many it were; if they were
    /// less, the socket takes nothing now.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file is shorter than that.
    pub(crate) fn send_file(
        &mut self,
        file: &File,
        offset: &mut u64,
        count: u64,
    ) -> io::Result<u64> {
        match &mut self.tls {
            None => self.socket.send_file(file, offset, count),
            Some(tls) => tls.send_file(&self.socket, file, offset, count),
        }
    }

    /// Sends what no other call would send again: answers of TLS itself.
    ///
    /// # Errors
    ///
    /// Those of the socket.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => tls.flush(&self.socket).map(|_| ()),
        }
    }

    /// Gives back the buffers of an idle connection.
    pub(crate) fn rest(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.rest();
        }
    }

    /// Whether there is something to read, the end included, as far as the kernel has it.
    pub(crate) fn has_input(&self) -> bool {
        self.socket.has_input()
    }

    /// Whether the peer has left without waiting for our part of the handshake. Later it may end its side and wait
    /// for the answer.
    pub(crate) fn has_left_unanswered(&self) -> bool {
        let tls = self.tls.as_ref();
        tls.is_some_and(|tls| tls.is_unanswered()) && self.socket.has_left()
    }

    /// Says that nothing more will be sent. A failure means that the peer has left already.
    ///
    /// Answers whether it is said; over TLS the peer may first have to take what was sent before.
    pub(crate) fn shut_write(&mut self) -> bool {
        if let Some(tls) = &mut self.tls
            && !tls.close(&self.socket)
        {
            return false;
        }
        self.socket.shut_write();
        true
    }

    /// Says over TLS that nothing more will be sent, if the socket takes that at once.
    pub(crate) fn say_goodbye(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close(&self.socket);
        }
    }

    /// Makes both directions end, for whoever still holds the descriptor (a forked child, say).
    pub(crate) fn shut_both(&self) {
        self.socket.shut_both();
    }

    /// Ends the connection with a reset, which the peer cannot take for a clean end.
    pub(crate) fn reset(&self) {
        self.socket.reset();
    }

    /// Small writes leave at once: heads and blocks are written whole, there is nothing to wait for.
    pub(crate) fn prepare(&self) {
        self.socket.prepare();
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
