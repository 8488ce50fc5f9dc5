//! What the tests of the server share: a server on a free port with a closure for a gateway, and a raw
//! client with deadlines that reads exactly one response, by its framing.

#![allow(dead_code, reason = "each test file uses its part")]

use std::fmt::Debug;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use kirsch_server::{
    Bind, Body, BoundAddress, Config, Exchange, Gateway, Request, ResponseHead, Server, Statistics,
};

/// Longer than anything may take; whoever waits so long has found a bug.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway made of a function.
struct Closure<F> {
    handle: F,
    streams: bool,
}

impl<F: Fn(Exchange) + Send + Sync + 'static> Gateway for Closure<F> {
    fn handle(&self, exchange: Exchange) {
        (self.handle)(exchange);
    }

    fn streams_body(&self, _request: &Request) -> bool {
        self.streams
    }
}

/// A gateway made of a function.
pub fn gateway(
    bodies: Bodies,
    handle: impl Fn(Exchange) + Send + Sync + 'static,
) -> Arc<dyn Gateway> {
    Arc::new(Closure {
        handle,
        streams: bodies == Bodies::Streamed,
    })
}

/// A server that stops when the test ends.
pub struct TestServer {
    pub server: Server,
}

/// Whether the gateway gets bodies while they arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    Buffered,
    Streamed,
}

impl TestServer {
    /// Starts a server with a few changes to the configuration.
    pub fn start(
        change: impl FnOnce(&mut Config),
        bodies: Bodies,
        handle: impl Fn(Exchange) + Send + Sync + 'static,
    ) -> TestServer {
        TestServer::serve(change, gateway(bodies, handle))
    }

    /// Starts a server with this gateway.
    pub fn serve(change: impl FnOnce(&mut Config), gateway: Arc<dyn Gateway>) -> TestServer {
        let mut config = Config {
            binds: vec![Bind::Tcp(([127, 0, 0, 1], 0).into())],
            threads: 4,
            ..Config::default()
        };
        change(&mut config);
        let server = Server::bind(config, gateway).expect("a free port");
        server.start().expect("threads");
        TestServer { server }
    }

    pub fn address(&self) -> SocketAddr {
        match &self.server.addresses()[0] {
            BoundAddress::Tcp(address) | BoundAddress::Tls(address) => *address,
            other => panic!("not TCP: {other}"),
        }
    }

    pub fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address()).expect("the server listens"))
    }

    /// Waits until the statistics are as told. They can only be looked at, so this looks again and again.
    pub fn until(&self, what: &str, condition: impl Fn(&Statistics) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let statistics = self.server.statistics();
            if condition(&statistics) {
                return;
            }
            assert!(Instant::now() < deadline, "never: {what}; {statistics:#?}");
            thread::park_timeout(Duration::from_millis(2));
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.server.stop_within(Duration::ZERO);
        // A test that failed may have left its gateway waiting.
        if !thread::panicking() {
            self.server.join();
        }
    }
}

/// What a client needs of a stream.
pub trait Wire: Read + Write {}
impl<T: Read + Write> Wire for T {}

/// A client that sends what it is told to and reads one response at a time.
pub struct Client<W = TcpStream> {
    pub wire: W,
    received: Vec<u8>,
}

/// One response.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = &self.body[..self.body.len().min(80)];
        write!(
            f,
            "{}\n{} bytes: {}",
            self.head,
            self.body.len(),
            start.escape_ascii()
        )
    }
}

impl Response {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Whether it says that it is the last one.
    pub fn closes(&self) -> bool {
        self.field("connection") == Some("close")
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Clean,
    Reset,
}

impl Client<TcpStream> {
    pub fn new(wire: TcpStream) -> Client {
        wire.set_read_timeout(Some(PATIENCE)).expect("a socket");
        wire.set_write_timeout(Some(PATIENCE)).expect("a socket");
        wire.set_nodelay(true).expect("a socket");
        Client {
            wire,
            received: Vec::new(),
        }
    }

    pub fn shut(&self) {
        self.wire.shutdown(Shutdown::Write).expect("an open socket");
    }

    /// Closes so that the server is told of a failure.
    pub fn reset(self) {
        let socket = socket2::Socket::from(self.wire);
        socket.set_linger(Some(Duration::ZERO)).expect("a socket");
    }
}

impl<W: Wire> Client<W> {
    pub fn over(wire: W) -> Client<W> {
        Client {
            wire,
            received: Vec::new(),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Client<W> {
        self.wire
            .write_all(bytes.as_ref())
            .expect("the server reads");
        self
    }

    /// Sends what the server may have stopped to listen to.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.wire.write_all(bytes.as_ref()).is_ok()
    }

    pub fn get(&mut self, path: &str) -> Response {
        self.send(get(path)).response()
    }

    /// Reads one response to anything but HEAD; an interim one counts.
    pub fn response(&mut self) -> Response {
        self.read_response(false)
    }

    pub fn response_to_head(&mut self) -> Response {
        self.read_response(true)
    }

    fn read_response(&mut self, is_head: bool) -> Response {
        let end = loop {
            if let Some(at) = self
                .received
                .windows(4)
                .position(|four| four == b"\r\n\r\n")
            {
                break at + 4;
            }
            let start = self.received.len();
            assert!(
                self.more() > 0,
                "ended in a head: {}",
                self.received[..start].escape_ascii()
            );
        };
        let head = String::from_utf8(self.take(end)).expect("a head is ASCII");
        let status = head[9..12].parse().expect("a status");
        let mut response = Response {
            status,
            head,
            body: Vec::new(),
        };
        let length = response
            .field("content-length")
            .map(|text| text.parse().expect("a number"));
        if is_head || status < 200 || status == 204 || status == 304 {
        } else if response.field("transfer-encoding") == Some("chunked") {
            self.read_chunks(&mut response.body);
        } else if let Some(length) = length {
            response.body = self.exactly(length);
        } else {
            while self.more() > 0 {}
            response.body = std::mem::take(&mut self.received);
        }
        response
    }

    fn read_chunks(&mut self, body: &mut Vec<u8>) {
        loop {
            let end = loop {
                match self.received.windows(2).position(|two| two == b"\r\n") {
                    Some(at) => break at + 2,
                    None => assert!(self.more() > 0, "ended in a chunk's size"),
                }
            };
            let line = String::from_utf8(self.take(end)).expect("a size");
            let size = usize::from_str_radix(line.trim_end(), 16).expect("a size");
            let chunk = self.exactly(size + 2);
            assert!(chunk.ends_with(b"\r\n"), "a chunk ends with CRLF");
            body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return;
            }
        }
    }

