//! One request and its response, in the hands of a gateway.
//!
//! While the client keeps up, the exchange *holds* the connection and writes to the socket itself:
//! no other thread is involved. At the first write that would block, the connection goes back to the
//! reactor, which sends what waits in the [`Outlet`], and the exchange goes on putting in. Requests
//! whose body is streamed, or that have a timeout, begin that way.
//!
//! A first block that is expected to be the last waits for the end on the [`shelf`], unless the reactor
//! comes for it.
//!
//! **Invariant:** a connection is held by one exchange, lies on the shelf, or is owned by the reactor.
//! **Invariant:** an exchange ends exactly once, by `respond`, `finish`, `abort` or being dropped.
//! Read next: `shelf.rs`, `outlet.rs`, `connection.rs`; `exchange/detached.rs` for gateways that are tasks, and
//! `exchange/coded.rs` for bodies that are compressed.

mod coded;
mod detached;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use kirsch_http::{
    CommonFields, ErrorAnswer, Outcome, ResponseBody, ResponseHead, Status, Version, error_response,
};
use tracing::{debug, warn};

use self::coded::Coded;
use crate::access_log::{Ending, Record};
use crate::body::Body;
use crate::compression::Plan;
use crate::connection::{Connection, Key};
use crate::date;
use crate::forecast::ForecastKey;
use crate::forwarded::Scheme;
use crate::intake::Intake;
use crate::outlet::{Ended, FileSource, Gone, Hold, Outlet, Piece, Put, Told};
use crate::reactor::Mail;
use crate::request::Request;
use crate::server::current_thread;
use crate::shared::{Counters, Shared};
use crate::shelf::{self, Lies};
use crate::thread_cap::ThreadCap;

pub use detached::Detached;

/// Bodies up to this size are copied behind the head and sent in one call without a vector.
const JOINED: usize = 16 * 1024;

/// So many bytes of a file a thread sends at once before others have their turn: as many as nginx
/// (`sendfile_max_chunk`), and few enough that it takes less than a tick of the watcher. The rest goes through the
/// reactor, which costs a job for each such piece.
pub(crate) const FILE_SHARE: u64 = 2 * 1024 * 1024;

/// Takes the place of our own version at the start of a head.
const HTTP_10: &[u8] = b"HTTP/1.0";

/// One request and its response.
#[doc(alias = "HTTPRequest")]
pub struct Exchange {
    /// `None` once the exchange has ended.
    request: Option<Box<Request>>,
    wire: Wire,
    stage: Stage,
    shared: Arc<Shared>,
    /// Where the threads of its application are counted, if they are.
    cap: Option<Arc<ThreadCap>>,
    status: u16,
    /// Bytes of content given to the wire, for the access log.
    sent: u64,
    /// What belongs to the bytes that [`Exchange::block`] left to [`Exchange::rest`].
    owed: Owed,
    /// The pipe of a request body that is still arriving.
    intake: Option<Arc<Intake>>,
    /// What kind of request it is, for the shelf.
    key: ForecastKey,
    /// Whether one small block was given, as a chunk, and no more.
    lone: Lone,
    /// What encodes the body, if anything may.
    coded: Option<Box<Coded>>,
    /// Whether the body may be encoded, as far as the settings and the gateway are concerned.
    compressible: bool,
}

/// Whether the body may turn out to be a single block, whose end nobody has announced.
#[derive(Clone, Copy)]
enum Lone {
    /// It has none yet, or more, or needs no last chunk.
    No,
    /// It was sent then.
    Sent(Instant),
    /// It was laid on the shelf.
    Shelved,
}

/// The framing of a block that did not fit into memory.
#[derive(Default)]
struct Owed {
    before: Vec<u8>,
    after: &'static [u8],
    /// Bytes at the end of the block that must not be sent, since the body was whole before them.
    overhang: usize,
}

/// How the response reaches the client.
pub(crate) enum Wire {
    /// The exchange writes to the socket.
    Held(Box<Connection>),
    /// The connection lies on the shelf with the first block. Whoever takes it from there sends that.
    Shelved(Key),
    /// The reactor writes, from the outlet.
    Remote(Arc<Outlet>, Key),
    /// The exchange has ended.
    Ended,
}

/// How far the response is.
enum Stage {
    Unanswered,
    /// The first block decides whether the body is encoded, and so on the head, which waits in `coded`.
    Undecided,
    /// The head is made but waits for the first block, with which it is sent.
    Head(Vec<u8>, ResponseBody),
    Body(ResponseBody),
    Ended,
}

/// What becomes of the connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The next request may come.
    Keep,
    /// It closes, after what was sent has arrived.
    Close,
    /// It closes, and the client can tell that the response is not whole: it has less than was announced.
    Abort,
    /// It is reset: the end of the connection delimits the response, so that a clean end would look whole.
    Reset,
}

