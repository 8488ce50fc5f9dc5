//! The body of a request as a service reads it: buffered by the server, or still arriving.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use kirsch_server::{Body, BodyLength, Request, StreamBody};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Bytes read from a file at once: enough that the way to another thread and back hardly counts.
const PIECE: usize = 128 * 1024;

/// The body of a request.
///
/// A streamed one has at most 256 KiB in the server, and as much in a frame that the service has taken; then the
/// client waits. It asks the client for the body (`100 Continue`) when it is first polled. A buffered one is a single
/// frame as long as it is in memory; from a file it is read piece by piece, on tokio's threads for blocking work.
/// Trailers are not handed on.
///
/// Its error says why a body ended early. After the response has ended, the rest of a streamed body does.
#[derive(Debug)]
pub struct RequestBody {
    source: Source,
    /// Bytes still to come, where their number is known.
    left: Option<u64>,
}

#[derive(Debug, Default)]
enum Source {
    /// There is nothing more.
    #[default]
    Ended,
    Memory(Bytes),
    File(Body, Handle),
    /// Another thread reads from the file.
    Reading(JoinHandle<(Body, io::Result<Bytes>)>, Handle),
    Stream(StreamBody),
}

impl RequestBody {
    /// Takes the body of a request. Files are read on threads of `runtime`.
    pub(crate) fn take(request: &mut Request, runtime: Handle) -> RequestBody {
        let announced = match request.head().body {
            BodyLength::None => Some(0),
            BodyLength::Known(length) => Some(length),
            BodyLength::Chunked => None,
        };
        let body = request.take_body();
        let left = body.len().or(announced);
        let source = match body {
            Body::Empty => Source::Ended,
            // In memory it counts as the server's until the service has dropped it.
            Body::Memory(body) => Source::Memory(Bytes::from_owner(body)),
            Body::File(_) => Source::File(body, runtime),
            Body::Stream(body) => Source::Stream(body),
        };
        RequestBody { source, left }
    }

    fn poll_bytes(&mut self, task: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            match mem::take(&mut self.source) {
                Source::Ended => return Poll::Ready(Ok(Bytes::new())),
                Source::Memory(bytes) => return Poll::Ready(Ok(bytes)),
                Source::File(body, runtime) => {
                    let reading = runtime.spawn_blocking(|| read_piece(body));
                    self.source = Source::Reading(reading, runtime);
                }
                Source::Reading(mut reading, runtime) => {
                    let Poll::Ready(read) = Pin::new(&mut reading).poll(task) else {
                        self.source = Source::Reading(reading, runtime);
                        return Poll::Pending;
                    };
                    // The runtime ends, or reading has panicked.
                    let (body, read) = read.map_err(io::Error::other)?;
                    let bytes = read?;
                    if !bytes.is_empty() {
                        self.source = Source::File(body, runtime);
                    }
                    return Poll::Ready(Ok(bytes));
                }
                Source::Stream(mut body) => {
                    let taken = body.poll_take(task);
                    if !matches!(&taken, Poll::Ready(Ok(bytes)) if bytes.is_empty()) {
                        self.source = Source::Stream(body);
                    }
                    return taken.map_ok(Bytes::from);
                }
            }
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.is_end_stream() {
            return Poll::Ready(None);
        }
        let bytes = match ready!(self.poll_bytes(task)) {
            Ok(bytes) => bytes,
            Err(err) => {
                *self = RequestBody {
                    source: Source::Ended,
                    left: Some(0),
                };
                return Poll::Ready(Some(Err(err)));
            }
        };
        if bytes.is_empty() {
            self.left = Some(0);
            return Poll::Ready(None);
        }
        self.left = self
            .left
            .map(|left| left.saturating_sub(bytes.len() as u64));
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

fn read_piece(mut body: Body) -> (Body, io::Result<Bytes>) {
    let mut piece = vec![0; PIECE];
    let read = body.read(&mut piece).map(|count| {
        piece.truncate(count);
        Bytes::from(piece)
    });
    (body, read)
}
