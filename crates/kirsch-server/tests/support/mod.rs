//! A running server with a closure for a gateway, and a client that speaks over a plain socket.

#![allow(dead_code, reason = "each test file uses what it needs")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kirsch_server::{Bind, BoundAddress, Config, Exchange, Gateway, ResponseHead, Server};

/// Long after this, what is waited for will not come.
pub const PATIENCE: Duration = Duration::from_secs(20);

struct Call<F>(F);

impl<F: Fn(Exchange) + Send + Sync + 'static> Gateway for Call<F> {
    fn handle(&self, exchange: Exchange) {
        (self.0)(exchange);
    }
}

/// A server on a free port, stopped when dropped.
pub struct Running {
    pub server: Server,
    pub addr: SocketAddr,
}

/// Serves with a gateway that may block.
pub fn serve(config: Config, handle: impl Fn(Exchange) + Send + Sync + 'static) -> Running {
    let config = Config {
        binds: vec![Bind::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))],
        ..config
    };
    let server = Server::bind(config, Arc::new(Call(handle))).expect("a free port");
    server.start().expect("threads");
    let addr = match &server.addresses()[0] {
        BoundAddress::Tcp(addr) => *addr,
        other => panic!("not the address asked for: {other:?}"),
    };
    Running { server, addr }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.stop_within(Duration::ZERO);
    }
}

impl Running {
    pub fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.addr).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        stream.set_nodelay(true).expect("an option");
        Client {
            stream,
            ahead: Vec::new(),
        }
    }
}

/// A connection to the server.
pub struct Client {
    stream: TcpStream,
    ahead: Vec<u8>,
}

impl Client {
    pub fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).expect("it reads");
    }

    pub fn ask(&mut self, path: &str) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
    }

    /// Reads one response; answers its status and body.
    pub fn answer(&mut self) -> (u16, String) {
        let end = loop {
            match self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.fill(),
            }
        };
        let head = String::from_utf8(self.ahead.drain(..end).collect()).expect("ASCII");
        let length = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.parse().expect("a number"));
        while self.ahead.len() < length {
            self.fill();
        }
        let body = String::from_utf8(self.ahead.drain(..length).collect()).expect("UTF-8");
        (head[9..12].parse().expect("a status"), body)
    }

    pub fn get(&mut self, path: &str) -> (u16, String) {
        self.ask(path);
        self.answer()
    }

    fn fill(&mut self) {
        let mut piece = [0; 4096];
        let count = self.stream.read(&mut piece).expect("an answer in time");
        assert!(count > 0, "the connection ended before its answer");
        self.ahead.extend_from_slice(&piece[..count]);
    }
}

/// Answers 200 with a text.
pub fn answer(exchange: Exchange, text: &str) {
    let mut head = ResponseHead::new();
    head.status(b"200 OK").expect("a good status");
    exchange.respond(head, text.as_bytes());
}

/// Looks until it is so.
pub fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}