impl Fate {
    fn ending(self) -> Ending {
        match self {
            Fate::Keep => Ending::Kept,
            Fate::Close => Ending::Closed,
            Fate::Abort | Fate::Reset => Ending::Aborted,
        }
    }
}

/// Whether a block is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Block {
    /// It is; the buffer it lay in is free again.
    Taken,
    /// The last `usize` bytes of it have to be given to [`Exchange::rest`], which may wait, or take its time to
    /// compress them. So it has to be called for none of them, too.
    Rest(usize),
}

/// How a response ended, for whoever called the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Bytes that `Content-Length` announced and the application did not give.
    pub missing: u64,
    /// Bytes that the application gave beyond what could be sent.
    pub overflow: u64,
}

impl Exchange {
    pub(crate) fn new(
        request: Box<Request>,
        wire: Wire,
        key: ForecastKey,
        cap: Option<Arc<ThreadCap>>,
        shared: Arc<Shared>,
    ) -> Exchange {
        let intake = match &request.body {
            Body::Stream(body) => Some(Arc::clone(&body.intake)),
            Body::Empty | Body::Memory(_) | Body::File(_) => None,
        };
        Exchange {
            request: Some(request),
            wire,
            stage: Stage::Unanswered,
            compressible: shared.config.compression.is_on(),
            shared,
            cap,
            status: 0,
            sent: 0,
            owed: Owed::default(),
            intake,
            key,
            lone: Lone::No,
            coded: None,
        }
    }

    /// The request.
    ///
    /// # Panics
    ///
    /// After the exchange has ended.
    pub fn request(&self) -> &Request {
        self.request.as_ref().expect("the exchange has not ended")
    }

    /// The request, to take its body.
    ///
    /// # Panics
    ///
    /// After the exchange has ended.
    pub fn request_mut(&mut self) -> &mut Request {
        self.request.as_mut().expect("the exchange has not ended")
    }

    /// Whether any byte of the response may be on its way, so that its head cannot be changed any more.
    pub fn is_begun(&self) -> bool {
        !matches!(self.stage, Stage::Unanswered)
    }

    /// Sees to it that the response is not compressed, whatever is configured: for gateways that have their
    /// content in several encodings already. To be called before the response begins.
    pub fn without_compression(&mut self) {
        self.compressible = false;
    }

    /// Gives the connection to the reactor, so that [`Exchange::is_gone`] tells when the client leaves while the gateway
    /// waits for something else than the client.
    pub fn watch(&mut self) {
        // A first block that was given before, and waits for the end.
        let shelved = self.take_down();
        self.wire = match std::mem::replace(&mut self.wire, Wire::Ended) {
            Wire::Held(mut connection) => {
                let outlet = Outlet::with(&self.shared, connection.may_keep(&self.shared));
                let wire = Wire::Remote(Arc::clone(&outlet), connection.key);
                // A new outlet takes everything.
                let _ = outlet.force(&shelved);
                connection.go_remote(Arc::clone(&outlet));
                self.shared.post(Mail::Return(connection));
                if self.shared.is_aborted() {
                    // Looked at behind the posting, as where an exchange hands its connection over.
                    outlet.abandon();
                }
                wire
            }
            wire @ (Wire::Remote(..) | Wire::Shelved(_) | Wire::Ended) => wire,
        };
    }

    /// Sends a whole response, with its length, and ends the exchange. A client that has left is no error here.
    pub fn respond(mut self, head: ResponseHead, body: &[u8]) {
        self.begin(head, Some(body.len() as u64));
        if self.put(body).is_ok() {
            self.finish();
        }
    }

    /// Begins the response: fixes its head, which is sent with the first block or at the end.
    ///
    /// `length` is the length of the whole body if the caller knows it.
    pub fn begin(&mut self, mut head: ResponseHead, length: Option<u64>) {
        debug_assert!(!self.is_begun(), "a response begins once");
        let Some(request) = &self.request else { return };
        if let Some(edits) = &request.edits {
            // First: what the operator sets may say what the content is, and whether it may be encoded.
            head.edit(edits);
        }
        if let Some(hsts) = &self.shared.hsts
            && request.scheme() == Scheme::Https
        {
            head.edit(hsts);
        }
        if !self.compressible {
            return self.fix(head, length);
        }
        match self
            .shared
            .config
            .compression
            .plan(request, &mut head, length)
        {
            Plan::AsItIs => self.fix(head, length),
            Plan::Encoded(coding) => {
                self.status = head.status_code();
                self.coded = Some(Box::new(Coded::new(coding, head, length)));
                self.stage = Stage::Undecided;
            }
        }
    }

