//! The gateway: finds the script, starts it, and says what became of it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kirsch_server::{
    Body, BodyLength, ErrorAnswer, Exchange, Gateway, Lane, Request, ResponseHead, Status,
    decode_path,
};
use tracing::{debug, error, warn};

use crate::answer::Nonsense;
use crate::conversation::{Complaints, Conversation, Ending, Failure};
use crate::environment::Call;
use crate::input::Input;
use crate::place::{Found, Place, Refusal};
use crate::process::Process;

/// Local redirects that one request may make; as Apache has it. More is a circle.
const REDIRECTS: usize = 10;

/// Answers requests by running scripts.
///
/// What a route has taken of the path, its mount, is in front of the scripts' names: [`Request::mount`].
/// A body is buffered before its script is started, unless [`Cgi::streaming`] says otherwise.
#[derive(Clone, Debug)]
pub struct Cgi {
    place: Place,
    passed: Vec<String>,
    authorization: bool,
    streams: bool,
    limits: Limits,
    running: Arc<AtomicUsize>,
}

/// What scripts may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Scripts that run at once; beyond: 503. Each holds a thread of the server. Default 8, fewer than the threads a
    /// server has if nothing else is said, so that others go on.
    pub processes: usize,
    /// How long one request may take, from the start of its script to the end of its answer, all its redirects
    /// together; then the script is ended, and the answer is 504 if it has not begun. Default 60 s, as Apache has it.
    pub run: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            processes: 8,
            run: Duration::from_secs(60),
        }
    }
}

impl Cgi {
    /// [`Cgi::folder`] where a folder is, otherwise [`Cgi::script`].
    ///
    /// # Errors
    ///
    /// Theirs: there is nothing, or a file that is not executable.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Cgi> {
        let path = path.as_ref();
        match path.is_dir() {
            true => Cgi::folder(path),
            false => Cgi::script(path),
        }
    }

    /// Every executable file in this folder, and in the folders in it, is a script. Links are followed as long as they
    /// stay inside; names with a dot in front are hidden. `nph-` scripts, which write the whole of their response
    /// themselves, are refused: nobody would see to it that the client can tell where it ends.
    ///
    /// # Errors
    ///
    /// If there is no such folder.
    pub fn folder(path: impl AsRef<Path>) -> io::Result<Cgi> {
        Place::folder(path.as_ref()).map(Cgi::at)
    }

    /// This script answers every path.
    ///
    /// # Errors
    ///
    /// If there is no such file, or it is not executable.
    pub fn script(path: impl AsRef<Path>) -> io::Result<Cgi> {
        Place::script(path.as_ref()).map(Cgi::at)
    }

    fn at(place: Place) -> Cgi {
        Cgi {
            place,
            passed: Vec::new(),
            authorization: false,
            streams: false,
            limits: Limits::default(),
            running: Arc::default(),
        }
    }

    /// Names of variables of the server's own environment that scripts get, beside `PATH`. Default: none, as it may
    /// hold the secrets of others.
    #[must_use]
    pub fn passing(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Cgi {
        self.passed = names.into_iter().map(Into::into).collect();
        self
    }

    /// Gives scripts the `Authorization` of requests, as `HTTP_AUTHORIZATION`. Default: not, as RFC 3875
    /// section 4.1.18 asks; other processes of the same user can read an environment.
    #[must_use]
    pub fn with_authorization(mut self) -> Cgi {
        self.authorization = true;
        self
    }

    /// Starts a script when the head of its request is there, and gives it the body while that arrives. Default: when
    /// all of it is there, so that no script, and no thread, waits for a slow client. A chunked body is buffered in any
    /// case, since nobody knows its `CONTENT_LENGTH` before its end.
    #[must_use]
    pub fn streaming(mut self) -> Cgi {
        self.streams = true;
        self
    }

    /// What scripts may use.
    #[must_use]
    pub fn within(mut self, limits: Limits) -> Cgi {
        self.limits = limits;
        self
    }

    /// A place among the processes, if there is one.
    fn enter(&self) -> Option<Running> {
        let limit = self.limits.processes;
        let entered = self
            .running
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                (count < limit).then_some(count + 1)
            });
        entered.ok().map(|_| Running(Arc::clone(&self.running)))
    }

    /// Answers with a script, and those that it sends on to.
    fn serve(&self, exchange: &mut Exchange) -> Result<(), Refused> {
        let deadline = Instant::now() + self.limits.run;
        let request = exchange.request();
        let mut method = request.method_name().to_vec();
        let mount = decoded(request.mount());
        let mut path = decoded(request.path_below_mount());
        let mut query = request.query().to_vec();
        let mut body = exchange.request_mut().take_body();
        let mut content = content_length(exchange.request(), &body)?;
        for _ in 0..=REDIRECTS {
            let found = self.place.find(&path).map_err(Refused::Path)?;
            let asked = Asked {
                found: &found,
                mount: &mount,
                method: &method,
                query: &query,
                content,
            };
            let target = match self.run(exchange, &asked, body, deadline)? {
                Ending::Answered => return Ok(()),
                Ending::Elsewhere(target) => target,
            };
            // Section 6.2.2: as if the client had asked for it, without a body.
            let end = memchr::memchr(b'#', &target).unwrap_or(target.len());
            let question = memchr::memchr(b'?', &target[..end]);
            let whole = decoded(&target[..question.unwrap_or(end)]);
            let Some(below) = below(&whole, &[exchange.request().prefix(), &mount].concat()) else {
                return send_away(exchange, &target);
            };
            path = below.to_vec();
            query = question.map_or_else(Vec::new, |at| target[at + 1..end].to_vec());
            (body, content) = (Body::Empty, None);
            if method != b"HEAD" {
                method = b"GET".to_vec();
            }
            debug!(target = %target.escape_ascii(), "a script has sent on to another");
        }
        warn!("scripts send on to each other in a circle");
        Err(Refused::Circle)
    }

    fn run(
        &self,
        exchange: &mut Exchange,
        asked: &Asked<'_>,
        body: Body,
        deadline: Instant,
    ) -> Result<Ending, Refused> {
        let request = exchange.request();
        let call = Call {
            request,
            found: asked.found,
            mount: asked.mount,
            translated: self.place.translate(&asked.found.info),
            method: asked.method,
            query: asked.query,
            content: asked.content,
            authorization: self.authorization,
        };
        let environment = call.environment(&self.passed);
        let script = asked.found.file.display().to_string();
        let complaints = Complaints::new(script.clone(), request.id().to_text());
        let process = Process::start(&asked.found.file, environment).map_err(|err| {
            error!(%err, script, "a script cannot be started");
            Refused::Start
        })?;
        let id = complaints.request.clone();
        let answered = Input::new(body).map_err(Failure::System).and_then(|input| {
            Conversation::new(exchange, process, input, deadline, complaints).run()
        });
        answered.map_err(|failure| {
            match &failure {
                Failure::Nonsense(nonsense) => {
                    error!(
                        script,
                        id,
                        reason = nonsense.text(),
                        "a script's answer is none"
                    );
                }
                Failure::Late => error!(script, id, "a script took too long, and was ended"),
                Failure::Gone => debug!(script, id, "a client has left, and its script was ended"),
                Failure::BodyBroken(err) => {
                    debug!(%err, script, id, "a request's body broke off, and its script was ended");
                }
                Failure::System(err) => error!(%err, script, id, "a script's pipe failed"),
            }
            Refused::Run(failure)
        })
    }
}

