//! The benchmark's client for handshakes: connects, shakes hands, takes the tickets, says goodbye, again.
//!
//! `cargo run --release -p kirsch-tls --example handshakes -- full|resumed PORT CONNECTIONS SECONDS`
//!
//! It has a ticket for each connection when it says `ready`; then it waits for a line, and prints one of JSON. No
//! request is sent, so that what the server pays for is the handshake. Every connection waits until the server
//! closes it, which it does behind its part of the handshake and behind its tickets. Each handshake has to be what
//! was asked for, full or resumed: any other is an error. TLS 1.3 with AES-256-GCM and X25519, and nothing else,
//! so that all servers compute the same. A ticket is used once (RFC 8446, appendix C.4).

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{self, Read};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, HandshakeKind, SignatureScheme,
};

/// Longer than any handshake; a server that stops answering ends the run.
const TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [kind, port, connections, seconds] = words.as_slice() else {
        return Err("usage: handshakes full|resumed PORT CONNECTIONS SECONDS".into());
    };
    let kind = match kind.as_str() {
        "full" => HandshakeKind::Full,
        "resumed" => HandshakeKind::Resumed,
        _ => return Err("either full or resumed".into()),
    };
    let (port, connections, seconds): (u16, usize, u64) =
        (port.parse()?, connections.parse()?, seconds.parse()?);
    let mut clients = Vec::new();
    for _ in 0..connections {
        let client = Client::new(port, kind)?;
        client.once()?;
        clients.push(client);
    }
    println!("ready");
    if io::stdin().read_line(&mut String::new())? == 0 {
        return Ok(());
    }
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let running: Vec<_> = clients
        .into_iter()
        .map(|client| thread::spawn(move || client.repeat(end)))
        .collect();
    let mut all = Tally::default();
    for client in running {
        all.add(client.join().map_err(|_| "a thread has panicked")?);
    }
    println!("{}", all.json(begun.elapsed()));
    Ok(())
}

/// One connection after the other, with the sessions of one client.
struct Client {
    port: u16,
    config: Arc<ClientConfig>,
    wanted: HandshakeKind,
}

impl Client {
    fn new(port: u16, wanted: HandshakeKind) -> Result<Client, rustls::Error> {
        let provider = Arc::new(CryptoProvider {
            cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384],
            kx_groups: vec![aws_lc_rs::kx_group::X25519],
            ..aws_lc_rs::default_provider()
        });
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        config.resumption = match wanted {
            HandshakeKind::Resumed => Resumption::in_memory_sessions(1),
            _ => Resumption::disabled(),
        };
        Ok(Client {
            port,
            config: Arc::new(config),
            wanted,
        })
    }

    /// Makes connections until then.
    fn repeat(&self, end: Instant) -> Tally {
        let mut tally = Tally::default();
        while Instant::now() < end {
            match self.once() {
                Ok((kind, took)) => {
                    tally.micros.push(took.as_micros());
                    if kind != Some(self.wanted) {
                        tally.count(format!("{kind:?}"));
                    }
                }
                Err(err) => tally.count(err.to_string()),
            }
        }
        tally
    }

    /// Makes one connection; answers what its handshake was, and what it took with the connection.
    fn once(&self) -> io::Result<(Option<HandshakeKind>, Duration)> {
        let begun = Instant::now();
        let name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
        let mut tls =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        let mut wire = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        wire.set_nodelay(true)?;
        wire.set_read_timeout(Some(TIMEOUT))?;
        while tls.is_handshaking() || tls.wants_write() {
            tls.complete_io(&mut wire)?;
        }
        let took = begun.elapsed();
        while tls.tls13_tickets_received() == 0 {
            if tls.read_tls(&mut wire)? == 0 {
                return Err(io::Error::other("closed without a ticket"));
            }
            tls.process_new_packets().map_err(io::Error::other)?;
        }
        tls.send_close_notify();
        while tls.wants_write() {
            tls.write_tls(&mut wire)?;
        }
        // What it says behind the ticket is its goodbye.
        while wire.read(&mut [0; 4096])? > 0 {}
        Ok((tls.handshake_kind(), took))
    }
}

/// What came of it.
#[derive(Default)]
struct Tally {
    micros: Vec<u128>,
    errors: BTreeMap<String, u64>,
}

impl Tally {
    fn count(&mut self, error: String) {
        *self.errors.entry(error).or_default() += 1;
    }

    fn add(&mut self, other: Tally) {
        self.micros.extend(other.micros);
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
    }

    fn json(&mut self, elapsed: Duration) -> String {
        self.micros.sort_unstable();
        let count = self.micros.len();
        let at = |place: usize| self.micros.get(place).copied().unwrap_or_default();
        let errors: Vec<String> = self
            .errors
            .iter()
            .map(|(error, count)| format!("{error:?}: {count}"))
            .collect();
        format!(
            r#"{{"handshakes": {count}, "seconds": {}, "p50": {}, "p99": {}, "max": {}, "errors": {{{}}}}}"#,
            elapsed.as_secs_f64(),
            at(count / 2),
            at(count * 99 / 100),
            at(count.saturating_sub(1)),
            errors.join(", ")
        )
    }
}

/// Trusts every certificate, whose bytes the benchmark compares, and no wrong signature.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 was not offered".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