    /// Completes the head with what is the server's, and decides how the body is framed.
    fn fix(&mut self, mut head: ResponseHead, length: Option<u64>) {
        let Some(request) = &self.request else { return };
        let shared = &*self.shared;
        let adds_id = shared.config.request_id && !head.has_request_id();
        let mut room = [0; 16];
        let date = date::now();
        let common = CommonFields {
            date: &date,
            server: shared.config.server_name.as_deref().map(str::as_bytes),
            request_id: adds_id.then(|| request.id().bytes(&mut room)),
            keep_alive: shared.told_keep_alive(),
        };
        let mut facts = request.head.facts();
        let http10 = shared.speaks_http10();
        if http10 && facts.version == Version::Http11 {
            // Its features are not spoken; whether an old client would want to stay was not asked.
            facts.version = Version::Http10;
            facts.keep_alive = false;
        }
        let keep = match &self.wire {
            Wire::Held(connection) => connection.may_keep(shared),
            Wire::Remote(outlet, _) => {
                let body = self.intake.as_ref();
                let clear = body.is_none_or(|intake| intake.may_keep(request.head.body));
                outlet.may_keep() && clear && !shared.is_draining()
            }
            Wire::Shelved(_) | Wire::Ended => false,
        };
        let body = head.finish(&facts, length, &common, keep);
        self.status = head.status_code();
        let mut front = head.into_bytes();
        if http10 {
            front.splice(..HTTP_10.len(), HTTP_10.iter().copied());
        }
        self.stage = Stage::Head(front, body);
    }

    /// Gives the next block of the body. Does not wait: what the client does not take now is kept, and
    /// what cannot be kept in memory is left to [`Exchange::rest`]. A small first block that is expected to be
    /// the last is sent with the end, or a tick or two of the watcher later, whatever the caller does.
    ///
    /// # Errors
    ///
    /// [`Gone`] if nobody will receive it.
    pub fn block(&mut self, data: &[u8]) -> Result<Block, Gone> {
        if self.coded.is_some() {
            return self.coded_block(data);
        }
        self.plain_block(data)
    }

    /// A block as it goes on the wire.
    fn plain_block(&mut self, data: &[u8]) -> Result<Block, Gone> {
        if data.is_empty() {
            return Ok(Block::Taken);
        }
        let first = matches!(self.stage, Stage::Head(..));
        let (front, mut body) = self.take_stage()?;
        let framed = body.frame(data.len());
        let overhang = data.len() - framed.take;
        let data = &data[..framed.take];
        self.stage = Stage::Body(body);
        self.sent += data.len() as u64;
        if front.is_empty() && data.is_empty() {
            return Ok(Block::Taken);
        }
        if body.is_complete_length() && body.keep_alive() && self.may_cork(front.len() + data.len())
        {
            // Whatever the application still does, the response is whole.
            self.cork([&front, data].concat());
            return Ok(Block::Taken);
        }
        let mut slices: [&[u8]; 4] = [&front, &framed.prefix, data, framed.suffix];
        if first && body.is_chunked() && front.len() + data.len() <= JOINED {
            if self.shared.shelf.expects_end(self.key) && self.shelve(&slices) {
                self.lone = Lone::Shelved;
                return Ok(Block::Taken);
            }
            self.lone = Lone::Sent(Instant::now());
        }
        if let Wire::Held(connection) = &mut self.wire {
            match send(connection, &front, &framed.prefix, data, framed.suffix) {
                Ok(sent) => skip(&mut slices, sent),
                Err(err) => return Err(self.lost(&err)),
            }
            if slices.iter().all(|slice| slice.is_empty()) {
                return Ok(Block::Taken);
            }
            self.hand_over();
        }
        self.put_remote(slices, framed.suffix, overhang)
    }

    /// Gives what [`Exchange::block`] left of a block. May write a file, and wait for the client.
    ///
    /// # Errors
    ///
    /// [`Gone`] if nobody will receive it, or the client did not take anything for too long.
    pub fn rest(&mut self, rest: &[u8]) -> Result<(), Gone> {
        if self.coded.is_some() {
            return self.coded_rest(rest);
        }
        self.plain_rest(rest)
    }

    /// The rest of a block as it goes on the wire.
    fn plain_rest(&mut self, rest: &[u8]) -> Result<(), Gone> {
        let Wire::Remote(outlet, key) = &self.wire else {
            return Err(Gone);
        };
        let owed = std::mem::take(&mut self.owed);
        let rest = &rest[..rest.len().saturating_sub(owed.overhang)];
        let hold = ThreadHold {
            shared: &self.shared,
            cap: self.cap.as_deref(),
            outlet,
            key: *key,
        };
        outlet.put_slowly(&[&owed.before, rest, owed.after], &self.shared, &hold)
    }