    pub fn exactly(&mut self, len: usize) -> Vec<u8> {
        while self.received.len() < len {
            assert!(
                self.more() > 0,
                "ended {} bytes too early",
                len - self.received.len()
            );
        }
        self.take(len)
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        let rest = self.received.split_off(len);
        std::mem::replace(&mut self.received, rest)
    }

    fn more(&mut self) -> usize {
        let mut buf = vec![0; 64 * 1024];
        let count = match self.wire.read(&mut buf) {
            Ok(count) => count,
            Err(err) => panic!("{err} behind {}", self.received.escape_ascii()),
        };
        self.received.extend_from_slice(&buf[..count]);
        count
    }

    /// Reads to the end, which has to come, and answers what came before.
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        let mut rest = std::mem::take(&mut self.received);
        let end = loop {
            let mut buf = vec![0; 64 * 1024];
            match self.wire.read(&mut buf) {
                Ok(0) => break End::Clean,
                Ok(count) => rest.extend_from_slice(&buf[..count]),
                Err(err) if err.kind() == ErrorKind::ConnectionReset => break End::Reset,
                Err(err) => panic!("{err} behind {}", rest.escape_ascii()),
            }
        };
        (rest, end)
    }

    /// Reads to the end, however it comes, and answers how.
    pub fn rest_or_reset(&mut self) -> End {
        loop {
            match self.wire.read(&mut [0; 4096]) {
                Ok(0) => return End::Clean,
                Ok(_) => {}
                Err(err) if matches!(err.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("never ended")
                }
                Err(_) => return End::Reset,
            }
        }
    }

    /// Reads to the end, or to a last chunk; answers whether it was the last chunk.
    pub fn ends_with_last_chunk(&mut self) -> bool {
        loop {
            if self.received.ends_with(b"0\r\n\r\n") {
                return true;
            }
            if self.more() == 0 {
                return false;
            }
        }
    }

    /// The server has closed, cleanly and without another word.
    pub fn assert_closed(&mut self) {
        let (rest, end) = self.rest();
        assert_eq!(
            (rest.escape_ascii().to_string().as_str(), end),
            ("", End::Clean)
        );
    }
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

pub fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let len = body.len();
    let mut bytes =
        format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Bytes that tell where they stand.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|idx| (idx % 251) as u8 ^ (idx / 251) as u8)
        .collect()
}

pub fn ok() -> ResponseHead {
    let mut head = ResponseHead::new();
    head.status(b"200 OK").expect("a good status");
    head
}

/// Answers with the path, and the body behind it.
pub fn echo(mut exchange: Exchange) {
    let mut answer = exchange.request().target().to_vec();
    let mut body = exchange.request_mut().take_body();
    match read_all(&mut body) {
        Ok(body) => answer.extend_from_slice(&body),
        Err(err) => answer.extend_from_slice(format!(" broken: {err}").as_bytes()),
    }
    exchange.respond(ok(), &answer);
}

pub fn read_all(body: &mut Body) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut buf = vec![0; 64 * 1024];
    loop {
        match body.read(&mut buf)? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buf[..count]),
        }
    }
}

/// Something that threads wait for until the test lets them go.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    open: bool,
    arrived: usize,
}

impl Gate {
    /// Waits until the gate is open.
    pub fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().expect("no panic under the lock");
        state.arrived += 1;
        changed.notify_all();
        let (state, _) = changed
            .wait_timeout_while(state, PATIENCE * 2, |state| !state.open)
            .expect("no panic under the lock");
        assert!(state.open, "a gate was never opened");
    }

    pub fn open(&self) {
        self.0.0.lock().expect("no panic under the lock").open = true;
        self.0.1.notify_all();
    }

    /// Waits until so many have come to the gate.
    pub fn await_arrivals(&self, count: usize) {
        let (state, changed) = &*self.0;
        let state = state.lock().expect("no panic under the lock");
        let (state, _) = changed
            .wait_timeout_while(state, PATIENCE, |state| state.arrived < count)
            .expect("no panic under the lock");
        assert!(
            state.arrived >= count,
            "{} of {count} arrived",
            state.arrived
        );
    }
}
