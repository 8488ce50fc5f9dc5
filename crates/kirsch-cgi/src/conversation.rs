//! The bytes between a client and a running script, in all directions at once.
//!
//! One thread waits for whatever is possible next: the script takes of the body, gives of its answer, complains, or
//! ends, and the client sends more of it. So neither side can hold the other up by what it does first. A client that is slow fills the response
//! buffer, and then the script waits in its own write.
//! It does not know where the script came from; `gateway.rs` starts it, `answer.rs` reads its head.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use kirsch_server::{Exchange, Gone};
use rustix::event::{PollFd, PollFlags, poll};
use tracing::warn;

use crate::answer::{Answer, HEAD_BYTES, Nonsense, head_end, read};
use crate::input::{Input, Needs};
use crate::process::{Process, timespec, was_cut};

/// What is moved at once: as much as a pipe holds.
const PIECE: usize = 64 * 1024;

/// A client that leaves is noticed by the reactor, and here at the latest after so long.
const LOOK: Duration = Duration::from_millis(250);

/// How long a script that has closed its output may take to end, before its answer counts as whole.
const GRACE: Duration = Duration::from_secs(1);

/// Bytes of complaints that one run may write into the log.
const COMPLAINTS: usize = 64 * 1024;

/// A script's run for one request.
pub(crate) struct Conversation<'a> {
    pub(crate) exchange: &'a mut Exchange,
    pub(crate) process: Process,
    pub(crate) deadline: Instant,
    pub(crate) complaints: Complaints,
    input: Input,
    output: Output,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The client has its answer, or can tell that it is not whole.
    Answered,
    /// Another script is to answer.
    Elsewhere(Vec<u8>),
}

/// Why there is no answer, or no whole one.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the script wrote is none.
    Nonsense(Nonsense),
    /// The time was over.
    Late,
    /// The client has left.
    Gone,
    /// The client has not sent all of the body.
    BodyBroken(io::Error),
    /// A pipe, or the body's file, failed.
    System(io::Error),
}

/// How far the script's output is.
enum Output {
    Head(Vec<u8>),
    Body,
}

/// What a script writes to its standard error, line by line into the log.
pub(crate) struct Complaints {
    pub(crate) script: String,
    pub(crate) request: String,
    line: Vec<u8>,
    written: usize,
}

/// What one look at the output has found.
enum Seen {
    /// Nothing more for now.
    All,
    /// Its end.
    End,
    /// That another script is to answer.
    Elsewhere(Vec<u8>),
}