    /// Gives a block whose memory may be kept by reference while it waits for the client. May wait for the
    /// client, if the response buffer is full.
    ///
    /// # Errors
    ///
    /// [`Gone`] if nobody will receive it.
    pub fn shared_block(&mut self, data: Box<dyn AsRef<[u8]> + Send + Sync>) -> Result<(), Gone> {
        let len = (*data).as_ref().len();
        if len == 0 {
            return Ok(());
        }
        if self.decide((*data).as_ref())? {
            return self.put_encoded((*data).as_ref());
        }
        let (front, mut body) = self.take_stage()?;
        let framed = body.frame(len);
        self.stage = Stage::Body(body);
        self.sent += framed.take as u64;
        let mut sent = 0;
        if let Wire::Held(connection) = &mut self.wire {
            let bytes = &(*data).as_ref()[..framed.take];
            match connection
                .stream
                .send(&[&front, &framed.prefix, bytes, framed.suffix])
            {
                Ok(count) => sent = count,
                Err(err) => return Err(self.lost(&err)),
            }
            if sent == front.len() + framed.prefix.len() + framed.take + framed.suffix.len() {
                return Ok(());
            }
            self.hand_over();
        }
        let Wire::Remote(outlet, key) = &self.wire else {
            return Err(Gone);
        };
        // What was sent ended somewhere in these four, in this order.
        let mut unsent = |len: usize| {
            let skip = sent.min(len);
            sent -= skip;
            skip
        };
        let front = &front[unsent(front.len())..];
        let prefix = &framed.prefix[unsent(framed.prefix.len())..];
        let piece = Piece::Shared {
            bytes: data,
            start: unsent(framed.take),
            end: framed.take,
        };
        let suffix = &framed.suffix[unsent(framed.suffix.len())..];
        let hold = ThreadHold {
            shared: &self.shared,
            cap: self.cap.as_deref(),
            outlet,
            key: *key,
        };
        outlet.put_piece(&[front, prefix], piece, suffix, &self.shared, &hold)
    }

    /// Gives `count` bytes of a file from `offset` as a block. May wait for the disk, and for the client if
    /// hundreds of such blocks wait already.
    ///
    /// # Errors
    ///
    /// [`Gone`] if nobody will receive it, or the file is shorter than that: the response is aborted.
    pub fn file(&mut self, file: &Arc<File>, mut offset: u64, count: u64) -> Result<(), Gone> {
        if count == 0 || self.coded.is_some() && self.coded_file(file, offset, count)? {
            return Ok(());
        }
        let (front, mut body) = self.take_stage()?;
        let framed = body.frame(usize::try_from(count).unwrap_or(usize::MAX));
        self.stage = Stage::Body(body);
        self.sent += framed.take as u64;
        let mut left = framed.take as u64;
        let mut slices: [&[u8]; 4] = [&front, &framed.prefix, b"", framed.suffix];
        if let Wire::Held(connection) = &mut self.wire {
            match send_file(connection, &mut slices, file, &mut offset, &mut left) {
                Ok(true) => return Ok(()),
                Ok(false) => self.hand_over(),
                Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => {
                    warn!("a file became shorter while it was sent; its response is aborted");
                    self.abort();
                    return Err(Gone);
                }
                Err(err) => return Err(self.lost(&err)),
            }
        }
        let Wire::Remote(outlet, key) = &self.wire else {
            return Err(Gone);
        };
        let piece = Piece::File {
            file: FileSource::Given(Arc::clone(file)),
            offset,
            len: left,
        };
        let hold = ThreadHold {
            shared: &self.shared,
            cap: self.cap.as_deref(),
            outlet,
            key: *key,
        };
        outlet.put_piece(&slices[..2], piece, slices[3], &self.shared, &hold)
    }

    /// Ends the response: the body is whole. The connection is given back, whatever the caller still does.
    pub fn finish(&mut self) -> Finished {
        match self.coded.take() {
            Some(coded) => self.coded_finish(*coded),
            None => self.plain_finish(b""),
        }
    }

    /// Ends the response with the last bytes of its body, which no block has held.
    fn plain_finish(&mut self, last: &[u8]) -> Finished {
        let lone = self.lone;
        let Ok((mut front, mut body)) = self.take_stage() else {
            return Finished {
                missing: 0,
                overflow: 0,
            };
        };
        let overflow = body.overflow();
        // Framed before the end is.
        let last = (!last.is_empty()).then(|| (body.frame(last.len()), last));
        let ended = body.end();
        let (fate, missing) = match ended.outcome {
            Outcome::Complete if body.keep_alive() => (Fate::Keep, 0),
            Outcome::Complete => (Fate::Close, 0),
            Outcome::Short { missing } => (Fate::Abort, missing),
        };
        if body.is_chunked() {
            let soon = match lone {
                Lone::No => false,
                Lone::Sent(at) => at.elapsed() < shelf::SOON,
                // Else the reactor was there first.
                Lone::Shelved => !front.is_empty(),
            };
            self.shared.shelf.learn(self.key, soon);
            if !front.is_empty() {
                Counters::count(&self.shared.counters.joined);
            }
        }
        if let Some((framed, last)) = last {
            self.sent += framed.take as u64;
            front.extend_from_slice(&framed.prefix);
            front.extend_from_slice(&last[..framed.take]);
            front.extend_from_slice(framed.suffix);
        }
        front.extend_from_slice(ended.tail);
        self.end(&front, fate);
        Finished { missing, overflow }
    }

