//! The engine over TLS, asked by a client of rustls: what Python's ssl, curl and openssl cannot show.

mod support;

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use kirsch_server::{
    Bind, Config, Exchange, PairFiles, ResponseHead, Scheme, StartError, Tls, TlsConfig,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, NamedGroup, RootCertStore, StreamOwned};
use support::{Bodies, Client, TestServer};
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
            issuers: None,
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
    wire.set_read_timeout(Some(support::PATIENCE))
        .expect("a socket");
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
