//! How much a connection does before others have their turn, where its client makes that dear.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kirsch_tls::{Material, TlsConfig};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::{Connection, Key, Next, State, Turn};
use crate::config::Config;
use crate::exchange::Exchange;
use crate::forwarded::Scheme;
use crate::gateway::Gateway;
use crate::request::{LocalName, Origin, Request};
use crate::shared::{Common, Shared};
use crate::socket::Socket;
use crate::stream::Stream;

/// Nobody comes so far, whether bodies would be streamed or not.
struct Nowhere {
    streams: bool,
}

impl Gateway for Nowhere {
    fn handle(&self, _: Exchange) {}

    fn streams_body(&self, _: &Request) -> bool {
        self.streams
    }
}

/// A connection as the reactor has it, and its client, whose handshake is done.
struct Pairing {
    shared: Arc<Shared>,
    connection: Connection,
    client: ClientConnection,
    wire: UnixStream,
}

impl Pairing {
    fn new() -> Pairing {
        Pairing::with(Nowhere { streams: false })
    }

    fn with(gateway: Nowhere) -> Pairing {
        let config = TlsConfig {
            self_signed: Some(Vec::new()),
            ..TlsConfig::default()
        };
        let (material, _) = Material::load(config).expect("a certificate of its own");
        let mut roots = RootCertStore::empty();
        for pair in material.served().pairs() {
            roots.add(pair.chain()[0].clone()).expect("a root");
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").expect("a name");
        let client = ClientConnection::new(Arc::new(config), name).expect("a client");
        let common = Common::new(
            Config::default(),
            Arc::new(gateway),
            None,
            Some(Arc::new(material)),
        );
        let shared = Arc::new(Shared::new(Arc::new(common)));
        let (wire, socket) = UnixStream::pair().expect("two sockets");
        let origin = Origin {
            peer: None,
            peer_address: String::new(),
            local: Arc::new(LocalName {
                listener: 0,
                name: "localhost".to_owned(),
                port: "443".to_owned(),
                scheme: Scheme::Https,
            }),
            tls: None,
        };
        let stream = Stream::secure(Socket::of(OwnedFd::from(socket)).expect("a socket"));
        let connection = Connection::new(stream, Key(0), Arc::new(origin), Instant::now(), &shared);
        let mut pairing = Pairing {
            shared,
            connection,
            client,
            wire,
        };
        while pairing.client.is_handshaking() || pairing.client.wants_write() {
            if pairing.client.wants_write() {
                pairing
                    .client
                    .write_tls(&mut pairing.wire)
                    .expect("a write");
            } else {
                pairing.rest();
                pairing.client.read_tls(&mut pairing.wire).expect("a read");
                pairing.client.process_new_packets().expect("a handshake");
            }
        }
        pairing.rest();
        assert!(matches!(pairing.connection.state, State::Head { .. }));
        pairing
    }

    /// One step, as if there were something to read.
    fn step(&mut self) -> Next {
        self.step_at(Instant::now())
    }

    fn step_at(&mut self, now: Instant) -> Next {
        self.connection.readiness.readable = true;
        self.connection.advance(&mut Turn {
            shared: &self.shared,
            now,
            spares: &mut Vec::new(),
        })
    }

    /// Steps until it waits; answers how often others had their turn.
    fn rest(&mut self) -> usize {
        let mut turns = 0;
        loop {
            match self.step() {
                Next::Wait => return turns,
                Next::Work => self.connection.work(&self.shared),
                Next::Yield => turns += 1,
                _ => panic!("nothing else was asked for"),
            }
        }
    }

    /// Has the client send this, and then records that hold hardly anything: as much as the kernel keeps for who reads
    /// later. Answers how many bytes.
    fn flood(&mut self, begin: &[u8]) -> usize {
        self.client.writer().write_all(begin).expect("room");
        let mut records = Vec::new();
        while records.len() < 1024 * 1024 {
            // As many as rustls bears between two bytes.
            for _ in 0..30 {
                self.client.refresh_traffic_keys().expect("new keys");
            }
            self.client.writer().write_all(b"x").expect("room");
            while self.client.wants_write() {
                self.client.write_tls(&mut records).expect("memory");
            }
        }
        self.wire.set_nonblocking(true).expect("a socket");
        let mut sent = 0;
        while let Ok(count) = self.wire.write(&records[sent..][..32 * 1024]) {
            sent += count;
        }
        sent
    }
}

const BODY: &[u8] = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n";

#[test]
fn records_that_hold_hardly_anything_are_read_in_turn_with_others() {
    let mut pairing = Pairing::new();
    let sent = pairing.flood(BODY);
    let shares = sent / (64 * 1024);
    assert!(shares > 1, "{sent} bytes are waiting");
    assert_eq!(pairing.rest(), shares);
    assert!(matches!(pairing.connection.state, State::Body(_)));
}

#[test]
fn who_keeps_sending_hardly_anything_is_held_to_the_timeouts() {
    for begin in [BODY, b"GET / HTTP/1.1\r\nX: "] {
        let mut pairing = Pairing::new();
        pairing.flood(begin);
        assert!(matches!(pairing.step(), Next::Yield));
        // It goes on to send, and is told that its time is over.
        pairing.step_at(Instant::now() + Duration::from_secs(60 * 60));
        assert!(matches!(pairing.connection.state, State::Linger { .. }));
    }
}

#[test]
fn who_reads_a_streamed_body_of_hardly_anything_is_told_that_it_broke() {
    let mut pairing = Pairing::with(Nowhere { streams: true });
    pairing.flood(BODY);
    let Next::Serve(mut request, _outlet) = pairing.step() else {
        panic!("the body may come later");
    };
    assert!(matches!(pairing.step(), Next::Yield));
    let later = Instant::now() + Duration::from_secs(60 * 60);
    assert!(matches!(pairing.step_at(later), Next::Yield | Next::Wait));
    let read = std::io::copy(&mut Reading(&mut request.body), &mut std::io::sink());
    let kind = read.expect_err("it is not whole").kind();
    assert_eq!(kind, std::io::ErrorKind::ConnectionAborted);
}

/// A body as a reader.
struct Reading<'a>(&'a mut crate::body::Body);

impl std::io::Read for Reading<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buf)
    }
}