    /// Ends the response without completing it: what was sent stays sent, and the client can tell that
    /// it is not whole. Unanswered, the client gets a 500.
    pub fn abort(&mut self) {
        self.coded = None;
        match self.stage {
            Stage::Unanswered => self.answer(&ErrorAnswer::new(Status(500), FAILED)),
            Stage::Undecided | Stage::Head(..) => {
                self.stage = Stage::Unanswered;
                self.answer(&ErrorAnswer::new(Status(500), FAILED));
            }
            Stage::Body(body) => {
                let front = self.take_down();
                let fate = if body.is_until_close() {
                    Fate::Reset
                } else {
                    Fate::Abort
                };
                self.end(&front, fate);
            }
            Stage::Ended => {}
        }
    }

    /// Ends the response at the end of a drain, which the application has not heard of: what it gives from now
    /// on is [`Gone`]. The client can tell that the response is not whole.
    pub fn cut(&mut self) {
        let Some(request) = &self.request else { return };
        warn!(
            request = %request.id(),
            asks_for = request.asks_for(),
            running_for = ?request.received.elapsed(),
            "cut at the end of the drain"
        );
        if matches!(self.stage, Stage::Unanswered) {
            // What a client would have been told: not the application's mistake.
            self.status = 503;
        }
        self.coded = None;
        let _ = self.take_down();
        self.end(&[], Fate::Reset);
    }

    /// Ends the connection without an answer, or within one.
    pub fn hang_up(&mut self) {
        let begun = matches!(self.stage, Stage::Body(_));
        self.coded = None;
        let _ = self.take_down();
        self.end(&[], if begun { Fate::Reset } else { Fate::Close });
    }

