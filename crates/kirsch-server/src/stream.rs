//! The bytes of a connection: an accepted socket, plain for now, read and written without blocking.
//!
//! Every write names `MSG_NOSIGNAL`: an application may have set SIGPIPE to its default, and a
//! client that leaves must not kill the server.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use mio::net::{TcpStream, UnixStream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, connect_unspec, recv, send, sendmsg,
    shutdown,
};

use socket2::{Domain, Socket};

use crate::sigpipe::without_sigpipe;

/// An accepted socket.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes; `drained` if the socket had no more.
    Bytes { count: usize, drained: bool },
    /// Nothing now.
    Blocked,
    /// The peer has sent all it will.
    End,
}

impl Stream {
    /// A connected stream socket of either kind.
    pub(crate) fn of(socket: OwnedFd) -> io::Result<Stream> {
        let socket = Socket::from(socket);
        socket.set_nonblocking(true)?;
        socket.set_cloexec(true)?;
        match socket.domain()? {
            Domain::UNIX => Ok(Stream::Unix(UnixStream::from_std(
                OwnedFd::from(socket).into(),
            ))),
            _ => Ok(Stream::Tcp(TcpStream::from_std(
                OwnedFd::from(socket).into(),
            ))),
        }
    }

    /// Reads into the spare capacity of `buf`, which must not be empty.
    pub(crate) fn receive(&self, buf: &mut Vec<u8>) -> io::Result<Received> {
        let room = buf.capacity() - buf.len();
        debug_assert!(room > 0, "a read into nothing would look like the end");
        match recv(
            self,
            rustix::buffer::spare_capacity(buf),
            RecvFlags::empty(),
        ) {
            Ok((0, _)) => Ok(Received::End),
            Ok((count, _)) => Ok(Received::Bytes {
                count,
                drained: count < room,
            }),
            Err(Errno::AGAIN) => Ok(Received::Blocked),
            Err(Errno::INTR) => Ok(Received::Bytes {
                count: 0,
                drained: false,
            }),
            Err(err) => Err(err.into()),
        }
    }

    /// Sends what the socket takes of the slices together; 0 if it takes nothing now.
    pub(crate) fn send(&self, slices: &[&[u8]]) -> io::Result<usize> {
        self.send_with(slices, SendFlags::NOSIGNAL)
    }

    /// As [`Stream::send`], where more follows at once: what does not fill a packet waits for it.
    pub(crate) fn send_front(&self, slices: &[&[u8]]) -> io::Result<usize> {
        self.send_with(slices, SendFlags::NOSIGNAL | SendFlags::MORE)
    }

    fn send_with(&self, slices: &[&[u8]], flags: SendFlags) -> io::Result<usize> {
        loop {
            let sent = match slices {
                [] => return Ok(0),
                [slice] => send(self, slice, flags),
                _ => {
                    let mut vector = [IoSlice::new(&[]); 4];
                    let used = slices.len().min(vector.len());
                    for (place, slice) in vector.iter_mut().zip(slices) {
                        *place = IoSlice::new(slice);
                    }
                    sendmsg(
                        self,
                        &vector[..used],
                        &mut SendAncillaryBuffer::default(),
                        flags,
                    )
                }
            };
            match sent {
                Ok(count) => return Ok(count),
                Err(Errno::AGAIN) => return Ok(0),
                Err(Errno::INTR) => {}
                Err(err) => return Err(err.into()),
            }
        }
    }

    /// Sends up to `count` bytes of a file from `offset`, which is moved on; 0 if the socket takes nothing now.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file is shorter than that.
    pub(crate) fn send_file(&self, file: &File, offset: &mut u64, count: u64) -> io::Result<usize> {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(1 << 20);
        loop {
            let sent = without_sigpipe(count, || {
                rustix::fs::sendfile(self, file, Some(offset), count).map_err(io::Error::from)
            });
            match sent {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(sent) => return Ok(sent),
                Err(err) => match err.kind() {
                    io::ErrorKind::WouldBlock => return Ok(0),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(err),
                },
            }
        }
    }

    /// Whether there is something to read, the end included, as far as the kernel has it.
    pub(crate) fn has_input(&self) -> bool {
        let mut look = [PollFd::new(self, PollFlags::IN)];
        poll(&mut look, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Says that nothing more will be sent. A failure means that the peer has left already.
    pub(crate) fn shut_write(&self) {
        let _ = shutdown(self, Shutdown::Write);
    }

    /// Makes both directions end, for whoever still holds the descriptor (a forked child, say).
    pub(crate) fn shut_both(&self) {
        let _ = shutdown(self, Shutdown::Both);
    }

    /// Ends the connection with a reset, which the peer cannot take for a clean end. Not by closing: a
    /// shutdown would come first, or a forked child may still hold the descriptor.
    pub(crate) fn reset(&self) {
        // Fails on a connection that is gone, and on unix sockets, which know no reset.
        let _ = connect_unspec(self);
    }

    /// Small writes leave at once: heads and blocks are written whole, there is nothing to wait for.
    pub(crate) fn prepare(&self) {
        if let Stream::Tcp(stream) = self {
            // Fails only on a connection that is gone, which the first read will find.
            let _ = stream.set_nodelay(true);
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}