impl<'a> Conversation<'a> {
    pub(crate) fn new(
        exchange: &'a mut Exchange,
        process: Process,
        input: Input,
        deadline: Instant,
        complaints: Complaints,
    ) -> Conversation<'a> {
        Conversation {
            exchange,
            process,
            deadline,
            complaints,
            input,
            output: Output::Head(Vec::new()),
        }
    }

    /// Runs to the end.
    pub(crate) fn run(mut self) -> Result<Ending, Failure> {
        // So that the reactor notices a client that leaves while the script still thinks.
        self.exchange.watch();
        loop {
            self.feed()?;
            let ended = self.wait()?;
            self.listen();
            match self.take()? {
                Seen::Elsewhere(target) => {
                    // It has said all it had to, and may tidy up.
                    self.process.wait_until(self.soon());
                    self.listen();
                    return Ok(Ending::Elsewhere(target));
                }
                Seen::End => return self.end(),
                // All that it wrote was read; what others still hold the pipe for is not its answer.
                Seen::All if ended => return self.end(),
                Seen::All => {}
            }
            if Instant::now() >= self.deadline {
                return Err(Failure::Late);
            }
            if self.exchange.is_gone() {
                return Err(Failure::Gone);
            }
        }
    }

    /// Waits until something is possible, and answers whether the script has ended.
    fn wait(&self) -> Result<bool, Failure> {
        let process = &self.process;
        let left = self.deadline.saturating_duration_since(Instant::now());
        let mut fds = vec![PollFd::new(&process.end, PollFlags::IN)];
        let stdout = process.stdout.as_ref().map(AsFd::as_fd);
        let stderr = process.stderr.as_ref().map(AsFd::as_fd);
        let stdin = process.stdin.as_ref().map(AsFd::as_fd);
        let stdin = stdin.filter(|_| self.input.needs() == Needs::Script);
        fds.extend(stdout.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        fds.extend(stderr.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        fds.extend(stdin.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::OUT)));
        let arrival = self.input.arrival();
        fds.extend(arrival.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        match poll(&mut fds, Some(&timespec(left.min(LOOK)))) {
            Ok(_) => Ok(!fds[0].revents().is_empty()),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(err) => Err(Failure::System(err.into())),
        }
    }

    fn feed(&mut self) -> Result<(), Failure> {
        let fed = self.input.feed(&mut self.process.stdin);
        fed.map_err(|err| match err.kind() {
            io::ErrorKind::ConnectionAborted => Failure::BodyBroken(err),
            _ => Failure::System(err),
        })
    }

    /// Takes what the script has written, and gives it to the client.
    fn take(&mut self) -> Result<Seen, Failure> {
        let mut piece = [0; PIECE];
        loop {
            let Some(stdout) = &mut self.process.stdout else {
                return Ok(Seen::End);
            };
            match stdout.read(&mut piece) {
                Ok(0) => return Ok(Seen::End),
                Ok(count) => {
                    if let Some(target) = self.give(&piece[..count])? {
                        return Ok(Seen::Elsewhere(target));
                    }
                    // A script that never stops writing must not keep its body waiting, nor outlive its time.
                    if self.process.stdin.is_some() || Instant::now() >= self.deadline {
                        return Ok(Seen::All);
                    }
                }
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Ok(Seen::All),
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) => return Err(Failure::System(err)),
            }
        }
    }

    /// Gives bytes of the output to the client; answers the target of a local redirect.
    fn give(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        let Output::Head(head) = &mut self.output else {
            return self.put(bytes).map(|()| None);
        };
        let seen = head.len();
        head.extend_from_slice(bytes);
        let Some((end, body)) = head_end(head, seen) else {
            return match head.len() > HEAD_BYTES {
                true => Err(Failure::Nonsense(Nonsense::TooLong)),
                false => Ok(None),
            };
        };
        if end > HEAD_BYTES {
            return Err(Failure::Nonsense(Nonsense::TooLong));
        }
        match read(&head[..end]).map_err(Failure::Nonsense)? {
            Answer::Elsewhere(target) => Ok(Some(target)),
            Answer::Client(answer) => {
                let rest = head.split_off(body);
                self.output = Output::Body;
                self.exchange.begin(answer, None);
                self.put(&rest).map(|()| None)
            }
        }
    }

    /// Sends a block of the body; what the response cannot have is dropped, and the script not told.
    fn put(&mut self, block: &[u8]) -> Result<(), Failure> {
        if block.is_empty() || !self.exchange.wants_more() {
            return Ok(());
        }
        self.exchange.put(block).map_err(|Gone| Failure::Gone)
    }

    /// The script has written all it had to.
    fn end(mut self) -> Result<Ending, Failure> {
        let status = self.process.wait_until(self.soon());
        self.listen();
        self.complaints.end();
        if let Output::Head(_) = self.output {
            return Err(Failure::Nonsense(Nonsense::NoHead));
        }
        let script = &self.complaints.script;
        if status.is_some_and(was_cut) {
            warn!(
                script,
                id = self.complaints.request,
                ?status,
                "a script was ended by a signal; its answer is cut"
            );
            self.exchange.abort();
            return Ok(Ending::Answered);
        }
        if let Some(code) = status.and_then(|it| it.code()).filter(|&code| code != 0) {
            warn!(
                script,
                id = self.complaints.request,
                code,
                "a script has ended with an error"
            );
        }
        let finished = self.exchange.finish();
        if finished.missing > 0 {
            warn!(
                script,
                missing = finished.missing,
                "a script gave less than its Content-Length says; the connection is closed"
            );
        }
        // The client has its answer, whatever the script still does in its time.
        self.process.wait_until(self.deadline);
        Ok(Ending::Answered)
    }

    fn soon(&self) -> Instant {
        self.deadline.min(Instant::now() + GRACE)
    }

    /// Writes what the script complains about into the log.
    fn listen(&mut self) {
        let Some(stderr) = &mut self.process.stderr else {
            return;
        };
        let mut piece = [0; 4096];
        loop {
            match stderr.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => self.complaints.add(&piece[..count]),
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => break,
            }
        }
        self.process.stderr = None;
        self.complaints.end();
    }
}

impl Complaints {
    pub(crate) fn new(script: String, request: String) -> Complaints {
        Complaints {
            script,
            request,
            line: Vec::new(),
            written: 0,
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => self.end(),
                // A line that never ends is cut into some.
                _ if self.line.len() == 4096 => {
                    self.end();
                    self.line.push(*byte);
                }
                _ => self.line.push(*byte),
            }
        }
    }

    /// Logs the line so far.
    fn end(&mut self) {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() || self.written > COMPLAINTS {
            return;
        }
        self.written += line.len();
        let (script, id) = (&self.script, &self.request);
        // Escaped: a script repeats what a client sent.
        let text = line.escape_ascii().to_string();
        warn!(
            script,
            id, text, "a script has written to its standard error"
        );
        if self.written > COMPLAINTS {
            warn!(
                script,
                id, "what the script writes to its standard error is left out from here on"
            );
        }
    }
}