/// What a script is asked for.
struct Asked<'a> {
    found: &'a Found,
    mount: &'a [u8],
    method: &'a [u8],
    query: &'a [u8],
    /// Bytes of the body, if there is one.
    content: Option<u64>,
}

/// Bytes of the body, which has arrived or has a length that was announced.
fn content_length(request: &Request, body: &Body) -> Result<Option<u64>, Refused> {
    let length = match (body.len(), request.head().body) {
        (Some(length), _) | (None, BodyLength::Known(length)) => length,
        (None, BodyLength::None) => 0,
        // Only where a router was told to stream it.
        (None, BodyLength::Chunked) => return Err(Refused::NoLength),
    };
    Ok(Some(length).filter(|&length| length > 0))
}

fn decoded(raw: &[u8]) -> Vec<u8> {
    let mut path = Vec::new();
    decode_path(raw, &mut path);
    path
}

/// What is below a prefix: empty, or with a slash in front.
fn below<'a>(path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

/// What is not below the mount is not ours to answer: the client is sent there.
fn send_away(exchange: &mut Exchange, target: &[u8]) -> Result<(), Refused> {
    let mut head = ResponseHead::new();
    let made = head.status(b"302 Found");
    if made.and_then(|()| head.field(b"Location", target)).is_err() {
        return Err(Refused::Run(Failure::Nonsense(Nonsense::Location)));
    }
    exchange.begin(head, Some(0));
    exchange.finish();
    Ok(())
}

/// Why a request has no answer of a script's.
#[derive(Debug)]
enum Refused {
    Path(Refusal),
    Start,
    Run(Failure),
    Circle,
    /// The body is chunked and was not buffered.
    NoLength,
}

impl Refused {
    fn answer(&self) -> Option<ErrorAnswer> {
        let (status, text) = match self {
            Refused::Path(Refusal::Missing) => (404, "there is no such script"),
            Refused::Path(Refusal::Forbidden) => (403, "this file cannot be run as a script"),
            Refused::Start => (
                500,
                "the script cannot be started; the server's log says why",
            ),
            Refused::Run(Failure::Nonsense(_)) | Refused::Circle => (
                502,
                "the script's answer cannot be understood; the server's log says why",
            ),
            Refused::Run(Failure::Late) => (504, "the script took too long"),
            Refused::Run(Failure::System(_)) => {
                (500, "the script failed; the server's log says why")
            }
            Refused::Run(Failure::BodyBroken(_)) => (400, "the request's body broke off"),
            Refused::NoLength => (411, "a script needs the length of the body"),
            Refused::Run(Failure::Gone) => return None,
        };
        Some(ErrorAnswer::new(Status(status), text))
    }
}

impl Gateway for Cgi {
    fn handle(&self, mut exchange: Exchange) {
        let Some(_running) = self.enter() else {
            let text = "too many scripts run already; try again later";
            return exchange.answer(&ErrorAnswer::new(Status(503), text));
        };
        if let Err(refused) = self.serve(&mut exchange)
            && let Some(answer) = refused.answer()
        {
            exchange.answer(&answer);
        }
        // What has begun and is not whole is cut when the exchange is dropped.
    }

    fn lane(&self) -> Lane {
        Lane::Thread
    }

    fn streams_body(&self, request: &Request) -> bool {
        self.streams && matches!(request.head().body, BodyLength::Known(_))
    }
}

/// A place among the processes that may run; given back on drop.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
