//! The engine over TLS, asked by a client of rustls: what Python's ssl, curl and openssl cannot show.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kirsch_server::{
    Bind, Config, Exchange, PairFiles, ResponseHead, Scheme, StartError, Tls, TlsConfig,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, NamedGroup, RootCertStore, StreamOwned};
use support::{Bodies, Client, Gate, PATIENCE, TestServer};
use tempfile::TempDir;

type Secure = StreamOwned<ClientConnection, TcpStream>;

/// A certificate that signs itself, in a folder, and who trusts it.
struct Pair {
    _folder: TempDir,
    files: PairFiles,
    roots: Arc<RootCertStore>,
}

impl Pair {
    fn new() -> Pair {
        let folder = tempfile::tempdir().expect("a folder");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a pair");
        let files = PairFiles {
            certificate: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
            password: None,
        };
        fs::write(&files.certificate, made.cert.pem()).expect("a file");
        fs::write(&files.key, made.signing_key.serialize_pem()).expect("a file");
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a root");
        Pair {
            _folder: folder,
            files,
            roots: Arc::new(roots),
        }
    }

    /// Makes a configuration speak TLS.
    fn serve(&self, config: &mut Config) {
        config.binds = vec![Bind::Tls(([127, 0, 0, 1], 0).into())];
        config.tls = Some(Tls {
            certificates: TlsConfig {
                pairs: vec![self.files.clone()],
                ..TlsConfig::default()
            },
            ..Tls::default()
        });
    }

    fn trusting(&self) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(Arc::clone(&self.roots))
            .with_no_client_auth()
    }
}

fn connect(server: &TestServer, config: &Arc<ClientConfig>) -> Client<Secure> {
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::clone(config), name).expect("a client");
    let wire = TcpStream::connect(server.address()).expect("the server listens");
    wire.set_read_timeout(Some(PATIENCE)).expect("a socket");
    Client::over(StreamOwned::new(connection, wire))
}

fn answer(exchange: Exchange, body: &[u8]) {
    let mut head = ResponseHead::new();
    head.status(b"200 OK").expect("a status");
    exchange.respond(head, body);
}

#[test]
fn what_is_sent_today_cannot_be_read_by_a_quantum_computer() {
    let pair = Pair::new();
    let server = TestServer::start(
        |config| pair.serve(config),
        Bodies::Buffered,
        |exchange| {
            assert_eq!(exchange.request().scheme(), Scheme::Https);
            let tls = exchange.request().origin().tls.as_ref();
            let protocol = tls.and_then(|tls| tls.variables.value("SSL_PROTOCOL"));
            let body = protocol.unwrap_or_default().to_owned();
            answer(exchange, body.as_bytes());
        },
    );
    let mut client = connect(&server, &Arc::new(pair.trusting()));
    assert_eq!(client.get("/").text(), "TLSv1.3");
    let group = client.wire.conn.negotiated_key_exchange_group();
    assert_eq!(
        group.map(|group| group.name()),
        Some(NamedGroup::X25519MLKEM768)
    );
}

#[test]
fn data_that_comes_before_the_handshake_is_done_waits_for_it() {
    let pair = Pair::new();
    let server = TestServer::start(
        |config| pair.serve(config),
        Bodies::Buffered,
        |exchange| answer(exchange, b"ok"),
    );
    let mut config = pair.trusting();
    config.enable_early_data = true;
    let config = Arc::new(config);
    // The tickets come behind the handshake, with the first answer at the latest.
    assert_eq!(connect(&server, &config).get("/").text(), "ok");
    let mut client = connect(&server, &config);
    assert!(
        client.wire.conn.early_data().is_none(),
        "no ticket allows any"
    );
    assert_eq!(client.get("/").text(), "ok");
}

#[test]
fn several_reactors_serve_tls() {
    let pair = Pair::new();
    let server = TestServer::start(
        |config| {
            pair.serve(config);
            config.reactors = 2;
        },
        Bodies::Buffered,
        |exchange| answer(exchange, b"ok"),
    );
    let config = Arc::new(pair.trusting());
    let mut clients: Vec<_> = (0..8).map(|_| connect(&server, &config)).collect();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "ok");
    }
    assert_eq!(server.server.statistics().handshakes, 8);
}