    /// The connection's socket, while the exchange writes to it itself; over TLS nobody else may write to it.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        match &self.wire {
            Wire::Held(connection) if connection.stream.is_secure() => None,
            Wire::Held(connection) => Some(connection.stream.as_fd()),
            Wire::Shelved(_) | Wire::Remote(..) | Wire::Ended => None,
        }
    }

    /// Parts with the connection, which the caller goes on with: a duplicate of its socket, and what the client has
    /// sent behind the request. Ends the exchange; nothing of a response that was not sent yet is sent any more.
    ///
    /// `None`, and nothing happens, over TLS, where the socket alone is of no use, and once the reactor sends the
    /// response.
    ///
    /// # Errors
    ///
    /// If there is no descriptor left for it.
    pub fn take_socket(&mut self) -> io::Result<Option<(OwnedFd, Vec<u8>)>> {
        let Some(socket) = self.socket() else {
            return Ok(None);
        };
        let socket = socket.try_clone_to_owned()?;
        self.stage = Stage::Ended;
        self.coded = None;
        let mut behind = Vec::new();
        if let Some(request) = self.request.take()
            && let Wire::Held(mut connection) = std::mem::replace(&mut self.wire, Wire::Ended)
        {
            behind = std::mem::take(&mut connection.ahead);
            if let Some(record) = self.record(request, Ending::Closed) {
                self.shared.log(record);
            }
            connection.part();
            self.shared.post(Mail::Return(connection));
        }
        Ok(Some((socket, behind)))
    }

    /// Answers in the server's own name, if nothing was sent yet, and ends the exchange.
    pub fn answer(&mut self, answer: &ErrorAnswer) {
        if !matches!(self.stage, Stage::Unanswered) {
            return;
        }
        let Some(request) = &self.request else { return };
        let facts = request.head.facts();
        let keep = match &self.wire {
            Wire::Held(connection) => connection.may_keep(&self.shared),
            Wire::Shelved(_) | Wire::Remote(..) | Wire::Ended => false,
        };
        let answer = if keep {
            answer.keeping(&facts)
        } else {
            answer.to(&facts)
        };
        let mut out = Vec::with_capacity(512);
        self.sent = own_response(&answer, &self.shared, Some(request), &mut out);
        self.status = answer.status_code();
        self.end(
            &out,
            if answer.keep_alive() {
                Fate::Keep
            } else {
                Fate::Close
            },
        );
    }

    /// Whether another block may still be sent: not after all of `Content-Length`, and more, was given, and
    /// not where the response has no content.
    pub fn wants_more(&self) -> bool {
        match &self.stage {
            Stage::Unanswered | Stage::Undecided => true,
            Stage::Head(_, body) | Stage::Body(body) => {
                body.sends_body() && body.overflow() == 0 && self.coded_overflow() == 0
            }
            Stage::Ended => false,
        }
    }

    /// Whether more was given than all of `Content-Length`.
    pub fn is_overfull(&self) -> bool {
        match &self.stage {
            Stage::Head(_, body) | Stage::Body(body) => {
                body.sends_body() && body.overflow() + self.coded_overflow() > 0
            }
            Stage::Unanswered | Stage::Undecided | Stage::Ended => false,
        }
    }

    /// What was given beyond what was announced, before it was encoded.
    fn coded_overflow(&self) -> u64 {
        self.coded.as_ref().map_or(0, |coded| coded.overflow())
    }

    /// Whether the client is known to have left. While the exchange writes to the socket itself, only the next
    /// block can tell.
    pub fn is_gone(&self) -> bool {
        match &self.wire {
            Wire::Held(_) | Wire::Shelved(_) => false,
            Wire::Remote(outlet, _) => outlet.is_gone(),
            Wire::Ended => true,
        }
    }

    /// Gives a block and whatever it takes to get rid of it: [`Exchange::block`], then [`Exchange::rest`]. Waits
    /// only when the response buffer is full.
    ///
    /// # Errors
    ///
    /// [`Gone`] if nobody will receive it, or the client did not take anything for too long.
    pub fn put(&mut self, data: &[u8]) -> Result<(), Gone> {
        match self.block(data)? {
            Block::Taken => Ok(()),
            Block::Rest(count) => self.rest(&data[data.len() - count..]),
        }
    }

    /// As [`Exchange::put`], of bytes as they go on the wire.
    fn plain_put(&mut self, data: &[u8]) -> Result<(), Gone> {
        match self.plain_block(data)? {
            Block::Taken => Ok(()),
            Block::Rest(count) => self.plain_rest(&data[data.len() - count..]),
        }
    }

    /// Whether the rest of a response, so many bytes of it, may wait to be sent together with others.
    fn may_cork(&self, len: usize) -> bool {
        matches!(self.wire, Wire::Held(_)) && len <= JOINED && self.shared.cork.holds()
    }

    /// Gives the connection back with the rest of a response, after which it is kept.
    fn cork(&mut self, rest: Vec<u8>) {
        if let Some(request) = self.request.take()
            && let Wire::Held(mut connection) = std::mem::replace(&mut self.wire, Wire::Ended)
        {
            Counters::count(&self.shared.counters.corked);
            match self.shared.access_log {
                None => connection.cork(rest, Some(request), None),
                Some(_) => connection.cork(rest, None, self.record(request, Ending::Kept)),
            }
            self.shared.post(Mail::Return(connection));
        }
    }

    /// Lays the connection on the shelf with the first block, all of it, unless somebody drives the reactor.
    /// Answers whether the block is on its way.
    fn shelve(&mut self, block: &[&[u8]; 4]) -> bool {
        match std::mem::replace(&mut self.wire, Wire::Ended) {
            Wire::Held(connection) => {
                self.wire = Wire::Shelved(connection.key);
                self.shared.shelf.lay(connection, block.concat());
            }
            other => {
                self.wire = other;
                return false;
            }
        }
        // Only now may somebody come for it. If one has come already, the block is sent all the same.
        self.shared.leave(Mail::Shelf)
            || (self.take_down().is_empty() && matches!(self.wire, Wire::Remote(..)))
    }

    /// Takes the connection back from the shelf. Answers the block, unless the reactor has taken it.
    fn take_down(&mut self) -> Vec<u8> {
        let Wire::Shelved(key) = self.wire else {
            return Vec::new();
        };
        match self.shared.shelf.take_down(key) {
            Some(Lies::Untouched(connection, block)) => {
                self.wire = Wire::Held(connection);
                block
            }
            Some(Lies::Sent(outlet)) => {
                self.wire = Wire::Remote(outlet, key);
                Vec::new()
            }
            None => {
                debug_assert!(false, "what was shelved lies there until it is taken down");
                self.wire = Wire::Ended;
                Vec::new()
            }
        }
    }

    /// Sends the last bytes and parts with the connection.
    fn end(&mut self, tail: &[u8], fate: Fate) {
        self.stage = Stage::Ended;
        if fate == Fate::Keep && !tail.is_empty() && self.may_cork(tail.len()) {
            return self.cork(tail.to_vec());
        }
        let Some(request) = self.request.take() else {
            return;
        };
        match std::mem::replace(&mut self.wire, Wire::Ended) {
            Wire::Held(mut connection) => {
                let sent = if tail.is_empty() {
                    Ok(0)
                } else {
                    connection.stream.send(&[tail])
                };
                match sent {
                    Ok(sent) if sent == tail.len() => {
                        let spare = self.record_or_spare(request, fate.ending());
                        connection.finished(fate, spare);
                    }
                    Ok(sent) => {
                        let outlet = Outlet::new(&self.shared);
                        let _ = outlet.force(&tail[sent..]);
                        // The connection learns it when it has sent the tail.
                        let _ = outlet.end(Ended {
                            fate,
                            record: self.record(request, fate.ending()),
                        });
                        connection.go_remote(outlet);
                    }
                    Err(err) => {
                        debug!(%err, "the client left before its response was sent");
                        let spare = self.record_or_spare(request, Ending::Aborted);
                        connection.lost(spare);
                    }
                }
                self.shared.post(Mail::Return(connection));
            }
            Wire::Remote(outlet, key) => {
                let forced = outlet.force(tail).unwrap_or(false);
                let ended = Ended {
                    fate,
                    record: self.record(request, fate.ending()),
                };
                match outlet.end(ended) {
                    Told::Starved => self.shared.post(Mail::Output(key)),
                    Told::Later if forced => self.shared.post(Mail::Output(key)),
                    Told::Later => {}
                    Told::Nobody(ended) => {
                        if let Some(record) = ended.record {
                            self.shared.log(record);
                        }
                    }
                }
            }
            Wire::Shelved(_) | Wire::Ended => {}
        }
    }

    /// What stands in front of the next bytes and is not on its way yet, and the body they belong to.
    fn take_stage(&mut self) -> Result<(Vec<u8>, ResponseBody), Gone> {
        self.lone = Lone::No;
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Head(front, body) => Ok((front, body)),
            Stage::Body(body) => Ok((self.take_down(), body)),
            early @ (Stage::Unanswered | Stage::Undecided) => {
                debug_assert!(false, "a block before begin(), or before it was decided on");
                self.stage = early;
                Err(Gone)
            }
            Stage::Ended => Err(Gone),
        }
    }

    /// The socket would block: the connection goes back to the reactor.
    fn hand_over(&mut self) {
        let Wire::Held(_) = &self.wire else { return };
        let outlet = Outlet::new(&self.shared);
        if let Wire::Held(mut connection) = std::mem::replace(&mut self.wire, Wire::Ended) {
            Counters::count(&self.shared.counters.remote);
            let key = connection.key;
            connection.go_remote(Arc::clone(&outlet));
            self.wire = Wire::Remote(Arc::clone(&outlet), key);
            self.shared.post(Mail::Return(connection));
            if self.shared.is_aborted() {
                // Looked at behind the posting: a letter that comes before `Abort` is read before it.
                outlet.abandon();
            }
        }
    }

    /// Puts in what the socket did not take: of the head, the block's prefix, the block and its suffix.
    fn put_remote(
        &mut self,
        slices: [&[u8]; 4],
        suffix: &'static [u8],
        overhang: usize,
    ) -> Result<Block, Gone> {
        let Wire::Remote(outlet, key) = &self.wire else {
            return Err(Gone);
        };
        match outlet.put(&slices, self.shared.config.limits.response_memory_bytes)? {
            Put::Taken { notify } => {
                if notify {
                    self.shared.post(Mail::Output(*key));
                }
                Ok(Block::Taken)
            }
            Put::Full => {
                let [front, prefix, data, unsent_suffix] = slices;
                self.owed = Owed {
                    before: [front, prefix].concat(),
                    after: &suffix[suffix.len() - unsent_suffix.len()..],
                    overhang,
                };
                Ok(Block::Rest(data.len() + overhang))
            }
        }
    }

    /// The held connection failed: it goes back to be closed.
    fn lost(&mut self, err: &io::Error) -> Gone {
        debug!(%err, "the client left while its response was sent");
        self.stage = Stage::Ended;
        if let Some(request) = self.request.take() {
            let spare = self.record_or_spare(request, Ending::Aborted);
            if let Wire::Held(mut connection) = std::mem::replace(&mut self.wire, Wire::Ended) {
                connection.lost(spare);
                self.shared.post(Mail::Return(connection));
            }
        }
        Gone
    }

    /// Logs the exchange, or gives the request's buffers back for the next one.
    fn record_or_spare(&self, request: Box<Request>, ending: Ending) -> Option<Box<Request>> {
        match &self.shared.access_log {
            None => Some(request),
            Some(log) => {
                log.write(self.make_record(request, ending));
                None
            }
        }
    }

    fn record(&self, request: Box<Request>, ending: Ending) -> Option<Record> {
        self.shared
            .access_log
            .as_ref()
            .map(|_| self.make_record(request, ending))
    }

    fn make_record(&self, request: Box<Request>, ending: Ending) -> Record {
        Record::new(request, self.status, self.sent, ending)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // A gateway that panicked, or returned without an answer.
        self.abort();
    }
}

