//! A request body as a gateway reads it: in memory, in a spool file, or still arriving.
//!
//! Read next: `intake.rs`, the pipe of a body that is still arriving.

use std::fmt;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::budget::{Charge, Spooled};
use crate::intake::Intake;

/// A request body; reading moves through it.
#[derive(Default)]
pub enum Body {
    /// There is none, or it was read.
    #[default]
    Empty,
    /// All of it, in memory.
    Memory(MemoryBody),
    /// All of it, in a file without a name.
    File(FileBody),
    /// Still arriving.
    Stream(StreamBody),
}

/// A body in memory.
pub struct MemoryBody {
    pub(crate) bytes: Vec<u8>,
    pub(crate) position: usize,
    pub(crate) _charge: Option<Charge>,
}

/// A body in a spool file.
pub struct FileBody {
    pub(crate) content: Arc<Spooled>,
    pub(crate) len: u64,
    pub(crate) position: u64,
}

/// A body that is still arriving.
pub struct StreamBody {
    pub(crate) intake: Arc<Intake>,
}

impl MemoryBody {
    /// The unread bytes.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.drain(..self.position);
        self.bytes
    }
}

/// The unread bytes. They count towards the buffers' memory until it is dropped.
impl AsRef<[u8]> for MemoryBody {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(self.position..).unwrap_or_default()
    }
}

impl StreamBody {
    /// Takes all that has arrived, for a task that must not wait; nothing at the end. If nothing has arrived yet, the
    /// task is woken when something has. One task at a time may wait.
    ///
    /// # Errors
    ///
    /// `ConnectionAborted` with a text that says why the body ended early.
    pub fn poll_take(&mut self, task: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        self.intake.poll_take(task)
    }
}

impl Body {
    pub(crate) fn in_memory(bytes: Vec<u8>, charge: Option<Charge>) -> Body {
        match bytes.is_empty() {
            true => Body::Empty,
            false => Body::Memory(MemoryBody {
                bytes,
                position: 0,
                _charge: charge,
            }),
        }
    }

    /// Reads what is there, at most `buf.len()` bytes; 0 at the end. May block: on the disk, or on a
    /// client that is still sending.
    ///
    /// # Errors
    ///
    /// The disk's, or `ConnectionAborted` with a text that says why a streamed body ended early.
    pub fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Body::Empty => Ok(0),
            Body::Memory(body) => {
                let rest = &body.bytes[body.position..];
                let count = rest.len().min(buf.len());
                buf[..count].copy_from_slice(&rest[..count]);
                body.position += count;
                Ok(count)
            }
            Body::File(body) => {
                let rest = body.len - body.position;
                let count = buf.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
                let file = &body.content.file;
                let count = loop {
                    match file.read_at(&mut buf[..count], body.position) {
                        Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                        read => break read?,
                    }
                };
                if count == 0 && rest > 0 && !buf.is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                body.position += count as u64;
                Ok(count)
            }
            Body::Stream(body) => body.intake.read(buf),
        }
    }

    /// Whether a read may wait for the disk or the client, so that locks should be released around it.
    pub fn may_block(&self) -> bool {
        matches!(self, Body::File(_) | Body::Stream(_))
    }

    /// The length, where all of it has arrived.
    pub fn len(&self) -> Option<u64> {
        match self {
            Body::Empty => Some(0),
            Body::Memory(body) => Some(body.bytes.len() as u64),
            Body::File(body) => Some(body.len),
            Body::Stream(_) => None,
        }
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// The unread bytes of a body in memory, without copying; `None` for others.
    pub fn memory(&self) -> Option<&[u8]> {
        match self {
            Body::Empty => Some(b""),
            Body::Memory(body) => Some(body.as_ref()),
            Body::File(_) | Body::Stream(_) => None,
        }
    }
}

impl fmt::Debug for StreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamBody")
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Body::Empty => f.write_str("Empty"),
            Body::Memory(body) => write!(f, "Memory({} bytes)", body.bytes.len()),
            Body::File(body) => write!(f, "File({} bytes)", body.len),
            Body::Stream(_) => f.write_str("Stream"),
        }
    }
}