#[test]
fn a_client_that_takes_its_time_gets_every_byte_and_the_goodbye() {
    // More than the kernel keeps for both ends of a connection.
    const LEN: usize = 48_000_000;
    let pair = Pair::new();
    let body: Arc<Vec<u8>> = Arc::new((0..LEN).map(|at| (at % 251) as u8).collect());
    let sent = Arc::clone(&body);
    let server = TestServer::start(
        |config| pair.serve(config),
        Bodies::Buffered,
        move |exchange| answer(exchange, &sent),
    );
    let mut client = connect(&server, &Arc::new(pair.trusting()));
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    server.until("it has outrun its client", |statistics| {
        statistics.outran == 1
    });
    // An end without a goodbye would be an error.
    let mut all = Vec::new();
    client.wire.read_to_end(&mut all).expect("an orderly end");
    assert!(all.ends_with(&body), "{} bytes", all.len());
}

#[test]
fn a_stop_waits_for_no_half_handshake() {
    let pair = Pair::new();
    let server = TestServer::start(
        |config| {
            pair.serve(config);
            config.timeouts.handshake = Duration::from_millis(300);
        },
        Bodies::Buffered,
        |exchange| answer(exchange, b"ok"),
    );
    let silent = TcpStream::connect(server.address()).expect("the server listens");
    server.until("it is there", |statistics| statistics.connections == 1);
    assert!(server.server.stop(), "who has said nothing is let go");
    drop(silent);
}

/// A server whose only thread waits at a gate, with a request of the client's, and this many whose handshakes need
/// work meanwhile.
fn crowd_before_a_gate(count: usize) -> (TestServer, Gate, Client<Secure>, Vec<Secure>) {
    let pair = Pair::new();
    let gate = Gate::default();
    let passed = gate.clone();
    let server = TestServer::start(
        |config| {
            pair.serve(config);
            config.threads = 1;
        },
        Bodies::Buffered,
        move |exchange| {
            if exchange.request().path() == b"/wait" {
                passed.pass();
            }
            answer(exchange, b"ok");
        },
    );
    let config = Arc::new(pair.trusting());
    let mut blocking = connect(&server, &config);
    blocking.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    gate.await_arrivals(1);
    let begin = |_| {
        let mut newcomer = connect(&server, &config).wire;
        let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        // It leaves with the client's part of the handshake.
        let mut writer = newcomer.conn.writer();
        writer.write_all(request).expect("it is kept");
        newcomer
            .conn
            .write_tls(&mut newcomer.sock)
            .expect("its offer");
        newcomer
    };
    let newcomers = (0..count).map(begin).collect();
    server.until("all there", |now| now.connections == count + 1);
    (server, gate, blocking, newcomers)
}

#[test]
fn handshakes_that_wait_for_a_thread_when_the_server_stops_are_finished() {
    let (server, gate, mut blocking, newcomers) = crowd_before_a_gate(20);
    thread::scope(|scope| {
        let stop = scope.spawn(|| server.server.stop());
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(server.address()).is_ok() {
            assert!(Instant::now() < deadline, "it still listens");
            thread::park_timeout(Duration::from_millis(2));
        }
        gate.open();
        assert_eq!(blocking.response().text(), "ok");
        for mut newcomer in newcomers {
            // An end without a goodbye would be an error.
            let mut all = Vec::new();
            newcomer.read_to_end(&mut all).expect("an orderly end");
            let said = String::from_utf8_lossy(&all);
            assert!(said.ends_with("\r\n\r\nok"), "{said}");
        }
        assert!(stop.join().expect("no panic"), "nothing was cut off");
    });
    let now = server.server.statistics();
    assert_eq!((now.handshakes, now.handshakes_failed), (21, 0));
}

#[test]
fn nothing_is_left_of_handshakes_that_wait_for_a_thread_when_the_server_ends() {
    let (server, gate, _blocking, newcomers) = crowd_before_a_gate(20);
    assert!(!server.server.stop_within(Duration::ZERO));
    gate.open();
    for mut newcomer in newcomers {
        let ended = newcomer.read_to_end(&mut Vec::new());
        assert!(ended.is_err(), "there was no handshake");
    }
    // Perhaps but for the one that the application had when everything ended.
    server.until("all gone", |now| now.connections <= 1);
}

#[test]
fn a_bind_without_a_certificate_is_refused() {
    let config = Config {
        binds: vec![Bind::Tls(([127, 0, 0, 1], 0).into())],
        ..Config::default()
    };
    let gateway = support::gateway(Bodies::Buffered, |exchange| answer(exchange, b""));
    let Err(StartError::Tls(error)) = kirsch_server::Server::bind(config, gateway) else {
        panic!("it is served");
    };
    assert_eq!(
        error.to_string(),
        "no certificate was named; name one and its key"
    );
}