const FAILED: &str = "the application failed; the server's log says why";

/// Writes a response of the server's own. Answers how many of its bytes are content.
pub(crate) fn own_response(
    answer: &ErrorAnswer,
    shared: &Shared,
    request: Option<&Request>,
    out: &mut Vec<u8>,
) -> u64 {
    let mut room = [0; 16];
    let id = request.filter(|_| shared.config.request_id);
    let date = date::now();
    let common = CommonFields {
        date: &date,
        server: shared.config.server_name.as_deref().map(str::as_bytes),
        request_id: id.map(|request| request.id().bytes(&mut room)),
        keep_alive: shared.told_keep_alive(),
    };
    let content = error_response(answer, &common, out);
    if let Some(edits) = request.and_then(|request| request.edits.as_ref()) {
        edits.apply(out, content);
    }
    if let Some(hsts) = &shared.hsts
        && request.is_some_and(|request| request.scheme() == Scheme::Https)
    {
        hsts.apply(out, content);
    }
    content as u64
}

/// Sends in the cheapest way: small blocks are copied behind the head, since a vector of slices costs
/// the kernel more than the copy.
fn send(
    connection: &mut Connection,
    front: &[u8],
    prefix: &[u8],
    data: &[u8],
    suffix: &[u8],
) -> io::Result<usize> {
    let total = front.len() + prefix.len() + data.len() + suffix.len();
    if total == data.len() {
        return connection.stream.send(&[data]);
    }
    if total > JOINED {
        return connection.stream.send(&[front, prefix, data, suffix]);
    }
    JOIN.with_borrow_mut(|joined| {
        joined.clear();
        for slice in [front, prefix, data, suffix] {
            joined.extend_from_slice(slice);
        }
        connection.stream.send(&[joined])
    })
}

