//! An accepted socket, read and written without blocking.
//!
//! It knows no TLS. Read next: `stream.rs`, whose bytes go through it.
//!
//! Every write names `MSG_NOSIGNAL`: an application may have set SIGPIPE to its default, and a
//! client that leaves must not kill the server. Whether a socket blocks is said of all its duplicates, and
//! programs have some (`Exchange::socket`): so every read and write of memory names `MSG_DONTWAIT`, too. Files go out
//! on threads that may wait.

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

use socket2::Domain;

use crate::sigpipe::without_sigpipe;

/// Of every write.
const SEND: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

/// An accepted socket.
pub(crate) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// So many bytes; `drained` if the socket had no more. What it took to get them, in bytes that are merely moved,
    /// is the `effort`.
    Bytes {
        count: usize,
        drained: bool,
        effort: u64,
    },
    /// Nothing now.
    Blocked,
    /// The peer has sent all it will.
    End,
}

impl Socket {
    /// A connected stream socket of either kind.
    pub(crate) fn of(socket: OwnedFd) -> io::Result<Socket> {
        let socket = socket2::Socket::from(socket);
        socket.set_nonblocking(true)?;
        socket.set_cloexec(true)?;
        let is_unix = socket.domain()? == Domain::UNIX;
        let socket = OwnedFd::from(socket);
        Ok(if is_unix {
            Socket::Unix(UnixStream::from_std(socket.into()))
        } else {
            Socket::Tcp(TcpStream::from_std(socket.into()))
        })
    }

    /// Reads into the spare capacity of `buf`, which must not be empty.
    pub(crate) fn receive(&self, buf: &mut Vec<u8>) -> io::Result<Received> {
        let room = buf.capacity() - buf.len();
        debug_assert!(room > 0, "a read into nothing would look like the end");
        match recv(
            self,
            rustix::buffer::spare_capacity(buf),
            RecvFlags::DONTWAIT,
        ) {
            Ok((0, _)) => Ok(Received::End),
            Ok((count, _)) => Ok(Received::Bytes {
                count,
                drained: count < room,
                effort: count as u64,
            }),
            Err(Errno::AGAIN) => Ok(Received::Blocked),
            Err(Errno::INTR) => Ok(Received::Bytes {
                count: 0,
                drained: false,
                effort: 0,
            }),
            Err(err) => Err(err.into()),
        }
    }

    /// Sends what the socket takes of the slices together; 0 if it takes nothing now.
    pub(crate) fn send(&self, slices: &[&[u8]]) -> io::Result<usize> {
        self.send_with(slices, SEND)
    }

    /// As [`Socket::send`], where more follows at once: what does not fill a packet waits for it.
    pub(crate) fn send_front(&self, slices: &[&[u8]]) -> io::Result<usize> {
        self.send_with(slices, SEND | SendFlags::MORE)
    }

    /// Sends what the socket takes of a vector.
    ///
    /// # Errors
    ///
    /// Those of the system, `WouldBlock` included.
    pub(crate) fn send_vector(&self, vector: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_vector_with(vector, SEND)
    }

    /// As [`Socket::send_vector`], where the end of our side follows at once: it leaves in the same packet.
    ///
    /// # Errors
    ///
    /// Those of the system, `WouldBlock` included.
    pub(crate) fn send_last_vector(&self, vector: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_vector_with(vector, SEND | SendFlags::MORE)
    }

    fn send_vector_with(&self, vector: &[IoSlice<'_>], flags: SendFlags) -> io::Result<usize> {
        Ok(sendmsg(
            self,
            vector,
            &mut SendAncillaryBuffer::default(),
            flags,
        )?)
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

    /// Sends up to `count` bytes of a file from `offset`, which is moved on. Answers how many it were; if they were
    /// less, the socket takes nothing now.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file is shorter than that.
    pub(crate) fn send_file(&self, file: &File, offset: &mut u64, count: u64) -> io::Result<u64> {
        without_sigpipe(|| {
            let mut left = count;
            while left > 0 {
                let piece = usize::try_from(left).unwrap_or(usize::MAX);
                match rustix::fs::sendfile(self, file, Some(offset), piece) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(sent) => {
                        left -= sent as u64;
                        // One that comes short does not say why. Another try would find a little room with every
                        // packet that the client takes; whether there is enough is what the reactor is told of.
                        if left > 0 && !self.has_room()? {
                            break;
                        }
                    }
                    Err(Errno::AGAIN) => break,
                    Err(Errno::INTR) => {}
                    Err(err) => return Err(err.into()),
                }
            }
            Ok(count - left)
        })
    }

    /// Whether the kernel would tell that there is room to send, or that the peer has left. If not, it will.
    fn has_room(&self) -> io::Result<bool> {
        let mut look = [PollFd::new(self, PollFlags::OUT)];
        match poll(&mut look, Some(&Timespec::default())) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(true),
            Err(err) => Err(err.into()),
        }
    }

    /// Whether there is something to read, the end included, as far as the kernel has it.
    pub(crate) fn has_input(&self) -> bool {
        let mut look = [PollFd::new(self, PollFlags::IN)];
        poll(&mut look, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Whether the peer has ended its side, or all of the connection.
    pub(crate) fn has_left(&self) -> bool {
        let left = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let mut look = [PollFd::new(self, left)];
        poll(&mut look, Some(&Timespec::default()))
            .is_ok_and(|_| look[0].revents().intersects(left))
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
        if let Socket::Tcp(stream) = self {
            // Fails only on a connection that is gone, which the first read will find.
            let _ = stream.set_nodelay(true);
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_duplicate_that_blocks_has_nobody_here_wait() {
        let (ours, theirs) = net::UnixStream::pair().expect("two sockets");
        let duplicate = ours.try_clone().expect("a duplicate");
        let socket = Socket::of(ours.into()).expect("a socket");
        duplicate.set_nonblocking(false).expect("a socket");
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let read = socket.receive(&mut Vec::with_capacity(1));
            let block = [0; 64 * 1024];
            while socket.send(&[&block]).expect("the peer is there") > 0 {}
            while socket.send(&[&block, &block]).expect("as above") > 0 {}
            let last = socket.send_last_vector(&[IoSlice::new(&block)]);
            tell.send((read.ok(), last.map_err(|err| err.kind()).err()))
        });
        let answer = told.recv_timeout(Duration::from_secs(30));
        let blocked = (Some(Received::Blocked), Some(io::ErrorKind::WouldBlock));
        assert_eq!(answer, Ok(blocked));
        drop(theirs);
    }
}