/// Sends what the socket takes of a block that lies in a file, and of its framing. Answers whether that
/// was all of it.
fn send_file(
    connection: &mut Connection,
    slices: &mut [&[u8]; 4],
    file: &File,
    offset: &mut u64,
    left: &mut u64,
) -> io::Result<bool> {
    if !slices[0].is_empty() || !slices[1].is_empty() {
        let front = if slices[1].is_empty() {
            &slices[..1]
        } else {
            &slices[..2]
        };
        let sent = connection.stream.send_front(front)?;
        skip(slices, sent);
        if !slices[0].is_empty() || !slices[1].is_empty() {
            return Ok(false);
        }
    }
    let share = (*left).min(FILE_SHARE);
    let sent = connection.stream.send_file(file, offset, share)?;
    *left -= sent;
    if sent < share {
        // The reactor need not try before the kernel tells it.
        connection.readiness.writable = false;
    }
    if *left > 0 {
        return Ok(false);
    }
    if !slices[3].is_empty() {
        let sent = connection.stream.send(&slices[3..])?;
        skip(slices, sent);
    }
    Ok(slices[3].is_empty())
}

thread_local! {
    static JOIN: std::cell::RefCell<Vec<u8>> = std::cell::RefCell::new(Vec::with_capacity(JOINED));
}

/// Moves `slices` on by `count` bytes.
fn skip(slices: &mut [&[u8]; 4], mut count: usize) {
    for slice in slices {
        let step = count.min(slice.len());
        *slice = &slice[step..];
        count -= step;
    }
}

struct ThreadHold<'a> {
    shared: &'a Shared,
    cap: Option<&'a ThreadCap>,
    outlet: &'a Arc<Outlet>,
    key: Key,
}

impl Hold for ThreadHold<'_> {
    fn begin(&self) {
        let Some(pool) = self.shared.pool() else {
            return;
        };
        let thread = current_thread(self.shared);
        if let Some(slowest) = self.shared.holds.begin(self.outlet, pool, thread) {
            warn!("every thread waits for a slow client; the slowest response is aborted");
            slowest.abandon();
        }
        if let Some(slowest) = self.cap.and_then(|cap| cap.begin_hold(self.outlet)) {
            warn!(
                "every thread of an application waits for a slow client; the slowest response is aborted"
            );
            slowest.abandon();
        }
    }

    fn end(&self) {
        if let Some(cap) = self.cap {
            cap.end_hold(self.outlet);
        }
        let Some(pool) = self.shared.pool() else {
            return;
        };
        let thread = current_thread(self.shared);
        self.shared.holds.end(self.outlet, pool, thread);
    }

    fn notify(&self) {
        self.shared.post(Mail::Output(self.key));
    }
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchange")
            .field("request", &self.request)
            .field("status", &self.status)
            .finish()
    }
}
